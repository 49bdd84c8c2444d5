// SPDX-License-Identifier: GPL-2.0-or-later
// Framing: bytes become PDUs. Every length is checked against what was negotiated before a byte of
// the segment is placed anywhere; after an error every further byte is eaten and ignored.
#include "engine/connection.hpp"

namespace hawser {

namespace {

constexpr bool is_target_opcode(wire::Opcode opcode) {
    switch (opcode) {
        case wire::Opcode::NopIn:
        case wire::Opcode::ScsiResponse:
        case wire::Opcode::TaskManagementResponse:
        case wire::Opcode::LoginResponse:
        case wire::Opcode::TextResponse:
        case wire::Opcode::DataIn:
        case wire::Opcode::LogoutResponse:
        case wire::Opcode::R2t:
        case wire::Opcode::AsyncMessage:
        case wire::Opcode::Reject:
            return true;
        default:
            return false;
    }
}

constexpr uint32_t min_of(uint32_t one, uint32_t other) {
    return one < other ? one : other;
}

// 13.1: the least significant byte comes first.
uint32_t digest_at(const uint8_t* bytes) {
    return static_cast<uint32_t>(bytes[0]) | static_cast<uint32_t>(bytes[1]) << 8 |
           static_cast<uint32_t>(bytes[2]) << 16 | static_cast<uint32_t>(bytes[3]) << 24;
}

}  // namespace

// What can be refused before the data segment is taken: returns an enum hawser_error.
uint32_t Connection::check_header(const wire::Bhs& header) const {
    // The two top bits of a target's first byte are reserved: ignored, RFC 7143 11.2.1.
    if (!is_target_opcode(header.kind())) return HAWSER_ERROR_UNKNOWN_OPCODE;
    if (header.total_ahs_length != 0) return HAWSER_ERROR_BAD_AHS;  // no PDU of a target has one
    const uint32_t length = header.data_segment_length.get();
    if (m_state == ConnectionState::InLogin) {
        if (header.kind() != wire::Opcode::LoginResponse) return HAWSER_ERROR_LOGIN_UNEXPECTED_PDU;
        return length > k_segment_bytes ? HAWSER_ERROR_LOGIN_TOO_LONG : HAWSER_ERROR_NONE;
    }
    // Nothing but login is in S4.
    if (header.kind() == wire::Opcode::LoginResponse) return HAWSER_ERROR_UNEXPECTED_OPCODE;
    if (length > m_keys.max_recv_data_segment_length) return HAWSER_ERROR_SEGMENT_TOO_LONG;
    return HAWSER_ERROR_NONE;
}

// The task that a target's PDU is about; none in login, where no number of ours means one.
Task* Connection::named_task(const wire::Bhs& header) {
    switch (header.kind()) {
        case wire::Opcode::ScsiResponse:
        case wire::Opcode::DataIn:
        case wire::Opcode::R2t:
            return find_task(header.initiator_task_tag.get());
        default:
            return nullptr;
    }
}

// A whole header is here: where does its data segment go?
uint32_t Connection::begin_segment() {
    const wire::Bhs& header = header_as<wire::Bhs>();
    if (m_header_bytes != wire::k_bhs_bytes &&
        digest_at(&m_header[wire::k_bhs_bytes]) !=
            hawser_crc32c(0, m_header.data(), wire::k_bhs_bytes))
        return fail(HAWSER_ERROR_HEADER_DIGEST);
    const uint32_t length = header.data_segment_length.get();
    const uint32_t error = check_header(header);
    if (error != HAWSER_ERROR_NONE) return blame(named_task(header), error, header.opcode);
    m_padding_left = wire::padding_of(length);
    // RFC 7143 11.2.3: no data segment, no digest of it.
    m_digest_left = m_data_digest && length != 0 ? wire::k_digest_bytes : 0;
    m_receive_crc = 0;
    m_segment_filled = 0;
    m_stage_left = length;
    if (header.kind() == wire::Opcode::DataIn) return begin_data_in();
    take_segment();
    return 0;
}

// The data segment goes into our own buffer.
void Connection::take_segment() {
    m_receive_stage = m_stage_left != 0 ? ReceiveStage::Segment : ReceiveStage::Trailer;
}

// A whole PDU is here; all its bytes are where they belong.
uint32_t Connection::end_of_pdu() {
    m_receive_stage = ReceiveStage::Header;
    m_header_filled = 0;
    const wire::Opcode kind = header_as<wire::Bhs>().kind();
    if (m_data_digest && header_as<wire::Bhs>().data_segment_length.get() != 0 &&
        digest_at(m_digest.data()) != m_receive_crc)
        return handle_bad_payload();
    if (kind == wire::Opcode::DataIn) return finish_data_in();
    uint32_t wants = 0;
    if (!accept_status(wants)) return wants;
    switch (kind) {
        case wire::Opcode::R2t:
            return wants | handle_r2t();
        case wire::Opcode::ScsiResponse:
            return wants | handle_scsi_response();
        default:
            return wants | dispatch_control();
    }
}

// Takes what belongs to the stage from `left` bytes; returns how many, and whether there is enough
// to go on with.
uint32_t Connection::receive_some(const uint8_t* from, uint32_t left, bool& whole) {
    uint32_t step = 0;
    switch (m_receive_stage) {
        case ReceiveStage::Header:
            step = min_of(m_header_bytes - m_header_filled, left);
            __builtin_memcpy(&m_header[m_header_filled], from, step);
            m_header_filled += step;
            whole = m_header_filled == m_header_bytes;
            return step;
        case ReceiveStage::Segment: {
            step = min_of(m_stage_left, left);
            // What does not fit is of no use to us: sense and text of interest come first.
            const uint32_t kept = min_of(step, k_segment_bytes - m_segment_filled);
            __builtin_memcpy(m_segment.data() + m_segment_filled, from, kept);
            m_segment_filled += kept;
            m_stage_left -= step;
            if (m_digest_left != 0) m_receive_crc = hawser_crc32c(m_receive_crc, from, step);
            whole = m_stage_left == 0;
            return step;
        }
        case ReceiveStage::Trailer: {
            step = min_of(m_padding_left, left);
            m_padding_left -= step;
            // 13.1: the digest covers the padding as well.
            if (m_digest_left != 0) m_receive_crc = hawser_crc32c(m_receive_crc, from, step);
            const uint32_t of_digest = min_of(m_digest_left, left - step);
            __builtin_memcpy(m_digest.data() + wire::k_digest_bytes - m_digest_left, from + step,
                             of_digest);
            m_digest_left -= of_digest;
            whole = m_padding_left == 0 && m_digest_left == 0;
            return step + of_digest;
        }
        case ReceiveStage::Placement:
            break;
    }
    whole = true;
    return 0;
}

uint32_t Connection::handle_received(std::span<const uint8_t> bytes, uint64_t now_ms,
                                     uint32_t& wants) {
    m_now_ms = m_last_received_ms = now_ms;
    m_shared->heard[m_index].ms.store(now_ms, std::memory_order_relaxed);
    const uint32_t size = static_cast<uint32_t>(bytes.size());
    uint32_t used = 0;
    wants = 0;
    for (;;) {
        if (m_closing || m_deaf || !m_open) return size;
        if (m_receive_stage == ReceiveStage::Placement && m_stage_left != 0) {
            wants |= HAWSER_WANT_PLACEMENT;
            return used;
        }
        bool whole = false;
        used += receive_some(bytes.data() + used, size - used, whole);
        if (!whole) return used;
        switch (m_receive_stage) {
            case ReceiveStage::Header:
                wants |= begin_segment();
                break;
            case ReceiveStage::Placement:
            case ReceiveStage::Segment:
                m_receive_stage = ReceiveStage::Trailer;
                break;
            case ReceiveStage::Trailer:
                wants |= end_of_pdu();
                wants |= transmit_wants();  // after it: the PDU may have opened the window
                if (used == size) return used;
                break;
        }
    }
}

bool Connection::poll_placement(hawser_placement& placement) const {
    if (m_closing || m_deaf || m_receive_stage != ReceiveStage::Placement || m_stage_left == 0)
        return false;
    placement.tag = m_receive_task->command.tag;
    placement.offset = m_placement_offset;
    placement.length = m_stage_left;
    placement.digest = m_digest_left;
    return true;
}

uint32_t Connection::handle_placed(uint32_t length) {
    if (m_receive_stage != ReceiveStage::Placement || m_closing || m_deaf) return 0;
    if (length > m_stage_left) return own_mistake(OwnMistake::TooMuchPlaced);
    m_placement_offset += length;
    m_stage_left -= length;
    add(m_bytes_in, static_cast<uint64_t>(length));
    if (m_stage_left != 0) return 0;
    m_receive_stage = ReceiveStage::Trailer;
    // Without a trailer the PDU ends here, and there may be no further byte to notice it by.
    if (m_padding_left != 0 || m_digest_left != 0) return 0;
    const uint32_t wants = end_of_pdu();
    return wants | transmit_wants();
}

void Connection::digest_placed(std::span<const uint8_t> bytes) {
    m_receive_crc = hawser_crc32c(m_receive_crc, bytes.data(), static_cast<uint32_t>(bytes.size()));
}

}  // namespace hawser
