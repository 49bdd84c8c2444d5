// SPDX-License-Identifier: GPL-2.0-or-later
//
// The host's data side: commands, bytes, buffers.

#include <algorithm>
#include <cstring>

#include "engine_host.h"

namespace hawser::target {

void EngineHost::submit(Operation& operation) {
    const auto free = std::find(m_operations.begin(), m_operations.end(), nullptr);
    if (free == m_operations.end()) throw ScriptError("more commands than queue_depth");
    operation.tag = static_cast<int>(free - m_operations.begin());
    *free = &operation;
    m_waiting.push_back(operation.tag);
}

// Parked commands and new ones go wherever they are taken.
void EngineHost::dispatch() {
    const size_t count = m_waiting.size();
    for (size_t i = 0; i < count; i++) {
        const int tag = m_waiting.front();
        m_waiting.pop_front();
        Operation& operation = *m_operations[static_cast<size_t>(tag)];
        // What came back goes wherever it is taken.
        const bool fixed = operation.connection >= 0 && !operation.parked;
        uint32_t index =
            fixed ? static_cast<uint32_t>(operation.connection) : m_next++ % connection_count();
        for (uint32_t tries = 0;
             !fixed && tries < m_ports.size() && !hawser_connection_accepts(m_ports[index].engine);
             tries++)
            index = (index + 1) % connection_count();
        if (!hawser_connection_accepts(m_ports[index].engine)) {
            m_waiting.push_back(tag);
            continue;
        }
        hawser_command command{};
        command.tag = static_cast<uint32_t>(tag);
        command.length = static_cast<uint32_t>(operation.buffer.size());
        command.read_length = static_cast<uint32_t>(operation.read_buffer.size());
        command.direction = operation.direction;
        command.task_attribute = 1;
        command.cdb_length = static_cast<uint8_t>(operation.cdb.size());
        std::copy(operation.cdb.begin(), operation.cdb.end(), command.cdb);
        command.lun[1] = static_cast<uint8_t>(operation.lun);
        command.timeout_ms = timeout_ms;
        operation.attempts++;
        operation.home = index;
        hawser_connection* engine = m_ports[index].engine;
        note_port(index, operation.parked ? hawser_connection_resume(engine, &command)
                                          : hawser_connection_submit(engine, &command));
        operation.parked = false;
    }
}

void EngineHost::transmit(uint32_t index) {
    Port& port = m_ports[index];
    if (!port.up || port.fin || port.close_due || !port.transmit_due) return;
    hawser_transmit what{};
    port.transmit_due = hawser_connection_poll_transmit(port.engine, 1 << 16, &what);
    if (!port.transmit_due) return;
    Bytes bytes(what.bytes, what.bytes + what.bytes_length);
    if (what.data_length != 0) {
        const Operation* operation = m_operations.at(what.tag);
        if (operation == nullptr ||
            uint64_t{what.data_offset} + what.data_length > operation->buffer.size())
            throw ScriptError("the engine sends data that is not its own");
        const auto from = operation->buffer.begin() + what.data_offset;
        bytes.insert(bytes.end(), from, from + what.data_length);
    }
    const uint32_t length = static_cast<uint32_t>(bytes.size());
    if (what.digest != 0)
        hawser_connection_digest_sent(port.engine, bytes.data() + what.bytes_length,
                                      length - what.bytes_length);
    note_port(index, hawser_connection_handle_transmitted(port.engine, length, m_now_ms));
    m_target.target.handle_received(static_cast<uint32_t>(port.link), bytes, m_now_ms);
}

void EngineHost::receive(uint32_t index) {
    Port& port = m_ports[index];
    if (!port.up) return;
    Target& target = m_target.target;
    const uint32_t link = static_cast<uint32_t>(port.link);
    const Connection& theirs = *target.find(link);
    const bool silent = theirs.silent_until_ms > m_now_ms;
    bool any = false;
    for (Bytes bytes = target.take_output(link); !bytes.empty() && port.up;
         bytes = target.take_output(link)) {
        const size_t most = chunk_bytes != 0 ? chunk_bytes : bytes.size();
        for (size_t at = 0; at < bytes.size(); at += most) {
            const size_t end = std::min(bytes.size(), at + most);
            feed(index, Bytes(bytes.begin() + static_cast<long>(at),
                              bytes.begin() + static_cast<long>(end)));
        }
        any = m_moved = true;
    }
    if (any) return;
    // A FIN of ours is answered with one when all is said.
    const bool over = target.wants_close(link) || (port.fin && !silent);
    if (!over || (silent && !target.wants_reset(link))) return;
    const bool reset = target.wants_reset(link);
    if (m_target.target.observer != nullptr)
        m_target.target.observer->closed(link, port.fin && !reset, m_now_ms);
    port.up = false;
    target.handle_closed(link, m_now_ms);
    note_port(index, hawser_connection_handle_disconnected(
                         port.engine,
                         reset ? HAWSER_ERROR_CONNECTION_RESET : HAWSER_ERROR_CLOSED_BY_TARGET,
                         reset ? 104 : 0, m_now_ms));
}

void EngineHost::feed(uint32_t index, const Bytes& bytes) {
    for (uint32_t used = 0; used < bytes.size();) {
        const uint32_t before = used;
        // An exact copy on the heap: a read beyond it is seen.
        const Bytes rest(bytes.begin() + used, bytes.end());
        uint32_t wants = 0;
        used +=
            hawser_connection_handle_received(m_ports[index].engine, rest.data(),
                                              static_cast<uint32_t>(rest.size()), m_now_ms, &wants);
        note_port(index, wants);
        while (used < bytes.size()) {
            const uint32_t placed = place(index, bytes, used);
            if (placed == 0) break;
            used += placed;
        }
        if (used == before) throw ScriptError("the engine neither eats nor places what it gets");
    }
}

uint32_t EngineHost::place(uint32_t index, const Bytes& bytes, uint32_t used) {
    hawser_placement where{};
    if (!hawser_connection_poll_placement(m_ports[index].engine, &where)) return 0;
    Operation* operation = m_operations.at(where.tag);
    if (operation == nullptr) throw ScriptError("the engine places data of nobody");
    Bytes& buffer =
        operation->direction == HAWSER_DATA_BOTH ? operation->read_buffer : operation->buffer;
    if (uint64_t{where.offset} + where.length > buffer.size())
        throw ScriptError("the engine places data where there is no room");
    const uint32_t length = std::min(where.length, static_cast<uint32_t>(bytes.size()) - used);
    std::memcpy(buffer.data() + where.offset, bytes.data() + used, length);
    if (where.digest != 0)
        hawser_connection_digest_placed(m_ports[index].engine, bytes.data() + used, length);
    note_port(index, hawser_connection_handle_placed(m_ports[index].engine, length));
    return length;
}

// The socket is closed: the target sees that too.
void EngineHost::drop_link(uint32_t index) {
    Port& port = m_ports[index];
    if (!port.up) return;
    port.up = false;
    m_target.target.handle_closed(static_cast<uint32_t>(port.link), m_now_ms);
}

void EngineHost::close(uint32_t index) {
    Port& port = m_ports[index];
    if (!port.close_due) return;
    drop_link(index);
    port.close_due = port.open = port.transmit_due = false;
    note_port(index, hawser_connection_handle_closed(port.engine, m_now_ms));
}

void EngineHost::cut(uint32_t index) {
    Port& port = m_ports[index];
    if (!port.up) return;
    Target& target = m_target.target;
    target.observer->closed(static_cast<uint32_t>(port.link), false, m_now_ms);
    drop_link(index);
    note_port(index, hawser_connection_handle_disconnected(
                         port.engine, HAWSER_ERROR_CONNECTION_RESET, 104, m_now_ms));
}

void EngineHost::take_rungs(uint32_t index) {
    hawser_overdue overdue{};
    while (hawser_connection_poll_overdue(m_ports[index].engine, &overdue)) {
        m_rungs.push_back(overdue);
        m_operations.at(overdue.tag)->overdue = true;
    }
}

// Sent again, thrice at most where it costs its connection each time, as the driver has it.
void EngineHost::take_parked(const hawser_parked& parked) {
    constexpr uint32_t k_accused_max = 3;
    Operation*& operation = m_operations.at(parked.tag);
    operation->parked = true;
    operation->overdue = false;
    if (parked.error == HAWSER_ERROR_NONE || ++operation->accused <= k_accused_max) {
        m_waiting.push_back(static_cast<int>(parked.tag));
        return;
    }
    operation->fault = parked.error;
    operation->completion.response = 0xff;
    operation->done = true;
    operation = nullptr;
}

void EngineHost::poll(uint32_t index) {
    Port& port = m_ports[index];
    hawser_completion completion{};
    while (port.completion_due && hawser_connection_poll_completion(port.engine, &completion)) {
        Operation*& operation = m_operations.at(completion.tag);
        if (operation == nullptr) throw ScriptError("a task completes twice");
        m_moved = true;
        const bool anew = completion.aborted && operation->overdue;
        operation->overdue = false;
        if (anew || completion.response == HAWSER_RESPONSE_DATA_LOST) {
            m_waiting.push_back(static_cast<int>(completion.tag));  // to be begun anew
            continue;
        }
        operation->completion = completion;
        operation->sense.assign(completion.sense, completion.sense + completion.sense_length);
        operation->done = true;
        operation = nullptr;
        m_moved = true;
    }
    port.completion_due = false;
    for (hawser_managed managed{};
         port.managed_due && hawser_connection_poll_managed(port.engine, &managed);)
        m_managed.push_back(managed);
    port.managed_due = false;
    if (!port.report_due) return;
    port.report_due = false;
    for (hawser_parked parked{}; hawser_connection_poll_parked(port.engine, &parked);)
        take_parked(parked);
    for (hawser_report report; hawser_connection_poll_report(port.engine, &report);) {
        m_reports.push_back(report);
        note(hawser_session_handle_report(m_session, &report, m_now_ms));
    }
}

}  // namespace hawser::target
