// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rules that look at a file as lines of text.

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "rules.h"
#include "source.h"

namespace hawser::tidy {

namespace {

constexpr std::string_view k_licence = "SPDX-License-Identifier: GPL-2.0-or-later";

bool is_any_of(std::string_view what, std::initializer_list<std::string_view> these) {
    return std::find(these.begin(), these.end(), what) != these.end();
}

// Columns as an editor shows them: a tab goes to the next multiple of 8, a UTF-8 sequence is one.
size_t columns_of(std::string_view line) {
    size_t columns = 0;
    for (const char c : line) {
        if (c == '\t') {
            columns += 8 - columns % 8;
        } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {
            ++columns;
        }
    }
    return columns;
}

std::string_view strip_comment_mark(std::string_view line) {
    while (!line.empty() && std::string_view("/*# \t<!-").find(line[0]) != line.npos) {
        line.remove_prefix(1);
    }
    return line;
}

bool is_comment(std::string_view line, Language language) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (language == Language::Cpp) return line.starts_with("/") || line.starts_with("*");
    return line.starts_with("#") && !line.starts_with("#!");
}

// The licence stands in the first line, below "#!" where there is one; then a comment says what the
// file is.
void check_header(std::string_view path, const std::vector<std::string_view>& lines,
                  Language language, Findings& findings) {
    size_t at = !lines.empty() && lines[0].starts_with("#!") ? 1 : 0;
    if (at >= lines.size() || lines[at].find(k_licence) == std::string_view::npos) {
        findings.push_back(
            {std::string(path), at + 1,
             "no licence line: begin with a comment '" + std::string(k_licence) + "'"});
        return;
    }
    const size_t last = std::min(lines.size(), at + 4);
    for (++at; at < last; ++at) {
        if (is_comment(lines[at], language) && strip_comment_mark(lines[at]).size() > 3) return;
    }
    findings.push_back(
        {std::string(path), 2, "no header comment: say below the licence line what this file is"});
}

}  // namespace

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

Language language_of(std::string_view path, std::string_view text) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    const size_t dot = name.rfind('.');
    const std::string_view extension = dot == name.npos ? "" : name.substr(dot);
    if (name == "LICENSE") return Language::Unknown;
    if (is_any_of(extension, {".c", ".cpp", ".h", ".hpp"})) return Language::Cpp;
    if (is_any_of(extension, {".md"})) return Language::Prose;
    if (extension == ".sh" || text.starts_with("#!/bin/sh") || text.starts_with("#!/bin/bash")) {
        return Language::Shell;
    }
    if (is_any_of(name, {"Makefile", "Kbuild", "CMakeLists.txt"}) || text.starts_with("#!") ||
        is_any_of(extension, {".cmake", ".ipxe", ".service", ".conf", ".rules", ".mount"})) {
        return Language::Script;
    }
    return Language::Unknown;
}

void check_text(std::string_view path, std::string_view text, Findings& findings) {
    const Language language = language_of(path, text);
    if (language == Language::Unknown) return;

    const std::vector<std::string_view> lines = lines_of(text);
    if (!text.empty() && text.back() != '\n') {
        findings.push_back({std::string(path), lines.size(), "no newline at the end of the file"});
    }
    for (size_t i = 0; i < lines.size(); ++i) {
        if (!lines[i].empty() && std::isspace(static_cast<unsigned char>(lines[i].back())) != 0) {
            findings.push_back({std::string(path), i + 1, "white space at the end of the line"});
        }
        // iPXE cannot continue a line, so its commands are as long as they must be.
        const bool as_long_as_needed = language == Language::Prose ||
                                       (path.ends_with(".ipxe") && !is_comment(lines[i], language));
        const size_t columns = columns_of(lines[i]);
        if (!as_long_as_needed && columns > k_max_columns) {
            findings.push_back({std::string(path), i + 1,
                                std::to_string(columns) + " columns wide: at most " +
                                    std::to_string(k_max_columns)});
        }
    }
    if (language == Language::Prose) return;
    if (lines.size() > k_max_file_lines) {
        findings.push_back({std::string(path), lines.size(),
                            std::to_string(lines.size()) + " lines long: at most " +
                                std::to_string(k_max_file_lines) + "; split it by noun"});
    }
    check_header(path, lines, language, findings);
}

Findings check_file(std::string_view path, std::string_view text) {
    Findings findings;
    check_text(path, text, findings);
    if (language_of(path, text) == Language::Cpp) {
        const std::string code = code_only(text);
        check_functions(path, code, findings);
        check_names(path, code, findings);
        check_includes(path, text, findings);
    }
    return findings;
}

}  // namespace hawser::tidy
