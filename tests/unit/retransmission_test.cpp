// SPDX-License-Identifier: GPL-2.0-or-later
//
// ErrorRecoveryLevel 1: what is lost within a connection is asked for and comes again; the
// connection stays.

#include <catch2/catch.hpp>

#include "level_one.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

TEST_CASE("lost Data-In is asked for by a data SNACK", "[RFC 7143 7.8][rule-50][rule-51]") {
    for (bool in_data_in : {true, false}) {
        for (uint32_t lost = 0; lost < 4; lost++) {
            for (bool corrupt : {false, true}) {
                Level1 scene(lost + 1);
                scene.target.status_in_data_in = in_data_in;
                scene.login();
                const auto which = [&](const Pdu& pdu) {
                    return pdu.kind() == Opcode::DataIn &&
                           pdu.as<wire::DataIn>().data_sn.get() == lost;
                };
                if (corrupt) {
                    uint32_t left = lost;
                    scene.also = [&scene](Peer&, const Pdu&) { return false; };
                    // The digest of the PDU that is to be lost is wrong instead.
                    scene.target.peers[0].lose = [&scene, left](const Pdu& pdu) mutable {
                        if (pdu.kind() == Opcode::DataIn)
                            scene.target.peers[0].corrupt_data =
                                pdu.as<wire::DataIn>().data_sn.get() + 1 == left;
                        return false;
                    };
                    scene.target.peers[0].corrupt_data = lost == 0;
                } else {
                    scene.lose_once(which);
                }
                uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 16384, 8);
                scene.run();
                // A last PDU that is lost with its status leaves nothing to notice it by.
                if (in_data_in && lost == 3 && !corrupt) {
                    CHECK(scene.done.empty());
                    scene.target.peers[0].send(news(), false);
                    scene.run();
                }
                INFO(in_data_in << " " << lost << " " << corrupt);
                REQUIRE(scene.snacks.size() == 1);
                scene.good(tag);
                scene.disk_is_buffer(tag, 8);
                const auto& snack = scene.snacks[0].as<wire::Snack>();
                if ((snack.type & 0xf) == wire::Snack::k_data) {
                    CHECK(snack.beg_run.get() == lost);
                    CHECK(scene.snacks[0].itt() != wire::k_reserved_tag);
                }
                CHECK(snack.target_transfer_tag.get() == wire::k_reserved_tag);
                CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
                CHECK(scene.snapshot().reinstatements == 0);
            }
        }
    }
}

TEST_CASE("numbers that came already are dropped", "[RFC 7143 7.9][rule-7]") {
    Level1 scene;
    scene.login();
    scene.target.status_in_data_in = false;
    Peer& peer = scene.target.peers[0];
    scene.also = [&](Peer&, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        peer.answer_command(pdu);
        const std::vector<Pdu> all = peer.sent;
        for (const Pdu& old : all)
            if (old.itt() == pdu.itt()) peer.send_raw(old.as<wire::Bhs>(), old.data);
        return true;
    };
    for (uint8_t direction : {HAWSER_DATA_READ, HAWSER_DATA_WRITE}) {
        peer.sent.clear();
        uint32_t tag = scene.submit(0, direction, 60000, 8);
        scene.run();
        scene.good(tag);
        scene.disk_is_buffer(tag, 8);
    }
    CHECK(scene.snacks.empty());
    CHECK_FALSE(scene.target.numbers_wrong);
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("Data-In that came already is dropped at ErrorRecoveryLevel 0 too",
          "[RFC 7143 7.9][rule-7]") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        peer.sent.clear();
        peer.answer_command(pdu);
        peer.out.clear();
        const std::vector<Pdu> all = peer.sent;
        for (const Pdu& old : all) {
            if (old.kind() == Opcode::DataIn && !(old.header[1] & wire::DataIn::k_status))
                peer.send_raw(old.as<wire::Bhs>(), old.data);
            peer.send_raw(old.as<wire::Bhs>(), old.data);
        }
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 16384, 8);
    scene.run();
    scene.good(tag);
    scene.disk_is_buffer(tag, 8);
}

TEST_CASE("a lost R2T is asked for", "[RFC 7143 11.16][rule-51]") {
    Level1 scene(1, " InitialR2T=Yes ImmediateData=No");
    scene.login();
    // The one that is lost is followed by one that shows it.
    scene.also = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return pdu.kind() == Opcode::DataOut;
        Exchange exchange;
        exchange.command = pdu.as<wire::ScsiCommand>();
        peer.lose = [](const Pdu& it) { return it.kind() == Opcode::R2t; };
        peer.send_r2t(exchange, 0, 4096, 0x51);
        peer.lose = nullptr;
        peer.send_r2t(exchange, 4096, 60000 - 4096, 0x52);
        return true;
    };
    scene.submit(0, HAWSER_DATA_WRITE, 60000, 8);
    scene.run();
    REQUIRE(scene.snacks.size() == 1);
    CHECK((scene.snacks[0].as<wire::Snack>().type & 0xf) == wire::Snack::k_data);
    CHECK(scene.snacks[0].as<wire::Snack>().beg_run.get() == 0);
    const auto outs = heard_of(scene, Opcode::DataOut);
    REQUIRE_FALSE(outs.empty());
    CHECK(outs.front().as<wire::DataOut>().target_transfer_tag.get() == 0x51);
    CHECK(outs.back().as<wire::DataOut>().target_transfer_tag.get() == 0x52);
    CHECK(outs.back().as<wire::DataOut>().flags & wire::k_final);
}

TEST_CASE("the A bit is answered by a DataACK once nothing is missing",
          "[RFC 7143 11.16.2][rule-53]") {
    for (bool lost : {false, true}) {
        Level1 scene;
        scene.login();
        scene.also = [&](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() != Opcode::ScsiCommand) return false;
            peer.sent.clear();
            peer.answer_command(pdu);
            peer.out.clear();
            const std::vector<Pdu> all = peer.sent;
            peer.sent.clear();
            for (Pdu old : all) {
                const bool second =
                    old.kind() == Opcode::DataIn && old.as<wire::DataIn>().data_sn.get() == 1;
                if (second) {
                    auto& header = *reinterpret_cast<wire::DataIn*>(old.header.data());
                    header.flags |= wire::DataIn::k_acknowledge;
                    header.target_transfer_tag = 0x77;
                }
                if (lost && old.kind() == Opcode::DataIn &&
                    old.as<wire::DataIn>().data_sn.get() == 0)
                    peer.lose = [](const Pdu&) { return true; };
                peer.send_raw(old.as<wire::Bhs>(), old.data);
                peer.lose = nullptr;
            }
            return true;
        };
        uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 16384, 8);
        scene.run();
        scene.good(tag);
        scene.disk_is_buffer(tag, 8);
        std::vector<wire::Snack> acknowledgements;
        for (const Pdu& pdu : scene.snacks)
            if ((pdu.as<wire::Snack>().type & 0xf) == wire::Snack::k_data_acknowledge)
                acknowledgements.push_back(pdu.as<wire::Snack>());
        INFO(lost);
        REQUIRE(acknowledgements.size() == 1);
        CHECK(acknowledgements[0].beg_run.get() == 2);
        CHECK(acknowledgements[0].run_length.get() == 0);
        CHECK(acknowledgements[0].target_transfer_tag.get() == 0x77);
        CHECK(acknowledgements[0].initiator_task_tag.get() == wire::k_reserved_tag);
        CHECK((scene.snacks.back().as<wire::Snack>().type & 0xf) ==
              wire::Snack::k_data_acknowledge);
    }
}

TEST_CASE("the A bit means nothing at ErrorRecoveryLevel 0", "[RFC 7143 11.7.2][rule-53]") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        wire::DataIn in;
        in.flags = wire::k_final | wire::DataIn::k_acknowledge;
        in.initiator_task_tag = pdu.itt();
        in.target_transfer_tag = 0x77;  // to which a DataACK could go
        peer.send(in, false, Bytes(2048, 0x33));
        in.flags |= wire::DataIn::k_status;
        in.data_sn = 1;
        in.buffer_offset = 2048;
        peer.send(in, true, Bytes(2048, 0x33));
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 4096, 8);
    scene.run();
    scene.good(tag);
    CHECK(heard_of(scene, Opcode::Snack).empty());
}

TEST_CASE("a rejected command is sent once more, as it was", "[RFC 7143 7.3][rule-54]") {
    Level1 scene;
    scene.login();
    int commands = 0;
    scene.also = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand || ++commands > 1) return false;
        // Its CmdSN does not count as received.
        scene.target.exp_cmd_sn--;
        wire::Reject reject;
        reject.reason = wire::Reject::k_data_digest_error;
        peer.send(reject, true, pdu.header);
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 20000, 8);
    scene.run();
    scene.good(tag);
    scene.disk_is_buffer(tag, 8);
    const auto sent = heard_of(scene, Opcode::ScsiCommand);
    REQUIRE(sent.size() == 2);
    CHECK(sent[0].itt() == sent[1].itt());
    CHECK(sent[0].as<wire::ScsiCommand>().cmd_sn.get() ==
          sent[1].as<wire::ScsiCommand>().cmd_sn.get());
    CHECK(sent[0].data == sent[1].data);
    CHECK(std::memcmp(sent[0].header.data(), sent[1].header.data(), 28) == 0);
    CHECK(std::memcmp(&sent[0].header[32], &sent[1].header[32], 16) == 0);
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("a gap in CmdSN that nobody tells of is plugged", "[RFC 7143 7.2.1][rule-54][rule-4]") {
    Level1 scene;
    scene.login();
    int commands = 0;
    scene.also = [&](Peer&, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand || ++commands > 1) return false;
        scene.target.exp_cmd_sn--;  // dropped for its digest, without a word
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 20000, 8);
    scene.run();
    CHECK(scene.done.empty());
    scene.pass(2100);  // a ping first: the target may have had nothing to say
    CHECK(heard_of(scene, Opcode::NopOut).size() == 1);
    CHECK(heard_of(scene, Opcode::ScsiCommand).size() == 1);
    scene.pass(2100);
    scene.good(tag);
    scene.disk_is_buffer(tag, 8);
    CHECK(heard_of(scene, Opcode::ScsiCommand).size() == 2);
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("a command that is merely slow is not sent twice", "[RFC 7143 7.2.1]") {
    Level1 scene;
    scene.login();
    scene.also = swallow;
    scene.submit(0, HAWSER_DATA_READ, 4096, 8);
    scene.run();
    scene.pass(60000);
    CHECK(heard_of(scene, Opcode::ScsiCommand).size() == 1);
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("a recovery R2T asks for data once more", "[RFC 7143 7.8][rule-13]") {
    Level1 scene;
    scene.login();
    bool again = false;
    scene.also = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::DataOut || again) return false;
        if (!(pdu.as<wire::DataOut>().flags & wire::k_final)) return true;  // dropped
        again = true;
        Exchange& exchange = peer.exchanges.at(pdu.itt());
        wire::Reject reject;
        reject.reason = wire::Reject::k_data_digest_error;
        peer.send(reject, true, pdu.header);
        const uint32_t have = static_cast<uint32_t>(exchange.data.size());
        peer.send_r2t(exchange, have, exchange.asked - have, 0x99);
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 60000, 8);
    scene.run();
    scene.good(tag);
    scene.disk_is_buffer(tag, 8);
    CHECK(again);
    CHECK_FALSE(scene.target.numbers_wrong);
}

TEST_CASE("what a SNACK asks for thrice in vain ends the connection", "[RFC 7143 7.1.5]") {
    Level1 scene;
    scene.login();
    scene.deaf = true;
    scene.lose_once([](const Pdu& pdu) { return pdu.kind() == Opcode::DataIn; });
    scene.target.status_in_data_in = false;
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 4096, 8);
    scene.run();
    scene.pass(8900);
    CHECK(scene.snacks.size() == 3);
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
    scene.deaf = false;
    scene.target.peers[0].lose = nullptr;
    scene.pass(200);
    CHECK(scene.lost_with(0) == HAWSER_ERROR_SNACK_TIMEOUT);
    scene.pass(10000);
    scene.good(tag);
    scene.disk_is_buffer(tag, 8);
}

TEST_CASE("a SNACK that is rejected after the status loses the data", "[RFC 7143 7.8]") {
    Level1 scene;
    scene.login();
    scene.target.status_in_data_in = false;
    scene.deaf = true;
    scene.lose_once([](const Pdu& pdu) { return pdu.kind() == Opcode::DataIn; });
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 4096, 8);
    scene.run();
    REQUIRE(scene.snacks.size() == 1);
    wire::Reject reject;
    reject.reason = wire::Reject::k_snack_reject;
    scene.target.peers[0].send(reject, true, scene.snacks[0].header);
    scene.run();
    CHECK(scene.done_of(tag).completion.response == HAWSER_RESPONSE_DATA_LOST);
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("other Rejects end the connection at ErrorRecoveryLevel 1 as well", "[RFC 7143 11.17]") {
    for (uint8_t reason : {4, 5, 7, 9, 12}) {
        Level1 scene;
        scene.login();
        scene.also = swallow;
        scene.submit(0, HAWSER_DATA_READ, 4096, 8);
        scene.run();
        wire::Reject reject;
        reject.reason = reason;
        scene.target.peers[0].send(reject, true, scene.target.peers[0].heard.back().header);
        scene.run();
        CHECK(scene.lost_with(0) == HAWSER_ERROR_REJECTED);
    }
}
