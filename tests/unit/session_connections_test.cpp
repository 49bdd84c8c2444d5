// SPDX-License-Identifier: GPL-2.0-or-later
//
// Connections that are added, dropped, or asked to leave while the session runs.

#include <catch2/catch.hpp>
#include <set>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

wire::AsyncMessage event(uint8_t code, uint16_t p1, uint16_t p2, uint16_t p3) {
    wire::AsyncMessage pdu;
    pdu.async_event = code;
    pdu.parameter1 = p1;
    pdu.parameter2 = p2;
    pdu.parameter3 = p3;
    return pdu;
}

uint8_t reason_of(const Pdu& pdu) {
    return pdu.as<wire::LogoutRequest>().reason & 0x7f;
}

hawser_portal portal_at(uint8_t last) {
    hawser_portal portal = {};
    portal.address.family = 4;
    portal.address.bytes[0] = 10;
    portal.address.bytes[3] = last;
    portal.port = 860;
    return portal;
}

// Commands of one connection wait until `release` is set.
struct Waiting : Host {
    explicit Waiting(const std::string& more, uint32_t connections) : Host(more, connections) {
        target.script = [this](Peer& peer, const Pdu& pdu) {
            if (!holds || pdu.kind() != Opcode::ScsiCommand) return false;
            peer.exchanges[pdu.itt()].command = pdu.as<wire::ScsiCommand>();
            return true;
        };
    }
    void let_go(uint32_t index) {
        holds = false;
        for (auto& [itt, exchange] : target.peers[index].exchanges)
            target.peers[index].send_status(exchange, 8);
        target.peers[index].exchanges.clear();
        run();
    }
    bool holds = false;
};

}  // namespace

TEST_CASE("a connection is added to the portal that is named") {
    Host host("connections=1 connections_max=3", 1);
    host.start();
    CHECK(logged_in(host) == 1);
    CHECK(host.snapshot().connections_asked == 1);
    hawser_portal portal = portal_at(77);
    uint32_t index = 99;
    REQUIRE(host.add(&portal, index) == HAWSER_ERROR_NONE);
    CHECK(index == 1);
    CHECK(logged_in(host) == 2);
    CHECK(host.place_of(1) == "10.0.0.77:860");
    CHECK(host.snapshot().portal_count == 2);
    CHECK(host.count_orders(HAWSER_ORDER_SETTLED) == 2);
    // Without a portal: the next one in turn.
    REQUIRE(host.add(nullptr, index) == HAWSER_ERROR_NONE);
    CHECK(index == 2);
    CHECK(host.place_of(2) == "10.0.1.2:3260");
    CHECK(host.snapshot().connections_asked == 3);
    CHECK(host.add(nullptr, index) == HAWSER_ERROR_CONNECTIONS_FULL);
    // They belong to the session from now on.
    host.cut(0);
    host.pass(20000);
    CHECK(logged_in(host) == 3);
    CHECK(host.snapshot().reinstatements == 1);
    uint32_t tag = host.submit(2, HAWSER_DATA_WRITE, 4096);
    host.run();
    CHECK(host.done_of(tag).completion.status == 0);
}

TEST_CASE("no more connections than the target granted") {
    Host host("connections=2 connections_max=4", 1);
    host.target.answers["MaxConnections"] = "2";
    host.start();
    uint32_t index = 0;
    CHECK(host.add(nullptr, index) == HAWSER_ERROR_CONNECTIONS_FULL);
    host.abandon();
    CHECK(host.add(nullptr, index) == HAWSER_ERROR_NOT_LOGGED_IN);
    CHECK(host.drop(0) == HAWSER_ERROR_NOT_LOGGED_IN);
}

TEST_CASE("a dropped connection says Logout, reason 1, when its tasks are done",
          "[RFC 7143 11.14][rule-63]") {
    Waiting host("", 3);
    host.start();
    host.holds = true;
    uint32_t tag = host.submit(1, HAWSER_DATA_READ, 512);
    host.run();
    CHECK(host.drop(1) == HAWSER_ERROR_NONE);
    CHECK(heard_of(host, Opcode::LogoutRequest, 1).empty());
    CHECK_FALSE(hawser_connection_accepts(host.sides[1].connection));
    host.let_go(1);
    CHECK(host.done_of(tag).completion.status == 8);
    auto requests = heard_of(host, Opcode::LogoutRequest, 1);
    REQUIRE(requests.size() == 1);
    CHECK(reason_of(requests[0]) == 1);
    CHECK(requests[0].as<wire::LogoutRequest>().cid.get() == 1);
    CHECK(host.state(1) == HAWSER_CONNECTION_FREE);
    host.pass(60000);
    CHECK(logged_in(host) == 2);
    CHECK(host.snapshot().reinstatements == 0);
    CHECK(host.snapshot().connections_asked == 2);
    CHECK(host.drop(1) == HAWSER_ERROR_NO_SUCH_CONNECTION);
    // It stays away when the session starts anew, whoever leads.
    host.cut(0);
    host.pass(20000);
    CHECK(logged_in(host) == 2);
    CHECK(host.state(1) == HAWSER_CONNECTION_FREE);
    uint32_t index = 0;
    CHECK(host.add(nullptr, index) == HAWSER_ERROR_NONE);
    CHECK(index == 1);
    CHECK(logged_in(host) == 3);
}

TEST_CASE("a command that had no number moves to a sibling of the dropped one") {
    Waiting host("", 2);
    host.target.window = 2;
    host.start();
    host.holds = true;
    host.target.window = 0;
    uint32_t first = host.submit(1, HAWSER_DATA_READ, 512);
    uint32_t second = host.submit(1, HAWSER_DATA_READ, 512);
    host.run();
    uint32_t waits = host.submit(1, HAWSER_DATA_READ, 512, 8);
    host.run();
    host.hold_parked = true;
    CHECK(host.drop(1) == HAWSER_ERROR_NONE);
    host.target.window = 32;
    host.let_go(1);
    CHECK(host.done_of(first).completion.status == 8);
    CHECK(host.done_of(second).completion.status == 8);
    CHECK(host.parked == std::vector<uint32_t>{waits});
    CHECK(host.snapshot().reinstatements == 0);
    host.sides[0].queue.push_back(host.in_use.at(waits));
    host.run();
    CHECK(host.done_of(waits).completion.status == 0);
}

TEST_CASE("tasks that do not end in time make a drop a new session", "[RFC 7143 11.14]") {
    Waiting host("logout_timeout=3 noop_out_interval=0", 2);
    host.start();
    host.holds = true;
    uint32_t tag = host.submit(1, HAWSER_DATA_READ, 512);
    host.run();
    CHECK(host.drop(1) == HAWSER_ERROR_NONE);
    host.pass(2999);
    CHECK(heard_of(host, Opcode::LogoutRequest, 1).empty());
    host.holds = false;
    host.pass(1);
    CHECK(heard_of(host, Opcode::LogoutRequest, 1).size() == 1);
    host.pass(20000);
    CHECK(host.snapshot().reinstatements == 1);
    CHECK(logged_in(host) == 1);
    CHECK(host.done_of(tag).completion.status == 0);
}

TEST_CASE("the last connection is not dropped") {
    Host host("", 2);
    host.start();
    CHECK(host.drop(7) == HAWSER_ERROR_NO_SUCH_CONNECTION);
    CHECK(host.drop(0) == HAWSER_ERROR_NONE);
    CHECK(logged_in(host) == 1);
    CHECK(host.drop(1) == HAWSER_ERROR_LAST_CONNECTION);
    CHECK(logged_in(host) == 1);
}

TEST_CASE("a connection that does not come up is dropped all the same") {
    Host host("connections=2 connections_max=2", 2);
    host.portals_down = {1};
    host.start();
    CHECK(logged_in(host) == 1);
    CHECK(host.drop(1) == HAWSER_ERROR_NONE);
    uint32_t connects = host.sides[1].connects;
    host.pass(60000);
    CHECK(host.sides[1].connects == connects);
}

TEST_CASE("event 1 on the only connection: Logout of the session, then a new one",
          "[RFC 7143 11.9.1][rule-28]") {
    Waiting host("DefaultTime2Wait=2 noop_out_interval=0", 1);
    host.start();
    host.holds = true;
    uint32_t tag = host.submit(0, HAWSER_DATA_READ, 512);
    host.run();
    host.target.peers[0].send(event(1, 0, 0, 8), true);
    host.run();
    CHECK(host.state(0) == HAWSER_CONNECTION_IN_LOGOUT);
    CHECK(heard_of(host, Opcode::LogoutRequest).empty());
    uint32_t sessions = host.target.sessions;
    host.let_go(0);
    CHECK(host.done_of(tag).completion.status == 8);
    auto requests = heard_of(host, Opcode::LogoutRequest);
    REQUIRE(requests.size() == 1);
    CHECK(reason_of(requests[0]) == 0);
    host.pass(1900);
    CHECK(logged_in(host) == 0);
    host.pass(200);
    CHECK(logged_in(host) == 1);
    CHECK(host.target.sessions == sessions + 1);
    CHECK(host.snapshot().reinstatements == 1);
    CHECK(host.counters(0).losses == 0);
}

TEST_CASE("event 1 is obeyed within its time whatever the tasks do", "[RFC 7143 11.9.1][rule-28]") {
    Waiting host("logout_timeout=60 noop_out_interval=0", 1);
    host.start();
    host.holds = true;
    uint32_t tag = host.submit(0, HAWSER_DATA_READ, 512);
    host.run();
    host.target.peers[0].send(event(1, 0, 0, 4), true);
    host.pass(1999);
    CHECK(heard_of(host, Opcode::LogoutRequest).empty());
    host.holds = false;
    host.pass(1);
    REQUIRE(heard_of(host, Opcode::LogoutRequest).size() == 1);
    host.pass(5000);
    CHECK(logged_in(host) == 1);
    CHECK(host.done_of(tag).completion.status == 0);  // sent again in the new session
}

TEST_CASE("event 1 on one of several: it alone logs out and comes back",
          "[RFC 7143 11.9.1][rule-28]") {
    Host host("DefaultTime2Wait=2", 3);
    host.start();
    uint32_t sessions = host.target.sessions;
    host.target.peers[1].send(event(1, 0, 0, 8), true);
    host.run();
    auto requests = heard_of(host, Opcode::LogoutRequest, 1);
    REQUIRE(requests.size() == 1);
    CHECK(reason_of(requests[0]) == 1);
    CHECK(requests[0].as<wire::LogoutRequest>().cid.get() == 1);
    CHECK(logged_in(host) == 2);
    host.pass(1900);
    CHECK(logged_in(host) == 2);
    host.pass(200);
    CHECK(logged_in(host) == 3);
    CHECK(host.target.sessions == sessions);
    CHECK(host.snapshot().reinstatements == 0);
    CHECK(host.snapshot().last_error == HAWSER_ERROR_ASYNC_LOGOUT);
}

TEST_CASE("event 1 on every connection: each says Logout, the last one for the session",
          "[RFC 7143 11.9.1][rule-28]") {
    Host host("", 3);
    host.start();
    uint32_t sessions = host.target.sessions;
    for (Peer& peer : host.target.peers) peer.send(event(1, 0, 0, 8), true);
    host.run();
    std::multiset<uint8_t> reasons;
    for (uint32_t i = 0; i < 3; i++)
        for (const Pdu& pdu : heard_of(host, Opcode::LogoutRequest, i))
            reasons.insert(reason_of(pdu));
    CHECK(reasons == std::multiset<uint8_t>{0, 1, 1});
    host.pass(20000);
    CHECK(logged_in(host) == 3);
    CHECK(host.target.sessions == sessions + 1);
}

TEST_CASE("event 1 after a command was submitted: nothing new goes out",
          "[RFC 7143 11.9.1][rule-28]") {
    Scene scene;
    scene.login();
    scene.sides[0].mute = true;
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    scene.target.peers[0].send(event(1, 0, 0, 8), true);
    scene.run();
    scene.sides[0].mute = false;
    scene.sides[0].transmit_due = true;
    scene.run();
    CHECK(scene.target.peers[0].heard.size() >= 1);
    CHECK(scene.target.peers[0].heard[0].kind() == Opcode::LogoutRequest);
    scene.pass(5000);
    CHECK(scene.done_of(tag).completion.status == 0);
}

TEST_CASE("a Logout of its own that is not answered is a loss", "[RFC 7143 11.15]") {
    Host host("logout_timeout=3", 2);
    host.start();
    host.target.script = [](Peer&, const Pdu& pdu) { return pdu.kind() == Opcode::LogoutRequest; };
    host.target.peers[1].send(event(1, 0, 0, 60), true);
    host.run();
    host.pass(3000);
    CHECK(host.lost_with(1) == HAWSER_ERROR_LOGOUT_TIMEOUT);
    host.pass(20000);
    CHECK(host.snapshot().reinstatements == 1);
    CHECK(logged_in(host) == 2);
}

TEST_CASE("event 2 about a sibling: its loss has the times that were told",
          "[RFC 7143 7.5.2][rule-29]") {
    Host host("DefaultTime2Wait=0", 2);
    host.start();
    host.target.peers[0].send(event(2, 1, 7, 20), true);
    host.run();
    CHECK(logged_in(host) == 2);
    host.target.peers[1].closed = true;
    host.run();
    CHECK(logged_in(host) == 0);
    host.pass(6900);
    CHECK(logged_in(host) == 0);
    host.pass(3000);
    CHECK(logged_in(host) == 2);
}

TEST_CASE("events 0, 5 and vendors' harm nobody", "[RFC 7143 11.9.1][rule-31]") {
    Host host("", 2);
    host.start();
    for (uint8_t code : {0, 5, 6, 128, 248, 255})
        host.target.peers[0].send(event(code, 0, 0, 1), true, Bytes(24));
    for (int i = 0; i < 50; i++) host.target.peers[0].send(event(2, 9, 0, 0), true);
    host.run();
    host.pass(4000);
    CHECK(logged_in(host) == 2);
    CHECK(host.counters(0).losses == 0);
}

TEST_CASE("a session is reinstated when the host asks for it") {
    Waiting host("", 2);
    host.start();
    host.holds = true;
    uint32_t tag = host.submit(1, HAWSER_DATA_READ, 512);
    host.run();
    host.holds = false;
    host.reinstate();
    host.pass(20000);
    CHECK(host.snapshot().reinstatements == 1);
    CHECK(logged_in(host) == 2);
    CHECK(host.done_of(tag).completion.status == 0);
    host.abandon();
    host.reinstate();
    CHECK(host.snapshot().state == HAWSER_SESSION_FREE);
}

TEST_CASE("a connection is dropped while the session is between two logins") {
    Host host("", 3);
    host.start();
    // Its portal is away, and it leads.
    host.portals_down = {0, 1, 2};
    host.cut(0);
    host.run();
    REQUIRE(host.snapshot().state == HAWSER_SESSION_FAILED);
    CHECK(host.drop(1) == HAWSER_ERROR_NONE);
    host.pass(3000);
    REQUIRE(host.snapshot().state == HAWSER_SESSION_FAILED);
    CHECK(host.drop(2) == HAWSER_ERROR_NONE);
    CHECK(host.drop(2) == HAWSER_ERROR_NO_SUCH_CONNECTION);
    CHECK(host.drop(0) == HAWSER_ERROR_LAST_CONNECTION);
    host.pass(1000);
    CHECK(host.drop(0) == HAWSER_ERROR_LAST_CONNECTION);
    host.portals_down.clear();
    host.pass(60000);
    CHECK(host.snapshot().state == HAWSER_SESSION_LOGGED_IN);
    CHECK(logged_in(host) == 1);
    CHECK(host.state(0) == HAWSER_CONNECTION_LOGGED_IN);
    CHECK(host.sides[1].connects + host.sides[2].connects < 10);
}

TEST_CASE("the connection that is to lead is dropped, at every moment of a reinstatement") {
    for (uint64_t ms = 0; ms < 3000; ms += 50) {
        Host host("connect_timeout=1", 2);
        host.start();
        host.cut(0);  // the other one is to lead
        host.sides[1].mute = ms % 100 != 0;
        host.pass(ms);
        CHECK(host.drop(1) == HAWSER_ERROR_NONE);
        host.sides[1].mute = false;
        host.pass(60000);
        CAPTURE(ms);
        CHECK(host.snapshot().state == HAWSER_SESSION_LOGGED_IN);
        CHECK(host.state(0) == HAWSER_CONNECTION_LOGGED_IN);
        CHECK(host.state(1) == HAWSER_CONNECTION_FREE);
        CHECK(host.snapshot().own_mistakes == 0);
    }
}

TEST_CASE("a connection that is added between two logins comes with the next one") {
    Host host("connections=1 connections_max=2", 2);
    host.start();
    host.portals_down = {0, 1};
    host.cut(0);
    host.run();
    uint32_t index = 0;
    CHECK(host.add(nullptr, index) == HAWSER_ERROR_NONE);
    CHECK(index == 1);
    host.portals_down.clear();
    host.pass(30000);
    CHECK(logged_in(host) == 2);
}
