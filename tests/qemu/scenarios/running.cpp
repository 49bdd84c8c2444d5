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

size_t sessions_seen(const Capture& wire) {
    size_t leading = 0;
    for (const auto& connection : wire.connections) {
        leading += connection.login_requests.front().tsih == 0;
    }
    return leading;
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
        run.report().check("the session was reinstated after each restart",
                           sessions_seen(wire) >= 3,
                           fmt::format("{} leading logins", sessions_seen(wire)));
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/true);
    });
}
