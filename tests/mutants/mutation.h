// SPDX-License-Identifier: GPL-2.0-or-later
//
// The mutation list: how each rule of docs/rules.md is broken on purpose. An entry names the rule,
// the file, lines as they stand there and what they become, and why that breaks the rule:
//
//     rule 22
//     file initiator/engine/connection_transmit.cpp
//     why DataSN goes on counting from one sequence to the next
//     - sequence->data_sn = {};
//     + (void)sequence;
//
// White space counts as one blank, so that clang-format may wrap the code anew. The old text must
// stand in the file once: the list has to follow the code. An entry without `+` takes it away.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::mutants {

struct Mutation {
    unsigned rule = 0;
    std::string file;
    std::string why;
    std::string before;
    std::string after;
    std::string place;  // list file and line, for messages
};

struct MutationList {
    std::vector<Mutation> mutations;
    std::vector<std::string> defects;  // one line each
};

// Appends what `text` holds; `name` is the list's own file.
void parse_list(std::string_view name, std::string_view text, MutationList& list);

// The file's text with the mutation in it; nothing, and how often the old text was found, when that
// is not once.
struct Applied {
    std::optional<std::string> text;
    size_t found = 0;
};
Applied mutate(const Mutation& mutation, std::string_view text);

}  // namespace hawser::mutants
