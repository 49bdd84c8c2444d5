// SPDX-License-Identifier: GPL-2.0-or-later
//
// The model target's data and status on the wire: R2T, Data-Out, Data-In, SCSI Response.

#include <algorithm>

#include "target.h"

namespace hawser::sim {

namespace {

constexpr uint64_t k_data_patience_us = 1500000;
constexpr uint32_t k_requests_max = 6;

// SPC-4 4.5.3, in the fixed format, behind its length (11.4.7).
Bytes sense_of(const TargetTask& task) {
    if (task.status != 2) return {};
    Bytes bytes(20);
    bytes[1] = 18;
    bytes[2] = 0x70;
    bytes[4] = static_cast<uint8_t>(task.sense >> 16);
    bytes[9] = 10;
    bytes[14] = static_cast<uint8_t>(task.sense >> 8);
    bytes[15] = static_cast<uint8_t>(task.sense);
    return bytes;
}

}  // namespace

void TargetConnection::send_r2t(const std::shared_ptr<TargetTask>& task, uint32_t offset,
                                uint32_t length) {
    wire::R2t pdu;
    std::copy(std::begin(task->command.lun), std::end(task->command.lun), std::begin(pdu.lun));
    pdu.initiator_task_tag = task->itt();
    pdu.target_transfer_tag = next_ttt;
    pdu.r2t_sn = task->r2t_sn++;
    pdu.buffer_offset = offset;
    pdu.desired_data_transfer_length = length;
    task->bursts.push_back({next_ttt, offset, offset + length, offset, 0, target.world.now_us()});
    if (level() > 0) {
        Pdu copy{Bytes(sizeof(pdu)), {}};
        copy.as<wire::R2t>() = pdu;
        task->r2ts.push_back(std::move(copy));
    }
    watch_burst(task, next_ttt++);
    send(pdu, false);
}

void TargetConnection::ask(const std::shared_ptr<TargetTask>& task) {
    if (task->unsolicited) return;
    const uint32_t length = static_cast<uint32_t>(task->data.size());
    while (task->promised < length && task->bursts.size() < session->max_outstanding_r2t) {
        uint32_t step = std::min(session->max_burst, length - task->promised);
        if (target.world.random.chance(20))
            step = static_cast<uint32_t>(target.world.random.between(1, step));
        const uint32_t offset = task->promised;
        task->promised += step;
        send_r2t(task, offset, step);
    }
    // All was asked for, and more than one run of it was lost.
    if (!task->bursts.empty() || task->have.empty()) return;
    const auto first = std::find(task->have.begin(), task->have.end(), uint8_t{0});
    const auto last = std::find(first, task->have.end(), uint8_t{1});
    const uint32_t left = static_cast<uint32_t>(last - first);
    send_r2t(task, static_cast<uint32_t>(first - task->have.begin()),
             std::min(left, session->max_burst));
}

// Above ErrorRecoveryLevel 0: what does not come is asked for again, a few times.
void TargetConnection::watch_burst(const std::shared_ptr<TargetTask>& task, uint32_t ttt) {
    if (level() == 0) return time_burst(task, ttt);
    target.world.after(k_data_patience_us, [this, task, ttt] {
        if (is_closed || closing || task->connection != this || task->executing) return;
        const auto burst = std::find_if(task->bursts.begin(), task->bursts.end(),
                                        [&](const Burst& one) { return one.ttt == ttt; });
        if (burst == task->bursts.end()) return;
        if (target.world.now_us() - burst->touched_us < k_data_patience_us)
            return watch_burst(task, ttt);
        const Burst over = *burst;
        task->bursts.erase(burst);
        if (++task->stale > k_requests_max) {
            target.world.counts["target gives up waiting for data"]++;
            end_tasks(0);
            return close(true);
        }
        close_burst(task, over);
    });
}

// At ErrorRecoveryLevel 0 a connection whose data comes too late is dropped, by LIO for example.
void TargetConnection::time_burst(const std::shared_ptr<TargetTask>& task, uint32_t ttt) {
    const uint64_t patience_us = target.scenario.data_out_us;
    if (patience_us == 0) return;
    target.world.after(patience_us, [this, task, ttt, patience_us] {
        if (is_closed || closing || task->connection != this || task->gone) return;
        const auto burst = std::find_if(task->bursts.begin(), task->bursts.end(),
                                        [&](const Burst& one) { return one.ttt == ttt; });
        if (burst == task->bursts.end()) return;
        if (target.world.now_us() - burst->touched_us < patience_us) return time_burst(task, ttt);
        target.world.counts["target drops a connection: data was late"]++;
        end_tasks(0);
        close(true);
    });
}

// What is missing of it is asked for; the rest of the command follows.
void TargetConnection::close_burst(const std::shared_ptr<TargetTask>& task, const Burst& burst) {
    if (burst.ttt == wire::k_reserved_tag) task->unsolicited = false;
    if (level() > 0) {
        const auto begin = task->have.begin();
        const auto end = begin + burst.end;
        const auto first = std::find(begin + burst.offset, end, uint8_t{0});
        if (first != end) {
            const auto last = std::find(first, end, uint8_t{1});
            target.world.counts["ERL 1: data asked for again"]++;
            send_r2t(task, static_cast<uint32_t>(first - begin),
                     static_cast<uint32_t>(last - first));
            return;
        }
    }
    proceed(task);
}

// lost: it went by unseen; damaged: only its header is good.
void TargetConnection::take_data_out(const Pdu& pdu, bool lost, bool damaged) {
    World& world = target.world;
    const auto& header = pdu.as<wire::DataOut>();
    const auto found = tasks.find(header.initiator_task_tag.get());
    const bool lenient = level() > 0 || rejected || aborted;
    // rule 8
    world.require(lenient || found != tasks.end(), "Data-Out is for a task on its connection");
    if (found == tasks.end()) return;
    const auto task = found->second;
    const uint32_t ttt = header.target_transfer_tag.get();
    const uint32_t length = static_cast<uint32_t>(pdu.data.size());
    const uint32_t offset = header.buffer_offset.get();
    const bool final = header.flags & wire::k_final;
    const auto burst = std::find_if(task->bursts.begin(), task->bursts.end(),
                                    [&](const Burst& one) { return one.ttt == ttt; });
    const bool asked = burst != task->bursts.end();
    world.require(asked || lenient, "Data-Out was asked for");
    world.require(offset <= task->data.size() && length <= task->data.size() - offset,
                  "Data-Out lies in its command's data");
    if (asked && !(lenient && ttt == wire::k_reserved_tag)) {
        // rule 19, rule 20, rule 22
        world.require(lenient || burst == task->bursts.begin(), "R2Ts are answered in order");
        world.require(header.data_sn.get() == burst->data_sn++, "DataSN counts in its sequence");
        world.require(offset == burst->next && length <= burst->end - offset,
                      "Data-Out is contiguous and within its R2T");
        world.require(final == (offset + length == burst->end), "F ends exactly the sequence");
    }
    if (asked) burst->touched_us = world.now_us();
    if (!lost && !damaged && !task->executing) {
        std::copy(pdu.data.begin(), pdu.data.end(), task->data.begin() + offset);
        if (level() > 0) {
            const auto have = task->have.begin() + offset;
            task->received += static_cast<uint32_t>(std::count(have, have + length, uint8_t{0}));
            std::fill_n(have, length, uint8_t{1});
        } else {
            task->received += length;
        }
    }
    if (!asked || task->executing) return;
    burst->next = offset + length;
    if (!final || lost) return;
    Burst over = *burst;
    if (ttt == wire::k_reserved_tag) over.end = offset + length;
    task->bursts.erase(burst);
    close_burst(task, over);
}

// 11.7: from offset on, in sequences of MaxBurstLength; and the status.
void TargetConnection::give_data(TargetTask& task, uint32_t offset, uint32_t data_sn) {
    const uint32_t length = static_cast<uint32_t>(task.read.size());
    const bool with_status = target.scenario.status_in_data_in;
    uint32_t burst_left = session->max_burst;
    task.data_in.resize(data_sn);
    for (uint32_t at = offset; at < length;) {
        uint32_t step = std::min({max_send, length - at, burst_left});
        if (target.world.random.chance(20))
            step = static_cast<uint32_t>(target.world.random.between(1, step));
        wire::DataIn pdu;
        burst_left -= step;
        const bool last = at + step == length;
        const bool status = last && with_status;
        if (last || burst_left == 0) pdu.flags |= wire::k_final;
        pdu.target_transfer_tag = wire::k_reserved_tag;
        if (burst_left == 0) burst_left = session->max_burst;
        if ((pdu.flags & wire::k_final) && level() > 0 && target.scenario.acknowledge) {
            pdu.flags |= wire::DataIn::k_acknowledge;
            pdu.target_transfer_tag = next_ttt++;
        }
        if (status) pdu.flags |= wire::DataIn::k_status;
        pdu.initiator_task_tag = task.itt();
        pdu.data_sn = data_sn++;
        pdu.buffer_offset = at;
        const auto from = task.read.begin() + at;
        const Bytes data(from, from + step);
        if (status) {
            task.answered = true;
            task.stat_sn = stat_sn;
            pdu.stat_sn = stat_sn;
            session->tags.erase(task.itt());
            if (level() == 0) task.gone = true;
        }
        Pdu copy{Bytes(sizeof(pdu)), data};
        copy.as<wire::DataIn>() = pdu;
        copy.as<wire::Bhs>().data_segment_length = step;
        task.data_in.push_back(level() > 0 ? copy : Pdu{});
        send_pdu(std::move(copy), status);
        at += step;
        if (is_closed) return;
    }
    if (!with_status) return give_status(task);
    if (level() == 0) tasks.erase(task.itt());
}

void TargetConnection::give_status(TargetTask& task) {
    const uint32_t itt = task.itt();
    const uint32_t underflow =
        task.status != 0 ? task.command.expected_data_transfer_length.get() : 0;
    wire::ScsiResponse pdu;
    pdu.status = task.status;
    pdu.initiator_task_tag = itt;
    pdu.exp_data_sn = static_cast<uint32_t>(task.data_in.size()) + task.r2t_sn;
    if (underflow != 0) pdu.flags |= wire::ScsiResponse::k_underflow;
    pdu.residual_count = underflow;
    task.answered = true;
    task.stat_sn = stat_sn;
    session->tags.erase(itt);
    if (level() == 0) task.gone = true;
    send(pdu, true, sense_of(task));
    if (level() == 0) tasks.erase(itt);
}

}  // namespace hawser::sim
