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

std::string quoted(const fs::path& path) {
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
        if (word == "include") bench.include = value;
        if (word == "base") bench.base = value;
        if (word == "source") bench.sources.emplace_back(value);
        if (word == "object") bench.objects.emplace_back(value);
        if (word == "link") bench.libraries.emplace_back(value);
        if (word == "test") bench.tests.emplace_back(value);
    }
    return bench;
}

Run run_rule(const fs::path& program, unsigned rule, unsigned timeout_s, const fs::path& log) {
    const auto begin = std::chrono::steady_clock::now();
    const int status =
        shell("timeout --kill-after=1s " + std::to_string(timeout_s) + "s " + quoted(program) +
              " '[rule-" + std::to_string(rule) + "]' --warn NoTests >" + quoted(log) + " 2>&1");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    return {status == 0, status == 124 || status == 137, took.count()};
}

std::string build_mutant(const Bench& bench, const Mutation& mutation, const std::string& text,
                         const fs::path& tree, const fs::path& folder) {
    const fs::path changed = fs::weakly_canonical(tree / mutation.file);
    const fs::path inside = changed.lexically_relative(bench.include);
    // The mutated file shadows the real one: its folder is searched first.
    const fs::path shadow = folder / "initiator";
    write_text(shadow / inside, text);

    std::vector<fs::path> objects = bench.objects;
    std::vector<std::pair<fs::path, fs::path>> jobs;  // source, object
    for (size_t i = 0; i < bench.sources.size(); i++) {
        std::set<std::string> seen;
        const bool same = bench.sources[i] == changed;
        if (!same && !includes(bench.include, bench.sources[i], inside.string(), seen)) continue;
        objects[i] = folder / (std::to_string(i) + ".o");
        jobs.emplace_back(same ? shadow / inside : bench.sources[i], objects[i]);
    }
    if (jobs.empty()) return "no source of the engine is or includes " + mutation.file;

    const fs::path log = folder / "build.log";
    std::string compile = bench.compiler;
    for (const std::string& flag : bench.flags) compile += " " + flag;
    compile += " -I" + quoted(shadow) + " -I" + quoted(bench.include) + " -c ";
    for (const auto& [source, object] : jobs)
        if (shell(compile + quoted(source) + " -o " + quoted(object) + " >" + quoted(log) +
                  " 2>&1") != 0)
            return "does not compile: " + tail_of(log);
    std::string link = bench.compiler + " -o " + quoted(folder / "program");
    // The engine first: of an inline function the linker keeps the one that it sees first.
    const std::vector<fs::path>* const lists[] = {&objects, &bench.tests, &bench.libraries};
    for (const auto* list : lists)
        for (const fs::path& path : *list) link += " " + quoted(path);
    if (shell(link + " >" + quoted(log) + " 2>&1") != 0) return "does not link: " + tail_of(log);
    return {};
}

}  // namespace hawser::mutants
