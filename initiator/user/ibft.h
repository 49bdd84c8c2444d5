// SPDX-License-Identifier: GPL-2.0-or-later
// The iSCSI Boot Firmware Table (IBM, version 1.03): what the firmware booted from. Bytes in, a
// table or named defects out, no I/O; the bytes come from a firmware and are trusted in nothing.
//
//   0  ACPI header (36 bytes): "iBFT", length, revision 1, checksum (all bytes sum to 0), OEM ids
//  48  Control: identifies the table's other structures by 16-bit offsets from the table's start.
//  The
//      first is the initiator's; then NIC and target in turns, two of each in the specification,
//      more where Control's own length says so (iPXE). A structure says itself what it is (its id).
//  ..  Initiator, NICs, Targets; their strings are (length, offset) pairs with a NUL behind.
//
// A structure counts when its flags say `valid` (1) or `boot selected` (2): some firmware sets
// only 2. One with neither is not looked at.
#ifndef HAWSER_USER_IBFT_H
#define HAWSER_USER_IBFT_H

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "user/address.h"

namespace hawser::user {

constexpr size_t k_ibft_bytes_max = 65536;  // offsets have 16 bits

enum class IbftFault {
    truncated,      // fewer bytes than the header or the header's length
    signature,      // not "iBFT"
    length,         // the header's length is impossible
    revision,       // not 1
    checksum,       // bytes do not sum to zero
    structure,      // a structure's id, version or length
    offset,         // a structure outside the table
    string_bounds,  // a string outside the table, too long, or without a NUL
    text,           // a string that is not printable text
    name,           // an iSCSI name that is none
    address,        // an address that no host can have
    prefix_length,  // 0 or more than the address has bits
    mac,            // zero or multicast
    port,           // 0
    lun,            // not a single-level LUN
    vlan,           // more than 4094
    missing,        // a value that must be there
};

const char* to_string(IbftFault fault);

struct IbftDefect {
    IbftFault fault;
    std::string where;   // "target 0: name"
    std::string detail;  // what was found
};

// Where a secret lies. The parser checks it, and neither copies nor shows it.
struct IbftSecret {
    uint16_t offset = 0;
    uint16_t length = 0;

    bool is_set() const { return length != 0; }
};

enum class IbftOrigin : uint8_t { other, manual, well_known, dhcp, router_advertisement };

struct IbftStructure {
    static constexpr uint8_t k_valid = 1;
    static constexpr uint8_t k_boot_selected = 2;

    uint8_t index = 0;
    uint8_t flags = 0;

    bool is_boot_selected() const { return (flags & k_boot_selected) != 0; }
};

struct IbftInitiator : IbftStructure {
    std::string name;
};

struct IbftNic : IbftStructure {
    std::optional<IpAddress> address;
    unsigned prefix_length = 0;
    uint8_t origin = 0;
    std::optional<IpAddress> gateway;
    std::vector<IpAddress> dns;
    std::optional<IpAddress> dhcp_server;
    uint16_t vlan = 0;
    MacAddress mac;
    uint16_t pci = 0;  // bus << 8 | device << 3 | function
    std::string host_name;

    bool is_from_dhcp() const { return origin == static_cast<uint8_t>(IbftOrigin::dhcp); }
};

struct IbftTarget : IbftStructure {
    std::optional<IpAddress> address;
    uint16_t port = k_iscsi_port;
    uint64_t lun = 0;
    uint8_t chap_type = 0;  // 0 none, 1 one way, 2 mutual
    uint8_t nic_association = 0;
    std::string name;
    std::string chap_name;
    IbftSecret chap_secret;
    std::string reverse_chap_name;
    IbftSecret reverse_chap_secret;
};

struct Ibft {
    std::string oem_id;
    std::string oem_table_id;
    std::optional<IbftInitiator> initiator;
    std::vector<IbftNic> nics;
    std::vector<IbftTarget> targets;
    std::vector<std::string> notes;  // odd, but not wrong
};

struct IbftResult {
    std::optional<Ibft> table;  // only when there is no defect
    std::vector<IbftDefect> defects;
};

// Bytes behind the length that the table claims are not looked at.
IbftResult parse_ibft(std::span<const uint8_t> bytes);

}  // namespace hawser::user

#endif
