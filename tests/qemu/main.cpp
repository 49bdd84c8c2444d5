// SPDX-License-Identifier: GPL-2.0-or-later
//
// main() of the tests that start targets.

#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "inside.h"

int main(int argc, char** argv) {
    return hawser::qemu::run_inside(argc, argv, [](Catch::Session&) {});
}
