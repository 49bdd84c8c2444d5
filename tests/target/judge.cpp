// SPDX-License-Identifier: GPL-2.0-or-later
//
// The judge: connections, sessions, obligations.

#include "judge.h"

#include <algorithm>

namespace hawser::target {

using wire::Opcode;

void Judge::breach(uint32_t rule, const char* section, const Connection& connection,
                   const std::string& words) {
    m_breaches.push_back({rule, section, connection.id, words});
    on_breach(m_breaches.back());
}

void Judge::opened(uint32_t connection, uint64_t) {
    Connection& one = m_connections[connection];
    one.id = connection;
    one.open = true;
}

void Judge::damaged_stream(uint32_t connection, const std::string& how) {
    breach(49, "13.1", m_connections[connection], how);
}

void Judge::from_initiator(uint32_t id, const Pdu& pdu, uint64_t now_ms) {
    Connection& connection = m_connections[id];
    if (pdu.data_damaged) breach(49, "13.1", connection, "data digest mismatch");
    if (connection.refused)
        breach(41, "11.13.5", connection, "a PDU after a Login Response with an error");
    check_reserved(connection, pdu);
    if (pdu.kind() == Opcode::LoginRequest) return take_login_request(connection, pdu, now_ms);
    if (!connection.full_feature || connection.session == nullptr)
        return breach(33, "6.3", connection, "a PDU other than a Login Request during login");
    connection.entered = true;
    if (connection.requests != 0 && connection.keys.error_recovery_level != 0 &&
        connection.session->keys.data_sequence_in_order &&
        connection.session->keys.max_outstanding_r2t != 1)
        breach(59, "13.19", connection, "MaxOutstandingR2T is not 1");
    check_exp_stat_sn(connection, pdu);
    check_tag(connection, pdu);
    if (pdu.kind() != Opcode::DataOut && pdu.kind() != Opcode::Snack)
        pdu.immediate() ? check_immediate(connection, pdu) : check_cmd_sn(connection, pdu);
    if (connection.logout_sent && pdu.kind() != Opcode::DataOut && pdu.kind() != Opcode::Snack &&
        pdu.itt() != wire::k_reserved_tag)
        breach(63, "11.14", connection, "a new request after the Logout Request");
    switch (pdu.kind()) {
        case Opcode::ScsiCommand:
            return take_command(connection, pdu);
        case Opcode::DataOut:
            return take_data_out(connection, pdu);
        case Opcode::NopOut:
            return take_nop_out(connection, pdu);
        case Opcode::TextRequest:
            return take_text(connection, pdu);
        case Opcode::LogoutRequest:
            return take_logout(connection, pdu);
        case Opcode::TaskManagementRequest:
            return take_task_management(connection, pdu);
        case Opcode::Snack:
            return take_snack(connection, pdu);
        default:
            return breach(25, "11.2.1.2", connection, "a PDU with an unknown opcode");
    }
}

void Judge::to_initiator(uint32_t id, const Pdu& pdu, uint64_t now_ms) {
    Connection& connection = m_connections[id];
    if (pdu.kind() == Opcode::LoginResponse) return take_login_response(connection, pdu);
    if (!connection.full_feature || connection.session == nullptr) return;
    note_numbers(connection, pdu);
    switch (pdu.kind()) {
        case Opcode::DataIn:
            return note_data_in(connection, pdu);
        case Opcode::R2t:
            return note_r2t(connection, pdu);
        case Opcode::ScsiResponse:
            return note_status(connection, pdu.itt(), pdu.as<wire::ScsiResponse>().stat_sn.get());
        default:
            return note_control(connection, pdu, now_ms);
    }
}

// A connection without a Logout has ended: Time2Wait runs from here (7.5, 13.15).
void Judge::lose(Connection& connection, uint64_t now_ms) {
    Session* session = connection.session;
    if (session == nullptr || !connection.full_feature) return;
    if (session->connections != 0) session->connections--;
    // A login that the initiator refused at its end never was a session to it.
    if (connection.logout_sent || session->logged_out || !connection.entered) return;
    session->lost = session->keys.error_recovery_level == 2;
    session->lost_cmd_sn = session->max_cmd_sn;
    const uint64_t until_ms = now_ms + 1000 * uint64_t{session->keys.time2wait_s};
    if (session->wait_until_ms < until_ms) session->wait_until_ms = until_ms;
}

void Judge::closed(uint32_t id, bool by_initiator, uint64_t now_ms) {
    Connection& connection = m_connections[id];
    if (!connection.open) return;
    if (connection.logout_due_ms != k_never && by_initiator)
        breach(connection.logout_or_text ? 30 : 28, "11.9.1", connection,
               "closed without the Logout that was asked for");
    connection.logout_due_ms = k_never;
    connection.open = false;
    lose(connection, now_ms);
}

void Judge::finish(uint64_t now_ms) {
    for (auto& [id, connection] : m_connections) {
        if (!connection.open || connection.session == nullptr) continue;
        settle_data(connection);
        if (!connection.pings.empty())
            breach(26, "11.18", connection, "a NOP-In with a Target Transfer Tag was not answered");
        if (connection.logout_due_ms <= now_ms)
            breach(connection.logout_or_text ? 30 : 28, "11.9.1", connection,
                   "the Logout that was asked for did not come in time");
        for (const auto& [itt, command] : connection.session->commands) {
            if (command.connection != id || command.acknowledge_due.empty()) continue;
            const bool acknowledged =
                command.answered && precedes(command.stat_sn, connection.exp_stat_sn);
            if (!acknowledged && !command.aborted)
                breach(53, "11.7.2", connection, "the A bit was not answered");
        }
    }
}

}  // namespace hawser::target
