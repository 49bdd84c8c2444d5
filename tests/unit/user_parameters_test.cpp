// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel command line: quoting, addresses, ip=, netroot=, and the parameters as a whole.
#include <catch2/catch.hpp>

#include "user/boot_parameters.h"
#include "user/connect_request.h"

using namespace hawser::user;

namespace {

BootParametersResult read(const std::string& command_line) {
    return read_boot_parameters(split_kernel_command_line(command_line));
}

BootParameters good(const std::string& command_line) {
    const BootParametersResult result = read(command_line);
    for (const Problem& problem : result.problems) FAIL_CHECK(problem.line());
    return result.parameters;
}

bool holds(const std::vector<std::string>& notes, const std::string& text) {
    for (const std::string& note : notes) {
        if (note.find(text) != std::string::npos) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("kernel command line: quotes as the kernel takes them", "[user]") {
    const auto words =
        split_kernel_command_line("quiet  a=b \"c d=e f\" g=\"h i\"\tj=k\"l m\"n =o p=\n -- q=r");
    REQUIRE(words.size() == 7);
    CHECK(words[0].key == "quiet");
    CHECK_FALSE(words[0].value);
    CHECK(words[1].value == "b");
    CHECK(words[2].key == "c d");
    CHECK(words[2].value == "e f");
    CHECK(words[3].value == "h i");
    CHECK(words[4].value == "k\"l m\"n");  // quotes in the middle stay
    CHECK(words[5].key == "=o");
    CHECK(words[6].value == "");
    CHECK(split_kernel_command_line("a=\"b c").at(0).value == "b c");
    CHECK(split_kernel_command_line("").empty());
}

TEST_CASE("addresses, masks, MACs, portals", "[user]") {
    CHECK(IpAddress::parse("10.0.0.1")->to_string() == "10.0.0.1");
    CHECK(IpAddress::parse("2001:DB8::1")->to_uri() == "[2001:db8::1]");
    for (const char* bad : {"", "10.0.0", "10.0.0.256", "ibft", "[::1]", "1.2.3.4 ", "::g"}) {
        CHECK_FALSE(IpAddress::parse(bad));
    }
    CHECK(parse_prefix_length("255.255.255.0", Family::ipv4) == 24);
    CHECK(parse_prefix_length("255.255.255.255", Family::ipv4) == 32);
    CHECK(parse_prefix_length("64", Family::ipv6) == 64);
    for (const char* bad : {"0", "33", "0.0.0.0", "255.0.255.0", "-1", "24x", ""}) {
        CHECK_FALSE(parse_prefix_length(bad, Family::ipv4));
    }
    const auto a = *IpAddress::parse("10.0.10.15");
    CHECK(same_subnet(a, *IpAddress::parse("10.0.11.2"), 23));
    CHECK_FALSE(same_subnet(a, *IpAddress::parse("10.0.11.2"), 24));
    CHECK_FALSE(same_subnet(a, *IpAddress::parse("::1"), 1));
    CHECK(MacAddress::parse("52-54-00-12-34-5F")->to_string() == "52:54:00:12:34:5f");
    for (const char* bad :
         {"52:54:00:12:34", "52:54:00:12:34:5g", "52:54-00:12:34:56", "5:54:00:12:34:567"}) {
        CHECK_FALSE(MacAddress::parse(bad));
    }
    CHECK(Endpoint::parse("10.0.0.1")->port == 3260);
    CHECK(Endpoint::parse("[2001:db8::1]:861")->to_string() == "[2001:db8::1]:861");
    CHECK(Endpoint::parse("2001:db8::1")->port == 3260);
    for (const char* bad : {"10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "[::1", "[::1]x",
                            "[10.0.0.1]:3", "a:3260"}) {
        CHECK_FALSE(Endpoint::parse(bad));
    }
}

TEST_CASE("ip=: the forms of dracut", "[user]") {
    const auto parse = [](const char* text) { return parse_ip_parameter(text); };
    const auto full =
        std::get<0>(parse("10.0.10.15::10.0.10.2:255.255.255.0:node1:eth0:none:10.0.10.3"));
    REQUIRE(full);
    CHECK(full->method == AddressMethod::fixed);
    CHECK(full->address == IpAddress::parse("10.0.10.15"));
    CHECK(full->prefix_length == 24);
    CHECK(full->gateway == IpAddress::parse("10.0.10.2"));
    CHECK(full->nic.name == "eth0");
    CHECK(full->host_name == "node1");
    CHECK(full->dns.size() == 1);
    const auto v6 = std::get<0>(parse("[2001:db8::15]::[2001:db8::1]:64::52-54-00-00-00-01:none"));
    REQUIRE(v6);
    CHECK(v6->address == IpAddress::parse("2001:db8::15"));
    CHECK(v6->prefix_length == 64);
    CHECK(v6->nic.mac == MacAddress::parse("52:54:00:00:00:01"));
    const auto slash = std::get<0>(parse("[2001:db8::15/64]:::::eth0:static"));
    CHECK(slash->prefix_length == 64);
    CHECK(std::get<0>(parse("dhcp"))->method == AddressMethod::dhcp);
    CHECK(std::get<0>(parse("eth1:dhcp"))->nic.name == "eth1");
    CHECK(std::get<0>(parse(":::::eth1:dhcp"))->method == AddressMethod::dhcp);
    CHECK_FALSE(std::get<0>(parse("ibft")));
    for (const char* bad :
         {"", "auto6", "eth0:none", "10.0.0.1", "10.0.0.1::::::none:", "10.0.0.1:::24",
          "0.0.0.0:::24::eth0:none", "10.0.0.1:::255.0.255.0::eth0:none",
          "10.0.0.1::gw:24::eth0:none", "10.0.0.1:::24::eth/0:none", "10.0.0.1:::24::eth0:magic"}) {
        INFO(bad);
        CHECK(std::holds_alternative<std::string>(parse(bad)));
    }
}

TEST_CASE("netroot=: the form of dracut", "[user]") {
    const auto parse = [](const char* text) { return std::get<Netroot>(parse_netroot(text)); };
    const Netroot plain = parse("192.168.50.1::::iqn.2009-06.dracut:target0");
    CHECK(plain.server == IpAddress::parse("192.168.50.1"));
    CHECK(plain.port == 3260);
    CHECK(plain.lun == 0);
    CHECK(plain.target == "iqn.2009-06.dracut:target0");
    const Netroot full = parse("[2001:db8::1]:6:861:iface:eth3:7:iqn.2009-06.dracut:di@sk");
    CHECK(full.server == IpAddress::parse("2001:db8::1"));
    CHECK(full.port == 861);
    CHECK(full.nic == "eth3");
    CHECK(full.lun == 7);
    CHECK(full.target == "iqn.2009-06.dracut:di@sk");
    CHECK_FALSE(full.chap.is_set());
    const Netroot secret = parse("user:p@ss@10.0.0.1::::iqn.2009-06.dracut:target0");
    CHECK(secret.chap.name == "user");
    CHECK(secret.chap.secret == Secret("p@ss"));
    CHECK_FALSE(secret.chap.is_mutual());
    const Netroot both = parse("me:one:it:two@10.0.0.1::::iqn.2009-06.dracut:target0");
    CHECK(both.chap.name == "me");
    CHECK(both.chap.name_in == "it");
    CHECK(both.chap.secret_in == Secret("two"));
    CHECK(secret.server == IpAddress::parse("10.0.0.1"));
    CHECK_FALSE(parse("@10.0.0.1::::iqn.2009-06.dracut:di@sk").chap.is_set());
    CHECK_FALSE(parse("::::iqn.2009-06.dracut:target0").server);
    CHECK(parse("").target.empty());
    for (const char* bad :
         {"10.0.0.1", "10.0.0.1::::", "10.0.0.1:::iqn.2009-06.dracut:a",
          "host::::iqn.2009-06.dracut:a", "10.0.0.1:17:::iqn.2009-06.dracut:a",
          "10.0.0.1::99999::iqn.2009-06.dracut:a", "[::1::::iqn.2009-06.dracut:a",
          "10.0.0.1:::x:iqn.2009-06.dracut:a", "10.0.0.1::::iqn.2009-06.dracut:a/b"}) {
        INFO(bad);
        CHECK(std::holds_alternative<std::string>(parse_netroot(bad)));
    }
}

TEST_CASE("parameters: all of rd.hawser", "[user]") {
    const BootParameters all = good(
        "rd.hawser.target=iqn.2026-01.test:disk rd.hawser.initiator=iqn.2026-01.test:node "
        "rd.hawser.portal=10.0.10.2 "
        "rd.hawser.portal=[2001:db8::1]:861,nic=eth1,source=2001:db8::15 "
        "rd.hawser.connections=4 rd.hawser.lun=0 rd.hawser.lun=3 rd.hawser.timeout=90 "
        "rd.hawser.onfail=reboot rd.hawser.option=HeaderDigest=CRC32C "
        "rd.hawser.option=queue_depth=64 ifname=store0:52:54:00:00:00:01 ip=ibft");
    CHECK(all.target == "iqn.2026-01.test:disk");
    REQUIRE(all.portals.size() == 2);
    CHECK(all.portals[1].endpoint.to_string() == "[2001:db8::1]:861");
    CHECK(all.portals[1].nic.name == "eth1");
    CHECK(all.portals[1].source == IpAddress::parse("2001:db8::15"));
    CHECK(all.connections == 4);
    CHECK(all.luns == std::vector<uint64_t>{0, 3});
    CHECK(all.timeout_s == 90);
    CHECK(all.onfail == OnFail::reboot);
    REQUIRE(all.options.size() == 2);
    CHECK(all.options[1] == std::make_pair(std::string("queue_depth"), std::string("64")));
    CHECK(all.nic_names.at(0).name == "store0");
    CHECK(good("rd.hawser=0").disabled);
    CHECK_FALSE(good("rd.hawser=0 rd.hawser=1").disabled);
    CHECK_FALSE(good("rd.iscsi.ibft=0").firmware);
    CHECK(holds(good("rd.hawser.conections=4").notes, "rd.hawser.conections= is unknown"));
}

TEST_CASE("parameters: a bad value is named, and never taken for none", "[user]") {
    for (const char* bad : {"rd.hawser=maybe",
                            "rd.hawser.connections=0",
                            "rd.hawser.connections=17",
                            "rd.hawser.connections",
                            "rd.hawser.lun=-1",
                            "rd.hawser.timeout=0",
                            "rd.hawser.onfail=panic",
                            "rd.hawser.target=disk",
                            "rd.hawser.initiator=iqn.2026-01.test:a/b",
                            "rd.hawser.portal=host",
                            "rd.hawser.portal=10.0.0.1,eth0",
                            "rd.hawser.portal=10.0.0.1,source=::1",
                            "rd.hawser.portal=10.0.0.1,nic=a,nic=b",
                            "rd.hawser.portal=10.0.0.1,",
                            "rd.hawser.option=root=no",
                            "rd.hawser.option=target=iqn.a",
                            "rd.hawser.option=nonsense=1",
                            "rd.hawser.option=chap_key=user:mine",
                            "rd.hawser.option=alias",
                            "\"rd.hawser.option=alias=a b\"",
                            "rd.iscsi.target.ip=ibft",
                            "rd.iscsi.target.port=0",
                            "ip=auto6",
                            "ifname=eth0",
                            "netroot=iscsi:x"}) {
        INFO(bad);
        const BootParametersResult result = read(bad);
        REQUIRE(result.problems.size() == 1);
        const std::string line = result.problems[0].line();
        CHECK(line.find("hawser: bad kernel parameter: ") == 0);
        CHECK_FALSE(result.problems[0].advice.empty());
    }
    const std::string escape = read("rd.hawser.target=iqn.\x1b[2J").problems.at(0).line();
    CHECK(escape.find('\x1b') == std::string::npos);
}

TEST_CASE("parameters: credentials are taken, and never repeated", "[user][chap]") {
    const BootParameters taken = good(
        "netroot=iscsi:joe:pass-word-1@10.0.0.1::::iqn.2009-06.dracut:a rd.iscsi.username=jim "
        "rd.iscsi.password=pass-word-2 rd.iscsi.in.username=it rd.iscsi.in.password=pass-word-3");
    REQUIRE(taken.netroots.size() == 1);
    CHECK(taken.netroots[0].chap.secret == Secret("pass-word-1"));
    CHECK(taken.iscsi_chap.name == "jim");
    CHECK(taken.iscsi_chap.secret == Secret("pass-word-2"));
    CHECK(taken.iscsi_chap.name_in == "it");
    CHECK(taken.iscsi_chap.secret_in == Secret("pass-word-3"));
    CHECK(holds(taken.notes, "netroot=: anybody on this machine can read"));
    CHECK(holds(taken.notes, "rd.iscsi.password=: anybody on this machine can read"));
    for (const std::string& note : taken.notes) CHECK(note.find("pass-word") == std::string::npos);
    for (const char* text : {"netroot=iscsi:joe:pass-word-1@host::::iqn.2009-06.dracut:a",
                             "netroot=iscsi:pass-word-1@10.0.0.1::::iqn.2009-06.dracut:a",
                             "netroot=iscsi:a:b:pass-word-1@10.0.0.1::::iqn.2009-06.dracut:a",
                             "netroot=iscsi:joe:pass@-word-1@host::::iqn.2009-06.dracut:a",
                             "netroot=iscsi:joe:pass-word-1@10.0.0.1:::::::iqn.a:b"}) {
        const BootParametersResult result = read(text);
        REQUIRE(result.problems.size() == 1);
        CHECK(result.problems[0].line().find("word-1") == std::string::npos);
    }
}

TEST_CASE("parameters: root=iscsi: goes before netroot=", "[user]") {
    const BootParameters both = good(
        "netroot=iscsi:10.0.0.1::::iqn.2009-06.dracut:a "
        "root=iscsi:10.0.0.2::::iqn.2009-06.dracut:b");
    REQUIRE(both.netroots.size() == 1);
    CHECK(both.netroots[0].target == "iqn.2009-06.dracut:b");
    CHECK(holds(both.notes, "netroot= ignored"));
    CHECK(good("root=LABEL=x netroot=dhcp netroot=iscsi:").netroots.empty());
}

TEST_CASE("connect line: words only, and not too long", "[user]") {
    CHECK(connect_line({{"target", "iqn.a"}, {"lun", "1"}}) == "connect target=iqn.a lun=1");
    CHECK_THROWS_AS(connect_line({{"alias", "a b"}}), Failure);
    CHECK_THROWS_AS(connect_line({{"alias", "a\nb"}}), Failure);
    CHECK_THROWS_AS(connect_line({{"alias", ""}}), Failure);
    CHECK_NOTHROW(connect_line({{"alias", std::string(8191 - 14, 'a')}}));
    CHECK_THROWS_AS(connect_line({{"alias", std::string(8191 - 13, 'a')}}), Failure);
}
