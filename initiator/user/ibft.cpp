// SPDX-License-Identifier: GPL-2.0-or-later
// The parser of the iSCSI Boot Firmware Table. Every field is read through Reader::bytes(), which
// checks its bounds; a defect does not stop the reading, so that one run names them all.
#include "user/ibft.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "user/failure.h"

namespace hawser::user {
namespace {

constexpr size_t k_acpi_header_bytes = 36;
constexpr size_t k_control_offset = 48;
constexpr size_t k_control_bytes = 18;  // with two pairs of offsets
constexpr size_t k_initiator_bytes = 74;
constexpr size_t k_nic_bytes = 102;
constexpr size_t k_target_bytes = 54;
constexpr size_t k_structure_header_bytes = 6;
constexpr size_t k_structures_max = 64;
constexpr size_t k_name_bytes_max = 223;  // RFC 7143 4.2.7.1
constexpr size_t k_text_bytes_max = 255;

enum class StructureId : uint8_t { control = 1, initiator, nic, target, extensions };

class Reader {
public:
    explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

    IbftResult run();

private:
    struct Header {
        uint8_t id;
        uint8_t version;
        uint16_t length;
        uint8_t index;
        uint8_t flags;
    };

    bool read_table_header();
    void read_control();
    void read_structure(size_t offset);
    void read_initiator(size_t at, const Header& header);
    void read_nic(size_t at, const Header& header);
    void read_target(size_t at, const Header& header);
    bool header_holds(size_t at, const Header& header, size_t bytes, const std::string& where);

    void defect(IbftFault fault, std::string where, std::string detail) {
        defects_.push_back({fault, std::move(where), std::move(detail)});
    }
    uint8_t u8(size_t at) const { return bytes_[at]; }
    uint16_t u16(size_t at) const {
        return static_cast<uint16_t>(bytes_[at] | bytes_[at + 1] << 8);
    }
    uint32_t u32(size_t at) const { return u16(at) | static_cast<uint32_t>(u16(at + 2)) << 16; }
    Header header(size_t at) const {
        return {u8(at), u8(at + 1), u16(at + 2), u8(at + 4), u8(at + 5)};
    }
    std::optional<IpAddress> address(size_t at, const std::string& where);
    uint64_t lun(size_t at, const std::string& where);
    bool string_is_inside(size_t at, size_t bytes_max, const std::string& where);
    std::string text(size_t at, size_t bytes_max, const std::string& where);
    std::string iscsi_name(size_t at, const std::string& where);
    IbftSecret secret(size_t at, const std::string& where);

    std::span<const uint8_t> bytes_;
    Ibft table_;
    std::vector<IbftDefect> defects_;
};

IbftResult Reader::run() {
    if (read_table_header()) read_control();
    IbftResult result;
    result.defects = std::move(defects_);
    if (result.defects.empty()) result.table = std::move(table_);
    return result;
}

bool Reader::read_table_header() {
    const std::string where = "table header";
    if (bytes_.size() < k_acpi_header_bytes) {
        defect(IbftFault::truncated, where, fmt::format("{} bytes, of 36", bytes_.size()));
        return false;
    }
    // ACPI tables are found as "iBFT" or "IBFT"; Broadcom's option ROM wrote "BIFT".
    const std::string signature(reinterpret_cast<const char*>(bytes_.data()), 4);
    if (signature != "iBFT" && signature != "IBFT" && signature != "BIFT") {
        defect(IbftFault::signature, where, fmt::format("\"{}\"", printable(signature)));
        return false;
    }
    const uint32_t length = u32(4);
    if (length < k_control_offset + k_control_bytes || length > k_ibft_bytes_max) {
        defect(IbftFault::length, where, fmt::format("{}, not 66 to 65536", length));
        return false;
    }
    if (length > bytes_.size()) {
        defect(IbftFault::truncated, where,
               fmt::format("{} bytes of the {} that the header claims", bytes_.size(), length));
        return false;
    }
    bytes_ = bytes_.first(length);
    if (u8(8) != 1) defect(IbftFault::revision, where, fmt::format("{}, not 1", u8(8)));
    uint8_t sum = 0;
    for (uint8_t byte : bytes_) sum = static_cast<uint8_t>(sum + byte);
    if (sum != 0) {
        defect(IbftFault::checksum, where, fmt::format("bytes sum to 0x{:02x}, not 0", sum));
        return false;  // then nothing else is worth believing
    }
    const auto id = [this](size_t at, size_t size) {
        std::string text(reinterpret_cast<const char*>(bytes_.data() + at), size);
        text.resize(std::min(text.find('\0'), text.size()));
        while (text.ends_with(' ')) text.pop_back();
        return printable(text);
    };
    table_.oem_id = id(10, 6);
    table_.oem_table_id = id(16, 8);
    return true;
}

void Reader::read_control() {
    const Header control = header(k_control_offset);
    const std::string where = "control";
    if (control.id != static_cast<uint8_t>(StructureId::control)) {
        return defect(IbftFault::structure, where, fmt::format("id {}, not 1", control.id));
    }
    if (control.version != 1) {
        return defect(IbftFault::structure, where, fmt::format("version {}", control.version));
    }
    if (control.length < k_control_bytes || control.length > bytes_.size() - k_control_offset) {
        return defect(IbftFault::structure, where,
                      fmt::format("length {}, not 18 to {}", control.length,
                                  bytes_.size() - k_control_offset));
    }
    // Control ends with offsets; how many is in its length. The same structure is read once.
    constexpr size_t k_first_offset = 8;
    std::vector<uint16_t> seen;
    for (size_t at = k_first_offset; at + 2 <= control.length; at += 2) {
        const uint16_t offset = u16(k_control_offset + at);
        if (offset == 0 || std::find(seen.begin(), seen.end(), offset) != seen.end()) continue;
        if (seen.size() == k_structures_max) {
            return defect(IbftFault::structure, where,
                          fmt::format("more than {} structures", k_structures_max));
        }
        seen.push_back(offset);
        read_structure(offset);
    }
    if (u16(k_control_offset + 6) != 0) table_.notes.push_back("extensions are not read");
}

void Reader::read_structure(size_t offset) {
    const std::string where = fmt::format("structure at {}", offset);
    if (offset < k_control_offset || offset > bytes_.size() ||
        bytes_.size() - offset < k_structure_header_bytes) {
        return defect(IbftFault::offset, where, fmt::format("in {} bytes", bytes_.size()));
    }
    const Header found = header(offset);
    if ((found.flags & (IbftStructure::k_valid | IbftStructure::k_boot_selected)) == 0) return;
    switch (static_cast<StructureId>(found.id)) {
        case StructureId::initiator:
            return read_initiator(offset, found);
        case StructureId::nic:
            return read_nic(offset, found);
        case StructureId::target:
            return read_target(offset, found);
        case StructureId::extensions:
            return;
        default:
            defect(IbftFault::structure, where, fmt::format("id {} is unknown", found.id));
    }
}

bool Reader::header_holds(size_t at, const Header& found, size_t bytes, const std::string& where) {
    if (found.version != 1) {
        defect(IbftFault::structure, where, fmt::format("version {}, not 1", found.version));
        return false;
    }
    if (found.length < bytes) {
        defect(IbftFault::structure, where,
               fmt::format("length {}, less than {}", found.length, bytes));
        return false;
    }
    if (found.length > bytes_.size() - at) {
        defect(IbftFault::offset, where,
               fmt::format("length {} at {} in {} bytes", found.length, at, bytes_.size()));
        return false;
    }
    if ((found.flags & IbftStructure::k_valid) == 0) {
        table_.notes.push_back(where + ": boot selected, but not flagged valid; taken");
    }
    return true;
}

void Reader::read_initiator(size_t at, const Header& found) {
    const std::string where = "initiator";
    if (!header_holds(at, found, k_initiator_bytes, where)) return;
    if (table_.initiator) return defect(IbftFault::structure, where, "there are two");
    IbftInitiator initiator;
    initiator.index = found.index;
    initiator.flags = found.flags;
    initiator.name = iscsi_name(at + 70, where + ": name");
    table_.initiator = std::move(initiator);
}

void Reader::read_nic(size_t at, const Header& found) {
    const std::string where = fmt::format("NIC {}", found.index);
    if (!header_holds(at, found, k_nic_bytes, where)) return;
    IbftNic nic;
    nic.index = found.index;
    nic.flags = found.flags;
    nic.address = address(at + 6, where + ": address");
    nic.prefix_length = u8(at + 22);
    nic.origin = u8(at + 23);
    nic.gateway = address(at + 24, where + ": gateway");
    for (size_t dns : {at + 40, at + 56}) {
        if (auto server = address(dns, where + ": DNS")) nic.dns.push_back(*server);
    }
    nic.dhcp_server = address(at + 72, where + ": DHCP server");
    nic.vlan = u16(at + 88);
    nic.mac = MacAddress::from_bytes(bytes_.data() + at + 90);
    nic.pci = u16(at + 96);
    nic.host_name = text(at + 98, k_text_bytes_max, where + ": host name");
    // Without an address the prefix length means nothing, and firmware leaves anything there.
    if (!nic.address) nic.prefix_length = 0;
    if (nic.address && (nic.prefix_length == 0 || nic.prefix_length > nic.address->bits())) {
        defect(IbftFault::prefix_length, where + ": prefix length",
               fmt::format("{} for {}, not 1 to {}", nic.prefix_length, nic.address->to_string(),
                           nic.address->bits()));
    }
    if (nic.vlan > 4094) {
        defect(IbftFault::vlan, where + ": VLAN", fmt::format("{}, not 0 to 4094", nic.vlan));
    }
    if (nic.mac.is_zero() || nic.mac.is_multicast()) {
        defect(IbftFault::mac, where + ": MAC", nic.mac.to_string());
    }
    table_.nics.push_back(std::move(nic));
}

void Reader::read_target(size_t at, const Header& found) {
    const std::string where = fmt::format("target {}", found.index);
    if (!header_holds(at, found, k_target_bytes, where)) return;
    IbftTarget target;
    target.index = found.index;
    target.flags = found.flags;
    target.address = address(at + 6, where + ": address");
    if (!target.address) defect(IbftFault::missing, where + ": address", "none");
    target.port = u16(at + 22);
    if (target.port == 0) defect(IbftFault::port, where + ": port", "0");
    target.lun = lun(at + 24, where + ": LUN");
    target.chap_type = u8(at + 32);
    target.nic_association = u8(at + 33);
    target.name = iscsi_name(at + 34, where + ": name");
    target.chap_name = text(at + 38, k_text_bytes_max, where + ": CHAP name");
    target.chap_secret = secret(at + 42, where + ": CHAP secret");
    target.reverse_chap_name = text(at + 46, k_text_bytes_max, where + ": reverse CHAP name");
    target.reverse_chap_secret = secret(at + 50, where + ": reverse CHAP secret");
    table_.targets.push_back(std::move(target));
}

std::optional<IpAddress> Reader::address(size_t at, const std::string& where) {
    const auto bytes = bytes_.subspan(at).first<16>();
    const IpAddress found = IpAddress::from_mapped(bytes);
    if (found.is_unspecified()) return std::nullopt;
    if (found.is_multicast() || found.to_string() == "255.255.255.255") {
        defect(IbftFault::address, where, found.to_string() + " is no host's address");
        return std::nullopt;
    }
    return found;
}

// Eight bytes in SAM-5's form; a boot LUN has one level, in peripheral or flat space addressing.
// Firmware writes a number above 255 either way; which one goes on the wire is the target's to say.
uint64_t Reader::lun(size_t at, const std::string& where) {
    const auto bytes = bytes_.subspan(at, 8);
    const bool one_level =
        std::all_of(bytes.begin() + 2, bytes.end(), [](uint8_t byte) { return byte == 0; });
    const unsigned method = bytes[0] >> 6;
    if (!one_level || method > 1) {
        defect(IbftFault::lun, where,
               fmt::format("{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}", bytes[0],
                           bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]));
        return 0;
    }
    return static_cast<uint64_t>(bytes[0] & 0x3f) << 8 | bytes[1];
}

// A string's (length, offset) pair at `at`. Its bytes and the NUL behind must lie in the table.
bool Reader::string_is_inside(size_t at, size_t bytes_max, const std::string& where) {
    const size_t length = u16(at);
    const size_t offset = u16(at + 2);
    if (length == 0) return true;
    const std::string place = fmt::format("{} bytes at {} in {}", length, offset, bytes_.size());
    if (offset < k_control_offset + k_control_bytes || offset + length > bytes_.size()) {
        defect(IbftFault::string_bounds, where, place);
        return false;
    }
    if (length > bytes_max) {
        defect(IbftFault::string_bounds, where,
               fmt::format("{} bytes, more than {}", length, bytes_max));
        return false;
    }
    // Some firmware counts the NUL in.
    const bool nul_inside = u8(offset + length - 1) == 0;
    const bool nul_behind = offset + length < bytes_.size() && u8(offset + length) == 0;
    if (!nul_inside && !nul_behind) {
        defect(IbftFault::string_bounds, where, place + ", without a NUL behind");
        return false;
    }
    return true;
}

std::string Reader::text(size_t at, size_t bytes_max, const std::string& where) {
    if (!string_is_inside(at, bytes_max, where)) return {};
    std::string text(reinterpret_cast<const char*>(bytes_.data()) + u16(at + 2), u16(at));
    if (u16(at) == 0) return {};
    while (text.ends_with('\0')) text.pop_back();
    const bool printable_ascii = std::all_of(text.begin(), text.end(),
                                             [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
    if (!printable_ascii) {
        defect(IbftFault::text, where, fmt::format("\"{}\"", printable(text)));
        return {};
    }
    return text;
}

std::string Reader::iscsi_name(size_t at, const std::string& where) {
    const size_t defects_before = defects_.size();
    std::string name = text(at, k_name_bytes_max, where);
    if (defects_.size() != defects_before) return {};
    if (const auto fault = iscsi_name_fault(name)) {
        defect(IbftFault::name, where, fmt::format("\"{}\" {}", printable(name), *fault));
        return {};
    }
    return name;
}

IbftSecret Reader::secret(size_t at, const std::string& where) {
    if (!string_is_inside(at, k_text_bytes_max, where)) return {};
    return {u16(at + 2), u16(at)};
}

}  // namespace

const char* to_string(IbftFault fault) {
    static constexpr const char* k_names[] = {
        "truncated",   "signature", "length", "revision", "checksum",      "structure",
        "offset",      "string",    "text",   "name",     "address",       "prefix length",
        "MAC address", "port",      "LUN",    "VLAN",     "missing value",
    };
    return k_names[static_cast<size_t>(fault)];
}

IbftResult parse_ibft(std::span<const uint8_t> bytes) {
    return Reader(bytes).run();
}

}  // namespace hawser::user
