// SPDX-License-Identifier: GPL-2.0-or-later
// The ladder of a command that the target does not answer, though it answers others.
//
// Theory. NOP-Outs tell that a target is there, not that it still has a task: another initiator's
// reset, a failover or a mistake takes one away without a word (RFC 7143 4.2.3.2, SAM-5 with TAS
// 0). So tasks that have a timeout are looked at once a second, and one that stands still for so
// long is aborted; where that is not answered either, its connection is given up, and where the
// target has taken it over at another one (ErrorRecoveryLevel 2) and is silent again, the session.
//
// What is no silence. A PDU of the task's, either way: it stirs. Data of it that we still owe. A
// task before it in the order of CmdSN that stirs or is answered: a target that carries out a deep
// queue over a slow link comes to each one in its turn, and an abort would only lengthen the
// queue. And a command that has no CmdSN yet, because the window is shut or the socket full: the
// target cannot have forgotten what it never had; what holds it up has a watch of its own (the
// tasks that fill the window this one, the socket the NOP-Out).
//
// Cost. The data path stores a mark that the task stirred, and the lowest CmdSN that was answered.
// The look walks the tasks, once a second, while there are any.
#include "engine/connection.hpp"

namespace hawser {

namespace {

constexpr uint64_t k_look_ms = 1000;
// On its second connection a task that was silent for all of its timeout gets no more than this.
constexpr uint32_t k_second_silence_ms = 3000;

}  // namespace

uint32_t Connection::watch_tasks(uint64_t now_ms) {
    if (!m_watches_tasks || m_look_ms != HAWSER_NEVER || m_active.empty()) return 0;
    m_look_ms = now_ms + k_look_ms;
    return HAWSER_WANT_TIMEOUT;
}

bool Connection::is_moving(const Task& task) const {
    return task.stirred || task.r2t_count != 0 ||
           task.sequences[k_outstanding_r2t_max].link.linked || m_transmit_task == &task;
}

// One before it got along since the last look. By its number: one that was reassigned stands behind
// others in the list that are younger.
bool Connection::follows_mover(const Task& task) const {
    return m_any_moved && m_first_moved.precedes(task.cmd_sn);
}

void Connection::note_moved(const Task& task) {
    if (m_any_moved && !task.cmd_sn.precedes(m_first_moved)) return;
    m_any_moved = true;
    m_first_moved = task.cmd_sn;
}

void Connection::note_all_moved() {
    for (Task* task = m_active.first(); task != nullptr; task = task->link.next)
        if (is_moving(*task)) note_moved(*task);
}

// On another connection, where the target has taken it over, it keeps the time that it has waited;
// a little is left to it in any case.
void Connection::carry_silence_on(Task& task, uint64_t now_ms) {
    const uint32_t timeout_ms = task.command.timeout_ms;
    if (task.rung == HAWSER_RUNG_CONNECTION || timeout_ms <= k_second_silence_ms)
        task.silent_since_ms = now_ms;
    else if (task.silent_since_ms + timeout_ms < now_ms + k_second_silence_ms)
        task.silent_since_ms = now_ms + k_second_silence_ms - timeout_ms;
}

uint64_t Connection::overdue_deadline() const {
    if (!accepts()) return HAWSER_NEVER;
    return m_ladder.is_busy() && m_ladder.deadline_ms < m_look_ms ? m_ladder.deadline_ms
                                                                  : m_look_ms;
}

uint32_t Connection::handle_overdue_timeout(uint64_t now_ms) {
    if (m_ladder.is_busy() && m_ladder.deadline_ms <= now_ms) return end_patience(now_ms);
    note_all_moved();
    for (Task* task = m_active.first(); task != nullptr; task = task->link.next) {
        if (is_moving(*task) || follows_mover(*task)) task->silent_since_ms = now_ms;
        task->stirred = false;
    }
    m_any_moved = false;
    // The last rung waits for no function that is out: another task's abort may be, for long.
    for (Task* task = m_active.first(); task != nullptr; task = task->link.next)
        if (task->rung == HAWSER_RUNG_CONNECTION && is_overdue(*task, now_ms))
            return give_up(*task, HAWSER_RUNG_SESSION, HAWSER_ERROR_TASK_OVERDUE_AGAIN, now_ms);
    m_look_ms = m_active.empty() ? HAWSER_NEVER : now_ms + k_look_ms;
    return climb(now_ms) | HAWSER_WANT_TIMEOUT;
}

bool Connection::is_overdue(const Task& task, uint64_t now_ms) const {
    uint32_t patience_ms = task.command.timeout_ms;
    if (patience_ms == 0) return false;
    if (task.rung == HAWSER_RUNG_CONNECTION && k_second_silence_ms < patience_ms)
        patience_ms = k_second_silence_ms;
    // What waits for data that a SNACK asked for has its status, or its own time.
    return !task.completion_deferred && !task.data_requested && !is_moving(task) &&
           !follows_mover(task) && now_ms - task.silent_since_ms >= patience_ms;
}

Task* Connection::next_overdue(uint64_t now_ms) {
    note_all_moved();
    for (Task* task = m_active.first(); task != nullptr; task = task->link.next) {
        if (is_overdue(*task, now_ms)) return task;
    }
    return nullptr;
}

void Connection::tell_rung(const Task& task, uint8_t rung, uint64_t now_ms) {
    m_ladder.told = {task.command.tag, static_cast<uint32_t>(now_ms - task.silent_since_ms), rung};
    m_ladder.told_due = true;
}

// The next step, if nothing is under way. A target need take one immediate function at a time on a
// connection (RFC 7143 4.2.2.1), and the host's own goes first.
uint32_t Connection::climb(uint64_t now_ms) {
    if (m_ladder.is_busy() || !accepts()) return 0;
    const bool taken = m_management.wanted || m_management.outstanding || m_reassigning != nullptr;
    Task* task = taken ? nullptr : next_overdue(now_ms);
    if (task == nullptr) {
        m_ladder.deadline_ms = HAWSER_NEVER;
        return HAWSER_WANT_TIMEOUT;
    }
    if (task->rung == HAWSER_RUNG_CONNECTION)
        return give_up(*task, HAWSER_RUNG_SESSION, HAWSER_ERROR_TASK_OVERDUE_AGAIN, now_ms);
    task->rung = HAWSER_RUNG_ABORT;
    tell_rung(*task, HAWSER_RUNG_ABORT, now_ms);
    m_ladder.wanted = true;
    m_ladder.task_itt = task->initiator_task_tag;
    // Many may be overdue at once, and are aborted one after the other while that is answered; they
    // have the time of one together.
    if (m_ladder.deadline_ms == HAWSER_NEVER)
        m_ladder.deadline_ms = now_ms + m_shared->options.abort_timeout_ms;
    return HAWSER_WANT_OVERDUE | HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
}

bool Connection::fill_ladder() {
    if (!m_ladder.wanted) return false;
    m_ladder.wanted = false;
    const Task* task = find_task(m_ladder.task_itt);
    if (task == nullptr) return false;  // it was answered after all
    m_ladder.outstanding = true;
    m_ladder.generation++;
    append_function(uint32_t{m_ladder.generation} << 16 | k_overdue_tag | m_index,
                    HAWSER_FUNCTION_ABORT_TASK, task->command.lun, task->initiator_task_tag,
                    task->cmd_sn, 0);
    return true;
}

bool Connection::awaits_ladder(uint32_t initiator_task_tag) const {
    return m_ladder.outstanding &&
           initiator_task_tag == (uint32_t{m_ladder.generation} << 16 | k_overdue_tag | m_index);
}

// A status that came before is the task's end, and there is none to abort.
uint32_t Connection::answer_ladder(uint8_t response) {
    m_ladder.outstanding = false;
    uint32_t wants = HAWSER_WANT_TIMEOUT | release_management();
    if (Task* task = find_task(m_ladder.task_itt)) {
        if (response > 1)  // 11.6.1: 0 and 1 both mean that the target has it no more
            return wants |
                   give_up(*task, HAWSER_RUNG_CONNECTION, HAWSER_ERROR_TASK_OVERDUE, m_now_ms);
        wants |= abort_task(*task);
    }
    return wants | climb(m_now_ms);
}

// No answer to the abort.
uint32_t Connection::end_patience(uint64_t now_ms) {
    if (const Task* task = find_task(m_ladder.task_itt))
        return give_up(*task, HAWSER_RUNG_CONNECTION, HAWSER_ERROR_TASK_OVERDUE, now_ms);
    // To one of a task that was answered meanwhile it is not missed.
    if (m_ladder.outstanding) m_ladder.late++;
    m_ladder.wanted = m_ladder.outstanding = false;
    return release_management() | climb(now_ms) | HAWSER_WANT_TIMEOUT;
}

// The connection goes. It does so by a FIN and is heard out, where the session goes with it: the
// target may yet be at work on the task, and must not write after the one that is sent anew.
uint32_t Connection::give_up(const Task& task, uint8_t rung, uint32_t error, uint64_t now_ms) {
    const uint32_t wants = fail(error);
    if (wants == 0) return 0;
    tell_rung(task, rung, now_ms);
    // None of them has to wait for its own abort at the next connection.
    for (Task* each = m_active.first(); each != nullptr; each = each->link.next)
        if (each == &task || is_overdue(*each, now_ms)) each->rung = HAWSER_RUNG_CONNECTION;
    return wants | HAWSER_WANT_OVERDUE;
}

void Connection::reset_ladder() {
    const uint16_t generation = m_ladder.generation;
    // What was told of the end is still to be polled.
    const hawser_overdue told = m_ladder.told;
    const bool told_due = m_ladder.told_due;
    m_ladder = {};
    m_ladder.generation = generation;
    m_ladder.told = told;
    m_ladder.told_due = told_due;
    m_look_ms = HAWSER_NEVER;
    m_watches_tasks = false;
    m_any_moved = false;
}

bool Connection::poll_overdue(hawser_overdue& overdue) {
    if (!m_ladder.told_due) return false;
    m_ladder.told_due = false;
    overdue = m_ladder.told;
    return true;
}

}  // namespace hawser
