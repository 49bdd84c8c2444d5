// SPDX-License-Identifier: GPL-2.0-or-later
//
// iSCSI Boot Firmware Tables, whole and broken, as bytes: given to a machine that boots its kernel
// directly, so that what firmware may do wrong needs no patched firmware. All numbers
// little-endian.
//
//   0x00  ACPI header and 12 reserved bytes       0x48   initiator structure
//   0x30  control structure, the others' offsets  0x98   NIC 0; 0x100 target 0; from 0x138 strings

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "target.h"

namespace hawser::qemu {

struct IbftTable {
    std::string initiator = "iqn.2026-11.hawser:node";
    std::string target = "iqn.2026-11.hawser:root";
    std::string target_address = "10.0.10.2";
    uint16_t target_port = 3260;
    unsigned lun = 1;
    std::string nic_address = "10.0.10.15";
    std::string gateway = "10.0.10.2";
    std::string mac = "52:54:00:12:34:10";
    TargetChap chap;  // mutual where secret_in is set

    std::vector<uint8_t> bytes() const;  // with a right checksum
};

constexpr size_t k_ibft_checksum_offset = 9;
constexpr size_t k_ibft_target_offset_offset = 0x30 + 12;
void mend_checksum(std::vector<uint8_t>& table);

// QEMU computes the checksum itself in a table that it hands out by ACPI.
std::vector<std::string> ibft_by_acpi(const std::vector<uint8_t>& table,
                                      const std::filesystem::path& file);
// Low memory, where firmware without ACPI tables puts it; nothing touches the bytes on the way.
std::vector<std::string> ibft_in_memory(const std::vector<uint8_t>& table,
                                        const std::filesystem::path& file);

}  // namespace hawser::qemu
