// SPDX-License-Identifier: GPL-2.0-or-later
//
// A command that costs its connection by itself, because the target rejects it or answers it with
// what a check of ours refuses, comes back with that error, so that the host does not send it for
// ever. Others that were under way come back without.

#include <catch2/catch.hpp>

#include "level_one.h"
#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

bool keep(Peer& peer, const Pdu& pdu) {
    if (pdu.kind() != Opcode::ScsiCommand) return pdu.kind() == Opcode::DataOut;
    peer.exchanges[pdu.itt()].command = pdu.as<wire::ScsiCommand>();
    return true;
}

void reject(Peer& peer, const Pdu& pdu, uint8_t reason) {
    wire::Reject answer;
    answer.reason = reason;
    peer.send(answer, true, pdu.header);
}

// What one command came back with, after the target said something about it, and the innocent one
// beside it.
struct Verdict {
    uint32_t lost;
    uint32_t own;
    uint32_t other;
};

Verdict verdict(uint8_t direction, const std::function<void(Peer&, Exchange&)>& say,
                const std::string& more = "") {
    Scene scene("InitialR2T=Yes ImmediateData=No " + more);
    scene.login();
    scene.target.script = keep;
    scene.hold_parked = true;
    const uint32_t other = scene.submit(0, HAWSER_DATA_READ, 512);
    const uint32_t tag = scene.submit(0, direction, 4096);
    scene.run();
    Peer& peer = scene.target.peers[0];
    for (auto& [itt, exchange] : peer.exchanges)
        if ((itt & 0xffff) == tag) say(peer, exchange);
    scene.run();
    const uint32_t lost = scene.lost_with(0);
    scene.pass(10000);
    REQUIRE(scene.blamed.count(tag) == 1);
    REQUIRE(scene.blamed.count(other) == 1);
    return {lost, scene.blamed[tag], scene.blamed[other]};
}

struct Row {
    uint32_t error;
    uint8_t direction;
    std::function<void(Peer&, Exchange&)> say;
};

void blamed(const Row& row) {
    INFO(hawser_error_words(row.error));
    const Verdict found = verdict(row.direction, row.say);
    CHECK(found.lost == row.error);
    CHECK(found.own == row.error);
    CHECK(found.other == HAWSER_ERROR_NONE);
}

}  // namespace

TEST_CASE("an answer that a check refuses is its command's own fault", "[RFC 7143 4.2.5.3]") {
    const auto raw_data_in = [](Exchange& exchange) {
        wire::DataIn in;
        in.initiator_task_tag = exchange.command.initiator_task_tag.get();
        in.target_transfer_tag = wire::k_reserved_tag;
        return in;
    };
    const Row rows[] = {
        {HAWSER_ERROR_DATA_MISSING, HAWSER_DATA_READ,
         [](Peer& peer, Exchange& exchange) { peer.send_status(exchange, 0); }},
        {HAWSER_ERROR_BAD_FIELD, HAWSER_DATA_READ,
         [](Peer& peer, Exchange& exchange) {
             peer.send_status(exchange, 0, wire::ScsiResponse::k_underflow, 5000);
         }},
        {HAWSER_ERROR_WRONG_DIRECTION, HAWSER_DATA_WRITE,
         [](Peer& peer, Exchange& exchange) { peer.send_data_in(exchange, 0, 512, 0); }},
        {HAWSER_ERROR_WRONG_DIRECTION, HAWSER_DATA_READ,
         [](Peer& peer, Exchange& exchange) { peer.send_r2t(exchange, 0, 512, 7); }},
        {HAWSER_ERROR_DATA_OUT_OF_RANGE, HAWSER_DATA_READ,
         [](Peer& peer, Exchange& exchange) { peer.send_data_in(exchange, 4096, 512, 0); }},
        {HAWSER_ERROR_BAD_FIELD, HAWSER_DATA_READ,
         [](Peer& peer, Exchange& exchange) { peer.send_data_in(exchange, 512, 512, 0); }},
        {HAWSER_ERROR_BAD_FIELD, HAWSER_DATA_READ,
         [](Peer& peer, Exchange& exchange) {
             peer.send_data_in(exchange, 0, 512, wire::DataIn::k_status);
         }},
        {HAWSER_ERROR_DATA_SN, HAWSER_DATA_READ,
         [=](Peer& peer, Exchange& exchange) {
             wire::DataIn in = raw_data_in(exchange);
             in.data_sn = 1;
             peer.send(in, false, Bytes(512));
         }},
        {HAWSER_ERROR_SEGMENT_TOO_LONG, HAWSER_DATA_READ,
         [=](Peer& peer, Exchange& exchange) {
             peer.send(raw_data_in(exchange), false, Bytes(1 << 20));
         }},
        {HAWSER_ERROR_BAD_AHS, HAWSER_DATA_READ,
         [=](Peer& peer, Exchange& exchange) {
             wire::DataIn in = raw_data_in(exchange);
             in.total_ahs_length = 1;
             peer.send(in, false, Bytes(512));
         }},
    };
    for (const Row& row : rows) blamed(row);
}

TEST_CASE("an R2T that a check refuses is its command's own fault", "[RFC 7143 4.2.5.3]") {
    const Row rows[] = {
        {HAWSER_ERROR_R2T_SN, HAWSER_DATA_WRITE,
         [](Peer& peer, Exchange& exchange) {
             exchange.r2t_sn = 1;
             peer.send_r2t(exchange, 0, 512, 7);
         }},
        {HAWSER_ERROR_R2T_OUT_OF_RANGE, HAWSER_DATA_WRITE,
         [](Peer& peer, Exchange& exchange) { peer.send_r2t(exchange, 512, 512, 7); }},
        {HAWSER_ERROR_R2T_OUT_OF_RANGE, HAWSER_DATA_WRITE,
         [](Peer& peer, Exchange& exchange) { peer.send_r2t(exchange, 0, 8192, 7); }},
        {HAWSER_ERROR_R2T_TOO_LONG, HAWSER_DATA_WRITE,
         [](Peer& peer, Exchange& exchange) { peer.send_r2t(exchange, 0, 1 << 23, 7); }},
        {HAWSER_ERROR_R2T_TOO_MANY, HAWSER_DATA_WRITE,
         [](Peer& peer, Exchange& exchange) {
             for (uint32_t i = 0; i < 8; i++) peer.send_r2t(exchange, i * 512, 512, i);
         }},
    };
    for (const Row& row : rows) blamed(row);
}

TEST_CASE("what befalls any command is not the fault of the one that it befell") {
    // A digest that broke on the way.
    Verdict found = verdict(
        HAWSER_DATA_READ,
        [](Peer& peer, Exchange& exchange) {
            peer.corrupt_data = true;
            peer.send_data_in(exchange, 0, 512, 0);
        },
        "DataDigest=CRC32C");
    CHECK(found.lost == HAWSER_ERROR_DATA_DIGEST);
    CHECK(found.own == HAWSER_ERROR_NONE);
    // A number of the connection's.
    found = verdict(HAWSER_DATA_READ, [](Peer& peer, Exchange& exchange) {
        peer.stat_sn += 5;
        peer.send_status(exchange, 8);
    });
    CHECK(found.lost == HAWSER_ERROR_STAT_SN);
    CHECK(found.own == HAWSER_ERROR_NONE);
}

TEST_CASE("a Reject names its command, unless it tells of what is no fault of it",
          "[RFC 7143 11.17.1]") {
    const auto rejected = [](uint8_t direction, int reason) {
        return verdict(direction, [=](Peer& peer, Exchange& exchange) {
            Pdu bad;
            const auto* bytes = reinterpret_cast<const uint8_t*>(&exchange.command);
            bad.header.assign(bytes, bytes + wire::k_bhs_bytes);
            reject(peer, bad, static_cast<uint8_t>(reason));
        });
    };
    for (const int reason : {4, 5, 7, 9, 99}) {
        CHECK(rejected(HAWSER_DATA_READ, reason).own == HAWSER_ERROR_REJECTED);
        CHECK(rejected(HAWSER_DATA_NONE, reason).other == HAWSER_ERROR_NONE);
    }
    for (const int reason : {2, 6, 10, 12}) {
        CHECK(rejected(HAWSER_DATA_WRITE, reason).lost == HAWSER_ERROR_REJECTED);
        CHECK(rejected(HAWSER_DATA_WRITE, reason).own == HAWSER_ERROR_NONE);
    }
}

TEST_CASE("blame does not outlive the next submission") {
    Scene scene;
    scene.login();
    uint32_t times = 0;
    scene.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand || times++ != 0) return false;
        reject(peer, pdu, 5);
        return true;
    };
    const uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.pass(10000);
    CHECK(scene.blamed.at(tag) == HAWSER_ERROR_REJECTED);
    scene.good(tag);
    const uint32_t next = scene.submit(0, HAWSER_DATA_READ, 512);
    REQUIRE(next == tag);
    scene.target.script = swallow;
    scene.run();
    scene.cut(0);
    scene.pass(10000);
    CHECK(scene.blamed.at(tag) == HAWSER_ERROR_NONE);
}

TEST_CASE("a Reject of data for a task that was ended costs nothing", "[RFC 7143 7.3]") {
    Scene scene("InitialR2T=Yes ImmediateData=No");
    scene.login();
    Pdu data_out;
    scene.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() == Opcode::DataOut) data_out = pdu;
        return keep(peer, pdu);
    };
    const uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 512);
    scene.run();
    Peer& peer = scene.target.peers[0];
    peer.send_r2t(peer.exchanges.begin()->second, 0, 512, 7);
    scene.run();
    REQUIRE(!data_out.header.empty());
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, tag);
    CHECK(scene.done_of(tag).completion.aborted == 1);
    reject(peer, data_out, 9);
    scene.run();
    CHECK(scene.counters(0).losses == 0);
}

TEST_CASE("at level 1 a command that is never taken ends the connection after some retries",
          "[RFC 7143 7.3]") {
    Level1 scene;
    scene.login();
    uint32_t times = 0;
    scene.also = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        times++;
        reject(peer, pdu, wire::Reject::k_data_digest_error);
        return true;
    };
    const uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 512);
    scene.hold_parked = true;
    scene.run();
    CHECK(times == 9);
    CHECK(scene.lost_with(0) == HAWSER_ERROR_COMMAND_NOT_TAKEN);
    scene.pass(10000);
    CHECK(scene.blamed.at(tag) == HAWSER_ERROR_NONE);
}

TEST_CASE("at level 1 a Reject for another reason is its command's own fault",
          "[RFC 7143 11.17.1]") {
    Level1 scene;
    scene.login();
    scene.also = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        reject(peer, pdu, 5);
        return true;
    };
    scene.hold_parked = true;
    const uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.pass(10000);
    CHECK(scene.lost_with(0) == HAWSER_ERROR_REJECTED);
    CHECK(scene.blamed.at(tag) == HAWSER_ERROR_REJECTED);
}

TEST_CASE("at level 1 a status that counts data which never comes is its command's own fault",
          "[RFC 7143 11.4.8]") {
    Level1 scene;
    scene.login();
    scene.deaf = true;
    scene.also = keep;
    scene.hold_parked = true;
    const uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    Exchange& exchange = scene.target.peers[0].exchanges.begin()->second;
    exchange.data_sn = 1;
    scene.target.peers[0].send_status(exchange, 0);
    scene.pass(60000);
    CHECK(scene.lost_with(0) == HAWSER_ERROR_SNACK_TIMEOUT);
    CHECK(scene.blamed.at(tag) == HAWSER_ERROR_SNACK_TIMEOUT);
}
