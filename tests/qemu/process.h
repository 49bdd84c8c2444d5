// SPDX-License-Identifier: GPL-2.0-or-later
//
// A child process: in a process group of its own, its output in a file, ended with the harness.
// It is always ended by its pid, and it dies when the harness dies (PR_SET_PDEATHSIG): for Linux
// that is the thread that started it.

#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "deadline.h"

namespace hawser::qemu {

using Arguments = std::vector<std::string>;

class Process {
public:
    struct Options {
        std::filesystem::path output;          // of both stdout and stderr; empty: /dev/null
        bool append = false;                   // to `output`, instead of starting it anew
        bool terminal = false;                 // keep the harness's own stdin, stdout and stderr
        std::vector<std::string> environment;  // NAME=VALUE, added to ours
    };

    Process(const Arguments& arguments, const Options& options);
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    pid_t pid() const { return pid_; }
    const std::string& name() const { return name_; }

    // The exit status (128 + signal when killed), once the process has ended.
    std::optional<int> wait(Deadline deadline);
    bool running() { return !wait(Deadline(Seconds(0))).has_value(); }

    void signal(int number);
    void kill();  // SIGKILL, and reaped

private:
    pid_t pid_ = -1;
    int pid_descriptor_ = -1;
    std::string name_;
    std::optional<int> status_;
};

struct CommandResult {
    int status = 0;
    std::string output;  // stdout only; stderr is in `errors`
    std::string errors;
};

// Runs a program to its end. Throws when it cannot be started or outlives the deadline.
CommandResult run(const Arguments& arguments, Seconds limit = Seconds(60),
                  const std::vector<std::string>& environment = {});

// The same, and a status other than 0 is an error that quotes what the program said.
std::string run_checked(const Arguments& arguments, Seconds limit = Seconds(60),
                        const std::vector<std::string>& environment = {});

std::string quoted(const Arguments& arguments);

}  // namespace hawser::qemu
