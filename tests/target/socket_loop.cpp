// SPDX-License-Identifier: GPL-2.0-or-later
//
// epoll around sockets.

#include "socket_loop.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <memory>
#include <stdexcept>

namespace hawser::target {

namespace {

constexpr uint64_t k_signal_tag = UINT64_MAX;
constexpr uint64_t k_listener_tag = uint64_t{1} << 40;
constexpr size_t k_read_bytes = 1 << 16;

using AddressList = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

AddressList resolve(const std::string& text) {
    const size_t colon = text.rfind(':');
    std::string host = text.substr(0, colon);
    const std::string port = colon == text.npos ? "" : text.substr(colon + 1);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (colon == text.npos || ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0)
        throw std::runtime_error(text + ": not ADDRESS:PORT");
    return {found, ::freeaddrinfo};
}

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

}  // namespace

namespace {

uint64_t uptime_ms() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

}  // namespace

uint64_t SocketLoop::now_ms() {
    static const uint64_t k_began = uptime_ms();
    return uptime_ms() - k_began;
}

SocketLoop::SocketLoop(SocketHandler& handler) : m_handler(handler) {
    m_epoll = ::epoll_create1(EPOLL_CLOEXEC);
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGTERM);
    ::sigaddset(&set, SIGINT);
    ::sigaddset(&set, SIGUSR1);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    m_signals = ::signalfd(-1, &set, SFD_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = k_signal_tag;
    if (m_epoll < 0 || m_signals < 0 || ::epoll_ctl(m_epoll, EPOLL_CTL_ADD, m_signals, &event) != 0)
        fail("epoll");
}

SocketLoop::~SocketLoop() {
    for (auto& [id, socket] : m_sockets) ::close(socket.fd);
    for (int fd : m_listeners) ::close(fd);
    ::close(m_signals);
    ::close(m_epoll);
}

uint16_t SocketLoop::listen(const std::string& address) {
    const AddressList list = resolve(address);
    const int fd = ::socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || ::bind(fd, list->ai_addr, list->ai_addrlen) != 0 || ::listen(fd, 64) != 0)
        fail(address);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = k_listener_tag + m_listeners.size();
    ::epoll_ctl(m_epoll, EPOLL_CTL_ADD, fd, &event);
    m_listeners.push_back(fd);
    sockaddr_storage bound{};
    socklen_t length = sizeof(bound);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length);
    char port[8] = {};
    ::getnameinfo(reinterpret_cast<sockaddr*>(&bound), length, nullptr, 0, port, sizeof(port),
                  NI_NUMERICSERV);
    return static_cast<uint16_t>(std::stoul(port));
}

uint32_t SocketLoop::add(int fd, bool connecting) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const uint32_t id = m_next++;
    m_sockets[id].fd = fd;
    m_sockets[id].connecting = connecting;
    epoll_event event{};
    event.data.u64 = id;
    ::epoll_ctl(m_epoll, EPOLL_CTL_ADD, fd, &event);
    watch(id);
    return id;
}

uint32_t SocketLoop::connect(const std::string& address) {
    const AddressList list = resolve(address);
    const int fd = ::socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) fail(address);
    // Refused at once is told like refused later, by the event that follows.
    static_cast<void>(::connect(fd, list->ai_addr, list->ai_addrlen));
    return add(fd, true);
}

void SocketLoop::watch(uint32_t id) {
    const Socket& socket = m_sockets[id];
    epoll_event event{};
    if (!socket.paused && !socket.connecting && !socket.closing) event.events |= EPOLLIN;
    if (socket.connecting || !socket.out.empty()) event.events |= EPOLLOUT;
    event.data.u64 = id;
    ::epoll_ctl(m_epoll, EPOLL_CTL_MOD, socket.fd, &event);
}

void SocketLoop::send(uint32_t id, Bytes bytes) {
    const auto found = m_sockets.find(id);
    if (found == m_sockets.end() || bytes.empty()) return;
    found->second.out.push_back(std::move(bytes));
    if (!found->second.connecting) write_to(id);
}

void SocketLoop::close(uint32_t id, bool reset) {
    const auto found = m_sockets.find(id);
    if (found == m_sockets.end()) return;
    if (reset || found->second.out.empty()) return drop(id, reset);
    found->second.closing = true;
    watch(id);
}

void SocketLoop::drop(uint32_t id, bool reset) {
    const int fd = m_sockets[id].fd;
    if (reset) {
        const linger abortive = {1, 0};
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &abortive, sizeof(abortive));
    }
    ::close(fd);
    m_sockets.erase(id);
}

void SocketLoop::reset_all() {
    while (!m_sockets.empty()) drop(m_sockets.begin()->first, true);
}

void SocketLoop::set_paused(uint32_t id, bool paused) {
    const auto found = m_sockets.find(id);
    if (found == m_sockets.end() || found->second.paused == paused) return;
    found->second.paused = paused;
    watch(id);
}

void SocketLoop::accept_from(size_t listener) {
    const int fd = ::accept4(m_listeners[listener], nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    m_handler.accepted(add(fd, false), listener);
}

void SocketLoop::read_from(uint32_t id) {
    uint8_t buffer[k_read_bytes];
    const ssize_t length = ::recv(m_sockets[id].fd, buffer, sizeof(buffer), 0);
    if (length > 0) return m_handler.received(id, {buffer, static_cast<size_t>(length)});
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    m_handler.ended(id);
}

void SocketLoop::write_to(uint32_t id) {
    Socket& socket = m_sockets[id];
    while (!socket.out.empty()) {
        Bytes& first = socket.out.front();
        const ssize_t length = ::send(socket.fd, first.data(), first.size(), MSG_NOSIGNAL);
        if (length < 0) {
            // Broken: reading will tell, and nobody will take the rest.
            if (errno != EAGAIN && errno != EINTR) socket.out.clear();
            break;
        }
        first.erase(first.begin(), first.begin() + length);
        if (first.empty()) socket.out.pop_front();
    }
    if (socket.out.empty() && socket.closing) return drop(id, false);
    watch(id);
}

int SocketLoop::take_signal() {
    signalfd_siginfo info{};
    if (::read(m_signals, &info, sizeof(info)) != sizeof(info)) fail("signalfd");
    return static_cast<int>(info.ssi_signo);
}

void SocketLoop::run() {
    while (true) {
        const uint64_t next_ms = m_handler.turn(now_ms());
        const uint64_t now = now_ms();
        const int timeout = next_ms == UINT64_MAX ? -1
                            : next_ms <= now
                                ? 0
                                : static_cast<int>(std::min<uint64_t>(next_ms - now, 60000));
        epoll_event event{};
        const int count = ::epoll_wait(m_epoll, &event, 1, timeout);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        if (count <= 0) continue;
        if (event.data.u64 == k_signal_tag) {
            if (take_signal() != SIGUSR1) return;
            m_handler.signalled(now_ms());
            continue;
        }
        if (event.data.u64 >= k_listener_tag) {
            accept_from(event.data.u64 - k_listener_tag);
            continue;
        }
        const uint32_t id = static_cast<uint32_t>(event.data.u64);
        if (m_sockets.count(id) != 0) handle_event(id, event.events);
    }
}

void SocketLoop::handle_event(uint32_t id, uint32_t events) {
    Socket& socket = m_sockets[id];
    if (socket.connecting) {
        int error = 0;
        socklen_t length = sizeof(error);
        ::getsockopt(socket.fd, SOL_SOCKET, SO_ERROR, &error, &length);
        socket.connecting = false;
        if (error != 0) return socket.closing ? drop(id, false) : m_handler.ended(id);
        if (!socket.closing) m_handler.connected(id);
        return write_to(id);
    }
    if (socket.closing) {
        // Its owner knows it no more: no word of it, whatever comes.
        if (events & (EPOLLHUP | EPOLLERR)) return drop(id, false);
    } else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        read_from(id);
    }
    if (m_sockets.count(id) != 0 && (events & EPOLLOUT)) write_to(id);
}

}  // namespace hawser::target
