// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults 8 and 9: a secret that is wrong, at boot and under a root that runs, and a target that
// answers our challenge with what it has just heard from us.

#include <fmt/format.h>

#include "fault.h"
#include "ibft_table.h"
#include "peers.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

const TargetChap k_chap{"node-7", "swordfish-4711-long", "", ""};
constexpr const char* k_name = "iqn.2026-11.hawser:changing";

// The secret is changed under the session and then its connection is cut; the fourth refusal brings
// the old secret back.
constexpr const char* k_changing = R"(
on ScsiCommand number 40 do keys chap_secret=haddock-4711-long then reset
on LoginResponse number 4 where status_class=2 do keys chap_secret=swordfish-4711-long
)";

// {0}: the changing target, {1}: its port.
constexpr const char* k_script = R"sh(
hawser boot > /tmp/out 2> /tmp/err
say "wrong secret: status $?, $(wc -l < /tmp/err) line: $(cat /tmp/err)"
sleep 10
cat > /tmp/cmdline << end
rd.iscsi.firmware=0 rd.hawser.target={0} rd.hawser.initiator=iqn.2026-11.hawser:node
rd.hawser.portal=10.0.10.2:{1},nic=eth0 ip=10.0.10.15:::24::eth0:none
rd.iscsi.username=node-7 rd.iscsi.password=swordfish-4711-long
end
hawser boot --cmdline /tmp/cmdline > /tmp/out 2>&1 || cat /tmp/out
dd if=/dev/urandom of=/tmp/noise bs=64k count=64 2>/dev/null
dd if=/tmp/noise of=/dev/sda bs=64k oflag=direct 2>/dev/null
say "write: $?, reinstatements $(cat $S/reinstatements)"
dd if=/dev/sda bs=64k count=64 iflag=direct 2>/dev/null | cmp - /tmp/noise && say "data is right"
hawser disconnect hawser0
say done
)sh";

void judge_running(DirectRun& run, const Peer& changing) {
    auto wire = run.wire(changing.port());
    const auto answers = wire.login_answers();
    auto& report = run.report();
    run.expect_console("the root's write waits until the secret is right again",
                       "FAULT write: 0, reinstatements 1");
    run.expect_console("and nothing of it is lost", "FAULT data is right");
    report.check("four refusals under the running root, then in",
                 statuses(answers) == "0000 0201 0201 0201 0201 0000", statuses(answers));
    if (answers.size() == 6)
        report.check("no storm: the pauses grow",
                     answers[3].at - answers[2].at > 0.9 && answers[4].at - answers[3].at > 1.8,
                     fmt::format("{:.1f} s, {:.1f} s", answers[3].at - answers[2].at,
                                 answers[4].at - answers[3].at));
    report.check("the target finds no breach of the RFC", breaches_in(changing.log()).empty(),
                 breaches_in(changing.log()));
    report.set_connections(wire);
}

void wrong_secret(DirectRun& run) {
    run.start_tgt(1 << 20, k_chap);
    ScriptedTargetOptions options;
    options.directory = run.directory();
    options.log = "changing.log";
    options.name = k_name;
    options.script = k_changing;
    options.settings = {"chap_user=node-7", "chap_secret=swordfish-4711-long"};
    Peer changing = start_scripted_target(options);
    IbftTable table;
    table.target_port = run.target().port();
    table.chap = k_chap;
    table.chap.secret = "swordfish-4712-long";
    run.start_tiny(fmt::format(fmt::runtime(k_script), k_name, changing.port()),
                   "rd.hawser.timeout=30",
                   ibft_by_acpi(table.bytes(), run.directory() / "ibft.bin"));
    run.machine().serial().expect("FAULT done", Seconds(180));
    run.machine().wait_for_end(Seconds(30));
    changing.stop();
    run.expect_console("the boot ends by one line that names the cause",
                       "FAULT wrong secret: status 1, 1 line: hawser: authentication failed: "
                       ".*authentication failure");
    const auto refused = run.wire(run.target().port()).login_answers();
    size_t count = 0;
    for (const auto& answer : refused) count += answer.status == 0x201;
    run.report().check("tgt refused once, and was asked no more", count == 1 && refused.size() <= 3,
                       statuses(refused));
    judge_running(run, changing);
    const double gap = run.wire(changing.port()).longest_gap();
    note_fault(run.report(), 8, "CHAP: a wrong secret", gap,
               fmt::format("tshark: at boot {}, then no login more; under a root {}",
                           statuses(refused), statuses(run.wire(changing.port()).login_answers())));
}

// What we have just said comes back: no proof of anything.
constexpr const char* k_mirror = R"(
on LoginResponse with CHAP_R do replace CHAP_R=$CHAP_R
)";

// {0}: target name, {1}: port of the one that mirrors our response, {2}: of the one that had our
// challenge answered by ourselves, elsewhere: it says what our own secret gives.
constexpr const char* k_mutual_script = R"sh(
for port in {1} {2}; do
    cat > /tmp/cmdline << end
rd.iscsi.firmware=0 rd.hawser.target={0} rd.hawser.initiator=iqn.2026-11.hawser:node
rd.hawser.portal=10.0.10.2:$port,nic=eth0 ip=10.0.10.15:::24::eth0:none rd.hawser.timeout=15
rd.iscsi.username=node-7 rd.iscsi.password=swordfish-4711-long
rd.iscsi.in.username=storage rd.iscsi.in.password=haddock-0815-long
end
    hawser boot --cmdline /tmp/cmdline > /tmp/out 2> /tmp/err
    say "boot at $port: status $?: $(cat /tmp/err)"
done
say "disks: $(ls /sys/block | grep -c sd)"
say done
)sh";

Peer start_false_target(DirectRun& run, const std::string& log, const std::string& script,
                        const std::string& secret) {
    ScriptedTargetOptions options;
    options.directory = run.directory();
    options.log = log;
    options.script = script;
    options.settings = {"chap_user=node-7", "chap_secret=swordfish-4711-long",
                        "chap_mutual_user=storage", "chap_mutual_secret=" + secret};
    return start_scripted_target(options);
}

// Closed before any command, and not asked again and again.
size_t judge_false_target(DirectRun& run, uint16_t port) {
    const auto wire = run.wire(port);
    auto& report = run.report();
    bool answered = false;
    for (const auto& connection : wire.connections) {
        answered = answered || connection.target_keys.count("CHAP_R") != 0;
        report.check(
            "closed by us before any command",
            connection.commands == 0 && (connection.fin_from_initiator_at || connection.reset_at));
    }
    report.check("the target answered our challenge", answered);
    report.check("no storm", wire.connections.size() <= 8, std::to_string(wire.connections.size()));
    return wire.connections.size();
}

void reflected(DirectRun& run) {
    Peer mirror = start_false_target(run, "target.log", k_mirror, "haddock-0815-long");
    Peer relay = start_false_target(run, "relay.log", "", "swordfish-4711-long");
    run.start_tiny(fmt::format(fmt::runtime(k_mutual_script), "iqn.2026-11.hawser:root",
                               mirror.port(), relay.port()));
    run.machine().serial().expect("FAULT done", Seconds(150));
    run.machine().wait_for_end(Seconds(30));
    mirror.stop();
    relay.stop();
    run.expect_console("our response mirrored: the target is not authentic",
                       fmt::format("boot at {}: status 1: hawser: authentication failed: .*does "
                                   "not know the secret that it should prove",
                                   mirror.port()));
    run.expect_console("our own secret's answer: reflected",
                       fmt::format("boot at {}: status 1: hawser: authentication failed: .*it was "
                                   "reflected",
                                   relay.port()));
    run.expect_console("no disk came of either", "FAULT disks: 0");
    const size_t mirrored = judge_false_target(run, mirror.port());
    const size_t relayed = judge_false_target(run, relay.port());
    note_fault(run.report(), 9, "the target reflects our challenge", std::nullopt,
               fmt::format("tshark: CHAP_R mirrored: {} login, relayed: {} login, no command; the "
                           "console names both",
                           mirrored, relayed));
}

}  // namespace

TEST_CASE("fault-08-chap-wrong", "[fault]") {
    tell_direct("fault-08-chap-wrong", 1, wrong_secret);
}

TEST_CASE("fault-09-chap-reflected", "[fault]") {
    tell_direct("fault-09-chap-reflected", 1, reflected);
}
