// SPDX-License-Identifier: GPL-2.0-or-later
//
// Fault 29: the network service is stopped long before the unmount, by hand, as a package's upgrade
// or a wrong order of units would; in the whole machine. What holds is KeepConfiguration=yes of the
// NICs that `hawser boot` set up. What cannot be held: somebody who takes all links down by name
// (`ip link set ... down`) has taken the root disk away, and power-off then ends by the grace.

#include <fmt/format.h>

#include "fault.h"
#include "story.h"

using namespace hawser::qemu;

TEST_CASE("fault-29-network-stopped-early", "[fault]") {
    tell({.name = "fault-29-network-stopped-early"}, [](Scenario& run) {
        run.boot();
        auto before = run.shell().run_checked("ip -4 -o address show scope global | wc -l");
        run.shell().run_checked(
            "systemctl stop systemd-networkd.socket systemd-networkd.service network.target");
        run.report().phase("network service stopped", run.machine().now());
        auto service = run.shell().run("systemctl is-active systemd-networkd.service");
        run.report().check("the network service is stopped", service.output == "inactive",
                           service.output);
        auto after = run.shell().run_checked("ip -4 -o address show scope global | wc -l");
        run.report().check("four NICs keep their addresses", before == "4" && after == "4",
                           before + " before, " + after + " after");
        run.write_and_compare();
        run.power_off();
        run.judge_wire(4);
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/true);
        note_fault(run.report(), 29, "network service stopped before the unmount", {},
                   "four connections carried 64 MiB after it, then SYNCHRONIZE CACHE and Logout on "
                   "each; e2fsck clean");
    });
}
