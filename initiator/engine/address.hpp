// SPDX-License-Identifier: GPL-2.0-or-later
// IP addresses and portals as text: in the option line, in a TargetAddress (RFC 7143 13.8), in what
// people read. IPv6 as RFC 4291 2.2 lets it be written and RFC 5952 4 wants it written.
#pragma once

#include "abi/engine.h"
#include "wire/text.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace hawser {

inline constexpr uint16_t k_default_port = 3260;  // RFC 7143 15

struct AddressAndPort {
    hawser_address address;
    uint16_t port;
};

// "10.0.0.1", "fe80::1"; no brackets, no zone.
std::optional<hawser_address> parse_address(std::string_view text);
// ADDRESS[:PORT], an IPv6 address in brackets; without a port: 3260. Not a host name.
std::optional<AddressAndPort> parse_portal(std::string_view text);
// What one can connect to: not "any" and not a group.
bool is_unicast(const hawser_address& address);
bool is_loopback(const hawser_address& address);
bool is_link_local(const hawser_address& address);
void format_address(const hawser_address& address, wire::TextWriter& writer);

}  // namespace hawser
