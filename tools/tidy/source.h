// SPDX-License-Identifier: GPL-2.0-or-later
//
// C and C++ source as the rules want to see it: comments, literals and preprocessor lines blanked
// out, every line and column where it was.

#pragma once

#include <string>
#include <string_view>

namespace hawser::tidy {

std::string code_only(std::string_view text);

}  // namespace hawser::tidy
