// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-cases: runs cases of the scripted target, each in virtual time in this process.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "case.h"

using namespace hawser::target;

namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_of(const std::vector<std::string>& given) {
    std::vector<std::string> files;
    for (const std::string& path : given) {
        if (!fs::is_directory(path)) {
            files.push_back(path);
            continue;
        }
        for (const auto& entry : fs::recursive_directory_iterator(path))
            if (entry.path().extension() == ".case") files.push_back(entry.path().string());
    }
    std::sort(files.begin(), files.end());
    return files;
}

void print_row(const Case& one) {
    std::string rules;
    for (uint32_t rule : one.rules) rules += fmt::format("{}{}", rules.empty() ? "" : " ", rule);
    const std::string unh = one.unh_number.empty() ? "-" : one.unh_suite + " " + one.unh_number;
    fmt::print("{:<14} {:<58} {:<20} {}\n", unh, one.name, rules,
               fs::path(one.file).filename().string());
}

// "10.2" after "9.1": by their numbers.
bool comes_before(const Case& a, const Case& b) {
    const auto key = [](const Case& one) {
        std::string text = one.unh_number.empty() ? "~" : one.unh_suite + " ";
        std::string number;
        for (char c : one.unh_number + ".") {
            if (c != '.') {
                number += c;
                continue;
            }
            text += std::string(4 - std::min<size_t>(4, number.size()), '0') + number;
            number.clear();
        }
        return text + one.name;
    };
    return key(a) < key(b);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Runs cases of the scripted target against the engine, in virtual time."};
    std::vector<std::string> paths;
    bool list = false;
    bool verbose = false;
    app.add_option("path", paths, "a .case file, or a directory of them")->required();
    app.add_flag("--list", list, "print UNH number, name, rules and file of each, and run none");
    app.add_flag("--verbose,-v", verbose, "print every PDU");
    CLI11_PARSE(app, argc, argv);
    size_t failed = 0;
    std::vector<Case> cases;
    for (const std::string& file : files_of(paths)) {
        try {
            cases.push_back(read_case(file));
        } catch (const ScriptError& error) {
            fmt::print(stderr, "{}\n", error.what());
            failed++;
        }
    }
    std::sort(cases.begin(), cases.end(), comes_before);
    if (cases.empty()) fmt::print(stderr, "hawser-cases: no case found\n");
    for (const Case& one : cases) {
        if (list) {
            print_row(one);
            continue;
        }
        const Verdict verdict = run_case(one);
        if (verbose || !verdict.passed()) fmt::print("{}", verdict.log);
        fmt::print("{:<6} {}\n", verdict.passed() ? "passed" : "FAILED", one.name);
        for (const std::string& failure : verdict.failures) fmt::print("       {}\n", failure);
        failed += verdict.passed() ? 0 : 1;
    }
    if (!list && cases.size() > 1) fmt::print("{} cases, {} failed\n", cases.size(), failed);
    return failed != 0 || cases.empty() ? 1 : 0;
}
