// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-sim: sessions against a model target over a simulated network, from seeds. Exits 1 with
// the seed and the command that replays it when a rule does not hold.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <mutex>
#include <thread>

#include "simulation.h"

using namespace hawser::sim;

namespace {

struct Totals {
    uint64_t seeds = 0;
    uint64_t virtual_us = 0;
    uint64_t events = 0;
    uint64_t longest_us = 0;
    uint64_t longest_seed = 0;
    std::map<std::string, uint64_t> counts;

    void add(uint64_t seed, const Outcome& outcome) {
        seeds++;
        virtual_us += outcome.virtual_us;
        events += outcome.events;
        if (outcome.longest_us > longest_us) {
            longest_us = outcome.longest_us;
            longest_seed = seed;
        }
        for (const auto& [name, count] : outcome.counts) counts[name] += count;
    }
    void print() const {
        uint64_t faults = 0;
        for (const auto& [name, count] : counts) {
            fmt::print("{:<40} {:>12}\n", name, count);
            if (name.rfind("fault: ", 0) == 0) faults += count;
        }
        fmt::print("{:<40} {:>12.3f} s (seed {})\n", "longest stall of a command",
                   static_cast<double>(longest_us) / 1e6, longest_seed);
        fmt::print("sim: {} seeds, {:.1f} hours simulated, {} events, {} faults, no violation\n",
                   seeds, static_cast<double>(virtual_us) / 3.6e9, events, faults);
    }
};

int fail(uint64_t seed, const std::string& what) {
    fmt::print("sim: seed {}: {}\n", seed, what);
    fmt::print("sim: replay with: hawser-sim --first {} --seeds 1 --log\n", seed);
    return 1;
}

// What several threads do together; worlds share nothing.
struct Campaign {
    Campaign(uint64_t first, uint64_t seeds, bool verbose, bool twice)
        : first(first), seeds(seeds), verbose(verbose), twice(twice) {}

    const uint64_t first;
    const uint64_t seeds;
    const bool verbose;
    const bool twice;
    std::atomic<uint64_t> next{0};
    std::atomic<bool> failed{false};
    std::mutex lock;
    Totals totals;
    std::map<uint64_t, std::string> violations;  // by seed

    void work() {
        for (uint64_t i = next++; i < seeds && !failed; i = next++) {
            const uint64_t seed = first + i;
            Outcome outcome = Simulation(seed, Canary::None, verbose).run();
            if (twice && outcome.held &&
                Simulation(seed, Canary::None, false).run().hash != outcome.hash) {
                outcome.held = false;
                outcome.violation = "the same seed gave another history";
            }
            const std::lock_guard guard(lock);
            if (outcome.held) {
                totals.add(seed, outcome);
            } else {
                violations[seed] = outcome.violation;
                failed = true;
            }
        }
    }
};

int run_seeds(Campaign& campaign, uint32_t jobs) {
    std::vector<std::thread> threads;
    for (uint32_t i = 1; i < jobs; i++) threads.emplace_back([&campaign] { campaign.work(); });
    campaign.work();
    for (std::thread& thread : threads) thread.join();
    if (!campaign.violations.empty())
        return fail(campaign.violations.begin()->first, campaign.violations.begin()->second);
    campaign.totals.print();
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
    uint32_t jobs = std::max(1u, std::thread::hardware_concurrency());
    std::string canary;
    app.add_option("--jobs", jobs, "how many seeds at a time")->capture_default_str();
    app.add_option("--seeds", seeds, "how many seeds (canaries: at most)")->capture_default_str();
    app.add_option("--first", first, "the first seed")->capture_default_str();
    app.add_flag("--log", verbose, "print everything that happens");
    app.add_flag("--twice", twice, "run each seed twice and compare the histories");
    app.add_option("--canary", canary, "plant this bug, or `all` in turn, and find it");
    CLI11_PARSE(app, argc, argv);
    try {
        if (canary.empty()) {
            Campaign campaign(first, seeds, verbose, twice);
            return run_seeds(campaign, verbose ? 1 : jobs);
        }
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
