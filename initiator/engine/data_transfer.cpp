// SPDX-License-Identifier: GPL-2.0-or-later
// SCSI data and status: Data-In, R2T, SCSI Response. A peer may name any task, offset and length;
// each is held against the task that it claims before a byte of memory is promised (RFC
// 7143 4.2.5.3).
#include "engine/connection.hpp"

namespace hawser {

namespace {

constexpr uint32_t read_length_of(const hawser_command& command) {
    return command.direction == HAWSER_DATA_BOTH ? command.read_length : command.length;
}

// How much of one direction's data was not transferred, RFC 7143 11.4.5.
struct Residual {
    uint32_t expected;
    uint32_t moved;
    uint32_t count;
    bool underflow;
    bool overflow;

    bool is_possible() const {
        return !(underflow && overflow) && !(underflow && count > expected);
    }
    uint32_t missing() const {
        const uint32_t promised = expected - (underflow ? count : 0);
        return moved < promised ? promised - moved : 0;
    }
    // What the host is told. A read that failed early without saying so: what never came is not
    // data.
    uint32_t told(bool reads) const {
        const uint32_t said = overflow || underflow ? count : 0;
        return reads && !overflow && expected - moved > said ? expected - moved : said;
    }
};

}  // namespace

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

// The data segment that follows is of no use.
uint32_t Connection::discard_segment() {
    m_receive_task = nullptr;
    take_segment();
    return 0;
}

// Data-In that is not the next one. One that has come already is dropped (RFC 7143 7.9); before one
// that is ahead something is missing.
uint32_t Connection::refuse_data_in(Task& task, wire::DataSn data_sn) {
    if (data_sn.precedes(task.next_data_sn)) return discard_segment();
    if (!recovers()) return blame(&task, HAWSER_ERROR_DATA_SN, data_sn.value());
    return request_data(task) | discard_segment();
}

uint32_t Connection::begin_data_in() {
    const auto& data_in = header_as<wire::DataIn>();
    const uint32_t length = data_in.data_segment_length.get();
    const uint32_t offset = data_in.buffer_offset.get();
    Task* task = find_task(data_in.initiator_task_tag.get());
    if (task == nullptr) {
        // What was asked for again may come after the task is done.
        const bool late = recovers() || is_aborted(data_in.initiator_task_tag.get());
        if (late) return discard_segment();
        return fail(HAWSER_ERROR_UNKNOWN_TASK, data_in.initiator_task_tag.get());
    }
    const hawser_command& command = task->command;
    if ((command.direction & HAWSER_DATA_READ) == 0)
        return blame(task, HAWSER_ERROR_WRONG_DIRECTION, command.cdb[0]);
    const uint32_t whole = read_length_of(command);
    if (offset > whole || length > whole - offset)
        return blame(task, HAWSER_ERROR_DATA_OUT_OF_RANGE, offset);
    const wire::DataSn data_sn(data_in.data_sn.get());
    if (data_sn != task->next_data_sn) return refuse_data_in(*task, data_sn);
    // We ask for DataPDUInOrder and DataSequenceInOrder, and OR makes them Yes: data has one order,
    // so how much came is also what came.
    if (length != 0 && offset != task->received) return blame(task, HAWSER_ERROR_BAD_FIELD, offset);
    // 11.7.1: status comes with the last PDU of a sequence only.
    const bool has_status = (data_in.flags & wire::DataIn::k_status) != 0;
    if (has_status && (data_in.flags & wire::k_final) == 0)
        return blame(task, HAWSER_ERROR_BAD_FIELD, data_in.flags);
    if (has_status && task->status_held)
        return blame(task, HAWSER_ERROR_UNKNOWN_TASK, data_in.initiator_task_tag.get());
    m_receive_task = task;
    m_placement_offset = offset;
    m_receive_stage = length != 0 ? ReceiveStage::Placement : ReceiveStage::Trailer;
    return 0;
}

uint32_t Connection::finish_data_in() {
    const auto& data_in = header_as<wire::DataIn>();
    Task* task = m_receive_task;
    m_receive_task = nullptr;
    const bool has_status = (data_in.flags & wire::DataIn::k_status) != 0;
    if (task == nullptr) {
        uint32_t wants = 0;
        if (has_status && is_aborted(data_in.initiator_task_tag.get())) accept_status(wants);
        return wants;
    }
    task->stirred = true;
    note_service(*task);
    task->next_data_sn = task->next_data_sn.next();
    task->received += data_in.data_segment_length.get();
    uint32_t wants = take_window();
    if ((data_in.flags & wire::DataIn::k_acknowledge) != 0 && recovers())
        wants |= acknowledge_data(*task, data_in.target_transfer_tag.get());
    if (!has_status) return wants | settle_data(*task);
    if (!accept_status(wants)) return wants;
    return wants | complete(*task, {.status = data_in.status,
                                    .flags = data_in.flags,
                                    .residual = data_in.residual_count.get()});
}

// Which R2T is refused, and why: an enum hawser_error.
uint32_t Connection::check_r2t(const Task& task, const wire::R2t& r2t) const {
    const hawser_command& command = task.command;
    const uint32_t offset = r2t.buffer_offset.get();
    const uint32_t length = r2t.desired_data_transfer_length.get();
    if ((command.direction & HAWSER_DATA_WRITE) == 0) return HAWSER_ERROR_WRONG_DIRECTION;
    if (__builtin_memcmp(r2t.lun, command.lun, sizeof(r2t.lun)) != 0 ||
        r2t.target_transfer_tag.get() == wire::k_reserved_tag || r2t.data_segment_length.get() != 0)
        return HAWSER_ERROR_BAD_FIELD;
    if (length > m_keys.max_burst_length) return HAWSER_ERROR_R2T_TOO_LONG;
    if (length == 0 || offset > command.length || length > command.length - offset)
        return HAWSER_ERROR_R2T_OUT_OF_RANGE;
    return HAWSER_ERROR_NONE;
}

uint32_t Connection::handle_r2t() {
    const auto& r2t = header_as<wire::R2t>();
    Task* task = find_task(r2t.initiator_task_tag.get());
    if (task == nullptr) {
        if (recovers() || is_aborted(r2t.initiator_task_tag.get())) return take_window();
        return fail(HAWSER_ERROR_UNKNOWN_TASK, r2t.initiator_task_tag.get());
    }
    const uint32_t error = check_r2t(*task, r2t);
    if (error != HAWSER_ERROR_NONE) return blame(task, error, r2t.buffer_offset.get());
    task->stirred = true;
    const wire::DataSn r2t_sn(r2t.r2t_sn.get());
    if (task->any_r2t_sn) {
        task->any_r2t_sn = false;
        task->next_data_sn = r2t_sn;
    }
    if (r2t_sn.precedes(task->next_data_sn)) return take_window();  // 7.9: dropped
    if (r2t_sn != task->next_data_sn) {
        if (!recovers()) return blame(task, HAWSER_ERROR_R2T_SN, r2t_sn.value());
        return take_window() | request_data(*task);
    }
    // A recovery R2T may come while the sequence that it repeats is still being sent.
    const uint32_t limit = recovers() ? k_outstanding_r2t_max : m_keys.max_outstanding_r2t;
    if (task->r2t_count >= limit || task->r2t_count >= k_outstanding_r2t_max)
        return blame(task, HAWSER_ERROR_R2T_TOO_MANY, task->r2t_count);
    // DataSequenceInOrder is Yes: each asks for what follows. Only a recovery R2T goes back (7.8).
    const uint32_t offset = r2t.buffer_offset.get();
    if (recovers() ? offset > task->data_end : offset != task->data_end)
        return blame(task, HAWSER_ERROR_R2T_OUT_OF_RANGE, offset);
    task->next_data_sn = r2t_sn.next();
    note_service(*task);
    return take_window() | add_sequence(*task, r2t) | settle_data(*task);
}

uint32_t Connection::add_sequence(Task& task, const wire::R2t& r2t) {
    Sequence* sequence = nullptr;
    for (uint32_t i = 0; i < k_outstanding_r2t_max && sequence == nullptr; i++) {
        if (!task.sequences[i].link.linked) sequence = &task.sequences[i];
    }
    sequence->task = &task;
    sequence->target_transfer_tag = r2t.target_transfer_tag.get();
    sequence->offset = r2t.buffer_offset.get();
    sequence->left = r2t.desired_data_transfer_length.get();
    sequence->data_sn = {};
    m_sequences.push_back(*sequence);
    task.r2t_count++;
    const uint32_t end = sequence->offset + sequence->left;
    if (task.data_end < end) task.data_end = end;
    return HAWSER_WANT_TRANSMIT;
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
    if (task == nullptr && is_aborted(response.initiator_task_tag.get())) return take_window();
    // A task has one status. Where it has come, and only data is awaited, the task is over for the
    // target: a second one, under a StatSN of its own, names a task that there is not.
    if (task == nullptr || task->status_held)
        return blame(task, HAWSER_ERROR_UNKNOWN_TASK, response.initiator_task_tag.get());
    const uint32_t wants = take_window();
    copy_sense(*task);
    // 11.4.3: with a Response other than "completed at target" status and residual mean nothing.
    TaskStatus status{.response = response.response};
    if (response.response == 0)
        status = {.status = response.status,
                  .flags = response.flags,
                  .residual = response.residual_count.get(),
                  .read_residual = response.bidirectional_read_residual_count.get()};
    if (lacks_data(*task, response)) return wants | hold_status(*task, response, status);
    return wants | complete(*task, status);
}

void Connection::drop_sequences(Task& task) {
    for (Sequence& sequence : task.sequences) m_sequences.remove(sequence);
    task.r2t_count = 0;
    take_back_promise(task);
}

// The target's last word on a task. GOOD is believed only when all the data went over the wire that
// the residual does not explain away: otherwise a page with old content would be called read.
uint32_t Connection::complete(Task& task, const TaskStatus& status) {
    const hawser_command& command = task.command;
    const bool both = command.direction == HAWSER_DATA_BOTH;
    Residual main{.expected = command.length,
                  .moved = command.direction == HAWSER_DATA_READ ? task.received : task.transmitted,
                  .count = status.residual,
                  .underflow = (status.flags & wire::ScsiResponse::k_underflow) != 0,
                  .overflow = (status.flags & wire::ScsiResponse::k_overflow) != 0};
    // 11.4.5.1: o and u are about what a bidirectional command reads.
    Residual read{
        .expected = both ? command.read_length : 0,
        .moved = both ? task.received : 0,
        .count = status.read_residual,
        .underflow = both && (status.flags & wire::ScsiResponse::k_bidirectional_underflow) != 0,
        .overflow = both && (status.flags & wire::ScsiResponse::k_bidirectional_overflow) != 0};
    if (command.direction == HAWSER_DATA_NONE) main.moved = main.expected;
    const bool good = status.response == 0 && status.status == 0;
    for (const Residual* residual : {&main, &read}) {
        if (!residual->is_possible()) return blame(&task, HAWSER_ERROR_BAD_FIELD, residual->count);
        if (good && residual->missing() != 0)
            return blame(&task, HAWSER_ERROR_DATA_MISSING, residual->missing());
    }
    note_moved(task);
    note_service(task);
    task.completion.tag = command.tag;
    task.completion.response = status.response;
    task.completion.status = status.status;
    task.completion.overflow = main.overflow;
    task.completion.residual = main.told(command.direction == HAWSER_DATA_READ);
    task.completion.read_residual = read.told(true);
    drop_sequences(task);
    forget_snacks(task);
    release_status(task);
    if (m_transmit_task == &task) {
        task.completion_deferred = true;  // its pages are in the socket's hands until the PDU ends
        return 0;
    }
    remove_from_list(task);
    finish_task(task);
    return HAWSER_WANT_COMPLETION;
}

// A task that completes may be about to be retried: then it is not among the active ones.
void Connection::remove_from_list(Task& task) {
    if (task.place == TaskPlace::Active)
        m_active.remove(task);
    else if (task.place == TaskPlace::Pending)
        m_pending.remove(task);
    else if (task.place == TaskPlace::Held)
        m_held.remove(task);
    else
        m_reassigns.remove(task);
    if (m_reassigning == &task) m_reassigning = nullptr;  // its answer finds nobody
}

// Out of the wire's reach, and on to the host.
void Connection::finish_task(Task& task) {
    task.identity.store(task.identity.load(std::memory_order_relaxed) & 0xffff0000u,
                        std::memory_order_relaxed);
    m_completed.push_back(task);
}

}  // namespace hawser
