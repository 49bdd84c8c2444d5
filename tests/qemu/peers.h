// SPDX-License-Identifier: GPL-2.0-or-later
//
// What stands on the other side and may lie, each a process on a loopback port: the scripted target
// and the fault proxy (tests/target/script.h has the language).

#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "process.h"

namespace hawser::qemu {

class Peer {
public:
    // log: where all that it prints goes; it listens when the constructor returns.
    Peer(const Arguments& program, uint16_t port, const std::filesystem::path& log);

    uint16_t port() const { return port_; }
    std::string log() const;
    // SIGUSR1: the next part of its script; SIGSTOP, SIGCONT: it falls silent, and goes on.
    void signal(int number) { process_->signal(number); }
    void kill() { process_->kill(); }
    // Ends it in order: its counters and breaches are in its log then. Its exit status.
    int stop();

private:
    uint16_t port_;
    std::filesystem::path log_;
    std::unique_ptr<Process> process_;
};

struct ScriptedTargetOptions {
    std::filesystem::path directory;
    std::string log = "target.log";
    std::string name = "iqn.2026-11.hawser:root";
    std::string script;                 // lines; its head is made here
    std::vector<std::string> settings;  // KEY=VALUE
    std::filesystem::path image;        // else 64 MiB of memory
};

Peer start_scripted_target(const ScriptedTargetOptions& options);

// log: a name in the directory; script and log are kept there. port 0: any.
Peer start_proxy(const std::filesystem::path& directory, const std::string& name,
                 uint16_t target_port, const std::string& script, uint16_t port = 0);

// Lines that begin with "breach of rule": what the scripted target's judge found.
std::string breaches_in(const std::string& log);

}  // namespace hawser::qemu
