// SPDX-License-Identifier: GPL-2.0-or-later
//
// The scripted target's own tests: its judge must see, its proxy must do, its scripts must
// complain.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
