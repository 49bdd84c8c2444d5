// SPDX-License-Identifier: GPL-2.0-or-later
//
// What one command may do to a session, on a root session and on a data session of the same target.
// Passthrough on which the target closes the connection, as LIO does on this one of a peer's test;
// passthrough while the link is down; commands that the target takes and never answers; one that it
// rejects each time; TASK SET FULL. The caller has an error in its time, the other LUN goes on.

#include <fmt/format.h>

#include <csignal>

#include "faults_machine.h"
#include "paths.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

// By their lengths, which nobody else uses. TEST UNIT READY with 36 bytes of data is the peer's.
constexpr const char* k_case =
    R"(on ScsiCommand where cdb=0 where expected_length=36 do drop then close
on ScsiCommand number 1 where expected_length=73728 do hang
on ScsiCommand where expected_length=69632 do hang
on ScsiCommand where expected_length=40960 do reject 4
on ScsiResponse after 1 number 1..24 where status=0 do set status=0x28
)";

// {0}: port of the root session's target, {1}: of the data session's.
constexpr const char* k_script = R"sh(
say() {{ echo "PASS $*"; }}
act() {{ echo "FAULT act $1;"; read -r _; }}
H=/sys/bus/hawser/devices
login() {{
    hawser connect --initiator iqn.2026-11.hawser:node "$@" \
        --noop_out_interval 1 --noop_out_timeout 3 2>&1 | tail -1
}}
root() {{ login --target iqn.2026-11.hawser:root --root yes --portal 10.0.10.2:{0},nic=eth0; }}
data() {{ login --target iqn.2026-11.hawser:data --portal 10.0.11.2:{1},nic=eth1; }}
count() {{ cat $H/hawser$1/reinstatements; }}
up() {{ until [ "$(cat $H/hawser$1/state)" = LOGGED_IN ]; do usleep 100000; done; }}
now() {{ cut -d' ' -f1 /proc/uptime; }}
passed() {{ awk "BEGIN {{ print $(now) - $1 }}"; }}
timed() {{
    from=$(now)
    "$@" > /tmp/out 2>&1
    status=$?
    took=$(passed $from)
    [ $status = 0 ] || grep -i -m 1 'host_status\|DID_' /tmp/out
}}
reader() {{
    last=$(now)
    worst=0
    while [ ! -e /tmp/stop ]; do
        dd if=/dev/$1 of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null || echo "PASS read failed"
        worst=$(awk "BEGIN {{ d = $(passed $last); print (d > $worst) ? d : $worst }}")
        last=$(now)
        usleep 20000
    done
    echo $worst > /tmp/worst
}}
# session, disk, the other LUN
closing() {{
    before=$(count $1)
    rm -f /tmp/stop
    reader $3 &
    sleep 1
    timed sg_raw -t 60 -r 36 /dev/$2 00 00 00 00 00 00
    up $1
    sleep 1
    touch /tmp/stop
    wait
    say "close hawser$1: failed $((status != 0)) took $took s, $(($(count $1) - before))" \
        "reinstatements, stall $(cat /tmp/worst) s"
}}
read_of() {{ timed dd if=/dev/$1 of=/tmp/read bs=$2 count=1 iflag=direct; }}
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
root
say "rival: $(root)"
data
say "isid $(cat $H/hawser0/isid) $(cat $H/hawser1/isid)"
ls -l /sys/block/sd? | sed 's/.*host/host/'
dd if=/dev/urandom of=/tmp/noise bs=73728 count=1 2>/dev/null
dd if=/tmp/noise of=/dev/sda bs=4k oflag=direct 2>/dev/null
closing 0 sda sdb
closing 1 sdc sdd

for i in 0 1; do
    ip link set eth$i down
    until [ "$(cat $H/hawser$i/state)" = FAILED ]; do usleep 100000; done
    d=$([ $i = 0 ] && echo sda || echo sdc)
    timed sg_raw -t 5 -r 512 /dev/$d 08 00 00 00 01 00
    say "down hawser$i: failed $((status != 0)) took $took s"
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i 2>/dev/null
    up $i
done

for d in sda sdc; do
    timed sg_raw -t 5 -r 69632 /dev/$d 28 00 00 00 00 00 00 00 88 00
    say "hang of a caller's $d: failed $((status != 0)) took $took s"
done
echo 5 > /sys/block/sda/device/timeout
read_of sda 73728
cmp /tmp/read /tmp/noise && say "forgotten: status $status took $took s, the data is right"

before=$(count 0)
read_of sda 40960
say "rejected: failed $((status != 0)) took $took s, $(($(count 0) - before)) reinstatements"
up 0
read_of sda 4096
say "after it: status $status took $took s"

first=$(cat /sys/block/sda/device/queue_depth)
act full
for i in 1 2 3 4 5 6 7 8; do
    dd if=/dev/zero of=/dev/sda bs=4k count=2 seek=$((100 + i)) oflag=direct 2>/dev/null ||
        say "write failed" &
done
wait
low=$(cat /sys/block/sda/device/queue_depth)
for i in 1 2 3 4 5 6 7 8; do sleep 0.5; read_of sda 4096; done
say "depth $first $low $(cat /sys/block/sda/device/queue_depth)"

say "device $(cat /sys/block/sda/device/state) $(cat /sys/block/sdc/device/state)"
hawser disconnect hawser1
hawser disconnect hawser0
data
root
say "isid again $(cat $H/hawser1/isid) $(cat $H/hawser0/isid)"
hawser disconnect hawser0
hawser disconnect hawser1
echo "FAULT done"
)sh";

double number_of(const std::optional<Match>& found, size_t group) {
    return found ? std::stod(found->groups[group]) : -1;
}

void judge_callers(DirectRun& run) {
    auto& report = run.report();
    auto& serial = run.machine().serial();
    for (int i : {0, 1}) {
        const auto closed =
            serial.find(fmt::format("PASS close hawser{}: failed 1 took ([0-9.]+) s, "
                                    "([0-9]+) reinstatements, stall ([0-9.]+) s",
                                    i));
        report.check(fmt::format("hawser{}: passthrough fails at once when its connection goes", i),
                     closed && number_of(closed, 1) < 3, closed ? closed->text : "not said");
        report.check(fmt::format("hawser{}: one reinstatement", i),
                     closed && closed->groups[2] == "1");
        report.check(fmt::format("hawser{}: the other LUN waits no longer than that", i),
                     closed && number_of(closed, 3) < 6, closed ? closed->text : "not said");
        const auto down =
            serial.find(fmt::format("PASS down hawser{}: failed 1 took ([0-9.]+) s", i));
        report.check(fmt::format("hawser{}: its time is kept while the link is down", i),
                     down && number_of(down, 1) < 8, down ? down->text : "not said");
    }
    for (const char* disk : {"sda", "sdc"}) {
        const auto hung =
            serial.find(fmt::format("PASS hang of a caller's {}: failed 1 took ([0-9.]+) s", disk));
        report.check(fmt::format("{}: and while the target does not answer", disk),
                     hung && number_of(hung, 1) < 12, hung ? hung->text : "not said");
    }
}

void judge_commands(DirectRun& run) {
    auto& report = run.report();
    auto& serial = run.machine().serial();
    const auto forgotten = serial.find("PASS forgotten: status 0 took ([0-9.]+) s");
    report.check("a forgotten read of a root disk comes within its time and 30 s",
                 forgotten && number_of(forgotten, 1) < 35,
                 forgotten ? forgotten->text : "not said");
    run.expect_console("a line tells of it", "connection 0: no answer for [0-9.]+ s: it is");
    const auto rejected =
        serial.find("PASS rejected: failed 1 took ([0-9.]+) s, ([0-9]+) reinstatements");
    report.check("a command that is rejected each time fails after four times",
                 rejected && number_of(rejected, 2) <= 4, rejected ? rejected->text : "not said");
    run.expect_console("a line names it", "has cost the session 4 times");
    run.expect_console("and the session is well", "PASS after it: status 0");
    const auto depth = serial.find("PASS depth ([0-9]+) ([0-9]+) ([0-9]+)");
    report.check("TASK SET FULL lowers the queue depth, and it recovers",
                 depth && number_of(depth, 2) < number_of(depth, 1) &&
                     number_of(depth, 3) > number_of(depth, 2),
                 depth ? depth->text : "not said");
    report.check("no write failed, nor a read of the other LUNs",
                 !serial.find("PASS (write|read) failed"));
    run.expect_console("nothing is offline", "PASS device running running");
}

void judge_names(DirectRun& run) {
    auto& serial = run.machine().serial();
    run.expect_console("a second session to a target is refused", "PASS rival: .*is there already");
    const auto first = serial.find("PASS isid ([0-9a-f]{8}0001) ([0-9a-f]{8}0002)");
    const auto again = serial.find("PASS isid again ([0-9a-f]{12}) ([0-9a-f]{12})");
    run.report().check("ISIDs are of what a session is for", first.has_value());
    run.report().check("and the same in another order",
                       first && again && first->groups[1] == again->groups[1] &&
                           first->groups[2] == again->groups[2],
                       again ? again->text : "not said");
}

}  // namespace

TEST_CASE("passthrough") {
    const auto story = [](DirectRun& run) {
        run.make_image(64 << 20);
        auto target = start_image_target(run, k_case, {"luns=2", "status_in_data_in=no"});
        ScriptedTargetOptions options;
        options.directory = run.directory();
        options.log = "data.log";
        options.name = "iqn.2026-11.hawser:data";
        options.script = k_case;
        options.settings = {"luns=2", "status_in_data_in=no"};
        auto data = start_scripted_target(options);
        auto initramfs = hawser_initramfs(
            fmt::format(fmt::runtime(k_script), target.port(), data.port()));
        initramfs.programs.push_back("/usr/bin/sg_raw");
        const auto kernel = default_kernel();
        const auto initrd = run.directory() / "initramfs.img";
        initramfs.write(initrd, kernel);
        run.report().set("target_port", target.port());
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        play(run, {{"full", [&] { target.signal(SIGUSR1); }}}, Seconds(400));
        run.machine().wait_for_end(Seconds(60));
        judge_callers(run);
        judge_commands(run);
        judge_names(run);
        judge_peer(run, target);
        judge_frames(run, target.port());
        judge_frames(run, data.port());
    };
    // The command that is rejected each time fails, and says so.
    tell_direct("passthrough", 2, story, "I/O error, dev sda");
}
