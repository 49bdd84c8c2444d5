// SPDX-License-Identifier: GPL-2.0-or-later
//
// Which CmdSN is refused: see order_guard.h.

#include "order_guard.h"

#include <algorithm>

namespace hawser::target {

using wire::Opcode;

bool OrderGuard::refuses(uint32_t pair, const Pdu& pdu) {
    if (pdu.kind() == Opcode::LoginRequest) {
        const auto& login = pdu.as<wire::LoginRequest>();
        Isid isid{};
        std::copy_n(login.isid, isid.size(), isid.begin());
        m_sessions[pair] = isid;
        if (login.tsih.get() == 0) m_next[isid] = wire::CmdSn(login.cmd_sn.get());
        return false;
    }
    const bool numbered = pdu.kind() != Opcode::DataOut && pdu.kind() != Opcode::Snack &&
                          (pdu.header[0] & wire::k_immediate) == 0;
    const auto session = m_sessions.find(pair);
    if (!numbered || session == m_sessions.end()) return false;
    wire::CmdSn& next = m_next[session->second];
    const wire::CmdSn cmd_sn(pdu.as<wire::ScsiCommand>().cmd_sn.get());
    if (cmd_sn.precedes(next)) {
        refused++;
        return true;
    }
    next = cmd_sn.next();
    return false;
}

}  // namespace hawser::target
