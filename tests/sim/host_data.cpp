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

size_t Host::unfinished() const {
    const auto free = std::count(m_tags.begin(), m_tags.end(), nullptr);
    return m_waiting.size() + m_tags.size() - static_cast<size_t>(free);
}

uint64_t Host::oldest_us() const {
    uint64_t oldest = m_world.now_us();
    for (const auto& operation : m_waiting) oldest = std::min(oldest, operation->started_us);
    for (const auto& operation : m_tags)
        if (operation) oldest = std::min(oldest, operation->started_us);
    return oldest;
}

Host::Port* Host::any_port() {
    std::vector<Port*> able;
    for (const auto& port : m_ports) {
        if (hawser_connection_accepts(port->connection)) able.push_back(port.get());
    }
    return able.empty() ? nullptr : able[m_world.random.next() % able.size()];
}

// Commands go anywhere that takes them, as block layer queues would.
void Host::dispatch() {
    while (!m_waiting.empty() && m_managing != HAWSER_FUNCTION_LOGICAL_UNIT_RESET) {
        if (!knows_disk() || m_world.now_us() < m_pause_us) return;
        const auto free = std::find(m_tags.begin(), m_tags.end() - 1, nullptr);
        Port* port = any_port();
        if (free == m_tags.end() - 1 || port == nullptr) return;
        *free = std::move(m_waiting.front());
        m_waiting.pop_front();
        give(*port, static_cast<uint32_t>(free - m_tags.begin()));
    }
}

// Those that came back: the control thread gives them out, once it knows of all that was reported.
void Host::dispatch_parked() {
    if (m_managing == HAWSER_FUNCTION_LOGICAL_UNIT_RESET) return;
    if (m_parked.empty()) knows_disk();
    while (!m_parked.empty() && m_reports.empty() && snapshot().state == HAWSER_SESSION_LOGGED_IN) {
        Port* port = any_port();
        if (port == nullptr) return;
        const uint32_t tag = m_parked.front();
        // At level 2 the look goes on as well: one that is dropped leaves a hole in CmdSN.
        if (tag + 1 != m_tags.size() && !knows_disk()) return;
        m_parked.pop_front();
        give(*port, tag);
    }
}

void Host::give(Port& port, uint32_t tag) {
    Operation& operation = *m_tags[tag];
    hawser_command command{};
    command.tag = tag;
    command.length = static_cast<uint32_t>(operation.buffer.size());
    command.task_attribute = 1;
    command.cdb_length = 10;
    const bool write = operation.kind == Operation::Kind::Write;
    if (operation.kind == Operation::Kind::Synchronize) {
        command.cdb[0] = 0x35;
    } else if (operation.kind == Operation::Kind::Poison) {
        command.cdb[0] = 0xc1;
    } else if (operation.kind == Operation::Kind::Inquire) {
        command.direction = HAWSER_DATA_READ;
        command.cdb[0] = 0x12;
    } else {
        command.direction = write ? HAWSER_DATA_WRITE : HAWSER_DATA_READ;
        command.cdb[0] = write ? 0x2a : 0x28;
        // What was acknowledged of a read that goes on does not come again.
        const bool goes_on = operation.parked && snapshot().keys.error_recovery_level == 2;
        if (!write && !goes_on)
            std::fill(operation.buffer.begin(), operation.buffer.end(), uint8_t{0xee});
    }
    for (int i = 0; i < 4; i++)
        command.cdb[2 + i] = static_cast<uint8_t>(operation.first >> (24 - 8 * i));
    command.cdb[8] = static_cast<uint8_t>(operation.count);
    operation.attempts++;
    command.cdb[6] = static_cast<uint8_t>(std::min(operation.attempts, 255u));
    if (operation.id == 0) operation.id = ++m_last_id;
    for (int i = 0; i < 4; i++)
        command.cdb[12 + i] = static_cast<uint8_t>(operation.id >> (24 - 8 * i));
    if (m_scenario.canary != Canary::NoLadder) command.timeout_ms = m_scenario.timeout_ms;
    operation.home = port.index;
    after(port, start_or_resume(port, command, operation));
}

uint32_t Host::start_or_resume(Port& port, const hawser_command& command, Operation& operation) {
    const bool came_back = operation.parked;
    operation.parked = false;
    if (!came_back || m_scenario.canary == Canary::ForgottenNexus)
        return hawser_connection_submit(port.connection, &command);
    return hawser_connection_resume(port.connection, &command);
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

// A canary: each SNACK also acknowledges the number after its own.
void Host::acknowledge_more(Bytes& bytes) {
    if (bytes.size() < wire::k_bhs_bytes) return;
    auto& snack = *reinterpret_cast<wire::Snack*>(bytes.data());
    const auto& header = *reinterpret_cast<const wire::Bhs*>(bytes.data());
    if (header.kind() != wire::Opcode::Snack || m_scenario.header_digest) return;
    snack.exp_stat_sn = snack.exp_stat_sn.get() + 1;
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
        if (m_scenario.canary == Canary::EagerStatus) acknowledge_more(bytes);
        size_t length = std::min(bytes.size(), room);
        if (m_world.random.chance(10)) length = m_world.random.between(1, length);
        bytes.resize(length);
        if (next.digest != 0 && length > next.bytes_length)
            hawser_connection_digest_sent(port.connection, bytes.data() + next.bytes_length,
                                          static_cast<uint32_t>(length) - next.bytes_length);
        port.link->send(k_initiator, bytes);
        after(port, hawser_connection_handle_transmitted(
                        port.connection, static_cast<uint32_t>(length), m_world.now_ms()));
    }
}

uint32_t Host::place(Port& port, const Bytes& bytes, uint32_t used) {
    hawser_placement where{};
    if (!hawser_connection_poll_placement(port.connection, &where)) return 0;
    const auto& operation = m_tags.at(where.tag);
    m_world.require(operation != nullptr && (operation->kind == Operation::Kind::Read ||
                                             operation->kind == Operation::Kind::Inquire),
                    "only a live read is written");
    m_world.require(uint64_t{where.offset} + where.length <= operation->buffer.size(),
                    "a placement lies in its buffer");
    const uint32_t length = std::min(where.length, static_cast<uint32_t>(bytes.size()) - used);
    size_t offset = where.offset;
    if (m_scenario.canary == Canary::WrongPlace && offset >= k_block_bytes) offset -= k_block_bytes;
    std::memcpy(operation->buffer.data() + offset, bytes.data() + used, length);
    if (where.digest != 0)
        hawser_connection_digest_placed(port.connection, bytes.data() + used, length);
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
    m_world.require(!operation->parked, "a task that came back does not complete");
    if (completion.aborted != 0) return take_aborted(std::move(operation));
    operation->doomed = false;
    if (completion.response != 0 || completion.status != 0)
        return take_refused(std::move(operation), completion);
    m_world.require(completion.residual == 0, "GOOD is whole");
    m_world.log(fmt::format("done {} {}+{} version {}", static_cast<int>(operation->kind),
                            operation->first, operation->count, operation->version));
    if (operation->kind == Operation::Kind::Inquire) return take_identity(*operation);
    check_bound(*operation);
    m_longest_us = std::max(m_longest_us, m_world.now_us() - operation->started_us);
    m_workload.succeed(*operation);
}

void Host::take_parked(Port& port) {
    hawser_parked parked{};
    while (hawser_connection_poll_parked(port.connection, &parked)) {
        const uint32_t tag = parked.tag;
        const auto& operation = m_tags.at(tag);
        m_world.require(operation != nullptr && !operation->parked, "a task parks once");
        operation->parked = true;
        m_world.counts["commands parked"]++;
        if (is_given_up(*operation, parked.error)) {
            m_tags[tag].reset();
            continue;
        }
        if (m_scenario.canary == Canary::LostWrite && operation->kind == Operation::Kind::Write) {
            m_workload.succeed(*operation);
            m_tags[tag].reset();
            continue;
        }
        if (m_scenario.canary == Canary::ForgottenTask) continue;
        tag + 1 == m_tags.size() ? m_parked.push_front(tag) : m_parked.push_back(tag);
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
