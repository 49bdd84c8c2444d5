// SPDX-License-Identifier: GPL-2.0-or-later
//
// What can only be a mistake of the engine's or of its host's is seen, and survived.

#include "engine/own_mistake.hpp"

#include "scene.h"

using namespace hawser;
using namespace hawser::test;

namespace {

uint32_t last_of(Host& host) {
    return host.snapshot().own_mistake;
}

}  // namespace

TEST_CASE("a host that says more was sent than there was loses the connection, and is told") {
    Scene scene("noop_out_interval=0");
    scene.login();
    hawser_connection* connection = scene.sides[0].connection;
    const uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
    hawser_connection_submit(connection, &scene.sides[0].queue.front());
    scene.sides[0].queue.clear();
    hawser_transmit what{};
    REQUIRE(hawser_connection_poll_transmit(connection, 4096, &what));
    const uint32_t wants = hawser_connection_handle_transmitted(
        connection, what.bytes_length + what.data_length + 1, scene.now_ms);
    CHECK((wants & HAWSER_WANT_REPORT) != 0);
    CHECK(scene.snapshot().own_mistakes == 1);
    CHECK(last_of(scene) == static_cast<uint32_t>(OwnMistake::TooMuchSent));
    CHECK(scene.last_error(0) == HAWSER_ERROR_OWN_MISTAKE);
    // The command is not lost with it.
    scene.follow(0, wants);
    scene.pass(20000);
    scene.good(tag);
    CHECK(scene.snapshot().reinstatements == 1);
}

TEST_CASE("a command for a connection that takes none comes back, and the mistake is told") {
    Host host("noop_out_interval=0", 2);
    host.start();
    hawser_command command{};
    command.tag = 3;
    host.drop(1);
    CHECK_FALSE(hawser_connection_accepts(host.sides[1].connection));
    hawser_connection_submit(host.sides[1].connection, &command);
    CHECK(last_of(host) == static_cast<uint32_t>(OwnMistake::NotAccepting));
    command.tag = host.options.queue_depth;
    hawser_connection_submit(host.sides[0].connection, &command);
    CHECK(last_of(host) == static_cast<uint32_t>(OwnMistake::BadTag));
    CHECK(host.snapshot().own_mistakes == 2);
    CHECK(host.last_error(0) == HAWSER_ERROR_OWN_MISTAKE);
}

TEST_CASE("a report of no kind starts the session anew; one of an older epoch is no mistake") {
    Host host("noop_out_interval=0", 2);
    host.start();
    hawser_report report{};
    report.kind = 99;
    report.epoch = host.snapshot().epoch - 1;
    hawser_session_handle_report(host.session, &report, host.now_ms);
    CHECK(host.snapshot().own_mistakes == 0);
    report.epoch++;
    hawser_session_handle_report(host.session, &report, host.now_ms);
    CHECK(last_of(host) == static_cast<uint32_t>(OwnMistake::UnknownReport));
    CHECK(host.snapshot().reinstatements == 1);
    report.index = 2;
    hawser_session_handle_report(host.session, &report, host.now_ms);
    CHECK(host.snapshot().own_mistakes == 2);
}

TEST_CASE("a socket that is opened twice, and a placement that is overfilled, are mistakes") {
    Host host("noop_out_interval=0", 1);
    host.start();
    hawser_order order{};
    for (const hawser_order& one : host.orders)
        if (one.kind == HAWSER_ORDER_CONNECT) order = one;
    hawser_connection_start_connect(host.sides[0].connection, &order, host.now_ms);
    CHECK(last_of(host) == static_cast<uint32_t>(OwnMistake::OpenedTwice));

    Scene scene("noop_out_interval=0");
    scene.login();
    scene.chunk_max = 1;
    scene.submit(0, HAWSER_DATA_READ, 512);
    hawser_placement placement{};
    while (!hawser_connection_poll_placement(scene.sides[0].connection, &placement)) scene.turn();
    hawser_connection_handle_placed(scene.sides[0].connection, placement.length + 1);
    CHECK(last_of(scene) == static_cast<uint32_t>(OwnMistake::TooMuchPlaced));
}
