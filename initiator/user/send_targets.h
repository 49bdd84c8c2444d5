// SPDX-License-Identifier: GPL-2.0-or-later
// A discovery session with one portal (RFC 7143 4.3, Appendix C), held by libiscsi. The library is
// loaded when it is needed: it brings five more, which an initramfs has no use for.
#ifndef HAWSER_USER_SEND_TARGETS_H
#define HAWSER_USER_SEND_TARGETS_H

#include <chrono>
#include <string>
#include <vector>

#include "user/address.h"
#include "user/chap.h"

namespace hawser::user {

// As the target sent it.
struct SentTarget {
    std::string name;
    std::vector<std::string> addresses;
};

struct DiscoveryRequest {
    Endpoint portal;
    std::string initiator;
    ChapCredentials chap;
    std::chrono::seconds timeout{10};
};

// Throws Failure.
std::vector<SentTarget> send_targets(const DiscoveryRequest& request);

}  // namespace hawser::user

#endif
