// SPDX-License-Identifier: GPL-2.0-or-later
//
// The tables of names.

#include "fields.h"

#include <array>

namespace hawser::target {

using wire::Opcode;

namespace {

struct Name {
    Opcode opcode;
    const char* name;
};

constexpr Name k_names[] = {
    {Opcode::NopOut, "NopOut"},
    {Opcode::ScsiCommand, "ScsiCommand"},
    {Opcode::TaskManagementRequest, "TaskManagementRequest"},
    {Opcode::LoginRequest, "LoginRequest"},
    {Opcode::TextRequest, "TextRequest"},
    {Opcode::DataOut, "DataOut"},
    {Opcode::LogoutRequest, "LogoutRequest"},
    {Opcode::Snack, "Snack"},
    {Opcode::NopIn, "NopIn"},
    {Opcode::ScsiResponse, "ScsiResponse"},
    {Opcode::TaskManagementResponse, "TaskManagementResponse"},
    {Opcode::LoginResponse, "LoginResponse"},
    {Opcode::TextResponse, "TextResponse"},
    {Opcode::DataIn, "DataIn"},
    {Opcode::LogoutResponse, "LogoutResponse"},
    {Opcode::R2t, "R2t"},
    {Opcode::AsyncMessage, "AsyncMessage"},
    {Opcode::Reject, "Reject"},
};

constexpr int of(Opcode opcode) {
    return static_cast<int>(opcode);
}

// The first that fits a PDU counts: what is special stands above what all have.
constexpr Field k_fields[] = {
    {"status_class", of(Opcode::LoginResponse), 36, 1, 0xff},
    {"status_detail", of(Opcode::LoginResponse), 37, 1, 0xff},
    {"version_max", of(Opcode::LoginResponse), 2, 1, 0xff},
    {"version_active", of(Opcode::LoginResponse), 3, 1, 0xff},
    {"transit", of(Opcode::LoginResponse), 1, 1, 0x80},
    {"continue", of(Opcode::LoginResponse), 1, 1, 0x40},
    {"csg", of(Opcode::LoginResponse), 1, 1, 0x0c},
    {"nsg", of(Opcode::LoginResponse), 1, 1, 0x03},
    {"isid", of(Opcode::LoginResponse), 8, 6, 0xff},
    {"tsih", of(Opcode::LoginResponse), 14, 2, 0xff},
    {"transit", of(Opcode::LoginRequest), 1, 1, 0x80},
    {"continue", of(Opcode::LoginRequest), 1, 1, 0x40},
    {"csg", of(Opcode::LoginRequest), 1, 1, 0x0c},
    {"nsg", of(Opcode::LoginRequest), 1, 1, 0x03},
    {"isid", of(Opcode::LoginRequest), 8, 6, 0xff},
    {"tsih", of(Opcode::LoginRequest), 14, 2, 0xff},
    {"cid", of(Opcode::LoginRequest), 20, 2, 0xff},
    {"version_max", of(Opcode::LoginRequest), 2, 1, 0xff},
    {"version_min", of(Opcode::LoginRequest), 3, 1, 0xff},
    {"continue", of(Opcode::TextRequest), 1, 1, 0x40},
    {"continue", of(Opcode::TextResponse), 1, 1, 0x40},
    {"read", of(Opcode::ScsiCommand), 1, 1, 0x40},
    {"write", of(Opcode::ScsiCommand), 1, 1, 0x20},
    {"attribute", of(Opcode::ScsiCommand), 1, 1, 0x07},
    {"expected_length", of(Opcode::ScsiCommand), 20, 4, 0xff},
    {"cdb", of(Opcode::ScsiCommand), 32, 1, 0xff},
    {"response", of(Opcode::ScsiResponse), 2, 1, 0xff},
    {"status", of(Opcode::ScsiResponse), 3, 1, 0xff},
    {"overflow", of(Opcode::ScsiResponse), 1, 1, 0x04},
    {"underflow", of(Opcode::ScsiResponse), 1, 1, 0x02},
    {"bidirectional_overflow", of(Opcode::ScsiResponse), 1, 1, 0x10},
    {"bidirectional_underflow", of(Opcode::ScsiResponse), 1, 1, 0x08},
    {"snack_tag", of(Opcode::ScsiResponse), 20, 4, 0xff},
    {"exp_data_sn", of(Opcode::ScsiResponse), 36, 4, 0xff},
    {"bidirectional_residual", of(Opcode::ScsiResponse), 40, 4, 0xff},
    {"residual", of(Opcode::ScsiResponse), 44, 4, 0xff},
    {"acknowledge", of(Opcode::DataIn), 1, 1, 0x40},
    {"overflow", of(Opcode::DataIn), 1, 1, 0x04},
    {"underflow", of(Opcode::DataIn), 1, 1, 0x02},
    {"has_status", of(Opcode::DataIn), 1, 1, 0x01},
    {"status", of(Opcode::DataIn), 3, 1, 0xff},
    {"data_sn", of(Opcode::DataIn), 36, 4, 0xff},
    {"buffer_offset", of(Opcode::DataIn), 40, 4, 0xff},
    {"residual", of(Opcode::DataIn), 44, 4, 0xff},
    {"data_sn", of(Opcode::DataOut), 36, 4, 0xff},
    {"buffer_offset", of(Opcode::DataOut), 40, 4, 0xff},
    {"r2t_sn", of(Opcode::R2t), 36, 4, 0xff},
    {"buffer_offset", of(Opcode::R2t), 40, 4, 0xff},
    {"length", of(Opcode::R2t), 44, 4, 0xff},
    {"event", of(Opcode::AsyncMessage), 36, 1, 0xff},
    {"vcode", of(Opcode::AsyncMessage), 37, 1, 0xff},
    {"parameter1", of(Opcode::AsyncMessage), 38, 2, 0xff},
    {"parameter2", of(Opcode::AsyncMessage), 40, 2, 0xff},
    {"parameter3", of(Opcode::AsyncMessage), 42, 2, 0xff},
    {"reason", of(Opcode::Reject), 2, 1, 0xff},
    {"reason", of(Opcode::LogoutRequest), 1, 1, 0x7f},
    {"cid", of(Opcode::LogoutRequest), 20, 2, 0xff},
    {"response", of(Opcode::LogoutResponse), 2, 1, 0xff},
    {"time2wait", of(Opcode::LogoutResponse), 40, 2, 0xff},
    {"time2retain", of(Opcode::LogoutResponse), 42, 2, 0xff},
    {"function", of(Opcode::TaskManagementRequest), 1, 1, 0x7f},
    {"referenced_task_tag", of(Opcode::TaskManagementRequest), 20, 4, 0xff},
    {"ref_cmd_sn", of(Opcode::TaskManagementRequest), 32, 4, 0xff},
    {"exp_data_sn", of(Opcode::TaskManagementRequest), 36, 4, 0xff},
    {"response", of(Opcode::TaskManagementResponse), 2, 1, 0xff},
    {"type", of(Opcode::Snack), 1, 1, 0x0f},
    {"beg_run", of(Opcode::Snack), 40, 4, 0xff},
    {"run_length", of(Opcode::Snack), 44, 4, 0xff},
    {"opcode", -1, 0, 1, 0x3f},
    {"immediate", -1, 0, 1, 0x40},
    {"flags", -1, 1, 1, 0xff},
    {"final", -1, 1, 1, 0x80},
    {"ahs_length", -1, 4, 1, 0xff},
    {"data_length", -1, 5, 3, 0xff},
    {"lun", -1, 8, 8, 0xff},
    {"itt", -1, 16, 4, 0xff},
    {"ttt", -1, 20, 4, 0xff},
    {"exp_stat_sn", -1, 28, 4, 0xff},
};

// Bytes 24..35 mean other things in each direction.
constexpr Field k_cmd_sn = {"cmd_sn", -1, 24, 4, 0xff};
constexpr Field k_stat_sn = {"stat_sn", -1, 24, 4, 0xff};
constexpr Field k_exp_cmd_sn = {"exp_cmd_sn", -1, 28, 4, 0xff};
constexpr Field k_max_cmd_sn = {"max_cmd_sn", -1, 32, 4, 0xff};

const Field* find_byte(const std::string& name) {
    static const auto table = [] {
        std::array<Field, wire::k_bhs_bytes> fields{};
        for (uint8_t i = 0; i < fields.size(); i++) fields[i] = {"byte", -1, i, 1, 0xff};
        return fields;
    }();
    if (name.substr(0, 4) != "byte") return nullptr;
    const auto index = parse_integer(name.substr(4));
    return index && *index < table.size() ? &table[*index] : nullptr;
}

uint32_t shift_of(uint8_t mask) {
    uint32_t shift = 0;
    while ((mask >> shift & 1) == 0) shift++;
    return shift;
}

}  // namespace

std::optional<Opcode> opcode_of(const std::string& name) {
    for (const Name& row : k_names)
        if (name == row.name) return row.opcode;
    return {};
}

std::string name_of(Opcode opcode) {
    for (const Name& row : k_names)
        if (opcode == row.opcode) return row.name;
    return "opcode " + std::to_string(static_cast<int>(opcode));
}

const Field* find_field(Opcode opcode, const std::string& name) {
    const bool ours = is_from_initiator(opcode);
    if (ours && name == k_cmd_sn.name) return &k_cmd_sn;
    if (!ours && name == k_stat_sn.name) return &k_stat_sn;
    if (!ours && name == k_exp_cmd_sn.name) return &k_exp_cmd_sn;
    if (!ours && name == k_max_cmd_sn.name) return &k_max_cmd_sn;
    if (!ours && name == "exp_stat_sn") return nullptr;
    for (const Field& field : k_fields)
        if ((field.opcode == -1 || field.opcode == of(opcode)) && name == field.name) return &field;
    return find_byte(name);
}

uint64_t read_field(const Pdu& pdu, const Field& field) {
    if (field.length == 1) return (pdu.header[field.offset] & field.mask) >> shift_of(field.mask);
    uint64_t value = 0;
    for (size_t i = 0; i < field.length; i++) value = value << 8 | pdu.header[field.offset + i];
    return value;
}

void write_field(Pdu& pdu, const Field& field, uint64_t value) {
    uint8_t* at = &pdu.header[field.offset];
    if (field.length == 1) {
        *at = static_cast<uint8_t>((*at & ~field.mask) |
                                   (value << shift_of(field.mask) & field.mask));
        return;
    }
    for (size_t i = field.length; i-- > 0; value >>= 8) at[i] = static_cast<uint8_t>(value);
}

std::optional<uint64_t> parse_integer(const std::string& text) {
    const bool hex = text.substr(0, 2) == "0x";
    const std::string digits = hex ? text.substr(2) : text;
    if (digits.empty() || digits.size() > (hex ? 16 : 19)) return {};
    const char* allowed = hex ? "0123456789abcdefABCDEF" : "0123456789";
    if (digits.find_first_not_of(allowed) != digits.npos) return {};
    return std::stoull(digits, nullptr, hex ? 16 : 10);
}

}  // namespace hawser::target
