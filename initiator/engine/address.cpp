// SPDX-License-Identifier: GPL-2.0-or-later
// IP addresses and portals as text: see address.hpp.
#include "engine/address.hpp"

namespace hawser {

namespace address_detail {

using wire::find;
using wire::slice;

bool parse_ipv4(std::string_view text, uint8_t* out) {
    wire::ListReader parts(text, '.');
    size_t count = 0;
    for (std::string_view part; parts.next(part); count++) {
        auto number = wire::parse_decimal(part);
        if (count >= 4 || !number || *number > 255) return false;
        out[count] = static_cast<uint8_t>(*number);
    }
    return count == 4;
}

// One to four hex digits.
std::optional<uint16_t> parse_group(std::string_view text) {
    if (text.empty() || text.size() > 4) return {};
    uint32_t group = 0;
    for (char c : text) {
        char lower = static_cast<char>(c | 0x20);
        if (c >= '0' && c <= '9')
            group = group << 4 | static_cast<uint32_t>(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            group = group << 4 | static_cast<uint32_t>(lower - 'a' + 10);
        else
            return {};
    }
    return static_cast<uint16_t>(group);
}

// Groups separated by ':', the last of which may be an IPv4 address; how many bytes they make, at
// most `room`. Nothing is zero groups.
std::optional<size_t> parse_groups(std::string_view text, uint8_t* out, size_t room) {
    size_t length = 0;
    if (text.empty()) return length;
    while (true) {
        size_t end = find(text, ':');
        std::string_view piece = slice(text, 0, end);
        if (find(piece, '.') < piece.size()) {
            if (end != text.size() || length + 4 > room || !parse_ipv4(piece, out + length))
                return {};
            return length + 4;
        }
        auto group = parse_group(piece);
        if (!group || length + 2 > room) return {};
        out[length++] = static_cast<uint8_t>(*group >> 8);
        out[length++] = static_cast<uint8_t>(*group);
        if (end == text.size()) return length;
        text = slice(text, end + 1);
    }
}

// Where "::" stands, or the text's size.
size_t find_gap(std::string_view text) {
    for (size_t i = 0; i + 1 < text.size(); i++)
        if (text[i] == ':' && text[i + 1] == ':') return i;
    return text.size();
}

bool parse_ipv6(std::string_view text, uint8_t* out) {
    size_t gap = find_gap(text);
    if (gap == text.size()) {
        auto length = parse_groups(text, out, 16);
        return length && *length == 16;
    }
    // "::" stands for one group of zeros at least.
    uint8_t tail[14] = {};
    auto before = parse_groups(slice(text, 0, gap), out, 14);
    auto after = parse_groups(slice(text, gap + 2), tail, 14);
    if (!before || !after || *before + *after > 14) return false;
    // An IPv4 address may only end the whole.
    std::string_view front = slice(text, 0, gap);
    if (find(front, '.') < front.size()) return false;
    for (size_t i = *before; i < 16 - *after; i++) out[i] = 0;
    for (size_t i = 0; i < *after; i++) out[16 - *after + i] = tail[i];
    return true;
}

struct Run {
    size_t begin;
    size_t length;
};

// RFC 5952 4.2: the first longest run of zero groups, if there are two of them at least.
Run longest_zero_run(const uint16_t (&groups)[8]) {
    Run best = {8, 1};
    size_t i = 0;
    while (i < 8) {
        size_t end = i;
        while (end < 8 && groups[end] == 0) end++;
        if (end - i > best.length) best = {i, end - i};
        i = end + 1;
    }
    return best;
}

void format_ipv6(const uint8_t* bytes, wire::TextWriter& writer) {
    uint16_t groups[8];
    for (size_t i = 0; i < 8; i++)
        groups[i] = static_cast<uint16_t>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
    Run run = longest_zero_run(groups);
    for (size_t i = 0; i < 8; i++) {
        if (i == run.begin) {
            writer.text("::");
            i += run.length - 1;
            continue;
        }
        if (i != 0 && i != run.begin + run.length) writer.text(":");
        writer.hex(groups[i]);
    }
}

}  // namespace address_detail

std::optional<hawser_address> parse_address(std::string_view text) {
    hawser_address address = {};
    if (address_detail::parse_ipv4(text, address.bytes)) {
        address.family = 4;
        return address;
    }
    address = {};
    if (!address_detail::parse_ipv6(text, address.bytes)) return {};
    address.family = 6;
    return address;
}

std::optional<AddressAndPort> parse_portal(std::string_view text) {
    using namespace address_detail;
    bool bracketed = !text.empty() && text[0] == '[';
    size_t end = bracketed ? find(text, ']') : find(text, ':');
    if (bracketed && end == text.size()) return {};
    auto address = parse_address(bracketed ? slice(text, 1, end) : slice(text, 0, end));
    if (!address || (bracketed != (address->family == 6))) return {};
    std::string_view rest = slice(text, end + (bracketed ? 1 : 0));
    if (rest.empty()) return AddressAndPort{*address, k_default_port};
    if (rest[0] != ':') return {};
    auto port = wire::parse_decimal(slice(rest, 1));
    if (!port || *port == 0 || *port > 65535) return {};
    return AddressAndPort{*address, static_cast<uint16_t>(*port)};
}

void format_address(const hawser_address& address, wire::TextWriter& writer) {
    if (address.family == 6) {
        address_detail::format_ipv6(address.bytes, writer);
        return;
    }
    if (address.family != 4) {
        writer.text("none");
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        if (i) writer.text(".");
        writer.number(address.bytes[i]);
    }
}

bool is_link_local(const hawser_address& address) {
    return address.family == 6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

bool is_unicast(const hawser_address& address) {
    if (address.family == 4) return address.bytes[0] != 0 && address.bytes[0] < 224;
    uint8_t all = 0;
    for (uint8_t byte : address.bytes) all |= byte;
    return all != 0 && address.bytes[0] != 0xff;
}

// 127/8; ::1, and the same IPv4 addresses as IPv6 maps them.
bool is_loopback(const hawser_address& address) {
    if (address.family == 4) return address.bytes[0] == 127;
    uint8_t before = 0;
    for (uint32_t i = 0; i < 10; i++) before |= address.bytes[i];
    if (address.family != 6 || before != 0) return false;
    if (address.bytes[10] == 0xff && address.bytes[11] == 0xff) return address.bytes[12] == 127;
    uint8_t middle = 0;
    for (uint32_t i = 10; i < 15; i++) middle |= address.bytes[i];
    return middle == 0 && address.bytes[15] == 1;
}

}  // namespace hawser
