// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults 10, 11, 12 and 16: what a target may answer to a Login. A boot by the iBFT goes on at what
// passes, with pauses that grow, stops at once at what does not, and runs on what it got.

#include <fmt/format.h>

#include "fault.h"
#include "ibft_table.h"
#include "peers.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 16 << 20;

Arguments ibft_to(DirectRun& run, uint16_t port, unsigned lun) {
    IbftTable table;
    table.target_port = port;
    table.lun = lun;
    return ibft_by_acpi(table.bytes(), run.directory() / "ibft.bin");
}

constexpr const char* k_boot_script = R"sh(
hawser boot > /tmp/out 2>&1
say "boot: $?"
tail -n 3 /tmp/out
noise
hawser disconnect hawser0
say done
)sh";

void run_to_end(DirectRun& run, Seconds limit = Seconds(180)) {
    run.machine().serial().expect("FAULT done", limit);
    run.machine().wait_for_end(Seconds(30));
}

// The time between neighbours grows, up to its bound.
void expect_growing_pauses(Report& report, const std::vector<LoginResponse>& answers) {
    std::string pauses;
    bool grows = answers.size() > 2;
    for (size_t i = 2; i < answers.size(); ++i) {
        const double before = answers[i - 1].at - answers[i - 2].at;
        const double pause = answers[i].at - answers[i - 1].at;
        pauses += fmt::format("{:.1f} ", pause);
        grows = grows && (pause > before || pause > 7);
    }
    report.check("the pauses between attempts grow", grows, pauses);
}

void busy(DirectRun& run) {
    ScriptedTargetOptions options;
    options.directory = run.directory();
    options.image = run.make_image(k_disk_bytes);
    options.script =
        "on LoginRequest number 1..5 do answer LoginResponse isid=$isid status_class=3 "
        "status_detail=1 transit=0 nsg=0\n";
    Peer target = start_scripted_target(options);
    run.start_tiny(k_boot_script, "", ibft_to(run, target.port(), 0));
    run_to_end(run);
    target.stop();
    auto& report = run.report();
    run.expect_console("the boot succeeds", "FAULT boot: 0");
    run.expect_noise();
    const auto wire = run.wire(target.port());
    const auto answers = wire.login_answers();
    report.check("five refusals, then in", statuses(answers) == "0301 0301 0301 0301 0301 0000",
                 statuses(answers));
    expect_growing_pauses(report, answers);
    report.check("the target finds no breach of the RFC", breaches_in(target.log()).empty(),
                 breaches_in(target.log()));
    report.set_connections(wire);
    const double took = answers.empty() ? 0 : answers.back().at - answers.front().at;
    note_fault(
        report, 10, "the target is busy five times", took,
        fmt::format("tshark: {}, pauses growing; image compared on the host", statuses(answers)));
}

void failing(DirectRun& run) {
    run.start_tgt(k_disk_bytes);
    Peer proxy = start_proxy(
        run.directory(), "proxy", run.target().port(),
        "on LoginResponse number 1..2 do set status_class=3 status_detail=0 transit=0 nsg=0\n"
        "on LoginResponse number 3..4 do set status_class=3 status_detail=2 transit=0 nsg=0\n");
    run.start_tiny(k_boot_script, "", ibft_to(run, proxy.port(), 1));
    run_to_end(run);
    run.target().stop();
    auto& report = run.report();
    run.expect_console("the boot succeeds", "FAULT boot: 0");
    run.expect_noise();
    const auto wire = run.wire(proxy.port());
    const auto answers = wire.login_answers();
    report.check("four refusals, then in", statuses(answers) == "0300 0300 0302 0302 0000",
                 statuses(answers));
    expect_growing_pauses(report, answers);
    report.set_connections(wire);
    const double took = answers.empty() ? 0 : answers.back().at - answers.front().at;
    note_fault(
        report, 11, "status 0300 and 0302", took,
        fmt::format("tshark: {}, pauses growing; image compared on the host", statuses(answers)));
}

constexpr const char* k_final_script = R"sh(
for i in 1 2 3; do
    hawser boot > /tmp/out 2> /tmp/err
    say "boot $i: $?: $(cat /tmp/err)"
    sleep 4
done
hawser boot > /tmp/out 2>&1
say "boot: $?"
noise
hawser disconnect hawser0
say done
)sh";

void final_errors(DirectRun& run) {
    run.start_tgt(k_disk_bytes);
    std::string script;
    for (unsigned detail : {3u, 5u, 6u})
        script += fmt::format(
            "on LoginResponse number {} do set status_class=2 status_detail={} transit=0 nsg=0\n",
            detail == 3 ? 1 : detail - 3, detail);
    Peer proxy = start_proxy(run.directory(), "proxy", run.target().port(), script);
    run.start_tiny(k_final_script, "", ibft_to(run, proxy.port(), 1));
    run_to_end(run);
    run.target().stop();
    auto& report = run.report();
    run.expect_console("0203 by name", "FAULT boot 1: 1: hawser: target unknown: .*0203");
    run.expect_console("0205 by name", "FAULT boot 2: 1: hawser: login refused: .*version .0205");
    run.expect_console("0206 by name",
                       "FAULT boot 3: 1: hawser: login refused: .*no further connection .0206");
    run.expect_console("and the fourth boot is let in", "FAULT boot: 0");
    run.expect_noise();
    const auto wire = run.wire(proxy.port());
    const auto answers = wire.login_answers();
    report.check("one login for each", statuses(answers) == "0203 0205 0206 0000",
                 statuses(answers));
    report.set_connections(wire);
    note_fault(report, 12, "status 0203, 0205 and 0206", std::nullopt,
               fmt::format("tshark: {}, one login each; the console names three causes",
                           statuses(answers)));
}

// {0}: port.
constexpr const char* k_second_script = R"sh(
hawser boot > /tmp/out 2>&1
say "boot: $?"
grep -E "connections" /tmp/out | sed 's/^/FAULT says: /'
say "states $(states)"
noise
n=0
until [ "$(cat $S/connection1/state)" = LOGGED_IN ] || [ $n = 90 ]; do
    sleep 1
    n=$((n + 1))
done
say "later $(states)"
hawser disconnect hawser0
say done
)sh";

void second_refused(DirectRun& run) {
    ScriptedTargetOptions options;
    options.directory = run.directory();
    options.image = run.make_image(k_disk_bytes);
    options.settings = {"MaxConnections=4"};
    for (const auto& [numbers, detail] : {std::pair{"1..3", 6}, std::pair{"4..6", 8}})
        options.script += fmt::format(
            "on LoginRequest number {} where cid=1 do answer LoginResponse isid=$isid "
            "status_class=2 status_detail={} transit=0 nsg=0\n",
            numbers, detail);
    Peer target = start_scripted_target(options);
    run.start_tiny(
        k_second_script,
        fmt::format("rd.hawser.portal=10.0.11.2:{},nic=eth1 ip=10.0.11.15:::24::eth1:none",
                    target.port()),
        ibft_to(run, target.port(), 0));
    run_to_end(run);
    target.stop();
    auto& report = run.report();
    run.expect_console("the boot succeeds", "FAULT boot: 0");
    const auto said = run.expect_console("and says that it has one connection of two, and why",
                                         "FAULT says: .*1 of 2 connections: .*(0206|0208)");
    run.expect_console("it runs on one", "FAULT states LOGGED_IN LOGGED_IN [A-Z_]+ $");
    run.expect_noise();
    run.expect_console("the second joins when it may", "FAULT later LOGGED_IN LOGGED_IN LOGGED_IN");
    const auto wire = run.wire(target.port());
    const auto answers = wire.login_answers();
    report.check("the second was refused six times, then in",
                 statuses(answers) == "0000 0206 0206 0206 0208 0208 0208 0000", statuses(answers));
    report.check("the target finds no breach of the RFC", breaches_in(target.log()).empty(),
                 breaches_in(target.log()));
    report.set_connections(wire);
    note_fault(report, 16, "the second connection is refused", std::nullopt,
               fmt::format("tshark: {}; the console: {}; image compared on the host",
                           statuses(answers), said.substr(12, said.find(": 10.") - 12)));
}

}  // namespace

TEST_CASE("fault-10-busy", "[fault]") {
    tell_direct("fault-10-busy", 1, busy);
}

TEST_CASE("fault-11-target-error", "[fault]") {
    tell_direct("fault-11-target-error", 1, failing);
}

TEST_CASE("fault-12-final", "[fault]") {
    tell_direct("fault-12-final", 1, final_errors);
}

TEST_CASE("fault-16-second-refused", "[fault]") {
    tell_direct("fault-16-second-refused", 2, second_refused);
}
