// SPDX-License-Identifier: GPL-2.0-or-later
// Files in /run that keep the root's NICs from who manages networks: systemd-networkd, udev,
// NetworkManager, ifupdown. Each of them stops before the root disk is flushed, and some take
// their NICs down then, or when a lease ends.
#ifndef HAWSER_USER_NIC_GUARDS_H
#define HAWSER_USER_NIC_GUARDS_H

#include <string>
#include <vector>

#include "user/boot_plan.h"

namespace hawser::user {

// The .network file that makes systemd-networkd keep a NIC as it is.
std::string networkd_unit(const NicOutcome& nic);

// The .link file by which udev names a NIC that was unplugged and comes back as before: by that
// name the kernel's session looks for it.
std::string udev_link(const NicOutcome& nic);

// A snippet for NetworkManager/conf.d: these NICs are not its own.
std::string network_manager_conf(const std::vector<NicOutcome>& nics);

// A drop-in for networking.service: `ifup -a` and `ifdown -a` pass these NICs over, whatever
// /etc/network/interfaces says of them.
std::string networking_drop_in(const std::vector<NicOutcome>& nics);

// Writes all of them for the NICs that were set up. `run`: /run.
void write_nic_guards(const std::string& run, const std::vector<NicOutcome>& nics);

}  // namespace hawser::user

#endif
