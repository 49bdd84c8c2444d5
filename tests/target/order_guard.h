// SPDX-License-Identifier: GPL-2.0-or-later
//
// A target, to the one side, that does not put commands of several connections into order: whatever
// has a CmdSN below the highest that came in its session is an error, and costs its connection.
// SPDK's does so at its defaults.

#pragma once

#include <array>
#include <map>

#include "pdu.h"
#include "wire/serial.hpp"

namespace hawser::target {

class OrderGuard {
public:
    // A request of an initiator's on this connection; true: it is refused.
    bool refuses(uint32_t pair, const Pdu& pdu);
    uint64_t refused = 0;

private:
    using Isid = std::array<uint8_t, 6>;
    std::map<uint32_t, Isid> m_sessions;  // by connection
    std::map<Isid, wire::CmdSn> m_next;
};

}  // namespace hawser::target
