// SPDX-License-Identifier: GPL-2.0-or-later
// A silent connection among living ones.
//
// Theory. A CmdSN that is stuck in a dead link holds up every later command of the session at the
// target, on whatever connection it came (RFC 7143 4.2.2.1), so one dead link of many is worse than
// a single one, and must be found long before a NOP-Out times out. What TCP does not get
// acknowledged says that a path is silent, whatever the target is busy with; but a target that is
// away is silent on all paths, and a session that waits for it is better off than one that starts
// anew. So after a moment of silence the connection asks its siblings for a sign of life: those
// that have heard nothing either send a NOP-Out. It is lost when TCP has got nowhere for a second
// and a sibling has heard from the target meanwhile; sooner at level 2, where a false alarm costs
// no more than a reassignment. The last word is the host's: what has come may yet lie in a ring of
// its own, behind the work of a busy CPU, and that is no silence.
#include "engine/connection.hpp"

namespace hawser {

namespace {

constexpr uint64_t k_suspect_ms = 400;
constexpr uint64_t k_stall_ms = 1000;
constexpr uint64_t k_stall_level_2_ms = 700;
constexpr uint64_t k_look_again_ms = 250;

}  // namespace

bool Connection::watches_stalls() const {
    return m_state == ConnectionState::LoggedIn && !m_draining && m_keys.max_connections > 1;
}

uint32_t Connection::handle_unacknowledged(uint64_t since_ms) {
    if (since_ms == m_unacknowledged_ms) return 0;
    m_unacknowledged_ms = since_ms;
    m_suspect_ms = m_stall_check_ms = HAWSER_NEVER;
    m_awaits_taken_in = false;
    return HAWSER_WANT_TIMEOUT;
}

// A sibling asked, and nothing has been heard here since; a ping that is out already will tell.
bool Connection::owes_sign_of_life() const {
    return watches_stalls() && !m_nop_outstanding && m_shared->options.noop_out_interval_ms != 0 &&
           m_last_received_ms < m_shared->suspected_ms.load(std::memory_order_relaxed);
}

uint64_t Connection::stall_deadline() const {
    if (!watches_stalls()) return HAWSER_NEVER;
    if (owes_sign_of_life()) return m_shared->suspected_ms.load(std::memory_order_relaxed);
    if (m_unacknowledged_ms == HAWSER_NEVER) return HAWSER_NEVER;
    return m_suspect_ms == HAWSER_NEVER ? m_unacknowledged_ms + k_suspect_ms : m_stall_check_ms;
}

bool Connection::sibling_lives() const {
    for (uint32_t i = 0; i < HAWSER_CONNECTIONS_MAX; i++) {
        if (i != m_index && m_shared->heard[i].ms.load(std::memory_order_relaxed) >= m_suspect_ms)
            return true;
    }
    return false;
}

uint32_t Connection::handle_stall_timeout(uint64_t now_ms) {
    if (owes_sign_of_life()) return ping(now_ms);
    if (m_suspect_ms == HAWSER_NEVER) {
        m_suspect_ms = now_ms;
        m_stall_check_ms = m_unacknowledged_ms +
                           (m_keys.error_recovery_level == 2 ? k_stall_level_2_ms : k_stall_ms);
        if (m_stall_check_ms <= now_ms) m_stall_check_ms = now_ms + k_look_again_ms;
        m_shared->suspected_ms.store(now_ms, std::memory_order_relaxed);
        m_shared->window.wake(~(1u << m_index));
        return HAWSER_WANT_WAKE | HAWSER_WANT_TIMEOUT;
    }
    if (sibling_lives()) {
        m_stall_check_ms = HAWSER_NEVER;
        m_awaits_taken_in = true;
        return HAWSER_WANT_TAKE_IN | HAWSER_WANT_TIMEOUT;
    }
    m_stall_check_ms = now_ms + k_look_again_ms;
    return HAWSER_WANT_TIMEOUT;
}

uint32_t Connection::handle_taken_in() {
    if (!m_awaits_taken_in) return 0;
    m_awaits_taken_in = false;
    return watches_stalls() ? fail(HAWSER_ERROR_STALLED) : 0;
}

}  // namespace hawser
