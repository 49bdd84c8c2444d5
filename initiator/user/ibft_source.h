// SPDX-License-Identifier: GPL-2.0-or-later
// Where the raw iBFT comes from, and how it is shown. Secrets are shown as `(set)`.
#ifndef HAWSER_USER_IBFT_SOURCE_H
#define HAWSER_USER_IBFT_SOURCE_H

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "user/failure.h"
#include "user/ibft.h"

namespace hawser::user {

struct RawIbft {
    std::string bytes;
    std::string path;
    std::vector<std::string> others;  // further tables that were not read
};

// The given file; else ACPI's table (UEFI), else the one our module found in BIOS memory. Nothing
// when there is none. A table that is there but cannot be read throws Failure.
std::optional<RawIbft> find_ibft(const std::string& file, const std::string& sysfs);

// Throws Failure with a line for each defect.
Ibft read_ibft(const RawIbft& raw);

std::vector<Problem> defect_problems(const std::vector<IbftDefect>& defects);

std::string ibft_text(const Ibft& ibft);
nlohmann::json ibft_json(const Ibft& ibft);

}  // namespace hawser::user

#endif
