// SPDX-License-Identifier: GPL-2.0-or-later
// Where a session may go: the portals it was given, those that the target tells of (SendTargets,
// RFC 7143 Appendix C), and where a login is sent on to (11.13.5).
//
// A redirect is part of the login that it answers: the same connection tries the new address at
// once, without a pause, and only so many times in a row. One that is permanent (0102) also takes
// the portal's place for as long as the session lives; a temporary one (0101) is forgotten with the
// login.
//
// What a target tells of its portals is what it knows of itself: behind NAT, or with a portal on
// its own loopback, that may be of no use here. A portal that was told and has never been logged in
// to costs one attempt, and then takes no given one's place.
#include "engine/address.hpp"
#include "engine/session.hpp"

namespace hawser {

namespace {

constexpr uint32_t k_redirects_max = 8;
constexpr uint32_t k_asks_max = 3;
constexpr uint32_t k_moved_permanently = 0x0102;

bool same_place(const hawser_portal& a, const hawser_portal& b) {
    return a.port == b.port && a.address.family == b.address.family &&
           __builtin_memcmp(a.address.bytes, b.address.bytes, sizeof(a.address.bytes)) == 0;
}

}  // namespace

const hawser_portal& Session::portal_of(const Slot& slot) const {
    return slot.redirect.address.family != 0 ? slot.redirect : m_portals[slot.portal];
}

// Portals are dealt out in turn; a connection whose portal fails goes on to those that no other
// connection begins with.
uint32_t Session::next_portal(uint32_t index) const {
    const Slot& slot = m_slots[index];
    const uint32_t number = (slot.home + slot.attempts * enabled_connections()) % m_portal_count;
    if ((m_portals_shunned >> number & 1) == 0) return number;
    return (index + slot.attempts) % m_shared->options.portal_count;
}

void Session::shun(const Slot& slot, bool was_opening) {
    if (was_opening) m_portals_shunned |= m_portals_learned & (1u << slot.portal);
}

// An address that names another machine here than there, or none at all.
bool Session::means_nothing(const hawser_address& address) const {
    if (!is_unicast(address)) return true;
    return is_loopback(address) && !is_loopback(portal_of(m_slots[m_leader]).address);
}

// The number of this portal, which is added if it is new; HAWSER_PORTALS_MAX: there is no room.
uint32_t Session::find_portal(const hawser_portal& portal) {
    for (uint32_t i = 0; i < m_portal_count; i++)
        if (same_place(m_portals[i], portal)) return i;
    if (m_portal_count == HAWSER_PORTALS_MAX) return HAWSER_PORTALS_MAX;
    m_portals[m_portal_count] = portal;
    m_portal_errors[m_portal_count] = HAWSER_ERROR_NONE;
    m_portal_details[m_portal_count] = 0;
    return m_portal_count++;
}

// Whether the further connections wait for the target to tell its portals. A target that rather
// goes away is not asked for ever.
bool Session::ask_for_portals() {
    if (m_shared->options.portals_all == 0 || m_portals_told || m_portals_asked == k_asks_max)
        return false;
    m_portals_asked++;
    m_portals_awaited = true;
    push_order(make_order(HAWSER_ORDER_SEND_TARGETS, m_leader));
    return true;
}

// The connections beside the leading one, which is one of those granted, whatever its index.
void Session::open_others(uint64_t now_ms) {
    for (uint32_t i = 0; i < m_connections.size() && has_room(); i++) {
        const Slot& slot = m_slots[i];
        if (slot.phase != SlotPhase::Idle || !slot.enabled || slot.retry_ms != HAWSER_NEVER ||
            slot.recovery != Recovery::None)
            continue;
        connect(i, false, now_ms);
    }
}

// 4.4.1: a session stays within one portal group. What is beyond the table is left out.
void Session::handle_portal(const hawser_report& report) {
    if (!m_portals_awaited || report.target_portal_group_tag != m_target_portal_group_tag) return;
    hawser_portal portal{};
    portal.address = report.redirect;
    portal.port = report.redirect_port;
    if (means_nothing(portal.address)) {
        m_portals_ignored++;
        return;
    }
    const uint32_t before = m_portal_count;
    const uint32_t number = find_portal(portal);
    if (m_portal_count != before) m_portals_learned |= 1u << number;
}

void Session::handle_portals_told(const hawser_report& report, uint64_t now_ms) {
    if (!m_portals_awaited) return;
    m_portals_awaited = false;
    m_portals_told = true;
    if (report.error != HAWSER_ERROR_NONE) note_error(report);
    // Who is logged in stays where it is, the others are dealt out anew.
    for (uint32_t i = 0; i < m_connections.size(); i++)
        if (m_slots[i].phase == SlotPhase::Idle) m_slots[i].home = i % m_portal_count;
    open_others(now_ms);
}

// A login was answered with "go elsewhere": says whether to, or makes it the error that it is.
void Session::follow_redirect(hawser_report& report) {
    Slot& slot = m_slots[report.index];
    const bool in_time = m_phase == SessionPhase::Leading || m_phase == SessionPhase::Running;
    const bool redirected = report.error == HAWSER_ERROR_LOGIN_REDIRECTED;
    if (!redirected || slot.phase != SlotPhase::Opening || !in_time) {
        slot.redirect = {};
        slot.redirects = 0;
        slot.moves = false;
        return;
    }
    hawser_portal there = portal_of(slot);
    if (there.address.family != report.redirect.family) there.source = {};
    there.address = report.redirect;
    there.port = report.redirect_port;
    if (report.redirect.family == 0)
        report.error = HAWSER_ERROR_REDIRECTED_NOWHERE;
    else if (is_loopback(there.address) && !is_loopback(portal_of(slot).address))
        report.error = HAWSER_ERROR_PORTAL_UNREACHABLE;
    if (slot.redirects == k_redirects_max) report.error = HAWSER_ERROR_REDIRECTED_TOO_OFTEN;
    if (report.error != HAWSER_ERROR_LOGIN_REDIRECTED) {
        slot.redirect = {};
        slot.redirects = 0;
        slot.moves = false;
        return;
    }
    slot.redirects++;
    slot.redirect = there;
    slot.following = true;
    slot.moves = slot.moves || report.detail == k_moved_permanently;
}

}  // namespace hawser
