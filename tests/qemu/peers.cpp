// SPDX-License-Identifier: GPL-2.0-or-later
//
// Starting and ending the scripted target and the fault proxy.

#include "peers.h"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "http_server.h"
#include "paths.h"

namespace hawser::qemu {

namespace fs = std::filesystem;

static std::string file_text(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

Peer::Peer(const Arguments& program, uint16_t port, const fs::path& log) : port_(port), log_(log) {
    Process::Options options;
    options.output = log;
    process_ = std::make_unique<Process>(program, options);
    // A probe of the port would be a connection that the script counts: so what it says is read,
    // and its end is what ends each wait early.
    Deadline deadline(Seconds(20));
    while (file_text(log_).find("listening on") == std::string::npos) {
        if (process_->wait(Deadline(std::chrono::milliseconds(50))) || deadline.passed())
            throw std::runtime_error(
                fmt::format("{} does not listen: {}", quoted(program), file_text(log_)));
    }
}

std::string Peer::log() const {
    return file_text(log_);
}

int Peer::stop() {
    process_->signal(SIGTERM);
    const auto status = process_->wait(Deadline(Seconds(20)));
    process_->kill();
    return status.value_or(-1);
}

Peer start_scripted_target(const ScriptedTargetOptions& options) {
    const uint16_t port = free_port();
    Arguments line{(build_folder() / "bin" / "hawser-target").string(),
                   "--listen",
                   fmt::format("127.0.0.1:{}", port),
                   "--name",
                   options.name,
                   "-v"};
    for (const auto& setting : options.settings) line.insert(line.end(), {"--set", setting});
    if (!options.image.empty()) line.insert(line.end(), {"--file", options.image.string()});
    if (!options.script.empty()) {
        const fs::path script = options.directory / (options.log + ".case");
        std::ofstream(script) << "case what a machine meets\nrule 41\n" << options.script;
        line.insert(line.end(), {"--script", script.string()});
    }
    return Peer(line, port, options.directory / options.log);
}

Peer start_proxy(const fs::path& directory, const std::string& name, uint16_t target_port,
                 const std::string& script, uint16_t port) {
    if (port == 0) port = free_port();
    const fs::path file = directory / (name + ".script");
    std::ofstream(file) << script;
    return Peer({(build_folder() / "bin" / "hawser-proxy").string(), "--listen",
                 fmt::format("127.0.0.1:{}", port), "--target",
                 fmt::format("127.0.0.1:{}", target_port), "--script", file.string(), "-v"},
                port, directory / (name + ".log"));
}

std::string breaches_in(const std::string& log) {
    std::istringstream lines(log);
    std::string found;
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("breach of rule")) found += line + "\n";
    return found;
}

}  // namespace hawser::qemu
