// SPDX-License-Identifier: GPL-2.0-or-later
//
// A session's beginning and end, while everybody who may wake it does so: `stay`, which kicks every
// session there is, and scans by user space.

#include <fmt/format.h>

#include "faults_machine.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

// {0}: port.
constexpr const char* k_script = R"sh(
say() {{ echo "LIVES $*"; }}
ip link set eth0 up
ip address add 10.0.10.15/24 dev eth0
login() {{
    port=$1
    shift
    hawser connect --target iqn.2026-11.hawser:root --initiator iqn.2026-11.hawser:node \
        --portal 10.0.10.2:$port,nic=eth0 "$@" 2>&1
}}
while [ ! -e /tmp/stop ]; do echo stay > /dev/hawser; done &
kicker=$!
for i in 1 2 3 4 5 6 7 8 9 10; do
    login 1 --timeout 1 > /dev/null
    login {0} > /tmp/out || say "not connected"
    host=$(echo /sys/bus/hawser/devices/hawser*/host*/scsi_host/host*)
    while [ -e $host/scan ]; do echo '- - -' > $host/scan; done 2>/dev/null &
    scanner=$!
    usleep 300000
    hawser disconnect hawser0 > /tmp/out || {{ cat /tmp/out; say "not disconnected"; }}
    wait $scanner
done
touch /tmp/stop
wait $kicker
say "lived"
say done
)sh";

}  // namespace

TEST_CASE("lifetimes") {
    tell_direct("lifetimes", 1, [](DirectRun& run) {
        ScriptedTargetOptions options;
        options.directory = run.directory();
        options.settings = {"luns=2"};
        auto target = start_scripted_target(options);
        auto initramfs = hawser_initramfs(fmt::format(fmt::runtime(k_script), target.port()));
        const auto kernel = default_kernel();
        const auto initrd = run.directory() / "initramfs.img";
        initramfs.write(initrd, kernel);
        run.report().set("target_port", target.port());
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        run.machine().serial().expect("LIVES done", Seconds(400));
        run.machine().wait_for_end(Seconds(60));
        run.expect_console("sessions came and went ten times", "LIVES lived");
        run.report().check("each was connected and disconnected",
                           !run.machine().serial().find("LIVES not "));
        judge_frames(run, target.port());
    });
}
