// SPDX-License-Identifier: GPL-2.0-or-later
//
// The model target's SCSI: a disk that answers READ(10), WRITE(10), SYNCHRONIZE CACHE and the rest
// with GOOD, in CmdSN order of beginning and any order of end.

#include <algorithm>

#include "target.h"

namespace hawser::sim {

namespace {

uint32_t block_of(const TargetTask& task) {
    const uint8_t* cdb = task.command.cdb;
    return static_cast<uint32_t>(cdb[2]) << 24 | static_cast<uint32_t>(cdb[3]) << 16 |
           static_cast<uint32_t>(cdb[4]) << 8 | cdb[5];
}

bool is_write(const TargetTask& task) {
    return task.command.flags & wire::ScsiCommand::k_write;
}

void land_block(Target& target, const TargetTask& task, uint32_t i) {
    std::copy_n(task.data.begin() + static_cast<long>(i) * k_block_bytes, k_block_bytes,
                target.disk.begin() + static_cast<long>(block_of(task) + i) * k_block_bytes);
}

}  // namespace

// What is in the backend when the target dies: each block by chance.
void Target::crash_backend() {
    for (const auto& task : backend) {
        task->gone = true;
        if (task->cancel_us <= world.now_us()) continue;
        for (uint32_t i = 0; i < task->data.size() / k_block_bytes; i++) {
            if (world.random.chance(50)) land_block(*this, *task, i);
        }
        task->cancel_us = 0;
    }
}

void TargetConnection::take_command(const Pdu& pdu) {
    World& world = target.world;
    auto task = std::make_shared<TargetTask>();
    task->command = pdu.as<wire::ScsiCommand>();
    task->connection = this;
    const uint32_t itt = task->command.initiator_task_tag.get();
    const uint32_t length = task->command.expected_data_transfer_length.get();
    world.require(itt != wire::k_reserved_tag, "an ITT is not ffffffff");
    world.require(session->tags.insert(itt).second, "an ITT is used once at a time");
    world.counts["commands"]++;
    const bool final = task->command.flags & wire::k_final;
    const uint32_t immediate = static_cast<uint32_t>(pdu.data.size());
    if (is_write(*task)) {
        const uint32_t burst = std::min(session->first_burst, length);
        world.require(immediate == 0 || session->immediate_data, "ImmediateData as agreed");
        world.require(immediate <= burst, "FirstBurstLength holds immediate data");
        world.require(final || !session->initial_r2t, "InitialR2T as agreed");
        task->data.resize(length);
        std::copy(pdu.data.begin(), pdu.data.end(), task->data.begin());
        task->received = immediate;
        task->promised = final ? immediate : burst;
        task->unsolicited = !final;
        if (!final) task->bursts.push_back({wire::k_reserved_tag, immediate, burst, 0});
    } else {
        world.require(final && immediate == 0, "only a write has data");
    }
    tasks[itt] = task;
    session->early[task->command.cmd_sn.get()] = task;
    order_commands();
}

// RFC 7143 4.2.2.1: commands begin in the order of CmdSN, whatever connection they came on.
void TargetConnection::order_commands() {
    TargetSession& whole = *session;
    for (auto next = whole.early.find(whole.exp_cmd_sn); next != whole.early.end();
         next = whole.early.find(whole.exp_cmd_sn)) {
        const auto task = next->second;
        whole.early.erase(next);
        whole.exp_cmd_sn++;
        task->ordered = true;
        if (!task->gone) task->connection->proceed(task);
    }
}

// What a task needs next: more data, or the disk.
void TargetConnection::proceed(const std::shared_ptr<TargetTask>& task) {
    if (!task->ordered || task->executing || task->gone) return;
    if (is_write(*task) && task->received < task->data.size()) return ask(*task);
    execute(task);
}

void TargetConnection::ask(TargetTask& task) {
    if (task.unsolicited) return;
    const uint32_t length = static_cast<uint32_t>(task.data.size());
    while (task.promised < length && task.bursts.size() < session->max_outstanding_r2t) {
        uint32_t step = std::min(session->max_burst, length - task.promised);
        if (target.world.random.chance(20))
            step = static_cast<uint32_t>(target.world.random.between(1, step));
        wire::R2t pdu;
        std::copy(std::begin(task.command.lun), std::end(task.command.lun), std::begin(pdu.lun));
        pdu.initiator_task_tag = task.command.initiator_task_tag.get();
        pdu.target_transfer_tag = 0x7000 + task.r2t_sn;
        pdu.r2t_sn = task.r2t_sn;
        pdu.buffer_offset = task.promised;
        pdu.desired_data_transfer_length = step;
        task.bursts.push_back({0x7000 + task.r2t_sn, task.promised, task.promised + step, 0});
        task.r2t_sn++;
        task.promised += step;
        send(pdu, false);
    }
}

void TargetConnection::take_data_out(const Pdu& pdu) {
    World& world = target.world;
    const auto& header = pdu.as<wire::DataOut>();
    const auto found = tasks.find(header.initiator_task_tag.get());
    world.require(found != tasks.end(), "Data-Out is for a task on its connection");
    const auto task = found->second;
    world.require(!task->bursts.empty(), "Data-Out was asked for");
    TargetTask::Burst& burst = task->bursts.front();
    const uint32_t length = static_cast<uint32_t>(pdu.data.size());
    const bool final = header.flags & wire::k_final;
    world.require(header.target_transfer_tag.get() == burst.ttt, "R2Ts are answered in order");
    world.require(header.data_sn.get() == burst.data_sn++, "DataSN counts in its sequence");
    world.require(header.buffer_offset.get() == burst.offset && length <= burst.end - burst.offset,
                  "Data-Out is contiguous and within its R2T");
    world.require(final == (burst.offset + length == burst.end), "F ends exactly the sequence");
    std::copy(pdu.data.begin(), pdu.data.end(),
              task->data.begin() + static_cast<long>(burst.offset));
    task->received += length;
    burst.offset += length;
    if (!final) return;
    task->unsolicited = false;
    task->bursts.erase(task->bursts.begin());
    proceed(task);
}

void TargetConnection::execute(const std::shared_ptr<TargetTask>& task) {
    World& world = target.world;
    task->executing = true;
    // Now and then a target has too much to do, or the wrong moment.
    if (world.random.chance(1)) {
        const uint8_t status = world.random.chance(50) ? 0x08 : 0x28;
        world.after(100, [this, task, status] {
            if (!task->gone)
                give_status(*task, status, task->command.expected_data_transfer_length.get());
        });
        return;
    }
    const bool slow = world.random.chance(5);
    const uint64_t most = slow ? target.scenario.slow_backend_us : target.scenario.backend_us;
    const uint64_t delay = world.random.between(1, most);
    if (!is_write(*task)) {
        world.after(delay, [this, task] { finish(task); });
        return;
    }
    // Block by block, each in its own time; the answer comes after the last.
    task->landings = static_cast<uint32_t>(task->data.size() / k_block_bytes);
    target.backend.push_back(task);
    const uint32_t count = task->landings;
    for (uint32_t i = 0; i < count; i++) {
        world.after(world.random.between(1, delay), [this, task, i] {
            if (task->cancel_us > target.world.now_us()) land_block(target, *task, i);
            if (--task->landings == 0) land(task);
        });
    }
    if (count == 0) land(task);
}

void TargetConnection::land(const std::shared_ptr<TargetTask>& task) {
    std::erase(target.backend, task);
    finish(task);
}

void TargetConnection::finish(const std::shared_ptr<TargetTask>& task) {
    if (task->gone || is_closed) return;
    const uint32_t length = task->command.expected_data_transfer_length.get();
    if (!(task->command.flags & wire::ScsiCommand::k_read) || length == 0)
        return give_status(*task, 0, 0);
    const auto from = target.disk.begin() + static_cast<long>(block_of(*task)) * k_block_bytes;
    give_data(*task, Bytes(from, from + length));
}

void TargetConnection::give_data(TargetTask& task, Bytes data) {
    const uint32_t length = static_cast<uint32_t>(data.size());
    const bool with_status = target.scenario.status_in_data_in;
    uint32_t burst_left = session->max_burst;
    for (uint32_t at = 0; at < length;) {
        uint32_t step = std::min({max_send, length - at, burst_left});
        if (target.world.random.chance(20))
            step = static_cast<uint32_t>(target.world.random.between(1, step));
        wire::DataIn pdu;
        burst_left -= step;
        const bool last = at + step == length;
        if (last || burst_left == 0) pdu.flags |= wire::k_final;
        if (burst_left == 0) burst_left = session->max_burst;
        pdu.initiator_task_tag = task.command.initiator_task_tag.get();
        pdu.target_transfer_tag = wire::k_reserved_tag;
        pdu.data_sn = task.data_sn++;
        pdu.buffer_offset = at;
        const bool status = last && with_status;
        if (status) pdu.flags |= wire::DataIn::k_status;
        if (status) {
            task.gone = true;
            session->tags.erase(task.command.initiator_task_tag.get());
        }
        const auto from = data.begin() + static_cast<long>(at);
        send(pdu, status, Bytes(from, from + static_cast<long>(step)));
        at += step;
    }
    if (!with_status) return give_status(task, 0, 0);
    tasks.erase(task.command.initiator_task_tag.get());
}

void TargetConnection::give_status(TargetTask& task, uint8_t status, uint32_t underflow) {
    const uint32_t itt = task.command.initiator_task_tag.get();
    wire::ScsiResponse pdu;
    pdu.status = status;
    pdu.initiator_task_tag = itt;
    pdu.exp_data_sn = task.data_sn;
    if (underflow != 0) pdu.flags |= wire::ScsiResponse::k_underflow;
    pdu.residual_count = underflow;
    task.gone = true;
    session->tags.erase(itt);
    send(pdu, true);
    tasks.erase(itt);
}

}  // namespace hawser::sim
