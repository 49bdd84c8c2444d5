// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a run has shown: its checks, phases and connections; written to report.json. A run passes
// when it made checks and all of them held: nothing seen is nothing passed.

#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "capture.h"

namespace hawser::qemu {

struct Check {
    std::string what;
    bool holds = false;
    std::string detail;  // what was seen instead, or where to look
};

struct Phase {
    std::string name;
    double at = 0;  // seconds since the machine was switched on
};

class Report {
public:
    explicit Report(std::string scenario) : scenario_(std::move(scenario)) {}

    // Returns `holds`, for checks that others build on.
    bool check(const std::string& what, bool holds, const std::string& detail = "");
    void phase(const std::string& name, double at);
    std::optional<double> phase_at(const std::string& name) const;
    void set(const std::string& key, nlohmann::json value) { more_[key] = std::move(value); }
    void set_connections(const Capture& capture);

    bool passed() const;
    // One line a check that failed; empty when the run passed.
    std::string failures() const;
    const std::vector<Check>& checks() const { return checks_; }
    const std::vector<Phase>& phases() const { return phases_; }
    const nlohmann::json& connections() const { return connections_; }

    nlohmann::json to_json() const;
    void write(const std::filesystem::path& file) const;

private:
    std::string scenario_;
    std::vector<Check> checks_;
    std::vector<Phase> phases_;
    nlohmann::json connections_ = nlohmann::json::array();
    nlohmann::json more_ = nlohmann::json::object();
};

// The table that the demo ends with: a line per connection.
std::string connection_table(const nlohmann::json& connections);

}  // namespace hawser::qemu
