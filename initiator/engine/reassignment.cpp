// SPDX-License-Identifier: GPL-2.0-or-later
// ErrorRecoveryLevel 2: the tasks of a lost connection go on at another one (RFC
// 7143 7.1.4.3, 7.2.2).
//
// The order is the RFC's: the old socket is closed; the target removes the connection, by a Logout
// for recovery that a sibling sends (or by a new login under its CID, 6.3.4); Time2Wait; then each
// task is moved by a TASK REASSIGN. The session does the first three. A task that came back parked
// waits here, on whatever connection the host gave it to, until the bit of the connection that
// carried it is gone from SessionShared::recovering.
//
// One TASK REASSIGN is out at a time: a target need not take many immediate commands. "Task does
// not exist" has two meanings. Where the target has not acknowledged the command's CmdSN, it never
// saw it, and it is sent as it was, to plug the gap (7.2.1). Else it has forgotten it, and no copy
// of it is at work: it is begun anew.
#include "engine/connection.hpp"

namespace hawser {

namespace {

constexpr uint32_t k_reassign_pause_ms = 200;
constexpr uint32_t k_reassign_refusals_max = 25;

// 11.6.1
constexpr uint8_t k_function_complete = 0;
constexpr uint8_t k_task_does_not_exist = 1;
constexpr uint8_t k_task_still_allegiant = 3;

}  // namespace

// Any command that a closed connection gave back.
uint32_t Connection::resume(const hawser_command& command) {
    if (command.tag >= m_shared->tasks.size()) return own_mistake(OwnMistake::BadTag);
    Task& task = m_shared->tasks[command.tag];
    if (!task.reassignable || task.nexus != m_epoch || m_keys.error_recovery_level < 2)
        return submit(command);
    task.place = TaskPlace::Reassigns;
    task.error = HAWSER_ERROR_NONE;
    m_watches_tasks |= task.command.timeout_ms != 0;
    m_reassigns.push_back(task);
    m_task_count++;
    m_published_tasks.store(m_task_count, std::memory_order_relaxed);
    return HAWSER_WANT_TRANSMIT;
}

uint32_t Connection::proceed() {
    m_on_trial = is_on_trial();  // a later trial is another connection's
    return m_reassigns.empty() ? 0 : HAWSER_WANT_TRANSMIT;
}

void Connection::set_recovering(const Task& task) {
    if (task.reassignable && task.carrier == m_index)
        m_shared->recovering.fetch_or(1u << m_index, std::memory_order_relaxed);
}

uint32_t Connection::recover(uint16_t cid, uint64_t now_ms) {
    if (!accepts() || m_recover_outstanding) return 0;
    m_recover_cid = cid;
    m_recover_wanted = true;
    m_recover_deadline_ms = now_ms + m_shared->options.logout_timeout_ms;
    return HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
}

Task* Connection::next_reassignable() const {
    if (m_reassigning != nullptr || m_reassign_not_before_ms != HAWSER_NEVER) return nullptr;
    const uint32_t recovering = m_shared->recovering.load(std::memory_order_relaxed);
    Task* task = m_reassigns.first();
    while (task != nullptr && (recovering >> task->carrier & 1) != 0) task = task->link.next;
    return task;
}

bool Connection::owes_recovery() const {
    return m_recover_wanted || m_status_snack.length != 0 || !m_snacks.empty() ||
           (!m_reassigns.empty() && next_reassignable() != nullptr);
}

bool Connection::fill_recovery() {
    if (m_recover_wanted) {
        wire::LogoutRequest request;
        request.reason = wire::k_final | wire::LogoutRequest::k_remove_for_recovery;
        request.initiator_task_tag = k_recover_tag | m_index;
        request.cid = m_recover_cid;
        request.cmd_sn = m_shared->window.current().value();
        request.exp_stat_sn = m_statuses.expected().value();
        append_header(request);
        m_recover_wanted = false;
        m_recover_outstanding = true;
        return true;
    }
    if (m_reassigns.empty()) return false;
    Task* task = next_reassignable();
    if (task == nullptr) return false;
    append_reassign(*task);
    return true;
}

void Connection::append_reassign(Task& task) {
    // 11.5.6: Data-In that was not acknowledged is dropped, and comes again. R2Ts are acknowledged
    // as far as they came (7.2.2): LIO refuses to give one again whose data it has.
    wire::DataSn expected = task.next_data_sn;
    if ((task.command.direction & HAWSER_DATA_READ) != 0) {
        expected = task.acknowledged_sn;
        task.next_data_sn = task.acknowledged_sn;
        task.received = task.acknowledged;
    }
    wire::TaskManagementRequest request;
    request.opcode |= wire::k_immediate;  // 11.5.1: always
    request.function = wire::k_final | wire::TaskManagementRequest::k_task_reassign;
    request.initiator_task_tag =
        static_cast<uint32_t>(++m_reassign_generation) << 16 | k_reassign_tag | m_index;
    request.referenced_task_tag = task.initiator_task_tag;
    request.cmd_sn = m_shared->window.current().value();
    request.exp_stat_sn = m_statuses.expected().value();
    request.exp_data_sn = expected.value();
    append_header(request);
    m_reassigning = &task;
}

// The task is this connection's from here on.
uint32_t Connection::begin_reassigned(Task& task) {
    task.place = TaskPlace::Active;
    m_active.push_back(task);
    task.carrier = m_index;
    // Which R2Ts the target gives again, and from where on they count, is its own affair.
    task.any_r2t_sn = (task.command.direction & HAWSER_DATA_READ) == 0;
    if (task.any_r2t_sn) promise(task, task.transmitted);
    task.identity.store((task.initiator_task_tag & 0xffff0000u) | (m_index + 1),
                        std::memory_order_relaxed);
    carry_silence_on(task, m_last_received_ms);
    return watch_tasks(m_last_received_ms);
}

uint32_t Connection::handle_reassign_response() {
    const auto& response = header_as<wire::TaskManagementResponse>();
    const uint32_t itt =
        static_cast<uint32_t>(m_reassign_generation) << 16 | k_reassign_tag | m_index;
    // Its task may have been aborted meanwhile.
    if (m_reassigning == nullptr || response.initiator_task_tag.get() != itt) return take_window();
    Task& task = *m_reassigning;
    uint32_t wants = take_window() | HAWSER_WANT_TIMEOUT | HAWSER_WANT_TRANSMIT;
    m_reassigning = nullptr;
    m_reassign_deadline_ms = HAWSER_NEVER;
    switch (response.response) {
        case k_function_complete:
            m_reassign_refusals = 0;
            m_reassigns.remove(task);
            return wants | begin_reassigned(task);
        case k_task_does_not_exist:
            m_reassign_refusals = 0;
            m_reassigns.remove(task);
            if (task.cmd_sn.precedes(m_shared->window.expected())) {
                m_task_count--;  // begin counts it again
                begin(hawser_command(task.command));
                return wants;
            }
            task.data_end = 0;
            task.reassignable = false;
            task.stirred = true;
            queue_first(task);
            return wants;
        case k_task_still_allegiant:
            if (++m_reassign_refusals > k_reassign_refusals_max) break;
            m_reassign_not_before_ms = m_last_received_ms + k_reassign_pause_ms;
            return wants;
        default:
            break;
    }
    return wants | fail(HAWSER_ERROR_REASSIGN_REFUSED, response.response);
}

uint32_t Connection::handle_recover_response() {
    const auto& response = header_as<wire::LogoutResponse>();
    const uint32_t wants = take_window();
    m_recover_outstanding = false;
    m_recover_deadline_ms = HAWSER_NEVER;
    hawser_report report = make_report(HAWSER_REPORT_RECOVERED);
    report.cid = m_recover_cid;
    report.detail = response.response;
    report.time2wait_s = response.time2wait.get();
    report.time2retain_s = response.time2retain.get();
    push_report(report);
    return wants | HAWSER_WANT_REPORT | HAWSER_WANT_TIMEOUT;
}

}  // namespace hawser
