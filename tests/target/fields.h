// SPDX-License-Identifier: GPL-2.0-or-later
//
// PDUs and their fields by name, as scripts call them: the names are the RFC's, in snake_case.

#pragma once

#include <optional>
#include <string>

#include "pdu.h"

namespace hawser::target {

std::optional<wire::Opcode> opcode_of(const std::string& name);
std::string name_of(wire::Opcode opcode);

// A number somewhere in a BHS: `length` bytes at `offset`, of which `mask` counts (1 byte only).
struct Field {
    const char* name;
    int opcode;  // -1: of every PDU
    uint8_t offset;
    uint8_t length;
    uint8_t mask;
};

// nullptr: this PDU has no such field. "byte12" is the byte 12 of any.
const Field* find_field(wire::Opcode opcode, const std::string& name);
uint64_t read_field(const Pdu& pdu, const Field& field);
void write_field(Pdu& pdu, const Field& field, uint64_t value);

// Decimal or 0x...
std::optional<uint64_t> parse_integer(const std::string& text);

}  // namespace hawser::target
