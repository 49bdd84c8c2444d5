// SPDX-License-Identifier: GPL-2.0-or-later
//
// The windows of the link-cut scenarios.

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <thread>

#include "http_server.h"
#include "link_cut.h"
#include "paths.h"

namespace hawser::qemu {

namespace {

constexpr Seconds k_before_cut(4);

// fio's log of latencies has a line for each I/O: the time of its end in ms, what it took in ns.
constexpr const char* k_functions = R"sh(
say() { echo "CUT $*"; }
networks() {
    ip link set lo up
    i=0
    while [ $i -lt $1 ]; do
        ip link set eth$i up
        ip address add 10.0.1$i.15/24 dev eth$i
        i=$((i + 1))
    done
}
window() {
    node="$(stat -L -c '%t:%T' $2) $(cat /sys/block/$(basename $(readlink -f $2))/dev)"
    (
        s=/sys/block/$(basename $(readlink -f $2))/stat
        n=$(awk '{ print $5 }' $s)
        until [ $(awk '{ print $5 }' $s) -gt $((n + 100)) ]; do usleep 200000; done
        say "window $1 runs"
    ) &
    cd /tmp
    fio --name=window --filename=$2 --size=24M --bs=4k --rw=randwrite --direct=1 --thread \
        --ioengine=libaio --iodepth=16 --rate_iops=500 --verify=crc32c --verify_backlog=64 \
        --verify_fatal=1 --write_lat_log=/tmp/window --eta=never --output=/tmp/fio.log
    say "window $1: fio ended with $?"
    cat /tmp/fio.log
    awk -F, -v n="$1" '{ v = $2 / 1e6; if (v > m) { m = v; at = $1 - v } if (v > 250) slow++ }
        END { printf "CUT window %s: longest %.0f ms, from %.0f ms on; %d over 250 ms, of %d\n",
              n, m, at, slow, NR }' /tmp/window_lat.1.log
    [ "$node" = "$(stat -L -c '%t:%T' $2) $(cat /sys/block/$(basename $(readlink -f $2))/dev)" ] &&
        say "window $1: the same device node"
    say "window $1: over"
}
)sh";

}  // namespace

LinkProxy::LinkProxy(DirectRun& run, uint16_t target_port) : port_(free_port()) {
    line_ = {(build_folder() / "bin" / "hawser-proxy").string(),
             "--listen",
             fmt::format("127.0.0.1:{}", port_),
             "--target",
             fmt::format("127.0.0.1:{}", target_port),
             "--reset-at-end"};
    options_.output = run.directory() / "proxy.log";
    options_.append = true;
    restore();
}

void LinkProxy::restore() {
    process_ = std::make_unique<Process>(line_, options_);
    wait_until_listening(port_, *process_, Deadline(Seconds(15)));
}

void LinkProxy::reset() {
    process_->signal(SIGTERM);
    process_->wait(Deadline(Seconds(10)));
    process_.reset();
}

std::string stall_functions() {
    return k_functions;
}

std::vector<Stall> cut_links(DirectRun& run, LinkProxy& proxy, unsigned last_nic,
                             const std::string& who, const std::vector<std::string>& faults) {
    auto& machine = run.machine();
    std::vector<Stall> stalls;
    for (const auto& fault : faults) {
        machine.serial().expect(fmt::format("CUT window {} runs", fault), Seconds(240));
        std::this_thread::sleep_for(k_before_cut);
        run.report().phase("fault: " + fault, machine.now());  // before: it takes its time
        if (fault == "silent" || fault == "two silent") machine.set_link(last_nic, false);
        if (fault == "two silent") machine.set_link(last_nic - 1, false);
        if (fault == "reset") proxy.reset();
        auto line = machine.serial().expect(
            fmt::format("CUT window {}: longest ([0-9]+) ms", fault), Seconds(400));
        stalls.push_back({who, fault, std::stod(line.groups[1]), 0});
        run.report().set("longest_ms_" + fault, stalls.back().longest_ms);
        if (fault == "silent" || fault == "two silent") machine.set_link(last_nic, true);
        if (fault == "two silent") machine.set_link(last_nic - 1, true);
        if (fault == "reset") proxy.restore();
    }
    return stalls;
}

void judge_windows(DirectRun& run, const LinkProxy& proxy, unsigned last_nic,
                   const std::vector<Stall>& stalls) {
    auto& report = run.report();
    auto& serial = run.machine().serial();
    for (const auto& stall : stalls) {
        for (const char* what : {"fio ended with 0", "the same device node"}) {
            const auto line = fmt::format("CUT window {}: {}", stall.fault, what);
            report.check(line.substr(4), serial.find(line).has_value(), "not on the console");
        }
    }
    Capture wire;  // of that link alone: the others' files are large
    read_capture(run.machine().pcap(last_nic), last_nic, proxy.port(),
                 static_cast<double>(run.machine().pcap_epoch()), wire);
    const double silent = report.phase_at("fault: silent").value_or(0);
    const double reset = report.phase_at("fault: reset").value_or(0);
    bool was_reset = false;
    bool carried = false;
    for (const auto& connection : wire.logged_in().connections) {
        const auto at = connection.reset_at.value_or(0);
        was_reset |= at > reset - 1 && at < reset + 10;
        carried |= connection.nic == last_nic && connection.commands > 50 &&
                   connection.first_command_at.value_or(1e9) < silent;
    }
    report.check("the link that was cut carried commands", carried);
    report.check("a connection was reset on the wire", was_reset);
}

}  // namespace hawser::qemu
