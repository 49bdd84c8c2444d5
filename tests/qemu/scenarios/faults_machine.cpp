// SPDX-License-Identifier: GPL-2.0-or-later
//
// The script's words, and what is judged alike in all of these faults.

#include "faults_machine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>

#include "disk.h"
#include "paths.h"
#include "tiny_initramfs.h"

namespace hawser::qemu {

namespace fs = std::filesystem;

namespace {

// PORTALS and NOOP are set before it.
constexpr const char* k_words = R"sh(
say() { echo "FAULT $*"; }
act() { echo "FAULT act $1;"; read -r _; }
connect() {
    hawser connect --target iqn.2026-11.hawser:root --initiator iqn.2026-11.hawser:node \
        $PORTALS --root yes --noop_out_interval 2 --noop_out_timeout $NOOP "$@" > /tmp/out 2>&1
    disk=$(sed -n 's/^LUN [0-9]* is //p' /tmp/out)
    [ -b "$disk" ] || { cat /tmp/out; say "no disk"; }
    S=$(echo /sys/bus/hawser/devices/hawser*)
    block=/sys/block/$(basename "$disk")
}
counters() { echo "reinstatements $(cat $S/reinstatements) recoveries $(cat $S/recoveries)"; }
states() { cat $S/state $S/connection?/state | tr '\n' ' '; }
until_logged_in() { while states | grep -q -v '^\(LOGGED_IN \)*$'; do usleep 200000; done; }
writes() { awk '{ print $5 }' $block/stat; }
under_way() {
    from=$(writes)
    until [ $(writes) -gt $((from + ${1:-10})) ]; do usleep 50000; done
}
moment() { read -r up _ < /proc/uptime && echo $up >> /tmp/times; }
writer() {
    rm -f /tmp/stop /tmp/times /tmp/failed
    (
        n=0
        moment
        while [ ! -e /tmp/stop ] && [ $n -lt 1024 ]; do
            dd if=/tmp/noise of=$disk bs=16k count=1 skip=$n seek=$n oflag=direct 2>/dev/null ||
                { echo $n > /tmp/failed; break; }
            n=$((n + 1))
            moment
            usleep 100000
        done
        echo $n > /tmp/blocks
    ) &
    writer=$!
}
read_back() {
    ours=$(dd if=/tmp/noise bs=16k count=$1 2>/dev/null | sha256sum)
    echo 3 > /proc/sys/vm/drop_caches
    disks=$(dd if=$disk bs=16k count=$1 iflag=direct 2>/dev/null | sha256sum)
    say "sum ${ours%% *} of $1 blocks"
    [ "$ours" = "$disks" ] && say "read back: same"
}
end_writer() {
    touch /tmp/stop
    wait $writer
    n=$(cat /tmp/blocks)
    say "wrote $n failed $(cat /tmp/failed 2>/dev/null || echo nowhere)"
    say "stall $(awk 'NR > 1 && $1 - l > m { m = $1 - l } { l = $1 } END { print m + 0 }' \
        /tmp/times) s"
    read_back $n
}
fio_work() {
    fio --name=work --filename=$disk --size=16M --rw=randwrite --bs=16k --direct=1 \
        --ioengine=libaio --iodepth=8 --verify=crc32c --randseed=7 --rate_iops=$1 \
        --output-format=terse --terse-version=3 --output=/tmp/fio > /tmp/fio.err 2>&1
    status=$?
    [ $status = 0 ] || cat /tmp/fio.err
    say "fio $status $(cut -d';' -f5 /tmp/fio) stall $(cut -d';' -f15 /tmp/fio)" \
        "$(cut -d';' -f56 /tmp/fio) us"
}
mount_disk() { mkdir -p /mnt && mount -t ext4 $disk /mnt && say mounted; }
write_file() {
    cp /tmp/noise /mnt/data
    say "file $(sha256sum < /tmp/noise | cut -c 1-64) copied"
}
ip link set lo up
dd if=/dev/urandom of=/tmp/noise bs=64k count=256 2>/dev/null
)sh";

std::string network_of(const FaultMachineOptions& options) {
    std::string lines = "PORTALS='";
    for (unsigned i = 0; i < options.nics; ++i)
        lines += fmt::format("--portal 10.0.1{0}.2:{1},nic=eth{0} ", i, options.port);
    lines += fmt::format("'\nNOOP={}\n", options.noop_s);
    for (unsigned i = 0; i < options.nics; ++i)
        lines +=
            fmt::format("ip link set eth{0} up; ip address add 10.0.1{0}.15/24 dev eth{0}\n", i);
    return lines;
}

std::string sum_of(const fs::path& image, uint64_t bytes) {
    return run_checked({"sh", "-c", "head -c \"$2\" \"$1\" | sha256sum", "sh", image.string(),
                        std::to_string(bytes)},
                       Seconds(120))
        .substr(0, 64);
}

}  // namespace

void start_fault_machine(DirectRun& run, const FaultMachineOptions& options) {
    auto initramfs = hawser_initramfs({});
    if (options.fio) initramfs.programs.push_back("/usr/bin/fio");
    if (options.ext4) initramfs.modules.push_back("ext4");
    initramfs.script = network_of(options) + k_words + options.script;
    const auto kernel = default_kernel();
    const auto initrd = run.directory() / "initramfs.img";
    initramfs.write(initrd, kernel);
    run.report().set("target_port", options.port);
    run.start({kernel.image, initrd,
               "console=ttyS0 panic=-1 oops=panic rcupdate.rcu_cpu_stall_timeout=300"});
}

void play(DirectRun& run, const Acts& acts, Seconds limit) {
    const Deadline deadline(limit);
    auto& serial = run.machine().serial();
    for (size_t from = 0;;) {
        const auto left = std::max(Seconds(1), Seconds(deadline.at() - Clock::now()));
        const auto line = serial.expect("FAULT (act ([a-z0-9-]+);|done)", left, from);
        if (line.groups[1] == "done") return;
        run.report().phase(line.groups[2], run.machine().seconds(line.at));
        acts.at(line.groups[2])();
        serial.send("\n");
        from = line.line + 1;
    }
}

void make_ext4(const fs::path& image) {
    run_checked({"/sbin/mke2fs", "-q", "-F", "-t", "ext4", image.string()}, Seconds(120));
}

Peer start_image_target(DirectRun& run, const std::string& script,
                        const std::vector<std::string>& settings) {
    ScriptedTargetOptions options;
    options.directory = run.directory();
    options.name = k_fault_target;
    options.script = script;
    options.settings = settings;
    options.image = run.image();
    run.report().set("target", "hawser-target");
    return start_scripted_target(options);
}

double judge_writer(DirectRun& run) {
    run.expect_console("no write failed", "FAULT wrote [1-9][0-9]* failed nowhere");
    run.expect_console("what was written is read back", "FAULT read back: same");
    const auto said = run.machine().serial().find("FAULT sum ([0-9a-f]{64}) of ([0-9]+) blocks");
    run.report().check(
        "the same bytes are in the image on the host",
        said && sum_of(run.image(), std::stoull(said->groups[2]) << 14) == said->groups[1],
        said ? said->text : "the machine told no sum");
    const auto stall = run.machine().serial().find("FAULT stall ([0-9.]+) s");
    return stall ? std::stod(stall->groups[1]) : -1;
}

double judge_fio(DirectRun& run) {
    run.expect_console("fio wrote and verified all", "FAULT fio 0 0 ");
    const auto host = run_checked(
        {"sh", "-c",
         "fio --name=work --filename=\"$1\" --size=16M --rw=randwrite --bs=16k --verify=crc32c "
         "--randseed=7 --verify_only --ioengine=psync 2>&1; echo status $?",
         "sh", run.image().string()},
        Seconds(120));
    run.report().check("another fio verifies the image on the host",
                       host.find("status 0") != std::string::npos, host);
    const auto said = run.machine().serial().find("FAULT fio 0 0 stall ([0-9]+) ([0-9]+) us");
    if (!said) return -1;
    return std::max(std::stod(said->groups[1]), std::stod(said->groups[2])) / 1e6;
}

void judge_peer(DirectRun& run, Peer& target) {
    target.stop();
    const auto log = target.log();
    run.report().check("the target finds no breach of the RFC", breaches_in(log).empty(),
                       breaches_in(log));
    std::istringstream lines(log);
    std::string unused;
    for (std::string line; std::getline(lines, line);)
        if (line.find("never came to pass") != std::string::npos) unused += line + "\n";
    run.report().check("the fault was made: each line of the script came to pass", unused.empty(),
                       unused);
}

Capture judge_frames(DirectRun& run, uint16_t port) {
    auto wire = run.wire(port);
    run.report().set_connections(wire.logged_in());
    run.report().check("tshark finds no malformed PDU of ours", wire.malformed.empty(),
                       fmt::format("{}", fmt::join(wire.malformed, "\n")));
    return wire;
}

size_t leading_logins(const Capture& wire) {
    size_t leading = 0;
    for (const auto& connection : wire.logged_in().connections)
        leading += connection.login_requests.front().tsih == 0;
    return leading;
}

NewestLogin newest_login(const Capture& session) {
    NewestLogin newest;
    for (const auto& connection : session.connections)
        if (connection.logged_in_at() > newest.at)
            newest = {*connection.logged_in_at(), connection.tsih()};
    return newest;
}

void judge_clean_leave(DirectRun& run, const Capture& wire) {
    std::optional<double> sync, logout;
    double command = 0;
    bool answered = false, reset = false;
    const auto session = wire.logged_in();
    const auto [began, last] = newest_login(session);
    for (const auto& connection : session.connections) {
        for (double at : connection.cache_syncs) sync = std::max(sync.value_or(0), at);
        command = std::max(command, connection.last_command_at.value_or(0));
        // A target that was restarted begins its TSIHs anew.
        const bool earlier = connection.reset_at && *connection.reset_at < began;
        if (connection.tsih() != last || earlier) continue;
        if (connection.logout_request_at)
            logout = std::min(logout.value_or(1e9), *connection.logout_request_at);
        answered = answered || connection.logout_response == 0u;
        // One that was still logging in when the session ended had nothing to say goodbye to.
        const bool used = connection.last_command_at || connection.logout_request_at;
        reset = reset || (used && connection.reset_at && !connection.fin_from_initiator_at);
    }
    run.report().check("the last command is SYNCHRONIZE CACHE", sync && *sync >= command,
                       fmt::format("{} and {}", sync.value_or(0), command));
    run.report().check("then Logout, answered", sync && logout && *sync < *logout && answered,
                       fmt::format("Logout at {}", logout.value_or(0)));
    run.report().check("closed with FIN", !reset);
}

void judge_file_system(DirectRun& run) {
    const auto state = inspect_file_system(run.image());
    run.report().check("e2fsck -fn finds a clean file system, no journal to replay", state.clean,
                       state.report);
    const auto said = run.machine().serial().find("FAULT file ([0-9a-f]{64}) copied");
    run.report().check("the file that was written is in it",
                       said && sha256_inside(run.image(), "/data") == said->groups[1],
                       said ? said->text : "the machine told no sum");
}

}  // namespace hawser::qemu
