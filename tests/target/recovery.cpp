// SPDX-License-Identifier: GPL-2.0-or-later
//
// SNACK, RFC 7143 11.16: what was sent is sent again.

#include <algorithm>

#include "target.h"

namespace hawser::target {

namespace {

constexpr uint8_t k_protocol_error = 0x04;

enum SnackType : uint8_t { DataOrR2t = 0, Status = 1, DataAck = 2, RData = 3 };

}  // namespace

void Connection::take_snack(const Pdu& pdu) {
    const auto& snack = pdu.as<wire::Snack>();
    target.counters.snacks++;
    bool served = false;
    if (session->keys.error_recovery_level > 0) {
        switch (snack.type & 0x0f) {
            case DataOrR2t:
                served = resend_data(snack);
                break;
            case Status:
                served = resend_status(snack);
                break;
            case DataAck:
                served = acknowledge_data(snack);
                break;
            case RData:
                served = resend_from_start(snack);
                break;
            default:
                break;
        }
    }
    if (!served) reject(pdu, k_protocol_error);
}

bool Connection::resend_data(const wire::Snack& snack) {
    const auto task = find_task(snack.initiator_task_tag.get());
    if (task == nullptr || task->connection != this) return false;
    const uint32_t first = snack.beg_run.get();
    const uint32_t count = snack.run_length.get();
    auto& kept = task->is_read() ? task->data_in : task->r2ts;
    const uint32_t made = task->is_read() ? task->data_sn : task->r2t_sn;
    if (first >= made || (task->is_read() && first < task->acknowledged)) return false;
    if (count > made - first) return false;
    const uint32_t end = count == 0 ? made : first + count;
    const auto copies = kept;
    for (uint32_t sn = first; sn < end; sn++) {
        const auto found = copies.find(sn);
        if (found == copies.end()) return false;
        Pdu copy = found->second;
        refresh(copy);
        if (copy.kind() == wire::Opcode::R2t) copy.as<wire::R2t>().stat_sn = stat_sn;
        if (target.filter != nullptr && target.filter->outgoing(id, copy)) continue;
        emit(copy);
    }
    return true;
}

bool Connection::resend_status(const wire::Snack& snack) {
    const uint32_t first = snack.beg_run.get();
    const uint32_t count = snack.run_length.get();
    const bool all = first == 0 && count == 0;
    bool any = all;
    const auto copies = sent;
    for (const auto& [sn, pdu] : copies) {
        if (!all && precedes(sn, first)) continue;
        if (count != 0 && !precedes(sn, first + count)) continue;
        any = true;
        Pdu copy = pdu;
        refresh(copy);
        if (target.filter != nullptr && target.filter->outgoing(id, copy)) continue;
        emit(copy);
    }
    return any;
}

bool Connection::acknowledge_data(const wire::Snack& snack) {
    const uint32_t ttt = snack.target_transfer_tag.get();
    for (const auto& [itt, task] : session->tasks) {
        for (const auto& [sn, pdu] : task->data_in) {
            if (pdu.as<wire::DataIn>().target_transfer_tag.get() != ttt) continue;
            const uint32_t next = snack.beg_run.get();
            if (next > task->data_sn) return false;
            task->acknowledged = std::max(task->acknowledged, next);
            return true;
        }
    }
    // Its task may be acknowledged as a whole already, 11.7.2.
    return precedes(ttt, next_ttt);
}

// R-Data: all that is not acknowledged, cut anew, and a status with the tag.
bool Connection::resend_from_start(const wire::Snack& snack) {
    const auto task = find_task(snack.initiator_task_tag.get());
    if (task == nullptr || task->connection != this || !task->is_read()) return false;
    const auto first = task->data_in.find(task->acknowledged);
    task->snack_tag = snack.target_transfer_tag.get();
    const uint32_t offset = first == task->data_in.end()
                                ? task->expected_length
                                : first->second.as<wire::DataIn>().buffer_offset.get();
    const uint32_t data_sn = task->acknowledged;
    // All responses of the task carry the same StatSN, 11.16.3.
    const bool again = task->status_sent;
    const uint32_t next = stat_sn;
    if (again) stat_sn = task->stat_sn;
    task->data_in.clear();
    send_data(*task, offset, data_sn);
    if (again) stat_sn = next;
    return true;
}

}  // namespace hawser::target
