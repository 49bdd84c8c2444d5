// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a connection says apart from SCSI, against a scripted target: login, NOP both ways, Logout.

#include <catch2/catch.hpp>

#include "host.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

std::vector<Pdu> heard(Host& host, Opcode kind) {
    std::vector<Pdu> found;
    for (const Pdu& pdu : host.target.peers[0].heard)
        if (pdu.kind() == kind) found.push_back(pdu);
    return found;
}

struct Scene : Host {
    explicit Scene(const std::string& more = "") : Host(more) {}
    void login() {
        start();
        REQUIRE(state(0) == HAWSER_CONNECTION_LOGGED_IN);
        target.peers[0].heard.clear();
    }
};

}  // namespace

TEST_CASE("a target's ping is answered with its TTT and LUN",
          "[RFC 7143 11.18][rule-26][rule-27]") {
    Scene scene;
    scene.login();
    wire::NopIn ping;
    ping.initiator_task_tag = wire::k_reserved_tag;
    ping.target_transfer_tag = 0x12345678;
    ping.lun[1] = 5;
    scene.target.peers[0].send(ping, false);
    scene.run();
    auto answers = heard(scene, Opcode::NopOut);
    REQUIRE(answers.size() == 1);
    const auto& answer = answers[0].as<wire::NopOut>();
    CHECK(answer.opcode == (wire::k_immediate | 0x00));
    CHECK(answer.initiator_task_tag.get() == wire::k_reserved_tag);
    CHECK(answer.target_transfer_tag.get() == 0x12345678);
    CHECK(answer.lun[1] == 5);
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("silence is pinged, and an answer is enough", "[RFC 7143 11.18]") {
    Scene scene("noop_out_interval=5 noop_out_timeout=5");
    scene.login();
    scene.pass(60000);
    auto pings = heard(scene, Opcode::NopOut);
    CHECK(pings.size() >= 10);
    CHECK(pings.size() <= 13);
    CHECK(pings[0].itt() != pings[1].itt());
    const auto& ping = pings[0].as<wire::NopOut>();
    CHECK((ping.opcode & wire::k_immediate) != 0);
    CHECK(ping.target_transfer_tag.get() == wire::k_reserved_tag);
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
    CHECK(scene.counters(0).losses == 0);
}

TEST_CASE("a ping without an answer is a loss after its timeout") {
    Scene scene("noop_out_interval=5 noop_out_timeout=3");
    scene.login();
    scene.target.script = [](Peer&, const Pdu& pdu) { return pdu.kind() == Opcode::NopOut; };
    scene.pass(7900);
    CHECK(scene.counters(0).losses == 0);
    scene.pass(200);
    CHECK(scene.lost_with(0) == HAWSER_ERROR_NOP_TIMEOUT);
}

TEST_CASE("pings can be off") {
    Scene scene("noop_out_interval=0");
    scene.login();
    scene.pass(600000);
    CHECK(heard(scene, Opcode::NopOut).empty());
}

TEST_CASE("Logout closes the session and FIN follows", "[RFC 7143 11.14][rule-63]") {
    Scene scene;
    scene.login();
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 4096);
    scene.run();
    CHECK(scene.done_of(tag).completion.status == 0);
    scene.logout();
    auto requests = heard(scene, Opcode::LogoutRequest);
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].as<wire::LogoutRequest>().reason == (wire::k_final | 0));
    CHECK(scene.state(0) == HAWSER_CONNECTION_FREE);
    CHECK(scene.snapshot().state == HAWSER_SESSION_FREE);
    REQUIRE(scene.count_orders(HAWSER_ORDER_ENDED) == 1);
    CHECK(scene.orders.back().error == HAWSER_ERROR_NONE);
    CHECK_FALSE(scene.sides[0].open);
    CHECK(scene.counters(0).losses == 0);
}

TEST_CASE("a Logout that is refused or not answered ends all the same",
          "[RFC 7143 11.15.1][rule-63]") {
    Scene refused;
    refused.login();
    refused.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::LogoutRequest) return false;
        wire::LogoutResponse response;
        response.initiator_task_tag = pdu.itt();
        response.response = 3;
        peer.send(response, true);
        return true;
    };
    refused.logout();
    REQUIRE(refused.count_orders(HAWSER_ORDER_ENDED) == 1);
    CHECK(refused.orders.back().error == HAWSER_ERROR_LOGOUT_REFUSED);
    CHECK(refused.orders.back().detail == 3);

    Scene silent;
    silent.login();
    silent.target.script = [](Peer&, const Pdu& pdu) {
        return pdu.kind() == Opcode::LogoutRequest;
    };
    silent.logout();
    CHECK(silent.count_orders(HAWSER_ORDER_ENDED) == 0);
    silent.pass(silent.options.logout_timeout_ms);
    REQUIRE(silent.count_orders(HAWSER_ORDER_ENDED) == 1);
    CHECK(silent.orders.back().error == HAWSER_ERROR_LOGOUT_TIMEOUT);
}

TEST_CASE("after the Logout nothing more is sent", "[RFC 7143 11.14][rule-63]") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::LogoutRequest) return false;
        wire::NopIn ping;
        ping.initiator_task_tag = wire::k_reserved_tag;
        ping.target_transfer_tag = 5;
        peer.send(ping, false);
        return true;
    };
    scene.logout();
    CHECK(scene.target.peers[0].heard.back().kind() == Opcode::LogoutRequest);
}

TEST_CASE("while logging in only a Login Response is taken", "[RFC 7143 4.2.4][rule-32]") {
    for (uint8_t opcode : {0x20, 0x21, 0x25, 0x31, 0x32, 0x3f}) {
        Host host("timeout=5");
        host.target.script = [=](Peer& peer, const Pdu&) {
            wire::NopIn pdu;
            pdu.opcode = opcode;
            peer.send(pdu, false);
            return true;
        };
        host.start();
        CHECK(host.lost_with(0) == HAWSER_ERROR_LOGIN_UNEXPECTED_PDU);
    }
}

TEST_CASE("a Login Response with a wrong ITT, too long, or a hole in StatSN", "[RFC 7143 11.13]") {
    auto lost = [](const std::function<void(Peer&)>& deed) {
        Host host("timeout=5");
        host.target.script = [=](Peer& peer, const Pdu&) {
            deed(peer);
            return true;
        };
        host.start();
        return host.lost_with(0);
    };
    CHECK(lost([](Peer& peer) { peer.send(wire::LoginResponse{}, true); }) ==
          HAWSER_ERROR_LOGIN_BAD_FIELD);
    CHECK(lost([](Peer& peer) {
              wire::LoginResponse pdu;
              pdu.initiator_task_tag = peer.heard.back().itt();
              peer.send(pdu, true, Bytes(8193));
          }) == HAWSER_ERROR_LOGIN_TOO_LONG);

    Host host("timeout=5");
    host.target.script = [](Peer& peer, const Pdu&) {
        if (peer.heard.size() == 2) peer.stat_sn += 5;
        return false;
    };
    host.start();
    CHECK(host.lost_with(0) == HAWSER_ERROR_STAT_SN);
}
