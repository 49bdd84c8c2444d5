// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-sim: sessions against a model target over a simulated network, from seeds. Exits 1 with
// the seed and the command that replays it when a rule does not hold.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "simulation.h"

using namespace hawser::sim;

namespace {

struct Totals {
    uint64_t seeds = 0;
    uint64_t virtual_us = 0;
    uint64_t events = 0;
    std::map<std::string, uint64_t> counts;

    void add(const Outcome& outcome) {
        seeds++;
        virtual_us += outcome.virtual_us;
        events += outcome.events;
        for (const auto& [name, count] : outcome.counts) counts[name] += count;
    }
    void print() const {
        for (const auto& [name, count] : counts) fmt::print("{:<32} {:>12}\n", name, count);
        fmt::print("sim: {} seeds, {:.1f} hours simulated, {} events, no violation\n", seeds,
                   static_cast<double>(virtual_us) / 3.6e9, events);
    }
};

int fail(uint64_t seed, const std::string& what) {
    fmt::print("sim: seed {}: {}\n", seed, what);
    fmt::print("sim: replay with: hawser-sim --first {} --seeds 1 --log\n", seed);
    return 1;
}

int run_seeds(uint64_t first, uint64_t seeds, bool verbose, bool twice) {
    Totals totals;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        const Outcome outcome = Simulation(seed, Canary::None, verbose).run();
        if (!outcome.held) return fail(seed, outcome.violation);
        if (twice && Simulation(seed, Canary::None, false).run().hash != outcome.hash)
            return fail(seed, "the same seed gave another history");
        totals.add(outcome);
    }
    totals.print();
    return 0;
}

// A planted bug must be seen within some seeds.
bool find_canary(const std::string& name, uint64_t seeds, bool verbose, uint64_t first) {
    const Canary canary = canary_of(name);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        const Outcome outcome = Simulation(seed, canary, verbose).run();
        if (outcome.held) continue;
        fmt::print("canary {:<16} found by seed {:>3} {}\n", name, seed, outcome.violation);
        return true;
    }
    fmt::print("canary {:<16} NOT found in {} seeds\n", name, seeds);
    return false;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"A session under faults against a model target, in virtual time, from a seed."};
    uint64_t seeds = 100;
    uint64_t first = 1;
    bool verbose = false;
    bool twice = false;
    std::string canary;
    app.add_option("--seeds", seeds, "how many seeds (canaries: at most)")->capture_default_str();
    app.add_option("--first", first, "the first seed")->capture_default_str();
    app.add_flag("--log", verbose, "print everything that happens");
    app.add_flag("--twice", twice, "run each seed twice and compare the histories");
    app.add_option("--canary", canary, "plant this bug, or `all` in turn, and find it");
    CLI11_PARSE(app, argc, argv);
    try {
        if (canary.empty()) return run_seeds(first, seeds, verbose, twice);
        bool found = true;
        for (const char* name : k_canaries) {
            if (canary == "all" || canary == name)
                found = find_canary(name, seeds, verbose, first) && found;
        }
        return found ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "hawser-sim: {}\n", error.what());
        return 2;
    }
}
