// SPDX-License-Identifier: GPL-2.0-or-later
// What ends a command, as text.
#include "user/failure.h"

#include <fmt/format.h>

namespace hawser::user {

std::string Problem::line() const {
    std::string text = "hawser: " + cause;
    if (!value.empty()) text += ": " + value;
    if (!advice.empty()) text += ": " + advice;
    return text;
}

Failure::Failure(std::string cause, std::string value, std::string advice, ExitStatus status)
    : Failure(std::vector<Problem>{{std::move(cause), std::move(value), std::move(advice)}},
              status) {}

Failure::Failure(std::vector<Problem> problems, ExitStatus status)
    : problems_(std::move(problems)), status_(status) {
    for (const Problem& problem : problems_) {
        if (!text_.empty()) text_ += '\n';
        text_ += problem.line();
    }
}

std::string printable(std::string_view text, size_t shown_max) {
    std::string shown;
    for (unsigned char c : text.substr(0, shown_max)) {
        if (c >= 0x20 && c < 0x7f) {
            shown += static_cast<char>(c);
        } else {
            shown += fmt::format("\\x{:02x}", c);
        }
    }
    if (text.size() > shown_max) shown += fmt::format("... ({} bytes)", text.size());
    return shown;
}

}  // namespace hawser::user
