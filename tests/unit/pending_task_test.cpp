// SPDX-License-Identifier: GPL-2.0-or-later
//
// Commands that have no CmdSN yet, because the window is closed, when something happens to their
// connection.

#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

// One command at the target, which closed its window; the others wait.
struct Closed : Scene {
    explicit Closed(const std::string& more = "") : Scene(more) {
        target.window = 1;
        login();
        target.script = [this](Peer&, const Pdu& pdu) {
            target.window = 0;
            return pdu.kind() == Opcode::ScsiCommand;
        };
        for (int i = 0; i < 3; i++) tags.push_back(submit(0, HAWSER_DATA_READ, 512));
        run();
        REQUIRE(heard_of(*this, Opcode::ScsiCommand).size() == 1);
    }
    std::vector<uint32_t> tags;
};

}  // namespace

TEST_CASE("LOGICAL UNIT RESET ends what waits for the window, too", "[RFC 7143 4.2.3.3]") {
    Closed scene;
    scene.manage(0, HAWSER_FUNCTION_LOGICAL_UNIT_RESET);
    for (const uint32_t tag : scene.tags) CHECK(scene.done_of(tag).completion.aborted == 1);
    CHECK(scene.counters(0).tasks == 0);
    CHECK(heard_of(scene, Opcode::ScsiCommand).size() == 1);
}

TEST_CASE("of another LUN it ends nothing", "[RFC 7143 4.2.3.3]") {
    Closed scene;
    scene.manage(0, HAWSER_FUNCTION_LOGICAL_UNIT_RESET, 0, 3);
    CHECK(heard_of(scene, Opcode::TaskManagementRequest).size() == 1);
    CHECK(scene.done.empty());
    CHECK(scene.counters(0).tasks == 3);
}

TEST_CASE("what waits for the window is sent again after a loss", "[RFC 7143 6.3.5]") {
    Closed scene("DefaultTime2Wait=0");
    scene.target.script = nullptr;
    scene.target.window = 8;
    scene.cut(0);
    scene.pass(5000);
    for (const uint32_t tag : scene.tags) scene.good(tag);
    CHECK_FALSE(scene.target.numbers_wrong);
}
