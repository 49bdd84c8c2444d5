// SPDX-License-Identifier: GPL-2.0-or-later
// What a report leads to: the session logs in, loses a connection, starts anew.
#include "engine/session.hpp"

namespace hawser {

namespace {

constexpr uint32_t k_backoff_first_ms = 500;
constexpr uint32_t k_backoff_max_ms = 8000;

constexpr uint64_t k_short_life_ms = 1000;

constexpr uint32_t backoff_ms(uint32_t attempts) {
    uint32_t delay = k_backoff_first_ms;
    for (; attempts > 1 && delay < k_backoff_max_ms; attempts--) delay *= 2;
    return delay < k_backoff_max_ms ? delay : k_backoff_max_ms;
}

}  // namespace

// A new nexus: every socket of the old one is closed, so its numbers mean nothing any more.
void Session::begin_leading(uint64_t now_ms) {
    if (!m_slots[m_leader].enabled) m_leader = next_enabled(m_leader);
    m_phase = SessionPhase::Leading;
    m_leading_retry_ms = HAWSER_NEVER;
    m_epoch++;
    m_tsih = 0;
    m_shared->window.reset(wire::CmdSn(m_shared->options.first_cmd_sn));
    m_shared->recovering.store(0, std::memory_order_relaxed);
    begin_order();
    for (Slot& slot : m_slots) {
        slot.retry_ms = HAWSER_NEVER;
        slot.following = slot.retiring = false;
    }
    connect(m_leader, true, now_ms);
}

// The leader's login failed and its socket is closed: the next connection leads. After a round of
// all of them there is a pause, which grows.
void Session::try_next_leader(uint64_t now_ms) {
    const uint32_t count = enabled_connections();
    m_slots[m_leader].attempts++;
    m_leading_attempts++;
    m_leader = next_enabled(m_leader);
    const uint32_t round = m_portal_count > count ? m_portal_count : count;
    m_leading_retry_ms =
        m_leading_attempts % round != 0 ? now_ms : now_ms + backoff_ms(m_leading_attempts / round);
}

void Session::release(uint64_t now_ms) {
    hawser_order order = make_order(HAWSER_ORDER_RELEASE, 0);
    order.first = !m_ever_logged_in;
    m_ever_logged_in = true;
    m_settled = false;
    m_give_up_ms = HAWSER_NEVER;
    push_order(order);
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        m_slots[i].failed_once = false;
        if (i != m_leader) m_slots[i].attempts = 0;
    }
    if (!ask_for_portals()) open_others(now_ms);
}

void Session::settle() {
    if (m_settled || m_phase != SessionPhase::Running || m_portals_awaited) return;
    if (m_order == Order::Tried) return;
    for (size_t i = 0; i < m_connections.size(); i++) {
        const bool opening = m_slots[i].phase == SlotPhase::Opening || m_slots[i].following;
        if (opening && !m_slots[i].failed_once) return;
    }
    m_settled = true;
    push_order(make_order(HAWSER_ORDER_SETTLED, 0));
}

void Session::handle_logged_in(const hawser_report& report, uint64_t now_ms) {
    Slot& slot = m_slots[report.index];
    if (slot.phase != SlotPhase::Opening) return;
    slot.phase = SlotPhase::LoggedIn;
    if (slot.moves) m_portals[slot.portal] = slot.redirect;
    slot.moves = false;
    slot.redirect = {};  // it was for this login only
    slot.redirects = 0;
    m_portal_errors[slot.portal] = HAWSER_ERROR_NONE;
    m_portals_shunned &= ~(1u << slot.portal);
    m_portals_learned &= ~(1u << slot.portal);  // it is as good as a given one
    if (m_phase == SessionPhase::Leading) {
        m_phase = SessionPhase::Running;
        m_state = SessionState::LoggedIn;
        m_tsih = report.tsih;
        m_target_portal_group_tag = report.target_portal_group_tag;
        m_keys = report.keys;
        m_leading_attempts = 0;
        m_logged_in_ms = now_ms;
        release(now_ms);
    } else if (m_phase == SessionPhase::Running) {
        rejoin(report.index, now_ms);
        judge_order(report.index, now_ms);
    }
    slot.attempts = 0;
}

void Session::note_error(const hawser_report& report) {
    m_last_error = report.error;
    m_last_detail = report.detail;
    m_last_index = report.index;
    m_portal_errors[m_slots[report.index].portal] = report.error;
    m_portal_details[m_slots[report.index].portal] = report.detail;
}

// Who is to lead after this loss: of those that are logged in still, the one that heard from the
// target last, so that a switch that died with several links does not cost a connect_timeout for
// each; where there is none, the next in turn.
uint32_t Session::next_leader(uint32_t lost) const {
    const uint32_t count = static_cast<uint32_t>(m_connections.size());
    uint32_t leader = next_enabled(lost);
    uint64_t heard_ms = 0;
    for (uint32_t step = 1; step < count; step++) {
        const uint32_t i = (lost + step) % count;
        const uint64_t ms = m_shared->heard[i].ms.load(std::memory_order_relaxed);
        if (!m_slots[i].enabled || m_slots[i].phase != SlotPhase::LoggedIn || ms <= heard_ms)
            continue;
        leader = i;
        heard_ms = ms;
    }
    return leader;
}

void Session::begin_reinstatement(const hawser_report& report, uint64_t now_ms) {
    m_phase = SessionPhase::Draining;
    m_state = SessionState::Failed;
    m_reinstatements++;
    const uint32_t time2wait_s =
        report.time2wait_s != 0xffff ? report.time2wait_s : m_keys.default_time2wait_s;
    m_wait_until_ms = now_ms + uint64_t{1000} * time2wait_s;
    // A target that drops each session as soon as it is there is not asked a hundred times a
    // second, though its Time2Wait may be 0.
    m_short_lives = now_ms - m_logged_in_ms < k_short_life_ms ? m_short_lives + 1 : 0;
    const uint64_t calm_ms = now_ms + (m_short_lives > 1 ? backoff_ms(m_short_lives - 1) : 0);
    if (m_wait_until_ms < calm_ms) m_wait_until_ms = calm_ms;
    const uint64_t deadline_ms = m_wait_until_ms + k_close_patience_ms;
    m_leader = next_leader(report.index);
    m_portals_awaited = false;
    m_leading_attempts = 0;
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        Slot& slot = m_slots[i];
        slot.retry_ms = HAWSER_NEVER;
        slot.recovery = Recovery::None;
        slot.attempts = 0;
        const bool opening = slot.phase == SlotPhase::Opening;
        if (!opening && slot.phase != SlotPhase::LoggedIn && !slot.retiring) continue;
        slot.retiring = false;
        hawser_order order = make_order(opening ? HAWSER_ORDER_CLOSE : HAWSER_ORDER_DRAIN, i);
        order.deadline_ms = deadline_ms;
        slot.phase = SlotPhase::Closing;
        push_order(order);
    }
}

void Session::handle_lost(const hawser_report& report, uint64_t now_ms) {
    Slot& slot = m_slots[report.index];
    const bool was_logged_in = slot.phase == SlotPhase::LoggedIn || slot.retiring;
    const bool was_opening = slot.phase == SlotPhase::Opening;
    slot.phase = SlotPhase::Closing;
    slot.retiring = false;
    if (slot.following) return;
    note_error(report);
    note_unsupported(report.error, report.detail);
    shun(slot, was_opening);
    const bool anew = m_phase == SessionPhase::Running && was_logged_in && suspect(report, now_ms);
    if (m_phase == SessionPhase::Running) disturb_recovery(report, now_ms);
    if (m_phase == SessionPhase::Running && was_logged_in && !anew && can_recover(report) &&
        !recovers_in_vain(now_ms)) {
        begin_recovery(report, now_ms);
    } else if (m_phase == SessionPhase::Running && was_logged_in) {
        begin_reinstatement(report, now_ms);
    } else if (m_phase == SessionPhase::Running && was_opening) {
        slot.failed_once = true;
        slot.attempts++;
        if (slot.recovery == Recovery::None) slot.retry_ms = now_ms + backoff_ms(slot.attempts);
        if (m_order == Order::Suspected) end_trial(now_ms);
    } else if (m_phase == SessionPhase::Leading && !m_ever_logged_in &&
               hawser_error_is_final(report.error)) {
        m_phase = SessionPhase::Ending;
        m_end_error = report.error;
        m_end_detail = report.detail;
        m_give_up_ms = HAWSER_NEVER;
    } else if (m_phase == SessionPhase::LoggingOut || m_phase == SessionPhase::LoggingOutLast) {
        // Gone before its Logout was answered: told at the end, and nothing to log in again for.
        m_end_error = report.error;
        m_end_detail = report.detail;
    }
}

// The socket is gone and its tasks are parked: what was waiting for that?
void Session::handle_closed(uint32_t index, uint64_t now_ms) {
    Slot& slot = m_slots[index];
    slot.phase = SlotPhase::Idle;
    slot.retiring = false;  // gone before its Logout was answered
    const bool follows = slot.following;
    slot.following = false;
    if (follows && m_phase == SessionPhase::Leading && index == m_leader)
        return connect(index, true, now_ms);
    if (follows && m_phase == SessionPhase::Running) return connect(index, false, now_ms);
    switch (m_phase) {
        case SessionPhase::Leading:
            if (index == m_leader) try_next_leader(now_ms);
            break;
        case SessionPhase::Running:
            if (slot.recovery == Recovery::Closing) slot.recovery = Recovery::Pending;
            // Closed without a loss, by a Logout of its own: it is opened again.
            if (slot.enabled && slot.recovery == Recovery::None && slot.retry_ms == HAWSER_NEVER &&
                has_room())
                slot.retry_ms = now_ms + k_backoff_first_ms;
            continue_recovery(now_ms);
            break;
        case SessionPhase::LoggingOut:
        case SessionPhase::LoggingOutLast:
            continue_logout(now_ms);
            break;
        case SessionPhase::Ending:
            if (all_idle()) end(m_end_error, m_end_detail);
            break;
        case SessionPhase::Draining:  // handle_timeout begins anew when all are idle and the wait
                                      // is over
        case SessionPhase::Idle:
        case SessionPhase::Ended:
            break;
    }
}

uint32_t Session::handle_report(const hawser_report& received, uint64_t now_ms) {
    if (received.index >= m_connections.size())
        return note_own_mistake(*m_shared, OwnMistake::UnknownReport), 0;
    if (received.epoch != m_epoch) return 0;
    hawser_report report = received;
    switch (report.kind) {
        case HAWSER_REPORT_LOGGED_IN:
            handle_logged_in(report, now_ms);
            break;
        case HAWSER_REPORT_LOST:
            follow_redirect(report);
            take_announced_times(report);
            handle_lost(report, now_ms);
            break;
        case HAWSER_REPORT_CLOSED:
            handle_closed(report.index, now_ms);
            break;
        case HAWSER_REPORT_LOGGED_OUT:
            handle_logged_out(report, now_ms);
            // It closes the session whole (RFC 7143 11.14): what became of a sibling's own Logout
            // is no matter then. istgt, asked on several at once, closes some without an answer.
            if (m_phase == SessionPhase::LoggingOutLast && report.index == m_last_logout)
                m_end_error = m_end_detail = HAWSER_ERROR_NONE;
            break;
        case HAWSER_REPORT_RECOVERED:
            handle_recovered(report, now_ms);
            break;
        case HAWSER_REPORT_LOGOUT_REQUESTED:
            handle_logout_requested(report, now_ms);
            break;
        case HAWSER_REPORT_DROP_ANNOUNCED:
            note_announced_times(report);
            break;
        case HAWSER_REPORT_PORTAL:
            handle_portal(report);
            break;
        case HAWSER_REPORT_PORTALS_TOLD:
            handle_portals_told(report, now_ms);
            break;
        case HAWSER_REPORT_TRIED:
            handle_tried(report, now_ms);
            break;
        case HAWSER_REPORT_TASKS_ENDED:
            for (uint32_t i = 0; i < m_connections.size(); i++) {
                if (i == report.index || m_slots[i].phase != SlotPhase::LoggedIn) continue;
                hawser_order order = make_order(HAWSER_ORDER_CONCLUDE, i);
                order.scope = report.scope;
                push_order(order);
            }
            break;
        default:
            note_own_mistake(*m_shared, OwnMistake::UnknownReport);
            return reinstate(now_ms);
    }
    settle();
    return wants();
}

}  // namespace hawser
