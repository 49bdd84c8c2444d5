// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults in reports, and out of them.

#include "fault.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <tuple>

namespace hawser::qemu {

using nlohmann::json;

const std::vector<Fault>& all_faults() {
    static const std::vector<Fault> k_faults{
        {1, "one of four NICs is dead"},
        {2, "the first portal refuses"},
        {3, "all is dead, and back at 60 s"},
        {4, "no DHCP"},
        {5, "the lease runs out under the root"},
        {6, "the iBFT names the wrong NIC"},
        {7, "bad iBFT"},
        {8, "CHAP: a wrong secret"},
        {9, "the target reflects our challenge"},
        {10, "the target is busy five times"},
        {11, "status 0300 and 0302"},
        {12, "status 0203, 0205 and 0206"},
        {13, "redirect 0101 and 0102"},
        {14, "a loop of redirects"},
        {15, "a login at one byte a second"},
        {16, "the second connection is refused"},
        {17, "RST in the middle of a write"},
        {18, "all connections are silent for 30 s"},
        {19, "the target is rebooted"},
        {20, "R2Ts out of order, twice, overlapping"},
        {21, "R2T for a read, Data-In for a write"},
        {22, "flipped bits under digests"},
        {23, "asynchronous events 1 to 4"},
        {24, "the command window is shut for 20 s"},
        {25, "the LUN grows"},
        {26, "the target restarts during the unmount"},
        {27, "a NOP-In is unanswered in the last sync"},
        {28, "the target is gone for good"},
        {29, "the NIC is taken down before the unmount"},
        {30, "Logout unanswered, or refused"},
    };
    return k_faults;
}

void note_fault(Report& report, unsigned number, const std::string& text,
                std::optional<double> stall_s, const std::string& evidence) {
    report.set("fault", {{"number", number},
                         {"fault", text},
                         {"longest_stall_s", stall_s ? json(*stall_s) : json()},
                         {"evidence", evidence}});
}

static FaultResult parsed(const json& report) {
    const json& fault = report.at("fault");
    FaultResult result;
    result.number = fault.at("number");
    result.scenario = report.at("scenario");
    result.text = fault.at("fault");
    result.passed = report.at("verdict") == "passed";
    if (!fault.at("longest_stall_s").is_null()) result.stall_s = fault["longest_stall_s"];
    result.evidence = fault.at("evidence");
    if (result.passed) return result;
    for (const json& check : report.at("checks")) {
        if (check.at("holds")) continue;
        result.evidence = check.at("what");
        break;
    }
    return result;
}

// A scenario that fell before it could note its fault has its number in its name.
static FaultResult fallen(const std::string& scenario, const std::string& why) {
    FaultResult result;
    result.scenario = scenario;
    result.number = static_cast<unsigned>(std::strtoul(scenario.c_str() + 6, nullptr, 10));
    result.evidence = why;
    return result;
}

std::vector<FaultResult> read_fault_results(const std::filesystem::path& folder) {
    std::vector<FaultResult> results;
    if (!std::filesystem::is_directory(folder)) return results;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string scenario = entry.path().filename();
        if (!scenario.starts_with("fault-")) continue;
        std::ifstream file(entry.path() / "report.json");
        try {
            const json report = json::parse(file);
            results.push_back(report.contains("fault")
                                  ? parsed(report)
                                  : fallen(scenario, "it did not come to the fault"));
        } catch (const json::exception&) {
            results.push_back(fallen(scenario, "no whole report: it did not come to its end"));
        }
    }
    std::sort(results.begin(), results.end(), [](const auto& a, const auto& b) {
        return std::tie(a.number, a.scenario) < std::tie(b.number, b.scenario);
    });
    return results;
}

static std::vector<const FaultResult*> of_fault(const std::vector<FaultResult>& results,
                                                unsigned number) {
    std::vector<const FaultResult*> rows;
    for (const auto& result : results)
        if (result.number == number) rows.push_back(&result);
    return rows;
}

size_t count_passed(const std::vector<FaultResult>& results) {
    size_t count = 0;
    for (const Fault& fault : all_faults()) {
        const auto rows = of_fault(results, fault.number);
        count += !rows.empty() &&
                 std::all_of(rows.begin(), rows.end(), [](const auto* row) { return row->passed; });
    }
    return count;
}

std::string fault_table(const std::vector<FaultResult>& results) {
    constexpr const char* k_row = "{:>3}  {:<41} {:<8} {:>7}  {}\n";
    std::string text = fmt::format(fmt::runtime(k_row), "", "fault", "result", "stall", "seen");
    for (const Fault& fault : all_faults()) {
        const auto rows = of_fault(results, fault.number);
        if (rows.empty())
            text += fmt::format(fmt::runtime(k_row), fault.number, fault.name, "not run", "", "");
        for (const auto* row : rows)
            text += fmt::format(
                fmt::runtime(k_row), fault.number, row->text.empty() ? fault.name : row->text,
                row->passed ? "passed" : "FAILED",
                row->stall_s ? fmt::format("{:.1f} s", *row->stall_s) : "-", row->evidence);
    }
    return text + fmt::format("{} of {}\n", count_passed(results), all_faults().size());
}

}  // namespace hawser::qemu
