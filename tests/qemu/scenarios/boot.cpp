// SPDX-License-Identifier: GPL-2.0-or-later
//
// The way of a boot, whole: iPXE, iBFT, initramfs, hawser.ko, root, systemd, power-off.

#include "story.h"

using namespace hawser::qemu;

namespace {

void boot_write_power_off(Scenario& run) {
    run.boot();
    run.expect_session(4);
    run.write_and_compare();
    run.power_off();
    run.judge_wire(4);
    run.judge_clean_end();
    run.judge_disk(/*unmounted=*/true);
}

}  // namespace

TEST_CASE("boot-tgt") {
    tell({.name = "boot-tgt"}, boot_write_power_off);
}

TEST_CASE("boot-lio") {
    tell({.name = "boot-lio", .lio = true}, boot_write_power_off);
}

TEST_CASE("one-connection") {
    tell({.name = "one-connection", .nics = 1, .portals = 1}, [](Scenario& run) {
        run.boot();
        run.expect_session(1);
        run.report().check("the console says how many",
                           run.machine().serial().find("^hawser0: 1 connections? to").has_value());
        run.write_and_compare();
        run.power_off();
        run.judge_wire(1);
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/true);
    });
}

TEST_CASE("fewer-granted") {
    tell({.name = "fewer-granted", .max_connections = 2}, [](Scenario& run) {
        run.boot();
        run.expect_session(2);
        run.report().check("the console says that the target grants fewer",
                           run.machine()
                               .serial()
                               .find("^hawser: 2 of 4 connections: target grants MaxConnections=2")
                               .has_value());
        run.write_and_compare();
        run.power_off();
        run.judge_wire(2);
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/true);
    });
}
