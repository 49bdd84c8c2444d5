// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads mutation lists and applies mutations to text.

#include "mutation.h"

#include <algorithm>

namespace hawser::mutants {

namespace {

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

// Takes "KEY VALUE" apart; nothing when the line does not begin with the key.
std::optional<std::string_view> value_of(std::string_view line, std::string_view key) {
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') return {};
    return trimmed(line.substr(key.size()));
}

void add_line(std::string& text, std::string_view line) {
    if (!text.empty()) text += '\n';
    text += line;
}

// Where `what` ends when it stands at `at` with any white space for a blank; npos when it does not.
// A word does not begin or end within a word of the text.
size_t match_at(std::string_view text, size_t at, std::string_view what) {
    if (at > 0 && is_word(text[at - 1]) && is_word(what.front())) return text.npos;
    size_t i = 0;
    while (i < what.size()) {
        if (is_space(what[i])) {
            if (at >= text.size() || !is_space(text[at])) return text.npos;
            while (i < what.size() && is_space(what[i])) i++;
            while (at < text.size() && is_space(text[at])) at++;
            continue;
        }
        if (at >= text.size() || text[at] != what[i]) return text.npos;
        at++;
        i++;
    }
    if (at < text.size() && is_word(text[at]) && is_word(what.back())) return text.npos;
    return at;
}

void finish(Mutation& mutation, MutationList& list) {
    if (mutation.place.empty()) return;
    const char* lacks = mutation.rule == 0                 ? "rule N"
                        : mutation.file.empty()            ? "file PATH"
                        : mutation.why.empty()             ? "why TEXT"
                        : trimmed(mutation.before).empty() ? "- OLD TEXT"
                                                           : nullptr;
    if (lacks != nullptr)
        list.defects.push_back(mutation.place + ": lacks `" + lacks + "`");
    else if (mutation.before == mutation.after)
        list.defects.push_back(mutation.place + ": changes nothing");
    else
        list.mutations.push_back(mutation);
    mutation = {};
}

}  // namespace

void parse_list(std::string_view name, std::string_view text, MutationList& list) {
    Mutation mutation;
    for (size_t number = 1; !text.empty(); number++) {
        const size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::string place = std::string(name) + ":" + std::to_string(number);
        if (trimmed(line).empty() || line[0] == '#') continue;
        if (const auto rule = value_of(line, "rule")) {
            finish(mutation, list);
            mutation.place = place;
            for (const char c : *rule)
                mutation.rule = c >= '0' && c <= '9' && mutation.rule < 10000
                                    ? mutation.rule * 10 + static_cast<unsigned>(c - '0')
                                    : 0;
        } else if (mutation.place.empty()) {
            list.defects.push_back(place + ": an entry begins with `rule N`");
        } else if (const auto file = value_of(line, "file")) {
            mutation.file = *file;
        } else if (const auto why = value_of(line, "why")) {
            add_line(mutation.why, *why);
        } else if (line[0] == '-') {
            add_line(mutation.before, trimmed(line.substr(1)));
        } else if (line[0] == '+') {
            add_line(mutation.after, trimmed(line.substr(1)));
        } else {
            list.defects.push_back(place + ": is none of rule, file, why, -, +");
        }
    }
    finish(mutation, list);
}

Applied mutate(const Mutation& mutation, std::string_view text) {
    Applied applied;
    size_t first = 0;
    size_t last = 0;
    for (size_t at = 0; at < text.size(); at++) {
        const size_t end = match_at(text, at, mutation.before);
        if (end == text.npos) continue;
        applied.found++;
        first = at;
        last = end;
    }
    if (applied.found != 1) return applied;
    applied.text =
        std::string(text.substr(0, first)) + mutation.after + std::string(text.substr(last));
    return applied;
}

}  // namespace hawser::mutants
