// SPDX-License-Identifier: GPL-2.0-or-later
//
// The simulated host's data path: commands, what is sent, where what comes is put.

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "host.h"
#include "target.h"

namespace hawser::sim {

void Host::submit(std::unique_ptr<Operation> operation) {
    m_waiting.push_back(std::move(operation));
    dispatch();
}

uint64_t Host::oldest_us() const {
    uint64_t oldest = m_world.now_us();
    for (const auto& operation : m_waiting) oldest = std::min(oldest, operation->started_us);
    for (const auto& operation : m_tags)
        if (operation) oldest = std::min(oldest, operation->started_us);
    return oldest;
}

// Commands go anywhere that takes them, as block layer queues would.
void Host::dispatch() {
    while (!m_waiting.empty()) {
        const auto free = std::find(m_tags.begin(), m_tags.end(), nullptr);
        std::vector<Port*> able;
        for (const auto& port : m_ports) {
            if (hawser_connection_accepts(port->connection)) able.push_back(port.get());
        }
        if (free == m_tags.end() || able.empty()) return;
        Port& port = *able[m_world.random.next() % able.size()];
        auto operation = std::move(m_waiting.front());
        m_waiting.pop_front();
        give(port, static_cast<uint32_t>(free - m_tags.begin()), std::move(operation));
    }
}

void Host::give(Port& port, uint32_t tag, std::unique_ptr<Operation> operation) {
    hawser_command command{};
    command.tag = tag;
    command.length = static_cast<uint32_t>(operation->buffer.size());
    command.task_attribute = 1;
    command.cdb_length = 10;
    const bool write = operation->kind == Operation::Kind::Write;
    if (operation->kind == Operation::Kind::Synchronize) {
        command.cdb[0] = 0x35;
    } else {
        command.direction = write ? HAWSER_DATA_WRITE : HAWSER_DATA_READ;
        command.cdb[0] = write ? 0x2a : 0x28;
        if (!write) std::fill(operation->buffer.begin(), operation->buffer.end(), 0xee);
    }
    for (int i = 0; i < 4; i++)
        command.cdb[2 + i] = static_cast<uint8_t>(operation->first >> (24 - 8 * i));
    command.cdb[8] = static_cast<uint8_t>(operation->count);
    operation->attempts++;
    m_tags[tag] = std::move(operation);
    m_in_flight++;
    after(port, hawser_connection_submit(port.connection, &command));
}

void Host::arm(Port& port) {
    port.armed = true;
    if (port.pump_due) return;
    port.pump_due = true;
    m_world.after(m_world.random.between(1, 30), [this, &port] {
        port.pump_due = false;
        pump(port);
    });
}

// Polls only when it will send at once: commands take their CmdSN in there.
void Host::pump(Port& port) {
    constexpr size_t k_room_min = 4096;
    while (port.armed && port.link != nullptr && port.up && !port.fin && !port.close_due) {
        const size_t room = port.link->room(k_initiator);
        if (room < k_room_min) return;  // handle_room comes
        hawser_transmit next{};
        if (!hawser_connection_poll_transmit(port.connection, static_cast<uint32_t>(room), &next)) {
            port.armed = false;
            return;
        }
        Bytes bytes(next.bytes, next.bytes + next.bytes_length);
        if (next.data_length != 0) {
            const auto& operation = m_tags.at(next.tag);
            m_world.require(operation != nullptr, "only a live task's data is sent");
            m_world.require(next.data_offset + next.data_length <= operation->buffer.size(),
                            "data to send lies in its buffer");
            const auto from = operation->buffer.begin() + static_cast<long>(next.data_offset);
            bytes.insert(bytes.end(), from, from + static_cast<long>(next.data_length));
        }
        size_t length = std::min(bytes.size(), room);
        if (m_world.random.chance(10)) length = m_world.random.between(1, length);
        bytes.resize(length);
        port.link->send(k_initiator, bytes);
        after(port, hawser_connection_handle_transmitted(
                        port.connection, static_cast<uint32_t>(length), m_world.now_ms()));
    }
}

uint32_t Host::place(Port& port, const Bytes& bytes, uint32_t used) {
    hawser_placement where{};
    if (!hawser_connection_poll_placement(port.connection, &where)) return 0;
    const auto& operation = m_tags.at(where.tag);
    m_world.require(operation != nullptr && operation->kind == Operation::Kind::Read,
                    "only a live read is written");
    m_world.require(uint64_t{where.offset} + where.length <= operation->buffer.size(),
                    "a placement lies in its buffer");
    const uint32_t length = std::min(where.length, static_cast<uint32_t>(bytes.size()) - used);
    size_t offset = where.offset;
    if (m_scenario.canary == Canary::WrongPlace && offset >= k_block_bytes) offset -= k_block_bytes;
    std::memcpy(operation->buffer.data() + offset, bytes.data() + used, length);
    after(port, hawser_connection_handle_placed(port.connection, length));
    return length;
}

void Host::receive(Port& port, const Bytes& bytes) {
    for (uint32_t used = 0; used < bytes.size() && port.link != nullptr;) {
        const Bytes rest(bytes.begin() + used, bytes.end());
        uint32_t wants = 0;
        used += hawser_connection_handle_received(port.connection, rest.data(),
                                                  static_cast<uint32_t>(rest.size()),
                                                  m_world.now_ms(), &wants);
        after(port, wants);
        while (used < bytes.size()) {
            const uint32_t placed = place(port, bytes, used);
            if (placed == 0) break;
            used += placed;
        }
    }
}

void Host::take_completions(Port& port) {
    hawser_completion completion{};
    while (hawser_connection_poll_completion(port.connection, &completion)) complete(completion);
    if (!m_dispatch_due && !m_waiting.empty()) {
        m_dispatch_due = true;
        m_world.after(1, [this] {
            m_dispatch_due = false;
            dispatch();
        });
    }
}

void Host::complete(const hawser_completion& completion) {
    auto operation = std::move(m_tags.at(completion.tag));
    m_world.require(operation != nullptr, "a task comes back once");
    m_in_flight--;
    if (completion.response != 0 || completion.status != 0) {
        m_world.counts["commands refused and sent again"]++;
        m_waiting.push_back(std::move(operation));
        return;
    }
    m_world.require(completion.residual == 0, "GOOD is whole");
    m_world.log(fmt::format("done {} {}+{} version {}", static_cast<int>(operation->kind),
                            operation->first, operation->count, operation->version));
    m_workload.succeed(*operation);
}

void Host::take_parked(Port& port) {
    uint32_t tag = 0;
    while (hawser_connection_poll_parked(port.connection, &tag)) {
        auto operation = std::move(m_tags.at(tag));
        m_world.require(operation != nullptr, "a task parks once");
        m_in_flight--;
        m_world.counts["commands parked"]++;
        if (m_scenario.canary == Canary::LostWrite && operation->kind == Operation::Kind::Write) {
            m_workload.succeed(*operation);
            continue;
        }
        if (m_scenario.canary == Canary::ForgottenTask) {
            m_in_flight++;
            continue;
        }
        m_waiting.push_front(std::move(operation));
    }
}

void Host::Port::handle_bytes(Link& from, const Bytes& bytes) {
    if (&from == link) host->receive(*this, bytes);
}

void Host::Port::handle_fin(Link& from) {
    if (&from != link || close_due) return;
    host->after(*this, hawser_connection_handle_disconnected(
                           connection, HAWSER_ERROR_CLOSED_BY_TARGET, 0, host->m_world.now_ms()));
}

void Host::Port::handle_reset(Link& from) {
    if (&from != link || close_due) return;
    host->after(*this, hawser_connection_handle_disconnected(
                           connection, HAWSER_ERROR_CONNECTION_RESET, 104, host->m_world.now_ms()));
}

void Host::Port::handle_room(Link& from) {
    if (&from == link && armed) host->arm(*this);
}

void Host::Port::handle_connected(Link& from, bool succeeded) {
    if (&from != link || close_due) return;
    up = succeeded;
    const uint64_t now_ms = host->m_world.now_ms();
    host->after(*this, succeeded ? hawser_connection_handle_connected(connection, now_ms)
                                 : hawser_connection_handle_disconnected(
                                       connection, HAWSER_ERROR_CONNECT_FAILED, 111, now_ms));
}

}  // namespace hawser::sim
