// SPDX-License-Identifier: GPL-2.0-or-later
//
// The socket loop, where a peer goes while much is still to be sent to it.

#include "socket_loop.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

namespace hawser::target {

namespace {

constexpr size_t k_more_than_fits = 16 << 20;
constexpr uint64_t k_watched_ms = 200;

int connect_to(uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    return fd;
}

// Sends more than the peer takes, and then the peer resets the connection.
struct Deserted : SocketHandler {
    SocketLoop loop{*this};
    int peer = -1;
    unsigned ended_count = 0;
    uint64_t over_ms = UINT64_MAX;

    void accepted(uint32_t id, size_t) override {
        loop.send(id, Bytes(k_more_than_fits));
        const linger abortive = {1, 0};
        ::setsockopt(peer, SOL_SOCKET, SO_LINGER, &abortive, sizeof(abortive));
        ::close(peer);
        over_ms = SocketLoop::now_ms() + k_watched_ms;
    }
    void received(uint32_t, std::span<const uint8_t>) override {}
    void ended(uint32_t id) override {
        ended_count++;
        loop.close(id, false);
    }
    uint64_t turn(uint64_t now_ms) override {
        if (now_ms >= over_ms) ::kill(::getpid(), SIGTERM);
        return over_ms;
    }
};

}  // namespace

TEST_CASE("the end of a connection with much to send is told once", "[target][sockets]") {
    Deserted handler;
    handler.peer = connect_to(handler.loop.listen("127.0.0.1:0"));
    handler.loop.run();
    CHECK(handler.ended_count == 1);
}

}  // namespace hawser::target
