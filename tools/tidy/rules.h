// SPDX-License-Identifier: GPL-2.0-or-later
//
// The rules of `make tidy`. Each takes a file's path inside the tree and its text, and says what it
// finds; none reads a file or runs a program, so that tests can feed them snippets.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::tidy {

struct Finding {
    std::string file;
    size_t line;
    std::string what;
};

using Findings = std::vector<Finding>;

inline constexpr size_t k_max_file_lines = 499;
inline constexpr size_t k_max_function_lines = 69;
inline constexpr size_t k_max_columns = 100;
// What the engine adds to ring 0. It is to stay small; sudden growth is a template gone wild.
inline constexpr size_t k_max_engine_text_bytes = 160 * 1024;

// What a path is written in, as far as the rules care.
enum class Language { Cpp, Shell, Script, Prose, Unknown };
Language language_of(std::string_view path, std::string_view text);

// The text, cut at each newline; a last line without one counts too.
std::vector<std::string_view> lines_of(std::string_view text);

// Every rule that concerns a single file.
Findings check_file(std::string_view path, std::string_view text);

// Its parts. Text: lengths, widths, white space, the licence line, the header comment.
void check_text(std::string_view path, std::string_view text, Findings& findings);
// C and C++: the length of functions, names that the project does not use, the direction of
// includes.
void check_functions(std::string_view path, std::string_view code, Findings& findings);
void check_names(std::string_view path, std::string_view code, Findings& findings);
void check_includes(std::string_view path, std::string_view text, Findings& findings);

// The module's engine object, from what `nm` and `readelf -SW` print of it.
Findings check_symbols(std::string_view path, std::string_view nm, std::string_view sections);
// The size of its code, from what `size` prints of it.
Findings check_text_size(std::string_view path, std::string_view size, size_t limit);

}  // namespace hawser::tidy
