// SPDX-License-Identifier: GPL-2.0-or-later
// What goes out, in which order: control PDUs, then commands without data, then Data-Out and writes
// by turns (connection_pace.cpp says why, and which writes wait).
#include "engine/connection.hpp"

namespace hawser {

namespace {

// What one turn of fill() may write at most: the trailer of a PDU with data, then a header.
constexpr uint32_t k_command_bytes_max = wire::k_bhs_bytes + sizeof(wire::ExtendedCdb) +
                                         sizeof(wire::BidirectionalReadLength) +
                                         wire::k_digest_bytes;

}  // namespace

void Connection::append(const void* bytes, uint32_t length) {
    __builtin_memcpy(&m_transmit[m_transmit_end], bytes, length);
    m_transmit_end += length;
}

void Connection::append_digest(uint32_t crc) {
    const uint8_t bytes[wire::k_digest_bytes] = {
        static_cast<uint8_t>(crc), static_cast<uint8_t>(crc >> 8), static_cast<uint8_t>(crc >> 16),
        static_cast<uint8_t>(crc >> 24)};
    append(bytes, sizeof(bytes));
}

// A PDU's header, with what AHS it has, stands in the buffer from `begin` on: RFC 7143 11.2.3.
void Connection::seal_header(uint32_t begin) {
    if (m_header_bytes != wire::k_bhs_bytes)
        append_digest(hawser_crc32c(0, &m_transmit[begin], m_transmit_end - begin));
}

// What follows a data segment: zeros up to a word, and the digest.
void Connection::owe_trailer(uint32_t length) {
    m_transmit_padding = wire::padding_of(length);
    m_transmit_crc = 0;
    m_digest_owed = m_data_digest && length != 0;
}

void Connection::append_trailer() {
    static constexpr uint8_t k_zeros[4] = {};
    append(k_zeros, m_transmit_padding);
    if (m_digest_owed) append_digest(hawser_crc32c(m_transmit_crc, k_zeros, m_transmit_padding));
    m_transmit_padding = 0;
    m_digest_owed = false;
}

void Connection::digest_sent(std::span<const uint8_t> bytes) {
    m_transmit_crc =
        hawser_crc32c(m_transmit_crc, bytes.data(), static_cast<uint32_t>(bytes.size()));
}

void Connection::attach_data(Task& task, uint32_t offset, uint32_t length) {
    m_transmit_task = &task;
    m_transmit_offset = offset;
    m_transmit_left = length;
    owe_trailer(length);
}

// A text segment of our own; it must stay until it is sent. Ends the buffer like a task's data.
void Connection::attach_text(std::span<const uint8_t> text) {
    m_own_text = text;
    owe_trailer(static_cast<uint32_t>(text.size()));
    if (m_digest_owed) digest_sent(text);
}

void Connection::append_login() {
    wire::LoginRequest request;
    std::span<const uint8_t> text;
    if (!m_login.poll_request(request, text)) return;
    request.initiator_task_tag = k_login_tag | m_index;
    request.cmd_sn = m_shared->window.current().value();
    request.exp_stat_sn = m_statuses.expected().value();
    append(&request, sizeof(request));
    attach_text(text);
}

void Connection::append_nop_out(uint32_t itt, uint32_t ttt, const uint8_t* lun) {
    wire::NopOut nop;
    // Immediate in both uses: a ping must get through a closed window, and an answer must
    // (11.18.1).
    nop.opcode |= wire::k_immediate;
    nop.initiator_task_tag = itt;
    nop.target_transfer_tag = ttt;
    if (lun != nullptr) __builtin_memcpy(nop.lun, lun, sizeof(nop.lun));
    nop.cmd_sn = m_shared->window.current().value();
    nop.exp_stat_sn = m_statuses.expected().value();
    append_header(nop);
}

void Connection::append_logout() {
    wire::LogoutRequest request;
    request.reason = wire::k_final | m_logout_reason;
    request.initiator_task_tag = k_logout_tag | m_index;
    // Not valid where the session is closed (RFC 7143 11.14.3), but there are targets that look for
    // this connection in the session all the same, and refuse what they do not find.
    request.cid = static_cast<uint16_t>(m_index);
    request.cmd_sn = m_shared->window.current().value();
    request.exp_stat_sn = m_statuses.expected().value();
    append_header(request);
    m_logout_wanted = false;
    m_logout_outstanding = true;
}

bool Connection::logout_is_due() const {
    if (!m_logout_wanted) return false;
    if (m_logout_when_idle) return m_active.empty();
    return m_sequences.empty() && ((m_pending.empty() && m_held.empty()) || m_holds_commands);
}

// One control PDU; false when there is none.
bool Connection::fill_control() {
    if (m_logout_outstanding) return false;  // RFC 7143 11.14: nothing after it
    const uint32_t before = m_transmit_end;
    if (m_state == ConnectionState::InLogin) {
        append_login();
        return m_transmit_end != before;
    }
    if (m_nop_reply_count != 0) {
        const NopReply reply = m_nop_replies[0];
        m_nop_reply_count--;
        for (size_t i = 0; i < m_nop_reply_count; i++) m_nop_replies[i] = m_nop_replies[i + 1];
        append_nop_out(wire::k_reserved_tag, reply.target_transfer_tag, reply.lun);
        return true;
    }
    if (m_nop_wanted) {
        m_nop_wanted = false;
        append_nop_out(static_cast<uint32_t>(m_nop_generation) << 16 | k_nop_tag | m_index,
                       wire::k_reserved_tag, nullptr);
        m_nop_end = m_pace.sent() + m_transmit_end;
        return true;
    }
    if (fill_trial() || fill_ladder()) return true;
    if (management_is_due()) {
        append_management();
        return true;
    }
    if (fill_snack() || fill_recovery()) return true;
    if (text_is_due()) {
        append_text();
        return true;
    }
    // The last PDU: what was submitted before goes before it (RFC 7143 11.14: nothing new after).
    if (logout_is_due()) {
        append_logout();
        return true;
    }
    return false;
}

bool Connection::fill_data_out() {
    Sequence* sequence = m_sequences.first();
    if (sequence == nullptr) return false;
    Task& task = *sequence->task;
    uint32_t length = sequence->left;
    if (length > m_keys.max_xmit_data_segment_length) length = m_keys.max_xmit_data_segment_length;
    wire::DataOut header;
    header.flags = length == sequence->left ? wire::k_final : 0;
    header.data_segment_length = length;
    // With a TTT the LUN is the R2T's, which is the command's; RFC 7143 11.7.2.
    __builtin_memcpy(header.lun, task.command.lun, sizeof(header.lun));
    header.initiator_task_tag = task.initiator_task_tag;
    header.target_transfer_tag = sequence->target_transfer_tag;
    header.exp_stat_sn = m_statuses.expected().value();
    header.data_sn = sequence->data_sn.value();
    header.buffer_offset = sequence->offset;
    append_header(header);
    attach_data(task, sequence->offset, length);
    sequence->data_sn = sequence->data_sn.next();
    sequence->offset += length;
    sequence->left -= length;
    promise(task, sequence->offset);
    if (sequence->left == 0) {
        m_sequences.remove(*sequence);
        if (sequence->target_transfer_tag != wire::k_reserved_tag) task.r2t_count--;
    }
    return true;
}

bool Connection::take_number(Task& task) {
    std::optional<wire::CmdSn> cmd_sn = m_shared->window.take();
    if (!cmd_sn.has_value()) {
        if (m_shared->window.wait(m_index)) return false;
        cmd_sn = m_shared->window.take();
        if (!cmd_sn.has_value()) return false;  // another connection was quicker; our bit is set
    }
    task.cmd_sn = *cmd_sn;
    task.numbered = true;
    task.nexus = m_epoch;
    return true;
}

bool Connection::fill_command(Task& task) {
    // A retry keeps the number that it has (7.2.1).
    if (!task.numbered && !take_number(task)) return false;
    remove_from_list(task);
    m_active.push_back(task);
    task.place = TaskPlace::Active;
    task.carrier = m_index;
    task.identity.store((task.initiator_task_tag & 0xffff0000u) | (m_index + 1),
                         std::memory_order_relaxed);
    append_command(task);
    add(m_commands, uint64_t{1});
    return true;
}

// RFC 7143 11.2.2.3 and 11.2.2.4: what does not fit into the BHS. Returns its length.
uint32_t Connection::append_ahs(const hawser_command& command) {
    const uint32_t begin = m_transmit_end;
    if (command.cdb_length > 16) {
        wire::ExtendedCdb ahs;
        const uint32_t beyond = command.cdb_length - 16u;
        ahs.ahs_length = static_cast<uint16_t>(beyond + 1);  // the reserved byte counts
        __builtin_memcpy(ahs.cdb, command.cdb + 16, beyond);
        append(&ahs, 4 + beyond + wire::padding_of(beyond));
    }
    if (command.direction == HAWSER_DATA_BOTH) {
        wire::BidirectionalReadLength ahs;
        ahs.expected_read_data_length = command.read_length;
        append(&ahs, sizeof(ahs));
    }
    return m_transmit_end - begin;
}

// RFC 7143 11.3 and 11.3.4: what may go without being asked for is FirstBurstLength, of it what
// fits into one segment goes with the command itself.
void Connection::append_command(Task& task) {
    const hawser_command& command = task.command;
    wire::ScsiCommand header;
    header.flags = command.task_attribute & 7;
    if (command.direction & HAWSER_DATA_READ) header.flags |= wire::ScsiCommand::k_read;
    if (command.direction & HAWSER_DATA_WRITE) header.flags |= wire::ScsiCommand::k_write;
    uint32_t immediate = 0;
    uint32_t unsolicited = 0;
    if (command.direction & HAWSER_DATA_WRITE) {
        const uint32_t burst =
            command.length < m_keys.first_burst_length ? command.length : m_keys.first_burst_length;
        if (m_keys.immediate_data != 0)
            immediate = burst < m_keys.max_xmit_data_segment_length
                            ? burst
                            : m_keys.max_xmit_data_segment_length;
        // With siblings a command may reach the target before its turn. LIO (6.1) takes unsolicited
        // Data-Out for it as a protocol error and drops the session; InitialR2T=No permits such
        // data, it demands none (RFC 7143 13.10).
        if (m_keys.initial_r2t == 0 && m_keys.max_connections <= 1) unsolicited = burst - immediate;
    }
    if (unsolicited == 0) header.flags |= wire::k_final;
    header.data_segment_length = immediate;
    __builtin_memcpy(header.lun, command.lun, sizeof(header.lun));
    header.initiator_task_tag = task.initiator_task_tag;
    header.expected_data_transfer_length = command.length;
    header.cmd_sn = task.cmd_sn.value();
    header.exp_stat_sn = m_statuses.expected().value();
    __builtin_memcpy(header.cdb, command.cdb, sizeof(header.cdb));
    const uint32_t begin = m_transmit_end;
    append(&header, sizeof(header));
    if (command.cdb_length > 16 || command.direction == HAWSER_DATA_BOTH) {
        const uint32_t words = append_ahs(command) / 4;
        m_transmit[begin + offsetof(wire::ScsiCommand, total_ahs_length)] =
            static_cast<uint8_t>(words);
    }
    seal_header(begin);
    if (immediate != 0) attach_data(task, 0, immediate);
    task.data_end = immediate + unsolicited;
    if (command.direction & HAWSER_DATA_WRITE) promise(task, immediate);
    if (unsolicited != 0) {
        Sequence& sequence = task.sequences[k_outstanding_r2t_max];
        sequence.task = &task;
        sequence.target_transfer_tag = wire::k_reserved_tag;
        sequence.offset = immediate;
        sequence.left = unsolicited;
        sequence.data_sn = {};
        m_sequences.push_back(sequence);
    }
}

// Gathers PDUs until the room or the buffer is full, or one with data ends it.
void Connection::fill(uint32_t room) {
    m_transmit_begin = 0;
    m_transmit_end = 0;
    if (owes_trailer()) append_trailer();
    while (m_transmit_left == 0 && m_own_text.empty() &&
           m_transmit_end + k_command_bytes_max <= k_transmit_buffer_bytes &&
           m_transmit_end + k_command_bytes_max <= room) {
        if (fill_control()) continue;
        if (m_state == ConnectionState::InLogin || m_logout_outstanding) return;
        if (!fill_task()) return;
    }
}

bool Connection::has_more() const {
    return owes_trailer() || !m_sequences.empty() || m_nop_reply_count != 0 || command_is_due();
}

bool Connection::poll_transmit(uint32_t room, hawser_transmit& transmit) {
    if (!m_open || m_closing || m_draining || m_state == ConnectionState::XptWait) return false;
    if (m_transmit_begin == m_transmit_end && m_transmit_left == 0 && m_own_text.empty())
        fill(room);
    transmit = {};
    if (m_transmit_begin != m_transmit_end) {
        transmit.bytes = &m_transmit[m_transmit_begin];
        transmit.bytes_length = m_transmit_end - m_transmit_begin;
    } else if (!m_own_text.empty()) {
        transmit.bytes = m_own_text.data();
        transmit.bytes_length = static_cast<uint32_t>(m_own_text.size());
        transmit.more = owes_trailer();
        return true;
    } else if (m_transmit_left == 0) {
        return false;
    }
    if (m_transmit_left != 0) {
        transmit.tag = m_transmit_task->command.tag;
        transmit.data_offset = m_transmit_offset;
        transmit.data_length = m_transmit_left;
        transmit.digest = m_digest_owed;
    }
    transmit.more = !m_own_text.empty() || has_more();
    return true;
}

// A PDU's data has gone: a completion that came early may now be told.
uint32_t Connection::finish_data() {
    Task* task = m_transmit_task;
    m_transmit_task = nullptr;
    if (task->retry_wanted) return retry_command(*task);
    if (!task->completion_deferred) return 0;
    m_active.remove(*task);
    finish_task(*task);
    return HAWSER_WANT_COMPLETION;
}

uint32_t Connection::transmit_wants() const {
    const bool waiting = m_transmit_begin != m_transmit_end || m_transmit_left != 0 ||
                         !m_own_text.empty() || m_nop_wanted || logout_is_due() || text_is_due() ||
                         management_is_due() || m_ladder.wanted || owes_recovery() || has_more() ||
                         (trial_is_due() && (m_trial_held || m_shared->window.is_open()));
    return waiting ? HAWSER_WANT_TRANSMIT : 0;
}

uint32_t Connection::handle_transmitted(uint32_t length, uint64_t now_ms) {
    uint32_t wants = 0;
    if (m_closing) return 0;
    m_pace.transmitted(length);
    const uint32_t bytes = m_transmit_end - m_transmit_begin;
    const uint32_t of_bytes = length < bytes ? length : bytes;
    m_transmit_begin += of_bytes;
    length -= of_bytes;
    if (length != 0 && !m_own_text.empty()) {
        const size_t of_text = length < m_own_text.size() ? length : m_own_text.size();
        m_own_text = m_own_text.subspan(of_text);
        if (length != of_text) return own_mistake(OwnMistake::TooMuchSent);
        return transmit_wants();
    }
    if (length != 0 && m_transmit_left != 0) {
        const uint32_t of_data = length < m_transmit_left ? length : m_transmit_left;
        length -= of_data;
        m_transmit_offset += of_data;
        m_transmit_left -= of_data;
        // What is sent for a second time is no progress.
        if (m_transmit_task->transmitted < m_transmit_offset)
            m_transmit_task->transmitted = m_transmit_offset;
        m_transmit_task->stirred = true;
        add(m_bytes_out, static_cast<uint64_t>(of_data));
        if (m_transmit_left == 0) wants |= finish_data();
    }
    if (length != 0) return wants | own_mistake(OwnMistake::TooMuchSent);
    return wants | watch_recovery(now_ms) | watch_tasks(now_ms) | transmit_wants();
}

}  // namespace hawser
