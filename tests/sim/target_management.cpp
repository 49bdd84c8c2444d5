// SPDX-License-Identifier: GPL-2.0-or-later
//
// The model target's task management (RFC 7143 11.5, 11.6): ABORT TASK and LOGICAL UNIT RESET.
//
// Theory. What a function ends lands no more once its answer is on the way; how much of it had
// landed is left to chance, as on a disk. A task that was answered before is over, whatever became
// of its status: the function says that there is none. No fence holds an answer back until the
// siblings' responses have arrived (4.2.2.3.2): not every target has one.

#include <fmt/format.h>

#include "abi/engine.h"
#include "target.h"

namespace hawser::sim {

namespace {

constexpr uint8_t k_function_complete = 0;
constexpr uint8_t k_task_does_not_exist = 1;
constexpr uint64_t k_look_again_us = 20000;

}  // namespace

void TargetConnection::take_management(const Pdu& pdu) {
    const auto& request = pdu.as<wire::TaskManagementRequest>();
    const uint8_t function = request.function & 0x7f;
    if (function == wire::TaskManagementRequest::k_task_reassign) return take_reassign(pdu);
    World& world = target.world;
    world.require(request.opcode & wire::k_immediate, "a function is immediate");
    const bool one = function == HAWSER_FUNCTION_ABORT_TASK;
    world.require(one || function == HAWSER_FUNCTION_LOGICAL_UNIT_RESET,
                  "only functions that were asked for");
    // It may take a while, in which a task may come to its end.
    world.after(world.random.chance(50) ? 0 : world.random.between(1, 200000),
                [this, request, one] {
                    if (is_closed || session->dead) return;
                    one ? take_abort(request) : take_reset(request);
                });
}

// rule 61
void TargetConnection::take_abort(const wire::TaskManagementRequest& request) {
    World& world = target.world;
    const uint32_t itt = request.referenced_task_tag.get();
    const uint32_t ref_cmd_sn = request.ref_cmd_sn.get();
    const uint32_t tmf = request.initiator_task_tag.get();
    for (const auto& [of, other] : session->connections)
        world.require(other == this || other->tasks.find(itt) == other->tasks.end(),
                      "ABORT TASK goes on its task's connection");
    const auto found = tasks.find(itt);
    if (found != tasks.end() && !found->second->answered) {
        const auto task = found->second;
        if (task->forgotten) return abort_forgotten(task, tmf);
        world.require(task->command.cmd_sn.get() == ref_cmd_sn, "RefCmdSN is the task's CmdSN");
        abort(task);
        return answer_management(tmf, k_function_complete);
    }
    // Its data is not asked for again, so the status need not wait for it.
    if (found != tasks.end()) found->second->lost_data.clear();
    const bool came = session->numbers.find(ref_cmd_sn) != session->numbers.end() ||
                      wire::CmdSn(ref_cmd_sn).precedes(wire::CmdSn(session->exp_cmd_sn));
    if (came) return answer_management(tmf, k_task_does_not_exist);
    // 11.6.1: a command that did not come counts as received; nothing else will fill its place.
    auto nothing = std::make_shared<TargetTask>();
    nothing->gone = true;
    session->numbers[ref_cmd_sn] = itt;
    session->early[ref_cmd_sn] = nothing;
    world.counts["task management: what had not come"]++;
    order_commands();
    if (!is_closed) answer_management(tmf, k_function_complete);
}

// 4.2.3.3: all that comes before it in the order of CmdSN, on whatever connection.
void TargetConnection::take_reset(const wire::TaskManagementRequest& request) {
    if (wire::CmdSn(session->exp_cmd_sn).precedes(wire::CmdSn(request.cmd_sn.get())))
        return target.world.after(k_look_again_us, [this, request] {
            if (!is_closed && !session->dead) take_reset(request);
        });
    for (const auto& [of, connection] : session->connections) {
        std::vector<std::shared_ptr<TargetTask>> those;
        for (const auto& [itt, task] : connection->tasks) {
            if (task->answered)
                task->lost_data.clear();
            else if (wire::CmdSn(task->command.cmd_sn.get())
                         .precedes(wire::CmdSn(request.cmd_sn.get())))
                those.push_back(task);
        }
        for (const auto& task : those) connection->abort(task);
    }
    for (const auto& [itt, task] : session->suspended) session->tags.erase(itt);
    target.end_suspended(*session, 0);
    answer_management(request.initiator_task_tag.get(), k_function_complete);
}

// Nothing of it is answered or lands from here on. Data-Out that is on its way is passed over.
void TargetConnection::abort(const std::shared_ptr<TargetTask>& task) {
    task->gone = true;
    if (target.scenario.canary != Canary::LateAbort)
        task->cancel_us = std::min(task->cancel_us, target.world.now_us());
    aborted = true;
    task->bursts.clear();
    session->tags.erase(task->itt());
    target.world.counts["task management: tasks ended"]++;
    target.world.log(fmt::format("target: connection {} ends task {:x}", cid, task->itt()));
    tasks.erase(task->itt());
}

void TargetConnection::answer_management(uint32_t itt, uint8_t response) {
    wire::TaskManagementResponse answer;
    answer.initiator_task_tag = itt;
    answer.response = response;
    target.world.counts[fmt::format("task management: answered {}", response)]++;
    send(answer, true);
}

}  // namespace hawser::sim
