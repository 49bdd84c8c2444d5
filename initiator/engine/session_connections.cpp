// SPDX-License-Identifier: GPL-2.0-or-later
// Connections that come and go while the session runs: added and dropped by the host, or sent away
// by the target (RFC 7143 11.9.1).
//
// A connection that leaves alone must not tear a hole into the order of commands: what a Logout
// discards at the target, unacknowledged, would be missed there for ever (11.14). So it first sends
// nothing new and waits for its tasks; the Logout (reason 1) then ends nothing, and the session
// runs on. Where tasks were left all the same, or the connection was the only one (reason 0), the
// session is reinstated as after a loss, only that the target knew of it.
#include "engine/session.hpp"

namespace hawser {

uint32_t Session::logged_in_connections() const {
    uint32_t count = 0;
    for (const Slot& slot : m_slots) count += slot.phase == SlotPhase::LoggedIn ? 1 : 0;
    return count;
}

uint32_t Session::add_connection(const hawser_portal* portal, uint32_t& index, uint64_t now_ms) {
    if (!is_under_way()) return HAWSER_ERROR_NOT_LOGGED_IN;
    if (is_alone()) return HAWSER_ERROR_CMD_SN_NOT_ORDERED;
    const uint32_t count = static_cast<uint32_t>(m_connections.size());
    uint32_t free = 0;
    while (free < count && (m_slots[free].enabled || m_slots[free].phase != SlotPhase::Idle))
        free++;
    if (free == count || enabled_connections() >= m_keys.max_connections)
        return HAWSER_ERROR_CONNECTIONS_FULL;
    const uint32_t home = portal != nullptr ? find_portal(*portal) : free % m_portal_count;
    if (home == HAWSER_PORTALS_MAX) return HAWSER_ERROR_PORTALS_FULL;
    if (portal != nullptr) m_portals_learned &= ~(1u << home);  // it is given now
    Slot& slot = m_slots[free];
    slot = {};
    slot.enabled = true;
    slot.home = home;
    index = free;
    m_settled = false;
    // Between two logins it comes with the others.
    if (m_phase == SessionPhase::Running) connect(free, false, now_ms);
    return HAWSER_ERROR_NONE;
}

uint32_t Session::drop_connection(uint32_t index) {
    if (index >= m_connections.size() || !m_slots[index].enabled)
        return HAWSER_ERROR_NO_SUCH_CONNECTION;
    if (!is_under_way()) return HAWSER_ERROR_NOT_LOGGED_IN;
    Slot& slot = m_slots[index];
    const bool only_one = slot.phase == SlotPhase::LoggedIn && logged_in_connections() == 1;
    if (enabled_connections() == 1 || only_one) return HAWSER_ERROR_LAST_CONNECTION;
    slot.enabled = false;
    if (m_phase != SessionPhase::Draining) close_one(index);
    // Who leads next, or is about to; one whose socket is open is followed when that is closed.
    if (m_leader == index && slot.phase == SlotPhase::Idle) m_leader = next_enabled(index);
    return HAWSER_ERROR_NONE;
}

// It has been logged in, or is on its way to be, and is not told to end.
bool Session::is_under_way() const {
    return m_phase == SessionPhase::Leading || m_phase == SessionPhase::Running ||
           m_phase == SessionPhase::Draining;
}

// In an orderly way, where it is logged in; the session runs on.
void Session::close_one(uint32_t index) {
    Slot& slot = m_slots[index];
    slot.following = false;
    slot.retry_ms = HAWSER_NEVER;
    if (slot.recovery == Recovery::Reopening) slot.recovery = Recovery::Closing;
    if (slot.phase == SlotPhase::LoggedIn) {
        retire(index, wire::LogoutRequest::k_close_connection);
    } else if (slot.phase == SlotPhase::Opening) {
        slot.phase = SlotPhase::Closing;
        push_order(make_order(HAWSER_ORDER_CLOSE, index));
    }
}

uint32_t Session::reinstate(uint64_t now_ms) {
    if (m_phase != SessionPhase::Running) return 0;
    hawser_report report{};
    report.index = m_leader;
    report.time2wait_s = report.time2retain_s = 0xffff;
    begin_reinstatement(report, now_ms);
    return wants();
}

void Session::retire(uint32_t index, uint8_t reason) {
    Slot& slot = m_slots[index];
    slot.phase = SlotPhase::Closing;
    slot.retiring = true;
    hawser_order order = make_order(HAWSER_ORDER_LOGOUT, index);
    order.logout_reason = reason | HAWSER_LOGOUT_WHEN_IDLE;
    push_order(order);
}

// Event 1: the connection says itself how long the target waits.
void Session::handle_logout_requested(const hawser_report& report, uint64_t now_ms) {
    note_error(report);
    if (m_phase != SessionPhase::Running || m_slots[report.index].phase != SlotPhase::LoggedIn)
        return;
    if (m_portals_awaited && report.index == m_leader) handle_portals_told(report, now_ms);
    retire(report.index, logged_in_connections() == 1 ? wire::LogoutRequest::k_close_session
                                                      : wire::LogoutRequest::k_close_connection);
}

void Session::handle_logged_out(const hawser_report& report, uint64_t now_ms) {
    Slot& slot = m_slots[report.index];
    const bool retired = slot.retiring;
    slot.phase = SlotPhase::Closing;
    slot.retiring = false;
    if (!retired || m_phase != SessionPhase::Running) return;
    bool others_leave = false;
    for (const Slot& other : m_slots) others_leave |= other.retiring;
    if (report.detail != 0 || (logged_in_connections() == 0 && !others_leave)) {
        // 11.15.3: the Time2Wait of a Logout Response is for ErrorRecoveryLevel 2.
        hawser_report loss = report;
        loss.time2wait_s = loss.time2retain_s = 0xffff;
        begin_reinstatement(loss, now_ms);
    } else if (slot.enabled && m_keys.default_time2wait_s != 0) {
        slot.retry_ms = now_ms + uint64_t{1000} * m_keys.default_time2wait_s;
    }
}

// Event 2 may come on a sibling: what it says of the times is kept for the loss itself.
void Session::note_announced_times(const hawser_report& report) {
    if (report.detail >= m_connections.size()) return;
    m_slots[report.detail].time2wait_s = report.time2wait_s;
    m_slots[report.detail].time2retain_s = report.time2retain_s;
}

void Session::take_announced_times(hawser_report& report) {
    Slot& slot = m_slots[report.index];
    if (report.time2wait_s == 0xffff) report.time2wait_s = slot.time2wait_s;
    if (report.time2retain_s == 0xffff) report.time2retain_s = slot.time2retain_s;
    slot.time2wait_s = slot.time2retain_s = 0xffff;
}

}  // namespace hawser
