// SPDX-License-Identifier: GPL-2.0-or-later
//
// Redirects of a login, against a scripted target (RFC 7143 11.13.5).

#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;

namespace {

// Sends logins on to `address` as long as `times` lasts.
auto redirecting(uint16_t status, std::string address, uint32_t& times) {
    return [=, &times](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != wire::Opcode::LoginRequest || times == 0) return false;
        times--;
        peer.send_login(0, address.empty() ? "" : "TargetAddress=" + address, status);
        peer.closed = true;
        return true;
    };
}

}  // namespace

TEST_CASE("a temporary redirect is followed once", "[RFC 7143 11.13.5][rule-41]") {
    Host host("", 1);
    uint32_t times = 1;
    host.target.script = redirecting(0x0101, "10.0.9.9:3333", times);
    host.start();
    REQUIRE(logged_in(host) == 1);
    CHECK(host.place_of(0) == "10.0.9.9:3333");
    CHECK(host.now_ms == 1000);  // without a pause
    CHECK(host.snapshot().portals[0].port == 3260);
    host.cut(0);
    host.pass(5000);
    REQUIRE(logged_in(host) == 1);
    CHECK(host.place_of(0) == "10.0.1.2:3260");
}

TEST_CASE("a permanent redirect takes the portal's place", "[RFC 7143 11.13.5][rule-41]") {
    Host host("", 2);
    uint32_t times = 1;
    host.target.script = redirecting(0x0102, "[fe80::9]", times);
    host.start();
    REQUIRE(logged_in(host) == 2);
    CHECK(host.place_of(0) == "[fe80::9]:3260");
    CHECK(host.place_of(1) == "10.0.2.2:3260");
    for (int i = 0; i < 2; i++) {
        host.cut(0);
        host.pass(20000);
        REQUIRE(logged_in(host) == 2);
        CHECK(host.place_of(0) == "[fe80::9]:3260");
    }
    CHECK(host.snapshot().portal_count == 2);
}

TEST_CASE("redirects in a row are bounded", "[RFC 7143 11.13.5][rule-41]") {
    Host host("timeout=30", 1);
    uint32_t times = 1000;
    host.target.script = redirecting(0x0101, "10.0.9.9", times);
    host.start();
    CHECK(host.snapshot().last_error == HAWSER_ERROR_REDIRECTED_TOO_OFTEN);
    CHECK(host.sides[0].connects == 9);
    host.pass(30000);
    REQUIRE(host.count_orders(HAWSER_ORDER_ENDED) == 1);
    CHECK(host.orders.back().error == HAWSER_ERROR_REDIRECTED_TOO_OFTEN);
    CHECK(host.sides[0].connects < 100);

    // Eight are followed, and then all is well.
    Host patient("timeout=30", 1);
    times = 8;
    patient.target.script = redirecting(0x0101, "10.0.9.9", times);
    patient.start();
    CHECK(logged_in(patient) == 1);
    CHECK(patient.place_of(0) == "10.0.9.9:3260");
}

TEST_CASE("a redirect to a name or to nowhere is an error of its own", "[RFC 7143 13.8]") {
    for (const char* address : {"", "disk.example.com:3260"}) {
        Host host("timeout=5", 1);
        uint32_t times = 1000;
        host.target.script = redirecting(0x0101, address, times);
        host.start();
        CHECK(host.snapshot().last_error == HAWSER_ERROR_REDIRECTED_NOWHERE);
        CHECK(host.sides[0].connects == 1);
        host.pass(10000);
        REQUIRE(host.count_orders(HAWSER_ORDER_ENDED) == 1);
        CHECK(host.orders.back().error == HAWSER_ERROR_REDIRECTED_NOWHERE);
    }
}

TEST_CASE("a further connection is redirected too, and settles only there", "[RFC 7143 11.13.5]") {
    Host host("", 2);
    host.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != wire::Opcode::LoginRequest || &peer != &host.target.peers[1] ||
            host.sides[1].connects > 1)
            return false;
        CHECK(host.count_orders(HAWSER_ORDER_SETTLED) == 0);
        peer.send_login(0, "TargetAddress=10.0.9.9", 0x0101);
        return true;
    };
    host.start();
    CHECK(logged_in(host) == 2);
    CHECK(host.place_of(1) == "10.0.9.9:3260");
    CHECK(host.count_orders(HAWSER_ORDER_SETTLED) == 1);
    CHECK(host.snapshot().reinstatements == 0);
}

TEST_CASE("a permanent redirect that leads nowhere does not take the portal's place") {
    Host host("timeout=60", 1);
    uint32_t connects = 0;
    // The place that it is sent to does not answer, the given one does.
    host.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != wire::Opcode::LoginRequest) return false;
        if (host.place_of(0) == "10.0.9.9:3260") return peer.closed = true;
        if (connects++ != 0) return false;
        peer.send_login(0, "TargetAddress=10.0.9.9", 0x0102);
        return peer.closed = true;
    };
    host.start();
    host.pass(10000);
    CHECK(logged_in(host) == 1);
    CHECK(host.place_of(0) == "10.0.1.2:3260");
}

TEST_CASE("a redirect is no loss, and leaves no error behind") {
    Host host("", 1);
    uint32_t times = 1;
    host.target.script = redirecting(0x0101, "10.0.9.9", times);
    host.start();
    REQUIRE(logged_in(host) == 1);
    CHECK(host.counters(0).losses == 0);
    CHECK(host.counters(0).logins == 1);
    CHECK(host.snapshot().last_error == HAWSER_ERROR_NONE);
    CHECK(host.snapshot().reinstatements == 0);
}

TEST_CASE("a redirect to this host's own loopback is not followed") {
    Host host("timeout=5", 1);
    uint32_t times = 1000;
    host.target.script = redirecting(0x0101, "127.0.0.1", times);
    host.start();
    CHECK(host.snapshot().last_error == HAWSER_ERROR_PORTAL_UNREACHABLE);
    CHECK(host.sides[0].connects == 1);
}

namespace {

// Answers SendTargets with these addresses, all of portal group 1.
struct Telling : Host {
    Telling(const std::string& more, std::vector<std::string> addresses)
        : Host("portals=all " + more, 1) {
        target.script = [addresses](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() != wire::Opcode::TextRequest) return false;
            std::string words = "TargetName=iqn.a:disk";
            for (const std::string& one : addresses) words += ' ' + ("TargetAddress=" + one + ",1");
            Bytes text;
            for (char c : words + ' ') text.push_back(c == ' ' ? 0 : static_cast<uint8_t>(c));
            wire::TextResponse answer;
            answer.flags = wire::k_final;
            answer.initiator_task_tag = pdu.itt();
            answer.target_transfer_tag = wire::k_reserved_tag;
            peer.send(answer, true, text);
            return true;
        };
    }
};

}  // namespace

TEST_CASE("portals that mean nothing from here are noted, and not used") {
    Telling host("connections=2", {"127.0.0.1:3260", "[::1]:3260", "0.0.0.0:3260", "224.0.0.9:3260",
                                   "[ff02::1]:3260", "[::ffff:127.0.0.9]:3260"});
    host.start();
    CHECK(logged_in(host) == 2);
    CHECK(host.snapshot().portal_count == 1);
    CHECK(host.snapshot().portals_ignored == 6);
    CHECK(host.place_of(1) == "10.0.1.2:3260");
}

TEST_CASE("a portal that was told and cannot be reached takes no given one's place") {
    Telling host("connections=2 noop_out_interval=0", {"192.168.7.7:3260"});
    host.portals_down = {1};
    host.start();
    CHECK(logged_in(host) == 1);
    CHECK(host.snapshot().portal_count == 2);
    host.pass(3000);
    CHECK(logged_in(host) == 2);
    CHECK(host.place_of(1) == "10.0.1.2:3260");
    // Nor when the session starts anew, whoever leads.
    for (uint32_t i = 0; i < 4; i++) {
        host.cut(i % 2);
        host.pass(5000);
        CHECK(logged_in(host) == 2);
    }

    // One that has been logged in to is as good as a given one.
    Telling good("connections=2 noop_out_interval=0", {"192.168.7.7:3260"});
    good.start();
    CHECK(good.place_of(1) == "192.168.7.7:3260");
    good.portals_down = {1};
    good.cut(1);
    good.pass(3000);
    good.portals_down.clear();
    good.pass(20000);
    CHECK(logged_in(good) == 2);
    CHECK(good.place_of(1) == "192.168.7.7:3260");
}
