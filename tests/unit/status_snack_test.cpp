// SPDX-License-Identifier: GPL-2.0-or-later
//
// ErrorRecoveryLevel 1: statuses that are lost, come twice, or come before their data.

#include <catch2/catch.hpp>

#include "level_one.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

TEST_CASE("a status whose data is missing is not acknowledged", "[RFC 7143 7.9][rule-6][rule-52]") {
    Level1 scene;
    scene.target.status_in_data_in = false;
    scene.login();
    scene.lose_once([](const Pdu& pdu) {
        return pdu.kind() == Opcode::DataIn && pdu.as<wire::DataIn>().data_sn.get() == 3;
    });
    scene.deaf = true;
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 16384, 8);
    scene.run();
    CHECK(scene.done.empty());
    REQUIRE(scene.snacks.size() == 1);
    const uint32_t held = scene.target.peers[0].stat_sn - 1;
    CHECK(exp_stat_sn_of(scene.snacks[0]) == held);
    // Other commands go on, and acknowledge nothing beyond it.
    uint32_t other = scene.submit(0, HAWSER_DATA_READ, 512, 3);
    scene.run();
    scene.good(other);
    scene.submit(0, HAWSER_DATA_READ, 512, 3);
    scene.run();
    CHECK(heard_of(scene, Opcode::ScsiCommand).back().as<wire::ScsiCommand>().exp_stat_sn.get() ==
          held);
    scene.deaf = false;
    scene.pass(3000);  // asked again
    CHECK(scene.snacks.size() == 2);
    scene.good(tag);
    scene.disk_is_buffer(tag, 8);
    scene.submit(0, HAWSER_DATA_READ, 512, 3);
    scene.run();
    CHECK(heard_of(scene, Opcode::ScsiCommand).back().as<wire::ScsiCommand>().exp_stat_sn.get() >
          held);
}

TEST_CASE("a second status for a task whose status is held ends the connection",
          "[RFC 7143 4.2.5.3][rule-9]") {
    for (bool in_data_in : {false, true}) {
        for (uint8_t status : {0, 8}) {
            Level1 scene;
            scene.target.status_in_data_in = false;
            scene.login();
            scene.lose_once([](const Pdu& pdu) {
                return pdu.kind() == Opcode::DataIn && pdu.as<wire::DataIn>().data_sn.get() == 3;
            });
            scene.deaf = true;
            const uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 16384, 8);
            scene.run();
            REQUIRE(scene.done.empty());
            REQUIRE(scene.snacks.size() == 1);
            const uint32_t itt = heard_of(scene, Opcode::ScsiCommand).back().itt();
            if (in_data_in) {
                wire::DataIn last;
                last.flags = wire::k_final | wire::DataIn::k_status;
                last.status = status;
                last.initiator_task_tag = itt;
                last.target_transfer_tag = wire::k_reserved_tag;
                last.data_sn = 3;
                last.buffer_offset = 12288;
                scene.target.peers[0].send(last, true, Bytes(4096));
            } else {
                wire::ScsiResponse second;
                second.initiator_task_tag = itt;
                second.status = status;
                scene.target.peers[0].send(second, true);
            }
            scene.run();
            CHECK(scene.lost_with(0) == HAWSER_ERROR_UNKNOWN_TASK);
            scene.good(tag);  // of the session that was begun anew, whole
            scene.disk_is_buffer(tag, 8);
        }
    }
}

TEST_CASE("a task that is aborted no longer holds back what is acknowledged",
          "[RFC 7143 11.16.1][rule-52]") {
    Level1 scene;
    scene.target.status_in_data_in = false;
    scene.login();
    scene.lose_once([](const Pdu& pdu) {
        return pdu.kind() == Opcode::DataIn && pdu.as<wire::DataIn>().data_sn.get() == 3;
    });
    scene.deaf = true;
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 16384, 8);
    scene.run();
    const uint32_t held = scene.target.peers[0].stat_sn - 1;
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, tag);
    CHECK(scene.done_of(tag).completion.aborted == 1);
    scene.submit(0, HAWSER_DATA_READ, 512, 3);
    scene.run();
    CHECK(heard_of(scene, Opcode::ScsiCommand).back().as<wire::ScsiCommand>().exp_stat_sn.get() >
          held);
}

TEST_CASE("a lost response is asked for by a status SNACK", "[RFC 7143 7.9][rule-6]") {
    Level1 scene;
    scene.target.status_in_data_in = false;
    scene.login();
    scene.lose_once([](const Pdu& pdu) { return pdu.kind() == Opcode::ScsiResponse; });
    uint32_t first = scene.submit(0, HAWSER_DATA_READ, 4096, 8);
    scene.run();
    CHECK(scene.done.empty());
    CHECK(scene.snacks.empty());
    const uint32_t lost = scene.target.peers[0].stat_sn - 1;
    uint32_t second = scene.submit(0, HAWSER_DATA_READ, 4096, 16);
    scene.run();
    scene.good(first);
    scene.good(second);
    REQUIRE(scene.snacks.size() == 1);
    const auto& snack = scene.snacks[0].as<wire::Snack>();
    CHECK((snack.type & 0xf) == wire::Snack::k_status);
    CHECK(snack.initiator_task_tag.get() == wire::k_reserved_tag);
    CHECK(snack.beg_run.get() == lost);
    CHECK(snack.run_length.get() == 1);
    CHECK(exp_stat_sn_of(scene.snacks[0]) == lost);
}

TEST_CASE("no status SNACK asks for what came while it waited", "[RFC 7143 11.16.1][rule-52]") {
    for (uint32_t seed = 1; seed <= 20; seed++) {
        Level1 scene(seed);
        scene.login();
        Peer& peer = scene.target.peers[0];
        peer.corrupt_data = true;
        peer.lose = [&](const Pdu&) { return peer.corrupt_data = false; };
        scene.target.script = [&](Peer& of, const Pdu& pdu) {
            if (pdu.kind() == Opcode::Snack && scene.snacks.empty()) of.send(news(), false);
            return scene.answer(of, pdu);
        };
        scene.submit(0, HAWSER_DATA_READ, 512, 8);
        scene.run();
        CHECK(scene.done.size() == 1);
        for (const Pdu& pdu : scene.snacks)
            if ((pdu.header[1] & 1) != 0)
                CHECK(exp_stat_sn_of(pdu) == pdu.as<wire::Snack>().beg_run.get());
    }
}
