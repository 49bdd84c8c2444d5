// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where mutants are made: compiles what a mutation changes, links it with the objects that are
// ready, and runs the tests of a rule under a time limit.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mutation.h"

namespace hawser::mutants {

// What CMake wrote: see CMakeLists.txt.
struct Bench {
    std::string compiler;
    std::vector<std::string> flags;
    std::filesystem::path include;               // initiator/
    std::filesystem::path base;                  // the unmutated program
    std::vector<std::filesystem::path> sources;  // of the engine
    std::vector<std::filesystem::path> objects;  // theirs, in the same order
    std::vector<std::filesystem::path> tests;
    std::vector<std::filesystem::path> libraries;
};
Bench read_bench(const std::filesystem::path& file);

struct Run {
    bool passed = false;
    bool timed_out = false;
    double seconds = 0;
};
// The tests of that rule; no test at all is no pass.
Run run_rule(const std::filesystem::path& program, unsigned rule, unsigned timeout_s,
             const std::filesystem::path& log);

// Builds the program of one mutant in `folder`. Returns why that failed, or nothing.
std::string build_mutant(const Bench& bench, const Mutation& mutation, const std::string& text,
                         const std::filesystem::path& tree, const std::filesystem::path& folder);

std::string read_text(const std::filesystem::path& path);

}  // namespace hawser::mutants
