// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults 17, 18 and 19: connections and targets that go while a node writes. Nothing of it becomes
// an error of the disk, and nothing that was acknowledged is lost.

#include <fmt/format.h>

#include <csignal>

#include "faults_machine.h"

using namespace hawser::qemu;

namespace {

constexpr Seconds k_limit{300};
constexpr uint64_t k_image_bytes = 64 << 20;

constexpr const char* k_session_of_fio = R"sh(
fio_work 100
say "$(counters)"
until_logged_in
hawser disconnect $(basename $S) && say "logged out"
say done
)sh";

// How many frames of the initiator's stream to this portal were cut by a reset.
size_t resets(const Capture& wire) {
    size_t count = 0;
    for (const auto& connection : wire.connections) count += connection.reset_at.has_value();
    return count;
}

}  // namespace

// tgt knows level 0 only.
TEST_CASE("fault-17-rst-in-a-write-erl0", "[fault]") {
    tell_direct("fault-17-rst-in-a-write-erl0", 2, [](DirectRun& run) {
        run.start_tgt(k_image_bytes);
        auto proxy = start_proxy(run.directory(), "proxy", run.target().port(),
                                 "byte 2000000 toward target connection 1 do reset\n");
        FaultMachineOptions options;
        options.port = proxy.port();
        options.fio = true;
        options.script = std::string("connect\n") + k_session_of_fio;
        start_fault_machine(run, options);
        play(run, {}, k_limit);
        run.machine().wait_for_end(Seconds(60));
        const double stall = judge_fio(run);
        const auto wire = judge_frames(run, proxy.port());
        run.expect_console("the session was reinstated, once", "FAULT reinstatements 1 recov");
        run.report().check("two sessions on the wire", leading_logins(wire) == 2,
                           std::to_string(leading_logins(wire)));
        run.report().check("the connection was cut by RST", resets(wire) >= 1);
        run.expect_console("a clean end", "FAULT logged out");
        note_fault(run.report(), 17, "RST in the middle of a write, ErrorRecoveryLevel 0 (tgt)",
                   stall,
                   fmt::format("{} leading logins, {} RST; fio verifies in the machine and on the "
                               "host",
                               leading_logins(wire), resets(wire)));
    });
}

TEST_CASE("fault-17-rst-in-a-write-erl2", "[fault]") {
    tell_direct("fault-17-rst-in-a-write-erl2", 2, [](DirectRun& run) {
        run.make_image(k_image_bytes);
        auto target = start_image_target(run, "", {"ErrorRecoveryLevel=2", "MaxConnections=4"});
        auto proxy = start_proxy(run.directory(), "proxy", target.port(),
                                 "byte 2000000 toward target connection 1 do reset\n");
        FaultMachineOptions options;
        options.port = proxy.port();
        options.fio = true;
        options.script = std::string("connect --ErrorRecoveryLevel 2\n") + k_session_of_fio;
        start_fault_machine(run, options);
        play(run, {}, k_limit);
        run.machine().wait_for_end(Seconds(60));
        const double stall = judge_fio(run);
        judge_peer(run, target);
        const auto wire = judge_frames(run, proxy.port());
        run.expect_console("the session lived on", "FAULT reinstatements 0 recoveries 1");
        run.report().check("one session on the wire", leading_logins(wire) == 1,
                           std::to_string(leading_logins(wire)));
        const auto reassigned = run.count_frames(proxy.port(), "iscsi.taskmanfun.function==8");
        run.report().check("its tasks were reassigned", reassigned >= 1);
        run.expect_console("a clean end", "FAULT logged out");
        note_fault(run.report(), 17, "RST in the middle of a write, ErrorRecoveryLevel 2", stall,
                   fmt::format("one session, {} frames with TASK REASSIGN; fio verifies in the "
                               "machine and on the host",
                               reassigned));
    });
}

TEST_CASE("fault-18-all-silent-for-30-s", "[fault]") {
    tell_direct("fault-18-all-silent-for-30-s", 2, [](DirectRun& run) {
        run.start_tgt(k_image_bytes);
        auto proxy = start_proxy(run.directory(), "proxy", run.target().port(), "");
        FaultMachineOptions options;
        options.port = proxy.port();
        options.noop_s = 5;
        options.fio = true;
        options.script = R"sh(
connect
fio_work 100 &
fio=$!
under_way 50
act silence
sleep 30
say "silent: $(states)"
act speak
wait $fio
say "$(counters)"
until_logged_in
hawser disconnect $(basename $S) && say "logged out"
say done
)sh";
        start_fault_machine(run, options);
        play(run,
             {{"silence", [&] { proxy.signal(SIGSTOP); }},
              {"speak", [&] { proxy.signal(SIGCONT); }}},
             k_limit);
        run.machine().wait_for_end(Seconds(60));
        const double stall = judge_fio(run);
        const auto wire = judge_frames(run, proxy.port());
        run.report().check("a stall of the silence's length", stall > 20 && stall < 90,
                           fmt::format("{:.1f} s", stall));
        run.expect_console("the session was reinstated", "FAULT reinstatements [1-9]");
        run.report().check("another session on the wire", leading_logins(wire) >= 2,
                           std::to_string(leading_logins(wire)));
        run.expect_console("a clean end", "FAULT logged out");
        note_fault(
            run.report(), 18, "all connections silent for 30 s", stall,
            fmt::format("{} leading logins, no I/O error; fio verifies in the machine and on "
                        "the host",
                        leading_logins(wire)));
    });
}

namespace {

void target_rebooted(DirectRun& run, Target& target) {
    FaultMachineOptions options;
    options.port = target.port();
    options.fio = true;
    options.script = R"sh(
connect
fio_work 100 &
fio=$!
under_way 50
act reboot
wait $fio
say "$(counters)"
until_logged_in
hawser disconnect $(basename $S) && say "logged out"
say done
)sh";
    start_fault_machine(run, options);
    play(run, {{"reboot", [&] { target.kill_and_restart(); }}}, k_limit);
    run.machine().wait_for_end(Seconds(60));
    target.stop();
    const double stall = judge_fio(run);
    const auto wire = judge_frames(run, target.port());
    const double again = *run.report().phase_at("reboot");
    size_t attentions = 0;
    for (const auto& line :
         run.frame_fields(target.port(), "iscsi.opcode==0x21 && iscsi.scsiresponse.status==2",
                          {"iscsi.scsiresponse.status"}))
        attentions += std::stod(line) - static_cast<double>(run.machine().pcap_epoch()) > again;
    run.report().check("CHECK CONDITION after the reboot: UNIT ATTENTION, absorbed",
                       attentions >= 1);
    run.expect_console("the session was reinstated", "FAULT reinstatements [1-9]");
    run.expect_console("a clean end", "FAULT logged out");
    note_fault(run.report(), 19, fmt::format("target rebooted ({})", target.kind()), stall,
               fmt::format("{} leading logins, {} CHECK CONDITION absorbed; fio verifies in the "
                           "machine and on the host",
                           leading_logins(wire), attentions));
}

}  // namespace

TEST_CASE("fault-19-target-rebooted-tgt", "[fault]") {
    tell_direct("fault-19-target-rebooted-tgt", 2,
                [](DirectRun& run) { target_rebooted(run, run.start_tgt(k_image_bytes)); });
}

// The target is a machine: its kernel goes, and what comes back is a new one.
TEST_CASE("fault-19-target-rebooted-lio", "[fault]") {
    tell_direct("fault-19-target-rebooted-lio", 2,
                [](DirectRun& run) { target_rebooted(run, run.start_lio(k_image_bytes, 0)); });
}
