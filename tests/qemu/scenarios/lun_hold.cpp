// SPDX-License-Identifier: GPL-2.0-or-later
//
// What holds one LUN and no other: another disk in its place, until the administrator takes it for
// the right one; a write of an earlier nexus that the target may still carry out, though error
// handling has had it meanwhile; and error handling that waits for what the verifier holds.

#include <fmt/format.h>

#include <csignal>
#include <fstream>

#include "faults_machine.h"
#include "paths.h"
#include "target_luns.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

namespace fs = std::filesystem;

constexpr uint64_t k_image_bytes = 4 << 20;
constexpr Seconds k_limit{180};

// {0}: port, {1}: options of connect.
constexpr const char* k_words = R"sh(
say() {{ echo "FAULT $*"; }}
act() {{ echo "FAULT act $1;"; read -r _; }}
unit() {{ echo /sys/bus/scsi/devices/[0-9]*:[0-9]*:[0-9]*:$1; }}
disk() {{ echo /dev/$(basename $(unit $1)/block/*); }}
ip link set lo up
ip link set eth0 up
ip address add 10.0.10.15/24 dev eth0
dd if=/dev/urandom of=/tmp/noise bs=4k count=32 2>/dev/null
hawser connect --target iqn.2026-11.hawser:root --initiator iqn.2026-11.hawser:node \
    --portal 10.0.10.2:{0},nic=eth0 {1}
S=/sys/bus/hawser/devices/hawser0
)sh";

// Another disk under LUN 2.
constexpr const char* k_accept = R"sh(
hawser lun accept hawser0 2; say "accept of a ready one $?"
act other
until dmesg | grep -q 'LUN 2 IS ANOTHER DISK'; do usleep 100000; done
(dd if=/tmp/noise of=$(disk 2) bs=4k count=1 seek=3 oflag=direct 2>/dev/null
 say "its write ended $?") &
held=$!
n=0
while [ $n -lt 20 ]; do
    dd if=/tmp/noise of=$(disk 1) bs=4k count=1 seek=$n oflag=direct 2>/dev/null ||
        say "LUN 1: write failed"
    n=$((n + 1))
    usleep 100000
done
say "wrote 20 to LUN 1; the write to LUN 2 is $(kill -0 $held && echo held)"
hawser lun list hawser0
say "foreign $(cat $S/foreign)"
hawser lun accept hawser0 2; say "accept $?"
wait $held
say "foreign $(cat $S/foreign) state $(cat $(unit 2)/hawser/state)"
hawser disconnect hawser0; say "disconnect $?"
say done
)sh";

// The first write of 8 KiB is at work in the target when its abort is asked for and the connection
// breaks: error handling has it, and has it sent again.
constexpr const char* k_lost = R"sh(
echo 3 > $(unit 1)/timeout
(dd if=/tmp/noise of=$(disk 1) bs=8k count=1 oflag=direct 2>/dev/null; say "write ended $?") &
sleep 6
act cut
wait $!
say "reinstatements $(cat $S/reinstatements)"
hawser disconnect hawser0; say "disconnect $?"
say done
)sh";

// At level 2, while the abort of a write is under way, the target forgets all.
constexpr const char* k_deadlock = R"sh(
echo 3 > $(unit 0)/timeout
read -r from _ < /proc/uptime
dd if=/tmp/noise of=$(disk 0) bs=73728 count=1 oflag=direct 2>/dev/null; say "write ended $?"
read -r to _ < /proc/uptime
say "after $((${to%.*} - ${from%.*})) s, reinstatements $(cat $S/reinstatements)"
hawser disconnect hawser0; say "disconnect $?"
say done
)sh";

void start(DirectRun& run, uint16_t port, const std::string& options, const std::string& script) {
    run.report().set("target_port", port);
    auto initramfs = hawser_initramfs(fmt::format(fmt::runtime(k_words), port, options) + script);
    const auto kernel = default_kernel();
    const auto initrd = run.directory() / "initramfs.img";
    initramfs.write(initrd, kernel);
    run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
}

fs::path make_file(const DirectRun& run, const char* name) {
    const auto file = run.directory() / name;
    std::ofstream(file).close();
    fs::resize_file(file, k_image_bytes);
    return file;
}

bool is_zeroes(const fs::path& image) {
    std::ifstream file(image, std::ios::binary);
    for (char byte = 0; file.get(byte);)
        if (byte != 0) return false;
    return true;
}

}  // namespace

TEST_CASE("lun-accept") {
    tell_direct("lun-accept", 1, [](DirectRun& run) {
        const auto other = make_file(run, "other.img");
        TargetOptions options;
        options.directory = run.directory();
        auto made = make_tgt_with_luns(options, {});
        auto& target = *made;
        run.use_target(std::move(made));
        target.set_lun(1, make_file(run, "one.img"), "hawser-one");
        target.set_lun(2, make_file(run, "two.img"), "hawser-two");
        start(run, target.port(), "--root yes", k_accept);
        bool untouched = false;
        play(run,
             {{"other",
               [&] {
                   target.kill();
                   target.set_lun(2, other, "hawser-other");
                   target.restart();
               }}},
             k_limit);
        run.machine().wait_for_end(Seconds(60));
        target.stop();
        run.expect_console("one that is ready is not to be accepted",
                           "FAULT accept of a ready one 1");
        run.expect_console("LUN 1 goes on, LUN 2 is held",
                           "FAULT wrote 20 to LUN 1; the write to LUN 2 is held");
        run.expect_console("it is listed as another disk", "^2 +foreign");
        run.expect_console("with the identity of the other",
                           "found +t10.hawser-other, .*: another disk");
        run.expect_console("`foreign` tells it", "FAULT foreign 1$");
        run.expect_console("it is accepted", "FAULT accept 0");
        run.expect_console("what was held is written", "FAULT its write ended 0");
        run.expect_console("and it is ready", "FAULT foreign 0 state ready");
        run.expect_console("a clean end", "FAULT disconnect 0");
        untouched = is_zeroes(other);
        run.report().check("the accepted disk has the write", !untouched);
        judge_frames(run, target.port());
    });
}

TEST_CASE("lun-lost-reset") {
    tell_direct("lun-lost-reset", 1, [](DirectRun& run) {
        TargetOptions options;
        options.directory = run.directory();
        options.image = run.make_image(k_image_bytes);
        options.keys = {"DefaultTime2Wait=0"};
        options.environment = {
            "LD_PRELOAD=" + (build_folder() / "bin" / "libhawser-slow-backend.so").string(),
            "HAWSER_SLOW_WRITE_BYTES=8192", "HAWSER_SLOW_WRITE_MS=12000"};
        auto& target = run.use_target(make_tgt(options));
        auto proxy = start_proxy(run.directory(), "proxy", target.port(), "signal 1 do reset\n");
        start(run, proxy.port(), "--root no", k_lost);
        play(run, {{"cut", [&] { proxy.signal(SIGUSR1); }}}, k_limit);
        run.machine().wait_for_end(Seconds(60));
        const uint16_t port = proxy.port();
        proxy.stop();
        target.stop();
        run.expect_console("the write is done in the end", "FAULT write ended 0");
        run.expect_console("in a new session", "FAULT reinstatements 1");
        run.expect_console("a clean end", "FAULT disconnect 0");
        const auto aborts = run.count_frames(port, "iscsi.taskmanfun.function == 1");
        const auto resets = run.count_frames(port, "iscsi.taskmanfun.function == 5");
        run.report().check("its abort was under way", aborts >= 1, std::to_string(aborts));
        run.report().check("LOGICAL UNIT RESET goes before it is sent again", resets >= 1,
                           std::to_string(resets));
        judge_frames(run, port);
    });
}

TEST_CASE("lun-hold-error-handling") {
    tell_direct("lun-hold-error-handling", 1, [](DirectRun& run) {
        ScriptedTargetOptions options;
        options.directory = run.directory();
        options.image = run.make_image(k_image_bytes);
        options.settings = {"ErrorRecoveryLevel=2", "MaxConnections=2", "DefaultTime2Wait=0"};
        options.script =
            "on ScsiCommand number 1 where expected_length=73728 do hang\n"
            "on TaskManagementRequest number 1 do drop then restart\n";
        Peer target = start_scripted_target(options);
        start(run, target.port(), "--root no --ErrorRecoveryLevel 2 --abort_timeout 60",
              k_deadlock);
        play(run, {}, k_limit);
        run.machine().wait_for_end(Seconds(60));
        run.expect_console("the write is done in the end", "FAULT write ended 0");
        const auto took = run.machine().serial().find("FAULT after ([0-9]+) s, reinstatements 1");
        run.report().check("in a new session, without waiting for the abort's time",
                           took && std::stoul(took->groups[1]) <= 30,
                           took ? took->text : "it was not told");
        run.expect_console("a clean end", "FAULT disconnect 0");
        judge_frames(run, target.port());
        judge_peer(run, target);
    });
}
