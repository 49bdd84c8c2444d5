// SPDX-License-Identifier: GPL-2.0-or-later
// ErrorRecoveryLevel 1: what was lost within a connection comes again (RFC 7143 7.1.4.1, 7.1.4.2).
//
// TCP loses nothing; what is lost is a PDU whose digest is wrong, or what a peer chose to drop.
// Three kinds of number tell of it. A hole in StatSN: a status SNACK asks for just that run. A hole
// in a task's DataSN or R2TSN: a data SNACK asks for all from the hole on, and what comes beyond is
// dropped until then; so a task has no holes to keep account of, and the price is paid only where
// something was lost. A gap in CmdSN at the target: it shows as an ExpCmdSN that stays at a command
// of ours; that command is sent once more, as it was (7.2.1).
//
// A SNACK has to come before the status is acknowledged (11.16.1): the StatusWindow sees to it.
// What was asked for thrice without an answer ends the connection, and the next level takes over.
#include "engine/connection.hpp"

namespace hawser {

namespace {

constexpr uint32_t k_resend_timeout_ms = 3000;
constexpr uint32_t k_requests_max = 3;
constexpr uint8_t k_retries_max = 8;  // noise that takes so many in a row is none
constexpr uint32_t k_gap_check_ms = 2000;
constexpr uint32_t k_gap_checks_max = 15;
constexpr uint32_t k_reassign_timeout_ms = 5000;

// Which PDUs take a StatSN. R2T and a NOP-In that is no answer carry the next one, unadvanced.
constexpr bool counts_status(const wire::Bhs& header) {
    if (header.kind() == wire::Opcode::R2t) return false;
    return header.kind() != wire::Opcode::NopIn ||
           header.initiator_task_tag.get() != wire::k_reserved_tag;
}

}  // namespace

void Connection::reset_recovery() {
    while (m_snacks.pop_front() != nullptr) {
    }
    m_status_snack = {};
    m_data_requests = 0;
    m_requests_made = 0;
    m_resent_deadline_ms = HAWSER_NEVER;
    m_gap_check_ms = HAWSER_NEVER;
    m_gap_seen = false;
    m_gap_checks = 0;
    m_reassigning = nullptr;
    m_reassign_refusals = 0;
    m_reassign_deadline_ms = HAWSER_NEVER;
    m_reassign_not_before_ms = HAWSER_NEVER;
    m_recover_wanted = false;
    m_recover_outstanding = false;
    m_recover_deadline_ms = HAWSER_NEVER;
}

// Takes the PDU's StatSN. False: nothing of it counts, it came before or the connection has failed.
bool Connection::accept_status(uint32_t& wants) {
    const wire::Bhs& header = header_as<wire::Bhs>();
    const wire::StatSn stat_sn(header_as<wire::TargetNumbering>().stat_sn.get());
    // Its handler begins the numbering with it (11.13.4): before that nothing can be missing,
    // though the session before may have recovered.
    if (header.kind() == wire::Opcode::LoginResponse) return true;
    if (!counts_status(header)) {
        if (recovers()) wants |= note_hole(m_statuses.reveal(stat_sn));
        return true;
    }
    bool held = false;
    if (recovers() && header.kind() == wire::Opcode::ScsiResponse) {
        const Task* task = find_task(header.initiator_task_tag.get());
        held = task != nullptr && lacks_data(*task, header_as<wire::ScsiResponse>());
    }
    StatusRun hole;
    switch (m_statuses.arrive(stat_sn, held, hole)) {
        case StatusWindow::Arrival::InOrder:
            return true;
        case StatusWindow::Arrival::FillsHole:
            m_requests_made = 0;
            if (!awaits_resent()) m_resent_deadline_ms = HAWSER_NEVER;
            wants |= HAWSER_WANT_TIMEOUT;
            return true;
        case StatusWindow::Arrival::LeavesHole:
            if (!recovers()) break;
            wants |= note_hole(hole);
            return true;
        case StatusWindow::Arrival::Duplicate:
            if (recovers()) return false;
            break;
        case StatusWindow::Arrival::TooFar:
            break;
    }
    // At ErrorRecoveryLevel 0 a hole means that a PDU was lost in a reliable stream: the session
    // starts anew (7.9).
    wants |= fail(HAWSER_ERROR_STAT_SN, stat_sn.value());
    return false;
}

// Responses are missing: one SNACK for all that are not yet asked for.
uint32_t Connection::note_hole(const StatusRun& hole) {
    if (hole.length == 0) return 0;
    if (m_status_snack.length == 0) m_status_snack.begin = hole.begin;
    m_status_snack.length = m_status_snack.begin.distance_to(hole.begin.advanced(hole.length));
    if (m_resent_deadline_ms == HAWSER_NEVER)
        m_resent_deadline_ms = m_last_received_ms + k_resend_timeout_ms;
    return HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
}

// 11.4.8: ExpDataSN tells how many Data-In PDUs the target has sent.
bool Connection::lacks_data(const Task& task, const wire::ScsiResponse& response) const {
    return recovers() && response.response == 0 &&
           (task.command.direction & HAWSER_DATA_READ) != 0 &&
           task.next_data_sn.precedes(wire::DataSn(response.exp_data_sn.get()));
}

uint32_t Connection::request_data(Task& task) {
    if (task.data_requested) return 0;
    task.data_requested = true;
    m_data_requests++;
    task.snacks |= k_snack_data;
    if (!task.snack_link.linked) m_snacks.push_back(task);
    if (m_resent_deadline_ms == HAWSER_NEVER)
        m_resent_deadline_ms = m_last_received_ms + k_resend_timeout_ms;
    return HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
}

// 11.16.2: all before the Data-In with the A bit is here, or it would not have been taken.
uint32_t Connection::acknowledge_data(Task& task, uint32_t target_transfer_tag) {
    if (target_transfer_tag == wire::k_reserved_tag) return 0;  // 11.7.4: no tag, nothing to answer
    task.acknowledged_sn = task.next_data_sn;
    task.acknowledged = task.received;
    task.acknowledge_tag = target_transfer_tag;
    task.snacks |= k_snack_acknowledge;
    if (!task.snack_link.linked) m_snacks.push_back(task);
    return HAWSER_WANT_TRANSMIT;
}

// A number of the task's has come in order: is a hole filled, is a held status complete?
uint32_t Connection::settle_data(Task& task) {
    if (!task.data_requested) return 0;
    m_requests_made = 0;
    uint32_t wants = 0;
    if (!task.status_held || task.held_data_sn.precedes_or_equals(task.next_data_sn)) {
        task.data_requested = false;
        m_data_requests--;
        if (!awaits_resent()) m_resent_deadline_ms = HAWSER_NEVER;
        wants |= HAWSER_WANT_TIMEOUT;
    }
    if (!task.status_held || task.data_requested) return wants;
    release_status(task);
    return wants | complete(task, task.held);
}

uint32_t Connection::hold_status(Task& task, const wire::ScsiResponse& response,
                                 const TaskStatus& status) {
    task.status_held = true;
    task.held = status;
    task.held_stat_sn = wire::StatSn(response.stat_sn.get());
    task.held_data_sn = wire::DataSn(response.exp_data_sn.get());
    return request_data(task);
}

// Its data is here, or nobody waits for it any more: it may be acknowledged.
void Connection::release_status(Task& task) {
    if (!task.status_held) return;
    task.status_held = false;
    m_statuses.release(task.held_stat_sn);
}

void Connection::forget_snacks(Task& task) {
    m_snacks.remove(task);
    task.snacks = 0;
    if (!task.data_requested) return;
    task.data_requested = false;
    m_data_requests--;
}

// A data segment with a wrong digest: the PDU counts as lost (7.8), but tells what is lost.
uint32_t Connection::handle_bad_payload() {
    const wire::Bhs& header = header_as<wire::Bhs>();
    Task* task = m_receive_task;
    m_receive_task = nullptr;
    if (!recovers()) return fail(HAWSER_ERROR_DATA_DIGEST, header.opcode);
    record_error(HAWSER_ERROR_DATA_DIGEST, header.opcode);
    if (header.kind() == wire::Opcode::DataIn) return task != nullptr ? request_data(*task) : 0;
    const wire::StatSn stat_sn(header_as<wire::TargetNumbering>().stat_sn.get());
    if (!counts_status(header)) return note_hole(m_statuses.reveal(stat_sn));
    return note_hole(m_statuses.reveal(stat_sn.next()));
}

void Connection::append_snack(uint8_t type, uint32_t itt, uint32_t ttt, uint32_t begin,
                              uint32_t length, const uint8_t* lun) {
    wire::Snack snack;
    snack.type = wire::k_final | type;
    if (lun != nullptr) __builtin_memcpy(snack.lun, lun, sizeof(snack.lun));
    snack.initiator_task_tag = itt;
    snack.target_transfer_tag = ttt;
    snack.exp_stat_sn = m_statuses.expected().value();
    snack.beg_run = begin;
    snack.run_length = length;
    append_header(snack);
}

bool Connection::fill_snack() {
    // 11.16.1: what came while the SNACK waited for its turn is acknowledged by now; a data SNACK
    // may have brought it, the last Data-In with its status.
    const wire::StatSn expected = m_statuses.expected();
    if (m_status_snack.length != 0 && m_status_snack.begin.precedes(expected)) {
        const uint32_t came = m_status_snack.begin.distance_to(expected);
        m_status_snack.begin = expected;
        m_status_snack.length = came < m_status_snack.length ? m_status_snack.length - came : 0;
    }
    if (m_status_snack.length != 0) {
        append_snack(wire::Snack::k_status, wire::k_reserved_tag, wire::k_reserved_tag,
                     m_status_snack.begin.value(), m_status_snack.length, nullptr);
        m_status_snack = {};
        return true;
    }
    Task* task = m_snacks.first();
    if (task == nullptr) return false;
    if ((task->snacks & k_snack_acknowledge) != 0) {
        append_snack(wire::Snack::k_data_acknowledge, wire::k_reserved_tag, task->acknowledge_tag,
                     task->acknowledged_sn.value(), 0, task->command.lun);
        task->snacks &= static_cast<uint8_t>(~k_snack_acknowledge);
    } else if ((task->snacks & k_snack_data) != 0) {
        append_snack(wire::Snack::k_data, task->initiator_task_tag, wire::k_reserved_tag,
                     task->next_data_sn.value(), 0, task->command.lun);
        task->snacks &= static_cast<uint8_t>(~k_snack_data);
    }
    if (task->snacks == 0) m_snacks.remove(*task);
    return true;
}

// Nothing came of what was asked for: once more, all of it.
uint32_t Connection::ask_again(uint64_t now_ms) {
    if (!awaits_resent()) {
        m_resent_deadline_ms = HAWSER_NEVER;
        return HAWSER_WANT_TIMEOUT;
    }
    if (++m_requests_made >= k_requests_max) {
        // Whose status counts data that the target does not give, again and again, is its own loss.
        Task* task = m_active.first();
        while (task != nullptr && !task->status_held) task = task->link.next;
        return blame(task, HAWSER_ERROR_SNACK_TIMEOUT);
    }
    m_status_snack = m_statuses.first_hole();
    for (Task* task = m_active.first(); task != nullptr; task = task->link.next) {
        if (!task->data_requested) continue;
        task->snacks |= k_snack_data;
        if (!task->snack_link.linked) m_snacks.push_back(*task);
    }
    m_resent_deadline_ms = now_ms + k_resend_timeout_ms;
    return HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
}

// Something was sent; above ErrorRecoveryLevel 0 some of it has a time by which it is answered.
uint32_t Connection::watch_recovery(uint64_t now_ms) {
    if (!recovers()) return 0;
    uint32_t wants = 0;
    if (m_gap_check_ms == HAWSER_NEVER && !m_active.empty()) {
        m_gap_check_ms = now_ms + k_gap_check_ms;
        wants = HAWSER_WANT_TIMEOUT;
    }
    if (m_reassigning != nullptr && m_reassign_deadline_ms == HAWSER_NEVER) {
        m_reassign_deadline_ms = now_ms + k_reassign_timeout_ms;
        wants = HAWSER_WANT_TIMEOUT;
    }
    return wants;
}

// ExpCmdSN may stand still only because the target has had nothing to say: a ping makes it speak
// before a command is taken for lost.
uint32_t Connection::check_command_gap(uint64_t now_ms) {
    const wire::CmdSn expected = m_shared->window.expected();
    Task* task = m_active.first();
    m_gap_check_ms = task != nullptr ? now_ms + k_gap_check_ms : HAWSER_NEVER;
    while (task != nullptr && task->cmd_sn != expected) task = task->link.next;
    const bool again = m_gap_seen && m_gap_cmd_sn == expected;
    // A hole that no command of ours fills, though there are some above it: a host dropped one that
    // came back, and all stand still.
    const bool unfilled = task == nullptr && m_gap_cmd_sn == expected && !m_active.empty() &&
                          expected.precedes(m_shared->window.current());
    m_gap_checks = unfilled ? m_gap_checks + 1 : 0;
    if (m_gap_checks >= k_gap_checks_max) return fail(HAWSER_ERROR_COMMAND_NOT_TAKEN);
    m_gap_seen = task != nullptr;
    m_gap_cmd_sn = expected;
    if (task == nullptr) return HAWSER_WANT_TIMEOUT;
    if (again) return retry_command(*task) | HAWSER_WANT_TIMEOUT;
    return (m_nop_outstanding ? 0 : ping(now_ms)) | HAWSER_WANT_TIMEOUT;
}

// 7.2.1: the same ITT, CmdSN and everything, followed by its data from the beginning.
uint32_t Connection::retry_command(Task& task) {
    task.retry_wanted = m_transmit_task == &task;
    if (task.retry_wanted) return 0;  // after the PDU that is half in the socket: finish_data()
    if (++task.retries > k_retries_max) return fail(HAWSER_ERROR_COMMAND_NOT_TAKEN);
    drop_sequences(task);
    forget_snacks(task);
    task.data_end = 0;
    m_active.remove(task);
    queue_first(task);
    m_gap_seen = false;
    return HAWSER_WANT_TRANSMIT;
}

// 7.3: a rejected command leaves a gap in the target's order; of other PDUs the target will say
// what became, with a recovery R2T or a response.
uint32_t Connection::handle_recoverable_reject(const wire::Reject& reject) {
    if (m_segment_filled < wire::k_bhs_bytes) return fail(HAWSER_ERROR_REJECTED, reject.reason);
    wire::Bhs bad;
    __builtin_memcpy(&bad, m_segment.data(), sizeof(bad));
    Task* task = find_task(bad.initiator_task_tag.get());
    record_error(HAWSER_ERROR_REJECTED, reject.reason);
    if (reject.reason == wire::Reject::k_data_digest_error) {
        if (bad.kind() == wire::Opcode::DataOut) return 0;
        if (bad.kind() == wire::Opcode::ScsiCommand)
            return task != nullptr ? retry_command(*task) : 0;
    }
    if (reject.reason == wire::Reject::k_snack_reject && bad.kind() == wire::Opcode::Snack &&
        task != nullptr) {
        // 7.8 a.1: a CHECK CONDITION follows. a.2: where the status is here already, it is the end,
        // and what it says of the data is not true; the host sends the command again.
        if (!task->status_held) return 0;
        release_status(*task);
        return complete(*task, {.response = HAWSER_RESPONSE_DATA_LOST});
    }
    return refuse_rejected(reject);
}

uint64_t Connection::recovery_deadline() const {
    uint64_t deadline = m_resent_deadline_ms;
    if (m_state != ConnectionState::LoggedIn) return HAWSER_NEVER;
    for (const uint64_t other :
         {m_gap_check_ms, m_reassign_deadline_ms, m_reassign_not_before_ms, m_recover_deadline_ms})
        if (other < deadline) deadline = other;
    return deadline;
}

uint32_t Connection::handle_recovery_timeout(uint64_t now_ms) {
    if (m_resent_deadline_ms <= now_ms) return ask_again(now_ms);
    if (m_reassign_deadline_ms <= now_ms) return fail(HAWSER_ERROR_REASSIGN_TIMEOUT);
    if (m_recover_deadline_ms <= now_ms) return fail(HAWSER_ERROR_LOGOUT_TIMEOUT);
    if (m_reassign_not_before_ms <= now_ms) {
        m_reassign_not_before_ms = HAWSER_NEVER;
        return HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
    }
    return check_command_gap(now_ms);
}

}  // namespace hawser
