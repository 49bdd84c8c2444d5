// SPDX-License-Identifier: GPL-2.0-or-later
// IP addresses, subnets, MAC addresses, portals and numbers: values that are valid once they exist.
#ifndef HAWSER_USER_ADDRESS_H
#define HAWSER_USER_ADDRESS_H

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hawser::user {

constexpr uint16_t k_iscsi_port = 3260;

enum class Family : uint8_t { ipv4, ipv6 };

class IpAddress {
public:
    static std::optional<IpAddress> parse(std::string_view text);  // without brackets
    // Sixteen bytes as firmware tables hold them: ::ffff:a.b.c.d is an IPv4 address.
    static IpAddress from_mapped(std::span<const uint8_t, 16> bytes);
    static IpAddress from_bytes(Family family, const void* bytes);

    Family family() const { return family_; }
    size_t size() const { return family_ == Family::ipv4 ? 4 : 16; }
    unsigned bits() const { return family_ == Family::ipv4 ? 32 : 128; }
    const uint8_t* data() const { return bytes_.data(); }
    bool is_unspecified() const;
    bool is_multicast() const;
    bool is_link_local() const;
    std::string to_string() const;
    std::string to_uri() const;  // IPv6 in brackets, so that a port may follow

    bool operator==(const IpAddress&) const = default;

private:
    Family family_ = Family::ipv4;
    std::array<uint8_t, 16> bytes_{};
};

bool same_subnet(const IpAddress& a, const IpAddress& b, unsigned prefix_length);

// "24" or "255.255.255.0" (IPv4; a mask with holes is none).
std::optional<unsigned> parse_prefix_length(std::string_view text, Family family);

class MacAddress {
public:
    static std::optional<MacAddress> parse(std::string_view text);  // 52:54:00:.. or 52-54-00-..
    static MacAddress from_bytes(const uint8_t* bytes);

    bool is_zero() const { return *this == MacAddress{}; }
    bool is_multicast() const { return (bytes_[0] & 1) != 0; }
    const uint8_t* data() const { return bytes_.data(); }
    std::string to_string() const;

    bool operator==(const MacAddress&) const = default;

private:
    std::array<uint8_t, 6> bytes_{};
};

// ADDRESS, ADDRESS:PORT, [ADDRESS6], [ADDRESS6]:PORT.
struct Endpoint {
    IpAddress address;
    uint16_t port = k_iscsi_port;

    static std::optional<Endpoint> parse(std::string_view text);
    std::string to_string() const;

    bool operator==(const Endpoint&) const = default;
};

// A decimal number without sign, space or rest, within the limits.
std::optional<uint64_t> parse_number(std::string_view text, uint64_t min, uint64_t max);

// An interface's name, as the kernel would accept it.
bool is_interface_name(std::string_view name);

// Why this is no iSCSI name (RFC 7143 4.2.7), or nothing. Stricter than the RFC in one point: only
// characters that need no quoting anywhere (no space, slash, comma, control or non-ASCII
// character).
std::optional<std::string> iscsi_name_fault(std::string_view name);

}  // namespace hawser::user

#endif
