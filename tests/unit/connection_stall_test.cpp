// SPDX-License-Identifier: GPL-2.0-or-later
//
// A silent link among living ones is found in about a second; a slow target, a target that is away
// and a connection that is alone are not taken for one. And what ends a connection whose socket is
// good: a FIN, and the target is heard out.

#include <algorithm>
#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

constexpr const char* k_options = "noop_out_interval=30 noop_out_timeout=30";

// Silent from now on, with a command under way.
uint32_t silence(Host& host, uint32_t index) {
    host.sides[index].stuck = true;
    const uint32_t tag = host.submit(index, HAWSER_DATA_READ, 512);
    host.unacknowledged(index, host.now_ms);
    host.run();
    return tag;
}

}  // namespace

TEST_CASE("a silent connection is lost in about a second, by its living siblings") {
    Host host(k_options, 3);
    host.start();
    host.pass(5000);
    const uint32_t tag = silence(host, 1);
    host.pass(900);
    CHECK(host.lost_with(1) == HAWSER_ERROR_NONE);
    // The siblings were idle: a NOP-Out each is how they know that they are alive.
    for (uint32_t sibling : {0u, 2u}) CHECK(heard_of(host, Opcode::NopOut, sibling).size() == 1);
    host.pass(200);
    CHECK(host.lost_with(1) == HAWSER_ERROR_STALLED);
    host.sides[1].stuck = false;
    host.pass(10000);
    CHECK(host.snapshot().reinstatements == 1);
    CHECK(host.done_of(tag).completion.status == 0);
}

// Four links over two switches, and one switch dies.
TEST_CASE("links that died together: one that lives leads, at once") {
    for (uint32_t first : {0u, 1u, 2u, 3u}) {
        Host host(k_options, 4);
        host.start();
        host.pass(5000);
        const uint32_t second = (first + 1) % 4;
        silence(host, first);
        silence(host, second);
        host.portals_down = {first, second};
        const auto orders = host.orders.size();
        host.pass(8000);  // a second to notice, Time2Wait, and the silent sibling's two
        CHECK(host.snapshot().reinstatements == 1);
        CHECK(host.snapshot().state == HAWSER_SESSION_LOGGED_IN);
        const auto leading =
            std::find_if(host.orders.begin() + static_cast<long>(orders), host.orders.end(),
                         [](const auto& order) { return order.kind == HAWSER_ORDER_CONNECT; });
        REQUIRE(leading != host.orders.end());
        CHECK(leading->index != first);
        CHECK(leading->index != second);
        CHECK(logged_in(host) == 2);
    }
}

TEST_CASE("what TCP gets acknowledged is no silence") {
    Host host(k_options, 2);
    host.start();
    silence(host, 1);
    for (int i = 0; i < 10; i++) {
        host.pass(390);
        host.unacknowledged(1, host.now_ms);
    }
    host.unacknowledged(1, HAWSER_NEVER);
    host.pass(5000);
    CHECK(host.lost_with(1) == HAWSER_ERROR_NONE);
}

TEST_CASE("a silence counts only when the host has taken in all that has come") {
    Host host(k_options, 2);
    host.start();
    host.sides[1].late = true;
    silence(host, 1);
    host.pass(3000);
    CHECK(host.lost_with(1) == HAWSER_ERROR_NONE);
    SECTION("it was the link") {
        host.taken_in(1);
        CHECK(host.lost_with(1) == HAWSER_ERROR_STALLED);
    }
    SECTION("it was the host: an acknowledgement had come") {
        host.unacknowledged(1, HAWSER_NEVER);
        host.taken_in(1);
        host.pass(3000);
        CHECK(host.lost_with(1) == HAWSER_ERROR_NONE);
    }
    SECTION("an answer that nobody waits for any more counts for nothing") {
        host.unacknowledged(1, host.now_ms);
        host.pass(900);
        host.taken_in(1);
        CHECK(host.lost_with(1) == HAWSER_ERROR_NONE);
        host.pass(200);
        host.taken_in(1);
        CHECK(host.lost_with(1) == HAWSER_ERROR_STALLED);
    }
}

TEST_CASE("a target that is away on every path is waited for") {
    Host host(k_options, 2);
    host.start();
    host.sides[0].stuck = true;
    silence(host, 1);
    host.pass(8000);
    CHECK(host.lost_with(1) == HAWSER_ERROR_NONE);
    // The first path that is back tells of the other.
    host.sides[0].stuck = false;
    host.pass(1000);
    CHECK(host.lost_with(1) == HAWSER_ERROR_STALLED);
    CHECK(host.lost_with(0) == HAWSER_ERROR_NONE);
}

TEST_CASE("a connection that is alone waits for its NOP-Out") {
    Host host(k_options, 1);
    host.start();
    silence(host, 0);
    host.pass(29000);
    CHECK(host.lost_with(0) == HAWSER_ERROR_NONE);
}

TEST_CASE("without pings a silence still counts when the others hear something") {
    Host host("noop_out_interval=0", 2);
    host.start();
    silence(host, 1);
    host.pass(3000);
    CHECK(host.lost_with(1) == HAWSER_ERROR_NONE);
    const uint32_t tag = host.submit(0, HAWSER_DATA_NONE, 0);
    host.pass(300);
    CHECK(host.done_of(tag).completion.status == 0);
    CHECK(host.lost_with(1) == HAWSER_ERROR_STALLED);
}

TEST_CASE("a breach below level 2 ends in a FIN, and the target is heard out",
          "[RFC 7143 7.7][rule-24]") {
    Host host("DefaultTime2Wait=3", 1);
    host.start();
    host.target.peers[0].lingers = true;
    wire::R2t r2t;
    r2t.initiator_task_tag = 0x10005;
    host.target.peers[0].send(r2t, false);
    host.run();
    CHECK(host.lost_with(0) == HAWSER_ERROR_UNKNOWN_TASK);
    CHECK(host.sides[0].fin);
    CHECK(host.sides[0].open);
    host.pass(4900);
    CHECK(host.sides[0].open);
    CHECK(host.sides[0].connects == 1);
    // Its patience is Time2Wait and two seconds more.
    host.pass(200);
    CHECK(host.sides[0].connects == 2);
}
