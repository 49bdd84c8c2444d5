// SPDX-License-Identifier: GPL-2.0-or-later
//
// A Reject of what has no CmdSN of its own costs only what that was for (RFC 7143 11.17.1); at
// ErrorRecoveryLevel 0 every other one costs the connection.

#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

constexpr uint8_t k_too_many_immediate = 6;

// A target that rejects the PDUs of a kind.
auto rejecting(Opcode kind, size_t header_bytes = wire::k_bhs_bytes) {
    return [=](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != kind) return pdu.kind() == Opcode::ScsiCommand;
        wire::Reject reject;
        reject.reason = k_too_many_immediate;
        peer.send(reject, true,
                  Bytes(pdu.header.begin(), pdu.header.begin() + static_cast<long>(header_bytes)));
        return true;
    };
}

}  // namespace

TEST_CASE("a ping that is rejected was heard", "[RFC 7143 11.17.1]") {
    Scene scene("noop_out_interval=5 noop_out_timeout=5");
    scene.login();
    scene.target.script = rejecting(Opcode::NopOut);
    scene.pass(60000);
    CHECK(scene.counters(0).losses == 0);
    CHECK(heard_of(scene, Opcode::NopOut).size() >= 10);
}

TEST_CASE("an answer to a ping that is rejected is nobody's loss", "[RFC 7143 11.17.1]") {
    Scene scene("noop_out_interval=0");
    scene.login();
    scene.target.script = rejecting(Opcode::NopOut);
    wire::NopIn ping = news();
    ping.target_transfer_tag = 7;
    scene.target.peers[0].send(ping, false);
    scene.run();
    CHECK(heard_of(scene, Opcode::NopOut).size() == 1);
    CHECK(scene.counters(0).losses == 0);
}

TEST_CASE("a function that is rejected ends with that response", "[RFC 7143 11.17.1]") {
    Scene scene;
    scene.login();
    scene.target.script = rejecting(Opcode::TaskManagementRequest);
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, tag);
    REQUIRE(scene.managed.size() == 1);
    CHECK(scene.managed[0].error == HAWSER_ERROR_NONE);
    CHECK(scene.managed[0].response == 255);
    CHECK(scene.done.empty());
    CHECK(scene.counters(0).losses == 0);
}

TEST_CASE("a text that is rejected ends the exchange", "[RFC 7143 7.12][RFC 7143 11.11.4]") {
    Host host("portals=all connections=2", 1);
    host.target.script = [](Peer& peer, const Pdu& pdu) {
        return pdu.kind() == Opcode::TextRequest && rejecting(Opcode::TextRequest)(peer, pdu);
    };
    host.start();
    CHECK(logged_in(host) == 2);
    CHECK(host.counters(0).losses == 0);
    CHECK(host.snapshot().last_error == HAWSER_ERROR_TEXT_REJECTED);
}

TEST_CASE("a Reject of a header that is cut, of what was not sent, or of a command is a loss",
          "[RFC 7143 11.17][rule-54]") {
    Scene cut("noop_out_interval=5 noop_out_timeout=30");
    cut.login();
    cut.target.script = rejecting(Opcode::NopOut, 47);
    cut.pass(5000);
    CHECK(cut.lost_with(0) == HAWSER_ERROR_REJECTED);

    for (Opcode kind : {Opcode::NopOut, Opcode::TextRequest, Opcode::TaskManagementRequest,
                        Opcode::LogoutRequest, Opcode::ScsiCommand}) {
        Scene scene("noop_out_interval=0");
        scene.login();
        wire::Reject reject;
        reject.reason = k_too_many_immediate;
        wire::Bhs bad;
        bad.opcode = static_cast<uint8_t>(kind);
        bad.initiator_task_tag = 0x1234;
        const auto* bytes = reinterpret_cast<const uint8_t*>(&bad);
        scene.target.peers[0].send(reject, true, Bytes(bytes, bytes + sizeof(bad)));
        scene.run();
        CHECK(scene.lost_with(0) == HAWSER_ERROR_REJECTED);
    }
}
