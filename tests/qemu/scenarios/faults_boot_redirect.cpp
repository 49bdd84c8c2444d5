// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults 13 and 14: a target that sends the login elsewhere, for now or for ever, and two that send
// it to each other. All of them are tgt.

#include <fmt/format.h>

#include "fault.h"
#include "ibft_table.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 16 << 20;

std::unique_ptr<Target> sender(DirectRun& run, const std::string& log) {
    TargetOptions options;
    options.directory = run.directory();
    options.log = log;
    return make_tgt(options);
}

Arguments ibft_to(DirectRun& run, uint16_t port) {
    IbftTable table;
    table.target_port = port;
    return ibft_by_acpi(table.bytes(), run.directory() / "ibft.bin");
}

// The first boot is by the iBFT, the second by the command line. Each time the session is lost: the
// host kills the target when it is asked to. {0}: the port of the one that moved for ever.
constexpr const char* k_script = R"sh(
survive() {{
    dd if=/tmp/noise of=/dev/sda bs=64k oflag=direct 2>/dev/null
    say "kill it $1"
    until [ "$(cat $S/reinstatements)" != 0 ]; do sleep 1; done
    dd if=/dev/sda bs=64k count=64 iflag=direct 2>/dev/null | cmp - /tmp/noise && say "$1: same"
    hawser disconnect $(basename $S)
}}
dd if=/dev/urandom of=/tmp/noise bs=64k count=64 2>/dev/null
hawser boot > /tmp/out 2>&1
say "boot by 0101: $?"
survive 0101
cat > /tmp/cmdline << end
rd.iscsi.firmware=0 rd.hawser.target=iqn.2026-11.hawser:root
rd.hawser.initiator=iqn.2026-11.hawser:node rd.hawser.portal=10.0.10.2:{0},nic=eth0
ip=10.0.10.15:::24::eth0:none
end
hawser boot --cmdline /tmp/cmdline > /tmp/out 2>&1
say "boot by 0102: $?"
S=/sys/bus/hawser/devices/$(ls /sys/bus/hawser/devices | tail -n 1)
survive 0102
say done
)sh";

void redirected(DirectRun& run) {
    auto& there = run.start_tgt(k_disk_bytes);
    auto for_now = sender(run, "for-now.log");
    auto for_ever = sender(run, "for-ever.log");
    for_now->redirect({"10.0.10.2", there.port(), false});
    for_ever->redirect({"10.0.10.2", there.port(), true});
    run.start_tiny(fmt::format(fmt::runtime(k_script), for_ever->port()), "",
                   ibft_to(run, for_now->port()));
    for (const char* status : {"0101", "0102"}) {
        run.machine().serial().expect(fmt::format("FAULT kill it {}", status), Seconds(120));
        there.kill_and_restart();
    }
    run.machine().serial().expect("FAULT done", Seconds(120));
    run.machine().wait_for_end(Seconds(30));
    auto& report = run.report();
    for (const char* status : {"0101", "0102"}) {
        run.expect_console(fmt::format("a boot by {}", status),
                           fmt::format("FAULT boot by {}: 0", status));
        run.expect_console("its data after the session was lost",
                           fmt::format("FAULT {}: same", status));
    }
    const auto now = run.wire(for_now->port());
    const auto ever = run.wire(for_ever->port());
    const auto wire = run.wire(there.port());
    report.check("0101 is forgotten: asked again after the loss",
                 statuses(now.login_answers()) == "0101 0101", statuses(now.login_answers()));
    report.check("0102 is remembered: not asked again", statuses(ever.login_answers()) == "0102",
                 statuses(ever.login_answers()));
    report.check("four logins where it was sent to", wire.logged_in().connections.size() == 4,
                 statuses(wire.login_answers()));
    report.set_connections(wire);
    note_fault(report, 13, "redirect 0101 and 0102", wire.longest_gap(),
               fmt::format("tshark, tgt: asked at first {}, then {}; logged in elsewhere {} times",
                           statuses(now.login_answers()), statuses(ever.login_answers()),
                           wire.logged_in().connections.size()));
}

constexpr const char* k_loop_script = R"sh(
hawser boot > /tmp/out 2> /tmp/err
say "boot: $?: $(cat /tmp/err)"
sleep 5
say done
)sh";

void loop(DirectRun& run) {
    auto& first = run.start_tgt(0);
    auto second = sender(run, "second.log");
    first.redirect({"10.0.10.2", second->port(), false});
    second->redirect({"10.0.10.2", first.port(), false});
    run.start_tiny(k_loop_script, "rd.hawser.timeout=20", ibft_to(run, first.port()));
    const auto kernel = run.machine().serial().expect("Linux version", Seconds(60));
    run.machine().serial().expect("FAULT done", Seconds(120));
    run.machine().wait_for_end(Seconds(30));
    auto& report = run.report();
    const auto ended = run.machine().serial().expect("FAULT boot", Seconds(1));
    run.expect_console("the boot fails and says why",
                       "FAULT boot: 1: hawser: .*redirects the login again and again");
    const double took = run.machine().seconds(ended.at) - run.machine().seconds(kernel.at);
    report.check("within its time", took < 60, fmt::format("{:.1f} s", took));
    const auto answers = run.wire(first.port()).login_answers();
    const auto others = run.wire(second->port()).login_answers();
    size_t redirects = 0;
    for (const auto* list : {&answers, &others})
        for (const auto& answer : *list) redirects += answer.status == 0x101;
    report.check("all of them are redirects", redirects == answers.size() + others.size());
    // Eight in a row are followed, then there is a pause that grows: 0.5 s, 1, 2, 4, 8.
    report.check("bounded", redirects >= 9 && redirects <= 63, std::to_string(redirects));
    const auto after = run.wire(first.port()).login_requests_after(run.machine().seconds(ended.at));
    report.check("none after the end", after == 0, std::to_string(after));
    note_fault(report, 14, "a loop of redirects", std::nullopt,
               fmt::format("tshark: {} redirects in {:.0f} s in rounds of nine, then a named error",
                           redirects, took));
}

}  // namespace

TEST_CASE("fault-13-redirect", "[fault]") {
    tell_direct("fault-13-redirect", 1, redirected);
}

TEST_CASE("fault-14-redirect-loop", "[fault]") {
    tell_direct("fault-14-redirect-loop", 1, loop);
}
