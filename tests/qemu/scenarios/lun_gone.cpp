// SPDX-License-Identifier: GPL-2.0-or-later
//
// A LUN that is gone: unmapped at the target, first by a restart (a reinstatement), then while the
// session lives. The other LUNs go on; its own commands are held; `delete` returns within a second;
// it comes back under its number, by a scan, and works; and `disconnect` of a session that lacks it
// flushes the others, and says which one it could not flush.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fstream>
#include <vector>

#include "faults_machine.h"
#include "target_luns.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

namespace fs = std::filesystem;

constexpr uint64_t k_image_bytes = 4 << 20;
constexpr Seconds k_limit{240};
constexpr double k_stall_s = 8;  // a reinstatement: tgt is started anew, with all its LUNs

struct GonePlan {
    unsigned luns;
    bool root;
    bool write_cache;
    unsigned gone = 2;
};

// {0}: port, {1}: root, {2}: how many LUNs, {3}: the one that goes, {4}: those that are read.
constexpr const char* k_script = R"sh(
say() {{ echo "FAULT $*"; }}
act() {{ echo "FAULT act $1;"; read -r _; }}
unit() {{ echo /sys/bus/scsi/devices/[0-9]*:[0-9]*:[0-9]*:$1; }}
disk() {{ echo /dev/$(basename $(unit $1)/block/*); }}
ms() {{ read -r up _ < /proc/uptime; echo ${{up%.*}}${{up#*.}}0; }}
write_one() {{ dd if=/tmp/noise of=$(disk $1) bs=4k count=1 seek=$2 oflag=direct 2>/dev/null; }}
lost() {{ until [ $(dmesg | grep -c 'LUN {3} is not there yet') -ge $1 ]; do usleep 100000; done; }}
reader() {{
    disk=$(disk $1)
    while [ ! -e /tmp/stop ]; do
        dd if=$disk of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null || say "LUN $1: read failed"
        read -r up _ < /proc/uptime
        echo $up >> /tmp/times.$1
        usleep 50000
    done
}}
goes_on() {{
    began=$(ms)
    for lun in {4}; do
        from=$(wc -l < /tmp/times.$lun)
        usleep 500000
        until [ $(wc -l < /tmp/times.$lun) -gt $((from + 3)) ]; do
            [ $(ms) -lt $((began + 20000)) ] || {{ say "$1: LUN $lun is stuck"; return; }}
            usleep 50000
        done
    done
    say "$1: the others go on"
}}
deletes() {{
    rm -f /tmp/deleted
    from=$(ms)
    (echo 1 > $(unit {3})/delete; echo $(($(ms) - from)) > /tmp/deleted) &
    until [ -s /tmp/deleted ] || [ $(ms) -gt $((from + 20000)) ]; do usleep 20000; done
    say "$1: deleted in $(cat /tmp/deleted) ms"
}}
returns() {{
    act map
    until [ -e $(unit {3})/block ]; do
        echo "- - -" > $(echo $S/host*)/scsi_host/host*/scan
        usleep 200000
    done
    until write_one {3} $2; do usleep 200000; done
    say "after $1: it is back and works"
}}
ip link set lo up
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
dd if=/dev/urandom of=/tmp/noise bs=4k count=1 2>/dev/null
hawser connect --target iqn.2026-11.hawser:root --initiator iqn.2026-11.hawser:node \
    --portal 10.0.10.2:{0},nic=eth0 --portal 10.0.11.2:{0},nic=eth1 --root {1} > /tmp/out 2>&1
S=/sys/bus/hawser/devices/hawser0
[ -e $(unit {2})/block ] || {{ cat /tmp/out; say "no disks"; }}
echo $(cat $(unit {3})/scsi_disk/*/cache_type) > /tmp/cache
say "cache $(cat /tmp/cache)"
for lun in {4}; do reader $lun & done
write_one {3} 1

act restart-without
lost 1
(write_one {3} 2; say "restarted: the held write ended $?") &
goes_on restarted
deletes restarted
wait $!
returns restarted 3

act live-without
(write_one {3} 4; say "live: its write ended $?") &
goes_on live
deletes live
wait $!
returns live 5

lun=1
while [ $lun -le {2} ]; do
    write_one $lun 6
    lun=$((lun + 1))
done
act restart-without
until [ "$(cat $(unit {3})/hawser/state)" = absent ]; do usleep 100000; done
goes_on again
touch /tmp/stop
sleep 1
for lun in {4}; do
    say "stall $(awk 'NR > 1 && $1 - l > m {{ m = $1 - l }} {{ l = $1 }} END {{ print m + 0 }}' \
        /tmp/times.$lun) s of LUN $lun"
done
hawser lun list hawser0
hawser lun list hawser0 --json | grep -c '"ready"'
from=$(ms)
hawser disconnect hawser0 > /tmp/out 2>&1
say "disconnect $? in $(($(ms) - from)) ms"
cat /tmp/out
say "sessions $(ls /sys/bus/hawser/devices | wc -l)"
say done
)sh";

// The first and the last of the others.
std::vector<unsigned> read_ones(const GonePlan& plan) {
    const unsigned first = plan.gone == 1 ? 2 : 1;
    const unsigned last = plan.gone == plan.luns ? plan.luns - 1 : plan.luns;
    return first == last ? std::vector{first} : std::vector{first, last};
}

void judge_console(DirectRun& run, const GonePlan& plan) {
    auto& serial = run.machine().serial();
    run.expect_console("the write cache is as it should be",
                       plan.write_cache ? "FAULT cache write back" : "FAULT cache write through");
    for (const char* when : {"restarted", "live"}) {
        run.expect_console(fmt::format("{}: the others go on", when),
                           fmt::format("FAULT {}: the others go on", when));
        const auto deleted = serial.find(fmt::format("FAULT {}: deleted in ([0-9]+) ms", when));
        run.report().check(fmt::format("{}: delete returns within a second", when),
                           deleted && std::stoul(deleted->groups[1]) <= 1000 * patience(),
                           deleted ? deleted->text : "it did not return");
        run.expect_console(fmt::format("{}: it is back under its number, and works", when),
                           fmt::format("FAULT after {}: it is back and works", when));
    }
    run.expect_console("what was held for it ends with it",
                       "FAULT restarted: the held write ended 1");
    run.expect_console("an unmapped LUN's write ends with it", "FAULT live: its write ended 1");
    run.expect_console("`lun list` tells the one that is absent",
                       fmt::format("^{} +absent", plan.gone));
    run.report().check("no read of the others failed", !serial.find("FAULT LUN .*: read failed"));
    for (unsigned lun : read_ones(plan)) {
        const auto stall = serial.find(fmt::format("FAULT stall ([0-9.]+) s of LUN {}", lun));
        run.report().check(fmt::format("LUN {} stalls no longer than a reinstatement", lun),
                           stall && std::stod(stall->groups[1]) <= k_stall_s,
                           stall ? stall->text : "it was not told");
        if (stall) fmt::print("{}\n", stall->text);
    }
}

void judge_disconnect(DirectRun& run, const GonePlan& plan, uint16_t port) {
    const auto end = run.machine().serial().find("FAULT disconnect ([0-9]+) in ([0-9]+) ms");
    run.report().check("disconnect takes seconds",
                       end && std::stoul(end->groups[2]) <= 5000 + 50 * plan.luns,
                       end ? end->text : "it did not return");
    run.report().check("its status tells what was lost",
                       end && (end->groups[1] == "1") == plan.write_cache);
    if (end) fmt::print("{}\n", end->text);
    if (plan.write_cache)
        run.expect_console(
            "disconnect names the LUN that was not flushed, and why",
            fmt::format("not all was flushed: LUN {}: the target has no such LUN", plan.gone));
    run.expect_console("the session is gone", "FAULT sessions 0");
    if (!plan.write_cache) return;
    unsigned flushed = 0;
    for (unsigned lun = 1; lun <= plan.luns; lun++) {
        if (lun == plan.gone) continue;
        flushed += run.count_frames(
                       port, fmt::format("scsi_sbc.opcode == 0x35 && scsi.lun == {}", lun)) > 0;
    }
    run.report().check("every other LUN was flushed", flushed == plan.luns - 1,
                       fmt::format("{} of {}", flushed, plan.luns - 1));
}

void tell_gone(const std::string& name, const GonePlan& plan) {
    tell_direct(
        name, 2,
        [&](DirectRun& run) {
            TargetOptions options;
            options.directory = run.directory();
            Luns luns;
            for (unsigned lun = 1; lun <= plan.luns; lun++) {
                const auto image = run.directory() / fmt::format("lun-{}.img", lun);
                std::ofstream(image).close();
                fs::resize_file(image, k_image_bytes);
                luns[lun] = image;
            }
            const auto image = luns[plan.gone];
            auto made = make_tgt_with_luns(options, luns, plan.write_cache);
            auto& target = *made;
            run.use_target(std::move(made));
            run.report().set("target_port", target.port());
            auto initramfs = hawser_initramfs(
                fmt::format(fmt::runtime(k_script), target.port(), plan.root ? "yes" : "no",
                            plan.luns, plan.gone, fmt::join(read_ones(plan), " ")));
            const auto kernel = default_kernel();
            const auto initrd = run.directory() / "initramfs.img";
            initramfs.write(initrd, kernel);
            run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
            play(run,
                 {{"restart-without",
                   [&] {
                       target.kill();
                       target.set_lun(plan.gone, {});
                       target.restart();
                   }},
                  {"live-without", [&] { target.set_lun(plan.gone, {}); }},
                  {"map", [&] { target.set_lun(plan.gone, image); }}},
                 k_limit);
            run.machine().wait_for_end(Seconds(60));
            judge_console(run, plan);
            judge_disconnect(run, plan, target.port());
            judge_frames(run, target.port());
        },
        "I/O error, dev sd");  // of what was held for the LUN that was deleted
}

}  // namespace

TEST_CASE("lun-gone") {
    tell_gone("lun-gone", {.luns = 3, .root = true, .write_cache = true});
}

TEST_CASE("lun-gone-data", "[more]") {
    tell_gone("lun-gone-data", {.luns = 3, .root = false, .write_cache = true});
}

TEST_CASE("lun-gone-no-cache", "[more]") {
    tell_gone("lun-gone-no-cache", {.luns = 3, .root = true, .write_cache = false});
}

TEST_CASE("lun-gone-data-no-cache", "[more]") {
    tell_gone("lun-gone-data-no-cache", {.luns = 3, .root = false, .write_cache = false});
}

TEST_CASE("lun-gone-two", "[more]") {
    tell_gone("lun-gone-two", {.luns = 2, .root = true, .write_cache = true, .gone = 1});
}

TEST_CASE("lun-gone-many", "[more]") {
    tell_gone("lun-gone-many", {.luns = 64, .root = true, .write_cache = true, .gone = 17});
}

TEST_CASE("lun-gone-many-data", "[more]") {
    tell_gone("lun-gone-many-data", {.luns = 64, .root = false, .write_cache = false, .gone = 64});
}
