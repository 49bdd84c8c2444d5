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
    tell({.name = "reboot-ff-replugged", .nics = 1, .portals = 1}, [](Scenario& run) {
        run.boot();
        run.write_and_compare();
        run.reboot_ff();
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/false);
    });
}
