// SPDX-License-Identifier: GPL-2.0-or-later
//
// Compiling, linking and running of mutants. Paths are the build's own; they are quoted for the
// shell all the same.

#include "workshop.h"

#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

namespace fs = std::filesystem;

namespace hawser::mutants {

namespace {

std::string shell_word(const fs::path& path) {
    std::string out = "'";
    for (const char c : path.string()) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

int shell(const std::string& command) {
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

void write_text(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
}

// Whether `file` includes `header` ("engine/x.hpp"), itself or by another.
bool includes(const fs::path& root, const fs::path& file, const std::string& header,
              std::set<std::string>& seen) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        if (!line.starts_with("#include \"")) continue;
        const std::string name = line.substr(10, line.find('"', 10) - 10);
        if (name == header) return true;
        if (seen.insert(name).second && fs::exists(root / name) &&
            includes(root, root / name, header, seen))
            return true;
    }
    return false;
}

// The last lines of a log: why a compiler stopped.
std::string tail_of(const fs::path& log) {
    const std::string text = read_text(log);
    const size_t error = text.find("error:");
    const size_t begin = error == text.npos ? 0 : text.rfind('\n', error) + 1;
    return text.substr(begin, 400);
}

Run run(const std::string& command, unsigned timeout_s, const fs::path& log) {
    const auto begin = std::chrono::steady_clock::now();
    const int status = shell("timeout --kill-after=1s " + std::to_string(timeout_s) + "s " +
                             command + " >" + shell_word(log) + " 2>&1");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    return {status == 0, status == 124 || status == 137, took.count()};
}

}  // namespace

std::string read_text(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

Bench read_bench(const fs::path& file) {
    Bench bench;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        const size_t blank = line.find(' ');
        if (blank == line.npos) continue;
        const std::string word = line.substr(0, blank);
        const std::string value = line.substr(blank + 1);
        if (word == "compiler") bench.compiler = value;
        if (word == "flag") bench.flags.push_back(value);
        if (word == "engine-flag") bench.engine_flags.push_back(value);
        if (word == "user-flag") bench.user_flags.push_back(value);
        if (word == "include") bench.include = value;
        if (word == "unit") bench.unit = value;
        if (word == "cases") bench.cases = value;
        if (word == "source") bench.sources.emplace_back(value);
        if (word == "object") bench.objects.emplace_back(value);
        if (word == "unit-object") bench.unit_objects.emplace_back(value);
        if (word == "case-object") bench.case_objects.emplace_back(value);
        if (word == "library") bench.libraries.emplace_back(value);
    }
    return bench;
}

Run run_unit(const fs::path& program, unsigned rule, unsigned timeout_s, const fs::path& log) {
    return run(shell_word(program) + " '[rule-" + std::to_string(rule) + "]' --warn NoTests",
               timeout_s, log);
}

Run run_cases(const fs::path& program, const std::vector<std::string>& cases, unsigned timeout_s,
              const fs::path& log) {
    std::string command = shell_word(program);
    for (const std::string& file : cases) command += " " + shell_word(file);
    return run(command, timeout_s, log);
}

std::string Mutant::compile(const Mutation& mutation, const std::string& text,
                            const fs::path& tree) {
    const fs::path changed = fs::weakly_canonical(tree / mutation.file);
    const fs::path inside = changed.lexically_relative(bench_.include);
    // The mutated file shadows the real one: its folder is searched first.
    const fs::path shadow = folder_ / "initiator";
    write_text(shadow / inside, text);

    struct Job {
        fs::path source;
        fs::path object;
        const std::vector<std::string>* flags;
    };
    std::vector<Job> jobs;
    for (size_t i = 0; i < bench_.sources.size(); i++) {
        std::set<std::string> seen;
        const bool same = bench_.sources[i] == changed;
        if (!same && !includes(bench_.include, bench_.sources[i], inside.string(), seen)) continue;
        objects_[i] = folder_ / (std::to_string(i) + ".o");
        jobs.push_back(
            {same ? shadow / inside : bench_.sources[i], objects_[i], &bench_.engine_flags});
    }
    if (inside.string().starts_with("user/") && inside.extension() == ".cpp") {
        more_.push_back(folder_ / "user.o");
        jobs.push_back({shadow / inside, more_.back(), &bench_.user_flags});
    }
    if (jobs.empty()) return "no source of the engine is or includes " + mutation.file;

    const fs::path log = folder_ / "build.log";
    for (const Job& job : jobs) {
        std::string command = bench_.compiler;
        for (const std::string& flag : bench_.flags) command += " " + shell_word(flag);
        for (const std::string& flag : *job.flags) command += " " + shell_word(flag);
        command += " -I" + shell_word(shadow) + " -I" + shell_word(bench_.include) + " -c " +
                   shell_word(job.source) + " -o " + shell_word(job.object) + " >" +
                   shell_word(log) + " 2>&1";
        if (shell(command) != 0) return "does not compile: " + tail_of(log);
    }
    return {};
}

std::string Mutant::link(const std::string& name, const std::vector<fs::path>& objects) {
    const fs::path log = folder_ / "link.log";
    std::string command = bench_.compiler + " -o " + shell_word(folder_ / name);
    // The engine first: of an inline function the linker keeps the one that it sees first.
    const std::vector<fs::path>* const lists[] = {&objects_, &objects, &more_, &bench_.libraries};
    for (const auto* list : lists)
        for (const fs::path& path : *list) command += " " + shell_word(path);
    if (shell(command + " >" + shell_word(log) + " 2>&1") != 0)
        return "does not link: " + tail_of(log);
    return {};
}

}  // namespace hawser::mutants
