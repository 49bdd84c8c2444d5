// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults 2, 3 and 15: a portal that refuses, a target that comes late, a Login that trickles.

#include <fmt/format.h>

#include <thread>

#include "fault.h"
#include "http_server.h"
#include "ibft_table.h"
#include "peers.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 16 << 20;

Arguments ibft_to(DirectRun& run, uint16_t port) {
    IbftTable table;
    table.target_port = port;
    return ibft_by_acpi(table.bytes(), run.directory() / "ibft.bin");
}

constexpr const char* k_boot_script = R"sh(
hawser boot > /tmp/out 2>&1
say "boot: $?"
tail -n 4 /tmp/out | sed 's/^/FAULT says: /'
say "states $(states)"
noise
hawser disconnect hawser0
say done
)sh";

// Connects that we began.
size_t count_connects(DirectRun& run, uint16_t port) {
    return run.count_frames(port, fmt::format("tcp.flags.syn==1 && tcp.flags.ack==0 && "
                                              "tcp.dstport=={}",
                                              port));
}

void first_refuses(DirectRun& run) {
    const uint16_t port = run.start_tgt(k_disk_bytes).port();
    const uint16_t dead = free_port();
    run.start_tiny(
        k_boot_script,
        fmt::format("rd.hawser.portal=10.0.11.2:{},nic=eth1 ip=10.0.11.15:::24::eth1:none", port),
        ibft_to(run, dead));
    run.machine().serial().expect("FAULT done", Seconds(180));
    run.machine().wait_for_end(Seconds(30));
    run.target().stop();
    auto& report = run.report();
    run.expect_console("the boot succeeds by the second portal", "FAULT boot: 0");
    run.expect_console(
        "and says which one is missing, and why",
        fmt::format("FAULT says: .*1 of 2 connections: .*{} by eth0: TCP connect failed", dead));
    run.expect_noise();
    const size_t refused = count_connects(run, dead);
    report.check("the first was tried, and not in a storm", refused >= 1 && refused <= 20,
                 std::to_string(refused));
    const auto wire = run.wire(port);
    report.check("one login at the second portal", statuses(wire.login_answers()) == "0000",
                 statuses(wire.login_answers()));
    report.set_connections(wire);
    note_fault(report, 2, "the first portal refuses", std::nullopt,
               fmt::format("tshark: {} SYNs refused at the first portal, one login at the second; "
                           "image compared on the host",
                           refused));
}

void late_target(DirectRun& run) {
    const uint16_t port = free_port();
    run.start_tgt(k_disk_bytes);
    run.start_tiny(k_boot_script,
                   fmt::format("rd.hawser.portal=10.0.11.2:{},nic=eth1 "
                               "ip=10.0.11.15:::24::eth1:none rd.hawser.timeout=180",
                               port),
                   ibft_to(run, port));
    run.machine().serial().expect("Linux version", Seconds(60));
    const double kernel = run.machine().now();
    // The fault itself: nobody is there for this long.
    std::this_thread::sleep_for(std::chrono::seconds(60));
    run.report().check("it has not given up", !run.machine().serial().find("FAULT boot"));
    Peer proxy = start_proxy(run.directory(), "proxy", run.target().port(), "", port);
    const double there = run.machine().now();
    run.machine().serial().expect("FAULT done", Seconds(180));
    run.machine().wait_for_end(Seconds(30));
    run.target().stop();
    auto& report = run.report();
    run.expect_console("the boot succeeds", "FAULT boot: 0");
    run.expect_console("both connections are in", "FAULT states LOGGED_IN LOGGED_IN LOGGED_IN");
    run.expect_noise();
    const size_t tries = count_connects(run, port);
    report.check("tried again and again, but no storm", tries >= 8 && tries <= 80,
                 std::to_string(tries));
    const auto wire = run.wire(port);
    const auto answers = wire.login_answers();
    report.check("in at the first try after it was there", statuses(answers) == "0000 0000",
                 statuses(answers));
    report.check("within the backoff's bound", !answers.empty() && answers.front().at < there + 20,
                 answers.empty() ? "no login" : fmt::format("{:.1f} s", answers[0].at - there));
    report.set_connections(wire);
    note_fault(report, 3, "all is dead, and back at 60 s",
               answers.empty() ? 0 : answers.front().at - kernel,
               fmt::format("tshark: {} SYNs in all, logged in {:.1f} s after the target came",
                           tries, answers.empty() ? 0 : answers.front().at - there));
}

// {0}: the way that hands each byte over by itself, {1}: the one that gives one byte a second.
constexpr const char* k_trickle_script = R"sh(
nics 0
hawser connect --target iqn.2026-11.hawser:root --initiator iqn.2026-11.hawser:node \
    --portal 10.0.10.2:{1},nic=eth0 --login_timeout 8 --timeout 25 > /tmp/out 2>&1
say "a byte a second: $?: $(cat /tmp/out)"
hawser connect --target iqn.2026-11.hawser:root --initiator iqn.2026-11.hawser:node \
    --portal 10.0.10.2:{0},nic=eth0 --login_timeout 60 > /tmp/out 2>&1
say "byte by byte: $?: $(cat /tmp/out)"
noise
hawser disconnect hawser0
say done
)sh";

void trickle(DirectRun& run) {
    const uint16_t port = run.start_tgt(k_disk_bytes).port();
    // Both directions, until the login is over.
    Peer bytewise = start_proxy(run.directory(), "bytewise", port,
                                "on LoginRequest do split 1 then trickle 1 5\n"
                                "on LoginResponse do split 1 then trickle 1 5\n"
                                "on ScsiCommand do trickle 1000000 1\n"
                                "on ScsiResponse do trickle 1000000 1\n"
                                "on DataIn do trickle 1000000 1\n");
    Peer slow = start_proxy(run.directory(), "slow", port, "on LoginResponse do trickle 1 1000\n");
    run.start_tiny(fmt::format(fmt::runtime(k_trickle_script), bytewise.port(), slow.port()));
    run.machine().serial().expect("FAULT done", Seconds(240));
    run.machine().wait_for_end(Seconds(30));
    run.target().stop();
    auto& report = run.report();
    run.expect_console("a byte a second ends by a clean timeout that names the Login",
                       "FAULT a byte a second: 1: hawser: no login in time: .*no answer to the "
                       "Login");
    run.expect_console("byte by byte works", "FAULT byte by byte: 0");
    run.expect_noise();
    const size_t single = run.count_frames(
        bytewise.port(), fmt::format("tcp.srcport=={} && tcp.len==1", bytewise.port()));
    report.check("the Login Response came in single bytes", single >= 48, std::to_string(single));
    const size_t tries = count_connects(run, slow.port());
    report.check("some attempts, no storm", tries >= 2 && tries <= 5, std::to_string(tries));
    const auto wire = run.wire(bytewise.port());
    report.check("one login", statuses(wire.login_answers()) == "0000",
                 statuses(wire.login_answers()));
    report.set_connections(wire);
    note_fault(report, 15, "a login at one byte a second", std::nullopt,
               fmt::format("tshark: {} one-byte segments and logged in; at 1 byte/s {} attempts, "
                           "then a timeout that names the Login",
                           single, tries));
}

}  // namespace

TEST_CASE("fault-02-first-portal-refuses", "[fault]") {
    tell_direct("fault-02-first-portal-refuses", 2, first_refuses);
}

TEST_CASE("fault-03-late-target", "[fault]") {
    tell_direct("fault-03-late-target", 2, late_target);
}

TEST_CASE("fault-15-trickle", "[fault]") {
    tell_direct("fault-15-trickle", 1, trickle);
}
