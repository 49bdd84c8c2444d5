// SPDX-License-Identifier: GPL-2.0-or-later
//
// A CPU goes offline while the session is without its target. The kernel keeps it until the
// commands of its queue have ended; these wait for the session; so nothing that a login needs may
// wait for the CPU. (What opened a socket did: both waited for ever.)

#include <fmt/format.h>

#include "story.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 64 << 20;

// {0}: target, {1}: port.
constexpr const char* k_script = R"sh(
nics 0 1
hawser connect --target {0} --initiator iqn.2026-11.hawser:cpu --root yes \
    --portal 10.0.10.2:{1},nic=eth0 --portal 10.0.11.2:{1},nic=eth1 \
    --noop_out_interval 1 --noop_out_timeout 2 > /dev/null
for n in 0 1 2 3; do
    taskset 2 dd if=/dev/zero of=/dev/sda bs=64k seek=$((n * 256)) count=256 oflag=direct \
        2> /dev/null &
    writers="$writers $!"
done
until [ "$(awk '{{ print $5 }}' /sys/block/sda/stat)" -gt 20 ]; do usleep 50000; done
ip link set eth0 down
ip link set eth1 down
until [ "$(cat $S/state)" != LOGGED_IN ]; do usleep 200000; done
say "in flight: $(awk '{{ print $1 + $2 }}' /sys/block/sda/inflight)"
(echo 0 > /sys/devices/system/cpu/cpu1/online; say "CPU 1 went: $?") &
cpu=$!
sleep 2
say "CPUs meanwhile: $(cat /sys/devices/system/cpu/online)"
ip link set eth0 up
ip link set eth1 up
for writer in $writers; do wait $writer || say "a writer failed"; done
say "the writers are done"
wait $cpu
say "$(states) reinstatements $(cat $S/reinstatements) CPUs $(cat /sys/devices/system/cpu/online)"
echo 1 > /sys/devices/system/cpu/cpu1/online
hawser disconnect hawser0 && say "logged out"
rmmod hawser && say "unloaded"
)sh";

}  // namespace

TEST_CASE("cpu-goes") {
    tell_direct("cpu-goes", 2, [](DirectRun& run) {
        auto& target = run.start_tgt(k_disk_bytes);
        run.start_tiny(fmt::format(fmt::runtime(k_script), target.name(), target.port()),
                       "printk.devkmsg=on");
        run.machine().wait_for_end(Seconds(150));
        run.expect_console("commands were in flight", "FAULT in flight: [1-9]");
        run.expect_console("the CPU waited for them", "FAULT CPUs meanwhile: 0-1");
        run.expect_console("they ended", "FAULT the writers are done");
        run.report().check("without an error",
                           !run.machine().serial().find("a writer failed|I/O error"));
        run.expect_console("and the CPU went", "FAULT CPU 1 went: 0");
        run.expect_console("the session was had again",
                           "LOGGED_IN +reinstatements [1-9][0-9]* CPUs 0");
        run.expect_console("a clean end", "FAULT logged out");
        run.expect_console("the module goes", "FAULT unloaded");
    });
}
