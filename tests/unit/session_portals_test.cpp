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
