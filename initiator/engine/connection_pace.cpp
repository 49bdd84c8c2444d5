// SPDX-License-Identifier: GPL-2.0-or-later
// Which command goes next, and which writes wait here because the path is slow (pace.hpp).
//
// Nothing but writes waits. Reads and commands without data pass them, and pass Data-Out as well:
// 48 bytes. Writes and Data-Out take turns: what a target has asked for is served in the order in
// which it was asked for, at half the path's speed at worst, and a write whose time has come is not
// kept from going by the bursts of others. An ordered command passes nothing and is passed by
// nothing; one for the head of the queue does not wait. A retry has its CmdSN: it does not wait
// either, for the target does.
#include "engine/connection.hpp"

namespace hawser {

namespace {

constexpr uint8_t k_attribute_ordered = 2;
constexpr uint8_t k_attribute_head_of_queue = 3;
constexpr uint8_t k_attribute_aca = 4;
constexpr uint64_t k_look_pause_ms = 20;

bool writes(const hawser_command& command) {
    return (command.direction & HAWSER_DATA_WRITE) != 0 && command.length != 0;
}

bool is_ordered(const hawser_command& command) {
    return command.task_attribute == k_attribute_ordered ||
           command.task_attribute == k_attribute_aca;
}

}  // namespace

// What a target may ask for at once, of one command.
uint64_t Connection::ask_limit() const {
    const uint64_t asked = uint64_t{m_keys.max_burst_length} * m_keys.max_outstanding_r2t;
    return asked > m_keys.first_burst_length ? asked : m_keys.first_burst_length;
}

// `sent` bytes of the task's data have gone: what may the target ask for now?
void Connection::promise(Task& task, uint32_t sent) {
    const uint32_t length = task.command.length;
    uint32_t promised = sent < length ? length - sent : 0;
    if (promised > ask_limit()) promised = static_cast<uint32_t>(ask_limit());
    m_pace.promise(promised);
    m_pace.redeem(task.promised);
    task.promised = promised;
}

void Connection::take_back_promise(Task& task) {
    m_pace.redeem(task.promised);
    task.promised = 0;
}

// Whether a write may go: what it brings along counts as well.
bool Connection::admits(const Task& task) const {
    const uint64_t most = ask_limit() + m_keys.first_burst_length;
    return m_pace.admits(task.command.length < most ? task.command.length : most);
}

// Whether one of m_pending goes as it comes; the others join m_held, or stop what follows them.
bool Connection::goes_at_once(const Task& task) const {
    const hawser_command& command = task.command;
    if (task.numbered || command.task_attribute == k_attribute_head_of_queue) return true;
    if (!m_held.empty() && is_ordered(command)) return false;
    return !writes(command) || (m_held.empty() && admits(task));
}

bool Connection::command_is_due() const {
    if (m_holds_commands || holds_for_trial()) return false;
    if (m_pending.empty() && m_held.empty()) return false;
    if (!m_shared->window.is_open()) return false;
    const Task* task = m_pending.first();
    if (task != nullptr && (goes_at_once(*task) || !is_ordered(task->command))) return true;
    return !m_held.empty() && admits(*m_held.first());
}

Task* Connection::next_command() {
    while (Task* task = m_pending.first()) {
        if (goes_at_once(*task)) return task;
        if (is_ordered(task->command)) break;
        m_pending.remove(*task);
        m_held.push_back(*task);
        task->place = TaskPlace::Held;
    }
    Task* held = m_held.first();
    return held != nullptr && admits(*held) ? held : nullptr;
}

// One PDU with a command or with data that was asked for; false when there is none.
bool Connection::fill_task() {
    Task* task = m_holds_commands || holds_for_trial() ? nullptr : next_command();
    if (task == nullptr) return fill_data_out();
    if (!m_sequences.empty() && writes(task->command)) {
        // Unsolicited data goes in the order of its commands (RFC 7143 4.2.5.2).
        const bool unsolicited = m_keys.initial_r2t == 0 && m_keys.max_connections <= 1;
        m_data_out_turn = !m_data_out_turn;
        if (unsolicited || m_data_out_turn) return fill_data_out();
    }
    return fill_command(*task) || fill_data_out();
}

uint64_t Connection::pace_deadline() const {
    const bool holds = m_holds_commands || holds_for_trial();
    const bool waits = !m_held.empty() && !holds && m_pace.is_told();
    return waits ? m_queued_ms + k_look_pause_ms : HAWSER_NEVER;
}

uint32_t Connection::handle_queued(uint32_t bytes, uint64_t now_ms) {
    if (!m_open || m_closing) return 0;
    const uint64_t before = m_pace.acknowledged();
    const bool waits = !m_held.empty();
    m_pace.look(bytes, waits, now_ms);
    // What lies before a NOP-Out in TCP is no silence of the target, as long as it gets less.
    if (m_nop_outstanding && before < m_nop_end && before != m_pace.acknowledged())
        m_nop_progress_ms = now_ms;
    if (!waits) return 0;
    m_queued_ms = now_ms;
    return HAWSER_WANT_TIMEOUT | (command_is_due() ? HAWSER_WANT_TRANSMIT : 0);
}

// Whether a command that has no answer yet is only waiting its turn.
bool Connection::serves(uint32_t tag, uint64_t since_ms) const {
    if (tag >= m_shared->tasks.size()) return false;
    const uint32_t owner = m_shared->tasks[tag].identity.load(std::memory_order_relaxed) & 0xffff;
    return owner != m_index + 1 || m_served_ms.load(std::memory_order_relaxed) > since_ms;
}

// The command that was sent first has got on.
void Connection::note_service(const Task& task) {
    if (&task == m_active.first()) m_served_ms.store(m_now_ms, std::memory_order_relaxed);
}

}  // namespace hawser
