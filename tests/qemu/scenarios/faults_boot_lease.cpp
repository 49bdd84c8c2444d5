// SPDX-License-Identifier: GPL-2.0-or-later
//
// Fault 5: the lease of the root's address runs out. A machine of its own is DHCP server (120 s)
// and target, on a wire of its own; its server is gone as soon as it has given the lease.

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "fault.h"
#include "http_server.h"
#include "paths.h"
#include "process.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr int k_lease_s = 120;

constexpr const char* k_server_script = R"sh(
ip link set lo up
ip link set eth0 up
ip address add 10.0.50.1/24 dev eth0
mkdir -p /etc /var/lib/misc
cat > /etc/udhcpd.conf << end
interface eth0
start 10.0.50.100
end 10.0.50.110
lease_file /tmp/leases
pidfile /tmp/udhcpd.pid
opt subnet 255.255.255.0
opt lease 120
end
touch /tmp/leases
udhcpd -f /etc/udhcpd.conf &
server=$!
hawser-target --listen 10.0.50.1:3260 --name iqn.2026-11.hawser:root > /tmp/log 2>&1 &
target=$!
echo "SERVER ready"
read line
kill $server
echo "SERVER no DHCP any more"
read line
kill $target
wait $target
cat /tmp/log
)sh";

// The clock of the guest counts from the boot on: what is asked for is time, nothing else.
constexpr const char* k_node_script = R"sh(
hawser boot > /tmp/out 2>&1
say "boot: $?"
ip -4 address show dev eth0
noise
leased=$(ip -4 -o address show dev eth0 | awk '{ print $4 }')
say "leased $leased"
rounds=0
until [ $rounds = 32 ]; do
    dd if=/tmp/noise of=/dev/sda bs=64k oflag=direct 2>/dev/null || say "error"
    dd if=/dev/sda bs=64k count=64 iflag=direct 2>/dev/null | cmp - /tmp/noise || say "error"
    rounds=$((rounds + 1))
    sleep 5
done
say "rounds $rounds"
say "address $(ip -4 address show dev eth0 | grep -c "inet $leased ")"
say "left $(ip -4 address show dev eth0 | grep valid_lft)"
say session $(states) reinstatements $(cat $S/reinstatements)
hawser disconnect hawser0
say done
)sh";

Arguments wire_end(DirectRun& run, const std::string& end, const std::string& where,
                   const std::string& mac) {
    return {"-netdev",
            fmt::format("socket,id=net0,{}={}", end, where),
            "-object",
            fmt::format("filter-dump,id=dump0,netdev=net0,file={}",
                        (run.directory() / (end + ".pcap")).string()),
            "-device",
            "virtio-net-pci,id=nic0,netdev=net0,romfile=,addr=0x10,mac=" + mac};
}

std::unique_ptr<Machine> start_server(DirectRun& run, const std::string& where) {
    const auto kernel = default_kernel();
    const auto initrd = run.directory() / "server.img";
    TinyInitramfs initramfs;
    initramfs.modules = {"virtio_pci", "virtio_net", "virtio_rng", "af_packet"};
    const auto program = run.directory() / "hawser-target";
    run_checked(
        {"strip", "-o", program.string(), (build_folder() / "bin" / "hawser-target").string()});
    initramfs.programs = {program};
    initramfs.script = k_server_script;
    initramfs.write(initrd, kernel);
    MachineOptions options;
    options.directory = run.directory();
    options.name = "server-";
    options.nics = 0;
    options.processors = 1;
    options.second_console = false;
    options.direct_boot = DirectBoot{kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"};
    options.more = wire_end(run, "listen", where, "52:54:00:12:50:01");
    return std::make_unique<Machine>(options);
}

// The times of the frames that a filter selects, from the first frame of the capture on.
std::vector<double> times_of(const std::filesystem::path& pcap, const std::string& filter) {
    std::istringstream lines(
        run_checked({"tshark", "-n", "-r", pcap.string(), "-d", "tcp.port==3260,iscsi", "-Y",
                     filter, "-T", "fields", "-e", "frame.time_relative"},
                    Seconds(120)));
    std::vector<double> times;
    for (double time; lines >> time;) times.push_back(time);
    return times;
}

void judge_lease(DirectRun& run) {
    auto& report = run.report();
    const auto pcap = run.directory() / "connect.pcap";
    const auto leased = times_of(pcap, "dhcp.option.dhcp == 5");
    std::istringstream fields(
        run_checked({"tshark", "-n", "-r", pcap.string(), "-Y", "dhcp.option.dhcp == 5", "-T",
                     "fields", "-e", "dhcp.option.ip_address_lease_time", "-e", "dhcp.ip.your"},
                    Seconds(60)));
    int lease = 0;
    std::string address;
    fields >> lease >> address;
    report.check("one lease, of 120 s", leased.size() == 1 && lease == k_lease_s,
                 std::to_string(lease));
    run.expect_console("the address is the lease's", "FAULT leased " + address + "/24");
    const auto asked = times_of(pcap, "dhcp.type == 1");
    const auto commands = times_of(pcap, "iscsi.opcode == 0x01");
    const auto responses = times_of(pcap, "iscsi.opcode == 0x21 || iscsi.opcode == 0x25");
    if (leased.empty() || commands.empty() || responses.empty()) return;
    const double over = leased.front() + k_lease_s;
    const auto after =
        std::count_if(responses.begin(), responses.end(), [&](double at) { return at > over + 5; });
    report.check("nobody renewed it", asked.empty() || asked.back() <= leased.front() + 1);
    report.check("I/O went on after its end", after >= 64, std::to_string(after));
    note_fault(report, 5, "the lease runs out under the root", std::nullopt,
               fmt::format("tshark: lease of {} s, no renewal, I/O until {:.0f} s after its end; "
                           "address kept",
                           k_lease_s, responses.back() - over));
}

void lease(DirectRun& run) {
    const auto where = fmt::format("127.0.0.1:{}", free_port());
    auto server = start_server(run, where);
    server->serial().expect("SERVER ready", Seconds(120));
    run.start_tiny(k_node_script,
                   "rd.hawser.target=iqn.2026-11.hawser:root rd.hawser.timeout=90 "
                   "rd.hawser.initiator=iqn.2026-11.hawser:node "
                   "rd.hawser.portal=10.0.50.1:3260,nic=eth0",
                   wire_end(run, "connect", where, Machine::mac(0)));
    run.machine().serial().expect("FAULT leased ", Seconds(180));
    server->serial().send("\n");
    server->serial().expect("SERVER no DHCP any more", Seconds(60));
    run.machine().serial().expect("FAULT done", Seconds(500));
    run.machine().wait_for_end(Seconds(30));
    server->serial().send("\n");
    server->wait_for_end(Seconds(60));
    run.expect_console("the boot succeeds by DHCP", "FAULT boot: 0");
    run.expect_console("4 MiB were written", "FAULT write: 0");
    run.expect_console("and read back", "FAULT read: same");
    run.expect_console("32 rounds were written and compared", "FAULT rounds 32");
    run.report().check("without an error", !run.machine().serial().find("FAULT error"));
    run.expect_console("the address is kept", "FAULT address 1");
    run.expect_console("for ever", "FAULT left .*valid_lft forever");
    run.expect_console("the session never broke",
                       "FAULT session LOGGED_IN LOGGED_IN reinstatements 0");
    const auto log = server->serial().find("^breaches ([0-9]+)");
    run.report().check("the target finds no breach of the RFC", log && log->groups[1] == "0");
    judge_lease(run);
}

}  // namespace

TEST_CASE("fault-05-lease", "[fault]") {
    tell_direct("fault-05-lease", 0, lease);
}
