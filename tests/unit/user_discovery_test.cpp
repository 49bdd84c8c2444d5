// SPDX-License-Identifier: GPL-2.0-or-later
// SendTargets: what a target says becomes targets and portals, or is left out with a word.
#include "user/discovery.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "user/commands.h"

using namespace hawser::user;

namespace {

std::string shown(const char* text) {
    const auto portal = DiscoveredPortal::parse(text);
    if (!portal) return "";
    return portal->to_string() + (portal->group ? "," + std::to_string(*portal->group) : "");
}

const Endpoint k_asked = *Endpoint::parse("10.0.0.2");

}  // namespace

TEST_CASE("discovery: addresses as RFC 7143 13.8 writes them", "[user][discovery]") {
    CHECK(shown("10.0.0.1:3261,1") == "10.0.0.1:3261,1");
    CHECK(shown("10.0.0.1,65535") == "10.0.0.1:3260,65535");
    CHECK(shown("10.0.0.1") == "10.0.0.1:3260");
    CHECK(shown("[2001:DB8::1]:860,0") == "[2001:db8::1]:860,0");
    CHECK(shown("Storage.Example.com:3260,2") == "storage.example.com:3260,2");
    CHECK(DiscoveredPortal::parse("storage,2")->is_name);
    CHECK_FALSE(DiscoveredPortal::parse("10.0.0.1")->is_name);
    for (const char* bad :
         {"", ",", ",1", ":3260,1", "10.0.0.1:0,1", "10.0.0.1:65536,1", "10.0.0.1:3260,65536",
          "10.0.0.1:3260,", "10.0.0.1:3260,-1", "10.0.0.1:3260,1,2", "10.0.0.300:3260,1",
          "0.0.0.0:3260,1", "239.0.0.1:3260,1", "[::]:3260,1", "[fe80::1:3260,1", "a b:3260,1",
          "a\x1b[2J:3260,1", "user@host:3260,1", "a_b:3260"}) {
        INFO(bad);
        CHECK_FALSE(DiscoveredPortal::parse(bad));
    }
    CHECK(DiscoveredPortal::parse(std::string(253, 'a')));
    CHECK_FALSE(DiscoveredPortal::parse(std::string(254, 'a')));
}

TEST_CASE("discovery: what several portals say is one list", "[user][discovery]") {
    DiscoveryResult result;
    add_sent_targets({{"iqn.2026-01.test:a", {"10.0.0.2:3260,1", "10.0.1.2:3260,2"}},
                      {"iqn.2026-01.test:b", {}}},
                     k_asked, result);
    add_sent_targets({{"iqn.2026-01.test:a", {"10.0.1.2:3260,2", "10.0.2.2:3260,3"}}}, k_asked,
                     result);
    CHECK(result.notes.empty());
    CHECK(discovery_text(result) ==
          "target              portal         group\n"
          "iqn.2026-01.test:a  10.0.0.2:3260  1\n"
          "                    10.0.1.2:3260  2\n"
          "                    10.0.2.2:3260  3\n"
          "iqn.2026-01.test:b  10.0.0.2:3260  -\n");
    const auto json = discovery_json(result);
    REQUIRE(json["targets"].size() == 2);
    CHECK(json["targets"][0]["portals"].size() == 3);
    CHECK(json["targets"][0]["portals"][1]["group"] == 2);
    CHECK_FALSE(json["targets"][1]["portals"][0].contains("group"));
    CHECK(discovery_text({}).empty());
}

TEST_CASE("discovery: what cannot be is left out and named, without its escapes",
          "[user][discovery]") {
    DiscoveryResult result;
    add_sent_targets({{"disk\x1b[2J", {"10.0.0.2:3260,1"}},
                      {"iqn.2026-01.test:a", {"10.0.0.2:3260,1", "\x1b]0;x\x07:3260,1"}}},
                     k_asked, result);
    REQUIRE(result.targets.size() == 1);
    CHECK(result.targets[0].portals.size() == 1);
    REQUIRE(result.notes.size() == 2);
    for (const std::string& note : result.notes) {
        CHECK(note.find("10.0.0.2:3260: ") == 0);
        CHECK(note.find('\x1b') == std::string::npos);
        CHECK(note.find("left out") != std::string::npos);
    }
}

TEST_CASE("discover: bad options, one line each", "[user][discovery]") {
    DiscoverOptions options;
    options.initiator = "iqn.2026-01.test:node";
    const auto line = [&](const char* portal) {
        options.portals = {portal};
        try {
            run_discover(options);
        } catch (const Failure& failure) {
            return std::string(failure.what());
        }
        return std::string("done");
    };
    CHECK(line("nonsense:x").find("hawser: bad portal: nonsense:x: ") == 0);
    CHECK(line("10.0.0.1,nic=eth0").find("hawser: bad portal: 10.0.0.1,nic=eth0: ") == 0);
    options.chap_name = "joe";
    CHECK(line("10.0.0.1").find("hawser: CHAP without a secret: ") == 0);
    options.initiator = "nobody";
    CHECK(line("10.0.0.1").find("hawser: bad initiator: nobody: ") == 0);
}
