// SPDX-License-Identifier: GPL-2.0-or-later
//
// Timed lines out of a unix socket.

#include "byte_stream.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace hawser::qemu {
namespace {

int try_connect(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.string().size() >= sizeof address.sun_path) {
        throw std::runtime_error(fmt::format("socket path too long: {}", path.string()));
    }
    std::strcpy(address.sun_path, path.c_str());
    int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        throw std::runtime_error(fmt::format("socket: {}", strerror(errno)));
    }
    if (::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
        return descriptor;
    }
    ::close(descriptor);
    return -1;
}

// The socket appears when QEMU has made it: watch its folder. QEMU binds first and listens a moment
// later, with no event between; the short poll covers that moment.
int connect_when_there(const std::filesystem::path& path, Deadline deadline) {
    int watch = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    ::inotify_add_watch(watch, path.parent_path().c_str(), IN_CREATE | IN_ATTRIB);
    int descriptor = -1;
    while ((descriptor = try_connect(path)) < 0 && !deadline.passed()) {
        pollfd ready{watch, POLLIN, 0};
        ::poll(&ready, 1, std::min(deadline.poll_timeout_ms(), 20));
        char events[4096];
        while (::read(watch, events, sizeof events) > 0) {
        }
    }
    ::close(watch);
    if (descriptor < 0) {
        throw std::runtime_error(fmt::format("nobody listens on {}", path.string()));
    }
    return descriptor;
}

}  // namespace

ByteStream::ByteStream(const std::filesystem::path& socket_path, Deadline deadline)
    : descriptor_(connect_when_there(socket_path, deadline)),
      stop_descriptor_(::eventfd(0, EFD_CLOEXEC)) {
    reader_ = std::thread([this] { read_until_end(); });
}

ByteStream::~ByteStream() {
    uint64_t one = 1;
    (void)!::write(stop_descriptor_, &one, sizeof one);
    reader_.join();
    ::close(descriptor_);
    ::close(stop_descriptor_);
}

void ByteStream::read_until_end() {
    char buffer[65536];
    for (;;) {
        pollfd ready[2] = {{descriptor_, POLLIN, 0}, {stop_descriptor_, POLLIN, 0}};
        if (::poll(ready, 2, -1) < 0) {
            continue;
        }
        if (ready[1].revents != 0) {
            break;
        }
        ssize_t count = ::read(descriptor_, buffer, sizeof buffer);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            break;
        }
        take({buffer, static_cast<size_t>(count)});
    }
    std::lock_guard guard(mutex_);
    ended_ = true;
    changed_.notify_all();
}

void ByteStream::take(std::string_view bytes) {
    auto now = Clock::now();
    std::lock_guard guard(mutex_);
    for (char byte : bytes) {
        if (byte == '\n') {
            if (!line_open_) {
                lines_.push_back({"", now});
            }
            line_open_ = false;
        } else if (byte != '\r' && byte != '\0') {
            if (!line_open_) {
                lines_.push_back({"", now});
                line_open_ = true;
            }
            lines_.back().text.push_back(byte);
        }
    }
    changed_.notify_all();
}

void ByteStream::send(std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t count = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            throw std::runtime_error(fmt::format("send to the machine: {}", strerror(errno)));
        }
        bytes.remove_prefix(static_cast<size_t>(count));
    }
}

std::optional<Match> ByteStream::wait_for(const std::regex& expression, Deadline deadline,
                                          size_t from_line) {
    std::unique_lock lock(mutex_);
    size_t next = from_line;
    for (;;) {
        for (; next < lines_.size(); ++next) {
            std::smatch found;
            if (std::regex_search(lines_[next].text, found, expression)) {
                return Match{
                    next, lines_[next].at, lines_[next].text, {found.begin(), found.end()}};
            }
            // The last line may still grow: look at it again when it has.
            if (next + 1 == lines_.size() && line_open_) {
                break;
            }
        }
        if (ended_ || changed_.wait_until(lock, deadline.at()) == std::cv_status::timeout) {
            return std::nullopt;
        }
    }
}

bool ByteStream::wait_for_end(Deadline deadline) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline.at(), [this] { return ended_; });
}

std::vector<Line> ByteStream::lines(size_t from_line) const {
    std::lock_guard guard(mutex_);
    if (from_line >= lines_.size()) {
        return {};
    }
    return {lines_.begin() + static_cast<long>(from_line), lines_.end()};
}

size_t ByteStream::line_count() const {
    std::lock_guard guard(mutex_);
    return lines_.size();
}

bool ByteStream::ended() const {
    std::lock_guard guard(mutex_);
    return ended_;
}

}  // namespace hawser::qemu
