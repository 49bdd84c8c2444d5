// SPDX-License-Identifier: GPL-2.0-or-later
//
// Data that a target was promised, when something else comes between.

#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

TEST_CASE("an R2T that is open when ABORT TASK SET goes out is answered after it",
          "[RFC 7143 4.2.3.3][rule-60]") {
    Scene scene("InitialR2T=Yes ImmediateData=No");
    scene.login();
    scene.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() == Opcode::ScsiCommand) {
            Exchange& exchange = peer.exchanges[pdu.itt()];
            exchange.command = pdu.as<wire::ScsiCommand>();
            scene.sides[0].mute = true;
            peer.send_r2t(exchange, 0, 20000, 0x42);
        }
        return pdu.kind() != Opcode::NopOut;
    };
    scene.submit(0, HAWSER_DATA_WRITE, 65536);
    scene.run();
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK_SET);
    CHECK(heard_of(scene, Opcode::DataOut).empty());
    scene.sides[0].mute = false;
    scene.run();
    size_t sum = 0;
    bool asked = false;
    for (const Pdu& pdu : scene.target.peers[0].heard) {
        asked = asked || pdu.kind() == Opcode::TaskManagementRequest;
        if (pdu.kind() != Opcode::DataOut) continue;
        CHECK(asked);
        CHECK(pdu.as<wire::DataOut>().target_transfer_tag.get() == 0x42);
        sum += pdu.data.size();
    }
    CHECK(sum == 20000);
    CHECK(scene.counters(0).losses == 0);
}
