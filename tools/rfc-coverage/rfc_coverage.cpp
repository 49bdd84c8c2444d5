// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-rfc-coverage [FOLDER]: which tests hold which rule of docs/rules.md. Prints a row for each
// rule and the total; exits 1 when a rule has no test.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "rfc_rules.h"

namespace fs = std::filesystem;
using namespace hawser::rfc_coverage;

namespace {

constexpr size_t k_columns = 150;

std::string read_text(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// Files of that ending in a folder, by name; none when there is no such folder.
std::vector<fs::path> files_of(const fs::path& folder, const std::string& ending) {
    std::vector<fs::path> files;
    if (!fs::is_directory(folder)) return files;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().string().ends_with(ending)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

using Scan = std::vector<Evidence> (*)(std::string_view, std::string_view);

void gather(std::vector<Evidence>& evidence, const std::string& folder, const std::string& ending,
            Scan scan) {
    for (const fs::path& file : files_of(folder, ending)) {
        auto found = scan(file.string(), read_text(file));
        evidence.insert(evidence.end(), found.begin(), found.end());
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2) {
        std::fprintf(stderr, "usage: hawser-rfc-coverage [FOLDER]\n");
        return 2;
    }
    const std::string folder = argc == 2 ? argv[1] : ".";
    std::error_code error;
    fs::current_path(folder, error);
    if (error) {
        std::fprintf(stderr, "hawser-rfc-coverage: %s: no such folder\n", folder.c_str());
        return 2;
    }
    const RuleTable table = parse_rules(read_text("docs/rules.md"));
    std::vector<Evidence> evidence;
    gather(evidence, "tests/unit", "_test.cpp", scan_unit_test);
    gather(evidence, "tests/target/cases", ".case", scan_case);
    gather(evidence, "tests/sim", ".cpp", scan_simulator);
    const Report report = report_of(table, evidence, k_columns);
    std::fputs(report.text.c_str(), stdout);
    return report.complete ? 0 : 1;
}
