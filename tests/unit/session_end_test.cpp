// SPDX-License-Identifier: GPL-2.0-or-later
//
// How a session of several connections ends: Logout, Logout against odds, without a word.

#include <catch2/catch.hpp>

#include "host_actions.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

TEST_CASE("Logout of four connections: each its own, the last one the session's",
          "[RFC 7143 11.14][rule-63]") {
    Host host("", 4);
    host.start();
    host.logout();
    REQUIRE(host.count_orders(HAWSER_ORDER_ENDED) == 1);
    CHECK(host.orders.back().error == HAWSER_ERROR_NONE);
    uint32_t of_connection = 0, of_session = 0;
    for (Peer& peer : host.target.peers) {
        const Pdu& last = peer.heard.back();
        REQUIRE(last.kind() == Opcode::LogoutRequest);
        const auto& request = last.as<wire::LogoutRequest>();
        of_session += request.reason == (wire::k_final | 0);
        CHECK(request.cid.get() == peer.cid);
        of_connection += request.reason == (wire::k_final | 1) && request.cid.get() == peer.cid;
    }
    CHECK(of_session == 1);
    CHECK(of_connection == 3);
    for (uint32_t i = 0; i < 4; i++) CHECK(host.counters(i).losses == 0);
}

TEST_CASE("a session that was closed is closed well, whatever a sibling did", "[RFC 7143 11.14]") {
    Host host("", 3);
    host.start();
    // istgt answers some of several Logouts by closing only.
    host.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::LogoutRequest || pdu.as<wire::LogoutRequest>().cid.get() != 2)
            return false;
        peer.closed = true;
        return true;
    };
    host.logout();
    REQUIRE(host.count_orders(HAWSER_ORDER_ENDED) == 1);
    CHECK(host.orders.back().error == HAWSER_ERROR_NONE);
}

TEST_CASE("Logout ends though connections die meanwhile") {
    Host host("", 3);
    host.start();
    host.target.script = [](Peer&, const Pdu& pdu) { return pdu.kind() == Opcode::LogoutRequest; };
    host.logout();
    host.cut(1);
    host.pass(2 * host.options.logout_timeout_ms);
    CHECK(host.count_orders(HAWSER_ORDER_ENDED) == 1);
    CHECK(host.next_deadline() == HAWSER_NEVER);
    for (const auto& side : host.sides) CHECK_FALSE(side.open);
}

TEST_CASE("a session is abandoned without a word, wherever it is") {
    for (uint64_t when : {0u, 1u, 500u, 3000u}) {
        Host host("DefaultTime2Wait=2", 2);
        host.start();
        host.hold_parked = true;
        host.target.script = swallow;
        auto tags = submit_many(host, 10);
        host.run();
        if (when) host.cut(0);
        host.pass(when);
        for (Peer& peer : host.target.peers) peer.heard.clear();
        host.abandon();
        CHECK(host.count_orders(HAWSER_ORDER_ENDED) == 1);
        for (Peer& peer : host.target.peers)
            for (const Pdu& pdu : peer.heard) CHECK(pdu.kind() != Opcode::LogoutRequest);
        for (const auto& side : host.sides) CHECK_FALSE(side.open);
        CHECK(host.done.size() + host.parked.size() == 10);
        CHECK(host.next_deadline() == HAWSER_NEVER);
    }
}

TEST_CASE("a Logout does not wait for a connection that is still logging in") {
    Host host("", 2);
    host.target.script = [](Peer&, const Pdu& pdu) {
        return pdu.kind() == Opcode::LoginRequest && pdu.as<wire::LoginRequest>().tsih.get() != 0;
    };
    host.start();
    REQUIRE(host.state(0) == HAWSER_CONNECTION_LOGGED_IN);
    REQUIRE(host.state(1) == HAWSER_CONNECTION_IN_LOGIN);
    host.logout();
    CHECK(host.count_orders(HAWSER_ORDER_CLOSE) == 1);
    REQUIRE(host.count_orders(HAWSER_ORDER_ENDED) == 1);
    CHECK(host.orders.back().error == HAWSER_ERROR_NONE);
    CHECK_FALSE(host.sides[1].open);
}

TEST_CASE("a second start, Logout or abandonment changes nothing") {
    Host host("", 2);
    host.start();
    CHECK(hawser_session_start(host.session, host.now_ms) == 0);
    host.logout();
    REQUIRE(host.count_orders(HAWSER_ORDER_ENDED) == 1);
    host.logout();
    host.abandon();
    host.pass(60000);
    CHECK(host.count_orders(HAWSER_ORDER_ENDED) == 1);
    CHECK(host.sides[0].connects == 1);
}

TEST_CASE("a session that never began is abandoned at once") {
    Host host("", 2);
    host.abandon();
    CHECK(host.count_orders(HAWSER_ORDER_ENDED) <= 1);
    CHECK(host.sides[0].connects == 0);
    CHECK(host.next_deadline() == HAWSER_NEVER);
}
