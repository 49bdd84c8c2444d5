// SPDX-License-Identifier: GPL-2.0-or-later
//
// How each of the two is set up.

#include "peer_initiator.h"

#include <fmt/format.h>

#include <thread>

namespace hawser::qemu {

namespace {

constexpr Seconds k_whole(7);  // between two cuts
constexpr Seconds k_cut(3);

constexpr const char* k_common = R"sh(
# Whole lines between those of the kernel.
say() { echo "PEER $*" > /dev/kmsg; }
ip link set lo up
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
disk() { ls $(device $1)block 2> /dev/null; }
)sh";

// {0}: target, {1}: port.
constexpr const char* k_ours = R"sh(
S=/sys/bus/hawser/devices/hawser0
connect() {{
    hawser connect --target {0} --initiator iqn.2026-11.hawser:peer --root yes \
        --portal 10.0.10.2:{1},nic=eth0 --portal 10.0.11.2:{1},nic=eth1
}}
device() {{ echo $S/host*/session*/target*/*:$1/; }}
look_for_luns() {{ echo "- - -" > $(echo $S/host*/scsi_host/host*/scan); }}
leave() {{ hawser disconnect hawser0; }}
losses() {{ echo "reinstatements $(cat $S/reinstatements)"; }}
)sh";

constexpr const char* k_theirs = R"sh(
S=/sys/class/iscsi_session/session1/device
connect() {{
    mkdir -p /run/lock/iscsi /etc/iscsi /dev/shm /var
    ln -s /run /var/run
    ln -s /bin /sbin
    echo 'root:x:0:0::/:/bin/sh' > /etc/passwd
    echo 'root:x:0:' > /etc/group
    echo InitiatorName=iqn.2026-11.hawser:peer > /etc/iscsi/initiatorname.iscsi
    sed -i -e 's/^iscsid.startup.*/iscsid.startup = \/bin\/true/' /etc/iscsi/iscsid.conf
    iscsid
    iscsiadm -m node -T {0} -p 10.0.10.2:{1} -o new > /dev/null
    iscsiadm -m node -T {0} -p 10.0.10.2:{1} --login
    n=0
    until ls $S/target*/*/block/* > /dev/null 2>&1 || [ $n = 30 ]; do
        sleep 1
        n=$((n + 1))
    done
}}
device() {{ echo $S/target*/*:$1/; }}
look_for_luns() {{ echo "- - -" > $(echo $S/../scsi_host/host*/scan); }}
leave() {{ iscsiadm -m node -T {0} --logout; }}
losses() {{ echo "recovery_tmo $(cat /sys/class/iscsi_session/session1/recovery_tmo)"; }}
)sh";

}  // namespace

PeerInitiator our_initiator(const std::string& target, uint16_t port) {
    return {"hawser", hawser_initramfs({}),
            k_common + fmt::format(fmt::runtime(k_ours), target, port)};
}

PeerInitiator open_iscsi(const std::string& target, uint16_t port) {
    TinyInitramfs initramfs;
    initramfs.modules = {"virtio_pci", "virtio_net", "virtio_rng",
                         "sd_mod",     "iscsi_tcp",  "crc32c_generic"};
    for (const char* name : {"iscsid", "iscsiadm"})
        initramfs.programs.push_back(std::filesystem::path("/usr/sbin") / name);
    initramfs.files = {"/etc/iscsi/iscsid.conf"};
    return {"open-iscsi", std::move(initramfs),
            k_common + fmt::format(fmt::runtime(k_theirs), target, port)};
}

Machine& start_peer(DirectRun& run, PeerInitiator initiator, const std::string& script) {
    initiator.initramfs.script = initiator.functions + script;
    const auto kernel = default_kernel();
    const auto initrd = run.directory() / "initramfs.img";
    initiator.initramfs.write(initrd, kernel);
    return run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic printk.devkmsg=on"});
}

unsigned cut_until(Machine& machine, const std::string& expression, Seconds limit) {
    const Deadline deadline(limit);
    const auto over = [&](Seconds pause) {
        const Deadline end(pause);
        while (!end.passed() && !deadline.passed() && machine.running()) {
            if (machine.serial().find(expression)) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
        return deadline.passed() || !machine.running();
    };
    for (unsigned cuts = 0;; ++cuts) {
        if (over(k_whole)) return cuts;
        machine.set_link(cuts % 2, false);
        const bool ends = over(k_cut);
        try {
            machine.set_link(cuts % 2, true);
        } catch (const std::exception&) {
            if (!ends) throw;  // else the machine may be off by now
        }
        if (ends) return cuts + 1;
    }
}

}  // namespace hawser::qemu
