// SPDX-License-Identifier: GPL-2.0-or-later
// DHCP by busybox's udhcpc: it asks, and prints the lease through a script of three lines.
#ifndef HAWSER_USER_DHCP_H
#define HAWSER_USER_DHCP_H

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "user/address.h"
#include "user/failure.h"

namespace hawser::user {

struct DhcpLease {
    IpAddress address;
    unsigned prefix_length = 0;
    std::optional<IpAddress> gateway;
    std::vector<IpAddress> dns;
    std::string host_name;
};

// The script's lines (KEY=VALUE) as a lease; nothing when it holds no usable address and mask.
std::optional<DhcpLease> parse_dhcp_lease(std::string_view text);

struct DhcpAnswer {
    std::optional<DhcpLease> lease;
    Problem problem;  // when there is none
};

// Asks on all these NICs at once; `folder` takes the script (/run/hawser).
std::vector<DhcpAnswer> ask_dhcp(const std::vector<std::string>& nics, const std::string& folder);

}  // namespace hawser::user

#endif
