// SPDX-License-Identifier: GPL-2.0-or-later
//
// busybox httpd on an ephemeral loopback port, serving one folder.

#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "process.h"

namespace hawser::qemu {

// A loopback port that nobody listens on now.
uint16_t free_port();
// Returns when somebody listens there; throws at the deadline or when the process has ended.
void wait_until_listening(uint16_t port, Process& process, Deadline deadline,
                          const std::string& address = "127.0.0.1");

class HttpServer {
public:
    HttpServer(const std::filesystem::path& folder, const std::filesystem::path& log);
    uint16_t port() const { return port_; }

private:
    uint16_t port_;
    Process process_;
};

}  // namespace hawser::qemu
