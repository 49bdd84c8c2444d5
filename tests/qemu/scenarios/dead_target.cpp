// SPDX-License-Identifier: GPL-2.0-or-later
//
// The root disk's target dies for good while a whole system goes down, or before. All that lives on
// that disk hangs, process 1 with it; the machine is off within the bound all the same, and the
// console says that the disk was not flushed.

#include <fmt/format.h>

#include <thread>

#include "direct_node.h"
#include "faults_machine.h"
#include "paths.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

namespace fs = std::filesystem;

constexpr unsigned k_grace_s = 25;
constexpr unsigned k_spare_s = 10;  // to notice the loss, and for the kernel's own way down
constexpr uint64_t k_root_bytes = 128 << 20;

// What the end of the grace means for all that still waits, and what ext4 says to that.
constexpr const char* k_lost_disk = "I/O error|EXT4-fs|Remounting filesystem read-only";

std::string grace() {
    return fmt::format("rd.hawser.option=grace={}", k_grace_s);
}

// The target has just died, and the machine is asked, or was, to go down.
void judge_dead_end(Machine& machine, Report& report, unsigned grace_s = k_grace_s,
                    const std::string& how = "guest-shutdown") {
    const double died = machine.now();
    report.phase("target dead", died);
    const auto reason = machine.wait_for_end(Seconds(grace_s + 60));
    const double took = machine.now() - died;
    report.phase("machine off", machine.now());
    report.set("off_after_s", took);
    report.check("the machine ended by " + how, reason == how, reason);
    report.check("off within the bound", took < grace_s + k_spare_s, fmt::format("{:.1f} s", took));
    report.check("the console says loudly that the disk was not flushed",
                 machine.serial().find("THE DISK WAS NOT FLUSHED").has_value());
    report.check("no Logout is claimed", !machine.serial().find("hawser.*: logged out of"));
    fmt::print("off {:.1f} s after the target's death\n", took);
}

void tell_systemd(const std::string& name, const std::function<void(Scenario&)>& leave) {
    tell(
        {.name = name, .arguments = grace()},
        [&](Scenario& run) {
            run.boot();
            run.write_and_compare();  // and the cache is empty after that
            run.shell().run_checked("head -c 1000000 /dev/urandom > /root/dirty", Seconds(120));
            leave(run);
            judge_dead_end(run.machine(), run.report());
            run.report().check(
                "the driver did it",
                run.machine().serial().find("the root disk is lost: power-off").has_value());
        },
        k_lost_disk);
}

void tell_other(const std::string& name, const std::function<void(DirectRun&)>& start) {
    tell_direct(
        name, 2,
        [&](DirectRun& run) {
            start(run);
            start_node(run, {.name = run.name(), .arguments = grace()});
            run.machine().serial().expect("LEAVING", Seconds(300));
            std::this_thread::sleep_for(std::chrono::seconds(1));  // it has begun
            run.target().kill();
            judge_dead_end(run.machine(), run.report());
        },
        k_lost_disk);
}

// No system, nothing but the driver: for kernels that a system would be too much for.
constexpr const char* k_given_up = R"sh(
connect --grace 8
writer
under_way
echo leave then=reboot > /dev/hawser
act kill
say done
wait
)sh";

// A target that is away for less than the grace, or while nobody leaves, is waited for.
constexpr const char* k_living = R"sh(
ask() {
    exec 3<>/dev/hawser
    if echo "$1" >&3; then word=answer; else word=refused; fi
    read -r answer <&3
    say "$word: $answer; leaving $(cat /sys/devices/hawser/leaving)"
    exec 3>&-
}
connect --grace 5
writer
under_way
ask "leave now"
ask "leave then=reboot"
sleep 12
under_way
act away
sleep 3
act back
under_way
ask "stay away"
ask stay
act away
sleep 9
act back
under_way
end_writer
hawser disconnect hawser0 && say "logged out"
say done
poweroff -f -n
)sh";

}  // namespace

// Process 1 hangs in the lookup of the first program that it wants to run.
TEST_CASE("dead-target-while-leaving") {
    tell_systemd("dead-target-while-leaving", [](Scenario& run) {
        run.shell().send_only("systemctl poweroff");
        run.machine().serial().expect("Stopp(ing|ed)", Seconds(60));
        run.target().kill();
    });
}

// Nothing can be started any more: a shell that lives has its own echo.
TEST_CASE("dead-target-before-leaving", "[more]") {
    tell_systemd("dead-target-before-leaving", [](Scenario& run) {
        run.target().kill();
        run.shell().send_only("echo leave then=poweroff > /dev/hawser");
    });
}

TEST_CASE("dead-target-busybox-init") {
    tell_other("dead-target-busybox-init", [](DirectRun& run) {
        const auto folder = run.directory() / "root";
        make_busybox_root(
            folder,
            "::sysinit:/etc/rc\n"
            "::once:/bin/sh -c 'sleep 3; echo LEAVING > /dev/console; exec poweroff'\n",
            "mount -t proc proc /proc 2>/dev/null\n"
            "(while :; do echo still here; usleep 10000; done) > /root/log &\n");
        run_checked({(build_folder() / "../shutdown-hooks/busybox-init/install").string(),
                     folder.string()});
        run.start_tgt(k_root_bytes);
        make_root_disk(folder, run.image());
        fs::remove_all(folder);
    });
}

TEST_CASE("dead-target-sysvinit", "[more][root-sysvinit]") {
    tell_other("dead-target-sysvinit", [](DirectRun& run) {
        run.start_tgt_on(images_folder() / "sysvinit.img");
    });
}

TEST_CASE("leaving-target-lives") {
    tell_direct("leaving-target-lives", 2, [](DirectRun& run) {
        auto& target = run.start_tgt(64 << 20);
        start_fault_machine(run, {.port = target.port(), .script = k_living});
        play(run, {{"away", [&] { target.kill(); }}, {"back", [&] { target.restart(); }}},
             Seconds(180));
        run.machine().wait_for_end(Seconds(60));
        run.expect_console("a bad end is refused by name", "refused: leave: \"now\".*; leaving no");
        run.expect_console("the end is told", "answer: leaving then=reboot; leaving then=reboot");
        run.expect_console("so is what stay does not take", "refused: stay: \"away\"");
        run.expect_console("it is taken back", "answer: staying; leaving no");
        judge_writer(run);
        run.expect_console("a clean end", "FAULT logged out");
        const auto wire = judge_frames(run, target.port());
        run.report().check("both absences were losses of the session", leading_logins(wire) == 3,
                           std::to_string(leading_logins(wire)));
        run.report().check("nothing was given up",
                           !run.machine().serial().find("every command fails"));
    });
}

TEST_CASE("dead-target-given-up") {
    tell_direct(
        "dead-target-given-up", 2,
        [](DirectRun& run) {
            auto& target = run.start_tgt(64 << 20);
            start_fault_machine(run, {.port = target.port(), .script = k_given_up});
            play(run, {{"kill", [&] { target.kill(); }}}, Seconds(180));
            judge_dead_end(run.machine(), run.report(), 8, "guest-reset");
            run.expect_console("the driver did it", "the root disk is lost: reboot");
        },
        k_lost_disk);
}
