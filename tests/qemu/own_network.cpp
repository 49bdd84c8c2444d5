// SPDX-License-Identifier: GPL-2.0-or-later
//
// Entering the namespace. Without privileges a user namespace comes first, in which we are who we
// are outside: files keep their owner, and what is started has no more rights than before.

#include "own_network.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace hawser::qemu {
namespace {

[[noreturn]] void refuse(const char* what) {
    throw std::runtime_error(
        fmt::format("no network of our own, so nothing is started: {}: {}. Run as root, or allow "
                    "user namespaces: sysctl kernel.unprivileged_userns_clone=1 "
                    "user.max_user_namespaces=10000 kernel.apparmor_restrict_unprivileged_userns=0 "
                    "(those that are there); in a container, its seccomp profile must allow "
                    "unshare(2)",
                    what, strerror(errno)));
}

void write_to(const char* path, const std::string& text) {
    int descriptor = ::open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0 || ::write(descriptor, text.data(), text.size()) < 0) refuse(path);
    ::close(descriptor);
}

void enter_user_namespace() {
    const auto user = ::geteuid();
    const auto group = ::getegid();
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) refuse("unshare(user and network)");
    write_to("/proc/self/setgroups", "deny");  // else the kernel takes no gid_map from us
    write_to("/proc/self/uid_map", fmt::format("{0} {0} 1", user));
    write_to("/proc/self/gid_map", fmt::format("{0} {0} 1", group));
}

}  // namespace

void enter_own_network() {
    if (::unshare(CLONE_NEWNET) != 0) {
        if (errno != EPERM) refuse("unshare(network)");
        enter_user_namespace();
    }
    int descriptor = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq loopback{};
    std::strcpy(loopback.ifr_name, "lo");
    if (descriptor < 0 || ::ioctl(descriptor, SIOCGIFFLAGS, &loopback) != 0) refuse("lo");
    loopback.ifr_flags = static_cast<short>(loopback.ifr_flags | IFF_UP);
    if (::ioctl(descriptor, SIOCSIFFLAGS, &loopback) != 0) refuse("lo up");
    ::close(descriptor);
}

}  // namespace hawser::qemu
