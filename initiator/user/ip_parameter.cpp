// SPDX-License-Identifier: GPL-2.0-or-later
// ip= of dracut.cmdline(7): CLIENT:PEER:GATEWAY:NETMASK:HOST:NIC:METHOD[:DNS1[:DNS2]], NIC:METHOD,
// METHOD. IPv6 addresses stand in brackets; an address may carry its /PREFIX. A NIC is named by its
// name or by its MAC with dashes.
#include <fmt/format.h>

#include "user/boot_parameters.h"

namespace hawser::user {
namespace {

constexpr size_t k_client = 0, k_gateway = 2, k_netmask = 3, k_host = 4, k_nic = 5, k_method = 6,
                 k_dns = 7;

// Fields at colons that are not within brackets.
std::vector<std::string> split_fields(std::string_view text) {
    std::vector<std::string> fields(1);
    bool in_brackets = false;
    for (char c : text) {
        if (c == '[' || c == ']') {
            in_brackets = c == '[';
        } else if (c == ':' && !in_brackets) {
            fields.emplace_back();
        } else {
            fields.back() += c;
        }
    }
    return fields;
}

std::optional<AddressMethod> method_from(std::string_view word) {
    if (word == "none" || word == "off" || word == "static") return AddressMethod::fixed;
    if (word == "dhcp" || word == "on" || word == "any") return AddressMethod::dhcp;
    return std::nullopt;
}

bool is_unsupported_method(std::string_view word) {
    for (std::string_view known :
         {"dhcp6", "auto6", "either6", "link6", "link-local", "single-dhcp", "both"}) {
        if (word == known) return true;
    }
    return false;
}

std::optional<std::string> read_address(const std::vector<std::string>& fields, IpParameter& ip) {
    std::string client = fields[k_client];
    std::string netmask = fields[k_netmask];
    if (const size_t slash = client.find('/'); slash != std::string::npos) {
        netmask = client.substr(slash + 1);
        client.resize(slash);
    }
    ip.address = IpAddress::parse(client);
    if (!ip.address || ip.address->is_unspecified() || ip.address->is_multicast()) {
        return fmt::format("{} is no host's address", printable(client));
    }
    if (netmask.empty()) return "has no netmask";
    const auto prefix_length = parse_prefix_length(netmask, ip.address->family());
    if (!prefix_length) return fmt::format("netmask {} is none", printable(netmask));
    ip.prefix_length = *prefix_length;
    return std::nullopt;
}

std::optional<std::string> read_rest(const std::vector<std::string>& fields, IpParameter& ip) {
    if (!fields[k_gateway].empty()) {
        ip.gateway = IpAddress::parse(fields[k_gateway]);
        if (!ip.gateway) {
            return fmt::format("gateway {} is no address", printable(fields[k_gateway]));
        }
        if (ip.gateway->is_unspecified()) ip.gateway.reset();  // iPXE writes 0.0.0.0 for none
    }
    if (!fields[k_nic].empty()) {
        const auto nic = NicSelector::parse(fields[k_nic]);
        if (!nic) return fmt::format("NIC {} is no name", printable(fields[k_nic]));
        ip.nic = *nic;
    }
    ip.host_name = fields[k_host];
    // Behind the method stand DNS servers, or an MTU and a MAC, which are not ours to set.
    for (size_t i = k_dns; i < fields.size(); ++i) {
        if (auto dns = IpAddress::parse(fields[i])) ip.dns.push_back(*dns);
    }
    return std::nullopt;
}

}  // namespace

std::variant<std::optional<IpParameter>, std::string> parse_ip_parameter(std::string_view text) {
    if (text == "ibft") return std::optional<IpParameter>();
    const std::vector<std::string> fields = split_fields(text);
    IpParameter ip;
    const std::string& method = fields.size() == 1         ? fields[0]
                                : fields.size() == 2       ? fields[1]
                                : fields.size() > k_method ? fields[k_method]
                                                           : fields.back();
    // The short forms; a third field is an MTU, a fourth a MAC to set: neither is ours.
    if (fields.size() <= 2) {
        if (is_unsupported_method(method)) return fmt::format("method {} is not supported", method);
        const auto known = method_from(method);
        if (!known || *known != AddressMethod::dhcp) {
            return fmt::format("method {} is unknown here", printable(method));
        }
        ip.method = *known;
        if (fields.size() == 2) {
            const auto nic = NicSelector::parse(fields[0]);
            if (!nic) return fmt::format("NIC {} is no name", printable(fields[0]));
            ip.nic = *nic;
        }
        return std::optional(ip);
    }
    if (fields.size() <= k_method) {
        return fmt::format("has {} fields, not 1, 2 or at least 7", fields.size());
    }
    if (is_unsupported_method(method)) return fmt::format("method {} is not supported", method);
    const auto known = method.empty() ? AddressMethod::fixed : method_from(method);
    if (!known) return fmt::format("method {} is unknown", printable(method));
    ip.method = *known;
    if (ip.method == AddressMethod::fixed) {
        if (auto fault = read_address(fields, ip)) return *fault;
    }
    if (auto fault = read_rest(fields, ip)) return *fault;
    return std::optional(ip);
}

}  // namespace hawser::user
