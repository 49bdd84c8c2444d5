// SPDX-License-Identifier: GPL-2.0-or-later
//
// The usual way: open-iscsi (iscsid, iscsi_tcp), a session by each of two NICs, and dm-multipath
// (multipathd, multibus, no_path_retry queue) over both, in the same small machine, from Debian's
// packages. multipathd sets a session's recovery_tmo by its own fast_io_fail_tmo, which is 5 s
// unless told otherwise, and so undoes open-iscsi's replacement_timeout of 120 s: both are set
// alike here, and what the kernel has is said on the console.

#include <fmt/format.h>

#include "link_cut.h"
#include "story.h"
#include "tiny_initramfs.h"

namespace hawser::qemu {

namespace {

constexpr uint64_t k_disk_bytes = 64 << 20;
constexpr unsigned k_nics = 2;

// {0}: target name, {1}: port, {2}: the last NIC's, {3}: replacement_timeout.
constexpr const char* k_script = R"sh(
networks 2
mkdir -p /run/udev /run/lock/iscsi /etc/iscsi /etc/multipath /dev/shm /var
ln -s /run /var/run
echo 'root:x:0:0::/:/bin/sh' > /etc/passwd
echo 'root:x:0:' > /etc/group
echo InitiatorName=iqn.2026-11.hawser:rival > /etc/iscsi/initiatorname.iscsi
sed -i -e 's/^\(node.session.timeo.replacement_timeout\).*/\1 = {3}/' \
    -e 's/^iscsid.startup.*/iscsid.startup = \/bin\/true/' /etc/iscsi/iscsid.conf
cat > /etc/multipath.conf <<END
defaults {{
    find_multipaths no
    user_friendly_names yes
    path_grouping_policy multibus
    polling_interval 5
    no_path_retry queue
    fast_io_fail_tmo {3}
}}
END
ln -s /bin /sbin
ln -s /bin /usr/sbin
ln -s /bin/udevadm /bin/systemd-udevd
systemd-udevd --daemon
udevadm trigger
udevadm settle
iscsid
for portal in 10.0.10.2:{1} 10.0.11.2:{2}; do
    iscsiadm -m node -T {0} -p $portal -o new > /dev/null
    iscsiadm -m node -T {0} -p $portal --login
done
multipathd
n=0
until [ -b /dev/mapper/mpatha ] || [ $n = 60 ]; do sleep 1; n=$((n + 1)); done
for fault in none silent reset; do
    n=0
    until [ "$(dmsetup status mpatha | grep -oE '[0-9]+:[0-9]+ A' | wc -l)" = 2 ] ||
        [ $n = 90 ]; do
        sleep 1
        n=$((n + 1))
    done
    multipath -ll
    say "recovery_tmo $(cat /sys/class/iscsi_session/*/recovery_tmo | tr '\n' ' ')"
    window $fault /dev/mapper/mpatha
done
say done
)sh";

TinyInitramfs rival_initramfs() {
    TinyInitramfs initramfs;
    initramfs.modules = {"virtio_pci", "virtio_net",   "virtio_rng",
                         "sd_mod",     "iscsi_tcp",    "crc32c_generic",
                         "dm_mod",     "dm_multipath", "dm_service_time"};
    for (const char* name : {"iscsid", "iscsiadm", "multipathd", "multipath", "dmsetup"})
        initramfs.programs.push_back(std::filesystem::path("/usr/sbin") / name);
    initramfs.programs.push_back("/usr/bin/udevadm");
    initramfs.programs.push_back("/usr/bin/fio");
    initramfs.files = {"/lib/multipath", "/lib/udev/rules.d", "/usr/lib/udev/rules.d",
                       "/lib/udev/scsi_id", "/etc/iscsi/iscsid.conf"};
    return initramfs;
}

}  // namespace

std::vector<Stall> cut_rival(unsigned replacement_timeout_s) {
    DirectRun run(fmt::format("link-cut/rival-{}", replacement_timeout_s), k_nics);
    std::vector<Stall> stalls;
    try {
        auto& target = run.start_tgt(k_disk_bytes);
        LinkProxy proxy(run, target.port());
        auto initramfs = rival_initramfs();
        initramfs.script =
            stall_functions() + fmt::format(fmt::runtime(k_script), target.name(), target.port(),
                                            proxy.port(), replacement_timeout_s);
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        initramfs.write(initrd, kernel);
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        stalls = cut_links(
            run, proxy, k_nics - 1,
            fmt::format("open-iscsi + dm-multipath, timeout {} s", replacement_timeout_s),
            {"none", "silent", "reset"});
        run.machine().serial().expect("CUT done", Seconds(200));
        run.machine().wait_for_end(Seconds(60));
        judge_windows(run, proxy, k_nics - 1, stalls);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish("error, dev sd[a-z]+, sector");  // a path's, which multipath tries on the other one
    conclude(run.report(), run.directory(), "link-cut");
    return stalls;
}

}  // namespace hawser::qemu
