// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults 1, 4 and 6: a NIC without carrier, one that no DHCP server answers, one that the iBFT
// takes for another.

#include <fmt/format.h>

#include <algorithm>

#include "fault.h"
#include "http_server.h"
#include "ibft_table.h"
#include "process.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 16 << 20;

size_t count_packets(const std::filesystem::path& pcap, const std::string& filter) {
    const auto seen = run({"tshark", "-n", "-r", pcap.string(), "-Y", filter}, Seconds(120));
    return static_cast<size_t>(std::count(seen.output.begin(), seen.output.end(), '\n'));
}

// A portal for each of these NICs, with its fixed address.
std::string portals(unsigned from, unsigned to, uint16_t port) {
    std::string line;
    for (unsigned nic = from; nic <= to; ++nic)
        line += fmt::format(
            "rd.hawser.portal=10.0.1{0}.2:{1},nic=eth{0} ip=10.0.1{0}.15:::24::"
            "eth{0}:none ",
            nic, port);
    return line;
}

constexpr const char* k_dead_script = R"sh(
hawser boot > /tmp/out 2>&1
say "boot: $?"
grep -E "no carrier|of 4 connections" /tmp/out | sed 's/^/FAULT says: /'
say "states $(states)"
noise
say "lay the cable"
n=0
until [ "$(cat $S/connection3/state)" = LOGGED_IN ] || [ $n = 90 ]; do
    sleep 1
    n=$((n + 1))
done
say "later $(states)"
c=$(cat $S/connection3/commands)
dd if=/dev/sda bs=64k count=64 iflag=direct 2>/dev/null | cmp - /tmp/noise && say "all four: same"
[ "$(cat $S/connection3/commands)" -gt "$c" ] && say "the fourth carries commands"
hawser disconnect hawser0
say done
)sh";

void one_dead(DirectRun& run) {
    const uint16_t port = run.start_tgt(k_disk_bytes).port();
    IbftTable table;
    table.target_port = port;
    auto& machine = run.start_tiny(k_dead_script, portals(1, 3, port),
                                   ibft_by_acpi(table.bytes(), run.directory() / "ibft.bin"));
    machine.set_link(3, false);
    const auto ready = machine.serial().expect("FAULT lay the cable", Seconds(180));
    machine.set_link(3, true);
    const double laid = machine.seconds(ready.at);
    machine.serial().expect("FAULT done", Seconds(180));
    machine.wait_for_end(Seconds(30));
    run.target().stop();
    auto& report = run.report();
    run.expect_console("the boot succeeds", "FAULT boot: 0");
    const auto said =
        run.expect_console("and says which NIC is dead", "FAULT says: hawser: no carrier: eth3 ");
    run.expect_console("it runs on three", "FAULT says: .*3 of 4 connections: .*10.0.13.2");
    run.expect_noise();
    run.expect_console("the fourth joins when its cable is there",
                       "FAULT later LOGGED_IN LOGGED_IN LOGGED_IN LOGGED_IN LOGGED_IN");
    run.expect_console("and carries commands", "FAULT the fourth carries commands");
    run.expect_console("of the same data", "FAULT all four: same");
    const auto wire = run.wire(port);
    std::optional<double> joined;
    size_t elsewhere = 0;
    for (const auto& connection : wire.connections) {
        const bool fourth = connection.portal.starts_with("10.0.13.2");
        if (fourth && connection.nic == 3) joined = connection.logged_in_at();
        elsewhere += fourth && connection.nic != 3;
    }
    for (unsigned nic = 0; nic < 3; ++nic)
        elsewhere += count_packets(machine.pcap(nic), "ip.dst==10.0.13.2");
    report.check("nothing for the dead NIC's portal went out elsewhere", elsewhere == 0,
                 std::to_string(elsewhere));
    report.check("logged in on the fourth NIC after the cable was laid", joined && *joined > laid);
    report.check("four logins and no more", statuses(wire.login_answers()) == "0000 0000 0000 0000",
                 statuses(wire.login_answers()));
    report.set_connections(wire);
    note_fault(report, 1, "one of four NICs is dead", std::nullopt,
               fmt::format("boots on 3 and names eth3; tshark: the fourth logs in {:.1f} s after "
                           "set_link",
                           joined.value_or(0) - laid));
}

// A network with nobody on it. A hub takes packets only if it has a port to give them to.
Arguments lonely_nic(DirectRun& run) {
    return {"-netdev",
            "hubport,id=net2,hubid=7",
            "-netdev",
            "hubport,id=nobody,hubid=7",
            "-object",
            fmt::format("filter-dump,id=dump2,netdev=net2,file={}",
                        (run.directory() / "net2.pcap").string()),
            "-device",
            "virtio-net-pci,id=nic2,netdev=net2,mac=52:54:00:12:34:12,romfile=,addr=0x12"};
}

// {0}: port.
constexpr const char* k_dhcp_script = R"sh(
cat > /tmp/cmdline << end
rd.iscsi.firmware=0 rd.hawser.target=iqn.2026-11.hawser:root rd.hawser.timeout=30
rd.hawser.initiator=iqn.2026-11.hawser:node rd.hawser.portal=10.0.12.2:{0},nic=eth2
end
hawser boot --cmdline /tmp/cmdline > /tmp/out 2> /tmp/err
say "by DHCP alone: $?: $(grep hawser: /tmp/err)"
hawser boot > /tmp/out 2> /tmp/err
say "boot: $?"
sed 's/^/FAULT says: /' /tmp/err
noise
hawser disconnect hawser0
say done
)sh";

void no_dhcp(DirectRun& run) {
    const uint16_t port = run.start_tgt(k_disk_bytes).port();
    IbftTable table;
    table.target_port = port;
    auto more = ibft_by_acpi(table.bytes(), run.directory() / "ibft.bin");
    const auto lonely = lonely_nic(run);
    more.insert(more.end(), lonely.begin(), lonely.end());
    auto& machine = run.start_tiny(
        fmt::format(fmt::runtime(k_dhcp_script), port),
        fmt::format(
            "rd.hawser.portal=10.0.11.2:{0},nic=eth1 rd.hawser.portal=10.0.12.2:{0},nic=eth2",
            port),
        more);
    machine.set_link(1, false);
    machine.serial().expect("FAULT done", Seconds(240));
    machine.wait_for_end(Seconds(30));
    run.target().stop();
    auto& report = run.report();
    run.expect_console("without any address the boot ends by a named error",
                       "FAULT by DHCP alone: 1: hawser: no DHCP answer: eth2: ");
    run.expect_console("the static address of the iBFT works", "FAULT boot: 0");
    run.expect_console("and the other NICs are named: no DHCP",
                       "FAULT says: hawser: no DHCP answer: eth2: portal 10.0.12.2");
    run.expect_console("and no carrier", "FAULT says: hawser: no carrier: eth1 ");
    run.expect_noise();
    const auto lonely_pcap = run.directory() / "net2.pcap";
    const size_t asked = count_packets(lonely_pcap, "dhcp.option.dhcp == 1");
    const size_t answered = count_packets(lonely_pcap, "dhcp.type == 2");
    report.check("DHCP was asked, a few times, and nobody answered",
                 asked >= 2 && asked <= 12 && answered == 0,
                 fmt::format("{} asked, {} answered", asked, answered));
    report.check("nobody was asked for the iBFT's address",
                 count_packets(machine.pcap(0), "dhcp") == 0);
    const auto wire = run.wire(port);
    report.check("one login, on the NIC of the iBFT", statuses(wire.login_answers()) == "0000",
                 statuses(wire.login_answers()));
    report.set_connections(wire);
    note_fault(report, 4, "no DHCP", std::nullopt,
               fmt::format("tshark: {} DISCOVERs unanswered; named error; then in by the iBFT's "
                           "address, without a DHCP packet",
                           asked));
}

// {0}: the table with an unknown MAC, {1}: the one with the other NIC's MAC; both base64.
constexpr const char* k_mac_script = R"sh(
hawser boot > /tmp/out 2>&1
say "boot: $?"
say "by $(cat $S/connection0/nic)"
noise
hawser disconnect hawser0
echo {0} | base64 -d > /tmp/unknown
echo {1} | base64 -d > /tmp/swapped
for i in unknown swapped; do
    ip address flush dev eth0
    ip address flush dev eth1
    hawser boot --ibft /tmp/$i > /tmp/out 2> /tmp/err
    say "$i: $?: $(cat /tmp/err)"
done
say done
)sh";

std::string base64(DirectRun& run, const std::string& name, const IbftTable& table) {
    const auto file = run.directory() / name;
    ibft_in_memory(table.bytes(), file);
    return run_checked({"base64", "-w0", file.string()});
}

void wrong_nic(DirectRun& run) {
    IbftTable table;
    table.target_port = run.start_tgt(k_disk_bytes).port();
    IbftTable unknown = table;
    unknown.mac = "52:54:00:12:34:99";
    IbftTable swapped = table;
    swapped.mac = Machine::mac(1);
    // By MAC NIC 1, by its place on the PCI bus NIC 0.
    IbftTable boot = swapped;
    boot.nic_address = "10.0.11.15";
    boot.gateway = "10.0.11.2";
    boot.target_address = "10.0.11.2";
    run.start_tiny(fmt::format(fmt::runtime(k_mac_script), base64(run, "unknown.bin", unknown),
                               base64(run, "swapped.bin", swapped)),
                   "rd.hawser.timeout=15",
                   ibft_by_acpi(boot.bytes(), run.directory() / "ibft.bin"));
    run.machine().serial().expect("FAULT done", Seconds(240));
    run.machine().wait_for_end(Seconds(30));
    run.target().stop();
    auto& report = run.report();
    run.expect_console("MAC and place disagree: the boot succeeds", "FAULT boot: 0");
    run.expect_console("by the MAC's NIC", "FAULT by eth1");
    run.expect_noise();
    run.expect_console("a MAC that is not there is named, and those that are",
                       "FAULT unknown: 1: hawser: no NIC with that MAC: 52:54:00:12:34:99 .*here "
                       "are: eth0 52:54:00:12:34:10, eth1 52:54:00:12:34:11");
    run.expect_console("the wrong one's MAC: the NIC that does not reach it is named",
                       "FAULT swapped: 1: hawser: target unreachable: .*eth1");
    const auto wire = run.wire(table.target_port);
    report.check("one login, by NIC 1",
                 wire.connections.size() == 1 && wire.connections.front().nic == 1,
                 statuses(wire.login_answers()));
    report.set_connections(wire);
    note_fault(report, 6, "the iBFT names the wrong NIC", std::nullopt,
               "tshark: logged in by the MAC's NIC against the PCI place; unknown and swapped MAC: "
               "named errors");
}

}  // namespace

TEST_CASE("fault-01-dead-nic", "[fault]") {
    tell_direct("fault-01-dead-nic", 4, one_dead);
}

TEST_CASE("fault-04-no-dhcp", "[fault]") {
    tell_direct("fault-04-no-dhcp", 2, no_dhcp);
}

TEST_CASE("fault-06-wrong-nic", "[fault]") {
    tell_direct("fault-06-wrong-nic", 2, wrong_nic);
}
