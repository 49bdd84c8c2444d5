// SPDX-License-Identifier: GPL-2.0-or-later
// A connection's life and death: states, timers, reports, and what becomes of its tasks.
#include "engine/connection.hpp"

namespace hawser {

void Connection::create(SessionShared& shared, uint32_t index) {
    m_shared = &shared;
    m_index = index;
}

// Takes the arrow of RFC 7143 8.1.3 for `event`; an event that the diagram does not know where we
// are changes nothing.
bool Connection::advance(ConnectionEvent event) {
    const std::optional<ConnectionState> to = next_state(m_state, event);
    if (!to.has_value()) return false;
    m_state = *to;
    m_published_state.store(static_cast<uint32_t>(m_state), std::memory_order_relaxed);
    return true;
}

void Connection::reset_transport() {
    m_closing = false;
    m_draining = false;
    m_deaf = false;
    m_logging_out = false;
    m_nop_reply_count = 0;
    m_nop_wanted = false;
    m_nop_outstanding = false;
    m_logout_wanted = false;
    m_logout_outstanding = false;
    m_holds_commands = false;
    m_logout_when_idle = false;
    m_logout_due_ms = HAWSER_NEVER;
    m_management.overdue = 0;
    reset_ladder();
    m_text.exchange.abandon();
    m_text.targets_wanted = m_text.negotiation_wanted = m_text.report_due = false;
    m_text.overdue = 0;
    m_text.deadline_ms = HAWSER_NEVER;
    m_login_deadline_ms = HAWSER_NEVER;
    m_drain_deadline_ms = HAWSER_NEVER;
    m_logout_deadline_ms = HAWSER_NEVER;
    m_pace.reset();
    m_nop_end = m_nop_progress_ms = 0;
    m_unacknowledged_ms = m_suspect_ms = m_stall_check_ms = HAWSER_NEVER;
    m_awaits_taken_in = false;
    m_on_trial = m_trial_wanted = m_trial_held = false;
    m_trial_overdue = m_trial_arrival_wanted = false;
    m_trial_answers = 0;
    m_trial_deadline_ms = HAWSER_NEVER;
    m_transmit_begin = 0;
    m_transmit_end = 0;
    m_transmit_task = nullptr;
    m_transmit_left = 0;
    m_transmit_padding = 0;
    m_digest_owed = false;
    m_data_digest = false;
    m_own_text = {};
    m_receive_stage = ReceiveStage::Header;
    m_header_bytes = wire::k_bhs_bytes;
    m_header_filled = 0;
    m_receive_task = nullptr;
    m_segment_filled = 0;
    m_padding_left = 0;
    m_digest_left = 0;
    reset_recovery();
}

// The host sees it; what the connection carried comes back, and the session starts anew.
uint32_t Connection::own_mistake(OwnMistake which) {
    note_own_mistake(*m_shared, which);
    return fail(HAWSER_ERROR_OWN_MISTAKE, static_cast<uint32_t>(which));
}

uint32_t Connection::start_connect(const hawser_order& order, uint64_t now_ms) {
    if (m_open) return own_mistake(OwnMistake::OpenedTwice);
    if (!advance(ConnectionEvent::ConnectOrdered)) return 0;
    reset_transport();
    m_open = true;
    m_epoch = order.epoch;
    m_leading = order.login.leading != 0;
    m_on_trial = order.login.on_trial != 0;
    m_statuses.reset({});  // RFC 7143 11.12.9: reserved in the first request of a new connection
    m_login_answered = false;
    m_login.begin(m_shared->options, order.login);
    m_login_deadline_ms = order.deadline_ms;
    m_last_received_ms = now_ms;
    return HAWSER_WANT_TIMEOUT;
}

uint32_t Connection::handle_connected(uint64_t now_ms) {
    if (m_closing || !advance(ConnectionEvent::Connected)) return 0;
    m_last_received_ms = now_ms;
    m_login_deadline_ms = now_ms + m_shared->options.login_timeout_ms;
    return HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
}

void Connection::record_error(uint32_t error, uint32_t detail) {
    m_last_error.store(error, std::memory_order_relaxed);
    m_last_detail.store(detail, std::memory_order_relaxed);
}

hawser_report Connection::make_report(uint32_t kind) const {
    hawser_report report{};
    report.kind = kind;
    report.index = m_index;
    report.epoch = m_epoch;
    report.time2wait_s = 0xffff;
    report.time2retain_s = 0xffff;
    return report;
}

void Connection::push_report(const hawser_report& report) {
    // An episode from CONNECT to CLOSED gives at most five: the ring cannot overflow, because the
    // session orders no CONNECT before it has seen CLOSED.
    if (m_report_count == k_reports_max) {
        note_own_mistake(*m_shared, OwnMistake::ReportRingFull);
        return;
    }
    m_reports[(m_report_begin + m_report_count) % k_reports_max] = report;
    m_report_count++;
}

bool Connection::poll_report(hawser_report& report) {
    if (m_report_count != 0) {
        report = m_reports[m_report_begin];
        m_report_begin = (m_report_begin + 1) % k_reports_max;
        m_report_count--;
        return true;
    }
    if (m_management.report_due) {
        m_management.report_due = false;
        report = make_report(HAWSER_REPORT_TASKS_ENDED);
        report.scope = m_management.scope;
        return true;
    }
    if (poll_text_report(report)) return true;
    if (!m_closed_report_due || !m_parked.empty()) return false;
    m_closed_report_due = false;
    report = make_report(HAWSER_REPORT_CLOSED);
    return true;
}

// Whether the socket is still good, though the PDUs on it are not. At ErrorRecoveryLevel 2 a
// sibling removes the connection, and the target sees to what is under way on it; below that
// nobody does.
bool Connection::can_leave(uint32_t error) const {
    const bool breach = error >= HAWSER_ERROR_UNKNOWN_OPCODE ||
                        error == HAWSER_ERROR_TASK_OVERDUE ||
                        error == HAWSER_ERROR_TASK_OVERDUE_AGAIN;
    const bool full_feature = m_state == ConnectionState::LoggedIn ||
                              m_state == ConnectionState::InLogout ||
                              m_state == ConnectionState::LogoutRequested;
    return full_feature && m_keys.error_recovery_level < 2 && breach;
}

// The target is told by a FIN, not a reset, and heard out until its own: what it had accepted is
// then finished, and no old write of it lands after a new one.
uint32_t Connection::leave(uint32_t error) {
    const bool announced =
        error == HAWSER_ERROR_ASYNC_DROP_CONNECTION || error == HAWSER_ERROR_ASYNC_DROP_SESSION;
    const uint32_t wait_s =
        announced ? header_as<wire::AsyncMessage>().parameter2.get() : m_keys.default_time2wait_s;
    m_deaf = m_draining = true;
    m_logout_deadline_ms = HAWSER_NEVER;
    const uint64_t deadline_ms = m_now_ms + uint64_t{1000} * wait_s + k_close_patience_ms;
    if (deadline_ms < m_drain_deadline_ms) m_drain_deadline_ms = deadline_ms;
    return HAWSER_WANT_FIN | HAWSER_WANT_REPORT | HAWSER_WANT_TIMEOUT;
}

// The connection carries nothing from here on. The first cause is the one that is told.
uint32_t Connection::fail(uint32_t error, uint32_t detail) {
    if (m_closing || !m_open || (m_draining && m_deaf)) return 0;
    const bool leaves = can_leave(error);
    m_closing = !leaves;
    record_error(error, detail);
    // A redirect is an answer to a login, not a loss.
    if (error != HAWSER_ERROR_LOGIN_REDIRECTED) add(m_losses, 1u);
    hawser_report report = make_report(HAWSER_REPORT_LOST);
    report.error = error;
    report.detail = detail;
    report.crossed = is_crossed();
    if (error == HAWSER_ERROR_ASYNC_DROP_CONNECTION || error == HAWSER_ERROR_ASYNC_DROP_SESSION) {
        const auto& message = header_as<wire::AsyncMessage>();
        report.time2wait_s = message.parameter2.get();
        report.time2retain_s = message.parameter3.get();
    }
    if (error == HAWSER_ERROR_LOGIN_REDIRECTED) {
        report.redirect = m_login.redirect();
        report.redirect_port = m_login.redirect_port();
    }
    push_report(report);
    advance(ConnectionEvent::Lost);
    if (leaves) return leave(error);
    return HAWSER_WANT_CLOSE | HAWSER_WANT_REPORT | HAWSER_WANT_TIMEOUT;
}

// The same because of one task: the host is told which, so that it does not do it for ever. Not for
// what happens to any task on a bad path, as a wrong digest does.
uint32_t Connection::blame(Task* task, uint32_t error, uint32_t detail) {
    const uint32_t wants = fail(error, detail);
    if (wants != 0 && task != nullptr) task->error = error;
    return wants;
}

// The end of something that was going to end: no LOST is told, CLOSED will be.
uint32_t Connection::close_quietly() {
    m_closing = true;
    if (m_state != ConnectionState::Free) advance(ConnectionEvent::Lost);
    return HAWSER_WANT_CLOSE | HAWSER_WANT_TIMEOUT;
}

uint32_t Connection::handle_disconnected(uint32_t error, uint32_t detail, uint64_t) {
    if (m_closing || !m_open) return 0;
    if (m_draining) return close_quietly();
    return fail(error, detail);
}

void Connection::park(Task& task, bool sent) {
    drop_sequences(task);
    forget_snacks(task);
    task.status_held = false;
    task.data_requested = false;
    task.identity.store(task.identity.load(std::memory_order_relaxed) & 0xffff0000u,
                        std::memory_order_relaxed);
    task.sent = sent;
    m_parked.push_back(task);
}

uint32_t Connection::handle_closed() {
    if (!m_open) return 0;
    uint32_t wants = HAWSER_WANT_REPORT | HAWSER_WANT_TIMEOUT;
    // What the target had completed is complete, though we still owed it bytes.
    Task* following = nullptr;
    for (Task* task = m_active.first(); task != nullptr; task = following) {
        following = task->link.next;
        m_active.remove(*task);
        if (task->completion_deferred) {
            finish_task(*task);
            wants |= HAWSER_WANT_COMPLETION;
        } else {
            task->reassignable = m_keys.error_recovery_level >= 2;
            set_recovering(*task);
            park(*task, true);
        }
    }
    // What it was answered is not known: it may be ours already.
    if (m_reassigning != nullptr) m_reassigning->carrier = m_index;
    while (Task* task = m_reassigns.pop_front()) {
        set_recovering(*task);
        park(*task, true);
    }
    while (Task* task = m_pending.pop_front()) {
        // A retry that did not go out is still the target's, or nobody's: it will say which.
        task->reassignable = task->numbered && m_keys.error_recovery_level >= 2;
        set_recovering(*task);
        park(*task, task->numbered);
    }
    while (Task* task = m_held.pop_front()) {
        task->reassignable = false;
        park(*task, false);
    }
    if (m_management.wanted || m_management.outstanding)
        wants |= end_management(HAWSER_ERROR_TASK_MANAGEMENT_LOST, 0);
    reset_transport();
    m_open = false;
    m_closed_report_due = true;
    if (m_state != ConnectionState::Free && !advance(ConnectionEvent::Closed)) {
        advance(ConnectionEvent::Lost);
        advance(ConnectionEvent::Closed);
    }
    return wants;
}

uint32_t Connection::drain(uint32_t epoch, uint64_t deadline_ms, uint64_t) {
    if (!m_open || m_closing || epoch != m_epoch) return 0;
    // Before full feature phase there is nothing to wait for.
    if (m_state == ConnectionState::XptWait || m_state == ConnectionState::InLogin)
        return abandon();
    m_draining = true;
    m_drain_deadline_ms = deadline_ms;
    record_error(HAWSER_ERROR_SIBLING_LOST, 0);
    return HAWSER_WANT_FIN | HAWSER_WANT_TIMEOUT;
}

uint32_t Connection::abandon() {
    if (!m_open || m_closing) return 0;
    record_error(HAWSER_ERROR_GIVEN_UP, 0);
    return close_quietly();
}

uint32_t Connection::logout(uint8_t reason, uint64_t now_ms) {
    if (!m_open || m_closing || m_draining || !advance(ConnectionEvent::LogoutSent)) return 0;
    // What is kept back goes out before it.
    const uint32_t trial = holds_for_trial() ? handle_trial_timeout() : 0;
    m_logging_out = true;
    m_logout_wanted = true;
    m_logout_reason = reason & ~HAWSER_LOGOUT_WHEN_IDLE;
    m_logout_deadline_ms = now_ms + m_shared->options.logout_timeout_ms;
    m_logout_when_idle = (reason & HAWSER_LOGOUT_WHEN_IDLE) != 0;
    if (m_logout_when_idle) {
        m_holds_commands = true;
        if (m_logout_due_ms < m_logout_deadline_ms) m_logout_deadline_ms = m_logout_due_ms;
    }
    return trial | HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
}

uint64_t Connection::poll_timeout() const {
    if (!m_open || m_closing) return HAWSER_NEVER;
    uint64_t deadline = m_login_deadline_ms;
    if (m_drain_deadline_ms < deadline) deadline = m_drain_deadline_ms;
    if (m_logout_deadline_ms < deadline) deadline = m_logout_deadline_ms;
    if (m_management.deadline_ms < deadline) deadline = m_management.deadline_ms;
    if (m_text.deadline_ms < deadline) deadline = m_text.deadline_ms;
    if (m_trial_deadline_ms < deadline) deadline = m_trial_deadline_ms;
    if (m_state == ConnectionState::LoggedIn && !m_draining &&
        m_shared->options.noop_out_interval_ms != 0) {
        uint64_t nop = m_last_received_ms + m_shared->options.noop_out_interval_ms;
        if (m_nop_outstanding) {
            uint64_t since =
                m_nop_sent_ms > m_last_received_ms ? m_nop_sent_ms : m_last_received_ms;
            if (m_nop_progress_ms > since) since = m_nop_progress_ms;
            nop = since + m_shared->options.noop_out_timeout_ms;
        }
        if (nop < deadline) deadline = nop;
    }
    if (stall_deadline() < deadline) deadline = stall_deadline();
    if (overdue_deadline() < deadline) deadline = overdue_deadline();
    if (pace_deadline() < deadline) deadline = pace_deadline();
    const uint64_t recovery = recovery_deadline();
    return recovery < deadline ? recovery : deadline;
}

uint32_t Connection::handle_timeout(uint64_t now_ms) {
    if (!m_open || m_closing || now_ms < poll_timeout()) return 0;
    m_now_ms = now_ms;
    if (m_login_deadline_ms <= now_ms)
        return fail(m_state == ConnectionState::XptWait ? HAWSER_ERROR_CONNECT_TIMEOUT
                                                        : HAWSER_ERROR_LOGIN_TIMEOUT);
    if (m_drain_deadline_ms <= now_ms) return close_quietly();
    if (m_logout_deadline_ms <= now_ms && m_logout_when_idle && m_logout_wanted) {
        m_logout_when_idle = false;  // its tasks were waited for long enough
        m_logout_deadline_ms = now_ms + m_shared->options.logout_timeout_ms;
        return HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
    }
    if (m_logout_deadline_ms <= now_ms) return fail(HAWSER_ERROR_LOGOUT_TIMEOUT);
    if (m_management.deadline_ms <= now_ms) {
        if (m_management.outstanding) m_management.overdue++;
        return end_management(HAWSER_ERROR_TASK_MANAGEMENT_TIMEOUT, 0);
    }
    if (m_trial_deadline_ms <= now_ms) return handle_trial_timeout();
    if (recovery_deadline() <= now_ms) return handle_recovery_timeout(now_ms);
    if (stall_deadline() <= now_ms) return handle_stall_timeout(now_ms);
    if (overdue_deadline() <= now_ms) return handle_overdue_timeout(now_ms);
    if (m_text.deadline_ms <= now_ms) {
        if (m_text.exchange.active() && !m_text.exchange.ready()) m_text.overdue++;
        return end_text(HAWSER_ERROR_TEXT_TIMEOUT);
    }
    if (pace_deadline() <= now_ms) {
        m_queued_ms = now_ms;
        return HAWSER_WANT_TIMEOUT | transmit_wants();
    }
    if (m_nop_outstanding) return fail(HAWSER_ERROR_NOP_TIMEOUT);
    return ping(now_ms);
}

uint32_t Connection::ping(uint64_t now_ms) {
    // Its time runs from here, not from when it got into a socket: a dead link takes no bytes.
    m_nop_outstanding = true;
    m_nop_wanted = true;
    m_nop_sent_ms = now_ms;
    m_nop_end = UINT64_MAX;  // it is behind all that TCP has
    m_nop_generation++;
    return HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
}

uint32_t Connection::submit(const hawser_command& command) {
    if (command.tag >= m_shared->tasks.size()) return own_mistake(OwnMistake::BadTag);
    // It comes back parked when the connection is closed.
    const uint32_t wants = accepts() ? 0 : own_mistake(OwnMistake::NotAccepting);
    begin(command);
    return wants | HAWSER_WANT_TRANSMIT;
}

// A task, from its beginning.
void Connection::begin(const hawser_command& command) {
    Task& task = m_shared->tasks[command.tag];
    const uint32_t generation = (task.identity.load(std::memory_order_relaxed) >> 16) + 1;
    task.identity.store(generation << 16, std::memory_order_relaxed);
    task.initiator_task_tag = (generation << 16) | command.tag;
    task.command = command;
    task.data_end = 0;
    task.transmitted = 0;
    task.r2t_count = 0;
    task.promised = 0;
    task.received = 0;
    task.next_data_sn = {};
    task.place = TaskPlace::Pending;
    task.retry_wanted = false;
    task.retries = 0;
    task.numbered = false;
    task.data_requested = false;
    task.any_r2t_sn = false;
    task.acknowledged_sn = {};
    task.acknowledged = 0;
    task.status_held = false;
    task.reassignable = false;
    task.completion_deferred = false;
    task.error = HAWSER_ERROR_NONE;
    task.stirred = true;
    task.rung = 0;
    m_watches_tasks |= command.timeout_ms != 0;
    task.completion = {};
    m_pending.push_back(task);
    m_task_count++;
    m_published_tasks.store(m_task_count, std::memory_order_relaxed);
}

bool Connection::poll_completion(hawser_completion& completion) {
    Task* task = m_completed.pop_front();
    if (task == nullptr) return false;
    m_task_count--;
    m_published_tasks.store(m_task_count, std::memory_order_relaxed);
    completion = task->completion;
    return true;
}

bool Connection::poll_parked(hawser_parked& parked) {
    Task* task = m_parked.pop_front();
    if (task == nullptr) return false;
    m_task_count--;
    m_published_tasks.store(m_task_count, std::memory_order_relaxed);
    parked = {task->command.tag, task->error, task->sent};
    return true;
}

void Connection::read_counters(hawser_counters& counters) const {
    counters.commands = m_commands.load(std::memory_order_relaxed);
    counters.bytes_in = m_bytes_in.load(std::memory_order_relaxed);
    counters.bytes_out = m_bytes_out.load(std::memory_order_relaxed);
    counters.logins = m_logins.load(std::memory_order_relaxed);
    counters.losses = m_losses.load(std::memory_order_relaxed);
    counters.state = m_published_state.load(std::memory_order_relaxed);
    counters.last_error = m_last_error.load(std::memory_order_relaxed);
    counters.last_detail = m_last_detail.load(std::memory_order_relaxed);
    counters.tasks = m_published_tasks.load(std::memory_order_relaxed);
}

}  // namespace hawser
