// SPDX-License-Identifier: GPL-2.0-or-later
//
// The command window by itself: serial numbers across their wrap, and how far it may be opened.

#include "engine/command_window.hpp"

#include <catch2/catch.hpp>

using namespace hawser;
using wire::CmdSn;

TEST_CASE("the window goes on across the wrap of CmdSN", "[RFC 7143 4.2.2.1][rule-3]") {
    CommandWindow window;
    window.reset(CmdSn(0xfffffffe));
    CHECK_FALSE(window.take());
    window.publish(CmdSn(0xfffffffe), CmdSn(1));
    for (uint32_t expected : {0xfffffffeu, 0xffffffffu, 0u, 1u}) {
        CHECK(window.is_open());
        const auto taken = window.take();
        REQUIRE(taken);
        CHECK(taken->value() == expected);
    }
    CHECK_FALSE(window.is_open());
    CHECK_FALSE(window.take());
    // A pair of before the wrap is older than one behind it.
    window.publish(CmdSn(2), CmdSn(3));
    window.publish(CmdSn(0xffffffff), CmdSn(0xffffffff));
    CHECK(window.expected() == CmdSn(2));
    CHECK(window.maximum() == CmdSn(3));
    CHECK(window.take() == CmdSn(2));
}

TEST_CASE("serial numbers compare by their distance", "[RFC 7143 4.2.2.1][rule-3]") {
    CHECK(CmdSn(1).precedes(CmdSn(2)));
    CHECK_FALSE(CmdSn(2).precedes(CmdSn(1)));
    CHECK_FALSE(CmdSn(2).precedes(CmdSn(2)));
    CHECK(CmdSn(0xffffffff).precedes(CmdSn(0)));
    CHECK_FALSE(CmdSn(0).precedes(CmdSn(0xffffffff)));
    CHECK(CmdSn(0).precedes(CmdSn(0x7fffffff)));
    CHECK_FALSE(CmdSn(0).precedes(CmdSn(0x80000001)));
    CHECK(CmdSn(0xffffffff).next() == CmdSn(0));
    CHECK(CmdSn(0xfffffff0).distance_to(CmdSn(0x10)) == 0x20);
}

// ExpCmdSN stays where a command is that may have to be tried again: so CmdSN stays within reach.
TEST_CASE("no window reaches 2^31 beyond a command that the target has not got",
          "[RFC 7143 4.2.2.1][rule-4]") {
    CommandWindow window;
    window.reset(CmdSn(100));
    window.publish(CmdSn(100), CmdSn(101));
    for (uint32_t ahead : {0x80000000u, 0x80000001u, 0xfffffffeu}) {
        CHECK_FALSE(window.publish(CmdSn(100), CmdSn(100 + ahead)));
        CHECK(window.maximum() == CmdSn(101));
    }
    // The same in two steps.
    window.publish(CmdSn(100), CmdSn(100u + 0x7ffffffeu));
    window.publish(CmdSn(100), CmdSn(100u + 0x7ffffffeu + 0x7ffffffeu));
    CHECK(CmdSn(100).distance_to(window.maximum()) <= 0x7fffffff);
    CHECK(window.expected() == CmdSn(100));
}
