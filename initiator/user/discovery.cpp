// SPDX-License-Identifier: GPL-2.0-or-later
// What portals said to SendTargets: see discovery.h.
#include "user/discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "user/boot_parameters.h"
#include "user/table.h"

namespace hawser::user {
namespace {

constexpr size_t k_host_name_bytes_max = 253;  // RFC 1035

bool is_host_name(std::string_view text) {
    return !text.empty() && text.size() <= k_host_name_bytes_max &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '.';
           });
}

}  // namespace

std::optional<DiscoveredPortal> DiscoveredPortal::parse(std::string_view text) {
    DiscoveredPortal portal;
    const size_t comma = text.find(',');
    if (comma != std::string_view::npos) {
        const auto group = parse_number(text.substr(comma + 1), 0, 65535);
        if (!group) return std::nullopt;
        portal.group = static_cast<uint16_t>(*group);
        text = text.substr(0, comma);
    }
    if (const auto endpoint = Endpoint::parse(text)) {
        if (endpoint->address.is_unspecified() || endpoint->address.is_multicast())
            return std::nullopt;
        portal.host = endpoint->address.to_uri();
        portal.port = endpoint->port;
        return portal;
    }
    const size_t colon = text.find(':');
    if (colon != std::string_view::npos) {
        const auto port = parse_number(text.substr(colon + 1), 1, 65535);
        if (!port) return std::nullopt;
        portal.port = static_cast<uint16_t>(*port);
        text = text.substr(0, colon);
    }
    // "10.0.0.300" is no address, and no name either.
    const bool digits_only = text.find_first_not_of("0123456789.") == std::string_view::npos;
    if (!is_host_name(text) || digits_only) return std::nullopt;
    portal.host = text;
    std::transform(portal.host.begin(), portal.host.end(), portal.host.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    portal.is_name = true;
    return portal;
}

std::string DiscoveredPortal::to_string() const {
    return fmt::format("{}:{}", host, port);
}

void add_sent_targets(const std::vector<SentTarget>& sent, const Endpoint& asked,
                      DiscoveryResult& result) {
    for (const SentTarget& one : sent) {
        if (const auto fault = iscsi_name_fault(one.name)) {
            result.notes.push_back(fmt::format("{}: a target is left out: its name \"{}\" {}",
                                               asked.to_string(), printable(one.name), *fault));
            continue;
        }
        auto target =
            std::find_if(result.targets.begin(), result.targets.end(),
                         [&](const DiscoveredTarget& known) { return known.name == one.name; });
        if (target == result.targets.end()) {
            target = result.targets.insert(target, DiscoveredTarget{one.name, {}});
        }
        std::vector<std::string> addresses = one.addresses;
        if (addresses.empty()) addresses.push_back(asked.to_string());
        for (const std::string& address : addresses) {
            const auto portal = DiscoveredPortal::parse(address);
            if (!portal) {
                result.notes.push_back(
                    fmt::format("{}: an address of {} is left out: \"{}\" is no ADDRESS:PORT,GROUP",
                                asked.to_string(), one.name, printable(address)));
                continue;
            }
            auto& portals = target->portals;
            if (std::find(portals.begin(), portals.end(), *portal) == portals.end())
                portals.push_back(*portal);
        }
    }
}

std::string discovery_text(const DiscoveryResult& result) {
    Table table;
    if (!result.targets.empty()) table.add({"target", "portal", "group"});
    for (const DiscoveredTarget& target : result.targets) {
        std::string name = target.name;
        for (const DiscoveredPortal& portal : target.portals) {
            table.add({name, portal.to_string(),
                       portal.group ? std::to_string(*portal.group) : std::string("-")});
            name.clear();
        }
        if (target.portals.empty()) table.add({name, "-", "-"});
    }
    return table.to_string();
}

nlohmann::json discovery_json(const DiscoveryResult& result) {
    nlohmann::json json;
    json["targets"] = nlohmann::json::array();
    for (const DiscoveredTarget& target : result.targets) {
        nlohmann::json one = {{"name", target.name}, {"portals", nlohmann::json::array()}};
        for (const DiscoveredPortal& portal : target.portals) {
            nlohmann::json place = {{"portal", portal.to_string()}, {"is_name", portal.is_name}};
            if (portal.group) place["group"] = *portal.group;
            one["portals"].push_back(std::move(place));
        }
        json["targets"].push_back(std::move(one));
    }
    json["notes"] = result.notes;
    return json;
}

}  // namespace hawser::user
