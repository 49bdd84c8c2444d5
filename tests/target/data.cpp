// SPDX-License-Identifier: GPL-2.0-or-later
//
// A write's data: asked for, taken, asked for again where some of it is missing.

#include <algorithm>

#include "target.h"

namespace hawser::target {

void Connection::send_r2t(Task& task, uint32_t offset, uint32_t length) {
    wire::R2t r2t;
    std::copy(task.lun.begin(), task.lun.end(), r2t.lun);
    r2t.initiator_task_tag = task.itt;
    r2t.target_transfer_tag = next_ttt;
    r2t.r2t_sn = task.r2t_sn;
    r2t.buffer_offset = offset;
    r2t.desired_data_transfer_length = length;
    Burst burst{next_ttt++, offset, offset + length, k_never};
    if (session->keys.error_recovery_level > 0)
        burst.deadline_ms = target.now_ms + target.settings.data_out_timeout_ms;
    task.bursts.push_back(burst);
    Pdu pdu = make_pdu(r2t);
    task.r2ts[task.r2t_sn++] = pdu;
    send(std::move(pdu), false);
}

void Connection::ask(Task& task) {
    for (const Burst& burst : task.bursts)
        if (burst.ttt == wire::k_reserved_tag) return;  // it still comes unasked
    while (task.promised < task.wanted && task.bursts.size() < session->keys.max_outstanding_r2t) {
        uint32_t length = std::min(task.wanted - task.promised, session->keys.max_burst);
        if (target.settings.burst_bytes != 0)
            length = std::min(length, target.settings.burst_bytes);
        const uint32_t offset = task.promised;
        task.promised += length;
        send_r2t(task, offset, length);
        if (closed) return;
    }
}

void Connection::take_data_out(const Pdu& pdu) {
    const auto& header = pdu.as<wire::DataOut>();
    const auto task = find_task(pdu.itt());
    if (task == nullptr || task->connection != this || task->executed) return;
    const uint64_t offset = header.buffer_offset.get();
    const uint64_t length = pdu.data.size();
    if (offset + length > task->data.size()) return reject(pdu, 0x09);
    if (!pdu.data_damaged) {
        std::copy(pdu.data.begin(), pdu.data.end(), task->data.begin() + static_cast<long>(offset));
        std::fill_n(task->have.begin() + static_cast<long>(offset), length, uint8_t{1});
    }
    const uint32_t ttt = header.target_transfer_tag.get();
    const auto burst = std::find_if(task->bursts.begin(), task->bursts.end(),
                                    [&](const Burst& one) { return one.ttt == ttt; });
    if (burst == task->bursts.end()) return;
    if (burst->deadline_ms != k_never)
        burst->deadline_ms = target.now_ms + target.settings.data_out_timeout_ms;
    // At level 0 a number out of order is data that was lost: the command ends.
    const bool in_order = header.data_sn.get() == burst->data_sn++;
    if (!in_order && session->keys.error_recovery_level == 0) return fail_write(*task);
    if (!pdu.final()) return;
    Burst over = *burst;
    task->bursts.erase(burst);
    // Unsolicited data may end before FirstBurstLength; the rest is asked for.
    if (ttt == wire::k_reserved_tag)
        task->promised = over.end = static_cast<uint32_t>(offset + length);
    close_burst(*task, over);
    proceed(task);
}

// What is missing in a burst that is over: asked for again (7.1.4.1), or the end of the command.
void Connection::close_burst(Task& task, Burst burst) {
    const auto begin = task.have.begin();
    const auto end = begin + burst.end;
    const auto first = std::find(begin + burst.offset, end, uint8_t{0});
    if (first == end) return;
    if (session->keys.error_recovery_level > 0) {
        const auto last = std::find(first, end, uint8_t{1});
        target.counters.recovery_r2ts++;
        send_r2t(task, static_cast<uint32_t>(first - begin), static_cast<uint32_t>(last - first));
        return;
    }
    fail_write(task);
}

void Connection::fail_write(Task& task) {
    task.executed = true;
    task.bursts.clear();
    task.outcome = check_condition(0x0b, 0x47, 0x05);  // protocol service CRC error
    finish(task);
}

void Connection::check_bursts(uint64_t now_ms) {
    if (session == nullptr) return;
    const auto tasks = session->tasks;
    for (const auto& [itt, task] : tasks) {
        if (task->connection != this) continue;
        for (size_t i = 0; i < task->bursts.size(); i++) {
            if (task->bursts[i].deadline_ms > now_ms) continue;
            const Burst burst = task->bursts[i];
            task->bursts.erase(task->bursts.begin() + static_cast<long>(i));
            close_burst(*task, burst);
            proceed(task);  // nothing is missing when late data came by an older R2T
            break;
        }
    }
}

}  // namespace hawser::target
