// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-faults: the table of the faults that were made, out of build/qemu/fault-*/report.json. All
// thirty must have been made and survived.

#include <fmt/format.h>

#include "fault.h"
#include "paths.h"

using namespace hawser::qemu;

int main() {
    try {
        const auto results = read_fault_results(evidence_folder(""));
        fmt::print("{}", fault_table(results));
        return count_passed(results) == all_faults().size() ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "hawser-faults: {}\n", error.what());
        return 2;
    }
}
