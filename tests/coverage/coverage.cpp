// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-coverage TREE FOLDER: reads gcov's records of the counted engine in FOLDER and prints how
// much of wire, engine and abi/engine.cpp was reached, by file, and what was not. A line or branch
// of a header counts once, however many copies of it there are. Exits 1 below 95 % of lines or 90 %
// of branches.

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

constexpr double k_lines_percent = 95;
constexpr double k_branches_percent = 90;

struct Line {
    uint64_t count = 0;
    std::vector<uint64_t> branches;
};
using File = std::map<unsigned, Line>;

struct Sum {
    size_t lines = 0;
    size_t lines_reached = 0;
    size_t branches = 0;
    size_t branches_taken = 0;
};

double percent(size_t part, size_t whole) {
    return whole == 0 ? 100.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

bool counts(const std::string& file) {
    return file.starts_with("initiator/wire/") || file.starts_with("initiator/engine/") ||
           file == "initiator/abi/engine.cpp";
}

std::string output_of(const std::string& command) {
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) throw std::runtime_error("cannot run " + command);
    std::string text;
    char buffer[65536];
    for (size_t got = 0; (got = fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
        text.append(buffer, got);
    if (pclose(pipe) != 0) throw std::runtime_error(command + " failed");
    return text;
}

void add(std::map<std::string, File>& files, const nlohmann::json& record, const fs::path& tree,
         const fs::path& folder) {
    const fs::path path = fs::weakly_canonical(folder / record["file"].get<std::string>());
    const std::string name = path.lexically_relative(tree).string();
    if (!counts(name)) return;
    File& file = files[name];
    for (const auto& entry : record["lines"]) {
        Line& line = file[entry["line_number"].get<unsigned>()];
        line.count += entry["count"].get<uint64_t>();
        const auto& branches = entry["branches"];
        if (line.branches.size() < branches.size()) line.branches.resize(branches.size());
        for (size_t i = 0; i < branches.size(); i++)
            line.branches[i] += branches[i]["count"].get<uint64_t>();
    }
}

// "12, 15-18"
std::string ranges(const std::vector<unsigned>& lines) {
    std::string text;
    for (size_t i = 0; i < lines.size(); i++) {
        const unsigned first = lines[i];
        while (i + 1 < lines.size() && lines[i + 1] == lines[i] + 1) i++;
        text += (text.empty() ? "" : ", ") + std::to_string(first);
        if (lines[i] != first) text += "-" + std::to_string(lines[i]);
    }
    return text;
}

// A row of the table; what was not reached goes to `missing`.
Sum report(const std::string& name, const File& file, std::string& missing) {
    Sum sum;
    std::vector<unsigned> lines;
    std::vector<unsigned> branches;
    for (const auto& [number, line] : file) {
        sum.lines++;
        sum.lines_reached += line.count != 0;
        if (line.count == 0) lines.push_back(number);
        size_t taken = 0;
        for (const uint64_t count : line.branches) taken += count != 0;
        sum.branches += line.branches.size();
        sum.branches_taken += taken;
        if (line.count != 0 && taken < line.branches.size()) branches.push_back(number);
    }
    fmt::print("{:<44} {:>6} {:>6.1f} % {:>7} {:>6.1f} %\n", name, sum.lines,
               percent(sum.lines_reached, sum.lines), sum.branches,
               percent(sum.branches_taken, sum.branches));
    if (!lines.empty()) missing += fmt::format("{}: lines {}\n", name, ranges(lines));
    if (!branches.empty()) missing += fmt::format("{}: branches in {}\n", name, ranges(branches));
    return sum;
}

int run(const fs::path& tree, const fs::path& folder) {
    std::map<std::string, File> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.path().extension() != ".gcda") continue;
        const std::string text = output_of("gcov --branch-probabilities --json-format --stdout '" +
                                           entry.path().string() + "' 2>/dev/null");
        const auto document = nlohmann::json::parse(text);
        for (const auto& record : document["files"])
            add(files, record, tree, document["current_working_directory"].get<std::string>());
    }
    if (files.empty()) throw std::runtime_error(folder.string() + ": no counters there");
    fmt::print("{:<44} {:>6} {:>8} {:>7} {:>8}\n", "file", "lines", "", "branches", "");
    Sum all;
    std::string missing;
    for (const auto& [name, file] : files) {
        const Sum sum = report(name, file, missing);
        all.lines += sum.lines;
        all.lines_reached += sum.lines_reached;
        all.branches += sum.branches;
        all.branches_taken += sum.branches_taken;
    }
    const double lines = percent(all.lines_reached, all.lines);
    const double branches = percent(all.branches_taken, all.branches);
    fmt::print("\nnot reached:\n{}", missing);
    fmt::print("coverage: {:.1f} % of {} lines (at least {}), {:.1f} % of {} branches ({})\n",
               lines, all.lines, k_lines_percent, branches, all.branches, k_branches_percent);
    return lines >= k_lines_percent && branches >= k_branches_percent ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        fmt::print(stderr, "usage: hawser-coverage TREE FOLDER\n");
        return 2;
    }
    try {
        return run(fs::canonical(argv[1]), fs::canonical(argv[2]));
    } catch (const std::exception& error) {
        fmt::print(stderr, "hawser-coverage: {}\n", error.what());
        return 2;
    }
}
