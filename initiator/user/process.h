// SPDX-License-Identifier: GPL-2.0-or-later
// Other programs, run to their end.
#ifndef HAWSER_USER_PROCESS_H
#define HAWSER_USER_PROCESS_H

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace hawser::user {

// The first of PATH that can be executed; the initramfs' usual folders when PATH is not set.
std::optional<std::string> find_program(const std::string& name);

struct ProcessResult {
    int exit_status = -1;  // 128 + signal; -1: it could not be started
    std::string output;    // stdout
};

// Runs them all at once. One that outlives the limit is killed, and has exit_status 128 + SIGKILL.
std::vector<ProcessResult> run_programs(const std::vector<std::vector<std::string>>& commands,
                                        std::chrono::milliseconds limit);

}  // namespace hawser::user

#endif
