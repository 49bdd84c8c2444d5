// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads which rules a test says it holds, out of its source. Tidy's scanner blanks comments and
// literals, so that a TEST_CASE in a comment or a string is none.

#include <algorithm>
#include <cctype>
#include <optional>

#include "rfc_rules.h"
#include "source.h"

namespace hawser::rfc_coverage {

namespace {

std::string base_name(std::string_view file) {
    file = file.substr(file.rfind('/') + 1);
    return std::string(file.substr(0, file.rfind('.')));
}

size_t line_of(std::string_view text, size_t at) {
    return 1 + static_cast<size_t>(
                   std::count(text.begin(), text.begin() + static_cast<long>(at), '\n'));
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const size_t first = text.find_first_not_of(" \t,;:\r");
        if (first == text.npos) break;
        text.remove_prefix(first);
        const size_t end = std::min(text.find_first_of(" \t,;:\r"), text.size());
        words.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
    return words;
}

std::optional<unsigned> number_of(std::string_view word) {
    if (word.empty() || word.size() > 4) return {};
    unsigned number = 0;
    for (const char c : word) {
        if (c < '0' || c > '9') return {};
        number = number * 10 + static_cast<unsigned>(c - '0');
    }
    return number;
}

// The numbers that follow, up to the first word that is none.
std::vector<unsigned> leading_numbers(const std::vector<std::string_view>& words, size_t from) {
    std::vector<unsigned> numbers;
    for (size_t i = from; i < words.size(); i++) {
        const auto number = number_of(words[i]);
        if (!number) break;
        numbers.push_back(*number);
    }
    return numbers;
}

// Whether the line at `at` stands in an `#if 0`.
bool is_disabled(std::string_view text, size_t at) {
    std::vector<bool> off;
    size_t begin = 0;
    while (begin < at) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        std::string_view line = text.substr(begin, end - begin);
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        if (line.starts_with("#if")) off.push_back(line.starts_with("#if 0"));
        if (!off.empty() && line.starts_with("#el")) off.back() = false;
        if (!off.empty() && line.starts_with("#endif")) off.pop_back();
        begin = end + 1;
    }
    return std::find(off.begin(), off.end(), true) != off.end();
}

// The literals "a" "b" from `at` on, joined: one argument. Moves at behind them.
std::string read_literals(std::string_view text, size_t& at) {
    std::string value;
    for (;;) {
        at = std::min(text.find_first_not_of(" \t\n", at), text.size());
        if (at >= text.size() || text[at] != '"') return value;
        for (at++; at < text.size() && text[at] != '"'; at++) {
            if (text[at] == '\\' && at + 1 < text.size()) at++;
            value += text[at];
        }
        at++;
    }
}

struct Tags {
    bool runs = true;
    std::vector<unsigned> rules;
};

Tags parse_tags(std::string_view tags) {
    Tags result;
    while (!tags.empty()) {
        const size_t open = tags.find('[');
        const size_t close = tags.find(']', std::min(open, tags.size()));
        if (close == tags.npos) break;
        const std::string_view tag = tags.substr(open + 1, close - open - 1);
        tags.remove_prefix(close + 1);
        if (tag.starts_with('.') || tag == "!hide" || tag == "!mayfail" || tag == "!shouldfail")
            result.runs = false;
        if (!tag.starts_with("rule-")) continue;
        // What is no number is told as rule 0, which there is not.
        result.rules.push_back(number_of(tag.substr(5)).value_or(0));
    }
    return result;
}

}  // namespace

std::vector<Evidence> scan_unit_test(std::string_view file, std::string_view text) {
    constexpr std::string_view k_macro = "TEST_CASE";
    std::vector<Evidence> found;
    const std::string code = tidy::code_only(text);
    for (size_t at = code.find(k_macro); at != code.npos; at = code.find(k_macro, at + 1)) {
        size_t next = code.find_first_not_of(" \t", at + k_macro.size());
        if (next == code.npos || code[next] != '(' || is_disabled(text, at)) continue;
        next++;
        Evidence test{"unit", read_literals(text, next), std::string(file), line_of(text, at), {}};
        if (next >= text.size() || text[next] != ',') continue;
        next++;
        const Tags tags = parse_tags(read_literals(text, next));
        test.rules = tags.rules;
        if (tags.runs && !test.rules.empty()) found.push_back(std::move(test));
    }
    return found;
}

std::vector<Evidence> scan_case(std::string_view file, std::string_view text) {
    Evidence test{"case", base_name(file), std::string(file), 1, {}};
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        const auto words = words_of(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (words.empty()) continue;
        if (words[0] == "skip") return {};
        if (words[0] != "rule") continue;
        const auto numbers = leading_numbers(words, 1);
        test.rules.insert(test.rules.end(), numbers.begin(), numbers.end());
    }
    if (test.rules.empty()) return {};
    return {test};
}

std::vector<Evidence> scan_simulator(std::string_view file, std::string_view text) {
    std::vector<Evidence> found;
    for (size_t line = 1; !text.empty(); line++) {
        const size_t end = std::min(text.find('\n'), text.size());
        const std::string_view whole = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const size_t comment = whole.find("// rule ");
        if (comment == whole.npos) continue;
        auto numbers = leading_numbers(words_of(whole.substr(comment + 3)), 1);
        if (numbers.empty()) continue;
        found.push_back({"sim", base_name(file) + ":" + std::to_string(line), std::string(file),
                         line, std::move(numbers)});
    }
    return found;
}

}  // namespace hawser::rfc_coverage
