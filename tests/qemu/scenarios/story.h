// SPDX-License-Identifier: GPL-2.0-or-later
//
// How a scenario is told: a plan and the steps. Whatever stops a story is noted as its failure, the
// report is written in any case, and a failure says where to look and how to run it again.

#pragma once

#include <catch2/catch.hpp>
#include <functional>

#include "direct_run.h"
#include "scenario.h"

namespace hawser::qemu {

// expected: what the kernel may complain of, as the story means it to.
void tell(const Plan& plan, const std::function<void(Scenario&)>& story,
          const std::string& expected = "");

// The same for a run without firmware.
void tell_direct(const std::string& name, unsigned nics,
                 const std::function<void(DirectRun&)>& story, const std::string& expected = "");

// For runs that are no whole scenario: prints and asserts.
void conclude(const Report& report, const std::filesystem::path& directory,
              const std::string& name);

}  // namespace hawser::qemu
