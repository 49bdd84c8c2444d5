// SPDX-License-Identifier: GPL-2.0-or-later
// Other programs, run to their end.
#include "user/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

extern char** environ;

namespace hawser::user {
namespace {

using Clock = std::chrono::steady_clock;

struct Child {
    pid_t pid = -1;
    int output = -1;  // read end; -1 once it is at its end
};

Child start(const std::vector<std::string>& command) {
    Child child;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return child;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    if (posix_spawn(&child.pid, arguments[0], &actions, nullptr, arguments.data(), environ) != 0) {
        child.pid = -1;
    }
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (child.pid > 0) {
        child.output = ends[0];
    } else {
        close(ends[0]);
    }
    return child;
}

// One read; closes at the end.
void read_some(Child& child, std::string& output) {
    char buffer[4096];
    const ssize_t got = read(child.output, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) return;
    if (got > 0) {
        output.append(buffer, static_cast<size_t>(got));
        return;
    }
    close(child.output);
    child.output = -1;
}

void read_until(std::vector<Child>& children, std::vector<ProcessResult>& results,
                Clock::time_point deadline) {
    for (;;) {
        std::vector<pollfd> open;
        std::vector<size_t> owner;
        for (size_t i = 0; i < children.size(); ++i) {
            if (children[i].output < 0) continue;
            open.push_back({children[i].output, POLLIN, 0});
            owner.push_back(i);
        }
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (open.empty() || left <= 0) return;
        if (poll(open.data(), open.size(), static_cast<int>(left)) < 0 && errno != EINTR) return;
        for (size_t i = 0; i < open.size(); ++i) {
            if (open[i].revents != 0) read_some(children[owner[i]], results[owner[i]].output);
        }
    }
}

}  // namespace

std::optional<std::string> find_program(const std::string& name) {
    const char* const path = std::getenv("PATH");
    std::string folders = path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin";
    for (size_t at = 0; at <= folders.size();) {
        const size_t end = std::min(folders.find(':', at), folders.size());
        const std::string program = folders.substr(at, end - at) + "/" + name;
        if (access(program.c_str(), X_OK) == 0) return program;
        at = end + 1;
    }
    return std::nullopt;
}

std::vector<ProcessResult> run_programs(const std::vector<std::vector<std::string>>& commands,
                                        std::chrono::milliseconds limit) {
    const auto deadline = Clock::now() + limit;
    std::vector<Child> children;
    for (const auto& command : commands) children.push_back(start(command));
    std::vector<ProcessResult> results(commands.size());
    read_until(children, results, deadline);
    for (size_t i = 0; i < children.size(); ++i) {
        if (children[i].pid <= 0) continue;
        // An open pipe means that its time is over; a closed one that it ends now.
        if (children[i].output >= 0) {
            kill(children[i].pid, SIGKILL);
            close(children[i].output);
        }
        int status = 0;
        while (waitpid(children[i].pid, &status, 0) < 0 && errno == EINTR) {
        }
        results[i].exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return results;
}

}  // namespace hawser::user
