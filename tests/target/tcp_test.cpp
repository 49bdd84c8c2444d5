// SPDX-License-Identifier: GPL-2.0-or-later
//
// The programs on TCP: the engine with its POSIX host against hawser-target, and through
// hawser-proxy against that and against tgt. hawser-target exits with 1 when its judge saw a
// breach.

#include "interop.hpp"
#include "program.hpp"

namespace hawser::test {

namespace {

struct Folder {
    fs::path path = fs::temp_directory_path() / fmt::format("hawser-tcp-{}", ::getpid());
    ~Folder() { fs::remove_all(path); }
    std::string write(const std::string& name, const std::string& text) const {
        fs::create_directories(path);
        std::ofstream(path / name) << text;
        return (path / name).string();
    }
};

std::string line_to(unsigned port, const std::string& target, unsigned connections,
                    const std::string& more) {
    return fmt::format(
        "target={} initiator=iqn.2026-11.hawser:test portal=127.0.0.1:{} connections={} {}", target,
        port, connections, more);
}

constexpr const char* k_name = "iqn.2026-11.hawser:target";

void log_out(PosixHost& host) {
    host.logout();
    REQUIRE(host.run_until([&] { return host.ended(); }, 10));
    CHECK(host.end_error() == HAWSER_ERROR_NONE);
}

}  // namespace

TEST_CASE("hawser-target sees no breach, at any ErrorRecoveryLevel, with digests and without",
          "[target][tcp]") {
    const unsigned level = GENERATE(0u, 1u, 2u);
    const std::string digests = GENERATE("", "HeaderDigest=CRC32C DataDigest=CRC32C");
    Folder folder;
    Program target(
        folder.path, "hawser-target",
        {"--set", fmt::format("ErrorRecoveryLevel={}", level), "--set", "acknowledge=yes"});
    PosixHost host(
        line_to(target.port(), k_name, 4, fmt::format("ErrorRecoveryLevel={} {}", level, digests)));
    REQUIRE(host.login(20));
    check_round_trips(host, 0);
    log_out(host);
    const int status = target.end();
    INFO(target.log());
    CHECK(status == 0);
    CHECK(target.log().find("breaches 0") != std::string::npos);
}

TEST_CASE("through the proxy: what is lost within a connection comes again", "[target][tcp]") {
    Folder folder;
    Program target(folder.path, "hawser-target", {"--set", "ErrorRecoveryLevel=1"});
    const std::string script =
        folder.write("faults",
                     "on DataIn number 5 do drop\non DataIn number 12 do corrupt data\n"
                     "on ScsiResponse number 4 do drop\non DataOut number 30 do drop\n"
                     "on DataOut number 70 do corrupt data\non R2t number 3 do duplicate\n");
    Program proxy(folder.path, "hawser-proxy",
                  {"--target", fmt::format("127.0.0.1:{}", target.port()), "--script", script});
    PosixHost host(line_to(proxy.port(), k_name, 2,
                           "ErrorRecoveryLevel=1 HeaderDigest=CRC32C DataDigest=CRC32C"));
    REQUIRE(host.login(20));
    check_round_trips(host, 0);
    CHECK(host.snapshot().reinstatements == 0);
    log_out(host);
    REQUIRE(proxy.end() == 0);
    INFO(proxy.log());
    CHECK(proxy.log().find("never came to pass") == std::string::npos);
}

TEST_CASE("through the proxy: a connection that is cut is recovered", "[target][tcp]") {
    Folder folder;
    Program target(folder.path, "hawser-target", {"--set", "ErrorRecoveryLevel=2"});
    const std::string script =
        folder.write("faults", "on DataIn number 20 do reset\non DataOut number 60 do reset\n");
    Program proxy(folder.path, "hawser-proxy",
                  {"--target", fmt::format("127.0.0.1:{}", target.port()), "--script", script});
    PosixHost host(line_to(proxy.port(), k_name, 4, "ErrorRecoveryLevel=2"));
    REQUIRE(host.login(20));
    check_round_trips(host, 0);
    CHECK(host.snapshot().reinstatements == 0);
    CHECK(host.snapshot().recoveries == 2);
}

}  // namespace hawser::test
