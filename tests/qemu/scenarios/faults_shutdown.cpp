// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults 26, 27, 28 and 30: what can go wrong while a node leaves. The disk carries ext4, it is
// written until the end; what is clean on the wire is the doing of the driver's own shutdown.

#include <fmt/format.h>

#include <csignal>

#include "faults_machine.h"

using namespace hawser::qemu;

namespace {

constexpr Seconds k_limit{240};

struct Leaving {
    std::string script;  // from the mounted disk on
    unsigned nics = 2;
    unsigned noop_s = 30;
    std::string options{};  // of connect
};

// The machine's end, and when it was: seconds after the script's last word.
double leave(DirectRun& run, Peer& target, const Leaving& how) {
    FaultMachineOptions options;
    options.port = target.port();
    options.nics = how.nics;
    options.noop_s = how.noop_s;
    options.ext4 = true;
    options.script =
        fmt::format("connect {}\nmount_disk\n{}\npoweroff -f -n\n", how.options, how.script);
    start_fault_machine(run, options);
    play(run, {{"arm", [&] { target.signal(SIGUSR1); }}, {"kill", [&] { target.kill(); }}},
         k_limit);
    const double asked = run.machine().now();
    run.report().phase("power-off asked", asked);
    const auto reason = run.machine().wait_for_end(Seconds(150));
    run.report().phase("machine off", run.machine().now());
    run.report().check("the machine switched itself off", reason == "guest-shutdown", reason);
    return run.machine().now() - asked;
}

Peer start_target(DirectRun& run, const std::string& script) {
    make_ext4(run.make_image(64 << 20));
    return start_image_target(run, script);
}

constexpr const char* k_unmount = "write_file\nact arm\nsay done\numount /mnt && say unmounted\n";
constexpr const char* k_unmount_first =
    "write_file\numount /mnt && say unmounted\nact arm\nsay done\n";

}  // namespace

TEST_CASE("fault-26-target-restarts-in-unmount", "[fault]") {
    tell_direct("fault-26-target-restarts-in-unmount", 2, [](DirectRun& run) {
        auto target = start_target(
            run, "on ScsiCommand after 1 number 1 where cdb=0x35 do drop then restart\n");
        const double end = leave(run, target, {.script = k_unmount});
        judge_peer(run, target);
        const auto wire = judge_frames(run, target.port());
        run.expect_console("the unmount went through", "FAULT unmounted");
        run.report().check("the session was reinstated", leading_logins(wire) == 2,
                           std::to_string(leading_logins(wire)));
        judge_clean_leave(run, wire);
        judge_file_system(run);
        note_fault(
            run.report(), 26, "target restarts on the unmount's SYNCHRONIZE CACHE", end,
            fmt::format("{} leading logins, then SYNCHRONIZE CACHE and Logout; off in {:.1f} "
                        "s; e2fsck clean",
                        leading_logins(wire), end));
    });
}

// The unmount is over; sd's own SYNCHRONIZE CACHE hangs in the target, and so does a NOP-Out.
TEST_CASE("fault-27-nop-unanswered-in-last-sync", "[fault]") {
    tell_direct("fault-27-nop-unanswered-in-last-sync", 1, [](DirectRun& run) {
        auto target = start_target(run,
                                   "on ScsiCommand after 1 number 1 where cdb=0x35 do hang\n"
                                   "on NopIn after 1 number 1 do drop\n");
        const double end = leave(run, target, {.script = k_unmount_first, .nics = 1, .noop_s = 5});
        judge_peer(run, target);
        const auto wire = judge_frames(run, target.port());
        run.expect_console("the unmount went through", "FAULT unmounted");
        run.report().check("the connection was given up and the session reinstated",
                           leading_logins(wire) >= 2, std::to_string(leading_logins(wire)));
        judge_clean_leave(run, wire);
        judge_file_system(run);
        note_fault(
            run.report(), 27, "NOP-In unanswered during the last sync", end,
            fmt::format("reinstated in shutdown, SYNCHRONIZE CACHE again, then Logout; off in "
                        "{:.1f} s; e2fsck clean",
                        end));
    });
}

namespace {

constexpr unsigned k_grace_s = 15;

// What the end of the grace means: every write that was held fails, and ext4 says what it lost.
constexpr const char* k_lost_writes =
    "I/O error, dev sda, sector [0-9]+ op 0x1:\\(WRITE\\)|"
    "Buffer I/O error on dev sda, logical block [0-9]+, lost a?sync page write|"
    "Buffer I/O error on device sda, logical block [0-9]+|"
    "EXT4-fs warning .device sda.: ext4_end_bio:[0-9]+: I/O error 10 writing to inode|"
    "EXT4-fs .sda.: I/O error while writing superblock|"
    "JBD2: I/O error when updating journal superblock for sda-8";

void target_gone(DirectRun& run, const std::string& script) {
    auto target = start_target(run, "");
    const double end =
        leave(run, target, {.script = script, .options = fmt::format("--grace {}", k_grace_s)});
    judge_frames(run, target.port());
    // Emulated processors are slow, and sd's own SYNCHRONIZE CACHE comes before the session's end.
    run.report().check("off within the grace and little more", end < 2 * k_grace_s + 20,
                       fmt::format("{:.1f} s", end));
    const auto loud = run.expect_console("and loud: it is not clean", "THE DISK WAS NOT FLUSHED");
    const auto over = run.machine().serial().find("every command fails from now on");
    const auto error = run.machine().serial().find("I/O error");
    run.report().check("no write fails before the grace is over",
                       over && (!error || error->line > over->line), error ? error->text : "");
    run.expect_console("no Logout is claimed", "no Logout from");
    run.report().check("nor told",
                       !run.machine().serial().find("hawser.*: logged out of").has_value());
    note_fault(run.report(), 28, "target gone for good", end,
               fmt::format("off {:.1f} s after, grace {} s; console: {}", end, k_grace_s, loud));
}

}  // namespace

// Writes that the target took, in a cache that nobody flushed.
TEST_CASE("fault-28-target-gone-dirty-cache", "[fault]") {
    tell_direct(
        "fault-28-target-gone-dirty-cache", 2,
        [](DirectRun& run) {
            target_gone(run,
                        "dd if=/tmp/noise of=/mnt/data bs=64k oflag=direct 2>/dev/null\nact kill\n"
                        "umount /mnt &\nsleep 1\nsay done\n");
        },
        k_lost_writes);
}

// All is flushed (sync writes ext4's own blocks last, and does not flush those), but what is
// written over the file then never reaches the target. A file that is there already: for a new one
// ext4 would read, and the writer would wait before its first write.
TEST_CASE("fault-28-target-gone-held-writes", "[fault]") {
    tell_direct(
        "fault-28-target-gone-held-writes", 2,
        [](DirectRun& run) {
            target_gone(
                run,
                "write_file\nsync\n"
                "dd if=/dev/null of=$disk conv=notrunc,fsync 2>/dev/null && say flushed\nact kill\n"
                "dd if=/tmp/noise of=/mnt/data bs=64k count=16 conv=notrunc 2>/dev/null &\n"
                "sleep 1\numount /mnt &\nsleep 3\nsay held $(cat $S/held)\nsay done\n");
            run.expect_console("all was flushed before", "FAULT flushed");
            run.expect_console("writes are held", "FAULT held [1-9]");
        },
        k_lost_writes);
}

namespace {

void logout_fault(DirectRun& run, const std::string& script, const std::string& what) {
    auto target = start_target(run, script);
    const double end = leave(run, target, {.script = k_unmount_first});
    judge_peer(run, target);
    const auto wire = judge_frames(run, target.port());
    run.expect_console("the unmount went through", "FAULT unmounted");
    bool asked = false, closed = true;
    double sync = 0, command = 0;
    for (const auto& connection : wire.logged_in().connections) {
        asked = asked || connection.logout_request_at;
        closed = closed && (connection.fin_from_initiator_at || connection.reset_at);
        for (double at : connection.cache_syncs) sync = std::max(sync, at);
        command = std::max(command, connection.last_command_at.value_or(0));
    }
    run.report().check("the last command is SYNCHRONIZE CACHE", sync > 0 && sync >= command);
    run.report().check("Logout was asked for", asked);
    run.report().check("each connection was closed", closed);
    run.report().check("off within Logout's timeout and little more", end < 45,
                       fmt::format("{:.1f} s", end));
    judge_file_system(run);
    note_fault(run.report(), 30, what, end,
               fmt::format("flushed before, closed by us, off in {:.1f} s; e2fsck clean", end));
}

}  // namespace

TEST_CASE("fault-30-logout-unanswered", "[fault]") {
    tell_direct("fault-30-logout-unanswered", 2, [](DirectRun& run) {
        logout_fault(run, "on LogoutRequest after 1 do drop\n", "Logout unanswered");
    });
}

TEST_CASE("fault-30-logout-refused", "[fault]") {
    tell_direct("fault-30-logout-refused", 2, [](DirectRun& run) {
        logout_fault(run, "on LogoutResponse after 1 do set response=3\n", "Logout refused with 3");
    });
}
