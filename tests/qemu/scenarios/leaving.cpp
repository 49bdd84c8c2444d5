// SPDX-License-Identifier: GPL-2.0-or-later
//
// Leaving without systemd: reboot -ff unmounts nothing, so what is clean on the wire is the
// driver's own doing.

#include <fmt/format.h>

#include "story.h"

using namespace hawser::qemu;

TEST_CASE("reboot-ff") {
    tell({.name = "reboot-ff"}, [](Scenario& run) {
        run.boot();
        run.write_and_compare();
        run.reboot_ff();
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
        run.reboot_ff();
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/false);
    });
}
