// SPDX-License-Identifier: GPL-2.0-or-later
//
// The module alone, in seconds: kernel, busybox, hawser.ko, a session of two connections over two
// NICs.

#include <fmt/format.h>

#include "direct_run.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 64 << 20;
constexpr uint64_t k_noise_bytes = 16 << 20;

// {0}: target name, {1}: port.
constexpr const char* k_script = R"sh(
say() {{ echo "SMOKE $*"; }}
ask() {{
    exec 3<>/dev/hawser
    if echo "$1" >&3; then read -r answer <&3; say "answer: $answer"
    else read -r answer <&3; say "refused: $answer"; fi
    exec 3>&-
}}
ip link set lo up
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
ls -l /dev/hawser
ask "connect target={0}"
ask "connect nonsense=1"
portals="portal=10.0.10.2:{1},nic=eth0 portal=10.0.11.2:{1},nic=eth1"
ask "connect target={0} initiator=iqn.2026-11.hawser:smoke $portals"
grep -r . /sys/bus/hawser/devices/hawser0/ 2>/dev/null | grep -v -e /power/ -e /host -e uevent
D=/dev/sda
[ -b $D ] && say "disk: $(cat /sys/block/sda/size) $(cat /sys/class/scsi_disk/*/cache_type)"
head -c 16777216 /dev/urandom > /tmp/noise
say "sum: $(sha256sum < /tmp/noise)"
dd if=/tmp/noise of=$D bs=256k 2>/dev/null
sync
blockdev --flushbufs $D
echo 3 > /proc/sys/vm/drop_caches
say "read: $(head -c 16777216 $D | sha256sum)"
for i in 1 2 3 4; do dd if=$D of=/dev/null bs=4k count=500 skip=$((i * 1000)) 2>/dev/null & done
wait
rmmod hawser 2>/dev/null && say "unloaded under a session"
[ -x /bin/hawser ] && hawser status
exec 4<$D
ask "disconnect session=hawser0"
exec 4<&-
ask "disconnect session=hawser0"
[ -e $D ] && say "disk still there"
[ -e /sys/bus/hawser/devices/hawser0 ] && say "session still there"
i=0
while [ $i -lt 5 ]; do
    ask "connect target={0} initiator=iqn.2026-11.hawser:smoke portal=10.0.10.2:{1} connections=2"
    ask "disconnect session=$(echo $answer | cut -d' ' -f2)"
    i=$((i + 1))
done
rmmod hawser && say "unloaded"
say done
)sh";

TinyInitramfs smoke_initramfs(const Target& target) {
    return hawser_initramfs(fmt::format(fmt::runtime(k_script), target.name(), target.port()));
}

void judge_console(DirectRun& run) {
    auto& serial = run.machine().serial();
    auto& report = run.report();
    auto has = [&](const std::string& what, const std::string& expression) {
        report.check(what, serial.find(expression).has_value(), "console: no " + expression);
    };
    has("a line that lacks a key is refused in words",
        "SMOKE refused: (portal|initiator): missing");
    has("an unknown key is refused by name", "SMOKE refused: .*nonsense");
    has("connect answers with the session's name", "SMOKE answer: session hawser0");
    has("the disk has the image's size and a write cache", "SMOKE disk: 131072 write back");
    auto written = serial.find("SMOKE sum: ([0-9a-f]{64})");
    auto read = serial.find("SMOKE read: ([0-9a-f]{64})");
    report.check("what was written is read back",
                 written && read && written->groups[1] == read->groups[1]);
    auto on_host = run_checked({"sh", "-c", "head -c \"$1\" \"$2\" | sha256sum", "sh",
                                std::to_string(k_noise_bytes), run.image().string()});
    report.check("what was written is in the image",
                 written && on_host.substr(0, 64) == written->groups[1]);
    report.check("no unloading under a session", !serial.find("SMOKE unloaded under a session"));
    has("an open disk is not disconnected", "SMOKE refused: .*(busy|open|use)");
    has("disconnect answers", "SMOKE answer: disconnected hawser0");
    report.check("the disk goes", !serial.find("SMOKE disk still there"));
    report.check("the session goes", !serial.find("SMOKE session still there"));
    has("the module can be unloaded then", "SMOKE unloaded$");
}

void judge_wire(DirectRun& run) {
    auto& report = run.report();
    auto session = run.wire(run.target().port()).logged_in();
    report.set_connections(session);
    // One session of two connections over both NICs, then five more over the first.
    if (!report.check("12 connections logged in", session.connections.size() == 12,
                      std::to_string(session.connections.size()))) {
        return;
    }
    size_t logouts = 0;
    for (const auto& connection : session.connections) {
        auto who = fmt::format("{} -> {}", connection.source, connection.portal);
        report.check("closed with FIN: " + who,
                     connection.fin_from_initiator_at && !connection.reset_at);
        logouts += connection.logout_response == 0u;
    }
    report.check("at least one Logout a session is answered", logouts >= 6,
                 std::to_string(logouts));
    const auto& first = session.connections.front();
    const auto& other = *std::find_if(session.connections.begin(), session.connections.end(),
                                      [](const auto& c) { return c.nic == 1; });
    report.check("the first session's connections have one TSIH", first.tsih() == other.tsih());
    report.check("both carry commands", first.commands > 0 && other.commands > 0,
                 fmt::format("{} and {}", first.commands, other.commands));
    report.check("16 MiB went over the wire in each direction",
                 first.bytes_out + other.bytes_out >= k_noise_bytes &&
                     first.bytes_in + other.bytes_in >= k_noise_bytes,
                 fmt::format("{} written, {} read", first.bytes_out + other.bytes_out,
                             first.bytes_in + other.bytes_in));
    report.check("tshark finds no malformed PDU of ours",
                 run.wire(run.target().port()).malformed.empty());
}

}  // namespace

TEST_CASE("module-smoke") {
    DirectRun run("module-smoke", 2);
    try {
        auto& target = run.start_tgt(k_disk_bytes);
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        smoke_initramfs(target).write(initrd, kernel);
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        run.machine().serial().expect("SMOKE done", Seconds(150));
        run.machine().wait_for_end(Seconds(30));
        judge_console(run);
        judge_wire(run);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}
