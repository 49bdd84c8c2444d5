// SPDX-License-Identifier: GPL-2.0-or-later
//
// report.json, and the table of connections.

#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

namespace hawser::qemu {

using nlohmann::json;

bool Report::check(const std::string& what, bool holds, const std::string& detail) {
    checks_.push_back({what, holds, holds ? "" : detail});
    return holds;
}

void Report::phase(const std::string& name, double at) {
    phases_.push_back({name, at});
    std::stable_sort(phases_.begin(), phases_.end(),
                     [](const auto& a, const auto& b) { return a.at < b.at; });
}

std::optional<double> Report::phase_at(const std::string& name) const {
    for (const auto& phase : phases_) {
        if (phase.name == name) {
            return phase.at;
        }
    }
    return std::nullopt;
}

void Report::set_connections(const Capture& capture) {
    connections_ = json::array();
    for (const auto& connection : capture.connections) {
        json row{{"cid", connection.cid()},           {"tsih", connection.tsih()},
                 {"isid", connection.isid()},         {"portal", connection.portal},
                 {"source", connection.source},       {"nic", fmt::format("net{}", connection.nic)},
                 {"commands", connection.commands},   {"bytes_in", connection.bytes_in},
                 {"bytes_out", connection.bytes_out}, {"logged_in", connection.logged_in()}};
        if (auto at = connection.logged_in_at()) {
            row["logged_in_at"] = *at;
        }
        if (connection.logout_response) {
            row["logout_response"] = *connection.logout_response;
        }
        row["fin"] = connection.fin_from_initiator_at.has_value();
        row["reset"] = connection.reset_at.has_value();
        connections_.push_back(row);
    }
    std::stable_sort(connections_.begin(), connections_.end(),
                     [](const json& a, const json& b) { return a["cid"] < b["cid"]; });
}

bool Report::passed() const {
    return !checks_.empty() &&
           std::all_of(checks_.begin(), checks_.end(), [](const auto& c) { return c.holds; });
}

std::string Report::failures() const {
    if (checks_.empty()) {
        return "nothing was checked\n";
    }
    std::string text;
    for (const auto& check : checks_) {
        if (!check.holds) {
            text += fmt::format("does not hold: {}{}{}\n", check.what,
                                check.detail.empty() ? "" : ": ", check.detail);
        }
    }
    return text;
}

nlohmann::json Report::to_json() const {
    nlohmann::json result = more_;
    result["scenario"] = scenario_;
    result["verdict"] = passed() ? "passed" : "failed";
    result["connections"] = connections_;
    result["checks"] = nlohmann::json::array();
    for (const auto& check : checks_) {
        nlohmann::json row{{"what", check.what}, {"holds", check.holds}};
        if (!check.detail.empty()) {
            row["detail"] = check.detail;
        }
        result["checks"].push_back(row);
    }
    result["phases"] = nlohmann::json::array();
    for (const auto& phase : phases_) {
        result["phases"].push_back({{"name", phase.name}, {"at", phase.at}});
    }
    return result;
}

void Report::write(const std::filesystem::path& file) const {
    std::ofstream out(file);
    // Guest output may hold any byte; a report must still be written.
    out << to_json().dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    if (!out.flush()) {
        throw std::runtime_error(file.string() + ": cannot be written");
    }
}

std::string connection_table(const json& connections) {
    auto text = fmt::format("{:>5} {:<18} {:<6} {:<20} {:>9} {:>14} {:>14}\n", "CID", "portal",
                            "NIC", "source", "commands", "bytes read", "bytes written");
    for (const auto& row : connections) {
        text += fmt::format("{:>5} {:<18} {:<6} {:<20} {:>9} {:>14} {:>14}\n",
                            row["cid"].get<unsigned>(), row["portal"].get<std::string>(),
                            row["nic"].get<std::string>(), row["source"].get<std::string>(),
                            row["commands"].get<uint64_t>(), row["bytes_in"].get<uint64_t>(),
                            row["bytes_out"].get<uint64_t>());
    }
    return text;
}

}  // namespace hawser::qemu
