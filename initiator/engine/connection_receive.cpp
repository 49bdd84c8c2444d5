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
    // Nothing but login is in S4; Text has no request of ours outstanding.
    if (header.kind() == wire::Opcode::LoginResponse || header.kind() == wire::Opcode::TextResponse)
        return HAWSER_ERROR_UNEXPECTED_OPCODE;
    if (length > m_keys.max_recv_data_segment_length) return HAWSER_ERROR_SEGMENT_TOO_LONG;
    return HAWSER_ERROR_NONE;
}

// A whole header is here: where does its data segment go?
uint32_t Connection::begin_segment() {
    const wire::Bhs& header = header_as<wire::Bhs>();
    const uint32_t length = header.data_segment_length.get();
    const uint32_t error = check_header(header);
    if (error != HAWSER_ERROR_NONE) return fail(error, header.opcode);
    m_padding_left = wire::padding_of(length);
    m_segment_filled = 0;
    m_stage_left = length;
    if (header.kind() == wire::Opcode::DataIn) return begin_data_in();
    m_receive_stage = length != 0 ? ReceiveStage::Segment : ReceiveStage::Padding;
    return 0;
}

// A whole PDU is here; all its bytes are where they belong.
uint32_t Connection::end_of_pdu() {
    m_receive_stage = ReceiveStage::Header;
    m_header_filled = 0;
    switch (header_as<wire::Bhs>().kind()) {
        case wire::Opcode::DataIn:
            return finish_data_in();
        case wire::Opcode::R2t:
            return handle_r2t();
        case wire::Opcode::ScsiResponse:
            return handle_scsi_response();
        default:
            return dispatch_control();
    }
}

uint32_t Connection::handle_received(std::span<const uint8_t> bytes, uint64_t now_ms,
                                     uint32_t& wants) {
    m_last_received_ms = now_ms;
    const uint32_t whole = static_cast<uint32_t>(bytes.size());
    uint32_t used = 0;
    wants = 0;
    for (;;) {
        if (m_closing || !m_open) return whole;
        const uint32_t left = whole - used;
        const uint8_t* from = bytes.data() + used;
        uint32_t step = 0;
        switch (m_receive_stage) {
            case ReceiveStage::Header:
                step = static_cast<uint32_t>(wire::k_bhs_bytes) - m_header_filled;
                step = step < left ? step : left;
                __builtin_memcpy(&m_header[m_header_filled], from, step);
                m_header_filled += step;
                used += step;
                if (m_header_filled < wire::k_bhs_bytes) return used;
                wants |= begin_segment();
                break;
            case ReceiveStage::Placement:
                if (m_stage_left != 0) {
                    wants |= HAWSER_WANT_PLACEMENT;
                    return used;
                }
                m_receive_stage = ReceiveStage::Padding;
                break;
            case ReceiveStage::Segment: {
                step = m_stage_left < left ? m_stage_left : left;
                // What does not fit is of no use to us: sense and text of interest come first.
                const uint32_t room = k_segment_bytes - m_segment_filled;
                const uint32_t kept = step < room ? step : room;
                __builtin_memcpy(m_segment.data() + m_segment_filled, from, kept);
                m_segment_filled += kept;
                m_stage_left -= step;
                used += step;
                if (m_stage_left != 0) return used;
                m_receive_stage = ReceiveStage::Padding;
                break;
            }
            case ReceiveStage::Padding:
                step = m_padding_left < left ? m_padding_left : left;
                m_padding_left -= step;
                used += step;
                if (m_padding_left != 0) return used;
                wants |= end_of_pdu();
                wants |= transmit_wants();  // after it: the PDU may have opened the window
                break;
        }
        if (used == whole && m_receive_stage == ReceiveStage::Header && m_header_filled == 0)
            return used;
    }
}

bool Connection::poll_placement(hawser_placement& placement) const {
    if (m_closing || m_receive_stage != ReceiveStage::Placement || m_stage_left == 0) return false;
    placement.tag = m_receive_task->command.tag;
    placement.offset = m_placement_offset;
    placement.length = m_stage_left;
    return true;
}

uint32_t Connection::handle_placed(uint32_t length) {
    if (m_receive_stage != ReceiveStage::Placement || m_closing) return 0;
    if (length > m_stage_left) length = m_stage_left;
    m_placement_offset += length;
    m_stage_left -= length;
    m_receive_task->received += length;
    add(m_bytes_in, static_cast<uint64_t>(length));
    if (m_stage_left != 0) return 0;
    m_receive_stage = ReceiveStage::Padding;
    // Without padding the PDU ends here, and there may be no further byte to notice it by.
    if (m_padding_left != 0) return 0;
    const uint32_t wants = end_of_pdu();
    return wants | transmit_wants();
}

}  // namespace hawser
