// SPDX-License-Identifier: GPL-2.0-or-later
//
// The model target's SCSI: a disk that answers READ(10), WRITE(10), SYNCHRONIZE CACHE and the rest
// with GOOD, in CmdSN order of beginning and any order of end.

#include <algorithm>

#include "target.h"

namespace hawser::sim {

namespace {

constexpr uint32_t k_numbers_kept = 256;  // CmdSNs of the past, to know a retry by

uint32_t block_of(const TargetTask& task) {
    const uint8_t* cdb = task.command.cdb;
    return static_cast<uint32_t>(cdb[2]) << 24 | static_cast<uint32_t>(cdb[3]) << 16 |
           static_cast<uint32_t>(cdb[4]) << 8 | cdb[5];
}

}  // namespace

void Target::land_block(const TargetTask& task, uint32_t i) {
    const auto from = task.data.begin() + static_cast<long>(i) * k_block_bytes;
    watch(block_of(task) + i, &*from, true);
    std::copy_n(from, k_block_bytes,
                disk.begin() + static_cast<long>(block_of(task) + i) * k_block_bytes);
}

// What is in the backend when the target dies: each block by chance.
void Target::crash_backend() {
    for (const auto& task : backend) {
        task->gone = true;
        if (task->cancel_us <= world.now_us()) continue;
        for (uint32_t i = 0; i < task->data.size() / k_block_bytes; i++) {
            if (world.random.chance(50)) land_block(*task, i);
        }
        task->cancel_us = 0;
    }
}

void TargetConnection::take_command(const Pdu& pdu) {
    World& world = target.world;
    auto task = std::make_shared<TargetTask>();
    task->command = pdu.as<wire::ScsiCommand>();
    task->connection = this;
    task->session = session;
    task->cid = cid;
    const uint32_t itt = task->itt();
    const uint32_t length = task->command.expected_data_transfer_length.get();
    const uint32_t cmd_sn = task->command.cmd_sn.get();
    // rule 54: what came already is the same command, and is ignored.
    const auto known = session->numbers.find(cmd_sn);
    if (known != session->numbers.end()) {
        world.require(level() > 0 && known->second == itt, "a retry is the same command");
        world.counts["ERL 1: retries of what had come"]++;
        return;
    }
    // rule 10
    world.require(itt != wire::k_reserved_tag, "an ITT is not ffffffff");
    world.require(session->tags.insert(itt).second, "an ITT is used once at a time");
    session->numbers[cmd_sn] = itt;
    world.counts["commands"]++;
    const bool final = task->command.flags & wire::k_final;
    const uint32_t immediate = static_cast<uint32_t>(pdu.data.size());
    if (task->is_write()) {
        const uint32_t burst = std::min(session->first_burst, length);
        // rule 11, rule 17
        world.require(immediate == 0 || session->immediate_data, "ImmediateData as agreed");
        world.require(immediate <= burst, "FirstBurstLength holds immediate data");
        world.require(final || !session->initial_r2t, "InitialR2T as agreed");
        task->data.resize(length);
        if (level() > 0) task->have.resize(length);
        std::copy(pdu.data.begin(), pdu.data.end(), task->data.begin());
        if (level() > 0) std::fill_n(task->have.begin(), immediate, uint8_t{1});
        task->received = immediate;
        task->promised = final ? immediate : burst;
        task->unsolicited = !final;
    } else {
        // rule 14
        world.require(final && immediate == 0, "only a write has data");
    }
    task->forgets = target.choose_forgetting(*task);
    tasks[itt] = task;
    session->early[cmd_sn] = task;
    if (task->unsolicited) {
        task->bursts.push_back(
            {wire::k_reserved_tag, immediate, task->promised, immediate, 0, world.now_us()});
        watch_burst(task, wire::k_reserved_tag);
    }
    if (target.scenario.defect == Defect::NoOrder) {
        task->ordered = true;
        proceed(task);
    }
    if (session != nullptr) order_commands();
}

// A NOP-Out that counts is a command that is answered when its turn comes.
void TargetConnection::order_nop(const wire::NopOut& nop) {
    auto task = std::make_shared<TargetTask>();
    task->command.initiator_task_tag = nop.initiator_task_tag.get();
    task->command.cmd_sn = nop.cmd_sn.get();
    task->connection = this;
    task->session = session;
    task->is_nop = true;
    session->numbers[nop.cmd_sn.get()] = task->itt();
    session->early[nop.cmd_sn.get()] = task;
    target.world.counts["NOP-Outs that count"]++;
    order_commands();
}

// Like SPDK's: it waits for nothing, and what comes after its turn is an error. True: this was one.
bool TargetConnection::refuses(wire::CmdSn cmd_sn) {
    if (!cmd_sn.precedes(wire::CmdSn(session->exp_cmd_sn))) {
        session->exp_cmd_sn = cmd_sn.value();  // what is missing is not waited for
        return false;
    }
    target.world.counts["lower CmdSNs refused"]++;
    target.world.log("target: a lower CmdSN is refused");
    end_tasks(0);
    close(target.world.random.chance(50));
    return true;
}

// RFC 7143 4.2.2.1: commands begin in the order of CmdSN, whatever connection they came on.
void TargetConnection::order_commands() {
    TargetSession& whole = *session;
    for (auto next = whole.early.find(whole.exp_cmd_sn); next != whole.early.end();
         next = whole.early.find(whole.exp_cmd_sn)) {
        const auto task = next->second;
        whole.early.erase(next);
        whole.numbers.erase(whole.exp_cmd_sn++ - k_numbers_kept);
        task->ordered = true;
        TargetConnection* const one = task->connection;
        if (task->gone || one == nullptr || one->is_closed) continue;
        if (task->is_nop)
            one->answer_nop(task->itt());
        else
            one->proceed(task);
    }
}

// What a task needs next: more data, or the disk.
void TargetConnection::proceed(const std::shared_ptr<TargetTask>& task) {
    if (!task->ordered || task->executing || task->gone) return;
    if (target.forget(*task, Forgets::AtOnce)) return;
    if (task->is_write() && task->received < task->data.size()) return ask(task);
    target.execute(task);
}

void Target::execute(const std::shared_ptr<TargetTask>& task) {
    if (forget(*task, Forgets::WithData)) return;
    task->executing = true;
    task->bursts.clear();
    if (refuses(*task)) return world.after(100, [this, task] { finish(task); });
    const bool slow = world.random.chance(5);
    const uint64_t most = slow ? scenario.slow_backend_us : scenario.backend_us;
    const uint64_t delay = world.random.between(1, most);
    if (!task->is_write()) return world.after(delay, [this, task] { finish(task); });
    // Block by block, each in its own time; the answer comes after the last.
    task->landings = static_cast<uint32_t>(task->data.size() / k_block_bytes);
    backend.push_back(task);
    const uint32_t count = task->landings;
    for (uint32_t i = 0; i < count; i++) {
        watch(block_of(*task) + i, &task->data[size_t{i} * k_block_bytes], false);
        world.after(world.random.between(1, delay), [this, task, i] {
            if (task->cancel_us > world.now_us()) land_block(*task, i);
            if (--task->landings == 0) land(task);
        });
    }
    if (count == 0) land(task);
}

void Target::land(const std::shared_ptr<TargetTask>& task) {
    std::erase(backend, task);
    finish(task);
}

// It is carried out; whoever has it now says so.
void Target::finish(const std::shared_ptr<TargetTask>& task) {
    if (task->gone || forget(*task, Forgets::Done)) return;
    task->finished = true;
    if (task->is_inquiry() && task->status == 0) {
        task->read.assign(task->command.expected_data_transfer_length.get(), foreign ? 2 : 1);
    } else if (task->is_read() && task->status == 0) {
        const auto from = disk.begin() + static_cast<long>(block_of(*task)) * k_block_bytes;
        task->read = Bytes(from, from + task->command.expected_data_transfer_length.get());
    }
    if (task->connection != nullptr && !task->connection->is_closed)
        task->connection->answer(*task);
}

// For the first time, or again after a TASK REASSIGN.
void TargetConnection::answer(TargetTask& task) {
    if (task.status != 0 || !task.is_read() || task.read.empty()) return give_status(task);
    uint32_t offset = 0;
    if (task.acknowledged < task.data_in.size())
        offset = task.data_in[task.acknowledged].as<wire::DataIn>().buffer_offset.get();
    else if (task.acknowledged != 0)
        return give_status(task);
    give_data(task, offset, task.acknowledged);
}

}  // namespace hawser::sim
