// SPDX-License-Identifier: GPL-2.0-or-later
//
// Telling a story to Catch2.

#include "story.h"

#include <fmt/format.h>

namespace hawser::qemu {

void conclude(const Report& report, const std::filesystem::path& directory,
              const std::string& name) {
    for (const auto& phase : report.phases()) {
        fmt::print("{:8.1f} s  {}\n", phase.at, phase.name);
    }
    fmt::print("{}", connection_table(report.connections()));
    INFO(report.failures());
    INFO("evidence: " << directory.string()
                      << ": serial.log, net<N>.pcap, target.log, report.json");
    INFO("again: build/bin/hawser-qemu '" << name << "'");
    CHECK(report.passed());
}

void tell(const Plan& plan, const std::function<void(Scenario&)>& story,
          const std::string& expected) {
    Scenario scenario(plan);
    try {
        story(scenario);
    } catch (const std::exception& error) {
        scenario.report().check("the story went to its end", false, error.what());
    }
    scenario.finish(expected);
    conclude(scenario.report(), scenario.directory(), plan.name);
}

void tell_direct(const std::string& name, unsigned nics,
                 const std::function<void(DirectRun&)>& story, const std::string& expected) {
    DirectRun run(name, nics);
    try {
        story(run);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish(expected);
    conclude(run.report(), run.directory(), name);
}

}  // namespace hawser::qemu
