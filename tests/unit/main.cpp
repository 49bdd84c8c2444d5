// SPDX-License-Identifier: GPL-2.0-or-later
//
// Catch2's main(), in a file of its own because it takes longer to compile than most tests.

#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
