// SPDX-License-Identifier: GPL-2.0-or-later
//
// The thirty faults that a diskless node meets, by number. A scenario `fault-NN-slug` makes one of
// them, and notes in its report what was seen; `hawser-faults` gathers the reports into one table.

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "report.h"

namespace hawser::qemu {

struct Fault {
    unsigned number;
    const char* name;
};

// All of them, in order.
const std::vector<Fault>& all_faults();

// stall_s: the longest time that an I/O (of a boot: the login) stood still; nothing: there was no
// such. evidence: one line, what was seen, and by whom.
void note_fault(Report& report, unsigned number, const std::string& text,
                std::optional<double> stall_s, const std::string& evidence);

// What one run of one fault came to.
struct FaultResult {
    unsigned number = 0;
    std::string scenario;
    std::string text;
    bool passed = false;
    std::optional<double> stall_s;
    std::string evidence;  // of a failure: the first check that does not hold
};

// Of every report in build/qemu/fault-*.
std::vector<FaultResult> read_fault_results(const std::filesystem::path& folder);
// A fault of several scenarios is passed when all of them are.
size_t count_passed(const std::vector<FaultResult>& results);
std::string fault_table(const std::vector<FaultResult>& results);

}  // namespace hawser::qemu
