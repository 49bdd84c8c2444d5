// SPDX-License-Identifier: GPL-2.0-or-later
// A program of ours that serves on a port of the loopback (hawser-target, hawser-proxy), run by a
// test.
#pragma once

#include "interop.hpp"
#include "process.h"

#include <csignal>
#include <sstream>

namespace hawser::test {

inline std::string read_file(const fs::path& path) {
    std::ifstream stream(path);
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
}

// A program of ours that prints "listening on ADDRESS:PORT" when it is ready.
class Program {
public:
    Program(const fs::path& directory, const std::string& name, qemu::Arguments arguments)
        : m_log(directory / (name + ".log")) {
        fs::create_directories(directory);
        arguments.insert(arguments.begin(),
                         (fs::read_symlink("/proc/self/exe").parent_path() / name).string());
        arguments.insert(arguments.end(), {"--listen", "127.0.0.1:0"});
        qemu::Process::Options options;
        options.output = m_log;
        m_process = std::make_unique<qemu::Process>(arguments, options);
        const qemu::Deadline deadline{qemu::Seconds(20)};
        while (port() == 0) {
            INFO(log());
            REQUIRE(m_process->running());
            REQUIRE_FALSE(deadline.passed());
            ::usleep(1000);
        }
    }
    unsigned port() const {
        const std::string text = log();
        const size_t at = text.find("listening on 127.0.0.1:");
        return at == text.npos ? 0 : unsigned(std::atoi(text.c_str() + at + 23));
    }
    // Ends it in order; its exit status.
    int end() {
        m_process->signal(SIGTERM);
        return m_process->wait(qemu::Deadline(qemu::Seconds(20))).value_or(-1);
    }
    std::string log() const { return read_file(m_log); }

private:
    fs::path m_log;
    std::unique_ptr<qemu::Process> m_process;
};

}  // namespace hawser::test
