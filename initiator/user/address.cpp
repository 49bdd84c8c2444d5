// SPDX-License-Identifier: GPL-2.0-or-later
// IP addresses, subnets, MAC addresses, portals, numbers and names.
#include "user/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>

namespace hawser::user {

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    if (text.empty() || text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
    const std::string copy(text);  // inet_pton wants a NUL
    if (copy.size() != std::strlen(copy.c_str())) return std::nullopt;
    IpAddress address;
    if (inet_pton(AF_INET, copy.c_str(), address.bytes_.data()) == 1) return address;
    address.family_ = Family::ipv6;
    if (inet_pton(AF_INET6, copy.c_str(), address.bytes_.data()) != 1) return std::nullopt;
    return address;
}

IpAddress IpAddress::from_mapped(std::span<const uint8_t, 16> bytes) {
    static constexpr uint8_t k_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (std::memcmp(bytes.data(), k_mapped, sizeof(k_mapped)) == 0) {
        return from_bytes(Family::ipv4, bytes.data() + sizeof(k_mapped));
    }
    return from_bytes(Family::ipv6, bytes.data());
}

IpAddress IpAddress::from_bytes(Family family, const void* bytes) {
    IpAddress address;
    address.family_ = family;
    std::memcpy(address.bytes_.data(), bytes, address.size());
    return address;
}

bool IpAddress::is_unspecified() const {
    return std::all_of(bytes_.begin(), bytes_.end(), [](uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_multicast() const {
    return family_ == Family::ipv4 ? bytes_[0] >= 224 : bytes_[0] == 0xff;
}

bool IpAddress::is_link_local() const {
    return family_ == Family::ipv6 && bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

std::string IpAddress::to_string() const {
    char text[INET6_ADDRSTRLEN];
    const int af = family_ == Family::ipv4 ? AF_INET : AF_INET6;
    return inet_ntop(af, bytes_.data(), text, sizeof(text));
}

std::string IpAddress::to_uri() const {
    return family_ == Family::ipv4 ? to_string() : "[" + to_string() + "]";
}

bool same_subnet(const IpAddress& a, const IpAddress& b, unsigned prefix_length) {
    if (a.family() != b.family() || prefix_length > a.bits()) return false;
    const size_t whole = prefix_length / 8;
    if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
    const unsigned rest = prefix_length % 8;
    if (rest == 0) return true;
    return ((a.data()[whole] ^ b.data()[whole]) >> (8 - rest)) == 0;
}

std::optional<unsigned> parse_prefix_length(std::string_view text, Family family) {
    const unsigned bits = family == Family::ipv4 ? 32 : 128;
    if (auto number = parse_number(text, 1, bits)) return static_cast<unsigned>(*number);
    const auto mask = IpAddress::parse(text);
    if (family != Family::ipv4 || !mask || mask->family() != Family::ipv4) return std::nullopt;
    uint32_t value;
    std::memcpy(&value, mask->data(), sizeof(value));
    value = ntohl(value);
    const uint32_t holes = ~value & (~value + 1);  // ones below zeros: a power of two minus one
    if (value == 0 || holes != 0) return std::nullopt;
    return static_cast<unsigned>(__builtin_popcount(value));
}

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
    if (text.size() != 17 || (text[2] != ':' && text[2] != '-')) return std::nullopt;
    MacAddress mac;
    for (size_t i = 0; i < mac.bytes_.size(); ++i) {
        const std::string_view pair = text.substr(i * 3, 2);
        const auto [end, error] =
            std::from_chars(pair.data(), pair.data() + pair.size(), mac.bytes_[i], 16);
        if (error != std::errc{} || end != pair.data() + pair.size()) return std::nullopt;
        if (i < 5 && text[i * 3 + 2] != text[2]) return std::nullopt;
    }
    return mac;
}

MacAddress MacAddress::from_bytes(const uint8_t* bytes) {
    MacAddress mac;
    std::memcpy(mac.bytes_.data(), bytes, mac.bytes_.size());
    return mac;
}

std::string MacAddress::to_string() const {
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes_[0], bytes_[1], bytes_[2],
                       bytes_[3], bytes_[4], bytes_[5]);
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
    std::string_view host = text;
    std::optional<std::string_view> port;
    if (text.starts_with('[')) {
        const size_t close = text.find(']');
        if (close == std::string_view::npos) return std::nullopt;
        host = text.substr(1, close - 1);
        const std::string_view rest = text.substr(close + 1);
        if (!rest.empty() && rest[0] != ':') return std::nullopt;
        if (!rest.empty()) port = rest.substr(1);
        if (host.find(':') == std::string_view::npos) return std::nullopt;
    } else if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
        // More than one colon without brackets is an IPv6 address without a port.
        if (text.find(':', colon + 1) == std::string_view::npos) {
            host = text.substr(0, colon);
            port = text.substr(colon + 1);
        }
    }
    Endpoint endpoint;
    const auto address = IpAddress::parse(host);
    if (!address) return std::nullopt;
    endpoint.address = *address;
    if (port) {
        const auto number = parse_number(*port, 1, 65535);
        if (!number) return std::nullopt;
        endpoint.port = static_cast<uint16_t>(*number);
    }
    return endpoint;
}

std::string Endpoint::to_string() const {
    return fmt::format("{}:{}", address.to_uri(), port);
}

std::optional<uint64_t> parse_number(std::string_view text, uint64_t min, uint64_t max) {
    uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || rest != end || value < min || value > max) return std::nullopt;
    return value;
}

bool is_interface_name(std::string_view name) {
    if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
    return std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return c > 0x20 && c < 0x7f && c != '/' && c != ':' && c != ',' && c != '%';
    });
}

std::optional<std::string> iscsi_name_fault(std::string_view name) {
    constexpr size_t k_name_bytes_max = 223;  // RFC 7143 4.2.7.1
    if (name.empty()) return "is empty";
    if (name.size() > k_name_bytes_max) {
        return fmt::format("has {} bytes, more than {}", name.size(), k_name_bytes_max);
    }
    for (size_t i = 0; i < name.size(); ++i) {
        const unsigned char c = static_cast<unsigned char>(name[i]);
        if (c < 0x80 && (std::isalnum(c) || std::strchr(".-:_@+=~", c) != nullptr) && c != 0) {
            continue;
        }
        if (c < 0x20 || c >= 0x7f) return fmt::format("has byte 0x{:02x} at {}", c, i);
        return fmt::format("has '{}' at {}", static_cast<char>(c), i);
    }
    const std::string_view rest = name.substr(std::min<size_t>(4, name.size()));
    if (name.starts_with("iqn.") && !rest.empty()) return std::nullopt;
    const bool hex = std::all_of(rest.begin(), rest.end(),
                                 [](unsigned char c) { return std::isxdigit(c) != 0; });
    if (name.starts_with("eui.")) {
        if (hex && rest.size() == 16) return std::nullopt;
        return "is no eui. name (16 hex digits)";
    }
    if (name.starts_with("naa.")) {
        if (hex && (rest.size() == 16 || rest.size() == 32)) return std::nullopt;
        return "is no naa. name (16 or 32 hex digits)";
    }
    return "does not begin with iqn., eui. or naa.";
}

}  // namespace hawser::user
