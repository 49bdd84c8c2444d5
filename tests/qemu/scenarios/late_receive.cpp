// SPDX-License-Identifier: GPL-2.0-or-later
//
// Packets that have come, and that the machine is too busy to take in: ksoftirqd is made the last
// of all, and busy loops run before it for seconds, on all CPUs or on the one to which a NIC's
// interrupts have just been moved. What lies in a NIC's ring meanwhile is no silence of a link
// (docs/decisions/0009): no connection may be given up. tshark says that packets did lie there,
// longer than a silent link is given. At the end one link falls silent in earnest: that is found.

#include <fmt/format.h>

#include <thread>

#include "direct_run.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr unsigned k_nics = 4;
constexpr uint64_t k_disk_bytes = 64 << 20;
constexpr double k_given_up_s = 1;  // engine/connection_stall.cpp, level 0
constexpr size_t k_late_wanted = 5;
constexpr unsigned k_silent_nic = 3;
constexpr Seconds k_found_within(5);  // a NOP-Out would take ten

// {0}: target, {1}: port.
constexpr const char* k_script = R"sh(
say() {{ echo "LATE $*"; }}
S=/sys/bus/hawser/devices/hawser0
ip link set lo up
portals=
for i in 0 1 2 3; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
    portals="$portals --portal 10.0.1$i.2:{1},nic=eth$i"
done
hawser connect --target {0} --initiator iqn.2026-11.hawser:late --root yes --lun 1 $portals \
    > /tmp/out || cat /tmp/out
disk=$(sed -n 's/^LUN 1 is //p' /tmp/out)
echo 1 > /proc/sys/net/core/netdev_budget
# Its class, for a CPU.
ksoftirqd() {{
    chrt $2 -p $3 $(grep -l ksoftirqd/$1 /proc/[0-9]*/comm | cut -d / -f 3)
}}
ksoftirqd 0 --idle 0
ksoftirqd 1 --idle 0
cd /tmp
load() {{
    nice -n -20 fio --name=late --filename=$disk --size=$1 --bs=4k --rw=randrw --direct=1 \
        --thread --ioengine=libaio --iodepth=16 --rate_iops=150 --verify=crc32c \
        --verify_backlog=64 --verify_fatal=1 --eta=never --output=/tmp/fio.log
}}
load 40M &
fio=$!
busy() {{
    nice -n -20 taskset -c $1 timeout $2 sh -c 'while :; do :; done' &
}}
# The interrupts of a NIC to a CPU.
place() {{
    device=$(basename $(readlink /sys/class/net/$1/device))
    for irq in $(sed -n "s/^ *\\([0-9]*\\):.*$device-.*/\\1/p" /proc/interrupts); do
        echo $2 > /proc/irq/$irq/smp_affinity_list
    done
}}
for nic in 0 1 2 3; do place eth$nic $((nic % 2)); done
for n in 1 2 3; do
    sleep 1
    busy 0 3
    busy 1 3
    sleep 3
done
ksoftirqd 0 --fifo 1
for n in 1 2 3 4 5 6; do
    place eth2 0
    sleep 1
    busy 1 4
    sleep 1
    place eth2 1
    sleep 3
done
cat /proc/interrupts
say "states $(cat $S/connection*/state | tr '\n' ' ')"
wait $fio
say "fio ended with $?"
cat /tmp/fio.log
say "reinstatements $(cat $S/reinstatements) recoveries $(cat $S/recoveries)"
ksoftirqd 0 --other 0
ksoftirqd 1 --other 0
load 8M &
say "in earnest"
wait $!
say "second fio ended with $?"
until [ "$(cat $S/connection*/state | grep -c LOGGED_IN)" = 4 ]; do sleep 1; done
hawser disconnect hawser0 && say "logged out"
say done
)sh";

void cut_in_earnest(DirectRun& run) {
    auto& machine = run.machine();
    const auto begin = machine.serial().expect("LATE in earnest", Seconds(240));
    std::this_thread::sleep_for(Seconds(2));
    run.report().phase("link cut", machine.now());
    machine.set_link(k_silent_nic, false);
    machine.serial().expect("link is silent", k_found_within, begin.line);
    machine.set_link(k_silent_nic, true);
}

void judge(DirectRun& run, uint16_t port) {
    auto& serial = run.machine().serial();
    auto& report = run.report();
    for (const char* what :
         {"fio ended with 0", "reinstatements 0 recoveries 0", "second fio ended with 0",
          "logged out"}) {
        report.check(what, serial.find(fmt::format("LATE {}", what)).has_value(),
                     "not on the console");
    }
    const auto silent = serial.find("link is silent");
    const auto cut = serial.find("LATE in earnest");
    report.check("no connection is given up before the cut",
                 silent && cut && silent->line > cut->line);
    const auto late = run.count_frames(
        port, fmt::format("tcp.dstport == {} && tcp.analysis.ack_rtt > {}", port, k_given_up_s));
    report.check("packets lay in the ring for longer than a silent link is given",
                 late >= k_late_wanted, fmt::format("{} acknowledgements were late", late));
    const auto logins =
        run.wire(port).between(0, report.phase_at("link cut").value_or(0)).connections.size();
    report.check("four logins before it, and no other", logins == k_nics,
                 fmt::format("{} connections", logins));
}

}  // namespace

TEST_CASE("late-receive") {
    DirectRun run("late-receive", k_nics);
    try {
        auto& target = run.start_tgt(k_disk_bytes);
        auto initramfs = hawser_initramfs({});
        for (const char* name : {"fio", "chrt", "nice"})
            initramfs.programs.push_back(std::filesystem::path("/usr/bin") / name);
        initramfs.script = fmt::format(fmt::runtime(k_script), target.name(), target.port());
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        initramfs.write(initrd, kernel);
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        cut_in_earnest(run);
        run.machine().serial().expect("LATE done", Seconds(60));
        run.machine().wait_for_end(Seconds(60));
        judge(run, target.port());
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), "late-receive");
}
