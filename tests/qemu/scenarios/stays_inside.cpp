// SPDX-License-Identifier: GPL-2.0-or-later
//
// No machine of ours reaches the outside: this program's network is loopback alone. What is outside
// is played here by an address on our own loopback and a listener on it; the program is started
// once more beside it, as from a shell, takes a network of its own, and its guest calls that very
// address.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "paths.h"
#include "process.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

constexpr const char* k_foreign = "192.0.2.1";  // of RFC 5737: nobody's
constexpr uint16_t k_port = 3260;

sockaddr_in foreign_address() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(k_port);
    ::inet_pton(AF_INET, k_foreign, &address.sin_addr);
    return address;
}

// What the kernel says to a connection there; 0: somebody took it.
int call_foreign() {
    int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    auto address = foreign_address();
    int failed = ::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address);
    int error = failed ? errno : 0;
    ::close(descriptor);
    return error;
}

// The interfaces that are up. (Some kernels put idle tunnels into every namespace.)
std::string interfaces() {
    int descriptor = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct if_nameindex* all = ::if_nameindex();
    std::string names;
    for (auto* each = all; each != nullptr && each->if_name != nullptr; ++each) {
        ifreq request{};
        std::snprintf(request.ifr_name, sizeof request.ifr_name, "%s", each->if_name);
        if (::ioctl(descriptor, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0)
            names += std::string(each->if_name) + " ";
    }
    ::if_freenameindex(all);
    ::close(descriptor);
    return names;
}

// The address on lo, and who waits there.
int play_outside() {
    int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    auto address = foreign_address();
    ifreq alias{};
    std::snprintf(alias.ifr_name, sizeof alias.ifr_name, "lo:1");
    std::memcpy(&alias.ifr_addr, &address, sizeof address);
    if (::ioctl(descriptor, SIOCSIFADDR, &alias) != 0 ||
        ::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(descriptor, 16) != 0) {
        throw std::runtime_error(fmt::format("{} on lo: {}", k_foreign, strerror(errno)));
    }
    return descriptor;
}

// Takes who called; how many.
unsigned callers(int listener) {
    unsigned count = 0;
    for (int caller; (caller = ::accept(listener, nullptr, nullptr)) >= 0; ++count) ::close(caller);
    return count;
}

// {0}: address, {1}: port.
constexpr const char* k_script = R"sh(
nics 0
ip route add default via 10.0.10.2
begin=$(date +%s)
nc -w 20 {0} {1} < /dev/null
say "call: $? after $(($(date +%s) - begin)) s"
)sh";

}  // namespace

// Alone it shows nothing: the outside is played by stays-inside.
TEST_CASE("guest-calls-out", "[.]") {
    tell_direct("stays-inside/guest", 1, [](DirectRun& run) {
        auto& report = run.report();
        report.check("lo alone is here", interfaces() == "lo ", interfaces());
        report.check("a foreign address is unreachable", call_foreign() == ENETUNREACH);
        run.start_tiny(fmt::format(fmt::runtime(k_script), k_foreign, k_port));
        run.machine().wait_for_end(Seconds(120));
        run.expect_console("the guest's call fails", "FAULT call: [1-9]");
        report.check("it was on the guest's wire",
                     run.count_frames(
                         k_port, fmt::format("tcp.flags.syn == 1 && ip.dst == {}", k_foreign)) > 0);
        report.check("nobody took it",
                     run.count_frames(k_port, fmt::format("tcp.flags.syn == 1 && ip.src == {}",
                                                          k_foreign)) == 0);
    });
}

TEST_CASE("stays-inside") {
    CHECK(interfaces() == "lo ");
    CHECK(call_foreign() == ENETUNREACH);
    const auto evidence = fresh_evidence_folder("stays-inside");
    const int outside = play_outside();
    CHECK(call_foreign() != ENETUNREACH);  // now there is somebody
    ::usleep(100000);
    CHECK(callers(outside) == 1);
    auto guest = run({std::filesystem::read_symlink("/proc/self/exe").string(), "guest-calls-out"},
                     Seconds(200));
    INFO(guest.output << guest.errors);
    CHECK(guest.status == 0);
    CHECK(callers(outside) == 0);
    ::close(outside);
}
