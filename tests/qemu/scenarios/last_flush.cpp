// SPDX-License-Identifier: GPL-2.0-or-later
//
// The driver's own SYNCHRONIZE CACHE at a machine's end, where sd's has not done it. The target
// answers the last four by UNIT ATTENTION, three of which are sd's tries: the driver asks again. Or
// it knows no such command at all: there is nothing to flush then, and no alarm. A SYNCHRONIZE
// CACHE by SG_IO with IMMED, before it, is no flush.

#include <fmt/format.h>

#include <csignal>

#include "faults_machine.h"
#include "paths.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

// Fixed format sense data behind its length, as a script writes bytes: '|' is a zero.
std::string sense_of(char key, const std::string& code) {
    return std::string("set status=2 then text \"|\x12\x70|") + key + "||||\x0b||||" + code +
           "||||\"";
}

// {0}: port.
constexpr const char* k_script = R"sh(
act() {{ echo "FAULT act $1;"; read -r _; }}
ip link set eth0 up
ip address add 10.0.10.15/24 dev eth0
hawser connect --target iqn.2026-11.hawser:root --initiator iqn.2026-11.hawser:node --root yes \
    --portal 10.0.10.2:{0},nic=eth0 --noop_out_interval 0 --grace 30
dd if=/dev/urandom of=/dev/sda bs=64k count=4 oflag=direct 2>/dev/null && echo "FLUSH wrote"
sg_raw /dev/sda 35 02 00 00 00 00 00 00 00 00 2>/dev/null && echo "FLUSH immediate"
act leave
poweroff -f
sleep 600
)sh";

// When each SYNCHRONIZE CACHE (10) was sent, and whether it was an immediate one.
std::vector<std::string> flushes(DirectRun& run, uint16_t port) {
    return run.frame_fields(port, "iscsi.opcode == 0x01 && scsi_sbc.opcode == 0x35",
                            {"iscsi.initiatortasktag"});
}

void tell_flush(const std::string& name, const std::string& answer, unsigned times,
                const std::function<void(DirectRun&, size_t)>& judge) {
    tell_direct(name, 1, [&](DirectRun& run) {
        run.make_image(64 << 20);
        auto target = start_image_target(
            run, fmt::format("on ScsiResponse after 1 number 1..{} where status=0 do {}\n", times,
                             answer));
        auto initramfs = hawser_initramfs(fmt::format(fmt::runtime(k_script), target.port()));
        initramfs.programs.push_back("/usr/bin/sg_raw");
        const auto kernel = default_kernel();
        const auto initrd = run.directory() / "initramfs.img";
        initramfs.write(initrd, kernel);
        run.report().set("target_port", target.port());
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        auto& serial = run.machine().serial();
        serial.expect("FAULT act leave;", Seconds(150));
        target.signal(SIGUSR1);
        serial.send("\n");
        run.machine().wait_for_end(Seconds(90));
        run.expect_console("the disk was written to", "FLUSH wrote");
        run.expect_console("and flushed, but not waited for", "FLUSH immediate");
        run.report().check("no alarm", !serial.find("THE DISK WAS NOT FLUSHED"));
        run.expect_console("logged out", "logged out of iqn.2026-11.hawser:root");
        judge(run, flushes(run, target.port()).size());
        target.stop();
        judge_frames(run, target.port());
    });
}

}  // namespace

TEST_CASE("last-flush") {
    tell_flush("last-flush", sense_of('\x06', "\x29|"), 4, [](DirectRun& run, size_t flushes) {
        run.expect_console("sd's own tries are over", "Synchronize Cache.*failed");
        run.report().check("the immediate one, three of sd's, and the driver's until it is done",
                           flushes == 6, std::to_string(flushes));
    });
}

TEST_CASE("last-flush-unknown") {
    tell_flush("last-flush-unknown", sense_of('\x05', "\x20|"), 9, [](DirectRun& run, size_t) {
        run.expect_console("it is said once", "knows no SYNCHRONIZE CACHE: nothing to flush");
    });
}
