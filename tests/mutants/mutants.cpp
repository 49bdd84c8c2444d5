// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-mutants: breaks each rule of docs/rules.md on purpose, as the lists of tests/mutants say,
// and runs the tests of that rule. A mutant whose tests still pass has SURVIVED: the rule is not
// held by any test. Exits 1 unless every mutant is killed and every rule has one.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "rfc_rules.h"
#include "workshop.h"

namespace fs = std::filesystem;
using namespace hawser::mutants;

namespace {

// A hanging mutant costs this; the tests of a rule take a second.
constexpr unsigned k_timeout_s = 20;

struct Options {
    fs::path tree = ".";
    fs::path bench = "build/cmake/mutants/bench";
    std::vector<unsigned> rules;
    unsigned jobs = std::max(1u, std::thread::hardware_concurrency());
    bool list_only = false;
};

MutationList read_lists(const fs::path& tree) {
    MutationList list;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(tree / "tests/mutants"))
        if (entry.path().extension() == ".list") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files)
        parse_list(file.lexically_relative(tree).string(), read_text(file), list);
    return list;
}

// What is wrong with the lists themselves; how many findings.
size_t check_lists(const Options& options, const MutationList& list) {
    size_t findings = list.defects.size();
    for (const std::string& defect : list.defects) fmt::print("{}\n", defect);
    std::set<unsigned> broken;
    for (const Mutation& mutation : list.mutations) {
        broken.insert(mutation.rule);
        const size_t found = mutate(mutation, read_text(options.tree / mutation.file)).found;
        if (found == 1) continue;
        findings++;
        fmt::print("{}: rule {}: {}: the old text stands there {} times, not once: {}\n",
                   mutation.place, mutation.rule, mutation.file, found, mutation.why);
    }
    const auto table = hawser::rfc_coverage::parse_rules(read_text(options.tree / "docs/rules.md"));
    for (const auto& rule : table.rules) {
        if (broken.erase(rule.number) != 0) continue;
        findings++;
        fmt::print("rule {}: NO MUTANT: {}\n", rule.number, rule.words);
    }
    for (const unsigned rule : broken) {
        findings++;
        fmt::print("rule {}: no such rule in docs/rules.md\n", rule);
    }
    return findings;
}

using TestsByRule = std::map<unsigned, Tests>;

TestsByRule find_tests(const fs::path& tree) {
    using namespace hawser::rfc_coverage;
    TestsByRule tests;
    const auto each = [](const fs::path& folder, const std::string& ending, const auto& take) {
        if (!fs::is_directory(folder)) return;
        for (const auto& entry : fs::directory_iterator(folder))
            if (entry.path().string().ends_with(ending)) take(entry.path());
    };
    each(tree / "tests/unit", "_test.cpp", [&](const fs::path& file) {
        for (const Evidence& test : scan_unit_test(file.string(), read_text(file)))
            for (const unsigned rule : test.rules) tests[rule].unit = true;
    });
    each(tree / "tests/target/cases", ".case", [&](const fs::path& file) {
        for (const Evidence& test : scan_case(file.string(), read_text(file)))
            for (const unsigned rule : test.rules) tests[rule].cases.push_back(file.string());
    });
    return tests;
}

// First of all: what is not broken passes, and in time.
bool base_passes(const Bench& bench, const std::set<unsigned>& rules, TestsByRule& tests,
                 const fs::path& folder) {
    bool good = true;
    double longest = 0;
    const auto check = [&](unsigned rule, const char* what, const Run& run) {
        longest = std::max(longest, run.seconds);
        if (run.passed) return;
        good = false;
        fmt::print("rule {}: the {} of the unmutated code {}\n", rule, what,
                   run.timed_out ? "hang" : "fail");
    };
    for (const unsigned rule : rules) {
        const Tests& of = tests[rule];
        if (!of.unit && of.cases.empty()) {
            good = false;
            fmt::print("rule {}: has no test\n", rule);
        }
        if (of.unit)
            check(rule, "unit tests", run_unit(bench.unit, rule, k_timeout_s, folder / "base.log"));
        if (!of.cases.empty())
            check(rule, "cases",
                  run_cases(bench.cases, of.cases, k_timeout_s, folder / "base.log"));
    }
    if (good)
        fmt::print("the unmutated code passes: {} rules, the longest in {:.1f} s\n", rules.size(),
                   longest);
    return good;
}

class Runner {
public:
    Runner(const Options& options, const Bench& bench, const std::vector<Mutation>& mutations,
           const TestsByRule& tests, fs::path folder)
        : options_(options),
          bench_(bench),
          mutations_(mutations),
          tests_(tests),
          folder_(std::move(folder)) {}

    // How many mutants were killed.
    size_t run() {
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < options_.jobs; i++)
            threads.emplace_back([this] {
                for (size_t at = next_++; at < mutations_.size(); at = next_++) try_one(at);
            });
        for (std::thread& thread : threads) thread.join();
        return killed_;
    }

private:
    struct Verdict {
        std::string word;
        std::string defect;
    };

    static Verdict verdict_of(const Run& run, const char* by) {
        if (run.passed) return {"SURVIVED", {}};
        return {std::string(run.timed_out ? "hung, " : "killed, ") + by, {}};
    }

    // Unit tests first; cases where those do not notice.
    Verdict judge(const Mutation& mutation, const fs::path& folder) const {
        const Applied applied = mutate(mutation, read_text(options_.tree / mutation.file));
        if (!applied.text) return {"DOES NOT APPLY", {}};
        const Tests& tests = tests_.at(mutation.rule);
        Mutant mutant(bench_, folder);
        std::string defect = mutant.compile(mutation, *applied.text, options_.tree);
        if (!defect.empty()) return {"DOES NOT BUILD", defect};
        Verdict verdict{"SURVIVED", {}};
        if (tests.unit) {
            defect = mutant.link_unit();
            if (!defect.empty()) return {"DOES NOT BUILD", defect};
            verdict = verdict_of(
                run_unit(mutant.program("unit"), mutation.rule, k_timeout_s, folder / "unit.log"),
                "unit");
        }
        if (verdict.word != "SURVIVED" || tests.cases.empty()) return verdict;
        defect = mutant.link_cases();
        if (!defect.empty()) return {"DOES NOT BUILD", defect};
        return verdict_of(
            run_cases(mutant.program("cases"), tests.cases, k_timeout_s, folder / "cases.log"),
            "cases");
    }

    void try_one(size_t at) {
        const Mutation& mutation = mutations_[at];
        const fs::path folder = folder_ / std::to_string(at);
        fs::remove_all(folder);
        fs::create_directories(folder);
        const Verdict verdict = judge(mutation, folder);
        const bool killed = verdict.word.starts_with("killed") || verdict.word.starts_with("hung");
        if (killed) {
            killed_++;
            fs::remove_all(folder);
        }
        const std::lock_guard lock(print_);
        fmt::print("rule {:>2}  {:<14} {}: {}\n", mutation.rule, verdict.word,
                   fs::path(mutation.file).filename().string(), mutation.why);
        if (!killed)
            fmt::print("{}: see {}; {}\n", mutation.place, folder.string(), verdict.defect);
        std::fflush(stdout);
    }

    const Options& options_;
    const Bench& bench_;
    const std::vector<Mutation>& mutations_;
    const TestsByRule& tests_;
    fs::path folder_;
    std::atomic<size_t> next_{0};
    std::atomic<size_t> killed_{0};
    std::mutex print_;
};

int run(const Options& options) {
    MutationList list = read_lists(options.tree);
    const size_t findings = check_lists(options, list);
    if (options.list_only) {
        fmt::print("mutants: {} entries, {} findings\n", list.mutations.size(), findings);
        return findings == 0 ? 0 : 1;
    }
    std::vector<Mutation> wanted;
    std::set<unsigned> rules;
    for (const Mutation& mutation : list.mutations) {
        const bool chosen = std::find(options.rules.begin(), options.rules.end(), mutation.rule) !=
                            options.rules.end();
        if (!options.rules.empty() && !chosen) continue;
        wanted.push_back(mutation);
        rules.insert(mutation.rule);
    }
    const Bench bench = read_bench(options.bench);
    const fs::path folder = fs::absolute(options.bench).parent_path();
    TestsByRule tests = find_tests(options.tree);
    if (!base_passes(bench, rules, tests, folder)) return 1;
    const size_t killed = Runner(options, bench, wanted, tests, folder).run();
    fmt::print("mutants: {} of {} killed, {} rules\n", killed, wanted.size(), rules.size());
    const bool lists_good = findings == 0 || !options.rules.empty();
    return killed == wanted.size() && !wanted.empty() && lists_good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Breaks each rule of docs/rules.md on purpose: its tests must notice."};
    Options options;
    app.add_option("--tree", options.tree, "the source tree")->capture_default_str();
    app.add_option("--bench", options.bench, "what the build wrote")->capture_default_str();
    app.add_option("--rule", options.rules, "only the mutants of these rules");
    app.add_option("--jobs", options.jobs, "how many at a time")->capture_default_str();
    app.add_flag("--list-only", options.list_only, "only see whether the lists fit the code");
    CLI11_PARSE(app, argc, argv);
    try {
        options.tree = fs::canonical(options.tree);
        return run(options);
    } catch (const std::exception& error) {
        fmt::print(stderr, "hawser-mutants: {}\n", error.what());
        return 2;
    }
}
