// SPDX-License-Identifier: GPL-2.0-or-later
// A boot plan for people and for programs.
#include "user/boot_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "user/table.h"

namespace hawser::user {
namespace {

std::string luns_text(const std::vector<uint64_t>& luns) {
    std::string text;
    for (uint64_t lun : luns) text += fmt::format("{}{}", text.empty() ? "" : ", ", lun);
    return text.empty() ? "all" : text;
}

const char* onfail_text(OnFail onfail) {
    return onfail == OnFail::shell ? "shell" : "reboot";
}

std::string nic_text(const PlannedNic& nic) {
    std::string text = nic.label() + " ";
    if (nic.address) {
        text += fmt::format("{}/{}", nic.address->to_string(), nic.prefix_length);
    } else {
        text += nic.method == AddressMethod::dhcp ? "DHCP" : "as it is";
    }
    if (nic.gateway) text += " via " + nic.gateway->to_string();
    return text;
}

std::string portal_text(const PlannedPortal& portal, const BootPlan& plan) {
    std::string text = portal.endpoint.to_string();
    text += " by " + (portal.nic ? plan.nics[*portal.nic].label() : "subnet or route");
    if (portal.source_address) text += " from " + portal.source_address->to_string();
    return text;
}

}  // namespace

std::string plan_text(const BootPlan& plan) {
    Table table;
    table.add({"what", "value", "source"});
    table.add({"target", plan.target.value, plan.target.source});
    table.add({"initiator", plan.initiator.value, plan.initiator.source});
    table.add({"LUN", luns_text(plan.luns.value), plan.luns.source});
    const auto& connections = plan.connections;
    table.add(
        {"connections",
         std::to_string(connections.value.value_or(static_cast<unsigned>(plan.portals.size()))),
         connections.source});
    if (plan.chap.value.is_set()) {
        table.add({"CHAP", plan.chap.value.to_string(), plan.chap.source});
    }
    for (const PlannedPortal& portal : plan.portals) {
        table.add({"portal", portal_text(portal, plan), portal.source});
    }
    for (const PlannedNic& nic : plan.nics) table.add({"NIC", nic_text(nic), nic.source});
    table.add({"timeout", fmt::format("{} s", plan.timeout_s.value), plan.timeout_s.source});
    table.add({"on failure", onfail_text(plan.onfail.value), plan.onfail.source});
    for (const auto& [key, value] : plan.options) table.add({key, value, "rd.hawser.option"});
    std::string text = table.to_string();
    for (const std::string& note : plan.notes) text += "note: " + note + "\n";
    return text;
}

nlohmann::json plan_json(const BootPlan& plan) {
    const auto sourced = [](const auto& value, const std::string& source) {
        return nlohmann::json{{"value", value}, {"source", source}};
    };
    nlohmann::json json;
    json["target"] = sourced(plan.target.value, plan.target.source);
    json["initiator"] = sourced(plan.initiator.value, plan.initiator.source);
    json["luns"] = sourced(plan.luns.value, plan.luns.source);
    json["connections"] =
        sourced(plan.connections.value.value_or(static_cast<unsigned>(plan.portals.size())),
                plan.connections.source);
    json["timeout_s"] = sourced(plan.timeout_s.value, plan.timeout_s.source);
    json["onfail"] = sourced(onfail_text(plan.onfail.value), plan.onfail.source);
    if (const ChapCredentials& chap = plan.chap.value; chap.is_set()) {
        json["chap"] = {{"name", printable(chap.name)},
                        {"name_in", printable(chap.name_in)},
                        {"mutual", chap.is_mutual()},
                        {"source", plan.chap.source}};
    }
    json["options"] = nlohmann::json::object();
    for (const auto& [key, value] : plan.options) json["options"][key] = value;
    json["portals"] = nlohmann::json::array();
    for (const PlannedPortal& portal : plan.portals) {
        nlohmann::json one = {{"portal", portal.endpoint.to_string()}, {"source", portal.source}};
        if (portal.nic) one["nic"] = plan.nics[*portal.nic].selector.to_string();
        if (portal.source_address) one["source_address"] = portal.source_address->to_string();
        json["portals"].push_back(std::move(one));
    }
    json["nics"] = nlohmann::json::array();
    for (const PlannedNic& nic : plan.nics) {
        nlohmann::json one = {{"nic", nic.selector.to_string()},
                              {"method", nic.method == AddressMethod::dhcp ? "dhcp" : "fixed"},
                              {"source", nic.source}};
        if (!nic.name_wanted.empty()) one["name"] = nic.name_wanted;
        if (nic.address) {
            one["address"] = nic.address->to_string();
            one["prefix_length"] = nic.prefix_length;
        }
        if (nic.gateway) one["gateway"] = nic.gateway->to_string();
        json["nics"].push_back(std::move(one));
    }
    json["notes"] = plan.notes;
    return json;
}

nlohmann::json outcome_json(const std::vector<NicOutcome>& nics, const ReadyPortals& portals) {
    nlohmann::json json;
    json["nics"] = nlohmann::json::array();
    for (const NicOutcome& nic : nics) {
        nlohmann::json one = {{"name", nic.name}, {"mac", nic.mac.to_string()}};
        one["addresses"] = nlohmann::json::array();
        for (const auto& own : nic.addresses) {
            one["addresses"].push_back(
                fmt::format("{}/{}", own.address.to_string(), own.prefix_length));
        }
        if (nic.gateway) one["gateway"] = nic.gateway->to_string();
        if (nic.problem) one["problem"] = nic.problem->line();
        json["nics"].push_back(std::move(one));
    }
    json["portals"] = nlohmann::json::array();
    for (const ReadyPortal& portal : portals.portals) json["portals"].push_back(portal.to_string());
    json["left_out"] = nlohmann::json::array();
    for (const Problem& problem : portals.left_out) json["left_out"].push_back(problem.line());
    return json;
}

}  // namespace hawser::user
