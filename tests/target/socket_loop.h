// SPDX-License-Identifier: GPL-2.0-or-later
//
// TCP sockets and epoll under the programs of this folder: who has the protocol sees ids, bytes and
// the time. One thread, no blocking call but epoll_wait.

#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "pdu.h"

namespace hawser::target {

class SocketHandler {
public:
    virtual ~SocketHandler() = default;
    virtual void accepted(uint32_t id, size_t listener) = 0;
    virtual void connected(uint32_t) {}
    virtual void received(uint32_t id, std::span<const uint8_t> bytes) = 0;
    // The other side has ended the connection; close() it.
    virtual void ended(uint32_t id) = 0;
    // By SIGUSR1.
    virtual void signalled(uint64_t /*now_ms*/) {}
    // After each turn: what is to be sent may have changed. Returns the next deadline.
    virtual uint64_t turn(uint64_t now_ms) = 0;
};

class SocketLoop {
public:
    explicit SocketLoop(SocketHandler& handler);
    ~SocketLoop();
    SocketLoop(const SocketLoop&) = delete;
    SocketLoop& operator=(const SocketLoop&) = delete;

    // "127.0.0.1:3260" or "[::1]:0"; returns the real port. Throws std::runtime_error.
    uint16_t listen(const std::string& address);
    // Begins to connect; connected() or ended() follows.
    uint32_t connect(const std::string& address);
    void send(uint32_t id, Bytes bytes);
    // Nothing more is told of it. reset: what is on its way is lost.
    void close(uint32_t id, bool reset);
    void reset_all();
    // Reads no more, until it is told to.
    void set_paused(uint32_t id, bool paused);
    // Until SIGTERM or SIGINT.
    void run();

    // Since the program began, so that a script's `at` means what it says.
    static uint64_t now_ms();

private:
    struct Socket {
        int fd = -1;
        bool connecting = false;
        bool paused = false;
        bool closing = false;  // once all is sent
        std::deque<Bytes> out;
    };
    int take_signal();
    void watch(uint32_t id);
    void accept_from(size_t listener);
    void handle_event(uint32_t id, uint32_t events);
    void read_from(uint32_t id);
    void write_to(uint32_t id);
    uint32_t add(int fd, bool connecting);
    void drop(uint32_t id, bool reset);

    SocketHandler& m_handler;
    int m_epoll = -1;
    int m_signals = -1;
    std::vector<int> m_listeners;
    std::map<uint32_t, Socket> m_sockets;
    uint32_t m_next = 0;
};

}  // namespace hawser::target
