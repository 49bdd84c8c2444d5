// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults 23, 24 and 25: what a target says on its own account: asynchronous messages, a command
// window that shuts, a disk that has another size.

#include <fmt/format.h>

#include <csignal>
#include <sstream>

#include "faults_machine.h"

using namespace hawser::qemu;

namespace {

constexpr Seconds k_limit{300};
constexpr uint64_t k_image_bytes = 64 << 20;

void run_story(DirectRun& run, Peer& target, const std::string& script) {
    FaultMachineOptions options;
    options.port = target.port();
    options.script = script + "say done\n";
    start_fault_machine(run, options);
    play(run, {{"next", [&] { target.signal(SIGUSR1); }}}, k_limit);
    run.machine().wait_for_end(Seconds(60));
}

constexpr const char* k_events = R"sh(
connect
writer
for event in 1 2 3 4; do
    under_way 3
    act next
    sleep 8
    until_logged_in
    say "event $event: $(counters) $(states)"
done
end_writer
hawser disconnect $(basename $S) && say "logged out"
)sh";

}  // namespace

TEST_CASE("fault-23-asynchronous-messages", "[fault]") {
    tell_direct("fault-23-asynchronous-messages", 2, [](DirectRun& run) {
        run.make_image(k_image_bytes);
        // By the connection with CID 1, which is the target's third after it was asked to log out:
        // of a drop of another one Hawser takes note, and waits for its EOF.
        const char* messages[] = {
            "connection 1 do send AsyncMessage event=1 parameter3=5",
            "connection 2 do send AsyncMessage event=2 parameter1=1 parameter2=2 parameter3=20",
            "do send AsyncMessage event=3 parameter2=3 parameter3=20",
            "do send AsyncMessage event=4 parameter3=5"};
        std::string script;
        for (int i = 0; i < 4; ++i)
            script += fmt::format("on ScsiCommand after {} number 1 {}\n", i + 1, messages[i]);
        auto target = start_image_target(run, script);
        run_story(run, target, k_events);
        judge_peer(run, target);
        const double stall = judge_writer(run);
        const auto wire = judge_frames(run, target.port());
        run.expect_console("1: the session lives on",
                           "FAULT event 1: reinstatements 0 .*LOGGED_IN");
        run.expect_console("2: a connection dropped costs the session at level 0",
                           "FAULT event 2: reinstatements 1 .*LOGGED_IN");
        run.expect_console("3: so does the session dropped",
                           "FAULT event 3: reinstatements 2 .*LOGGED_IN");
        run.expect_console("4: the session lives on",
                           "FAULT event 4: reinstatements 2 .*LOGGED_IN");
        const auto events = run.count_frames(target.port(), "iscsi.opcode==0x32");
        run.report().check("four messages on the wire", events == 4, std::to_string(events));
        run.report().check("4 is answered by a Text Request, or by Logout",
                           run.count_frames(target.port(), "iscsi.opcode==0x04") +
                                   run.count_frames(target.port(), "iscsi.opcode==0x06") >=
                               2);
        run.report().check("three sessions on the wire", leading_logins(wire) == 3,
                           std::to_string(leading_logins(wire)));
        run.expect_console("a clean end", "FAULT logged out");
        note_fault(run.report(), 23, "asynchronous messages 1, 2, 3, 4", stall,
                   fmt::format("{} leading logins; the target's judge holds rules 28-30: no breach",
                               leading_logins(wire)));
    });
}

namespace {

struct Window {
    size_t commands = 0;
    size_t past = 0;      // commands beyond what had been granted
    double shut_for = 0;  // the longest time without a command
};

// The PDUs of a frame that carry a CmdSN: all of ours but Data-Out and SNACK.
std::vector<std::string> numbered_kinds(const std::string& opcodes) {
    std::vector<std::string> kinds;
    std::istringstream list(opcodes);
    for (std::string one; std::getline(list, one, ',');)
        if (one != "0x05" && one != "0x10") kinds.push_back(one);
    return kinds;
}

// CmdSN of each command against the highest MaxCmdSN that had come by then, on any connection.
Window judge_window(DirectRun& run, uint16_t port) {
    Window seen;
    long long granted = -1;
    double last = 0;
    for (const auto& line : run.frame_fields(port, "iscsi.cmdsn || iscsi.maxcmdsn",
                                             {"iscsi.opcode", "iscsi.cmdsn", "iscsi.maxcmdsn"})) {
        std::istringstream fields(line);
        std::string at, opcodes, cmd_sns, max_cmd_sns;
        std::getline(fields, at, '\t');
        std::getline(fields, opcodes, '\t');
        std::getline(fields, cmd_sns, '\t');
        std::getline(fields, max_cmd_sns, '\t');
        std::istringstream maxima(max_cmd_sns);
        for (std::string one; std::getline(maxima, one, ',');)
            granted = std::max(granted, std::stoll(one, nullptr, 0));
        const auto kinds = numbered_kinds(opcodes);
        std::istringstream numbers(cmd_sns);
        bool commands = false;
        size_t seen_in_frame = 0;
        for (std::string one; std::getline(numbers, one, ',');) {
            const size_t index = seen_in_frame++;
            if (index >= kinds.size() || kinds[index] != "0x01") continue;
            commands = true;
            seen.commands++;
            seen.past += std::stoll(one, nullptr, 0) > granted;
        }
        if (!commands) continue;
        if (last != 0) seen.shut_for = std::max(seen.shut_for, std::stod(at) - last);
        last = std::stod(at);
    }
    return seen;
}

constexpr const char* k_window = R"sh(
connect
writer
under_way 5
act next
sleep 20
say "shut: $(cat $S/exp_cmd_sn) $(cat $S/max_cmd_sn)"
act next
under_way 5
end_writer
say "$(counters)"
hawser disconnect $(basename $S) && say "logged out"
)sh";

}  // namespace

TEST_CASE("fault-24-window-shut-for-20-s", "[fault]") {
    tell_direct("fault-24-window-shut-for-20-s", 2, [](DirectRun& run) {
        run.make_image(k_image_bytes);
        auto target =
            start_image_target(run, "signal 1 do window 0\nsignal 2 do window 32\n", {"window=4"});
        run_story(run, target, k_window);
        judge_peer(run, target);
        const double stall = judge_writer(run);
        judge_frames(run, target.port());
        const auto window = judge_window(run, target.port());
        run.report().check("commands on the wire", window.commands > 10,
                           std::to_string(window.commands));
        run.report().check("nothing is sent past MaxCmdSN", window.past == 0,
                           std::to_string(window.past));
        run.report().check("no command for most of the 20 s", window.shut_for > 14,
                           fmt::format("{:.1f} s", window.shut_for));
        run.expect_console("the session lives on", "FAULT reinstatements 0 recoveries 0");
        run.expect_console("a clean end", "FAULT logged out");
        note_fault(run.report(), 24, "window shut for 20 s", stall,
                   fmt::format("{} commands, {} past MaxCmdSN, none for {:.1f} s", window.commands,
                               window.past, window.shut_for));
    });
}

namespace {

// The block device's size in sectors, as the kernel has it; nobody asks for a rescan.
constexpr const char* k_resizes = R"sh(
connect
say "at first $(cat $block/size)"
writer
until_size() {
    n=0
    until [ $(cat $block/size) = $1 ] || [ $n = 100 ]; do usleep 200000; n=$((n + 1)); done
}
under_way 3
act next
until_size 131072
say "grown to $(cat $block/size)"
act next
under_way 10
sleep 3
say "after the shrink $(cat $block/size)"
end_writer
say "$(counters)"
hawser disconnect $(basename $S) && say "logged out"
)sh";

}  // namespace

TEST_CASE("fault-25-lun-grown", "[fault]") {
    tell_direct("fault-25-lun-grown", 2, [](DirectRun& run) {
        run.make_image(k_image_bytes);
        auto target = start_image_target(
            run, "at 0 do resize 32\nsignal 1 do resize 64\nsignal 2 do resize 48\n");
        run_story(run, target, k_resizes);
        judge_peer(run, target);
        const double stall = judge_writer(run);
        judge_frames(run, target.port());
        run.expect_console("32 MiB at first", "FAULT at first 65536");
        run.expect_console("64 MiB are seen without a rescan", "FAULT grown to 131072");
        run.expect_console("a shrink is not applied", "FAULT after the shrink 131072");
        run.expect_console("and refused loudly", "THE DISK HAS SHRUNK");
        run.expect_console("the session lives on", "FAULT reinstatements 0 recoveries 0");
        run.expect_console("a clean end", "FAULT logged out");
        note_fault(
            run.report(), 25, "LUN grown by UNIT ATTENTION 2A/09, then shrunk", stall,
            "32 to 64 MiB seen without a rescan; the shrink refused on the console; data the "
            "same");
    });
}
