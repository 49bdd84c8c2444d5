// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel command line as words.
#include "user/kernel_command_line.h"

#include <cctype>

namespace hawser::user {
namespace {

KernelParameter parameter_from(std::string_view word) {
    bool quoted = false;
    if (word.starts_with('"')) {
        word.remove_prefix(1);
        quoted = true;
    }
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0) {
        if (quoted && word.ends_with('"')) word.remove_suffix(1);
        return {std::string(word), std::nullopt};
    }
    std::string_view value = word.substr(equals + 1);
    if (value.starts_with('"')) {
        value.remove_prefix(1);
        quoted = true;
    }
    if (quoted && value.ends_with('"')) value.remove_suffix(1);
    return {std::string(word.substr(0, equals)), std::string(value)};
}

}  // namespace

std::vector<KernelParameter> split_kernel_command_line(std::string_view text) {
    std::vector<KernelParameter> parameters;
    size_t at = 0;
    while (at < text.size()) {
        if (std::isspace(static_cast<unsigned char>(text[at])) || text[at] == '\0') {
            ++at;
            continue;
        }
        bool in_quotes = false;
        size_t end = at;
        for (; end < text.size(); ++end) {
            const unsigned char c = static_cast<unsigned char>(text[end]);
            if (c == '"') in_quotes = !in_quotes;
            if (!in_quotes && (std::isspace(c) || c == '\0')) break;
        }
        const std::string_view word = text.substr(at, end - at);
        if (word == "--") break;
        parameters.push_back(parameter_from(word));
        at = end;
    }
    return parameters;
}

}  // namespace hawser::user
