// SPDX-License-Identifier: GPL-2.0-or-later
//
// The model target above ErrorRecoveryLevel 0: SNACK, Reject, and what becomes of the tasks of a
// connection that is gone.

#include <fmt/format.h>

#include <algorithm>

#include "target.h"

namespace hawser::sim {

namespace {

// RFC 7143 11.6.1
constexpr uint8_t k_function_complete = 0;
constexpr uint8_t k_task_does_not_exist = 1;
constexpr uint8_t k_still_allegiant = 3;
constexpr uint8_t k_not_supported = 4;

}  // namespace

void TargetConnection::take_snack(const Pdu& pdu) {
    const auto& snack = pdu.as<wire::Snack>();
    // rule 51
    target.world.require(level() > 0, "no SNACK at ErrorRecoveryLevel 0");
    if (target.scenario.canary == Canary::UnheardSnack) return;
    switch (snack.type & 0x0f) {
        case wire::Snack::k_data:
            return snack_data(snack);
        case wire::Snack::k_status:
            return snack_status(snack);
        case wire::Snack::k_data_acknowledge:
            return snack_acknowledge(snack);
        default:
            target.world.violate("a SNACK of a known type");
    }
}

void TargetConnection::snack_data(const wire::Snack& snack) {
    World& world = target.world;
    const auto found = tasks.find(snack.initiator_task_tag.get());
    // rule 8, rule 52
    world.require(found != tasks.end(), "a SNACK is for a task whose status is not acknowledged");
    const auto task = found->second;
    const uint32_t begin = snack.beg_run.get();
    const uint32_t run = snack.run_length.get();
    const auto& sent = task->is_read() ? task->data_in : task->r2ts;
    const size_t end = run == 0 ? sent.size() : std::min<size_t>(sent.size(), begin + size_t{run});
    world.require(!task->is_read() || begin >= task->acknowledged,
                  "no SNACK for data that was acknowledged");
    world.counts["ERL 1: data and R2Ts sent again"]++;
    const std::vector<Pdu> copies = sent;
    for (size_t i = begin; i < end && !is_closed; i++) {
        Pdu copy = copies[i];
        // What an R2T tells is the next number, also when it comes again.
        if (!task->is_read()) copy.as<wire::TargetNumbering>().stat_sn = stat_sn;
        put(std::move(copy), true);
    }
}

void TargetConnection::snack_status(const wire::Snack& snack) {
    const wire::StatSn begin(snack.beg_run.get());
    const uint32_t run = snack.run_length.get();
    // rule 52
    target.world.require(run == 0 || wire::StatSn(acknowledged).precedes_or_equals(begin),
                         "no SNACK for a status that was acknowledged");
    target.world.counts["ERL 1: statuses sent again"]++;
    const std::map<uint32_t, Pdu> copies = kept;
    for (const auto& [number, pdu] : copies) {
        const wire::StatSn one(number);
        const bool wanted =
            run == 0 || (begin.precedes_or_equals(one) && begin.distance_to(one) < run);
        if (wanted && !is_closed) put(pdu, true);
    }
}

// rule 53: what is acknowledged need not be kept.
void TargetConnection::snack_acknowledge(const wire::Snack& snack) {
    const uint32_t ttt = snack.target_transfer_tag.get();
    const uint32_t next = snack.beg_run.get();
    target.world.require(snack.run_length.get() == 0, "a DataACK has no run");
    for (const auto& [itt, task] : tasks) {
        for (const Pdu& pdu : task->data_in) {
            const auto& data_in = pdu.as<wire::DataIn>();
            if ((data_in.flags & wire::DataIn::k_acknowledge) == 0) continue;
            if (data_in.target_transfer_tag.get() != ttt) continue;
            target.world.require(next <= task->data_in.size(), "a DataACK is for what was sent");
            for (const uint32_t lost : task->lost_data)
                target.world.require(lost >= next, "no DataACK over a hole");
            task->acknowledged = std::max(task->acknowledged, next);
            target.world.counts["data acknowledged by SNACK"]++;
            return;
        }
    }
}

// 7.8: the header tells which.
void TargetConnection::reject(const Pdu& pdu, uint8_t reason) {
    wire::Reject answer;
    answer.reason = reason;
    rejected = true;
    send(answer, true, pdu.header);
}

// The connection is gone; its tasks go on.
void TargetConnection::suspend_tasks() {
    const uint64_t now_us = target.world.now_us();
    for (auto& [itt, task] : tasks) {
        task->connection = nullptr;
        task->bursts.clear();
        task->unsolicited = false;
        task->reassignable_us = UINT64_MAX;
        session->suspended[itt] = task;
    }
    tasks.clear();
    const uint64_t kept_us =
        (uint64_t{session->time2wait_s} + session->time2retain_s) * 1000000 + 500000;
    session->lost[cid] = now_us + kept_us;
    target.world.after(kept_us, [&whole = target, lost = session, of = cid] {
        const auto found = lost->lost.find(of);
        if (found != lost->lost.end() && found->second <= whole.world.now_us())
            whole.expire(*lost, of);
    });
}

// Nothing of it lands after linger_us.
void Target::end_suspended(TargetSession& session, uint64_t linger_us) {
    if (scenario.canary == Canary::LateWrite) linger_us = UINT64_MAX;
    for (auto& [itt, task] : session.suspended) {
        task->gone = true;
        if (linger_us != UINT64_MAX)
            task->cancel_us = std::min(task->cancel_us, world.now_us() + linger_us);
    }
    session.suspended.clear();
}

// It is as if it had never come: one whose turn was not yet leaves a gap, to be plugged (7.2.1).
void TargetSession::forget(TargetTask& task) {
    const uint32_t cmd_sn = task.command.cmd_sn.get();
    task.gone = true;
    tags.erase(task.itt());
    if (task.ordered) return;
    early.erase(cmd_sn);
    numbers.erase(cmd_sn);
}

// Time2Retain is over.
void Target::expire(TargetSession& session, uint16_t cid) {
    session.lost.erase(cid);
    for (auto next = session.suspended.begin(); next != session.suspended.end();) {
        TargetTask& task = *next->second;
        if (task.cid != cid) {
            ++next;
            continue;
        }
        session.forget(task);
        task.cancel_us = std::min(task.cancel_us, world.now_us());
        next = session.suspended.erase(next);
    }
    if (session.connections.empty() && session.lost.empty()) session.dead = true;
}

// rule 55: from wait_us on its tasks may be reassigned.
void Target::remove(TargetSession& session, uint16_t cid, uint64_t wait_us) {
    for (auto& [itt, task] : session.suspended)
        if (task->cid == cid)
            task->reassignable_us = std::min(task->reassignable_us, world.now_us() + wait_us);
}

// What a Logout for recovery is answered with.
uint8_t TargetConnection::remove_for_recovery(uint16_t of) {
    World& world = target.world;
    world.require(level() == 2, "a Logout for recovery is for ErrorRecoveryLevel 2");
    world.require(of != cid, "a connection does not remove itself");
    world.counts["ERL 2: connections removed"]++;
    if (target.scenario.defect == Defect::RecoveryRefused) return 2;
    const auto found = session->connections.find(of);
    const bool there = found != session->connections.end();
    if (there) {
        TargetConnection& other = *found->second;
        other.end_tasks(UINT64_MAX);
        other.close(true);
    }
    const bool known = session->lost.find(of) != session->lost.end();
    const bool waits = target.scenario.defect != Defect::NoTime2Wait &&
                       target.scenario.defect != Defect::CidNotFound;
    target.remove(*session, of, known && waits ? uint64_t{session->time2wait_s} * 1000000 : 0);
    return known && target.scenario.defect != Defect::CidNotFound ? 0 : 1;
}

void TargetConnection::take_reassign(const Pdu& pdu) {
    const auto& request = pdu.as<wire::TaskManagementRequest>();
    // rule 55
    target.world.require(request.opcode & wire::k_immediate, "TASK REASSIGN is immediate");
    target.world.require(level() == 2, "TASK REASSIGN is for ErrorRecoveryLevel 2");
    wire::TaskManagementResponse answer;
    std::shared_ptr<TargetTask> task;
    answer.initiator_task_tag = request.initiator_task_tag.get();
    answer.response = reassign(request, task);
    target.world.counts[fmt::format("ERL 2: TASK REASSIGN answered {}", answer.response)]++;
    send(answer, true);
    if (answer.response == k_function_complete && !is_closed)
        resume(task, request.exp_data_sn.get());
}

uint8_t TargetConnection::reassign(const wire::TaskManagementRequest& request,
                                   std::shared_ptr<TargetTask>& found) {
    World& world = target.world;
    const uint32_t itt = request.referenced_task_tag.get();
    for (const auto& [other, connection] : session->connections)
        world.require(connection->tasks.find(itt) == connection->tasks.end(),
                      "no TASK REASSIGN before its connection was removed");
    const auto task = session->suspended.find(itt);
    if (target.scenario.defect == Defect::NoReassign) return k_not_supported;
    if (task == session->suspended.end()) return k_task_does_not_exist;
    found = task->second;
    // rule 55, rule 56: a millisecond is what the initiator's clock cannot tell.
    world.require(found->reassignable_us != UINT64_MAX,
                  "no TASK REASSIGN before its connection was removed");
    world.require(world.now_us() + 1000 >= found->reassignable_us,
                  "no TASK REASSIGN before Time2Wait");
    if (target.scenario.defect == Defect::SlowRelease && world.random.chance(60))
        return k_still_allegiant;
    // One that it had forgotten before it may not know, or take and forget again.
    if (found->forgotten && world.random.chance(50)) {
        session->forget(*found);
        session->suspended.erase(itt);
        return k_task_does_not_exist;
    }
    const bool unharmed = found->is_read() || !found->executing;
    if (target.scenario.defect == Defect::Forgetful && unharmed && world.random.chance(50)) {
        session->forget(*found);
        session->suspended.erase(itt);
        return k_task_does_not_exist;
    }
    session->suspended.erase(itt);
    return k_function_complete;
}

// 7.2.2: it goes on here, from where it was acknowledged.
void TargetConnection::resume(const std::shared_ptr<TargetTask>& task, uint32_t exp_data_sn) {
    target.world.log(fmt::format("target: task {:x} goes on at connection {}", task->itt(), cid));
    task->connection = this;
    task->cid = cid;
    task->lost_data.clear();
    task->reassignable_us = UINT64_MAX;
    tasks[task->itt()] = task;
    if (task->is_read()) {
        // 11.5.6
        target.world.require(exp_data_sn <= task->data_in.size(),
                             "ExpDataSN of a TASK REASSIGN is what was sent");
        target.world.require(exp_data_sn >= task->acknowledged,
                             "ExpDataSN of a TASK REASSIGN is not before what was acknowledged");
        task->acknowledged = exp_data_sn;
    }
    if (task->forgotten) return;
    if (task->finished) return answer(*task);
    if (task->executing) return;
    const auto missing = std::find(task->have.begin(), task->have.end(), uint8_t{0});
    if (task->is_write()) task->promised = static_cast<uint32_t>(missing - task->have.begin());
    proceed(task);
}

}  // namespace hawser::sim
