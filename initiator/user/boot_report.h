// SPDX-License-Identifier: GPL-2.0-or-later
// A boot plan for people (what, value, source) and for programs (/run/hawser/boot.json). No
// secrets.
#ifndef HAWSER_USER_BOOT_REPORT_H
#define HAWSER_USER_BOOT_REPORT_H

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "user/boot_plan.h"

namespace hawser::user {

std::string plan_text(const BootPlan& plan);
nlohmann::json plan_json(const BootPlan& plan);

// What became of the plan: NICs with their names and addresses, portals in use.
nlohmann::json outcome_json(const std::vector<NicOutcome>& nics, const ReadyPortals& portals);

}  // namespace hawser::user

#endif
