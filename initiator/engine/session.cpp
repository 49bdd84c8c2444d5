// SPDX-License-Identifier: GPL-2.0-or-later
// A session's beginning, end, timers and orders. session_recovery.cpp has what reports lead to.
#include "engine/session.hpp"

namespace hawser {

namespace {

// FNV-1a, to give an initiator the same ISID to a target at every boot (RFC 7143 11.12.5).
uint32_t hash_name(uint32_t hash, const char* name) {
    for (; *name != '\0'; name++) hash = (hash ^ static_cast<uint8_t>(*name)) * 16777619u;
    return hash;
}

}  // namespace

void Session::create(SessionShared& shared, std::span<Connection> connections,
                     uint16_t isid_qualifier, uint32_t random) {
    m_shared = &shared;
    m_connections = connections;
    m_random = random;
    m_order_asked = shared.options.cmd_sn_order;
    m_portal_count = shared.options.portal_count;
    for (uint32_t i = 0; i < m_portal_count; i++) m_portals[i] = shared.options.portals[i];
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        m_slots[i].enabled = i < shared.options.connection_start;
        m_slots[i].home = i % m_portal_count;
    }
    const uint16_t qualifier =
        isid_qualifier != 0 ? isid_qualifier : static_cast<uint16_t>(random | 1);
    // RFC 7143 11.12.5: type 10b "random", 24 bits, then the qualifier. Not 00023d..., which is
    // open-iscsi's: a session of its to the same target would reinstate ours away.
    const uint32_t hash = hash_name(hash_name(2166136261u, shared.options.initiator_name),
                                    shared.options.target_name);
    m_isid = {0x80,
              static_cast<uint8_t>(hash >> 16),
              static_cast<uint8_t>(hash >> 8),
              static_cast<uint8_t>(hash),
              static_cast<uint8_t>(qualifier >> 8),
              static_cast<uint8_t>(qualifier)};
}

hawser_order Session::make_order(uint32_t kind, uint32_t index) const {
    hawser_order order{};
    order.kind = kind;
    order.index = index;
    order.epoch = m_epoch;
    return order;
}

void Session::push_order(const hawser_order& order) {
    if (m_order_count == k_orders_max)
        return note_own_mistake(*m_shared, OwnMistake::OrderRingFull);
    m_orders[(m_order_begin + m_order_count) % k_orders_max] = order;
    m_order_count++;
}

bool Session::poll_order(hawser_order& order) {
    if (m_order_count == 0) return false;
    order = m_orders[m_order_begin];
    m_order_begin = (m_order_begin + 1) % k_orders_max;
    m_order_count--;
    return true;
}

uint32_t Session::wants() const {
    return HAWSER_WANT_TIMEOUT | (m_order_count != 0 ? HAWSER_WANT_ORDER : 0);
}

uint32_t Session::enabled_connections() const {
    uint32_t count = 0;
    for (const Slot& slot : m_slots) count += slot.enabled ? 1 : 0;
    return count;
}

// The connection after this one, in turn.
uint32_t Session::next_enabled(uint32_t index) const {
    const uint32_t count = static_cast<uint32_t>(m_connections.size());
    for (uint32_t i = 1; i <= count; i++)
        if (m_slots[(index + i) % count].enabled) return (index + i) % count;
    return index;
}

// How many of the connections asked for the target lets us have.
uint32_t Session::usable_connections() const {
    uint32_t asked = enabled_connections();
    if (is_alone()) asked = 1;
    // The one that a target is tried with comes before the others.
    if ((m_order == Order::Suspected || m_order == Order::Tried) && asked > 2) asked = 2;
    return m_keys.max_connections < asked ? m_keys.max_connections : asked;
}

bool Session::all_idle() const {
    for (size_t i = 0; i < m_connections.size(); i++) {
        if (m_slots[i].phase != SlotPhase::Idle) return false;
    }
    return true;
}

void Session::connect(uint32_t index, bool leading, uint64_t now_ms) {
    const uint32_t count = enabled_connections();
    const uint32_t portals = m_portal_count;
    Slot& slot = m_slots[index];
    slot.portal = next_portal(index);
    slot.phase = SlotPhase::Opening;
    slot.retry_ms = HAWSER_NEVER;
    const bool alone = count == 1 && portals == 1;
    // With others to try, a portal that does not answer TCP is not waited for as long as a login.
    const hawser_options& options = m_shared->options;
    const uint32_t patience = options.login_timeout_ms;
    hawser_order order = make_order(HAWSER_ORDER_CONNECT, index);
    order.portal = slot.portal;
    order.where = portal_of(slot);
    order.deadline_ms =
        now_ms +
        (alone || patience < options.connect_timeout_ms ? patience : options.connect_timeout_ms);
    for (size_t i = 0; i < m_isid.size(); i++) order.login.isid[i] = m_isid[i];
    order.login.cid = static_cast<uint16_t>(index);
    order.login.leading = leading;
    order.login.on_trial = !leading && m_order == Order::Suspected;
    order.login.random = m_random;
    if (!leading) {
        order.login.tsih = m_tsih;
        order.login.target_portal_group_tag = m_target_portal_group_tag;
        order.login.session_keys = m_keys;
    }
    push_order(order);
}

uint32_t Session::start(uint64_t now_ms) {
    if (m_phase != SessionPhase::Idle) return 0;
    m_give_up_ms = now_ms + m_shared->options.timeout_ms;
    m_leader = 0;
    begin_leading(now_ms);
    return wants();
}

uint32_t Session::end(uint32_t error, uint32_t detail) {
    m_phase = SessionPhase::Ended;
    m_state = SessionState::Free;
    m_give_up_ms = HAWSER_NEVER;
    hawser_order order = make_order(HAWSER_ORDER_ENDED, 0);
    order.error = error;
    order.detail = detail;
    push_order(order);
    return wants();
}

// Closes what is open without a word on the wire; CLOSED follows from each.
void Session::close_open_slots() {
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        Slot& slot = m_slots[i];
        slot.retry_ms = HAWSER_NEVER;
        if (slot.phase == SlotPhase::Opening || slot.phase == SlotPhase::LoggedIn) {
            slot.phase = SlotPhase::Closing;
            push_order(make_order(HAWSER_ORDER_CLOSE, i));
        }
    }
}

uint32_t Session::abandon() {
    if (m_phase == SessionPhase::Ended) return 0;
    if (m_phase != SessionPhase::Ending) {
        m_phase = SessionPhase::Ending;
        m_end_error = HAWSER_ERROR_GIVEN_UP;
        m_end_detail = 0;
        m_leading_retry_ms = HAWSER_NEVER;
        m_give_up_ms = HAWSER_NEVER;
    }
    // Those in a drain or a Logout are told as well: grace is over for them too.
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        if (m_slots[i].phase == SlotPhase::Closing) push_order(make_order(HAWSER_ORDER_CLOSE, i));
    }
    close_open_slots();
    return all_idle() ? end(m_end_error, m_end_detail) : wants();
}

uint32_t Session::logout(uint64_t now_ms) {
    if (m_phase == SessionPhase::LoggingOut || m_phase == SessionPhase::LoggingOutLast) return 0;
    if (m_phase != SessionPhase::Running || !any_in(SlotPhase::LoggedIn)) return abandon();
    m_phase = SessionPhase::LoggingOut;
    m_end_error = HAWSER_ERROR_NONE;
    m_last_logout = HAWSER_CONNECTIONS_MAX;
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        Slot& slot = m_slots[i];
        slot.retry_ms = HAWSER_NEVER;
        if (slot.phase == SlotPhase::Opening) {
            slot.phase = SlotPhase::Closing;
            push_order(make_order(HAWSER_ORDER_CLOSE, i));
        }
        if (slot.phase != SlotPhase::LoggedIn) continue;
        if (m_last_logout == HAWSER_CONNECTIONS_MAX) {
            m_last_logout = i;
            continue;
        }
        slot.phase = SlotPhase::Closing;
        hawser_order order = make_order(HAWSER_ORDER_LOGOUT, i);
        order.logout_reason = wire::LogoutRequest::k_close_connection;
        push_order(order);
    }
    continue_logout(now_ms);
    return wants();
}

// RFC 7143 11.14: each connection closes itself, so that none depends on how a target closes
// another one (istgt and tgt do it differently); the last one closes the session.
void Session::continue_logout(uint64_t) {
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        if (i != m_last_logout && m_slots[i].phase != SlotPhase::Idle) return;
    }
    if (m_phase == SessionPhase::LoggingOut && m_last_logout < m_connections.size() &&
        m_slots[m_last_logout].phase == SlotPhase::LoggedIn) {
        m_phase = SessionPhase::LoggingOutLast;
        m_slots[m_last_logout].phase = SlotPhase::Closing;
        hawser_order order = make_order(HAWSER_ORDER_LOGOUT, m_last_logout);
        order.logout_reason = wire::LogoutRequest::k_close_session;
        push_order(order);
        return;
    }
    if (all_idle()) end(m_end_error, m_end_detail);
}

uint64_t Session::poll_timeout() const {
    uint64_t deadline = m_give_up_ms;
    if (m_phase == SessionPhase::Leading && m_leading_retry_ms < deadline)
        deadline = m_leading_retry_ms;
    if (m_phase == SessionPhase::Draining && all_idle() && m_wait_until_ms < deadline)
        deadline = m_wait_until_ms;
    if (m_phase == SessionPhase::Running) {
        if (recovery_timeout() < deadline) deadline = recovery_timeout();
        for (size_t i = 0; i < m_connections.size(); i++) {
            // A socket that is still closing has nothing to do at its time: CLOSED comes first.
            if (m_slots[i].phase == SlotPhase::Idle && m_slots[i].retry_ms < deadline)
                deadline = m_slots[i].retry_ms;
        }
    }
    return deadline;
}

uint32_t Session::handle_timeout(uint64_t now_ms) {
    if (m_give_up_ms <= now_ms) {
        m_give_up_ms = HAWSER_NEVER;
        const uint32_t error =
            m_last_error != 0 ? m_last_error : uint32_t{HAWSER_ERROR_LOGIN_TIMEOUT};
        const uint32_t detail = m_last_detail;
        m_phase = SessionPhase::Ending;
        m_end_error = error;
        m_end_detail = detail;
        close_open_slots();
        return all_idle() ? end(error, detail) : wants();
    }
    if (m_phase == SessionPhase::Leading && m_leading_retry_ms <= now_ms) begin_leading(now_ms);
    if (m_phase == SessionPhase::Draining && all_idle() && m_wait_until_ms <= now_ms)
        begin_leading(now_ms);
    if (m_phase == SessionPhase::Running && recovery_timeout() <= now_ms) continue_recovery(now_ms);
    if (m_phase == SessionPhase::Running) {
        for (uint32_t i = 0; i < m_connections.size(); i++) {
            if (m_slots[i].phase == SlotPhase::Idle && m_slots[i].retry_ms <= now_ms)
                connect(i, false, now_ms);
        }
    }
    return wants();
}

void Session::read(hawser_session_snapshot& snapshot) const {
    snapshot = {};
    snapshot.state = static_cast<uint32_t>(m_state);
    snapshot.epoch = m_epoch;
    snapshot.reinstatements = m_reinstatements;
    snapshot.connections_granted = m_ever_logged_in ? m_keys.max_connections : 0;
    snapshot.last_error = m_last_error;
    snapshot.last_detail = m_last_detail;
    snapshot.last_index = m_last_index;
    snapshot.connections_asked = enabled_connections();
    snapshot.portal_count = m_portal_count;
    for (uint32_t i = 0; i < m_portal_count; i++) snapshot.portals[i] = m_portals[i];
    for (size_t i = 0; i < HAWSER_PORTALS_MAX; i++) {
        snapshot.errors[i] = m_portal_errors[i];
        snapshot.details[i] = m_portal_details[i];
    }
    for (size_t i = 0; i < m_isid.size(); i++) snapshot.isid[i] = m_isid[i];
    snapshot.tsih = m_tsih;
    snapshot.target_portal_group_tag = m_target_portal_group_tag;
    snapshot.keys = m_keys;
    snapshot.recoveries = m_recoveries;
    snapshot.portals_ignored = m_portals_ignored;
    snapshot.own_mistakes = m_shared->own_mistakes.load(std::memory_order_relaxed);
    snapshot.own_mistake = m_shared->own_mistake.load(std::memory_order_relaxed);
    snapshot.cmd_sn_order = m_order_asked;
    snapshot.fallback = m_order_asked == HAWSER_CMD_SN_ORDER_AUTO && is_alone();
}

}  // namespace hawser
