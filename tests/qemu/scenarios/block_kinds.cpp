// SPDX-License-Identifier: GPL-2.0-or-later
//
// What blktests' block and scsi groups do, on a session's disks with a link cut every ten seconds:
// schedulers, queues, caches and CPUs changed under verified I/O, a disk that grows, discards,
// SG_IO and resets beside it, disks deleted while they are opened and while they are busy. The same
// run is told of open-iscsi.

#include <fmt/format.h>

#include "lun_farm.h"
#include "paths.h"
#include "peer_initiator.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 32 << 20;
constexpr uint64_t k_grown_bytes = 48 << 20;
constexpr unsigned k_disks = 3;  // under I/O, discarded, deleted

constexpr const char* k_script = R"sh(
connect
d=$(disk 1)
q=/sys/block/$d/queue
io() {
    fio --name=io --filename=/dev/$d --size=4M --bs=8k --rw=randwrite --direct=1 --thread \
        --ioengine=libaio --iodepth=8 --loops=2 --verify=crc32c --verify_fatal=1 --eta=never \
        --output=/tmp/fio.log
}
# The order is given again and again while fio runs.
under_io() {
    io &
    fio=$!
    n=0
    failed=0
    while [ -e /proc/$fio/exe ]; do
        $1 $n || failed=$((failed + 1))
        n=$((n + 1))
        usleep 100000
    done
    wait $fio
    say "$1: fio $? failed $failed of $n"
}
schedulers() { [ $(($1 % 2)) = 0 ] && s=none || s=mq-deadline; echo $s > $q/scheduler; }
queues() {
    echo $((4 + $1 % 60)) > $q/nr_requests && echo $((16 << $1 % 4)) > $q/max_sectors_kb &&
        echo $(($1 % 3)) > $q/nomerges && echo $(($1 % 3)) > $q/rq_affinity &&
        echo $(($1 % 2 * 128)) > $q/read_ahead_kb
}
depth() { echo $((1 + $1 % 32)) > $(device 1)queue_depth; }
caches() {
    [ $(($1 % 2)) = 0 ] && c="temporary write through" || c="temporary write back"
    echo "$c" > $(echo $(device 1)scsi_disk/*/cache_type)
}
cpus() { echo $(($1 % 2)) > /sys/devices/system/cpu/cpu1/online; }
rescans() { echo 1 > $(device 1)rescan && look_for_luns; }
requests() {
    sg_inq /dev/$d > /dev/null && sg_turs /dev/$d && sg_readcap -l /dev/$d > /dev/null &&
        sg_raw -r 4 /dev/$d 12 00 00 00 04 00 2> /dev/null
}
resets() { [ $(($1 % 8)) != 0 ] || sg_reset -d /dev/$d; }
grown() {
    [ $1 != 0 ] || say "grow now"
    echo 1 > $(device 1)rescan
}
say begins
under_io schedulers
under_io queues
under_io depth
under_io caches
under_io cpus
echo 1 > /sys/devices/system/cpu/cpu1/online
under_io rescans
under_io requests
under_io resets
under_io grown
say "size $(($(cat /sys/block/$d/size) * 512))"

# What was discarded reads the same past the cache and by it.
d=$(disk 2)
dd if=/dev/urandom of=/tmp/noise bs=64k count=64 2> /dev/null
dd if=/tmp/noise of=/dev/$d bs=64k oflag=direct 2> /dev/null
dd if=/dev/$d of=/dev/null bs=64k count=64 2> /dev/null
# By its path: busybox has one of its own.
discard() { /bin/blkdiscard $1 -o 1048576 -l 1048576 /dev/$d; }
discard && discard -z
say "discard: $? $(dd if=/dev/$d bs=64k count=64 2> /dev/null | sha256sum)"
say "past it: 0 $(dd if=/dev/$d bs=64k count=64 iflag=direct 2> /dev/null | sha256sum)"
dd if=/dev/zero of=/tmp/noise bs=64k seek=16 count=16 conv=notrunc 2> /dev/null
say "wanted: 0 $(sha256sum < /tmp/noise)"

# Opened by many while it goes and comes.
open_it() { while [ ! -e /tmp/stop ]; do sg_turs /dev/$(disk 3) > /dev/null 2>&1; done; }
back() {
    n=0
    until [ -n "$(disk 3)" ] || [ $n = 30 ]; do
        look_for_luns
        usleep 500000
        n=$((n + 1))
    done
}
for n in 1 2 3 4; do open_it & done
for round in 1 2 3 4 5 6 7 8; do
    echo 1 > $(device 3)delete
    back
done
touch /tmp/stop
say "hotplug: disk <$(disk 3 | tr -d a-z)>"

# And while it is busy: its I/O ends. (By psync: with libaio fio takes reads of nothing for reads.)
d=$(disk 3)
dd if=/tmp/noise of=/dev/$d bs=64k oflag=direct 2> /dev/null
fio --name=busy --filename=/dev/$d --rw=randread --bs=4k --direct=1 --thread --ioengine=psync \
    --numjobs=8 --time_based --runtime=600 --eta=never --output=/tmp/busy.log > /dev/null 2>&1 &
busy=$!
until [ "$(awk '{ print $1 }' /sys/block/$d/stat)" -gt 100 ]; do usleep 100000; done
begin=$(date +%s)
echo 1 > $(device 3)delete
wait $busy
say "busy: fio $? within $(($(date +%s) - begin)) s"
back
dd if=/dev/$(disk 3) bs=64k count=64 iflag=direct 2> /dev/null | cmp - /tmp/noise && say "is back"
say "$(losses)"
leave && say "logged out"
say done
)sh";

std::string group(DirectRun& run, const std::string& expression, size_t number) {
    const auto line = run.machine().serial().find(expression);
    return line ? line->groups[number] : "";
}

void judge(DirectRun& run) {
    auto& report = run.report();
    for (const char* step : {"schedulers", "queues", "depth", "caches", "cpus", "rescans",
                             "requests", "resets", "grown"}) {
        const auto line = fmt::format("PEER {}: fio ([0-9]+) failed ([0-9]+) of ([0-9]+)", step);
        const auto ended = group(run, line, 1);
        const auto given = group(run, line, 3);
        report.check(fmt::format("{}: fio verified its data", step), ended == "0", ended);
        report.check(fmt::format("{}: and no order failed", step), group(run, line, 2) == "0",
                     group(run, line, 2));
        report.check(fmt::format("{}: it was given meanwhile", step),
                     !given.empty() && std::stoul(given) > 3, given);
    }
    const auto size = group(run, "PEER size ([0-9]+)", 1);
    report.check("the disk has grown under I/O", size == std::to_string(k_grown_bytes), size);
    const auto cached = group(run, "PEER discard: 0 ([0-9a-f]{64})", 1);
    report.check("discards succeed", !cached.empty());
    report.check("the cache does not show what was discarded",
                 cached == group(run, "PEER wanted: 0 ([0-9a-f]{64})", 1));
    report.check("nor does the disk", cached == group(run, "PEER past it: 0 ([0-9a-f]{64})", 1));
    run.expect_console("a disk that many open goes and comes", "PEER hotplug: disk <>");
    const auto within = group(run, "PEER busy: fio [1-9][0-9]* within ([0-9]+) s", 1);
    report.check("I/O to a disk that is deleted ends, with an error",
                 !within.empty() && std::stoul(within) <= 20, within);
    run.expect_console("what was on it is there again", "PEER is back");
    report.set("losses", run.expect_console("the session's losses", "PEER re.*"));
    run.expect_console("a clean end", "PEER logged out");
}

void tell_kinds(const std::string& name,
                PeerInitiator (*make)(const std::string& target, uint16_t port)) {
    tell_direct(
        name, 2,
        [&](DirectRun& run) {
            LunFarmOptions options;
            options.directory = run.directory();
            for (unsigned i = 0; i < k_disks; ++i) {
                options.images.push_back(run.directory() / fmt::format("disk{}.img", i));
                run_checked({"truncate", "--size", std::to_string(k_disk_bytes),
                             options.images.back().string()});
            }
            auto farm = make_lio_farm(options);
            auto peer = make(options.name, farm->port());
            peer.initramfs.programs.push_back("/usr/bin/fio");
            peer.initramfs.programs.push_back("/usr/sbin/blkdiscard");
            for (const char* tool : {"sg_inq", "sg_turs", "sg_readcap", "sg_raw", "sg_reset"})
                peer.initramfs.programs.push_back(std::filesystem::path("/usr/bin") / tool);
            auto& machine = start_peer(run, std::move(peer), k_script);
            machine.serial().expect("PEER begins", Seconds(120));
            unsigned cuts = cut_until(machine, "PEER grow now", Seconds(700));
            farm->grow(0, k_grown_bytes);
            cuts += cut_until(machine, "PEER done", Seconds(500));
            run.report().check("links were cut meanwhile", cuts > 2, std::to_string(cuts));
            machine.serial().expect("PEER done", Seconds(5));
            machine.wait_for_end(Seconds(60));
            farm->stop();
            judge(run);
            for (const auto& image : options.images) std::filesystem::remove(image);
        },
        "I/O error.* dev sd[c-z]");  // of the disk that is deleted while it is busy
}

}  // namespace

TEST_CASE("block-kinds", "[more]") {
    tell_kinds("block-kinds", our_initiator);
}

TEST_CASE("block-kinds-open-iscsi", "[more]") {
    tell_kinds("block-kinds-open-iscsi", open_iscsi);
}
