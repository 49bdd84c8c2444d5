// SPDX-License-Identifier: GPL-2.0-or-later
// Task management: ending tasks before the target does, RFC 7143 11.5, 11.6 and 4.2.3.
//
// Theory. A function is immediate, so it passes a closed window and concerns every command whose
// CmdSN comes before the one that it carries. Until its answer is here nothing changes: R2Ts of the
// tasks concerned are answered (4.2.3.3 a), their responses are taken (b). The answer is the last
// word on them (c): what has not completed by then goes back to the host as aborted, once, and is
// out of the wire's reach. The target's response fence (4.2.2.3.2) means that nothing of them can
// come on a sibling either; the siblings are told by way of the session.
//
// Targets are not that strict: a Data-In, R2T or Response that comes for a task so ended is counted
// where it has a StatSN, and passed over. Its pages are the host's again, so no byte is placed; and
// a Data-Out PDU that is half in the socket is sent to its end before the task is given back.
#include "engine/connection.hpp"

namespace hawser {

namespace {

constexpr uint8_t k_function_rejected = 255;  // 11.6.1

constexpr bool is_target_reset(uint8_t function) {
    return function == HAWSER_FUNCTION_TARGET_WARM_RESET ||
           function == HAWSER_FUNCTION_TARGET_COLD_RESET;
}

uint32_t timeout_of(const hawser_options& options, uint8_t function) {
    if (is_target_reset(function)) return options.tgt_reset_timeout_ms;
    return function == HAWSER_FUNCTION_LOGICAL_UNIT_RESET ? options.lu_reset_timeout_ms
                                                          : options.abort_timeout_ms;
}

bool concerns(const hawser_scope& scope, const Task& task) {
    return is_target_reset(scope.function) ||
           __builtin_memcmp(scope.lun, task.command.lun, sizeof(scope.lun)) == 0;
}

}  // namespace

// The task of this tag, if this connection has it; its slot may be somebody else's.
Task* Connection::find_own(uint32_t tag) {
    if (tag >= m_shared->tasks.size()) return nullptr;
    Task& task = m_shared->tasks[tag];
    if ((task.identity.load(std::memory_order_relaxed) & 0xffff) == m_index + 1) return &task;
    for (const TaskList* list : {&m_pending, &m_held})
        for (Task* pending = list->first(); pending != nullptr; pending = pending->link.next)
            if (pending == &task) return pending;
    return nullptr;
}

bool Connection::is_aborted(uint32_t initiator_task_tag) const {
    const uint32_t tag = initiator_task_tag & 0xffff;
    return tag < m_shared->tasks.size() &&
           m_shared->tasks[tag].aborted_itt.load(std::memory_order_relaxed) == initiator_task_tag;
}

uint32_t Connection::manage(const hawser_task_management& request, uint64_t now_ms) {
    Management& management = m_management;
    if (management.wanted || management.outstanding || management.result_due ||
        management.report_due)
        return 0;
    management.scope = {};
    management.scope.function = request.function;
    if (!accepts()) return end_management(HAWSER_ERROR_TASK_MANAGEMENT_LOST, 0);
    if (request.function == HAWSER_FUNCTION_ABORT_TASK) {
        Task* task = find_own(request.tag);
        // A task that waits to be reassigned may be at work in the target, which would not know it
        // by the name of this connection: a wider function has to end it.
        for (Task* waits = m_reassigns.first(); waits != nullptr; waits = waits->link.next)
            if (waits->command.tag == request.tag) return end_management(0, k_function_rejected);
        if (task == nullptr || task->completion_deferred) return end_management(0, 1);
        if (task->identity.load(std::memory_order_relaxed) % 0x10000 == 0) {
            return abort_task(*task) | end_management(0, 0);
        }
        management.task_itt = task->initiator_task_tag;
        management.task_cmd_sn = task->cmd_sn;
        __builtin_memcpy(management.scope.lun, task->command.lun, sizeof(management.scope.lun));
    } else if (!is_target_reset(request.function)) {
        __builtin_memcpy(management.scope.lun, request.lun, sizeof(request.lun));
    }
    management.wanted = true;
    management.deadline_ms = now_ms + timeout_of(m_shared->options, request.function);
    return HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
}

void Connection::append_function(uint32_t itt, uint8_t function, const uint8_t* lun,
                                 uint32_t referenced_itt, wire::CmdSn ref_cmd_sn,
                                 uint32_t exp_data_sn) {
    wire::TaskManagementRequest request;
    request.opcode |= wire::k_immediate;
    request.function = wire::k_final | function;
    if (lun != nullptr) __builtin_memcpy(request.lun, lun, sizeof(request.lun));
    request.initiator_task_tag = itt;
    request.referenced_task_tag = referenced_itt;
    request.cmd_sn = m_shared->window.current().value();
    request.exp_stat_sn = m_statuses.expected().value();
    request.ref_cmd_sn = ref_cmd_sn.value();
    request.exp_data_sn = exp_data_sn;
    append_header(request);
}

void Connection::append_management() {
    Management& management = m_management;
    const bool one = management.scope.function == HAWSER_FUNCTION_ABORT_TASK;
    management.wanted = false;
    management.outstanding = true;
    management.generation++;
    management.scope.cmd_sn = m_shared->window.current().value();
    append_function(uint32_t{management.generation} << 16 | k_management_tag | m_index,
                    management.scope.function, management.scope.lun,
                    one ? management.task_itt : wire::k_reserved_tag,
                    one ? management.task_cmd_sn : wire::CmdSn{}, 0);
}

// The ladder's function is over, so that the host's may go, if its own time is not over: a host
// waits for its result no longer than that.
uint32_t Connection::release_management() const {
    return m_management.wanted ? HAWSER_WANT_TRANSMIT : 0;
}

uint32_t Connection::end_management(uint32_t error, uint8_t response) {
    m_management.wanted = false;
    m_management.outstanding = false;
    m_management.deadline_ms = HAWSER_NEVER;
    m_management.result = {error, response, m_management.scope.function};
    m_management.result_due = true;
    return HAWSER_WANT_MANAGED | HAWSER_WANT_TIMEOUT;
}

bool Connection::poll_managed(hawser_managed& managed) {
    if (!m_management.result_due) return false;
    m_management.result_due = false;
    managed = m_management.result;
    return true;
}

bool Connection::awaits_management(uint32_t initiator_task_tag) const {
    return m_management.outstanding &&
           initiator_task_tag ==
               (uint32_t{m_management.generation} << 16 | k_management_tag | m_index);
}

uint32_t Connection::handle_management_response() {
    const auto& response = header_as<wire::TaskManagementResponse>();
    const uint32_t itt = response.initiator_task_tag.get();
    if ((itt & 0xffff) == (k_reassign_tag | m_index)) return handle_reassign_response();
    if (awaits_ladder(itt)) {
        const uint32_t wants = take_window();
        return wants | answer_ladder(response.response);
    }
    const bool awaited = awaits_management(itt);
    // One that comes after its time is discarded, RFC 7143 4.2.3.3 c.
    const bool late = m_management.overdue != 0 && (itt & 0xffff) == (k_management_tag | m_index);
    if (m_ladder.late != 0 && (itt & 0xffff) == (k_overdue_tag | m_index)) {
        m_ladder.late--;
        return take_window();
    }
    if (!awaited && !late) return fail(HAWSER_ERROR_UNEXPECTED_OPCODE, response.opcode);
    const uint32_t wants = take_window();
    if (awaited) return wants | answer_management(response.response);
    m_management.overdue--;
    return wants;
}

uint32_t Connection::answer_management(uint8_t response) {
    const hawser_scope& scope = m_management.scope;
    uint32_t wants = end_management(HAWSER_ERROR_NONE, response);
    if (scope.function == HAWSER_FUNCTION_ABORT_TASK) {
        // 11.6.1: both mean that the target has it no more.
        Task* task = response <= 1 ? find_task(m_management.task_itt) : nullptr;
        return task == nullptr ? wants : wants | abort_task(*task);
    }
    if (response != 0) return wants;
    m_management.report_due = true;
    return wants | HAWSER_WANT_REPORT | conclude_tasks(scope);
}

uint32_t Connection::conclude(uint32_t epoch, const hawser_scope& scope) {
    return m_open && !m_closing && epoch == m_epoch ? conclude_tasks(scope) : 0;
}

uint32_t Connection::conclude_tasks(const hawser_scope& scope) {
    uint32_t wants = 0;
    Task* following = nullptr;
    for (Task* task = m_active.first(); task != nullptr; task = following) {
        following = task->link.next;
        if (concerns(scope, *task) && task->cmd_sn.precedes(wire::CmdSn(scope.cmd_sn)))
            wants |= abort_task(*task);
    }
    for (const TaskList* list : {&m_pending, &m_held}) {
        for (Task* task = list->first(); task != nullptr; task = following) {
            following = task->link.next;
            if (concerns(scope, *task)) wants |= abort_task(*task);
        }
    }
    for (Task* task = m_reassigns.first(); task != nullptr; task = following) {
        following = task->link.next;
        if (concerns(scope, *task) && task->cmd_sn.precedes(wire::CmdSn(scope.cmd_sn)))
            wants |= abort_task(*task);
    }
    return wants;
}

// The task is the host's from here on, or as soon as its PDU has left.
uint32_t Connection::abort_task(Task& task) {
    if (task.completion_deferred) return 0;  // the target had completed it
    // Of one that was never sent nothing can come; its slot may still have to know the one before,
    // which was ended by the same reset on a sibling, and whose response is on its way.
    if (task.identity.load(std::memory_order_relaxed) % 0x10000 != 0)
        task.aborted_itt.store(task.initiator_task_tag, std::memory_order_relaxed);
    task.completion = {};
    task.completion.tag = task.command.tag;
    task.completion.aborted = 1;
    drop_sequences(task);
    forget_snacks(task);
    release_status(task);
    task.retry_wanted = false;
    if (m_receive_task == &task) {
        // The rest of this Data-In goes where it hurts nobody.
        m_receive_task = nullptr;
        if (m_receive_stage == ReceiveStage::Placement) m_receive_stage = ReceiveStage::Segment;
    }
    if (m_transmit_task == &task) {
        task.completion_deferred = true;
        return 0;
    }
    remove_from_list(task);
    finish_task(task);
    return HAWSER_WANT_COMPLETION;
}

}  // namespace hawser
