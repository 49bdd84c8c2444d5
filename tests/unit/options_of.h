// SPDX-License-Identifier: GPL-2.0-or-later
//
// Options of a session with so many portals, from the words that a user would write.

#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "abi/engine.h"

namespace hawser::test {

inline hawser_options options_of(const std::string& more, uint32_t connections = 1) {
    std::string line = "target=iqn.a:disk initiator=iqn.a:node";
    for (uint32_t i = 1; i <= connections; i++) line += " portal=10.0." + std::to_string(i) + ".2";
    line += " " + more;
    hawser_options options;
    char reason[HAWSER_REASON_BYTES];
    INFO(line);
    uint32_t error =
        hawser_options_parse(line.data(), static_cast<uint32_t>(line.size()), &options, reason);
    INFO(reason);
    REQUIRE(error == HAWSER_ERROR_NONE);
    return options;
}

}  // namespace hawser::test
