// SPDX-License-Identifier: GPL-2.0-or-later
//
// Children: started, waited for by pidfd, ended by pid.

#include "process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace hawser::qemu {
namespace {

struct OutputFiles {
    int in;
    int out;
    int err;
};

int open_or_throw(const std::filesystem::path& path, int flags) {
    int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    if (descriptor < 0) {
        throw std::runtime_error(fmt::format("open: {}: {}", path.string(), strerror(errno)));
    }
    return descriptor;
}

// Between fork and exec only async-signal-safe calls are allowed; all is prepared before.
[[noreturn]] void become(char* const argv[], char* const environment[], const OutputFiles& files,
                         pid_t parent, bool own_group) {
    if (own_group) {
        ::setpgid(0, 0);
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) {
        ::_exit(127);
    }
    ::dup2(files.in, STDIN_FILENO);
    ::dup2(files.out, STDOUT_FILENO);
    ::dup2(files.err, STDERR_FILENO);
    ::execvpe(argv[0], argv, environment);
    const char message[] = "cannot execute this program\n";
    (void)!::write(STDERR_FILENO, message, sizeof message - 1);
    ::_exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (auto& text : strings) {
        result.push_back(text.data());
    }
    result.push_back(nullptr);
    return result;
}

pid_t spawn(const Arguments& arguments, const std::vector<std::string>& added_environment,
            const OutputFiles& files, bool own_group) {
    std::vector<std::string> words = arguments;
    std::vector<std::string> environment = added_environment;
    // Fixed: tshark and the like print numbers and times by locale and zone.
    environment.push_back("LC_ALL=C");
    environment.push_back("TZ=UTC");
    for (char** entry = environ; *entry != nullptr; ++entry) {
        environment.emplace_back(*entry);
    }
    auto argv = pointers(words);
    auto envp = pointers(environment);
    pid_t parent = ::getpid();
    pid_t pid = ::fork();
    if (pid < 0) {
        throw std::runtime_error(fmt::format("fork: {}", strerror(errno)));
    }
    if (pid == 0) {
        become(argv.data(), envp.data(), files, parent, own_group);
    }
    return pid;
}

std::string content_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::filesystem::path temporary_file() {
    std::string name = (std::filesystem::temp_directory_path() / "hawser-XXXXXX").string();
    int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor < 0) {
        throw std::runtime_error(fmt::format("mkostemp: {}: {}", name, strerror(errno)));
    }
    ::close(descriptor);
    return name;
}

}  // namespace

Process::Process(const Arguments& arguments, const Options& options)
    : name_(std::filesystem::path(arguments.at(0)).filename()) {
    OutputFiles files{STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    if (!options.terminal) {
        files.in = open_or_throw("/dev/null", O_RDONLY);
        files.out = options.output.empty()
                        ? open_or_throw("/dev/null", O_WRONLY)
                        : open_or_throw(options.output, O_WRONLY | O_CREAT | O_APPEND |
                                                            (options.append ? 0 : O_TRUNC));
        files.err = files.out;
    }
    pid_ = spawn(arguments, options.environment, files, !options.terminal);
    if (!options.terminal) {
        ::close(files.in);
        ::close(files.out);
    }
    pid_descriptor_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    if (pid_descriptor_ < 0) {
        throw std::runtime_error(fmt::format("pidfd_open: {}: {}", name_, strerror(errno)));
    }
}

Process::~Process() {
    kill();
    if (pid_descriptor_ >= 0) {
        ::close(pid_descriptor_);
    }
}

std::optional<int> Process::wait(Deadline deadline) {
    if (status_) {
        return status_;
    }
    pollfd ready{pid_descriptor_, POLLIN, 0};
    while (::poll(&ready, 1, deadline.poll_timeout_ms()) < 0 && errno == EINTR) {
    }
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return status_;
}

void Process::signal(int number) {
    if (!status_ && pid_ > 0) {
        ::kill(pid_, number);
    }
}

void Process::kill() {
    if (status_ || pid_ <= 0) {
        return;
    }
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string quoted(const Arguments& arguments) {
    std::string line;
    for (const auto& word : arguments) {
        bool plain =
            !word.empty() && word.find_first_of(" \t\n'\"$&|;<>()*?\\`") == std::string::npos;
        line += (line.empty() ? "" : " ") + (plain ? word : "'" + word + "'");
    }
    return line;
}

CommandResult run(const Arguments& arguments, Seconds limit,
                  const std::vector<std::string>& environment) {
    auto output = temporary_file();
    auto errors = temporary_file();
    OutputFiles files{open_or_throw("/dev/null", O_RDONLY), open_or_throw(output, O_WRONLY),
                      open_or_throw(errors, O_WRONLY)};
    pid_t pid = spawn(arguments, environment, files, true);
    ::close(files.in);
    ::close(files.out);
    ::close(files.err);
    int descriptor = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    pollfd ready{descriptor, POLLIN, 0};
    Deadline deadline(limit);
    int ended = 0;
    while ((ended = ::poll(&ready, 1, deadline.poll_timeout_ms())) < 0 && errno == EINTR) {
    }
    ::close(descriptor);
    if (ended <= 0) {
        ::kill(pid, SIGKILL);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    CommandResult result;
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result.output = content_of(output);
    result.errors = content_of(errors);
    std::filesystem::remove(output);
    std::filesystem::remove(errors);
    if (ended <= 0) {
        throw std::runtime_error(
            fmt::format("{}: not done after {:.0f} s", quoted(arguments), limit.count()));
    }
    return result;
}

std::string run_checked(const Arguments& arguments, Seconds limit,
                        const std::vector<std::string>& environment) {
    auto result = run(arguments, limit, environment);
    if (result.status != 0) {
        throw std::runtime_error(fmt::format("{}: exit status {}: {}{}", quoted(arguments),
                                             result.status, result.errors, result.output));
    }
    return result.output;
}

}  // namespace hawser::qemu
