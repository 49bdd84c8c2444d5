// SPDX-License-Identifier: GPL-2.0-or-later
//
// Task management, RFC 7143 11.5 and 11.6, with TASK REASSIGN (7.2.2).

#include <algorithm>

#include "target.h"

namespace hawser::target {

namespace {

enum Function : uint8_t {
    AbortTask = 1,
    AbortTaskSet = 2,
    ClearAca = 3,
    ClearTaskSet = 4,
    LogicalUnitReset = 5,
    TargetWarmReset = 6,
    TargetColdReset = 7,
    TaskReassign = 8,
};

enum Response : uint8_t {
    Complete = 0,
    NoTask = 1,
    NoLun = 2,
    StillAllegiant = 3,
    NoReassignment = 4,
    NotSupported = 5,
    Rejected = 255,
};

}  // namespace

void Connection::take_task_management(const Pdu& pdu) {
    const auto& request = pdu.as<wire::TaskManagementRequest>();
    const uint8_t function = request.function & 0x7f;
    wire::TaskManagementResponse response;
    response.initiator_task_tag = pdu.itt();
    std::shared_ptr<Task> resumed;
    switch (function) {
        case AbortTask:
            response.response = abort_task(request);
            break;
        case AbortTaskSet:
        case ClearTaskSet:
        case LogicalUnitReset:
            response.response = abort_tasks(request.lun);
            break;
        case ClearAca:
            break;
        case TargetWarmReset:
        case TargetColdReset:
            response.response = abort_tasks(nullptr);
            break;
        case TaskReassign:
            response.response = reassign(request);
            if (response.response == Complete)
                resumed = find_task(request.referenced_task_tag.get());
            break;
        default:
            response.response = NotSupported;
    }
    // A reassignment is answered before it takes effect, 11.5.1.
    send(make_pdu(response), true);
    if (resumed != nullptr && !closed) resume(resumed, request.exp_data_sn.get());
    if (function == TargetColdReset && session != nullptr) target.drop_session(*session);
}

uint8_t Connection::abort_task(const wire::TaskManagementRequest& request) {
    const uint32_t itt = request.referenced_task_tag.get();
    const auto task = find_task(itt);
    if (task != nullptr) {
        // 11.5.1: on another connection only when its own is gone.
        if (task->connection != this && task->connection != nullptr) return Rejected;
        if (task->status_sent) return Complete;  // its status is on its way, before this answer
        session->tasks.erase(itt);
        return Complete;
    }
    // 11.6.1: not received yet: its CmdSN counts as received, so that the window moves on.
    const uint32_t cmd_sn = request.ref_cmd_sn.get();
    const bool within =
        !precedes(cmd_sn, session->exp_cmd_sn) && precedes(cmd_sn, request.cmd_sn.get());
    if (!within) return NoTask;
    Pdu nothing = make_pdu(wire::NopOut{});
    nothing.as<wire::NopOut>().initiator_task_tag = wire::k_reserved_tag;
    session->early.emplace(cmd_sn, Early{id, nothing});
    target.order(*session);
    return Complete;
}

// lun: null for all.
uint8_t Connection::abort_tasks(const uint8_t* lun) {
    std::erase_if(session->tasks, [&](const auto& one) {
        const Task& task = *one.second;
        const bool same = lun == nullptr || std::equal(task.lun.begin(), task.lun.end(), lun);
        return same && !task.status_sent;
    });
    return Complete;
}

uint8_t Connection::reassign(const wire::TaskManagementRequest& request) {
    if (session->keys.error_recovery_level < 2) return NoReassignment;
    const auto task = find_task(request.referenced_task_tag.get());
    if (task == nullptr) return NoTask;
    return task->connection == nullptr ? Complete : StillAllegiant;
}

// 7.2.2: the task goes on here, from where it was acknowledged.
void Connection::resume(const std::shared_ptr<Task>& task, uint32_t exp_data_sn) {
    target.counters.reassigned++;
    task->connection = this;
    task->cid = cid;
    if (exp_data_sn > task->acknowledged && exp_data_sn <= task->data_sn)
        task->acknowledged = exp_data_sn;
    if (task->executed && !task->is_read()) return send_status(*task);
    if (task->executed) {
        const auto first = task->data_in.find(task->acknowledged);
        if (first == task->data_in.end()) return send_status(*task);
        const uint32_t offset = first->second.as<wire::DataIn>().buffer_offset.get();
        const uint32_t data_sn = task->acknowledged;
        task->data_in.clear();
        return send_data(*task, offset, data_sn);
    }
    if (task->is_write()) {
        const auto missing = std::find(task->have.begin(), task->have.end(), uint8_t{0});
        task->promised = static_cast<uint32_t>(missing - task->have.begin());
        task->bursts.clear();
    }
    proceed(task);
}

}  // namespace hawser::target
