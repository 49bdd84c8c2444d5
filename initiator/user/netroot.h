// SPDX-License-Identifier: GPL-2.0-or-later
// netroot=iscsi:[user:pass[:ruser:rpass]@][server]:[proto]:[port][:[iface]:[netdev]]:[LUN]:target,
// as in dracut.cmdline(7) (an extension of RFC 4173, section 5).
#ifndef HAWSER_USER_NETROOT_H
#define HAWSER_USER_NETROOT_H

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "user/address.h"
#include "user/chap.h"

namespace hawser::user {

struct Netroot {
    std::optional<IpAddress> server;  // none: from the firmware or another parameter
    uint16_t port = k_iscsi_port;
    std::string nic;  // [netdev], a name or a MAC; may be empty
    uint64_t lun = 0;
    std::string target;    // empty: `iscsi:` alone, everything from the firmware
    ChapCredentials chap;  // not set: none were given
};

// Without the leading "iscsi:". The second alternative says what is wrong with it, without
// credentials.
std::variant<Netroot, std::string> parse_netroot(std::string_view text);

// Everything between "iscsi:" and "@", if that is credentials, becomes "(hidden)": for messages.
std::string without_credentials(std::string_view text);

}  // namespace hawser::user

#endif
