// SPDX-License-Identifier: GPL-2.0-or-later
//
// An initiator in a tiny machine with two NICs, ours or open-iscsi, for stories that are told of
// both: the same shell script runs on either.

#pragma once

#include <string>

#include "direct_run.h"
#include "tiny_initramfs.h"

namespace hawser::qemu {

struct PeerInitiator {
    std::string name;
    TinyInitramfs initramfs;
    // Shell: `say`, `connect` (logs in), `disk LUN` (its name), `device LUN` (its folder in sysfs),
    // `look_for_luns`, `leave` (logs out), `losses`.
    std::string functions;
};

PeerInitiator our_initiator(const std::string& target, uint16_t port);
// A session by the first NIC, as iscsiadm makes it; its timeouts are Debian's.
PeerInitiator open_iscsi(const std::string& target, uint16_t port);

// Starts it with what follows its functions.
Machine& start_peer(DirectRun& run, PeerInitiator initiator, const std::string& script);

// Cuts the NICs in turn, each three seconds of ten, until the console says so or for the time that
// is given; how often.
unsigned cut_until(Machine& machine, const std::string& expression, Seconds limit);

}  // namespace hawser::qemu
