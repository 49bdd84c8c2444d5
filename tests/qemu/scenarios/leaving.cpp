// SPDX-License-Identifier: GPL-2.0-or-later
//
// Leaving by systemd, every way that is not the power-off which ends most other stories. And past
// it: reboot -ff unmounts nothing, so what is clean on the wire is the driver's own doing.

#include <fmt/format.h>

#include "story.h"

using namespace hawser::qemu;

namespace {

// The node holds no kernel: it fetches the one that it came from again, and loads it for kexec.
void load_kexec(Scenario& run) {
    run.shell().run_checked(
        fmt::format("cd /dev/shm && for f in vmlinuz initrd.img; do "
                    "/run/initramfs/bin/busybox wget -q http://{}:{}/$f; done && "
                    "kexec --load vmlinuz --initrd=initrd.img --reuse-cmdline && rm vmlinuz "
                    "initrd.img; cat /sys/kernel/kexec_loaded",
                    Machine::host_address(0), run.http_port()),
        Seconds(180));
}

}  // namespace

// One after the other, each end but the last is the next boot's beginning: about 4 minutes.
TEST_CASE("reboot-kexec-halt", "[more]") {
    tell({.name = "reboot-kexec-halt", .reboots = true}, [](Scenario& run) {
        run.boot();
        run.expect_session(4);
        run.write_and_compare();
        run.leave_to_boot("systemctl reboot", "reboot: Restarting system");
        run.boot();
        load_kexec(run);
        run.leave_to_boot("systemctl kexec", "kexec_core: Starting new kernel");
        run.boot();
        run.expect_session(4);
        run.leave_to_stand("systemctl halt", "reboot: System halted");
        run.judge_lives();
    });
}

// Skips the units' own stop, but systemd-shutdown still kills, unmounts and enters the exit root.
TEST_CASE("systemctl-reboot-f", "[more]") {
    tell({.name = "systemctl-reboot-f"}, [](Scenario& run) {
        run.boot();
        run.write_and_compare();
        run.reboot("systemctl reboot -f");
        run.judge_wire(4);
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/true);
    });
}

// systemd 252 calls reboot(2) at once, as with -ff, whatever reboot(8) says of a clean shutdown.
TEST_CASE("reboot-f", "[more]") {
    tell({.name = "reboot-f"}, [](Scenario& run) {
        run.boot();
        run.write_and_compare();
        run.reboot("reboot -f");
        run.judge_wire(4);
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/false);
    });
}

TEST_CASE("reboot-ff") {
    tell({.name = "reboot-ff"}, [](Scenario& run) {
        run.boot();
        run.write_and_compare();
        run.reboot("reboot -ff");
        run.judge_wire(4);
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/false);
    });
}

// A NIC that came later is shut down earlier: the session must still go before it.
TEST_CASE("reboot-ff-replugged") {
    tell({.name = "reboot-ff-replugged"}, [](Scenario& run) {
        run.boot();
        run.machine().unplug_nic(3, Seconds(60));
        run.report().phase("NIC 3 unplugged", run.machine().now());
        run.shell().run_checked("echo on three > /root/three && sync /root/three", Seconds(120));
        run.machine().plug_nic(3);
        run.report().phase("NIC 3 plugged again", run.machine().now());
        auto state = run.shell().run(
            "(for i in $(seq 600); do s=$(cat /sys/bus/hawser/devices/hawser0/connection3/state); "
            "[ $s = LOGGED_IN ] && exit 0; sleep 0.2; done; echo $s; ip address; exit 1)",
            Seconds(200));
        run.report().check("the fourth connection comes back with its NIC", state.status == 0,
                           state.output);
        run.report().phase("four connections again", run.machine().now());
        run.write_and_compare();
        run.reboot("reboot -ff");
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/false);
    });
}
