// SPDX-License-Identifier: GPL-2.0-or-later
//
// The module at ErrorRecoveryLevel 0, 1 and 2, with digests: a link goes down under writes. At 0
// and 1 the session is reinstated; at 2 it lives on, and the tasks of the lost connection are
// reassigned to its siblings. The target is ours, whose judge holds every PDU against the rules:
// LIO (6.1) crashes its kernel at level 2, in iscsit_discard_cr_cmds_by_expstatsn, on the Logout
// for recovery of a connection with a status that was acknowledged.

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "direct_run.h"
#include "paths.h"
#include "process.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr const char* k_name = "iqn.2026-11.hawser:recovery-disk";

// {0}: target name, {1}: port.
constexpr const char* k_script = R"sh(
say() {{ echo "RECOVERY $*"; }}
S=/sys/bus/hawser/devices
ip link set lo up
for i in 0 1 2; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
dd if=/dev/urandom of=/tmp/noise bs=64k count=256 2>/dev/null
for level in 0 1 2; do
    hawser connect --target {0} --initiator iqn.2026-11.hawser:recovery --connections 3 \
        --portal 10.0.10.2:{1},nic=eth0 --portal 10.0.11.2:{1},nic=eth1 \
        --portal 10.0.12.2:{1},nic=eth2 --noop_out_interval 2 --noop_out_timeout 6 \
        --ErrorRecoveryLevel $level --HeaderDigest CRC32C --DataDigest CRC32C > /tmp/out
    disk=$(sed -n 's/^LUN 0 is //p' /tmp/out)
    [ -b "$disk" ] || break
    echo 600 > /sys/block/$(basename $disk)/device/timeout
    D=$(echo $S/hawser*)
    name=$(basename $D)
    say "level $level: $name on $disk: $(grep -E 'ErrorRecoveryLevel|Digest' $D/negotiated |
        tr '\n' ' ')"
    w=$(awk '{{print $5}}' /sys/block/$(basename $disk)/stat)
    (for i in 1 2 3; do
        dd if=/tmp/noise of=$disk bs=64k count=256 conv=fsync 2>/dev/null || exit 1
    done) &
    writer=$!
    until [ $(awk '{{print $5}}' /sys/block/$(basename $disk)/stat) -gt $((w + 3)) ]; do :; done
    ip link set eth1 down
    n=0
    until [ $(cat $D/reinstatements)$(cat $D/recoveries) != 00 ] || [ $n = 60 ]; do
        sleep 1
        n=$((n + 1))
    done
    wait $writer
    say "level $level: the writer ended with $?"
    ip link set eth1 up
    until [ "$(cat $D/connection1/state)" = LOGGED_IN ]; do sleep 1; done
    echo 3 > /proc/sys/vm/drop_caches
    dd if=$disk bs=64k count=256 2>/dev/null | cmp - /tmp/noise && say "level $level: data is right"
    say "level $level: reinstatements $(cat $D/reinstatements) recoveries $(cat $D/recoveries)"
    hawser disconnect $name && say "level $level: logged out"
done
say done
)sh";

TinyInitramfs recovery_initramfs(uint16_t port) {
    return hawser_initramfs(fmt::format(fmt::runtime(k_script), k_name, port));
}

void judge_console(DirectRun& run) {
    auto& serial = run.machine().serial();
    for (unsigned level : {0u, 1u, 2u}) {
        auto has = [&](const std::string& what, const std::string& expression) {
            const auto line = fmt::format("RECOVERY level {}: {}", level, expression);
            run.report().check(fmt::format("level {}: {}", level, what),
                               serial.find(line).has_value(), "console: no " + line);
        };
        has("agreed, with both digests", fmt::format(".*ErrorRecoveryLevel={}", level));
        has("header digest", ".*HeaderDigest=CRC32C");
        has("data digest", ".*DataDigest=CRC32C");
        has("no I/O error while a link is gone", "the writer ended with 0");
        has("what was written is read", "data is right");
        has(level == 2 ? "the session lived on" : "the session was reinstated",
            level == 2 ? "reinstatements 0 recoveries 1" : "reinstatements 1 recoveries 0");
        has("a clean end", "logged out");
    }
}

void judge_wire(DirectRun& run, uint16_t port) {
    auto& report = run.report();
    auto wire = run.wire(port);
    report.set_connections(wire.logged_in());
    report.check("tshark finds no malformed PDU of ours", wire.malformed.empty());
    std::ifstream file(run.directory() / "target.log");
    const std::string log(std::istreambuf_iterator<char>(file), {});
    report.check("the target finds no breach of the RFC",
                 log.find("breach of rule") == std::string::npos, log);
    size_t leading = 0;
    for (const auto& connection : wire.logged_in().connections)
        leading += connection.login_requests.front().tsih == 0;
    report.check("leading logins: two at level 0, two at 1, one at 2", leading == 5,
                 std::to_string(leading));
    auto count = [&](const std::string& what, const std::string& filter, size_t least) {
        const size_t seen = run.count_frames(port, filter);
        report.check(what, seen >= least, fmt::format("{} frames of {}", seen, filter));
    };
    count("a sibling removed the lost connection", "iscsi.opcode==0x06 && iscsi.logout.reason==2",
          1);
    count("its tasks were reassigned", "iscsi.opcode==0x02 && iscsi.taskmanfun.function==8", 1);
}

}  // namespace

TEST_CASE("recovery-levels") {
    DirectRun run("recovery-levels", 3);
    try {
        const uint16_t port = free_port();
        Process::Options options;
        options.output = run.directory() / "target.log";
        Process target(
            {(build_folder() / "bin" / "hawser-target").string(), "--listen",
             fmt::format("127.0.0.1:{}", port), "--name", k_name, "--size", "64", "--set",
             "ErrorRecoveryLevel=2", "--set", "DefaultTime2Wait=0", "--set", "MaxConnections=8",
             "--set", "HeaderDigest=CRC32C,None", "--set", "DataDigest=CRC32C,None",
             // Here no data is lost, but late: a debug kernel takes seconds for a burst, and to be
             // asked again and again is beyond MaxOutstandingR2T.
             "--set", "data_out_timeout_ms=60000"},
            options);
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        recovery_initramfs(port).write(initrd, kernel);
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        run.machine().serial().expect("RECOVERY done", Seconds(240));
        run.machine().wait_for_end(Seconds(60));
        judge_console(run);
        judge_wire(run, port);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}
