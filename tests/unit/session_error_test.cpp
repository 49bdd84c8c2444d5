// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a peer's mistake does to the whole session, and how a login that fails ends.

#include <catch2/catch.hpp>

#include "engine/task.hpp"
#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

TEST_CASE("a format error on one connection ends all of them, and the session is recovered",
          "[RFC 7143 7.7][rule-24]") {
    for (uint8_t wrong : {0, 1, 2}) {
        Host host("DefaultTime2Wait=0", 2);
        host.start();
        host.target.script = swallow;
        const uint32_t tag = host.submit(1, HAWSER_DATA_READ, 512, 8);
        host.run();
        host.target.script = nullptr;
        wire::NopIn pdu = news();
        if (wrong == 0) pdu.opcode = 0x30;         // reserved
        if (wrong == 1) pdu.total_ahs_length = 3;  // no PDU of a target has an AHS
        if (wrong == 2) pdu.opcode = 0x1f;         // an initiator's
        host.target.peers[0].send(pdu, false);
        host.target.peers[1].lingers = true;
        host.run();
        CHECK(host.lost_with(0) != HAWSER_ERROR_NONE);
        CHECK(host.snapshot().state == HAWSER_SESSION_FAILED);
        CHECK_FALSE(host.sides[0].open);
        CHECK(host.sides[1].fin);  // the sibling sends nothing more
        host.target.peers[1].lingers = false;
        host.pass(10000);
        CHECK(host.snapshot().reinstatements == 1);
        CHECK(logged_in(host) == 2);
        CHECK(host.target.sessions == 2);
        CHECK(host.done_of(tag).completion.status == 0);
    }
}

TEST_CASE("a negotiation that fails ends the login and its connection",
          "[RFC 7143 7.12][rule-42]") {
    for (auto [key, value] : {std::pair{"MaxBurstLength", "16777215"},
                              {"InitialR2T", "Maybe"},
                              {"ErrorRecoveryLevel", "2"},
                              {"HeaderDigest", "CRC32C"}}) {
        Host host("timeout=3");
        host.target.answers[key] = value;
        host.start();
        INFO(key);
        CHECK(host.lost_with(0) == HAWSER_ERROR_LOGIN_BAD_VALUE);
        CHECK(host.counters(0).logins == 0);
        CHECK(host.snapshot().state == HAWSER_SESSION_FREE);
        // Nothing is said after it but a login of its own, from the beginning.
        const auto logins = heard_of(host, Opcode::LoginRequest);
        REQUIRE(logins.size() >= 2);
        CHECK((logins.back().as<wire::LoginRequest>().flags >> 2 & 3) == 1);
        host.pass(5000);
        REQUIRE(host.count_orders(HAWSER_ORDER_ENDED) == 1);
        CHECK(host.orders.back().error == HAWSER_ERROR_LOGIN_BAD_VALUE);
        CHECK_FALSE(host.sides[0].open);
    }
}

TEST_CASE("one Login Request is outstanding at a time", "[RFC 7143 6.3][rule-33]") {
    Host host("login_timeout=5 timeout=4");
    uint32_t answered = 0;
    host.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::LoginRequest) return false;
        CHECK(peer.heard.size() == answered + 1);
        answered++;
        if (answered != 2) return false;
        return true;  // the second is left without an answer
    };
    host.start();
    host.pass(3000);
    CHECK(heard_of(host, Opcode::LoginRequest).size() == 2);
}

TEST_CASE("an answer before the whole request has gone is no answer", "[RFC 7143 6.3][rule-33]") {
    Host host("timeout=5");
    // The target answers as soon as it has seen the header.
    bool early = true;
    host.chunk_max = 1;
    host.after_bytes = 50;
    host.then = [&] {
        if (!early) return;
        early = false;
        host.sides[0].mute = true;
        wire::LoginResponse response;
        response.flags = 0x81;
        response.initiator_task_tag = k_login_tag;
        host.target.peers[0].send(response, true);
    };
    host.start();
    CHECK(host.lost_with(0) == HAWSER_ERROR_LOGIN_UNEXPECTED_PDU);
}

TEST_CASE("a residual means something only with its bit", "[RFC 7143 11.4.5.1][rule-23]") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        Exchange exchange;
        exchange.command = pdu.as<wire::ScsiCommand>();
        peer.send_data_in(exchange, 0, 512, wire::k_final);
        peer.send_status(exchange, 0, 0, 77);  // neither U nor O
        return true;
    };
    const uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    scene.good(tag);
}

TEST_CASE("a session is tried again under the same ISID, and TSIH 0",
          "[RFC 7143 6.3.5][rule-58][rule-40]") {
    Host host("DefaultTime2Wait=0", 2);
    host.start();
    const auto before = host.snapshot();
    host.cut(1);
    host.pass(10000);
    REQUIRE(logged_in(host) == 2);
    CHECK(std::memcmp(before.isid, host.snapshot().isid, 6) == 0);
    CHECK(host.snapshot().tsih == before.tsih + 1);
    // The second session's first request: the connection after the one that was lost leads.
    const auto logins = heard_of(host, Opcode::LoginRequest, 0);
    REQUIRE(logins.size() == 4);
    CHECK(logins[2].as<wire::LoginRequest>().tsih.get() == 0);
    CHECK(std::memcmp(logins[2].as<wire::LoginRequest>().isid, before.isid, 6) == 0);
}
