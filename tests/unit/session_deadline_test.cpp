// SPDX-License-Identifier: GPL-2.0-or-later
//
// A session's deadlines: each is served when it comes, or is not told. One that is over and stays
// would make the control thread spin.

#include <catch2/catch.hpp>

#include "host.h"

using namespace hawser;
using namespace hawser::test;

TEST_CASE("a retry waits for the old socket's close without a deadline") {
    hawser_options options = options_of("", 2);
    Bytes memory(hawser_session_bytes(&options) + 64);
    const auto address = (reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~uintptr_t{63};
    hawser_session* session =
        hawser_session_create(reinterpret_cast<void*>(address), &options, 1, 7);
    uint64_t now_ms = 1000;
    hawser_session_start(session, now_ms);
    auto tell = [&](uint32_t kind, uint32_t index) {
        hawser_report report{};
        report.kind = kind;
        report.index = index;
        report.epoch = 1;
        report.error = kind == HAWSER_REPORT_LOST ? HAWSER_ERROR_CONNECT_FAILED : 0;
        report.tsih = 5;
        report.time2wait_s = report.time2retain_s = 0xffff;
        report.keys = options.offer;
        report.keys.max_connections = 2;
        hawser_session_handle_report(session, &report, now_ms);
        uint32_t connects = 0;
        for (hawser_order order; hawser_session_poll_order(session, &order);)
            connects += order.kind == HAWSER_ORDER_CONNECT;
        return connects;
    };
    tell(HAWSER_REPORT_LOGGED_IN, 0);
    tell(HAWSER_REPORT_LOST, 1);
    // Its socket takes longer to close than the retry's delay.
    now_ms += 60000;
    hawser_session_handle_timeout(session, now_ms);
    CHECK(hawser_session_poll_timeout(session) > now_ms);
    tell(HAWSER_REPORT_CLOSED, 1);
    CHECK(hawser_session_poll_timeout(session) <= now_ms);
    hawser_session_handle_timeout(session, now_ms);
    hawser_order order{};
    REQUIRE(hawser_session_poll_order(session, &order));
    CHECK(order.kind == HAWSER_ORDER_CONNECT);
    CHECK(order.index == 1);
}
