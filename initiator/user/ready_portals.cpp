// SPDX-License-Identifier: GPL-2.0-or-later
// The plan's second step: NICs that are up in, the portals and keys of the connect request out.
#include <fmt/format.h>

#include <algorithm>

#include "user/boot_plan.h"

namespace hawser::user {
namespace {

std::optional<IpAddress> address_for(const NicOutcome& nic, const IpAddress& portal,
                                     bool on_link_only) {
    for (const auto& own : nic.addresses) {
        if (same_subnet(own.address, portal, own.prefix_length)) return own.address;
    }
    if (on_link_only) return std::nullopt;
    for (const auto& own : nic.addresses) {
        if (own.address.family() == portal.family() && !own.address.is_link_local()) {
            return own.address;
        }
    }
    return std::nullopt;
}

std::optional<size_t> nic_for(const PlannedPortal& portal, const std::vector<NicOutcome>& nics) {
    const IpAddress& address = portal.endpoint.address;
    for (size_t i = 0; i < nics.size(); ++i) {
        if (!nics[i].is_ready()) continue;
        const auto own = [&](const auto& assigned) {
            return portal.source_address == assigned.address;
        };
        if (std::any_of(nics[i].addresses.begin(), nics[i].addresses.end(), own)) return i;
    }
    for (size_t i = 0; i < nics.size(); ++i) {
        if (nics[i].is_ready() && address_for(nics[i], address, true)) return i;
    }
    for (size_t i = 0; i < nics.size(); ++i) {
        const auto& gateway = nics[i].gateway;
        if (nics[i].is_ready() && gateway && gateway->family() == address.family()) return i;
    }
    return std::nullopt;
}

}  // namespace

std::string ReadyPortal::to_string() const {
    std::string text = endpoint.to_string();
    if (source) text += ",source=" + source->to_string();
    if (!nic.empty()) text += ",nic=" + nic;
    return text;
}

ReadyPortals resolve_portals(const BootPlan& plan, const std::vector<NicOutcome>& outcomes) {
    ReadyPortals result;
    std::vector<ReadyPortal> late;
    std::vector<size_t> late_problems;
    for (const PlannedPortal& planned : plan.portals) {
        ReadyPortal ready{planned.endpoint, "", planned.source_address};
        const std::optional<size_t> nic = planned.nic ? planned.nic : nic_for(planned, outcomes);
        if (!nic) {
            result.portals.push_back(std::move(ready));  // the kernel's routes decide
            continue;
        }
        const NicOutcome& outcome = outcomes.at(*nic);
        const std::string left_out =
            fmt::format("portal {} is left out", planned.endpoint.to_string());
        if (!outcome.is_ready()) {
            Problem problem = *outcome.problem;
            problem.advice = left_out + "; " + problem.advice;
            const auto source = planned.source_address
                                    ? planned.source_address
                                    : address_for(outcome, planned.endpoint.address, false);
            if (outcome.is_late && source) {
                late.push_back({planned.endpoint, outcome.name, source});
                late_problems.push_back(result.left_out.size());
            }
            result.left_out.push_back(std::move(problem));
            continue;
        }
        if (!ready.source) ready.source = address_for(outcome, planned.endpoint.address, false);
        if (!ready.source) {
            result.left_out.push_back({"no address", outcome.name,
                                       left_out + "; give ip= an address of the portal's family"});
            continue;
        }
        ready.nic = outcome.name;
        result.portals.push_back(std::move(ready));
    }
    if (result.portals.empty()) return result;
    for (size_t i = 0; i < late.size(); ++i) {
        Problem& problem = result.left_out[late_problems[i]];
        problem.advice =
            fmt::format("portal {} joins when there is one; {}", late[i].endpoint.to_string(),
                        problem.advice.substr(problem.advice.find("; ") + 2));
        result.portals.push_back(std::move(late[i]));
    }
    return result;
}

KeyValues connect_values(const BootPlan& plan, const std::vector<ReadyPortal>& portals,
                         unsigned timeout_s) {
    KeyValues values;
    values.emplace_back("target", plan.target.value);
    for (const ReadyPortal& portal : portals) values.emplace_back("portal", portal.to_string());
    if (plan.connections.value) {
        values.emplace_back("connections", std::to_string(*plan.connections.value));
    }
    values.emplace_back("initiator", plan.initiator.value);
    for (uint64_t lun : plan.luns.value) values.emplace_back("lun", std::to_string(lun));
    values.emplace_back("root", "yes");
    values.emplace_back("timeout", std::to_string(timeout_s));
    add_chap_values(plan.chap.value, values);
    values.insert(values.end(), plan.options.begin(), plan.options.end());
    return values;
}

}  // namespace hawser::user
