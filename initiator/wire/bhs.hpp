// SPDX-License-Identifier: GPL-2.0-or-later
// The Basic Header Segments of RFC 7143 section 11: one struct per PDU, 48 bytes each, every field
// at its place, no state. Reserved bytes are zero when a struct is made ({}), as 11 demands, and
// are not looked at on receipt.
#pragma once

#include "wire/big_endian.hpp"

#include <cstddef>
#include <cstdint>

namespace hawser::wire {

inline constexpr size_t k_bhs_bytes = 48;
inline constexpr uint32_t k_digest_bytes = 4;  // 11.2.3
// How many zero bytes follow a segment: each is padded to words, RFC 7143 11.1.
constexpr uint32_t padding_of(uint32_t length) {
    return (4 - length % 4) % 4;
}

inline constexpr uint32_t k_reserved_tag = 0xffffffff;  // RFC 7143 11.2.1.8, 11.7.4
inline constexpr uint8_t k_immediate = 0x40;            // the I bit of byte 0, 11.2.1.1
inline constexpr uint8_t k_final = 0x80;                // the F (or T) bit of byte 1

// RFC 7143 11.2.1.2
enum class Opcode : uint8_t {
    NopOut = 0x00,
    ScsiCommand = 0x01,
    TaskManagementRequest = 0x02,
    LoginRequest = 0x03,
    TextRequest = 0x04,
    DataOut = 0x05,
    LogoutRequest = 0x06,
    Snack = 0x10,
    NopIn = 0x20,
    ScsiResponse = 0x21,
    TaskManagementResponse = 0x22,
    LoginResponse = 0x23,
    TextResponse = 0x24,
    DataIn = 0x25,
    LogoutResponse = 0x26,
    R2t = 0x31,
    AsyncMessage = 0x32,
    Reject = 0x3f,
};

// What all PDUs share: enough to find where each ends and whose it is.
struct Bhs {
    uint8_t opcode = 0;  // with the I bit
    uint8_t flags = 0;
    uint8_t specific[2] = {};
    uint8_t total_ahs_length = 0;  // in words of 4 bytes
    Be24 data_segment_length;      // bytes, without padding
    uint8_t lun[8] = {};
    Be32 initiator_task_tag;
    uint8_t rest[28] = {};

    constexpr Opcode kind() const { return static_cast<Opcode>(opcode & 0x3f); }
};
static_assert(sizeof(Bhs) == k_bhs_bytes);

// The numbering that every target PDU carries at bytes 24..35, Login Response included.
struct TargetNumbering {
    uint8_t before[24] = {};
    Be32 stat_sn;
    Be32 exp_cmd_sn;
    Be32 max_cmd_sn;
    uint8_t after[12] = {};
};
static_assert(sizeof(TargetNumbering) == k_bhs_bytes);

// 11.3
struct ScsiCommand {
    uint8_t opcode = static_cast<uint8_t>(Opcode::ScsiCommand);
    uint8_t flags = 0;
    uint8_t reserved[2] = {};
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t lun[8] = {};
    Be32 initiator_task_tag;
    Be32 expected_data_transfer_length;
    Be32 cmd_sn;
    Be32 exp_stat_sn;
    uint8_t cdb[16] = {};

    static constexpr uint8_t k_read = 0x40;
    static constexpr uint8_t k_write = 0x20;
};
static_assert(sizeof(ScsiCommand) == k_bhs_bytes);

// 11.2.2.3: the Additional Header Segment that carries the CDB beyond its 16th byte.
struct ExtendedCdb {
    Be16 ahs_length;  // bytes after this and the type, one reserved byte included
    uint8_t ahs_type = 1;
    uint8_t reserved = 0;
    uint8_t cdb[16] = {};
};
static_assert(sizeof(ExtendedCdb) == 20);

// 11.2.2.4: how much a bidirectional command may read.
struct BidirectionalReadLength {
    Be16 ahs_length = 5;
    uint8_t ahs_type = 2;
    uint8_t reserved = 0;
    Be32 expected_read_data_length;
};
static_assert(sizeof(BidirectionalReadLength) == 8);

// 11.4
struct ScsiResponse {
    uint8_t opcode = static_cast<uint8_t>(Opcode::ScsiResponse);
    uint8_t flags = k_final;
    uint8_t response = 0;
    uint8_t status = 0;
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t reserved[8] = {};
    Be32 initiator_task_tag;
    Be32 snack_tag;
    Be32 stat_sn;
    Be32 exp_cmd_sn;
    Be32 max_cmd_sn;
    Be32 exp_data_sn;
    Be32 bidirectional_read_residual_count;
    Be32 residual_count;

    static constexpr uint8_t k_bidirectional_overflow = 0x10;
    static constexpr uint8_t k_bidirectional_underflow = 0x08;
    static constexpr uint8_t k_overflow = 0x04;
    static constexpr uint8_t k_underflow = 0x02;
};
static_assert(sizeof(ScsiResponse) == k_bhs_bytes);

// 11.5
struct TaskManagementRequest {
    uint8_t opcode = static_cast<uint8_t>(Opcode::TaskManagementRequest);
    uint8_t function = k_final;  // F, then the function's number
    uint8_t reserved[2] = {};
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t lun[8] = {};
    Be32 initiator_task_tag;
    Be32 referenced_task_tag;
    Be32 cmd_sn;
    Be32 exp_stat_sn;
    Be32 ref_cmd_sn;
    Be32 exp_data_sn;
    uint8_t reserved2[8] = {};

    static constexpr uint8_t k_task_reassign = 8;
};
static_assert(sizeof(TaskManagementRequest) == k_bhs_bytes);

// 11.6
struct TaskManagementResponse {
    uint8_t opcode = static_cast<uint8_t>(Opcode::TaskManagementResponse);
    uint8_t flags = k_final;
    uint8_t response = 0;
    uint8_t reserved = 0;
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t reserved2[8] = {};
    Be32 initiator_task_tag;
    uint8_t reserved3[4] = {};
    Be32 stat_sn;
    Be32 exp_cmd_sn;
    Be32 max_cmd_sn;
    uint8_t reserved4[12] = {};
};
static_assert(sizeof(TaskManagementResponse) == k_bhs_bytes);

// 11.7
struct DataOut {
    uint8_t opcode = static_cast<uint8_t>(Opcode::DataOut);
    uint8_t flags = 0;
    uint8_t reserved[2] = {};
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t lun[8] = {};
    Be32 initiator_task_tag;
    Be32 target_transfer_tag;
    uint8_t reserved2[4] = {};
    Be32 exp_stat_sn;
    uint8_t reserved3[4] = {};
    Be32 data_sn;
    Be32 buffer_offset;
    uint8_t reserved4[4] = {};
};
static_assert(sizeof(DataOut) == k_bhs_bytes);

// 11.7
struct DataIn {
    uint8_t opcode = static_cast<uint8_t>(Opcode::DataIn);
    uint8_t flags = 0;
    uint8_t reserved = 0;
    uint8_t status = 0;
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t lun[8] = {};
    Be32 initiator_task_tag;
    Be32 target_transfer_tag;
    Be32 stat_sn;  // only with S
    Be32 exp_cmd_sn;
    Be32 max_cmd_sn;
    Be32 data_sn;
    Be32 buffer_offset;
    Be32 residual_count;

    static constexpr uint8_t k_acknowledge = 0x40;
    static constexpr uint8_t k_overflow = 0x04;
    static constexpr uint8_t k_underflow = 0x02;
    static constexpr uint8_t k_status = 0x01;
};
static_assert(sizeof(DataIn) == k_bhs_bytes);

// 11.8
struct R2t {
    uint8_t opcode = static_cast<uint8_t>(Opcode::R2t);
    uint8_t flags = k_final;
    uint8_t reserved[2] = {};
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t lun[8] = {};
    Be32 initiator_task_tag;
    Be32 target_transfer_tag;
    Be32 stat_sn;  // the next one; not advanced
    Be32 exp_cmd_sn;
    Be32 max_cmd_sn;
    Be32 r2t_sn;
    Be32 buffer_offset;
    Be32 desired_data_transfer_length;
};
static_assert(sizeof(R2t) == k_bhs_bytes);

// 11.9
struct AsyncMessage {
    uint8_t opcode = static_cast<uint8_t>(Opcode::AsyncMessage);
    uint8_t flags = k_final;
    uint8_t reserved[2] = {};
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t lun[8] = {};
    Be32 initiator_task_tag = k_reserved_tag;
    uint8_t reserved2[4] = {};
    Be32 stat_sn;
    Be32 exp_cmd_sn;
    Be32 max_cmd_sn;
    uint8_t async_event = 0;
    uint8_t async_vcode = 0;
    Be16 parameter1;
    Be16 parameter2;
    Be16 parameter3;
    uint8_t reserved3[4] = {};
};
static_assert(sizeof(AsyncMessage) == k_bhs_bytes);

// 11.10
struct TextRequest {
    uint8_t opcode = static_cast<uint8_t>(Opcode::TextRequest);
    uint8_t flags = 0;
    uint8_t reserved[2] = {};
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t lun[8] = {};
    Be32 initiator_task_tag;
    Be32 target_transfer_tag = k_reserved_tag;
    Be32 cmd_sn;
    Be32 exp_stat_sn;
    uint8_t reserved2[16] = {};

    static constexpr uint8_t k_continue = 0x40;
};
static_assert(sizeof(TextRequest) == k_bhs_bytes);

// 11.11
struct TextResponse {
    uint8_t opcode = static_cast<uint8_t>(Opcode::TextResponse);
    uint8_t flags = 0;
    uint8_t reserved[2] = {};
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t lun[8] = {};
    Be32 initiator_task_tag;
    Be32 target_transfer_tag = k_reserved_tag;
    Be32 stat_sn;
    Be32 exp_cmd_sn;
    Be32 max_cmd_sn;
    uint8_t reserved2[12] = {};
};
static_assert(sizeof(TextResponse) == k_bhs_bytes);

// 11.12.3, 11.13.3: the stages of CSG and NSG.
enum class LoginStage : uint8_t { Security = 0, Operational = 1, FullFeature = 3 };

// 11.12
struct LoginRequest {
    uint8_t opcode = static_cast<uint8_t>(Opcode::LoginRequest) | k_immediate;
    uint8_t flags = 0;
    uint8_t version_max = 0;
    uint8_t version_min = 0;
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t isid[6] = {};
    Be16 tsih;
    Be32 initiator_task_tag;
    Be16 cid;
    uint8_t reserved[2] = {};
    Be32 cmd_sn;
    Be32 exp_stat_sn;
    uint8_t reserved2[16] = {};

    static constexpr uint8_t k_transit = 0x80;
    static constexpr uint8_t k_continue = 0x40;
};
static_assert(sizeof(LoginRequest) == k_bhs_bytes);

// 11.13
struct LoginResponse {
    uint8_t opcode = static_cast<uint8_t>(Opcode::LoginResponse);
    uint8_t flags = 0;
    uint8_t version_max = 0;
    uint8_t version_active = 0;
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t isid[6] = {};
    Be16 tsih;
    Be32 initiator_task_tag;
    uint8_t reserved[4] = {};
    Be32 stat_sn;
    Be32 exp_cmd_sn;
    Be32 max_cmd_sn;
    uint8_t status_class = 0;
    uint8_t status_detail = 0;
    uint8_t reserved2[10] = {};

    static constexpr uint8_t k_transit = 0x80;
    static constexpr uint8_t k_continue = 0x40;
};
static_assert(sizeof(LoginResponse) == k_bhs_bytes);

// 11.14
struct LogoutRequest {
    uint8_t opcode = static_cast<uint8_t>(Opcode::LogoutRequest) | k_immediate;
    uint8_t reason = k_final;  // F, then the reason's number
    uint8_t reserved[2] = {};
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t reserved2[8] = {};
    Be32 initiator_task_tag;
    Be16 cid;
    uint8_t reserved3[2] = {};
    Be32 cmd_sn;
    Be32 exp_stat_sn;
    uint8_t reserved4[16] = {};

    static constexpr uint8_t k_close_session = 0;
    static constexpr uint8_t k_close_connection = 1;
    static constexpr uint8_t k_remove_for_recovery = 2;
};
static_assert(sizeof(LogoutRequest) == k_bhs_bytes);

// 11.15
struct LogoutResponse {
    uint8_t opcode = static_cast<uint8_t>(Opcode::LogoutResponse);
    uint8_t flags = k_final;
    uint8_t response = 0;
    uint8_t reserved = 0;
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t reserved2[8] = {};
    Be32 initiator_task_tag;
    uint8_t reserved3[4] = {};
    Be32 stat_sn;
    Be32 exp_cmd_sn;
    Be32 max_cmd_sn;
    uint8_t reserved4[4] = {};
    Be16 time2wait;
    Be16 time2retain;
    uint8_t reserved5[4] = {};
};
static_assert(sizeof(LogoutResponse) == k_bhs_bytes);

// 11.16
struct Snack {
    uint8_t opcode = static_cast<uint8_t>(Opcode::Snack);
    uint8_t type = k_final;  // F, then the type's number
    uint8_t reserved[2] = {};
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t lun[8] = {};
    Be32 initiator_task_tag;
    Be32 target_transfer_tag;
    uint8_t reserved2[4] = {};
    Be32 exp_stat_sn;
    uint8_t reserved3[8] = {};
    Be32 beg_run;
    Be32 run_length;

    // 11.16.1
    static constexpr uint8_t k_data = 0;  // or R2T
    static constexpr uint8_t k_status = 1;
    static constexpr uint8_t k_data_acknowledge = 2;
};
static_assert(sizeof(Snack) == k_bhs_bytes);

// 11.17
struct Reject {
    uint8_t opcode = static_cast<uint8_t>(Opcode::Reject);
    uint8_t flags = k_final;
    uint8_t reason = 0;
    uint8_t reserved = 0;
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t reserved2[8] = {};
    Be32 initiator_task_tag = k_reserved_tag;
    uint8_t reserved3[4] = {};
    Be32 stat_sn;
    Be32 exp_cmd_sn;
    Be32 max_cmd_sn;
    Be32 data_sn;
    uint8_t reserved4[8] = {};

    // 11.17.1
    static constexpr uint8_t k_data_digest_error = 2;
    static constexpr uint8_t k_snack_reject = 3;
    static constexpr uint8_t k_too_many_immediate = 6;
    static constexpr uint8_t k_out_of_resources = 10;
    static constexpr uint8_t k_waiting_for_logout = 12;
};
static_assert(sizeof(Reject) == k_bhs_bytes);

// 11.18
struct NopOut {
    uint8_t opcode = static_cast<uint8_t>(Opcode::NopOut);
    uint8_t flags = k_final;
    uint8_t reserved[2] = {};
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t lun[8] = {};
    Be32 initiator_task_tag;
    Be32 target_transfer_tag = k_reserved_tag;
    Be32 cmd_sn;
    Be32 exp_stat_sn;
    uint8_t reserved2[16] = {};
};
static_assert(sizeof(NopOut) == k_bhs_bytes);

// 11.19
struct NopIn {
    uint8_t opcode = static_cast<uint8_t>(Opcode::NopIn);
    uint8_t flags = k_final;
    uint8_t reserved[2] = {};
    uint8_t total_ahs_length = 0;
    Be24 data_segment_length;
    uint8_t lun[8] = {};
    Be32 initiator_task_tag;
    Be32 target_transfer_tag;
    Be32 stat_sn;
    Be32 exp_cmd_sn;
    Be32 max_cmd_sn;
    uint8_t reserved2[12] = {};
};
static_assert(sizeof(NopIn) == k_bhs_bytes);

}  // namespace hawser::wire
