// SPDX-License-Identifier: GPL-2.0-or-later
//
// CmdSN, StatSN, Initiator Task Tags, and the bits that are reserved.

#include <algorithm>

#include "judge.h"

namespace hawser::target {

using wire::Opcode;

namespace {

// Bytes [first, last] of which the bits in mask are zero, RFC 7143 11.
struct Reserved {
    Opcode opcode;
    uint8_t first;
    uint8_t last;
    uint8_t mask;
};

constexpr Reserved k_reserved[] = {
    {Opcode::NopOut, 0, 0, 0x80},
    {Opcode::NopOut, 1, 1, 0x7f},
    {Opcode::NopOut, 2, 4, 0xff},
    {Opcode::NopOut, 32, 47, 0xff},
    {Opcode::ScsiCommand, 0, 0, 0x80},
    {Opcode::ScsiCommand, 1, 1, 0x18},
    {Opcode::ScsiCommand, 2, 3, 0xff},
    {Opcode::TaskManagementRequest, 0, 0, 0x80},
    {Opcode::TaskManagementRequest, 2, 7, 0xff},
    {Opcode::TaskManagementRequest, 40, 47, 0xff},
    {Opcode::LoginRequest, 0, 0, 0x80},
    {Opcode::LoginRequest, 1, 1, 0x30},
    {Opcode::LoginRequest, 4, 4, 0xff},
    {Opcode::LoginRequest, 22, 23, 0xff},
    {Opcode::LoginRequest, 32, 47, 0xff},
    {Opcode::TextRequest, 0, 0, 0x80},
    {Opcode::TextRequest, 1, 1, 0x3f},
    {Opcode::TextRequest, 2, 4, 0xff},
    {Opcode::TextRequest, 32, 47, 0xff},
    {Opcode::DataOut, 0, 0, 0xc0},
    {Opcode::DataOut, 1, 1, 0x7f},
    {Opcode::DataOut, 2, 4, 0xff},
    {Opcode::DataOut, 24, 27, 0xff},
    {Opcode::DataOut, 32, 35, 0xff},
    {Opcode::DataOut, 44, 47, 0xff},
    {Opcode::LogoutRequest, 0, 0, 0x80},
    {Opcode::LogoutRequest, 2, 15, 0xff},
    {Opcode::LogoutRequest, 22, 23, 0xff},
    {Opcode::LogoutRequest, 32, 47, 0xff},
    {Opcode::Snack, 0, 0, 0xc0},
    {Opcode::Snack, 1, 1, 0x70},
    {Opcode::Snack, 2, 7, 0xff},
    {Opcode::Snack, 24, 27, 0xff},
    {Opcode::Snack, 32, 39, 0xff},
};

// F is 1 in all of these, always.
constexpr Opcode k_always_final[] = {Opcode::NopOut, Opcode::TaskManagementRequest,
                                     Opcode::LogoutRequest, Opcode::Snack};

std::string number(uint32_t value) {
    return std::to_string(value);
}

}  // namespace

void Judge::check_reserved(Connection& connection, const Pdu& pdu) {
    for (const Reserved& row : k_reserved) {
        if (row.opcode != pdu.kind()) continue;
        for (size_t i = row.first; i <= row.last; i++) {
            if ((pdu.header[i] & row.mask) == 0) continue;
            breach(25, "11", connection,
                   "opcode " + number(pdu.header[0] & 0x3f) + ": a reserved bit of byte " +
                       number(static_cast<uint32_t>(i)) + " is set");
            return;
        }
    }
    if (std::count(std::begin(k_always_final), std::end(k_always_final), pdu.kind()) != 0 &&
        !pdu.final())
        breach(25, "11.2.1.3", connection, "bit 7 of byte 1 is not set");
    if (pdu.kind() == Opcode::LoginRequest && !pdu.final() && (pdu.header[1] & 3) != 0)
        breach(25, "11.12.3", connection, "NSG is set without T");
}

// 4.2.2.1 for non-immediate commands. Siblings overtake each other, so a session of several
// connections is held to order on each and to no number twice; one alone to +1.
void Judge::check_cmd_sn(Connection& connection, const Pdu& pdu) {
    Session& session = *connection.session;
    const uint32_t cmd_sn = pdu.word(24);
    if (precedes(session.max_cmd_sn, cmd_sn))
        breach(3, "4.2.2.1", connection,
               "CmdSN " + number(cmd_sn) + " is beyond MaxCmdSN " + number(session.max_cmd_sn));
    const auto known = session.cmd_sns.find(cmd_sn);
    if (known != session.cmd_sns.end()) {
        if (known->second != pdu.itt())
            breach(1, "4.2.2.1", connection, "CmdSN " + number(cmd_sn) + " is used twice");
        else if (session.keys.error_recovery_level == 0)
            breach(54, "7.2.1", connection, "a retry at ErrorRecoveryLevel 0");
        return;
    }
    session.cmd_sns[cmd_sn] = pdu.itt();
    // "except for commands that are retransmitted due to [...] connection recovery": the first time
    // they may have been lost on their way.
    const bool again = session.lost && !precedes(session.lost_cmd_sn, cmd_sn);
    if (connection.has_cmd_sn && !precedes(connection.last_cmd_sn, cmd_sn) && !again)
        breach(2, "4.2.2.1", connection, "CmdSN " + number(cmd_sn) + " does not rise");
    connection.has_cmd_sn = true;
    connection.last_cmd_sn = cmd_sn;
    if (session.connections_ever == 1 && cmd_sn != session.next_cmd_sn)
        breach(1, "4.2.2.1", connection,
               "CmdSN " + number(cmd_sn) + " instead of " + number(session.next_cmd_sn));
    if (!precedes(cmd_sn, session.next_cmd_sn)) session.next_cmd_sn = cmd_sn + 1;
}

// An immediate one carries the current number and does not advance it.
void Judge::check_immediate(Connection& connection, const Pdu& pdu) {
    Session& session = *connection.session;
    const uint32_t cmd_sn = pdu.word(24);
    if (session.connections_ever == 1 && cmd_sn != session.next_cmd_sn)
        breach(1, "4.2.2.1", connection,
               "an immediate command has CmdSN " + number(cmd_sn) + " instead of " +
                   number(session.next_cmd_sn));
    if (precedes(session.max_cmd_sn + 1, cmd_sn))
        breach(1, "4.2.2.1", connection, "an immediate command's CmdSN is beyond the window");
}

// 7.9: what was not received, or is missing before it, is not acknowledged.
void Judge::check_exp_stat_sn(Connection& connection, const Pdu& pdu) {
    const uint32_t exp_stat_sn = pdu.word(28);
    if (precedes(connection.next_stat_sn, exp_stat_sn))
        breach(6, "7.9", connection,
               "ExpStatSN " + number(exp_stat_sn) +
                   " acknowledges what was not sent: " + number(connection.next_stat_sn));
    if (precedes(exp_stat_sn, connection.exp_stat_sn))
        breach(6, "11.3.3", connection, "ExpStatSN goes back");
    connection.exp_stat_sn = exp_stat_sn;
}

// 11.2.1.8
void Judge::check_tag(Connection& connection, const Pdu& pdu) {
    Session& session = *connection.session;
    const uint32_t itt = pdu.itt();
    const Opcode kind = pdu.kind();
    if (kind == Opcode::DataOut || kind == Opcode::Snack) return;
    if (itt == wire::k_reserved_tag) {
        if (kind != Opcode::NopOut)
            breach(10, "11.2.1.8", connection, "the Initiator Task Tag is ffffffff");
        return;
    }
    const bool goes_on = kind == Opcode::TextRequest && itt == connection.text_itt;
    const auto command = session.commands.find(itt);
    const bool live =
        command != session.commands.end() && !command->second.answered && !command->second.aborted;
    const bool retry =
        kind == Opcode::ScsiCommand && live && command->second.header.cmd_sn.get() == pdu.word(24);
    if (!retry && (live || (session.tags.count(itt) != 0 && !goes_on)))
        breach(10, "11.2.1.8", connection, "Initiator Task Tag " + number(itt) + " is in use");
    if (kind != Opcode::ScsiCommand) session.tags.insert(itt);
}

// StatSN as far as it is without a hole, and the window.
void Judge::note_numbers(Connection& connection, const Pdu& pdu) {
    const auto& numbering = pdu.as<wire::TargetNumbering>();
    Session& session = *connection.session;
    const uint32_t maximum = numbering.max_cmd_sn.get();
    if (precedes(session.max_cmd_sn, maximum)) session.max_cmd_sn = maximum;
    std::erase_if(session.cmd_sns, [&](const auto& one) {
        return precedes(one.first + 1024, numbering.exp_cmd_sn.get());
    });
    const Opcode kind = pdu.kind();
    const bool status_of_data =
        kind == Opcode::DataIn && (pdu.header[1] & wire::DataIn::k_status) != 0;
    const bool ping = kind == Opcode::NopIn && pdu.itt() == wire::k_reserved_tag;
    if (kind == Opcode::R2t || ping || (kind == Opcode::DataIn && !status_of_data)) return;
    connection.ahead.insert(numbering.stat_sn.get());
    while (connection.ahead.erase(connection.next_stat_sn) != 0) connection.next_stat_sn++;
}

}  // namespace hawser::target
