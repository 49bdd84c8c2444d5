// SPDX-License-Identifier: GPL-2.0-or-later
// NICs set up: what is pure, and the real thing in a network namespace of its own (needs root).
#include "user/network_setup.h"

#include <arpa/inet.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <thread>

#include "user/dhcp.h"
#include "user/files.h"
#include "user/nic_guards.h"
#include "user/process.h"
#include "user_fixture.h"

using namespace hawser::user;

namespace {

MacAddress mac(uint8_t last) {
    const uint8_t bytes[] = {0x52, 0x54, 0, 0, 0, last};
    return MacAddress::from_bytes(bytes);
}

PlannedNic planned(uint8_t last_mac_byte, const char* address) {
    PlannedNic nic;
    nic.selector.mac = mac(last_mac_byte);
    nic.address = IpAddress::parse(address);
    nic.prefix_length = 24;
    nic.source = "test";
    return nic;
}

Link link(int index, const char* name, uint8_t last_mac_byte, const char* kind = "") {
    Link link;
    link.index = index;
    link.name = name;
    link.mac = mac(last_mac_byte);
    link.is_ethernet = true;
    link.kind = kind;
    return link;
}

void shell(const std::string& command) {
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
}

// Runs it in a new network namespace, in a thread of its own so that the rest stays outside.
template <typename Function>
void in_own_network(Function function) {
    if (geteuid() != 0 || !find_program("ip")) {
        WARN("SKIPPED: a network namespace needs root and iproute2");
        return;
    }
    bool ran = false;
    std::string error;
    std::thread thread([&] {
        if (unshare(CLONE_NEWNET) != 0) return;
        ran = true;
        try {
            function();
        } catch (const std::exception& caught) {
            error = caught.what();
        }
    });
    thread.join();
    if (!ran) WARN("SKIPPED: no network namespace allowed here");
    CHECK(error == "");
}

// vN and pN: two ends of a cable; the end pN is up or not.
void lay_cable(int number, bool far_end_up) {
    const std::string n = std::to_string(number);
    shell("ip link add v" + n + " address 52:54:00:00:00:0" + n + " type veth peer name p" + n);
    if (far_end_up) shell("ip link set p" + n + " up");
}

// A portal through each of its NICs, so that every one is waited for.
BootPlan plan_of(std::vector<PlannedNic> nics) {
    BootPlan plan;
    plan.nics = std::move(nics);
    for (size_t i = 0; i < plan.nics.size(); ++i) {
        plan.portals.push_back({*Endpoint::parse("10.0.0.2"), i, std::nullopt, "test"});
    }
    return plan;
}

const auto k_silent = [](const std::string&) {};

}  // namespace

TEST_CASE("links: found by MAC, by name, hardware before what lies upon it", "[user][network]") {
    std::vector<Link> links = {link(1, "br0", 1, "bridge"), link(2, "eth0", 1), link(3, "eth1", 2)};
    links.push_back(link(4, "lo", 0));
    links.back().is_ethernet = false;
    CHECK(match_link(planned(1, "10.0.0.1"), links, {})->name == "eth0");
    CHECK(match_link(planned(1, "10.0.0.1"), links, {2})->name == "br0");
    CHECK(match_link(planned(7, "10.0.0.1"), links, {}) == nullptr);
    links[2].permanent_mac = mac(7);
    CHECK(match_link(planned(7, "10.0.0.1"), links, {})->name == "eth1");
    PlannedNic by_name;
    by_name.selector.name = "eth1";
    CHECK(match_link(by_name, links, {})->index == 3);
    by_name.selector.name = "lo";
    CHECK(match_link(by_name, links, {}) == nullptr);
    CHECK(match_link(PlannedNic{}, links, {2})->name == "eth1");
}

TEST_CASE("networkd keeps the NIC as it is", "[user][network]") {
    NicOutcome nic;
    nic.name = "eth0";
    nic.mac = mac(1);
    nic.mac_is_permanent = true;
    nic.addresses.push_back({*IpAddress::parse("10.0.10.15"), 24});
    nic.gateway = IpAddress::parse("10.0.10.2");
    nic.metric = 1024;
    const std::string text = networkd_unit(nic);
    for (const char* line :
         {"[Match]\nPermanentMACAddress=52:54:00:00:00:01\n", "\nKeepConfiguration=yes\n",
          "\nLinkLocalAddressing=no\n", "\nAddress=10.0.10.15/24\n",
          "\n[Route]\nGateway=10.0.10.2\nMetric=1024\n"}) {
        INFO(line);
        CHECK(text.find(line) != std::string::npos);
    }
    nic.mac_is_permanent = false;
    nic.gateway.reset();
    CHECK(networkd_unit(nic).find("\nMACAddress=") != std::string::npos);
    CHECK(networkd_unit(nic).find("[Route]") == std::string::npos);
    nic.name = "hawser3";
    CHECK(udev_link(nic).find("\n[Link]\nName=hawser3\n") != std::string::npos);
    CHECK(udev_link(nic).find("\nMACAddress=") != std::string::npos);
}

TEST_CASE("NetworkManager and ifupdown pass the root's NICs over", "[user][network]") {
    std::vector<NicOutcome> nics(3);
    for (unsigned i = 0; i < 3; ++i) nics[i].name = "hawser" + std::to_string(i);
    nics[1].problem = {"no carrier", "hawser1", ""};
    CHECK(network_manager_conf(nics).find("\nmatch-device=interface-name:hawser0,"
                                          "interface-name:hawser2\nmanaged=0\n") !=
          std::string::npos);
    const std::string text = networking_drop_in(nics);
    for (const char* line :
         {"\nExecStart=\nExecStart=/sbin/ifup -a --read-environment --exclude=hawser0 "
          "--exclude=hawser2\n",
          "\nExecStop=\nExecStop=/sbin/ifdown -a --read-environment --exclude=lo "
          "--exclude=hawser0 --exclude=hawser2\n"}) {
        INFO(line);
        CHECK(text.find(line) != std::string::npos);
    }
}

TEST_CASE("NICs that share a subnet are found", "[user][network]") {
    const auto nic = [](const char* name, const char* address) {
        NicOutcome outcome;
        outcome.name = name;
        outcome.addresses.push_back({*IpAddress::parse(address), 24});
        return outcome;
    };
    std::vector<NicOutcome> nics = {nic("a", "10.0.0.1"), nic("b", "10.0.1.1"),
                                    nic("c", "10.0.0.2")};
    CHECK(nics_sharing_a_subnet(nics) == std::vector<std::string>{"a", "c"});
    nics[2].problem = Problem{"no carrier", "c", ""};
    CHECK(nics_sharing_a_subnet(nics).empty());
}

TEST_CASE("DHCP: a lease as the script prints it", "[user][network]") {
    const auto lease = parse_dhcp_lease(
        "ip=10.0.9.100\nmask=24\nsubnet=255.255.255.0\nrouter=10.0.9.1 10.0.9.2\n"
        "dns=10.0.9.3 10.0.9.4\nhostname=node7\n");
    REQUIRE(lease);
    CHECK(lease->address == IpAddress::parse("10.0.9.100"));
    CHECK(lease->prefix_length == 24);
    CHECK(lease->gateway == IpAddress::parse("10.0.9.1"));
    CHECK(lease->dns.size() == 2);
    CHECK(lease->host_name == "node7");
    CHECK(parse_dhcp_lease("ip=10.0.9.100\nmask=\nsubnet=255.255.252.0\n")->prefix_length == 22);
    for (const char* bad : {"", "ip=\nmask=24\n", "ip=10.0.9.100\n", "mask=24\n", "garbage"}) {
        CHECK_FALSE(parse_dhcp_lease(bad));
    }
}

TEST_CASE("programs: all at once, their output, and one that hangs is ended", "[user]") {
    const auto results = run_programs({{"/bin/echo", "one"},
                                       {"/bin/sh", "-c", "exec sleep 60"},
                                       {"/bin/sh", "-c", "echo two; exit 3"},
                                       {"/nowhere/program"}},
                                      std::chrono::milliseconds(500));
    CHECK(results[0].output == "one\n");
    CHECK(results[0].exit_status == 0);
    CHECK(results[1].exit_status == 128 + 9);
    CHECK(results[2].output == "two\n");
    CHECK(results[2].exit_status == 3);
    CHECK(results[3].exit_status == -1);
    CHECK(find_program("sh"));
    CHECK_FALSE(find_program("no-such-program"));
}

TEST_CASE("network: NICs that come late, without carrier, or not at all", "[user][network]") {
    in_own_network([] {
        hawser_test::Fixture run;
        lay_cable(0, true);
        lay_cable(1, true);
        lay_cable(2, false);  // no carrier
        BootPlan plan =
            plan_of({planned(0, "10.0.10.15"), planned(1, "10.0.11.15"), planned(2, "10.0.12.15"),
                     planned(3, "10.0.13.15"), planned(9, "10.0.19.15")});
        plan.nics[0].gateway = IpAddress::parse("10.0.10.2");
        plan.nics[1].name_wanted = "store1";
        std::thread late([&] {
            // Once the first is up, the boot has begun to wait for the others.
            LinkEvents events;
            Netlink netlink;
            const auto is_up = [&] {
                for (const Link& one : netlink.links()) {
                    if (one.name == "v0" && one.is_up) return true;
                }
                return false;
            };
            while (!is_up()) events.wait_until(Clock::now() + std::chrono::seconds(5));
            lay_cable(3, true);
        });
        NetworkTimes times;
        times.until_first = std::chrono::seconds(10);
        times.until_rest = std::chrono::seconds(2);
        const auto nics = set_up_network(plan, times, run.path(), k_silent);
        late.join();
        REQUIRE(nics.size() == 5);
        CHECK(nics[0].is_ready());
        CHECK(nics[0].name == "v0");
        CHECK(nics[1].is_ready());
        CHECK(nics[1].name == "store1");
        CHECK(nics[3].is_ready());
        REQUIRE(nics[2].problem);
        CHECK(nics[2].problem->cause == "no carrier");
        CHECK(nics[2].problem->value == "v2 (52:54:00:00:00:02)");
        CHECK(nics[2].is_late);
        shell("ip -4 addr show dev v2 | grep -q 'inet 10.0.12.15/24'");
        CHECK_FALSE(nics[4].is_late);
        REQUIRE(nics[4].problem);
        CHECK(nics[4].problem->cause == "no NIC with that MAC");
        CHECK(nics[4].problem->advice.find("store1 52:54:00:00:00:01") != std::string::npos);
        shell("ip -4 addr show dev store1 | grep -q 'inet 10.0.11.15/24 brd 10.0.11.255'");
        shell("ip route | grep -q 'default via 10.0.10.2 dev v0 metric 1024'");
        // Once more, as after a failed boot: the same, without an error. And nobody waits for a NIC
        // that no portal needs.
        plan =
            plan_of({planned(0, "10.0.10.15"), planned(1, "10.0.11.15"), planned(9, "10.0.19.15")});
        plan.portals.pop_back();
        times.until_rest = std::chrono::hours(1);
        const auto again = set_up_network(plan, times, run.path(), k_silent);
        CHECK(again[0].is_ready());
        CHECK(again[1].is_ready());
        CHECK_FALSE(again[2].is_ready());
    });
}

TEST_CASE("network: two NICs on one subnet, and IPv6 usable at once", "[user][network]") {
    in_own_network([] {
        hawser_test::Fixture run;
        lay_cable(0, true);
        lay_cable(1, true);
        lay_cable(2, true);
        BootPlan plan = plan_of(
            {planned(0, "10.0.10.15"), planned(1, "10.0.10.16"), planned(2, "2001:db8::15")});
        plan.nics[2].prefix_length = 64;
        const auto nics = set_up_network(plan, {}, run.path(), k_silent);
        for (const NicOutcome& nic : nics) CHECK(nic.is_ready());
        for (const char* nic : {"v0", "v1"}) {
            CHECK(read_attribute(std::string("/proc/sys/net/ipv4/conf/") + nic + "/arp_ignore") ==
                  "1");
        }
        CHECK(read_attribute("/proc/sys/net/ipv4/conf/v2/arp_ignore") == "0");
        const int fd = socket(AF_INET6, SOCK_STREAM, 0);
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        inet_pton(AF_INET6, "2001:db8::15", &address.sin6_addr);
        CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
        close(fd);
    });
}

TEST_CASE("network: DHCP by udhcpc", "[user][network]") {
    if (!find_program("busybox")) {
        WARN("SKIPPED: no busybox");
        return;
    }
    in_own_network([] {
        hawser_test::Fixture run;
        lay_cable(0, true);
        shell("ip addr add 10.0.9.1/24 dev p0");
        run.put("udhcpd.conf", "interface p0\nstart 10.0.9.100\nend 10.0.9.100\nlease_file " +
                                   run.path() + "/leases\npidfile " + run.path() +
                                   "/pid\noption subnet 255.255.255.0\noption router 10.0.9.1\n");
        run.put("leases", "");
        shell("busybox udhcpd " + run.path() + "/udhcpd.conf 2>/dev/null");
        BootPlan plan = plan_of({planned(0, "10.0.9.15")});
        plan.nics[0].address.reset();
        plan.nics[0].method = AddressMethod::dhcp;
        const auto nics = set_up_network(plan, {}, run.path(), k_silent);
        shell("kill $(cat " + run.path() + "/pid)");
        REQUIRE(nics.size() == 1);
        REQUIRE(nics[0].is_ready());
        CHECK(nics[0].addresses.at(0).address == IpAddress::parse("10.0.9.100"));
        CHECK(nics[0].gateway == IpAddress::parse("10.0.9.1"));
    });
}
