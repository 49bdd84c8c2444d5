// SPDX-License-Identifier: GPL-2.0-or-later
// The PDUs that are not SCSI: login, NOP, Logout, asynchronous messages, Reject.
#include "engine/connection.hpp"

namespace hawser {

namespace {

// How long a target may take from its answer to a Logout until it closes the connection; LIO's
// usual two seconds, and a little.
constexpr uint32_t k_logged_out_patience_ms = 2500;
constexpr uint8_t k_rejected_response = 255;  // "Function rejected", 11.6.1

}  // namespace

// The command window, which every target PDU carries at the same place. Its StatSN, where it
// counts, was taken by accept_status before the PDU was dispatched.
uint32_t Connection::take_window() {
    const auto& numbering = header_as<wire::TargetNumbering>();
    const bool wake = m_shared->window.publish(wire::CmdSn(numbering.exp_cmd_sn.get()),
                                               wire::CmdSn(numbering.max_cmd_sn.get()));
    return (wake ? HAWSER_WANT_WAKE : 0) | continue_trial();
}

uint32_t Connection::dispatch_control() {
    switch (header_as<wire::Bhs>().kind()) {
        case wire::Opcode::LoginResponse:
            return handle_login_response();
        case wire::Opcode::NopIn:
            return handle_nop_in();
        case wire::Opcode::AsyncMessage:
            return handle_async_message();
        case wire::Opcode::LogoutResponse:
            return handle_logout_response();
        case wire::Opcode::TaskManagementResponse:
            return handle_management_response();
        case wire::Opcode::TextResponse:
            return handle_text_response();
        case wire::Opcode::Reject:
            return handle_reject();
        default:
            return fail(HAWSER_ERROR_UNEXPECTED_OPCODE, header_as<wire::Bhs>().opcode);
    }
}

uint32_t Connection::handle_login_response() {
    const auto& response = header_as<wire::LoginResponse>();
    if (response.initiator_task_tag.get() != (k_login_tag | m_index))
        return fail(HAWSER_ERROR_LOGIN_BAD_FIELD);
    if (response.status_class == 0) {
        // An answer before the whole request has gone, or out of order. The first one tells where
        // this connection's StatSN begins (RFC 7143 11.13.4).
        if (!m_own_text.empty()) return fail(HAWSER_ERROR_LOGIN_UNEXPECTED_PDU);
        const wire::StatSn stat_sn(response.stat_sn.get());
        if (m_login_answered && stat_sn != m_statuses.expected())
            return fail(HAWSER_ERROR_STAT_SN, stat_sn.value());
        m_login_answered = true;
        m_statuses.reset(stat_sn.next());
    }
    const uint32_t error =
        m_login.handle_response(response, std::span(m_segment.data(), m_segment_filled));
    if (error != HAWSER_ERROR_NONE) return fail(error, m_login.detail());
    if (!m_login.done()) return m_login.wants();
    m_keys = m_login.keys();
    // From the next PDU on, both ways (RFC 7143 13.1).
    if (m_keys.header_digest != 0) m_header_bytes = wire::k_bhs_bytes + wire::k_digest_bytes;
    m_data_digest = m_keys.data_digest != 0;
    m_login_deadline_ms = HAWSER_NEVER;
    advance(ConnectionEvent::LoginAccepted);
    add(m_logins, 1u);
    record_error(HAWSER_ERROR_NONE, 0);
    hawser_report report = make_report(HAWSER_REPORT_LOGGED_IN);
    report.tsih = m_login.tsih();
    report.target_portal_group_tag = m_login.target_portal_group_tag();
    report.keys = m_keys;
    push_report(report);
    uint32_t wants = HAWSER_WANT_REPORT | HAWSER_WANT_TIMEOUT;
    // Only a leading login opens the window: tgt computes the numbers of a further one's answer
    // from the request, so that they may be behind or ahead of the session's.
    if (m_leading) wants |= take_window();
    return wants;
}

bool Connection::poll_chap(hawser_chap_request& request) const {
    return m_state == ConnectionState::InLogin && !m_closing && m_login.poll_chap(request);
}

uint32_t Connection::handle_chap(const hawser_chap_answer& answer) {
    hawser_chap_request unused;
    if (!poll_chap(unused)) return 0;
    const uint32_t error = m_login.handle_chap(answer);
    return error != HAWSER_ERROR_NONE ? fail(error) : m_login.wants();
}

uint32_t Connection::handle_nop_in() {
    const auto& nop = header_as<wire::NopIn>();
    const uint32_t itt = nop.initiator_task_tag.get();
    const uint32_t ttt = nop.target_transfer_tag.get();
    const uint32_t wants = take_window();
    if (is_of_trial(itt)) return wants | handle_trial_answer(itt);
    if (itt != wire::k_reserved_tag) {
        const uint32_t ours = static_cast<uint32_t>(m_nop_generation) << 16 | k_nop_tag | m_index;
        if (!m_nop_outstanding || itt != ours) return wants | fail(HAWSER_ERROR_BAD_NOP, itt);
        m_nop_outstanding = false;
        return wants | HAWSER_WANT_TIMEOUT;
    }
    if (ttt == wire::k_reserved_tag) return wants;  // it only tells the numbers, RFC 7143 11.19
    if (m_nop_reply_count == k_nop_replies_max) return wants | fail(HAWSER_ERROR_BAD_NOP, ttt);
    NopReply& reply = m_nop_replies[m_nop_reply_count++];
    reply.target_transfer_tag = ttt;
    __builtin_memcpy(reply.lun, nop.lun, sizeof(reply.lun));
    return wants | HAWSER_WANT_TRANSMIT;
}

// Another connection is going to be dropped: its loss will have the times that are told here.
uint32_t Connection::announce_drop(const wire::AsyncMessage& message) {
    if (m_report_count > k_reports_max / 2) return 0;  // the rest is for what must be told
    hawser_report report = make_report(HAWSER_REPORT_DROP_ANNOUNCED);
    report.detail = message.parameter1.get();
    report.time2wait_s = message.parameter2.get();
    report.time2retain_s = message.parameter3.get();
    push_report(report);
    return HAWSER_WANT_REPORT;
}

// RFC 7143 11.9.1
uint32_t Connection::handle_async_message() {
    const auto& message = header_as<wire::AsyncMessage>();
    const uint32_t wants = take_window();
    switch (message.async_event) {
        case 0:  // SCSI asynchronous event data: sense of a LUN, which its next command tells as
                 // well
            return wants;
        case 1: {
            // Half of the time is for the Logout to get there. Said again (T12, T14) it is no news,
            // and reports have only so much room.
            m_logout_due_ms = m_last_received_ms + uint64_t{500} * message.parameter3.get();
            m_holds_commands = true;
            const bool news = m_state == ConnectionState::LoggedIn;
            advance(ConnectionEvent::LogoutRequested);
            if (!news) return wants;
            hawser_report report = make_report(HAWSER_REPORT_LOGOUT_REQUESTED);
            report.error = HAWSER_ERROR_ASYNC_LOGOUT;
            report.detail = message.parameter3.get();
            push_report(report);
            return wants | HAWSER_WANT_REPORT;
        }
        case 2:  // parameter1 names the connection; another one's own thread will see its EOF
            if (message.parameter1.get() != m_index) return wants | announce_drop(message);
            return wants | fail(HAWSER_ERROR_ASYNC_DROP_CONNECTION, 2);
        case 3:
            return wants | fail(HAWSER_ERROR_ASYNC_DROP_SESSION, 3);
        case 4:  // a Text Request is due, an empty one will do; a Logout under way is as good
            return m_logging_out ? wants : wants | negotiate(m_last_received_ms);
        default:  // 5 is for FastAbort, which we do not agree to; 248..255 are vendors'
            return wants;
    }
}

uint32_t Connection::handle_logout_response() {
    const auto& response = header_as<wire::LogoutResponse>();
    if (m_recover_outstanding && response.initiator_task_tag.get() == (k_recover_tag | m_index))
        return handle_recover_response();
    if (!m_logout_outstanding || response.initiator_task_tag.get() != (k_logout_tag | m_index))
        return fail(HAWSER_ERROR_UNEXPECTED_OPCODE, response.opcode);
    const uint32_t wants = take_window();
    if (response.response != 0) return wants | fail(HAWSER_ERROR_LOGOUT_REFUSED, response.response);
    advance(ConnectionEvent::LogoutAccepted);
    hawser_report report = make_report(HAWSER_REPORT_LOGGED_OUT);
    for (const Task* task = m_active.first(); task != nullptr; task = task->link.next)
        report.detail++;
    report.time2wait_s = response.time2wait.get();
    report.time2retain_s = response.time2retain.get();
    push_report(report);
    // An orderly end is one with FIN (RFC 7143 11.14: the target closes after its answer). One of
    // several waits for the target's: LIO (6.1) follows a list entry that is gone when the Logout
    // of the session meets a connection that it is still taking down (iscsit_stop_session), and
    // takes its whole kernel along; its EOF says that it is through.
    const uint32_t told = HAWSER_WANT_FIN | HAWSER_WANT_REPORT | HAWSER_WANT_TIMEOUT;
    m_logout_deadline_ms = HAWSER_NEVER;
    if (m_logout_reason == wire::LogoutRequest::k_close_session) {
        m_closing = true;
        return wants | told | HAWSER_WANT_CLOSE;
    }
    m_draining = true;
    m_deaf = true;
    m_drain_deadline_ms = m_last_received_ms + k_logged_out_patience_ms;
    return wants | told;
}

// What was refused, where that is a PDU without a CmdSN of its own: it leaves no hole, and only
// what it was for is lost. Nothing: it is another one.
std::optional<uint32_t> Connection::handle_harmless_reject() {
    if (m_segment_filled < wire::k_bhs_bytes) return std::nullopt;
    const auto& bad = *reinterpret_cast<const wire::Bhs*>(m_segment.data());
    const uint32_t itt = bad.initiator_task_tag.get();
    const bool pings = itt == (static_cast<uint32_t>(m_nop_generation) << 16 | k_nop_tag | m_index);
    switch (bad.kind()) {
        case wire::Opcode::NopOut:
            if (itt == wire::k_reserved_tag) return 0;
            if (!m_nop_outstanding || !pings) return std::nullopt;
            m_nop_outstanding = false;  // it was heard, and that is what it asked for
            return HAWSER_WANT_TIMEOUT;
        case wire::Opcode::DataOut:  // of a task that was ended meanwhile: nobody waits for it
            if (!is_aborted(itt)) return std::nullopt;
            return 0;
        case wire::Opcode::TextRequest:
            if (!awaits_text(itt)) return std::nullopt;
            return end_text(HAWSER_ERROR_TEXT_REJECTED);
        case wire::Opcode::TaskManagementRequest:
            if (awaits_ladder(itt)) return answer_ladder(k_rejected_response);
            if (!awaits_management(itt)) return std::nullopt;
            return end_management(HAWSER_ERROR_NONE, k_rejected_response);
        default:
            return std::nullopt;
    }
}

// The end by a Reject. A command is not accused of what is no fault of its own: a digest that broke
// on the way, and what the target has too little of at the moment.
uint32_t Connection::refuse_rejected(const wire::Reject& reject) {
    const bool own_fault = reject.reason != wire::Reject::k_data_digest_error &&
                           reject.reason != wire::Reject::k_too_many_immediate &&
                           reject.reason != wire::Reject::k_out_of_resources &&
                           reject.reason != wire::Reject::k_waiting_for_logout;
    Task* task = nullptr;
    if (own_fault && m_segment_filled >= wire::k_bhs_bytes) {
        const auto& bad = *reinterpret_cast<const wire::Bhs*>(m_segment.data());
        task = find_task(bad.initiator_task_tag.get());
    }
    return blame(task, HAWSER_ERROR_REJECTED, reject.reason);
}

// A PDU of ours was refused (RFC 7143 11.17). At ErrorRecoveryLevel 0 there is no retry of a PDU:
// the CmdSN of a rejected command would stay a hole in the target's order, so the session starts
// anew.
uint32_t Connection::handle_reject() {
    const auto& reject = header_as<wire::Reject>();
    const uint32_t wants = take_window();
    const std::optional<uint32_t> harmless = handle_harmless_reject();
    if (harmless.has_value()) return wants | *harmless;
    if (recovers()) return wants | handle_recoverable_reject(reject);
    return wants | refuse_rejected(reject);
}

}  // namespace hawser
