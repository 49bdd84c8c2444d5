// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a run is given by environment variables.

#pragma once

#include <cstdlib>

namespace hawser::qemu {

inline unsigned number_from(const char* name, unsigned otherwise) {
    const char* words = std::getenv(name);
    return words != nullptr ? static_cast<unsigned>(std::atoi(words)) : otherwise;
}

}  // namespace hawser::qemu
