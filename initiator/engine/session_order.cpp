// SPDX-License-Identifier: GPL-2.0-or-later
// Targets that do not put commands of several connections into the order of their CmdSN.
//
// Theory. With such a target a session of several connections is reinstated for ever, and a session
// of one works. It is known by two things together. A connection is closed by the target, or reset,
// while it owes an answer to a command that others' commands have crossed: that is a suspicion, and
// also what every reset of an honest target under load looks like. So the next connection to come
// is held back from commands, and the target is tried (order_trial.cpp). A target that passes is
// never tried again; one that does not pass, by its own numbers or twice by a close, has its
// session started anew with a single connection, for as long as the session lives. A trial may be
// spoilt by another loss or by a full window, so there are a few; a target that none could judge,
// and that goes on closing crossed connections soon after they came, is given one connection as
// well.
//
// The administrator's word goes before all this (HAWSER_CMD_SN_ORDER_*).
#include "engine/session.hpp"

namespace hawser {

namespace {

constexpr uint32_t k_trials_max = 4;
constexpr uint32_t k_refusals_max = 2;
constexpr uint32_t k_suspicions_max = 8;
constexpr uint64_t k_soon_ms = 10000;

constexpr bool is_closed_by_peer(uint32_t error) {
    return error == HAWSER_ERROR_CLOSED_BY_TARGET || error == HAWSER_ERROR_CONNECTION_RESET;
}

}  // namespace

// One connection, of all that are asked for.
bool Session::is_alone() const {
    if (m_order_asked == HAWSER_CMD_SN_ORDER_AUTO) return m_order == Order::Refused;
    return m_order_asked == HAWSER_CMD_SN_ORDER_CONNECTION;
}

// Whether one more may be opened beside those that are open or are going to be.
bool Session::has_room() const {
    uint32_t count = 0;
    for (const Slot& slot : m_slots) {
        const bool open = slot.phase == SlotPhase::Opening || slot.phase == SlotPhase::LoggedIn;
        count += open || slot.following || slot.retry_ms != HAWSER_NEVER ? 1 : 0;
    }
    return count < usable_connections();
}

// A connection that was logged in is lost while the session runs. Whether the session has to start
// anew for it, at any ErrorRecoveryLevel: a number that was kept back may be a hole in the target's
// order for ever, and one connection of several is the beginning of a session.
bool Session::suspect(const hawser_report& report, uint64_t now_ms) {
    const bool spoils = m_order == Order::Tried &&
                        (report.index == m_trial_ends[0] || report.index == m_trial_ends[1]);
    const bool was_alone = is_alone();
    if (m_order_asked == HAWSER_CMD_SN_ORDER_AUTO && m_order != Order::Refused)
        note_crossed(report, now_ms);
    return spoils || was_alone != is_alone();
}

void Session::note_crossed(const hawser_report& report, uint64_t now_ms) {
    // Once may be chance.
    if (refuses_order(report) && ++m_refusals == k_refusals_max) {
        m_order = Order::Refused;
        return;
    }
    const bool last = logged_in_connections() == 0;  // it is no longer one of them
    if (m_order == Order::Kept || last || !report.crossed || !is_closed_by_peer(report.error))
        return;
    m_suspicions = now_ms - m_logged_in_ms < k_soon_ms ? m_suspicions + 1 : 1;
    if (m_suspicions >= k_suspicions_max)
        m_order = Order::Refused;
    else if (m_order == Order::Unknown && m_trials < k_trials_max)
        m_order = Order::Suspected;
}

// A new nexus: a trial of the old one has come to nothing.
void Session::begin_order() {
    m_shared->trial_step.store(TrialStep::None, std::memory_order_release);
    if (m_order == Order::Tried)
        m_order = m_trials < k_trials_max ? Order::Suspected : Order::Unknown;
}

// A further connection has logged in.
void Session::judge_order(uint32_t index, uint64_t now_ms) {
    if (m_order == Order::Suspected) try_order(index);
    if (m_order == Order::Tried) return;
    if (m_order == Order::Suspected) return end_trial(now_ms);  // nobody is there to be overtaken
    if (m_shared->trial_step.exchange(TrialStep::Over, std::memory_order_acq_rel) !=
        TrialStep::Over)
        push_order(make_order(HAWSER_ORDER_PROCEED, index));
}

// Whether this loss is a target's answer to the trial.
bool Session::refuses_order(const hawser_report& report) const {
    if (m_order != Order::Tried || !is_closed_by_peer(report.error)) return false;
    const TrialStep step = m_shared->trial_step.load(std::memory_order_acquire);
    // What the keeper of the number had sent before it may be overtaken as well.
    const bool under_way = step != TrialStep::None && step != TrialStep::Over;
    return under_way && (report.index == m_trial_ends[0] || report.index == m_trial_ends[1]);
}

// The connection that has just come overtakes one that is there.
void Session::try_order(uint32_t index) {
    uint32_t keeper = m_leader;
    if (keeper == index || m_slots[keeper].phase != SlotPhase::LoggedIn) {
        keeper = 0;
        while (keeper < m_connections.size() &&
               (keeper == index || m_slots[keeper].phase != SlotPhase::LoggedIn))
            keeper++;
    }
    m_shared->trial_step.store(TrialStep::None, std::memory_order_release);
    if (keeper == m_connections.size()) return;
    m_order = Order::Tried;
    m_trials++;
    m_trial_ends[0] = keeper;
    m_trial_ends[1] = index;
    hawser_order order = make_order(HAWSER_ORDER_TRY_ORDER, keeper);
    order.cid = static_cast<uint16_t>(index);
    push_order(order);
}

void Session::handle_tried(const hawser_report& report, uint64_t now_ms) {
    if (m_phase != SessionPhase::Running) return;
    if (report.detail == HAWSER_TRIAL_NOT_COUNTED) {
        // There is a hole in its order now; and no trial is to make another one.
        m_trials = k_trials_max;
        return begin_reinstatement(report, now_ms);
    }
    if (m_order != Order::Tried) return;
    if (report.detail == HAWSER_TRIAL_NOT_ORDERED) {
        hawser_report loss = report;
        loss.error = HAWSER_ERROR_CMD_SN_NOT_ORDERED;
        loss.detail = 0;
        note_error(loss);
        m_order = Order::Refused;
        return begin_reinstatement(loss, now_ms);
    }
    m_order = report.detail == HAWSER_TRIAL_ORDERED ? Order::Kept : Order::Unknown;
    end_trial(now_ms);
}

// Whoever was held back for it takes commands, and the others come.
void Session::end_trial(uint64_t now_ms) {
    if (m_order == Order::Suspected || m_order == Order::Tried) m_order = Order::Unknown;
    m_shared->trial_step.store(TrialStep::Over, std::memory_order_release);
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        if (m_slots[i].phase == SlotPhase::LoggedIn)
            push_order(make_order(HAWSER_ORDER_PROCEED, i));
    }
    open_others(now_ms);
}

uint32_t Session::set_cmd_sn_order(uint8_t order, uint64_t now_ms) {
    const bool was_alone = is_alone();
    m_order_asked = order;
    m_suspicions = m_trials = m_refusals = 0;
    if (m_order != Order::Tried) m_order = Order::Unknown;
    if (m_phase != SessionPhase::Running || was_alone == is_alone()) return wants();
    if (was_alone) {
        open_others(now_ms);
        return wants();
    }
    uint32_t stays = m_leader;
    if (m_slots[stays].phase != SlotPhase::LoggedIn) {
        for (uint32_t i = 0; i < m_connections.size(); i++)
            if (m_slots[i].phase == SlotPhase::LoggedIn) stays = i;
    }
    for (uint32_t i = 0; i < m_connections.size(); i++) {
        if (i == stays || !m_slots[i].enabled) continue;
        close_one(i);
    }
    return wants();
}

}  // namespace hawser
