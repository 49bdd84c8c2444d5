// SPDX-License-Identifier: GPL-2.0-or-later
// The boot plan: which value goes before which, which NIC carries which portal, and what is said
// about it.
#include "user/boot_plan.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "user/boot_report.h"
#include "user_ibft_builder.h"

using namespace hawser::user;
using hawser_test::IbftBuilder;

namespace {

const char* const k_target = "iqn.2026-01.test:disk";

// Two NICs on two subnets; the target is reached through the first.
IbftBuilder two_nics(uint8_t association = 0) {
    IbftBuilder builder;
    builder.initiator("iqn.2026-01.test:node");
    builder.nic(0, IbftBuilder::mapped(10, 0, 10, 15), 24, 1);
    builder.nic(1, IbftBuilder::mapped(10, 0, 11, 15), 24, 2);
    builder.target(0, IbftBuilder::mapped(10, 0, 10, 2), k_target, association);
    return builder;
}

BootPlanResult plan(std::optional<IbftBuilder> builder, const std::string& command_line,
                    const std::vector<NicIdentity>& nics = {}) {
    std::optional<Ibft> ibft;
    if (builder) {
        ibft = parse_ibft(builder->finish()).table;
        REQUIRE(ibft);
    }
    const auto read = read_boot_parameters(split_kernel_command_line(command_line));
    REQUIRE(read.problems.empty());
    return make_boot_plan(ibft ? &*ibft : nullptr, read.parameters, nics);
}

BootPlan good(std::optional<IbftBuilder> builder, const std::string& command_line,
              const std::vector<NicIdentity>& nics = {}) {
    BootPlanResult result = plan(std::move(builder), command_line, nics);
    for (const Problem& problem : result.problems) FAIL_CHECK(problem.line());
    REQUIRE(result.plan);
    return *result.plan;
}

bool notes_hold(const BootPlan& plan, const std::string& text) {
    for (const std::string& note : plan.notes) {
        if (note.find(text) != std::string::npos) return true;
    }
    return false;
}

MacAddress mac(uint8_t last) {
    const uint8_t bytes[] = {0x52, 0x54, 0, 0, 0, last};
    return MacAddress::from_bytes(bytes);
}

NicOutcome ready(const char* name, const char* address, unsigned prefix_length = 24) {
    NicOutcome outcome;
    outcome.name = name;
    outcome.addresses.push_back({*IpAddress::parse(address), prefix_length});
    return outcome;
}

std::string line(const BootPlan& plan, const std::vector<NicOutcome>& outcomes) {
    return connect_line(connect_values(plan, resolve_portals(plan, outcomes).portals, 60));
}

}  // namespace

TEST_CASE("plan: the iBFT alone", "[user][plan]") {
    const BootPlan found = good(two_nics(), "");
    CHECK(found.target.value == k_target);
    CHECK(found.target.source == "iBFT target 0");
    CHECK(found.initiator.source == "iBFT initiator");
    CHECK(found.luns.value == std::vector<uint64_t>{1});
    REQUIRE(found.portals.size() == 1);
    REQUIRE(found.nics.size() == 1);  // the other is not needed
    CHECK(found.nics[0].selector.mac == mac(1));
    CHECK(found.portals[0].nic == 0u);
    CHECK(notes_hold(found, "iBFT NIC 1 is left out"));
    CHECK(line(found, {ready("eth0", "10.0.10.15")}) ==
          "connect target=iqn.2026-01.test:disk portal=10.0.10.2:3260,source=10.0.10.15,nic=eth0 "
          "initiator=iqn.2026-01.test:node lun=1 root=yes timeout=60");
}

TEST_CASE("plan: nobody names a target", "[user][plan]") {
    CHECK(plan(std::nullopt, "").nothing_to_do);
    IbftBuilder builder;
    builder.initiator("iqn.2026-01.test:node");
    CHECK(plan(builder, "").nothing_to_do);
}

TEST_CASE("plan: precedence", "[user][plan]") {
    const std::string netroot = "netroot=iscsi:10.0.20.2::3261:5:iqn.2026-01.test:netroot ";
    const std::string iscsi =
        "rd.iscsi.target.name=iqn.2026-01.test:iscsi rd.iscsi.target.ip=10.0.30.2 "
        "rd.iscsi.target.port=3262 rd.iscsi.initiator=iqn.2026-01.test:iscsi-node ";
    const std::string own =
        "rd.hawser.target=iqn.2026-01.test:own rd.hawser.initiator=iqn.2026-01.test:own-node "
        "rd.hawser.lun=9 rd.hawser.portal=10.0.40.2 ";

    const BootPlan by_iscsi = good(two_nics(), iscsi);
    CHECK(by_iscsi.target.source == "rd.iscsi.target.name");
    CHECK(by_iscsi.initiator.source == "rd.iscsi.initiator");
    REQUIRE(by_iscsi.portals.size() == 1);
    CHECK(by_iscsi.portals[0].endpoint.to_string() == "10.0.30.2:3262");
    CHECK(by_iscsi.luns.value.empty());

    const BootPlan by_netroot = good(two_nics(), iscsi + netroot);
    CHECK(by_netroot.target.value == "iqn.2026-01.test:netroot");
    CHECK(by_netroot.luns.value == std::vector<uint64_t>{5});
    REQUIRE(by_netroot.portals.size() == 1);
    CHECK(by_netroot.portals[0].endpoint.to_string() == "10.0.20.2:3261");

    const BootPlan by_own = good(two_nics(), own + "rd.hawser.timeout=7 rd.hawser.onfail=reboot");
    CHECK(by_own.target.value == "iqn.2026-01.test:own");
    CHECK(by_own.initiator.value == "iqn.2026-01.test:own-node");
    CHECK(by_own.luns.value == std::vector<uint64_t>{9});
    CHECK(by_own.timeout_s.value == 7);
    CHECK(by_own.onfail.value == OnFail::reboot);
    REQUIRE(by_own.portals.size() == 1);  // the iBFT's portal is another target's
    CHECK(by_own.portals[0].endpoint.to_string() == "10.0.40.2:3260");
    CHECK(notes_hold(by_own, "iBFT target 0 (iqn.2026-01.test:disk) is left out"));
}

TEST_CASE("plan: the command line adds portals to the iBFT's", "[user][plan]") {
    const BootPlan found = good(two_nics(),
                                "rd.hawser.portal=10.0.11.2 rd.hawser.portal=10.0.12.2,nic=eth2 "
                                "ip=10.0.12.15:::24::eth2:none rd.hawser.portal=10.0.10.2 "
                                "rd.hawser.connections=4 rd.hawser.option=queue_depth=64");
    REQUIRE(found.portals.size() == 3);
    CHECK(notes_hold(found, "portal 10.0.10.2:3260 is named twice"));
    REQUIRE(found.nics.size() == 3);
    CHECK(found.nics[*found.portals[0].nic].selector.mac == mac(1));
    CHECK(found.nics[*found.portals[1].nic].selector.mac == mac(2));
    CHECK(found.nics[*found.portals[2].nic].selector.name == "eth2");
    CHECK(line(found, {ready("eth2", "10.0.12.15"), ready("eth0", "10.0.10.15"),
                       ready("eth1", "10.0.11.15")}) ==
          "connect target=iqn.2026-01.test:disk portal=10.0.10.2:3260,source=10.0.10.15,nic=eth0 "
          "portal=10.0.11.2:3260,source=10.0.11.15,nic=eth1 "
          "portal=10.0.12.2:3260,source=10.0.12.15,nic=eth2 connections=4 "
          "initiator=iqn.2026-01.test:node lun=1 root=yes timeout=60 queue_depth=64");
}

TEST_CASE("plan: one NIC by MAC, by ifname= and by its name now", "[user][plan]") {
    const std::vector<NicIdentity> here = {{"enp0s3", mac(1)}, {"enp0s4", mac(2)}};
    const BootPlan by_mac = good(two_nics(), "rd.hawser.portal=10.0.9.2,nic=52-54-00-00-00-01");
    CHECK(by_mac.nics.size() == 1);
    CHECK(by_mac.portals[1].nic == by_mac.portals[0].nic);

    const BootPlan by_ifname =
        good(two_nics(), "ifname=store:52:54:00:00:00:01 rd.hawser.portal=10.0.9.2,nic=store");
    CHECK(by_ifname.nics.size() == 1);
    CHECK(by_ifname.nics[0].name_wanted == "store");

    const BootPlan by_name = good(two_nics(), "ip=10.0.10.99:::24::enp0s3:none", here);
    REQUIRE(by_name.nics.size() == 1);
    CHECK(by_name.nics[0].address == IpAddress::parse("10.0.10.99"));
    CHECK(by_name.nics[0].source == "ip=");
    CHECK(notes_hold(by_name, "ip= goes before its address"));
    CHECK(plan(two_nics(), "ip=enp0s3:dhcp ip=10.0.10.99:::24::52-54-00-00-00-01:none", here)
              .problems.at(0)
              .cause == "two ip= for one NIC");
}

TEST_CASE("plan: the iBFT's wrong NIC is found out by the subnet", "[user][plan]") {
    const BootPlan wrong = good(two_nics(1), "");
    REQUIRE(wrong.nics.size() == 1);
    CHECK(wrong.nics[0].selector.mac == mac(1));
    CHECK(notes_hold(wrong,
                     "the iBFT says NIC 1 (52:54:00:00:00:02), but 10.0.10.2 is in the subnet "
                     "of 52:54:00:00:00:01"));
    const BootPlan absent = good(two_nics(7), "");
    CHECK(absent.nics.at(0).selector.mac == mac(1));
    CHECK(notes_hold(absent, "its NIC 7 is not in the iBFT; by its subnet"));
}

TEST_CASE("plan: a routed target stays on the associated NIC", "[user][plan]") {
    IbftBuilder builder;
    builder.initiator("iqn.2026-01.test:node");
    const size_t nic = builder.nic(0, IbftBuilder::mapped(10, 0, 10, 15), 24, 1);
    builder.put(nic + 24, IbftBuilder::mapped(10, 0, 10, 1));
    builder.nic(1, IbftBuilder::mapped(10, 0, 11, 15), 24, 2);
    builder.target(0, IbftBuilder::mapped(192, 0, 2, 1), k_target, 0);
    const BootPlan found = good(builder, "");
    REQUIRE(found.nics.size() == 1);
    CHECK(found.nics[0].gateway == IpAddress::parse("10.0.10.1"));
    CHECK(line(found, {ready("eth0", "10.0.10.15")}).find("source=10.0.10.15,nic=eth0") !=
          std::string::npos);
}

TEST_CASE("plan: NICs without an address ask DHCP, and it says so", "[user][plan]") {
    const BootPlan found = good(two_nics(), "rd.hawser.portal=10.0.12.2,nic=eth2");
    REQUIRE(found.nics.size() == 2);
    CHECK(found.nics[1].method == AddressMethod::dhcp);
    CHECK(found.nics[1].source == "rd.hawser.portal (no ip= for it: DHCP)");

    const std::vector<NicIdentity> here = {{"eth0", mac(1)}, {"eth1", mac(2)}, {"eth2", mac(3)}};
    const BootPlan everywhere =
        good(std::nullopt,
             "rd.hawser.target=iqn.a rd.hawser.initiator=iqn.b "
             "rd.hawser.portal=10.0.12.2 ip=dhcp ip=10.0.13.5:::24::eth1:none",
             here);
    REQUIRE(everywhere.nics.size() == 3);
    CHECK_FALSE(everywhere.portals[0].nic);  // known once the leases are
    std::vector<NicOutcome> outcomes = {ready("eth1", "10.0.13.5"), ready("eth0", "10.0.11.7"),
                                        ready("eth2", "10.0.12.7")};
    CHECK(line(everywhere, outcomes).find("portal=10.0.12.2:3260,source=10.0.12.7,nic=eth2") !=
          std::string::npos);
}

TEST_CASE("plan: what is missing is named", "[user][plan]") {
    const auto causes = [](const BootPlanResult& result) {
        std::vector<std::string> list;
        for (const Problem& problem : result.problems) list.push_back(problem.cause);
        return list;
    };
    CHECK(causes(plan(std::nullopt, "rd.hawser.target=iqn.a")) ==
          std::vector<std::string>{"no initiator name", "no portal"});
    CHECK(causes(plan(std::nullopt,
                      "rd.hawser.target=iqn.a rd.hawser.initiator=iqn.b "
                      "rd.hawser.portal=10.0.0.1 ip=dhcp")) == std::vector<std::string>{"no NIC"});
    std::string many = "rd.hawser.target=iqn.a rd.hawser.initiator=iqn.b";
    for (int i = 1; i <= 17; ++i) many += " rd.hawser.portal=10.0.0." + std::to_string(i);
    CHECK(causes(plan(std::nullopt, many)) == std::vector<std::string>{"too many portals"});
}

TEST_CASE("plan: several iBFT targets of one name are portals, another name is left out",
          "[user][plan]") {
    IbftBuilder builder(3);
    builder.initiator("iqn.2026-01.test:node");
    builder.nic(0, IbftBuilder::mapped(10, 0, 10, 15), 24, 1);
    builder.nic(1, IbftBuilder::mapped(10, 0, 11, 15), 24, 2);
    builder.target(0, IbftBuilder::mapped(10, 0, 10, 2), "iqn.2026-01.test:other", 0, 1);
    builder.target(1, IbftBuilder::mapped(10, 0, 10, 2), k_target, 0);
    builder.target(2, IbftBuilder::mapped(10, 0, 11, 2), k_target, 1);
    const BootPlan found = good(builder, "");
    CHECK(found.target.source == "iBFT target 1");  // boot selected goes before merely valid
    CHECK(found.portals.size() == 2);
    CHECK(found.luns.value == std::vector<uint64_t>{1});
    CHECK(notes_hold(found, "iBFT target 0 (iqn.2026-01.test:other) is left out"));
}

TEST_CASE("plan: a NIC that does not work leaves out its portals, and is named", "[user][plan]") {
    const BootPlan found = good(two_nics(), "rd.hawser.portal=10.0.11.2");
    NicOutcome dead;
    dead.name = "eth1";
    dead.problem = Problem{"no carrier", "eth1", "check cable and switch port"};
    const ReadyPortals portals = resolve_portals(found, {ready("eth0", "10.0.10.15"), dead});
    REQUIRE(portals.portals.size() == 1);
    REQUIRE(portals.left_out.size() == 1);
    CHECK(portals.left_out[0].line() ==
          "hawser: no carrier: eth1: portal 10.0.11.2:3260 is left out; "
          "check cable and switch port");
    NicOutcome v6_only = ready("eth1", "2001:db8::15", 64);
    CHECK(resolve_portals(found, {ready("eth0", "10.0.10.15"), v6_only}).left_out.at(0).cause ==
          "no address");
}

TEST_CASE("plan: a NIC that has its address and no carrier yet: its portals come last",
          "[user][plan]") {
    const BootPlan found = good(two_nics(), "rd.hawser.portal=10.0.11.2");
    NicOutcome late = ready("eth0", "10.0.10.15");
    late.problem = Problem{"no carrier", "eth0", "check cable and switch port"};
    late.is_late = true;
    const ReadyPortals portals = resolve_portals(found, {late, ready("eth1", "10.0.11.15")});
    REQUIRE(portals.portals.size() == 2);
    CHECK(portals.portals[0].nic == "eth1");
    CHECK(portals.portals[1].to_string() == "10.0.10.2:3260,source=10.0.10.15,nic=eth0");
    REQUIRE(portals.left_out.size() == 1);
    CHECK(portals.left_out[0].line() ==
          "hawser: no carrier: eth0: portal 10.0.10.2:3260 joins when there is one; "
          "check cable and switch port");
    // With nothing beside it there is no boot, and nothing that could join one.
    NicOutcome other = late;
    other.name = "eth1";
    const ReadyPortals none = resolve_portals(found, {late, other});
    CHECK(none.portals.empty());
    CHECK(none.left_out.at(0).advice.find("is left out") != std::string::npos);
}

TEST_CASE("plan: its report says where each value came from", "[user][plan]") {
    const BootPlan found = good(two_nics(), "rd.hawser.portal=10.0.12.2,nic=eth2 rd.hawser.lun=0");
    const std::string text = plan_text(found);
    for (const char* part : {"iqn.2026-01.test:disk", "iBFT target 0", "rd.hawser.lun",
                             "10.0.12.2:3260 by eth2", "10.0.10.15/24", "default"}) {
        INFO(part);
        CHECK(text.find(part) != std::string::npos);
    }
    const nlohmann::json json = plan_json(found);
    CHECK(json["target"]["source"] == "iBFT target 0");
    CHECK(json["portals"].size() == 2);
    CHECK(json["luns"]["value"] == std::vector<uint64_t>{0});
}
