// SPDX-License-Identifier: GPL-2.0-or-later
//
// Deep queues of long writes on slow links, against LIO, which drops a connection when data that it
// has asked for does not come within 3 s. What our connections owe is bounded by time: nothing is
// dropped, nothing is aborted by the mid-layer's 30 s, and the links are busy. The long one holds
// it against open-iscsi (four sessions, dm-multipath over them) in the same machine.

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "direct_run.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 512 << 20;

// {0}: links, {1}: target name, {2}: port, {3}: commands at a time, {4}: MiB to write.
constexpr const char* k_head = R"sh(
say() {{ echo "PATH $*"; }}
ip link set lo up
portals=
i=0
while [ $i -lt {0} ]; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
    tc qdisc replace dev eth$i root tbf rate 15mbit burst 32k limit 256k
    portals="$portals 10.0.1$i.2:{2}"
    i=$((i + 1))
done
load() {{
    fio --name=$1 --filename=$2 --rw=write --bs=1M --direct=1 --thread --ioengine=libaio \
        --iodepth={3} --size={4}M --eta=never --output=/tmp/fio.log
    say "$1: fio ended with $?"
    cat /tmp/fio.log
    say "$1: $(sed -n 's/^ *WRITE: bw=[^(]*(\([0-9]*\)kB.*/\1/p' /tmp/fio.log) kB/s"
}}
options=
for portal in $portals; do options="$options --portal $portal"; done
hawser connect --target {1} --initiator iqn.2026-11.hawser:path --connections {0} $options \
    > /tmp/out
cat /tmp/out
D=/sys/bus/hawser/devices/hawser0
load hawser $(sed -n 's/^LUN 0 is //p' /tmp/out)
say "hawser: reinstatements $(cat $D/reinstatements)"
say "hawser: $(dmesg | grep -c 'timed out') timed out"
hawser disconnect hawser0 && say "hawser: logged out"
)sh";

// {0}: target name.
constexpr const char* k_rival = R"sh(
mkdir -p /run/udev /run/lock/iscsi /etc/iscsi /etc/multipath /dev/shm /var
ln -s /run /var/run
echo 'root:x:0:0::/:/bin/sh' > /etc/passwd
echo 'root:x:0:' > /etc/group
echo InitiatorName=iqn.2026-11.hawser:rival > /etc/iscsi/initiatorname.iscsi
sed -i -e 's/^iscsid.startup.*/iscsid.startup = \/bin\/true/' /etc/iscsi/iscsid.conf
cat > /etc/multipath.conf <<END
defaults {{
    find_multipaths no
    user_friendly_names yes
    path_grouping_policy multibus
    no_path_retry queue
}}
END
ln -s /bin /sbin
ln -s /bin /usr/sbin
ln -s /bin/udevadm /bin/systemd-udevd
systemd-udevd --daemon
udevadm trigger
udevadm settle
iscsid
for portal in $portals; do
    iscsiadm -m node -T {0} -p $portal -o new > /dev/null
    iscsiadm -m node -T {0} -p $portal --login
done
multipathd
n=0
until [ "$(dmsetup status mpatha 2>/dev/null | grep -oE '[0-9]+:[0-9]+ A' | wc -l)" = 4 ] ||
    [ $n = 90 ]; do
    sleep 1
    n=$((n + 1))
done
multipath -ll
load rival /dev/mapper/mpatha
)sh";

struct Load {
    unsigned links;
    unsigned depth;
    unsigned mebibytes;
    bool rival;
};

TinyInitramfs path_initramfs(const Load& load, const Target& target) {
    std::string script = fmt::format(fmt::runtime(k_head), load.links, target.name(),
                                     target.port(), load.depth, load.mebibytes);
    if (load.rival) script += fmt::format(fmt::runtime(k_rival), target.name());
    auto initramfs = hawser_initramfs(script + "say done\n");
    initramfs.modules.push_back("sch_tbf");
    initramfs.programs.insert(initramfs.programs.end(), {"/sbin/tc", "/usr/bin/fio"});
    if (!load.rival) return initramfs;
    for (const char* module : {"iscsi_tcp", "dm_mod", "dm_multipath", "dm_service_time"})
        initramfs.modules.push_back(module);
    for (const char* name : {"iscsid", "iscsiadm", "multipathd", "multipath", "dmsetup"})
        initramfs.programs.push_back(std::filesystem::path("/usr/sbin") / name);
    initramfs.programs.push_back("/usr/bin/udevadm");
    initramfs.files = {"/lib/multipath", "/lib/udev/rules.d", "/usr/lib/udev/rules.d",
                       "/lib/udev/scsi_id", "/etc/iscsi/iscsid.conf"};
    return initramfs;
}

double rate_of(DirectRun& run, const std::string& who) {
    const auto line = run.machine().serial().find(fmt::format("PATH {}: ([0-9]+) kB/s", who));
    return line ? std::stod(line->groups[1]) : 0;
}

void tell_of(const std::string& name, const Load& load) {
    tell_direct(
        name, load.links,
        [&](DirectRun& run) {
            auto& target = run.start_lio(k_disk_bytes, 0);
            auto kernel = default_kernel();
            auto initrd = run.directory() / "initramfs.img";
            path_initramfs(load, target).write(initrd, kernel);
            run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
            run.machine().serial().expect("PATH hawser: logged out", Seconds(300));
            const double ours = rate_of(run, "hawser");
            run.report().set("hawser_kB_s", ours);
            run.expect_console("fio ended without an error", "PATH hawser: fio ended with 0");
            run.expect_console("no reinstatement", "PATH hawser: reinstatements 0");
            run.expect_console("no command timed out", "PATH hawser: 0 timed out");
            // 15 Mbit/s are 1875 kB/s, less what TCP and iSCSI take.
            run.report().check("the links were busy", ours > 0.85 * 1875 * load.links,
                               fmt::format("{} kB/s", ours));
            if (load.rival) {
                run.machine().serial().expect("PATH done", Seconds(600));
                const double rival = rate_of(run, "rival");
                run.report().set("rival_kB_s", rival);
                run.report().check("open-iscsi wrote as well", rival > 0);
                run.report().check("as fast as open-iscsi", ours >= rival,
                                   fmt::format("{} against {} kB/s", ours, rival));
            }
            run.machine().wait_for_end(Seconds(60));
            run.target().stop();
            std::ifstream file(run.directory() / "target.log");
            const std::string log(std::istreambuf_iterator<char>(file), {});
            run.report().check("LIO's Data-Out timer did not run out",
                               log.find("DataOut timeout") == std::string::npos &&
                                   log.find("DataOut Timeout") == std::string::npos,
                               log);
        },
        load.rival ? "error, dev sd[a-z]+, sector" : "");
}

}  // namespace

TEST_CASE("slow-path", "[more]") {
    tell_of("slow-path", {2, 128, 112, false});
}

TEST_CASE("slow-path-rival", "[more]") {
    tell_of("slow-path-rival", {4, 256, 320, true});
}
