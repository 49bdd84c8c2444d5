// SPDX-License-Identifier: GPL-2.0-or-later
// What portals said to SendTargets, checked and put together: targets, each with its portals. What
// a target sends is trusted in nothing.
#ifndef HAWSER_USER_DISCOVERY_H
#define HAWSER_USER_DISCOVERY_H

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "user/send_targets.h"

namespace hawser::user {

// A TargetAddress, RFC 7143 13.8: ADDRESS[:PORT][,GROUP], where ADDRESS may be a name.
struct DiscoveredPortal {
    std::string host;  // an address as we write it (IPv6 in brackets), or a name in lower case
    uint16_t port = k_iscsi_port;
    std::optional<uint16_t> group;  // target portal group tag
    bool is_name = false;

    static std::optional<DiscoveredPortal> parse(std::string_view text);
    std::string to_string() const;  // HOST:PORT
    bool operator==(const DiscoveredPortal&) const = default;
};

struct DiscoveredTarget {
    std::string name;
    std::vector<DiscoveredPortal> portals;
};

struct DiscoveryResult {
    std::vector<DiscoveredTarget> targets;
    std::vector<std::string> notes;  // what was left out
};

// Adds what the portal `asked` has sent: no target and no portal twice. One without an address is
// reached by the portal that was asked (RFC 7143, Appendix C).
void add_sent_targets(const std::vector<SentTarget>& sent, const Endpoint& asked,
                      DiscoveryResult& result);

std::string discovery_text(const DiscoveryResult& result);
nlohmann::json discovery_json(const DiscoveryResult& result);

}  // namespace hawser::user

#endif
