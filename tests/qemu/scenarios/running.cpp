// SPDX-License-Identifier: GPL-2.0-or-later
//
// A running node: everything in user space killed, the target killed.

#include <fmt/format.h>

#include "story.h"

using namespace hawser::qemu;

namespace {

// Returns once the guest has written more than before: its I/O is under way.
void wait_for_writes(Scenario& run) {
    run.shell().run_checked(
        "(n() { awk '{print $5}' /sys/block/sda/stat; }; s=$(n); for i in $(seq 600); do "
        "[ $(n) -gt $((s + 50)) ] && exit 0; sleep 0.1; done; exit 1)",
        Seconds(150));
}

bool is_discovery(const WireConnection& connection) {
    const auto type = connection.initiator_keys.find("SessionType");
    return type != connection.initiator_keys.end() && type->second == "Discovery";
}

size_t sessions_seen(const Capture& wire) {
    size_t leading = 0;
    for (const auto& connection : wire.connections) {
        leading += connection.login_requests.front().tsih == 0 && !is_discovery(connection);
    }
    return leading;
}

// The running node asks the portal of its own root disk what is there.
void discover(Scenario& run) {
    auto found = run.shell().run(
        "S=/sys/bus/hawser/devices/hawser0; "
        "hawser discover --initiator $(cat $S/initiator_name) $(cat $S/connection0/portal)",
        Seconds(120));
    run.report().check(
        "hawser discover lists the target in the running node",
        found.status == 0 && found.output.find(run.target().name()) != std::string::npos,
        fmt::format("exit status {}: {}", found.status, found.output));
}

}  // namespace

TEST_CASE("kill-all") {
    tell({.name = "kill-all"}, [](Scenario& run) {
        run.boot();
        // exec: kill(2) spares its caller, so a shell's own kill would spare the shell.
        run.shell().send_only("exec /bin/kill -9 -1");
        run.shell().wait_for_prompt(Deadline(Seconds(120)));
        run.report().phase("new login after kill -9 -1", run.machine().now());
        run.write_and_compare();
        run.power_off();
        run.judge_wire(4);
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/true);
    });
}

TEST_CASE("target-restart") {
    tell({.name = "target-restart"}, [](Scenario& run) {
        run.boot();
        discover(run);
        run.shell().run_checked(
            "fio --name=verify --filename=/root/verify --size=24M --rw=randwrite --bs=4k "
            "--direct=1 "
            "--ioengine=libaio --iodepth=8 --rate_iops=150 --verify=crc32c "
            "--output=/dev/shm/fio.log "
            ">/dev/null 2>&1 & echo $! > /dev/shm/fio.pid");
        for (int i = 0; i < 2; ++i) {
            wait_for_writes(run);
            run.target().kill_and_restart();
            run.report().phase("target killed and started again", run.machine().now());
        }
        auto fio = run.shell().run("wait $(cat /dev/shm/fio.pid)", Seconds(300));
        auto log = run.shell().run("cat /dev/shm/fio.log");
        run.report().check("fio wrote and verified all under the restarts", fio.status == 0,
                           fmt::format("exit status {}: {}", fio.status, log.output));
        run.write_and_compare();
        run.power_off();
        auto wire = run.kernel_wire();
        size_t discoveries = 0;
        for (const auto& connection : wire.connections) discoveries += is_discovery(connection);
        run.report().check("its discovery session was on the wire", discoveries == 1,
                           std::to_string(discoveries));
        run.report().check("the session was reinstated after each restart",
                           sessions_seen(wire) >= 3,
                           fmt::format("{} leading logins", sessions_seen(wire)));
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/true);
    });
}
