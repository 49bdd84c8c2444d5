// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-tidy [--all] [FOLDER]: style as a test. Prints `file:line: what` for each finding, and
// exits 1 when there is one. What cannot be checked here is said as skipped; with --all that fails
// too.

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "rules.h"

namespace fs = std::filesystem;
using namespace hawser::tidy;

namespace {

struct Output {
    int status;
    std::string text;
};

// Paths are ours (git's list), yet may hold a space or a quote.
std::string quoted(const std::string& word) {
    std::string out = "'";
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

Output run(const std::string& command) {
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return {-1, "cannot run " + command};
    std::string text;
    char buffer[4096];
    for (size_t got = 0; (got = fread(buffer, 1, sizeof buffer, pipe)) > 0;)
        text.append(buffer, got);
    const int status = pclose(pipe);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, std::move(text)};
}

std::string read_text(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// What git knows or would add; without git, all but build/ and dot folders.
std::vector<std::string> files_of_tree() {
    std::vector<std::string> files;
    const Output listed = run("git ls-files --cached --others --exclude-standard");
    if (listed.status == 0) {
        for (const std::string_view line : lines_of(listed.text)) files.emplace_back(line);
    } else {
        for (auto at = fs::recursive_directory_iterator("."); at != end(at); ++at) {
            const std::string name = at->path().filename();
            if (at->is_directory() && (name == "build" || name == ".git"))
                at.disable_recursion_pending();
            if (at->is_regular_file()) files.push_back(at->path().lexically_normal());
        }
    }
    std::sort(files.begin(), files.end());
    return files;
}

class Report {
public:
    void add(const Findings& findings) {
        for (const Finding& finding : findings) {
            std::printf("%s:%zu: %s\n", finding.file.c_str(), finding.line, finding.what.c_str());
        }
        found_ += findings.size();
    }
    void skip(const std::string& what) {
        std::printf("skipped: %s\n", what.c_str());
        ++skipped_;
    }
    int finish(size_t files, bool all) const {
        std::printf("tidy: %zu files, %zu findings, %zu checks skipped\n", files, found_, skipped_);
        return found_ > 0 || (all && skipped_ > 0) ? 1 : 0;
    }

private:
    size_t found_ = 0;
    size_t skipped_ = 0;
};

Findings as_findings(const std::string& path, const Output& output) {
    Findings findings;
    if (output.status == 0) return findings;
    for (const std::string_view line : lines_of(output.text)) {
        findings.push_back({path, 0, std::string(line)});
    }
    return findings;
}

void check_shell(const std::string& path, const std::string& text, bool shellcheck,
                 Report& report) {
    const char* shell = text.starts_with("#!/bin/bash") ? "bash" : "sh";
    report.add(as_findings(path, run(std::string(shell) + " -n " + quoted(path))));
    if (!shellcheck) return;
    // Hooks are sourced: their variables come from, and go to, dracut; its shells know `local`.
    const std::string options = std::string("--severity=warning --format=gcc --shell=") + shell +
                                " --exclude=SC2034,SC2154,SC3043 ";
    report.add(as_findings(path, run("shellcheck " + options + quoted(path))));
}

void check_engine_object(Report& report) {
    const fs::path object = "build/module/kernel/engine.o";
    if (!fs::exists(object)) {
        report.skip(object.string() + " is not built: its symbols; run 'make module'");
        return;
    }
    const Output nm = run("nm " + object.string());
    const Output sections = run("readelf -SW " + object.string());
    report.add(as_findings(object, nm));
    report.add(as_findings(object, sections));
    report.add(check_symbols(object.string(), nm.text, sections.text));
    const Output size = run("size " + object.string());
    report.add(check_text_size(object.string(), size.text, k_max_engine_text_bytes));
}

}  // namespace

int main(int argc, char** argv) {
    bool all = false;
    fs::path folder = ".";
    for (int i = 1; i < argc; ++i) {
        if (std::string_view(argv[i]) == "--all") {
            all = true;
        } else {
            folder = argv[i];
        }
    }
    std::error_code error;
    fs::current_path(folder, error);
    if (error) {
        std::fprintf(stderr, "hawser-tidy: %s: %s: name a folder of sources\n", folder.c_str(),
                     error.message().c_str());
        return 2;
    }

    Report report;
    const bool shellcheck = run("command -v shellcheck").status == 0;
    if (!shellcheck) report.skip("shellcheck is not installed: shell scripts; run 'make deps'");
    size_t checked = 0;
    for (const std::string& path : files_of_tree()) {
        if (!fs::is_regular_file(path)) continue;
        const std::string text = read_text(path);
        report.add(check_file(path, text));
        if (language_of(path, text) == Language::Shell) check_shell(path, text, shellcheck, report);
        ++checked;
    }
    check_engine_object(report);
    return report.finish(checked, all);
}
