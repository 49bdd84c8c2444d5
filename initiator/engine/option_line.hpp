// SPDX-License-Identifier: GPL-2.0-or-later
// The line of options that makes a session: KEY=VALUE words, docs/contracts.md. Every refusal is
// one line that names key, value and what is allowed.
#pragma once

#include "abi/engine.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace hawser {

// False: options is not to be used, and reason (with its NUL) says why.
bool parse_portal_option(std::string_view value, hawser_portal& portal, std::span<char> reason);
bool parse_option_line(std::string_view line, hawser_options& options, std::span<char> reason);

}  // namespace hawser
