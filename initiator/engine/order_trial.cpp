// SPDX-License-Identifier: GPL-2.0-or-later
// A trial of the target: does it put commands of several connections into the order of their CmdSN?
//
// Theory. RFC 7143 4.2.2.1 has a target wait for a number that is missing. Some do not: they go on
// with whatever comes, take a lower number that comes later for an error, and close its connection.
// The network reorders between connections, so several of them last as long as it takes two
// commands to cross. A connection lost with a crossed command may be that, or a loss like any
// other; only the target can tell. So, once, the crossing is made on purpose, with PDUs that do
// nothing: a connection takes a CmdSN for a NOP-Out and keeps it back (Held); another one sends a
// NOP-Out that counts, with a higher number, and an immediate one, whose answer says that both are
// there (Arrived); then the lower number goes out (Sent). A target that orders answers it. One that
// does not has either told an ExpCmdSN beyond a number that it never saw, which is proof, or closes
// the connection just then (session_order.cpp).
//
// While the number is kept back a target that orders stands still, so all of this is bounded by
// k_trial_ms: the number goes out then, whatever is known.
#include "engine/connection.hpp"

namespace hawser {

namespace {

constexpr uint64_t k_trial_ms = 1500;

// The three NOP-Outs, by the upper half of their ITT.
constexpr uint32_t k_trial_kept_back = 0;
constexpr uint32_t k_trial_overtaking = 1;
constexpr uint32_t k_trial_arrival = 2;

}  // namespace

bool Connection::is_on_trial() const {
    return m_on_trial && m_shared->trial_step.load(std::memory_order_relaxed) != TrialStep::Over;
}

// Whether numbers of others went out after one of ours that the target has not answered.
bool Connection::is_crossed() const {
    const Task* first = m_active.first();
    if (first == nullptr) return false;
    uint32_t ours = 0;
    wire::CmdSn lowest = first->cmd_sn;
    for (const Task* task = first; task != nullptr; task = task->link.next) {
        ours++;
        if (task->cmd_sn.precedes(lowest)) lowest = task->cmd_sn;
    }
    return m_shared->window.current().value() - lowest.value() != ours;
}

uint32_t Connection::try_order(uint32_t epoch, uint16_t other, uint64_t now_ms) {
    if (!m_open || m_closing || epoch != m_epoch || holds_for_trial()) return 0;
    if (!accepts() || m_holds_commands) return end_trial(HAWSER_TRIAL_UNDECIDED);
    m_shared->trial_other.store(other, std::memory_order_relaxed);
    m_trial_wanted = true;
    m_trial_overdue = false;
    m_trial_deadline_ms = now_ms + k_trial_ms;
    return HAWSER_WANT_TIMEOUT | continue_trial();
}

// Called whenever the window may have moved: nothing is known of a trial by anything else.
uint32_t Connection::continue_trial() {
    if (!m_trial_wanted) return 0;
    const std::optional<wire::CmdSn> cmd_sn = m_shared->window.take();
    if (!cmd_sn.has_value()) return 0;
    m_trial_wanted = false;
    m_trial_held = true;
    m_trial_cmd_sn = *cmd_sn;
    m_shared->trial_number.store(cmd_sn->value(), std::memory_order_relaxed);
    m_shared->trial_step.store(TrialStep::Held, std::memory_order_release);
    m_shared->window.wake(1u << m_shared->trial_other.load(std::memory_order_relaxed));
    return HAWSER_WANT_WAKE;
}

// Whether a NOP-Out of the trial may go out now, but for the window.
bool Connection::trial_is_due() const {
    if (!m_trial_held && !m_on_trial) return false;
    const TrialStep step = m_shared->trial_step.load(std::memory_order_acquire);
    if (m_trial_held) return step == TrialStep::Arrived || m_trial_overdue;
    return m_trial_arrival_wanted ||
           (step == TrialStep::Held && m_trial_answers == 0 &&
            m_shared->trial_other.load(std::memory_order_relaxed) == m_index);
}

bool Connection::fill_trial() {
    if (!trial_is_due()) return false;
    if (m_trial_held) {
        m_trial_held = false;
        // Overdue: whether it was overtaken is not known, and so its loss means nothing.
        if (!m_trial_overdue)
            m_shared->trial_step.store(TrialStep::Sent, std::memory_order_release);
        append_trial_nop(k_trial_kept_back, false, m_trial_cmd_sn);
    } else if (m_trial_arrival_wanted) {
        m_trial_arrival_wanted = false;
        append_trial_nop(k_trial_arrival, true, m_shared->window.current());
    } else {
        std::optional<wire::CmdSn> cmd_sn = m_shared->window.take();
        if (!cmd_sn.has_value() && !m_shared->window.wait(m_index))
            cmd_sn = m_shared->window.take();
        if (!cmd_sn.has_value()) return false;
        append_trial_nop(k_trial_overtaking, false, *cmd_sn);
        m_trial_arrival_wanted = true;
    }
    return true;
}

void Connection::append_trial_nop(uint32_t kind, bool immediate, wire::CmdSn cmd_sn) {
    wire::NopOut nop;
    if (immediate) nop.opcode |= wire::k_immediate;
    nop.initiator_task_tag = kind << 16 | k_trial_tag | m_index;
    nop.target_transfer_tag = wire::k_reserved_tag;
    nop.cmd_sn = cmd_sn.value();
    nop.exp_stat_sn = m_statuses.expected().value();
    append_header(nop);
    m_trial_answers |= static_cast<uint8_t>(1u << kind);
}

bool Connection::is_of_trial(uint32_t initiator_task_tag) const {
    const uint32_t kind = initiator_task_tag >> 16;
    return (initiator_task_tag & 0xffff) == (k_trial_tag | m_index) && kind <= k_trial_arrival &&
           (m_trial_answers >> kind & 1) != 0;
}

// A NOP-In of the trial; what it says of the window was taken already.
uint32_t Connection::handle_trial_answer(uint32_t initiator_task_tag) {
    const uint32_t kind = initiator_task_tag >> 16;
    m_trial_answers &= static_cast<uint8_t>(~(1u << kind));
    const wire::CmdSn number(m_shared->trial_number.load(std::memory_order_relaxed));
    const bool beyond = number.precedes(m_shared->window.expected());
    if (kind == k_trial_kept_back) {
        // Answered, but not counted: the target waits for this number for ever.
        if (!beyond) return end_trial(HAWSER_TRIAL_NOT_COUNTED);
        if (m_shared->trial_step.load(std::memory_order_relaxed) != TrialStep::Sent) return 0;
        return end_trial(HAWSER_TRIAL_ORDERED);
    }
    // The number may have been sent in the meantime, but not before this was said: the step tells.
    TrialStep held = TrialStep::Held;
    if (kind == k_trial_overtaking && !beyond) return 0;  // answered before its turn: NOPs may be
    if (!beyond && !m_shared->trial_step.compare_exchange_strong(held, TrialStep::Arrived))
        return 0;
    if (beyond && m_shared->trial_step.load(std::memory_order_relaxed) == TrialStep::Held)
        return end_trial(HAWSER_TRIAL_NOT_ORDERED);
    m_shared->window.wake(~(1u << m_index));
    return HAWSER_WANT_WAKE;
}

uint32_t Connection::handle_trial_timeout() {
    m_trial_deadline_ms = HAWSER_NEVER;
    if (!holds_for_trial()) return HAWSER_WANT_TIMEOUT;
    m_trial_wanted = false;
    m_trial_overdue = m_trial_held;
    return end_trial(HAWSER_TRIAL_UNDECIDED) | HAWSER_WANT_TRANSMIT;
}

// The other connection may take commands from here on, if there is to be one.
uint32_t Connection::end_trial(uint32_t outcome) {
    m_shared->trial_step.store(TrialStep::Over, std::memory_order_release);
    m_trial_deadline_ms = HAWSER_NEVER;
    m_shared->window.wake(~(1u << m_index));
    hawser_report report = make_report(HAWSER_REPORT_TRIED);
    report.detail = outcome;
    push_report(report);
    return HAWSER_WANT_REPORT | HAWSER_WANT_TIMEOUT | HAWSER_WANT_WAKE;
}

}  // namespace hawser
