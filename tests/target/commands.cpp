// SPDX-License-Identifier: GPL-2.0-or-later
//
// SCSI commands: taken, executed, answered.

#include <algorithm>

#include "target.h"

namespace hawser::target {

namespace {

constexpr uint32_t k_write_max = 64 << 20;

// RFC 7143 11.2.2.3, 11.2.2.4: the CDB beyond its 16th byte, and how much is read where data goes
// both ways.
void copy_cdb(const Pdu& pdu, Task& task) {
    std::copy_n(pdu.as<wire::ScsiCommand>().cdb, 16, task.cdb.begin());
    for (const Ahs& ahs : pdu.additional()) {
        if (ahs.type == Ahs::k_extended_cdb)
            std::copy_n(ahs.content.begin(), std::min<size_t>(ahs.content.size(), 16),
                        task.cdb.begin() + 16);
        if (ahs.type == Ahs::k_read_length)
            for (const uint8_t byte : ahs.content) task.read_length = task.read_length << 8 | byte;
    }
}

uint32_t lun_of(const Task& task) {
    return (uint32_t{task.lun[0]} << 8 | task.lun[1]) & 0x3fff;
}

uint64_t bytes_wanted(const Task& task, const Target& target) {
    return lun_of(task) < target.settings.luns ? target.disk.data_wanted(task.cdb) : 0;
}

// What a response says about what did not move, 11.4.5.1.
struct Residual {
    uint8_t flags = 0;
    uint32_t count = 0;
};

Residual residual_of(const Task& task, const Target& target) {
    uint64_t meant = task.outcome.data.size();
    if (task.is_write()) meant = task.outcome.status == 0 ? bytes_wanted(task, target) : 0;
    if (meant > task.expected_length)
        return {wire::ScsiResponse::k_overflow,
                static_cast<uint32_t>(meant - task.expected_length)};
    if (meant < task.expected_length)
        return {wire::ScsiResponse::k_underflow,
                static_cast<uint32_t>(task.expected_length - meant)};
    return {};
}

// The same of what a bidirectional command reads.
Residual read_residual_of(const Task& task) {
    const size_t meant = task.is_both() ? task.outcome.data.size() : 0;
    if (meant > task.read_length)
        return {wire::ScsiResponse::k_bidirectional_overflow,
                static_cast<uint32_t>(meant - task.read_length)};
    if (meant < task.read_length)
        return {wire::ScsiResponse::k_bidirectional_underflow,
                static_cast<uint32_t>(task.read_length - meant)};
    return {};
}

}  // namespace

void Connection::take_command(const Pdu& pdu) {
    const auto& command = pdu.as<wire::ScsiCommand>();
    const uint32_t cmd_sn = command.cmd_sn.get();
    const bool outside =
        precedes(cmd_sn, session->exp_cmd_sn) || precedes(session->max_cmd_sn, cmd_sn);
    // 7.2.1: a retry of what was received is dropped.
    if ((outside && !pdu.immediate()) || find_task(pdu.itt()) != nullptr) return;
    auto task = std::make_shared<Task>();
    task->itt = pdu.itt();
    task->cmd_sn = cmd_sn;
    task->connection = this;
    task->cid = cid;
    task->hung = pdu.hang;
    task->flags = command.flags;
    task->expected_length = command.expected_data_transfer_length.get();
    std::copy_n(command.lun, 8, task->lun.begin());
    copy_cdb(pdu, *task);
    target.counters.commands++;
    if (task->is_write()) {
        if (task->expected_length > k_write_max) return reject(pdu, 0x09);
        const uint32_t immediate =
            std::min<uint32_t>(static_cast<uint32_t>(pdu.data.size()), task->expected_length);
        task->wanted = static_cast<uint32_t>(
            std::min<uint64_t>(task->expected_length, bytes_wanted(*task, target)));
        task->data.resize(task->expected_length);
        task->have.resize(task->expected_length);
        std::copy_n(pdu.data.begin(), immediate, task->data.begin());
        std::fill_n(task->have.begin(), immediate, uint8_t{1});
        task->promised = immediate;
        if (!pdu.final()) {
            task->promised = std::min(task->expected_length, session->keys.first_burst);
            task->bursts.push_back({wire::k_reserved_tag, immediate, task->promised, k_never});
            if (session->keys.error_recovery_level > 0)
                task->bursts.back().deadline_ms =
                    target.now_ms + target.settings.data_out_timeout_ms;
        }
    }
    session->tasks[task->itt] = task;
}

// What the task needs next: data, or the disk.
void Connection::proceed(const std::shared_ptr<Task>& task) {
    if (!task->ordered || task->executed || task->hung || task->connection != this) return;
    if (task->is_write()) {
        ask(*task);
        if (!task->bursts.empty()) return;
    }
    execute(*task);
}

void Connection::execute(Task& task) {
    task.executed = true;
    if (session->attention != 0) {
        task.outcome = check_condition(0x06, static_cast<uint8_t>(session->attention >> 8),
                                       static_cast<uint8_t>(session->attention));
        session->attention = 0;
    } else if (task.cdb[0] == 0xa0) {
        task.outcome = report_luns(task.cdb, target.settings.luns);
    } else if (lun_of(task) >= target.settings.luns) {
        task.outcome = absent_unit(task.cdb);
    } else {
        target.counters.bytes_written += task.wanted;
        task.outcome = target.disk.execute(task.cdb, task.data);
    }
    finish(task);
}

// Data, then status. 4.2.2.4: R2Ts and Data-In of one command are numbered together.
void Connection::finish(Task& task) {
    if (task.is_read() && !task.outcome.data.empty())
        return send_data(task, 0, task.is_both() ? task.r2t_sn : 0);
    send_status(task);
}

// 11.7: the data from offset on, in sequences of at most MaxBurstLength; and the status.
void Connection::send_data(Task& task, uint32_t offset, uint32_t data_sn) {
    const uint32_t length =
        static_cast<uint32_t>(std::min<uint64_t>(task.outcome.data.size(), task.readable()));
    const Residual residual = residual_of(task, target);
    // A Data-In has no room for the residual of the other direction.
    const bool with_status = target.settings.status_in_data_in && !task.is_both() &&
                             task.outcome.sense.empty() && task.snack_tag == 0;
    uint32_t most = keys.initiator_max_recv;
    if (target.settings.data_in_bytes != 0) most = std::min(most, target.settings.data_in_bytes);
    uint32_t of_burst = 0;
    task.data_sn = data_sn;
    target.counters.bytes_read += length - offset;
    for (uint32_t at = offset; at < length;) {
        const uint32_t step = std::min({most, length - at, session->keys.max_burst - of_burst});
        const bool last = at + step == length;
        of_burst += step;
        wire::DataIn header;
        if (last || of_burst == session->keys.max_burst) {
            of_burst = 0;
            header.flags |= wire::k_final;
            if (target.settings.acknowledge && session->keys.error_recovery_level > 0)
                header.flags |= wire::DataIn::k_acknowledge;
        }
        header.target_transfer_tag = wire::k_reserved_tag;
        if (header.flags & wire::DataIn::k_acknowledge) {
            header.target_transfer_tag = next_ttt++;
            std::copy(task.lun.begin(), task.lun.end(), header.lun);
        }
        header.initiator_task_tag = task.itt;
        header.data_sn = task.data_sn;
        header.buffer_offset = at;
        if (last && with_status) {
            header.flags |= wire::DataIn::k_status | residual.flags;
            header.status = task.outcome.status;
            header.residual_count = residual.count;
            task.status_sent = true;
            task.stat_sn = stat_sn;
            header.stat_sn = stat_sn;
        }
        const auto from = task.outcome.data.begin() + at;
        Pdu pdu = make_pdu(header, Bytes(from, from + step));
        task.data_in[task.data_sn++] = pdu;
        at += step;
        send(std::move(pdu), last && with_status);
        if (closed) return;
    }
    if (!with_status) return send_status(task);
    if (session->keys.error_recovery_level == 0) session->tasks.erase(task.itt);
}

void Connection::send_status(Task& task) {
    const Residual residual = residual_of(task, target);
    const Residual read = read_residual_of(task);
    wire::ScsiResponse response;
    response.flags |= residual.flags | read.flags;
    response.residual_count = residual.count;
    response.bidirectional_read_residual_count = read.count;
    response.status = task.outcome.status;
    response.initiator_task_tag = task.itt;
    response.snack_tag = task.snack_tag;
    response.exp_data_sn = task.is_both() ? std::max(task.data_sn, task.r2t_sn)
                                          : task.data_sn + task.r2t_sn;
    Bytes sense;
    if (!task.outcome.sense.empty()) {
        sense = {0, static_cast<uint8_t>(task.outcome.sense.size())};
        sense.insert(sense.end(), task.outcome.sense.begin(), task.outcome.sense.end());
    }
    task.status_sent = true;
    task.stat_sn = stat_sn;
    send(make_pdu(response, sense), true);
    if (session != nullptr && session->keys.error_recovery_level == 0)
        session->tasks.erase(task.itt);
}

}  // namespace hawser::target
