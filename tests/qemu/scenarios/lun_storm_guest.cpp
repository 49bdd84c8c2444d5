// SPDX-License-Identifier: GPL-2.0-or-later
//
// The machine in the storm: its sessions, its I/O, and what it can be ordered to do.

#include <fmt/format.h>

#include "lun_storm.h"

namespace hawser::qemu {

namespace {

// {0}: target, {1}: port, {2}: the first LUN, {3} and {4}: a pass of fio over the first two.
constexpr const char* k_script = R"sh(
# Whole lines between those of the kernel.
say() {{ echo "STORM $*" > /dev/kmsg; }}
D=/sys/bus/hawser/devices
echo 60 > /proc/sys/kernel/hung_task_timeout_secs
ip link set lo up
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
ask() {{
    exec 3<>/dev/hawser
    echo "$1" >&3
    status=$?
    read -r answer <&3
    exec 3>&-
    return $status
}}
session() {{
    portals="portal=10.0.10.2:{1},nic=eth0 portal=10.0.11.2:{1},nic=eth1"
    ask "connect target={0} initiator=iqn.2026-11.hawser:$1 $2 $portals"
}}
# Of a session, a LUN: its device in sysfs, its disk.
device() {{ echo $D/$1/host*/session*/target*/*:$2/; }}
disk() {{ ls $(device $1 $2)block 2> /dev/null; }}
disks() {{ ls -d $D/$1/host*/session*/target*/*/block/* 2> /dev/null | wc -l; }}
set_in() {{ [ ! -e $1 ] || echo "$2" > $1; }}

delete() {{ set_in $(device $1 $2)delete 1; }}
look_for() {{ set_in $(echo $D/$1/host*/scsi_host/host*/scan) "- - -"; }}
look_again() {{ set_in $(device $1 $2)rescan 1; }}
timeout_of() {{ set_in $(device $1 $2)timeout $3; }}
drop_one() {{ ask "drop session=$1 connection=$2" && sleep 1 && ask "add session=$1"; }}
third_session() {{ session third && ask "disconnect session=${{answer#session }}"; }}
leave_and_stay() {{ ask leave; sleep $1; ask stay; }}
without_a_cpu() {{
    set_in /sys/devices/system/cpu/cpu1/online 0
    sleep $1
    set_in /sys/devices/system/cpu/cpu1/online 1
}}
queue_of() {{
    d=$(disk $1 $2)
    [ -n "$d" ] || return 0
    q=/sys/block/$d/queue
    case $3 in
    0) echo none > $q/scheduler; echo mq-deadline > $q/scheduler ;;
    1) echo 1 > $(device $1 $2)queue_depth; echo 32 > $(device $1 $2)queue_depth ;;
    2) echo 64 > $q/max_sectors_kb; echo 512 > $q/max_sectors_kb ;;
    3) echo 16 > $q/nr_requests; echo 2 > $q/rq_affinity; echo 64 > $q/nr_requests ;;
    esac
}}

verify() {{
    pass=0
    disk=$2
    while [ ! -e /tmp/stop ]; do
        pass=$((pass + 1))
        if [ $1 = 0 ]; then
            {3} > /tmp/fio-$1.log 2>&1
        else
            {4} > /tmp/fio-$1.log 2>&1
        fi || {{ say "fio $1: pass $pass FAILED"; cat /tmp/fio-$1.log; return; }}
    done
    say "fio $1: $pass passes"
}}
# May fail where the LUN is gone, and must end where it is held.
churn() {{
    while [ ! -e /tmp/stop ]; do
        d=$(disk $1 $2)
        [ -z "$d" ] || dd if=/dev/$d of=/dev/null bs=64k count=8 iflag=direct
        [ -z "$d" ] || [ $3 = read ] || dd if=/tmp/noise of=/dev/$d bs=64k oflag=direct conv=fsync
        sleep 0.3
    done 2> /dev/null
}}
order() {{
    begin=$(date +%s)
    eval "$2" 2> /dev/null
    say "order $1 ended $? after $(($(date +%s) - begin)) s"
}}

session root root=yes || say "refused: $answer"
session data root=no || say "refused: $answer"
dd if=/dev/urandom of=/tmp/noise bs=64k count=8 2> /dev/null
first=$(disk hawser0 {2})
second=$(disk hawser0 $(({2} + 1)))
jobs=
start() {{ "$@" & jobs="$jobs $!"; }}
start verify 0 /dev/$first
start verify 1 /dev/$second
start churn hawser0 $(({2} + 2)) write
start churn hawser0 $(({2} + 3)) read
for n in 0 1 2; do start churn hawser1 $(({2} + n)) read; done
start churn hawser1 $(({2} + 3)) write
stty -F /dev/ttyS1 -echo
exec 4< /dev/ttyS1
say begins
while read -r number words <&4; do
    [ "$number" = over ] && break
    order "$number" "$words" &
    jobs="$jobs $!"
done
touch /tmp/stop
# Who does not come to his end is told of by the kernel.
(sleep 100; echo w > /proc/sysrq-trigger) &
wait $jobs
ask stay
for name in hawser0 hawser1; do
    n=0
    until [ $(disks $name) = 4 ] || [ $n = 20 ]; do
        look_for $name
        sleep 1
        n=$((n + 1))
    done
    say "$name has $(disks $name) disks"
done
say "verified: $(for d in $first $second; do echo $d $(cat /sys/block/$d/device/state); done |
    tr '\n' ' ')"
say "counts reinstatements $(cat $D/*/reinstatements | tr '\n' ' ')losses" \
    "$(cat $D/*/connection*/losses | tr '\n' ' ')"
for s in $D/hawser*; do
    ask "disconnect session=$(basename $s)" || say "refused: $answer"
done
say "sessions left: $(ls $D | wc -l)"
rmmod hawser && say "module unloaded"
say done
)sh";

std::string in_shell(const Arguments& words) {
    std::string line;
    for (const auto& word : words) line += word + " ";
    return line;
}

}  // namespace

Arguments storm_fio(const std::string& file, unsigned index, const std::string& pass,
                    bool verify_only) {
    Arguments line{"fio",
                   fmt::format("--name=storm{}", index),
                   "--filename=" + file,
                   "--size=4M",
                   "--bs=8k",
                   "--rw=randwrite",
                   "--verify=pattern",
                   fmt::format("--verify_pattern=%o0x{}{}", index + 1, pass),
                   "--verify_fatal=1",
                   "--eta=never"};
    if (verify_only) {
        line.push_back("--verify_only=1");
    } else {
        line.insert(line.end(), {"--direct=1", "--thread", "--ioengine=libaio", "--iodepth=16"});
    }
    return line;
}

TinyInitramfs storm_initramfs(const LunFarm& farm, const std::string& target) {
    const auto pass = [&](unsigned index) {
        return in_shell(storm_fio("$disk", index, "$(printf %07d $pass)", false));
    };
    auto initramfs = hawser_initramfs(fmt::format(fmt::runtime(k_script), target, farm.port(),
                                                  farm.first_lun(), pass(0), pass(1)));
    initramfs.programs.push_back("/usr/bin/fio");
    return initramfs;
}

}  // namespace hawser::qemu
