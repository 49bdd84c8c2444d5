// SPDX-License-Identifier: GPL-2.0-or-later
//
// The exit root with more than one file system upon the session's disk: the root is an overlay over
// a read-only logical volume, and a second volume is mounted and written. It is entered as
// systemd-shutdown does (the old root on /oldroot, `/shutdown poweroff` is process 1), without the
// rest of a distribution.

#include <fmt/format.h>

#include <fstream>

#include "direct_run.h"
#include "disk.h"
#include "ending.h"
#include "paths.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

namespace fs = std::filesystem;

constexpr uint64_t k_disk_bytes = 160 << 20;
constexpr uint64_t k_volume_bytes = 64 << 20;
constexpr uint64_t k_first_extent = 1 << 20;

// {0}: target, {1}: port. The exit root's files, and a program for the running root, lie in /exit.
constexpr const char* k_script = R"sh(
say() {{ echo "EXIT $*"; }}
ip link set eth0 up
ip address add 10.0.10.15/24 dev eth0
exec 3<>/dev/hawser
I=initiator=iqn.2026-11.hawser:exit
echo "connect target={0} $I root=yes portal=10.0.10.2:{1},nic=eth0" >&3
read -r answer <&3; say "$answer"
exec 3>&-
L() {{
    c=$1
    shift
    lvm $c --config 'activation {{ udev_sync=0 udev_rules=0 verify_udev_operations=0 }}' "$@"
}}
L pvcreate -q /dev/sda && L vgcreate -q ship /dev/sda
for v in root data; do
    L lvcreate -q -Zn -Wn -L 64M -n $v ship
done
L vgmknodes
for v in root data; do
    /bin/mke2fs -q -t ext4 /dev/mapper/ship-$v
done
mkdir -p /lower /upper /new
mount -t ext4 /dev/mapper/ship-root /lower
mkdir -p /lower/bin /lower/proc /lower/sys /lower/dev /lower/run /lower/data
cp /bin/busybox /lower/bin/ && ln -s busybox /lower/bin/sh
cp /bin/leave /lower/leave
umount /lower
mount -t ext4 -o ro /dev/mapper/ship-root /lower
mount -t tmpfs tmpfs /upper
mkdir /upper/u /upper/w
mount -t overlay -o lowerdir=/lower,upperdir=/upper/u,workdir=/upper/w overlay /new
mount -t tmpfs tmpfs /new/run
mkdir -p /new/run/initramfs /new/run/lower /new/run/upper
mount -t tmpfs tmpfs /new/run/initramfs
cd /new/run/initramfs
mkdir -p bin sbin usr dev proc sys run tmp oldroot
cp /bin/busybox bin/ && ln -s busybox bin/sh
cp /bin/dmsetup sbin/
cp -r /lib /lib64 . && rm -rf lib/modules
cp /bin/shutdown /bin/bounded.sh .
cd /
mount --move /lower /new/run/lower
mount --move /upper /new/run/upper
for m in proc sys dev; do mount --move /$m /new/$m; done
exec switch_root /new /leave
)sh";

// As process 1 of the overlay root.
constexpr const char* k_leave = R"sh(#!/bin/sh
B=/bin/busybox
$B mount -t ext4 /dev/mapper/ship-data /data
$B head -c 8388608 /dev/urandom > /data/noise
echo "EXIT sum: $($B sha256sum < /data/noise)" > /dev/console
echo changed > /changed && echo "EXIT root: $($B grep ' / ' /proc/mounts)" > /dev/console
echo "EXIT LEAVING" > /dev/console
cd /run/initramfs
for m in proc sys dev; do $B mount --move /$m /run/initramfs/$m; done
$B pivot_root . oldroot
exec $B chroot . /shutdown poweroff < /dev/console > /dev/console 2>&1
)sh";

TinyInitramfs exit_initramfs(const DirectRun& run, const Target& target) {
    auto hooks = build_folder() / "../shutdown-hooks/exit-root";
    auto leave = run.directory() / "leave";
    std::ofstream(leave) << k_leave;
    fs::permissions(leave, fs::perms::owner_all);
    TinyInitramfs initramfs;
    initramfs.modules = {"virtio_pci", "virtio_net", "virtio_rng", "sd_mod", "crc32c_generic",
                         "libcrc32c",  "ext4",       "dm_mod",     "overlay"};
    auto module = build_folder() / "module" / "hawser.ko";
    for (const auto& need : needs_of(module)) initramfs.modules.push_back(need);
    initramfs.module_files = {module};
    initramfs.programs = {"/sbin/lvm",        "/sbin/dmsetup",      "/sbin/mke2fs",
                          hooks / "shutdown", hooks / "bounded.sh", leave};
    initramfs.script = fmt::format(fmt::runtime(k_script), target.name(), target.port());
    return initramfs;
}

// The volumes are linear, one after the other.
void judge_volume(DirectRun& run, const std::string& name, uint64_t offset) {
    auto volume = run.directory() / (name + ".img");
    run_checked({"dd", "if=" + run.image().string(), "of=" + volume.string(), "bs=1M",
                 fmt::format("skip={}", offset >> 20),
                 fmt::format("count={}", k_volume_bytes >> 20), "conv=sparse", "status=none"});
    auto state = inspect_file_system(volume);
    run.report().check(name + ": e2fsck -n finds a clean file system", state.clean, state.report);
    run.report().check(name + ": no journal to replay", !state.needs_recovery);
    if (name == "data") {
        auto sum = run.machine().serial().find("EXIT sum: ([0-9a-f]{64})");
        run.report().check("what was written is in the image",
                           sum && sum->groups[1] == sha256_inside(volume, "/noise"));
    }
    fs::remove(volume);
}

void judge_console(DirectRun& run) {
    auto has = [&](const std::string& what, const std::string& expression) {
        run.report().check(what, run.machine().serial().find(expression).has_value(),
                           "console: no " + expression);
    };
    has("the root was an overlay", "EXIT root: overlay / overlay rw");
    has("all was unmounted", "hawser-shutdown: root disk unmounted");
    has("the root's volume was deactivated", "hawser-shutdown: ship-root deactivated");
    has("the data volume was deactivated", "hawser-shutdown: ship-data deactivated");
}

}  // namespace

TEST_CASE("exit-root-overlay-lvm") {
    DirectRun run("exit-root-overlay-lvm", 1);
    try {
        auto& target = run.start_tgt(k_disk_bytes);
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        exit_initramfs(run, target).write(initrd, kernel);
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        auto leaving = run.machine().serial().expect("EXIT LEAVING", Seconds(300));
        auto asked = run.machine().seconds(leaving.at);
        auto end = run.machine().wait_for_end(Seconds(180));
        run.report().check("the machine is off", end == "guest-shutdown", end);
        auto session = run.wire(target.port()).logged_in();
        run.report().set_connections(session);
        judge_session_end(run.report(), session, asked);
        judge_console(run);
        target.stop();
        judge_volume(run, "root", k_first_extent);
        judge_volume(run, "data", k_first_extent + k_volume_bytes);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}
