// SPDX-License-Identifier: GPL-2.0-or-later
// ErrorRecoveryLevel 2 as the session sees it: a lost connection does not end the session (RFC
// 7143 7.1.4.3, 7.5).
//
// Theory. A lost connection goes through phases: its socket is closed here (Closing); it waits for
// a way to have it removed at the target (Pending); a sibling that is logged in asks for that by a
// Logout with the reason "remove the connection for recovery" (Removing), then Time2Wait passes
// (Waiting); or, where no sibling is logged in, it logs in itself again under its own CID, which
// removes it just as well (Reopening, 6.3.4). After either its tasks may be reassigned, to any
// connection that is logged in (reassignment.cpp). The target remembers all this for Time2Retain
// after Time2Wait; when that is over, or anything is refused, the session is reinstated: the way of
// ErrorRecoveryLevel 0, which always works.
#include "engine/session.hpp"

namespace hawser {

namespace {

constexpr uint32_t k_reopen_pause_ms = 500;
constexpr uint64_t k_calm_ms = 500;
constexpr uint32_t k_recoveries_spare = 4;

// 11.15.1
constexpr uint32_t k_cid_not_found = 1;
constexpr uint32_t k_recovery_not_supported = 2;
// 11.6.1
constexpr uint32_t k_reassign_not_supported = 4;
constexpr uint32_t k_function_not_supported = 5;

// A connection that broke, as against a target that broke the protocol (7.7: session recovery).
constexpr bool is_connection_failure(uint32_t error) {
    switch (error) {
        case HAWSER_ERROR_HEADER_DIGEST:
        case HAWSER_ERROR_DATA_DIGEST:
        case HAWSER_ERROR_STAT_SN:
        case HAWSER_ERROR_SNACK_TIMEOUT:
        case HAWSER_ERROR_REASSIGN_TIMEOUT:
        case HAWSER_ERROR_ASYNC_DROP_CONNECTION:
            return true;
        case HAWSER_ERROR_TASK_OVERDUE_AGAIN:  // one was given up for it already
        case HAWSER_ERROR_COMMAND_NOT_TAKEN:   // the hole is the session's
            return false;
        default:
            return error < HAWSER_ERROR_LOGIN_REDIRECTED;
    }
}

}  // namespace

bool Session::any_in(SlotPhase phase) const {
    for (size_t i = 0; i < m_connections.size(); i++) {
        if (m_slots[i].phase == phase) return true;
    }
    return false;
}

// Each recovery of a target that drops what it is given back would lead to the next one: after
// some in a row the session starts anew, which has a backoff.
bool Session::recovers_in_vain(uint64_t now_ms) {
    m_recoveries_in_a_row =
        now_ms - m_recovered_ms < k_calm_ms ? m_recoveries_in_a_row + 1 : uint32_t{0};
    m_recovered_ms = now_ms;
    return m_recoveries_in_a_row > 2 * m_connections.size() + k_recoveries_spare;
}

bool Session::can_recover(const hawser_report& report) const {
    const uint32_t retain_s =
        report.time2retain_s != 0xffff ? report.time2retain_s : m_keys.default_time2retain_s;
    return m_keys.error_recovery_level >= 2 && retain_s != 0 && !m_never_recovers &&
           is_connection_failure(report.error);
}

// "Not supported" is true of the target, not of this loss: it is not asked again.
void Session::note_unsupported(uint32_t error, uint32_t detail) {
    m_never_recovers |= error == HAWSER_ERROR_REASSIGN_REFUSED &&
                        (detail == k_reassign_not_supported || detail == k_function_not_supported);
    m_never_recovers |=
        error == HAWSER_ERROR_RECOVERY_REFUSED && detail == k_recovery_not_supported;
}

void Session::begin_recovery(const hawser_report& report, uint64_t now_ms) {
    Slot& slot = m_slots[report.index];
    const uint32_t wait_s =
        report.time2wait_s != 0xffff ? report.time2wait_s : m_keys.default_time2wait_s;
    const uint32_t retain_s =
        report.time2retain_s != 0xffff ? report.time2retain_s : m_keys.default_time2retain_s;
    m_recoveries++;
    slot.recovery = Recovery::Closing;
    slot.retry_ms = HAWSER_NEVER;
    slot.recover_ms = now_ms + uint64_t{1000} * wait_s;
    slot.retain_ms = slot.recover_ms + uint64_t{1000} * retain_s;
    if (!any_in(SlotPhase::LoggedIn)) m_state = SessionState::Failed;
}

// One that is logged in and has no Logout for recovery out; its index, or how many there are.
uint32_t Session::free_remover() const {
    uint32_t index = 0;
    for (; index < m_connections.size(); index++) {
        if (m_slots[index].phase != SlotPhase::LoggedIn) continue;
        bool busy = false;
        for (const Slot& slot : m_slots)
            busy |= slot.recovery == Recovery::Removing && slot.remover == index;
        if (!busy) break;
    }
    return index;
}

// What can go on, goes on. Called when anything has changed, and at its time.
void Session::continue_recovery(uint64_t now_ms) {
    if (m_phase != SessionPhase::Running) return;
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        Slot& slot = m_slots[i];
        if (slot.recovery == Recovery::None) continue;
        if (slot.retain_ms <= now_ms) return give_up_recovery(HAWSER_ERROR_RETAIN_OVER, 0, now_ms);
        if (slot.recovery == Recovery::Waiting && slot.recover_ms <= now_ms)
            finish_recovery(i, now_ms);
        if (slot.recovery != Recovery::Pending) continue;
        const uint32_t remover = free_remover();
        if (remover < m_connections.size()) {
            slot.recovery = Recovery::Removing;
            slot.remover = remover;
            hawser_order order = make_order(HAWSER_ORDER_RECOVER, remover);
            order.cid = static_cast<uint16_t>(i);
            push_order(order);
        } else if (!any_in(SlotPhase::LoggedIn) && !any_in(SlotPhase::Opening) &&
                   slot.phase == SlotPhase::Idle && slot.recover_ms <= now_ms) {
            slot.recovery = Recovery::Reopening;
            connect(i, false, now_ms);
        }
    }
}

// Its tasks may move.
void Session::finish_recovery(uint32_t index, uint64_t now_ms) {
    Slot& slot = m_slots[index];
    slot.recovery = Recovery::None;
    m_shared->recovering.fetch_and(~(1u << index), std::memory_order_relaxed);
    if (slot.phase == SlotPhase::Idle && slot.enabled) slot.retry_ms = now_ms;
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        if (m_slots[i].phase == SlotPhase::LoggedIn)
            push_order(make_order(HAWSER_ORDER_PROCEED, i));
    }
}

// A login of ours while the session had no connection left, or a further one.
void Session::rejoin(uint32_t index, uint64_t now_ms) {
    if (m_slots[index].recovery == Recovery::Reopening) finish_recovery(index, now_ms);
    if (m_state == SessionState::Failed) {
        m_state = SessionState::LoggedIn;
        push_order(make_order(HAWSER_ORDER_RELEASE, 0));
    }
    continue_recovery(now_ms);
}

void Session::handle_recovered(const hawser_report& report, uint64_t now_ms) {
    if (report.cid >= m_connections.size()) return;
    Slot& slot = m_slots[report.cid];
    if (slot.recovery != Recovery::Removing || slot.remover != report.index) return;
    if (report.detail > k_cid_not_found)
        return give_up_recovery(HAWSER_ERROR_RECOVERY_REFUSED, report.detail, now_ms);
    slot.recovery = Recovery::Waiting;
    // 11.15.3: what a Logout Response says holds from there on. Where the target knew of no such
    // connection it says nothing, and DefaultTime2Wait since the loss stays (13.15).
    if (report.detail == 0) slot.recover_ms = now_ms + uint64_t{1000} * report.time2wait_s;
    if (slot.retain_ms <= slot.recover_ms) slot.retain_ms = slot.recover_ms + 1;
    continue_recovery(now_ms);
}

// A connection was lost, or did not come up, while recovery is under way.
void Session::disturb_recovery(const hawser_report& report, uint64_t now_ms) {
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        Slot& other = m_slots[i];
        if (other.recovery != Recovery::Removing || other.remover != report.index) continue;
        // A target that does not answer would have each sibling lost in turn, for ever.
        if (report.error == HAWSER_ERROR_LOGOUT_TIMEOUT)
            return give_up_recovery(report.error, report.detail, now_ms);
        other.recovery = Recovery::Pending;
    }
    Slot& slot = m_slots[report.index];
    if (slot.recovery != Recovery::Reopening) return;
    // The target no longer has the session, or refuses it: there is nothing to go on with.
    if (report.error >= HAWSER_ERROR_LOGIN_INITIATOR_ERROR)
        return give_up_recovery(report.error, report.detail, now_ms);
    slot.recovery = Recovery::Closing;
    slot.recover_ms = now_ms + k_reopen_pause_ms;
}

void Session::give_up_recovery(uint32_t error, uint32_t detail, uint64_t now_ms) {
    hawser_report report{};
    report.error = error;
    report.detail = detail;
    report.index = m_last_index;
    report.time2wait_s = 0xffff;
    report.time2retain_s = 0xffff;
    m_last_error = error;
    m_last_detail = detail;
    note_unsupported(error, detail);
    begin_reinstatement(report, now_ms);
}

uint64_t Session::recovery_timeout() const {
    uint64_t deadline = HAWSER_NEVER;
    const bool alone = !any_in(SlotPhase::LoggedIn) && !any_in(SlotPhase::Opening);
    for (size_t i = 0; i < m_connections.size(); i++) {
        const Slot& slot = m_slots[i];
        if (slot.recovery == Recovery::None) continue;
        const bool waits =
            slot.recovery == Recovery::Waiting || (slot.recovery == Recovery::Pending && alone);
        const uint64_t due =
            waits && slot.recover_ms < slot.retain_ms ? slot.recover_ms : slot.retain_ms;
        if (due < deadline) deadline = due;
    }
    return deadline;
}

}  // namespace hawser
