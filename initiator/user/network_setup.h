// SPDX-License-Identifier: GPL-2.0-or-later
// The plan's NICs, set up: found by rtnetlink's events, renamed, brought up, given carrier's time,
// given their addresses and routes.
#ifndef HAWSER_USER_NETWORK_SETUP_H
#define HAWSER_USER_NETWORK_SETUP_H

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "user/boot_plan.h"
#include "user/netlink.h"

namespace hawser::user {

struct NetworkTimes {
    std::chrono::milliseconds until_first{60000};  // for the first NIC to be there, with carrier
    std::chrono::milliseconds until_rest{10000};   // from then on, for all others
};

// One outcome for each of plan.nics. A NIC that does not work is an outcome with a problem, not a
// failure.
std::vector<NicOutcome> set_up_network(const BootPlan& plan, const NetworkTimes& times,
                                       const std::string& run_folder,
                                       const std::function<void(const std::string&)>& say);

// The machine's own NICs. With a deadline: waits until there is one.
std::vector<NicIdentity> present_nics(Clock::time_point deadline);

// Which link is meant; null when it is not there (pure; `claimed` are indices that others took).
const Link* match_link(const PlannedNic& planned, const std::vector<Link>& links,
                       const std::vector<int>& claimed);

// NICs that share a subnet must each answer ARP for their own address only.
std::vector<std::string> nics_sharing_a_subnet(const std::vector<NicOutcome>& nics);

}  // namespace hawser::user

#endif
