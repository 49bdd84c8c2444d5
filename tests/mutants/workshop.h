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
    std::vector<std::string> engine_flags;
    std::vector<std::string> user_flags;
    std::filesystem::path include;  // initiator/
    std::filesystem::path unit;     // the unmutated programs
    std::filesystem::path cases;
    std::vector<std::filesystem::path> sources;  // of the engine
    std::vector<std::filesystem::path> objects;  // theirs, in the same order
    std::vector<std::filesystem::path> unit_objects;
    std::vector<std::filesystem::path> case_objects;
    std::vector<std::filesystem::path> libraries;
};
Bench read_bench(const std::filesystem::path& file);

// Where the tests of a rule are.
struct Tests {
    bool unit = false;
    std::vector<std::string> cases;  // files
};

struct Run {
    bool passed = false;
    bool timed_out = false;
    double seconds = 0;
};
Run run_unit(const std::filesystem::path& program, unsigned rule, unsigned timeout_s,
             const std::filesystem::path& log);
Run run_cases(const std::filesystem::path& program, const std::vector<std::string>& cases,
              unsigned timeout_s, const std::filesystem::path& log);

// One mutant in a folder of its own: compiled once, linked to what runs it. Each step returns why
// it failed, or nothing.
class Mutant {
public:
    Mutant(const Bench& bench, std::filesystem::path folder)
        : bench_(bench), folder_(std::move(folder)), objects_(bench.objects) {}

    std::string compile(const Mutation& mutation, const std::string& text,
                        const std::filesystem::path& tree);
    std::string link_unit() { return link("unit", bench_.unit_objects); }
    std::string link_cases() { return link("cases", bench_.case_objects); }
    std::filesystem::path program(const std::string& name) const { return folder_ / name; }

private:
    std::string link(const std::string& name, const std::vector<std::filesystem::path>& objects);

    const Bench& bench_;
    std::filesystem::path folder_;
    std::vector<std::filesystem::path> objects_;
    std::vector<std::filesystem::path> more_;  // before the libraries: the command's
};

std::string read_text(const std::filesystem::path& path);

}  // namespace hawser::mutants
