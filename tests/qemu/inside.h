// SPDX-License-Identifier: GPL-2.0-or-later
//
// Catch2's session in a network of our own (own_network.h), for every test program that starts
// machines, targets or servers. To be included once, after CATCH_CONFIG_RUNNER and Catch2.

#pragma once

#include <exception>
#include <iostream>

#include "own_network.h"

namespace hawser::qemu {

// before: what is still done outside, given the session; a list of tests is made outside as well,
// since it is wanted while programs are built.
template <typename Before>
int run_inside(int argc, char** argv, Before before) {
    Catch::Session session;
    if (int failed = session.applyCommandLine(argc, argv)) return failed;
    const auto& asked = session.configData();
    const bool shows_only = asked.showHelp || asked.libIdentify || asked.listTests ||
                            asked.listTags || asked.listTestNamesOnly || asked.listReporters;
    try {
        if (!shows_only) {
            before(session);
            enter_own_network();
        }
    } catch (const std::exception& error) {
        std::cerr << argv[0] << ": " << error.what() << "\n";
        return 2;
    }
    return session.run();
}

}  // namespace hawser::qemu
