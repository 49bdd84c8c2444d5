// SPDX-License-Identifier: GPL-2.0-or-later
// SCSI data and status: Data-In, R2T, SCSI Response. A peer may name any task, offset and length;
// each is held against the task that it claims before a byte of memory is promised (RFC
// 7143 4.2.5.3).
#include "engine/connection.hpp"

namespace hawser {

// The task of this ITT, if this connection has it on the wire.
Task* Connection::find_task(uint32_t initiator_task_tag) {
    const uint32_t tag = initiator_task_tag & 0xffff;
    if (tag >= m_shared->tasks.size()) return nullptr;
    Task& task = m_shared->tasks[tag];
    const uint32_t ours = (initiator_task_tag & 0xffff0000u) | (m_index + 1);
    if (task.identity.load(std::memory_order_relaxed) != ours || task.completion_deferred)
        return nullptr;
    return &task;
}

uint32_t Connection::begin_data_in() {
    const auto& data_in = header_as<wire::DataIn>();
    const uint32_t length = data_in.data_segment_length.get();
    const uint32_t offset = data_in.buffer_offset.get();
    Task* task = find_task(data_in.initiator_task_tag.get());
    if (task == nullptr && is_aborted(data_in.initiator_task_tag.get())) {
        m_receive_task = nullptr;
        m_receive_stage = length != 0 ? ReceiveStage::Segment : ReceiveStage::Padding;
        return 0;
    }
    if (task == nullptr) return fail(HAWSER_ERROR_UNKNOWN_TASK, data_in.initiator_task_tag.get());
    if (task->command.direction != HAWSER_DATA_READ)
        return fail(HAWSER_ERROR_WRONG_DIRECTION, task->command.cdb[0]);
    if (offset > task->command.length || length > task->command.length - offset)
        return fail(HAWSER_ERROR_DATA_OUT_OF_RANGE, offset);
    if (wire::DataSn(data_in.data_sn.get()) != task->next_data_sn)
        return fail(HAWSER_ERROR_DATA_SN, data_in.data_sn.get());
    // We ask for DataPDUInOrder and DataSequenceInOrder, and OR makes them Yes: data has one order,
    // so how much came is also what came.
    if (length != 0 && offset != task->received) return fail(HAWSER_ERROR_BAD_FIELD, offset);
    // 11.7.1: status comes with the last PDU of a sequence only.
    if ((data_in.flags & wire::DataIn::k_status) != 0 && (data_in.flags & wire::k_final) == 0)
        return fail(HAWSER_ERROR_BAD_FIELD, data_in.flags);
    task->next_data_sn = task->next_data_sn.next();
    m_receive_task = task;
    m_placement_offset = offset;
    m_receive_stage = length != 0 ? ReceiveStage::Placement : ReceiveStage::Padding;
    return 0;
}

uint32_t Connection::finish_data_in() {
    const auto& data_in = header_as<wire::DataIn>();
    Task* task = m_receive_task;
    m_receive_task = nullptr;
    const bool has_status = (data_in.flags & wire::DataIn::k_status) != 0;
    uint32_t wants = take_numbering(has_status);
    if (m_closing || !has_status || task == nullptr) return wants;
    return wants | complete(*task, 0, data_in.status, data_in.flags, data_in.residual_count.get());
}

uint32_t Connection::handle_r2t() {
    const auto& r2t = header_as<wire::R2t>();
    const uint32_t offset = r2t.buffer_offset.get();
    const uint32_t length = r2t.desired_data_transfer_length.get();
    Task* task = find_task(r2t.initiator_task_tag.get());
    if (task == nullptr && is_aborted(r2t.initiator_task_tag.get())) return take_numbering(false);
    if (task == nullptr) return fail(HAWSER_ERROR_UNKNOWN_TASK, r2t.initiator_task_tag.get());
    if (task->command.direction != HAWSER_DATA_WRITE)
        return fail(HAWSER_ERROR_WRONG_DIRECTION, task->command.cdb[0]);
    if (__builtin_memcmp(r2t.lun, task->command.lun, sizeof(r2t.lun)) != 0 ||
        r2t.target_transfer_tag.get() == wire::k_reserved_tag || r2t.data_segment_length.get() != 0)
        return fail(HAWSER_ERROR_BAD_FIELD, r2t.target_transfer_tag.get());
    if (length > m_keys.max_burst_length) return fail(HAWSER_ERROR_R2T_TOO_LONG, length);
    if (length == 0 || offset > task->command.length || length > task->command.length - offset)
        return fail(HAWSER_ERROR_R2T_OUT_OF_RANGE, offset);
    if (wire::DataSn(r2t.r2t_sn.get()) != task->next_r2t_sn)
        return fail(HAWSER_ERROR_R2T_SN, r2t.r2t_sn.get());
    if (task->r2t_count >= m_keys.max_outstanding_r2t || task->r2t_count >= k_outstanding_r2t_max)
        return fail(HAWSER_ERROR_R2T_TOO_MANY, task->r2t_count);
    // DataSequenceInOrder is Yes: each asks for what follows, and nothing is asked for twice.
    if (offset != task->data_end) return fail(HAWSER_ERROR_R2T_OUT_OF_RANGE, offset);
    const uint32_t wants = take_numbering(false);
    Sequence* sequence = nullptr;
    for (uint32_t i = 0; i < k_outstanding_r2t_max && sequence == nullptr; i++) {
        if (!task->sequences[i].link.linked) sequence = &task->sequences[i];
    }
    sequence->task = task;
    sequence->target_transfer_tag = r2t.target_transfer_tag.get();
    sequence->offset = offset;
    sequence->left = length;
    sequence->data_sn = {};
    m_sequences.push_back(*sequence);
    task->r2t_count++;
    task->next_r2t_sn = task->next_r2t_sn.next();
    task->data_end = offset + length;
    return wants | HAWSER_WANT_TRANSMIT;
}

// RFC 7143 11.4.7.2: SenseLength, then the sense data. Both lengths are the peer's.
void Connection::copy_sense(Task& task) {
    task.completion.sense = task.sense;
    task.completion.sense_length = 0;
    if (m_segment_filled < 2) return;
    uint32_t length = static_cast<uint32_t>(m_segment[0]) << 8 | m_segment[1];
    if (length > m_segment_filled - 2) length = m_segment_filled - 2;
    if (length > HAWSER_SENSE_MAX) length = HAWSER_SENSE_MAX;
    __builtin_memcpy(task.sense, &m_segment[2], length);
    task.completion.sense_length = length;
}

uint32_t Connection::handle_scsi_response() {
    const auto& response = header_as<wire::ScsiResponse>();
    Task* task = find_task(response.initiator_task_tag.get());
    if (task == nullptr && is_aborted(response.initiator_task_tag.get()))
        return take_numbering(true);
    if (task == nullptr) return fail(HAWSER_ERROR_UNKNOWN_TASK, response.initiator_task_tag.get());
    const uint32_t wants = take_numbering(true);
    if (m_closing) return wants;
    copy_sense(*task);
    // 11.4.3: with a Response other than "completed at target" status and residual mean nothing.
    if (response.response != 0) return wants | complete(*task, response.response, 0, 0, 0);
    return wants |
           complete(*task, 0, response.status, response.flags, response.residual_count.get());
}

void Connection::drop_sequences(Task& task) {
    for (Sequence& sequence : task.sequences) m_sequences.remove(sequence);
    task.r2t_count = 0;
}

// The target's last word on a task. GOOD is believed only when all the data went over the wire that
// the residual does not explain away: otherwise a page with old content would be called read.
uint32_t Connection::complete(Task& task, uint8_t response, uint8_t status, uint8_t residual_flags,
                              uint32_t residual) {
    const hawser_command& command = task.command;
    const bool underflow = (residual_flags & wire::ScsiResponse::k_underflow) != 0;
    const bool overflow = (residual_flags & wire::ScsiResponse::k_overflow) != 0;
    if ((underflow && overflow) || (underflow && residual > command.length))
        return fail(HAWSER_ERROR_BAD_FIELD, residual);
    const uint32_t moved = command.direction == HAWSER_DATA_READ    ? task.received
                           : command.direction == HAWSER_DATA_WRITE ? task.transmitted
                                                                    : 0;
    const uint32_t promised = command.length - (underflow ? residual : 0);
    if (response == 0 && status == 0 && command.direction != HAWSER_DATA_NONE && moved < promised)
        return fail(HAWSER_ERROR_DATA_MISSING, promised - moved);
    task.completion.tag = command.tag;
    task.completion.response = response;
    task.completion.status = status;
    task.completion.overflow = overflow;
    task.completion.residual = overflow || underflow ? residual : 0;
    // A read that failed early without saying so: what never came is not data.
    if (command.direction == HAWSER_DATA_READ && !overflow &&
        command.length - moved > task.completion.residual)
        task.completion.residual = command.length - moved;
    drop_sequences(task);
    if (m_transmit_task == &task) {
        task.completion_deferred = true;  // its pages are in the socket's hands until the PDU ends
        return 0;
    }
    m_active.remove(task);
    finish_task(task);
    return HAWSER_WANT_COMPLETION;
}

// Out of the wire's reach, and on to the host.
void Connection::finish_task(Task& task) {
    task.identity.store(task.identity.load(std::memory_order_relaxed) & 0xffff0000u,
                        std::memory_order_relaxed);
    m_completed.push_back(task);
}

}  // namespace hawser
