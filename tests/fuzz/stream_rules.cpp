// SPDX-License-Identifier: GPL-2.0-or-later
//
// The host of a fuzzed stream: what the contract promises, looked at after every mutation, and what
// the RFC asks of the bytes that go out.

#include <algorithm>

#include "stream_host.h"
#include "wire/serial.hpp"

namespace hawser::fuzz {

namespace {

// RFC 7143 13.1: least significant byte first, behind what it covers.
bool is_digest(const uint8_t* bytes, size_t length) {
    const uint32_t crc = hawser_crc32c(0, bytes, static_cast<uint32_t>(length));
    for (int i = 0; i < 4; i++)
        if (bytes[length + static_cast<size_t>(i)] != static_cast<uint8_t>(crc >> (8 * i)))
            return false;
    return true;
}

}  // namespace

void StreamHost::after(uint32_t index, uint32_t wants) {
    Side& side = m_sides[index];
    if (wants & HAWSER_WANT_TRANSMIT) side.armed = true;
    if (wants & HAWSER_WANT_FIN) side.fin = true;
    if (wants & HAWSER_WANT_CLOSE) side.close_due = true;
    if (wants & HAWSER_WANT_WAKE) {
        const uint32_t waiters = hawser_session_window_waiters(m_session);
        for (uint32_t i = 0; i < k_connections; i++) {
            if (waiters & (1u << i)) m_sides[i].armed = true;
        }
    }
    take_overdue(index, wants & HAWSER_WANT_OVERDUE);
    take_completions(index, wants & HAWSER_WANT_COMPLETION);
    take_parked(index);
    take_managed(index, wants & HAWSER_WANT_MANAGED);
    take_reports(index, wants & HAWSER_WANT_REPORT);
}

void StreamHost::take_completions(uint32_t index, bool told) {
    hawser_completion completion{};
    while (hawser_connection_poll_completion(m_sides[index].connection, &completion)) {
        FUZZ_CHECK(told, "a completion is announced");
        HostTask& task = m_tasks.at(completion.tag);
        FUZZ_CHECK(task.live && task.index == index, "a task comes back once, where it went");
        FUZZ_CHECK(completion.sense_length <= HAWSER_SENSE_MAX, "sense is bounded");
        uint32_t sum = 0;
        for (uint32_t i = 0; i < completion.sense_length; i++) sum += completion.sense[i];
        FUZZ_CHECK(sum <= 255 * HAWSER_SENSE_MAX, "sense can be read");
        if (completion.aborted)
            FUZZ_CHECK(m_managed, "nothing is aborted of itself");
        else
            check_good(task, completion);
        forget(completion.tag);
    }
}

// GOOD means that every byte went over the wire which the residual does not take away.
void StreamHost::check_good(const HostTask& task, const hawser_completion& completion) {
    if (completion.response != 0 || completion.overflow) return;
    const uint32_t length = task.command.length;
    FUZZ_CHECK(completion.residual <= length, "a residual is within the length");
    const uint32_t claimed = length - completion.residual;
    const bool read = task.command.direction == HAWSER_DATA_READ;
    if (!read && (completion.status != 0 || task.command.direction == HAWSER_DATA_NONE)) return;
    const std::vector<bool>& moved = read ? task.placed : task.sent;
    const auto end = moved.begin() + claimed;
    FUZZ_CHECK(std::find(moved.begin(), end, false) == end, "what counts as moved has moved");
}

void StreamHost::take_managed(uint32_t index, bool told) {
    hawser_managed managed{};
    while (hawser_connection_poll_managed(m_sides[index].connection, &managed)) {
        FUZZ_CHECK(told, "a result is announced");
        FUZZ_CHECK(m_sides[index].functions-- != 0, "a function has one result");
    }
}

// The ladder's rungs; the first of them is a function that nobody else asked for.
void StreamHost::take_overdue(uint32_t index, bool told) {
    hawser_overdue overdue{};
    while (hawser_connection_poll_overdue(m_sides[index].connection, &overdue)) {
        FUZZ_CHECK(told, "a rung is announced");
        const HostTask& task = m_tasks.at(overdue.tag);
        FUZZ_CHECK(task.live && task.index == index, "only an own task is overdue");
        FUZZ_CHECK(task.command.timeout_ms != 0, "only one that has a timeout");
        FUZZ_CHECK(overdue.rung != HAWSER_RUNG_SESSION || m_variant->level == 2, "at level 2");
        m_managed |= overdue.rung == HAWSER_RUNG_ABORT;
    }
}

void StreamHost::take_parked(uint32_t index) {
    hawser_parked parked{};
    while (hawser_connection_poll_parked(m_sides[index].connection, &parked)) {
        const uint32_t tag = parked.tag;
        HostTask& task = m_tasks.at(tag);
        FUZZ_CHECK(!m_sides[index].open, "tasks park when the socket is closed");
        FUZZ_CHECK(task.live && task.index == index, "a task parks once, where it went");
        FUZZ_CHECK(parked.error == HAWSER_ERROR_NONE || parked.sent,
                   "only what was sent is blamed");
        forget(tag);
    }
}

void StreamHost::take_reports(uint32_t index, bool told) {
    Side& side = m_sides[index];
    hawser_report report{};
    while (hawser_connection_poll_report(side.connection, &report)) {
        FUZZ_CHECK(told, "a report is announced");
        FUZZ_CHECK(report.index == index, "a report tells its connection");
        switch (report.kind) {
            case HAWSER_REPORT_LOGGED_IN:
                FUZZ_CHECK(side.open && !side.lost && !side.logged_in, "logged in once");
                side.logged_in = true;
                break;
            case HAWSER_REPORT_LOGGED_OUT:
                // One of several waits for the target to close.
                FUZZ_CHECK(side.open && (side.close_due || side.fin) && !side.lost,
                           "a Logout ends");
                side.lost = true;
                break;
            case HAWSER_REPORT_LOST:
                // Below level 2 a breach ends in a FIN, and the target is heard out.
                FUZZ_CHECK(side.open && !side.lost, "lost once");
                FUZZ_CHECK(side.close_due || (side.fin && m_variant->level < 2), "then closed");
                side.lost = true;
                break;
            case HAWSER_REPORT_LOGOUT_REQUESTED:
                FUZZ_CHECK(side.open && side.logged_in && !side.lost, "a logout is asked in time");
                break;
            case HAWSER_REPORT_RECOVERED:
                FUZZ_CHECK(side.open && m_variant->level == 2, "a removal was asked for");
                break;
            case HAWSER_REPORT_DROP_ANNOUNCED:
            case HAWSER_REPORT_PORTAL:
            case HAWSER_REPORT_PORTALS_TOLD:
                break;
            case HAWSER_REPORT_TASKS_ENDED:
                FUZZ_CHECK(side.open && m_managed, "a function was asked for");
                break;
            default:
                FUZZ_CHECK(report.kind == HAWSER_REPORT_CLOSED && !side.open, "closed at the end");
                for (const HostTask& task : m_tasks)
                    FUZZ_CHECK(!task.live || task.index != index, "CLOSED means that none is left");
        }
        m_reports.push_back(report);
    }
}

// Nobody who was told to sleep has something to send.
void StreamHost::check_wake_ups() {
    for (Side& side : m_sides) {
        if (side.armed || !side.open || side.connecting || side.close_due) continue;
        hawser_transmit next{};
        FUZZ_CHECK(!hawser_connection_poll_transmit(side.connection, 0xffff, &next),
                   "what is to be sent was announced");
    }
}

void StreamHost::take_outgoing(uint32_t index) {
    Side& side = m_sides[index];
    size_t begin = 0;
    while (side.outgoing.size() - begin >= wire::k_bhs_bytes) {
        const uint8_t* at = side.outgoing.data() + begin;
        const auto& header = *reinterpret_cast<const wire::Bhs*>(at);
        const uint32_t data = header.data_segment_length.get();
        const size_t bhs = wire::k_bhs_bytes + header.total_ahs_length * 4u;
        const size_t padded = (data + 3) / 4 * 4;
        const size_t digest = side.logged_in && m_variant->digests ? 4 : 0;
        const size_t whole = bhs + digest + padded + (data != 0 ? digest : 0);
        FUZZ_CHECK(data <= std::max(m_variant->max_xmit, 8192u), "a segment is as agreed");
        if (side.outgoing.size() - begin < whole) break;
        FUZZ_CHECK(!side.logout_sent, "nothing follows a Logout");
        begin += whole;
        if (digest != 0) {
            FUZZ_CHECK(is_digest(at, bhs), "the header's digest");
            FUZZ_CHECK(data == 0 || is_digest(at + bhs + digest, padded), "the data's digest");
        }
        take_pdu(index, at);
    }
    side.outgoing.erase(side.outgoing.begin(), side.outgoing.begin() + static_cast<long>(begin));
}

void StreamHost::take_pdu(uint32_t index, const uint8_t* at) {
    Side& side = m_sides[index];
    const auto& header = *reinterpret_cast<const wire::Bhs*>(at);
    switch (header.kind()) {
        case wire::Opcode::ScsiCommand:
            take_command(index, *reinterpret_cast<const wire::ScsiCommand*>(at));
            break;
        case wire::Opcode::DataOut:
            take_data_out(index, *reinterpret_cast<const wire::DataOut*>(at));
            break;
        case wire::Opcode::LoginRequest:
            take_login(index, *reinterpret_cast<const wire::LoginRequest*>(at));
            break;
        case wire::Opcode::NopOut:
            if ((header.opcode & wire::k_immediate) == 0)
                take_number(index, reinterpret_cast<const wire::NopOut*>(at)->cmd_sn.get());
            if (header.initiator_task_tag.get() != wire::k_reserved_tag)
                side.peer.nop_itt = header.initiator_task_tag.get();
            break;
        case wire::Opcode::TaskManagementRequest:
            take_function(index, *reinterpret_cast<const wire::TaskManagementRequest*>(at));
            break;
        case wire::Opcode::TextRequest:
            FUZZ_CHECK(header.opcode & wire::k_immediate, "a Text Request passes a closed window");
            side.peer.text_itt = header.initiator_task_tag.get();
            break;
        case wire::Opcode::Snack:
            FUZZ_CHECK(m_variant->level >= 1, "a SNACK is of ErrorRecoveryLevel 1");
            break;
        default:
            FUZZ_CHECK(header.kind() == wire::Opcode::LogoutRequest, "only known PDUs go out");
            take_logout(index, *reinterpret_cast<const wire::LogoutRequest*>(at));
    }
}

void StreamHost::take_logout(uint32_t index, const wire::LogoutRequest& pdu) {
    Side& side = m_sides[index];
    if ((pdu.reason & 0x7f) != wire::LogoutRequest::k_remove_for_recovery) {
        side.logout_sent = true;
        return;
    }
    FUZZ_CHECK(m_variant->level == 2 && pdu.cid.get() != index, "another connection is removed");
    side.peer.recover_itt = pdu.initiator_task_tag.get();
}

void StreamHost::take_number(uint32_t index, uint32_t cmd_sn) {
    Side& side = m_sides[index];
    FUZZ_CHECK(!side.has_cmd_sn || wire::CmdSn(side.last_cmd_sn).precedes(wire::CmdSn(cmd_sn)),
               "CmdSN rises on each connection");
    side.has_cmd_sn = true;
    side.last_cmd_sn = cmd_sn;
    if (wire::CmdSn(m_exp_cmd_sn).precedes_or_equals(wire::CmdSn(cmd_sn)))
        m_exp_cmd_sn = cmd_sn + 1;
    hawser_window window{};
    hawser_session_window(m_session, &window);
    FUZZ_CHECK(wire::CmdSn(cmd_sn).precedes_or_equals(wire::CmdSn(window.max_cmd_sn)),
               "no command beyond MaxCmdSN");
}

void StreamHost::take_command(uint32_t index, const wire::ScsiCommand& pdu) {
    Side& side = m_sides[index];
    const uint32_t cmd_sn = pdu.cmd_sn.get();
    FUZZ_CHECK(side.logged_in, "commands wait for full feature phase");
    const uint32_t itt = pdu.initiator_task_tag.get();
    HostTask& task = m_tasks.at(itt & 0xffff);
    const bool mine = task.live && task.seen.initiator_task_tag == itt;
    // A retry may go out when its task has ended, and its slot has a new life: half of it was in
    // the socket.
    const auto sent = m_sent.find(itt);
    if (sent != m_sent.end() && sent->second == cmd_sn) {
        FUZZ_CHECK(m_variant->level >= 1, "a retry is of ErrorRecoveryLevel 1");
        return;
    }
    m_sent[itt] = cmd_sn;
    take_number(index, cmd_sn);
    // It may have been answered before it was out: then its slot has a new life.
    if (!mine) return;
    FUZZ_CHECK(task.index == index && !task.on_wire, "a command goes out once");
    FUZZ_CHECK(pdu.expected_data_transfer_length.get() == task.command.length, "its length");
    const uint32_t immediate = pdu.data_segment_length.get();
    FUZZ_CHECK(immediate == 0 || task.command.direction == HAWSER_DATA_WRITE, "only a write gives");
    task.on_wire = true;
    task.seen.promised = immediate;
}

void StreamHost::take_data_out(uint32_t index, const wire::DataOut& pdu) {
    HostTask& task = m_tasks.at(pdu.initiator_task_tag.get() & 0xffff);
    if (!task.live || task.seen.initiator_task_tag != pdu.initiator_task_tag.get()) return;
    const uint32_t end = pdu.buffer_offset.get() + pdu.data_segment_length.get();
    FUZZ_CHECK(task.index == index, "Data-Out goes where its command went");
    FUZZ_CHECK(task.command.direction == HAWSER_DATA_WRITE, "only a write gives data");
    FUZZ_CHECK(end <= task.command.length, "Data-Out lies in the command's data");
    task.seen.promised = std::max(task.seen.promised, end);
}

void StreamHost::take_function(uint32_t index, const wire::TaskManagementRequest& pdu) {
    Side& side = m_sides[index];
    const uint8_t function = pdu.function & 0x7f;
    if (function == wire::TaskManagementRequest::k_task_reassign) {
        FUZZ_CHECK(m_variant->level == 2, "TASK REASSIGN is of ErrorRecoveryLevel 2");
        side.peer.reassign_itt = pdu.initiator_task_tag.get();
        return;
    }
    FUZZ_CHECK(m_managed, "a function was asked for");
    FUZZ_CHECK(pdu.opcode & wire::k_immediate, "a function is immediate");
    FUZZ_CHECK((function == HAWSER_FUNCTION_ABORT_TASK) ==
                   (pdu.referenced_task_tag.get() != wire::k_reserved_tag),
               "only ABORT TASK names a task");
    side.peer.function_itt = pdu.initiator_task_tag.get();
}

void StreamHost::take_login(uint32_t index, const wire::LoginRequest& pdu) {
    Side& side = m_sides[index];
    FUZZ_CHECK(!side.logged_in, "a Login Request stands before full feature phase");
    side.login_stage = pdu.flags >> 2 & 3;
    std::memcpy(side.isid, pdu.isid, sizeof(side.isid));
    FUZZ_CHECK((pdu.tsih.get() == 0) == side.leading, "only a leading login has TSIH 0");
}

}  // namespace hawser::fuzz
