// SPDX-License-Identifier: GPL-2.0-or-later
//
// Loopback ports, and the server of kernel and initramfs.

#include "http_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace hawser::qemu {
namespace {

sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

}  // namespace

uint16_t free_port() {
    int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto address = loopback(0);
    socklen_t size = sizeof address;
    if (descriptor < 0 || ::bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        throw std::runtime_error(fmt::format("no free loopback port: {}", strerror(errno)));
    }
    ::close(descriptor);
    return ntohs(address.sin_port);
}

void wait_until_listening(uint16_t port, Process& process, Deadline deadline,
                          const std::string& where) {
    // Nothing tells when another process has called listen(2): ask again, the process's end being
    // the event that ends each wait early.
    while (!deadline.passed()) {
        int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        auto address = loopback(port);
        ::inet_pton(AF_INET, where.c_str(), &address.sin_addr);
        int failed = ::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address);
        ::close(descriptor);
        if (failed == 0) {
            return;
        }
        if (auto status = process.wait(Deadline(Seconds(0.02)))) {
            throw std::runtime_error(
                fmt::format("{} ended with status {} before it listened on {}:{}", process.name(),
                            *status, where, port));
        }
    }
    throw std::runtime_error(
        fmt::format("{} does not listen on {}:{}", process.name(), where, port));
}

HttpServer::HttpServer(const std::filesystem::path& folder, const std::filesystem::path& log)
    : port_(free_port()),
      process_(
          {"busybox", "httpd", "-f", "-vv", "-p", fmt::format("127.0.0.1:{}", port_), "-h",
           folder.string()},
          Process::Options{.output = log, .append = false, .terminal = false, .environment = {}}) {
    wait_until_listening(port_, process_, Deadline(Seconds(10)));
}

}  // namespace hawser::qemu
