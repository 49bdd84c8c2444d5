// SPDX-License-Identifier: GPL-2.0-or-later
//
// NOP, Text, Logout, task management, SNACK and what asks for them, under the judge's eyes.

#include <algorithm>

#include "judge.h"

namespace hawser::target {

using wire::Opcode;

namespace {

Bytes lun_of(const Pdu& pdu) {
    return {pdu.header.begin() + 8, pdu.header.begin() + 16};
}

}  // namespace

void Judge::take_nop_out(Connection& connection, const Pdu& pdu) {
    const auto& nop = pdu.as<wire::NopOut>();
    const uint32_t ttt = nop.target_transfer_tag.get();
    if (pdu.itt() == wire::k_reserved_tag && !pdu.immediate())
        breach(27, "11.18.1", connection, "a NOP-Out without a tag is not immediate");
    if (pdu.data.size() > connection.keys.target_max_recv)
        breach(17, "13.12", connection, "ping data beyond MaxRecvDataSegmentLength");
    if (ttt == wire::k_reserved_tag) return;
    if (pdu.itt() != wire::k_reserved_tag)
        breach(26, "11.18.2", connection, "a NOP-Out with both tags");
    const auto ping = connection.pings.find(ttt);
    if (ping == connection.pings.end())
        return breach(26, "11.18.2", connection, "a Target Transfer Tag that was not given");
    if (ping->second != lun_of(pdu))
        breach(26, "11.18", connection, "the LUN of the NOP-In was not copied");
    connection.pings.erase(ping);
}

// 6.2, 11.10: one at a time; it goes on under the same tags.
void Judge::take_text(Connection& connection, const Pdu& pdu) {
    const auto& request = pdu.as<wire::TextRequest>();
    const uint32_t ttt = request.target_transfer_tag.get();
    const bool more = request.flags & wire::TextRequest::k_continue;
    if (more && pdu.final()) breach(36, "11.10.2", connection, "C and F are both set");
    if (ttt == wire::k_reserved_tag) {
        if (connection.text_itt != wire::k_reserved_tag)
            breach(33, "6.2", connection, "a second Text Request before the first is done");
    } else if (pdu.itt() != connection.text_itt || ttt != connection.text_ttt ||
               lun_of(pdu) != connection.text_lun) {
        breach(64, "11.10.3-4", connection, "a Text Request that goes on under other tags");
    }
    if (!more && !pdu.data.empty() && pdu.data.back() != 0)
        breach(38, "6.1", connection, "the text does not end with a NUL");
    connection.text_itt = pdu.itt();
    if (connection.logout_or_text) connection.logout_due_ms = k_never;
    connection.logout_or_text = false;
}

void Judge::take_logout(Connection& connection, const Pdu& pdu) {
    const auto& request = pdu.as<wire::LogoutRequest>();
    const uint8_t reason = request.reason & 0x7f;
    Session& session = *connection.session;
    if (reason > 2) breach(63, "11.14.1", connection, "a reason that does not exist");
    // Not valid there, but looked at by targets.
    if (reason == 0 && request.cid.get() != connection.cid)
        breach(63, "11.14.3", connection, "a Logout of the session names another connection");
    if (reason == 2) {
        if (session.keys.error_recovery_level < 2)
            breach(55, "7.2.2", connection, "a Logout for recovery without ErrorRecoveryLevel 2");
        session.removed.insert(request.cid.get());
    }
    for (auto& [id, other] : m_connections) {
        const bool meant = reason == 0 || other.cid == request.cid.get();
        if (other.session != &session || !meant) continue;
        other.logout_due_ms = k_never;
        if (reason == 1 || (reason == 0 && &other == &connection)) other.logout_sent = true;
    }
    connection.logout_due_ms = k_never;
    if (reason == 0) session.logged_out = true;
}

void Judge::take_task_management(Connection& connection, const Pdu& pdu) {
    const auto& request = pdu.as<wire::TaskManagementRequest>();
    const uint8_t function = request.function & 0x7f;
    Session& session = *connection.session;
    Command* command = find(connection, request.referenced_task_tag.get());
    if (function == 0 || function > 8)
        breach(25, "11.5.1", connection, "a task management function that does not exist");
    const bool of_task = function == 1 || function == 8;
    if (!of_task && request.referenced_task_tag.get() != wire::k_reserved_tag)
        breach(25, "11.5.4", connection, "the Referenced Task Tag is reserved here");
    if (function == 1 && command != nullptr && !command->aborted) {
        const auto home = m_connections.find(command->connection);
        if (command->connection != connection.id && home != m_connections.end() &&
            home->second.open)
            breach(61, "11.5.1", connection, "ABORT TASK on another connection than the task's");
        const uint32_t expected =
            command->immediate ? request.cmd_sn.get() : command->header.cmd_sn.get();
        if (request.ref_cmd_sn.get() != expected)
            breach(61, "11.5.5", connection, "RefCmdSN is not the task's CmdSN");
        if (!std::equal(request.lun, request.lun + 8, command->header.lun))
            breach(61, "11.5.3", connection, "another LUN than the task's");
    }
    if (function == 8) {
        if (!pdu.immediate()) breach(55, "11.5.1", connection, "TASK REASSIGN is not immediate");
        if (session.keys.error_recovery_level < 2)
            breach(55, "7.2.2", connection, "TASK REASSIGN without ErrorRecoveryLevel 2");
        const auto home =
            command == nullptr ? m_connections.end() : m_connections.find(command->connection);
        if (home != m_connections.end() && session.removed.count(home->second.cid) == 0)
            breach(55, "7.2.2", connection, "TASK REASSIGN before the Logout of its connection");
        if (command != nullptr) command->connection = connection.id;
        for (Owed& owed : connection.owed)
            if (command != nullptr && owed.itt == request.referenced_task_tag.get()) owed.end = 0;
    }
    const uint64_t tag = uint64_t{connection.id} << 32 | pdu.itt();
    m_aborts[tag] = {&session, function == 1 ? request.referenced_task_tag.get()
                               : of_task     ? wire::k_reserved_tag - 1
                                             : wire::k_reserved_tag};
}

// 11.16: nothing that is acknowledged; each type has its own reserved fields.
void Judge::take_snack(Connection& connection, const Pdu& pdu) {
    const auto& snack = pdu.as<wire::Snack>();
    const uint8_t type = snack.type & 0x0f;
    const uint32_t ttt = snack.target_transfer_tag.get();
    const bool untagged = snack.initiator_task_tag.get() == wire::k_reserved_tag;
    Command* command = find(connection, snack.initiator_task_tag.get());
    if (connection.session->keys.error_recovery_level == 0)
        return breach(type == 2 ? 53 : 51, "11.16", connection, "SNACK at ErrorRecoveryLevel 0");
    if (type == 1 || type == 2) {
        if (!untagged) breach(52, "11.16.4", connection, "the Initiator Task Tag is reserved");
    } else if (type > 3 || command == nullptr) {
        return breach(52, "11.16.4", connection, "SNACK for a command that does not exist");
    } else if (command->answered && precedes(command->stat_sn, connection.exp_stat_sn)) {
        breach(52, "11.16.1", connection, "SNACK for a command whose status is acknowledged");
    }
    if (type < 2 && ttt != wire::k_reserved_tag)
        breach(52, "11.16.5", connection, "the Target Transfer Tag is reserved");
    if (type == 1 && snack.beg_run.get() != 0 &&
        precedes(snack.beg_run.get(), connection.exp_stat_sn))
        breach(52, "11.16.1", connection, "SNACK for status that is acknowledged");
    if (type == 0 && (command->header.flags & wire::ScsiCommand::k_read) != 0 &&
        snack.beg_run.get() < command->data_acknowledged)
        breach(52, "11.16.2", connection, "SNACK for data that is acknowledged");
    if (type == 3 && (ttt == 0 || ttt == wire::k_reserved_tag || snack.beg_run.get() != 0 ||
                      snack.run_length.get() != 0))
        breach(52, "11.16.5-7", connection, "an R-Data SNACK with a field that is not allowed");
    if (type != 2) return;
    if (snack.run_length.get() != 0)
        breach(52, "11.16.7", connection, "a DataACK with a RunLength");
    for (auto& [itt, one] : connection.session->commands) {
        const auto due = one.acknowledge_due.find(ttt);
        if (one.connection != connection.id || due == one.acknowledge_due.end()) continue;
        for (uint32_t sn = 0; sn < snack.beg_run.get(); sn++)
            if (one.data_sns.count(sn) == 0)
                return breach(53, "11.16.2", connection, "a DataACK over a hole");
        one.data_acknowledged = snack.beg_run.get();
        one.acknowledge_due.erase(due);
        return;
    }
    breach(52, "11.16.5", connection, "a DataACK with a tag that was not given");
}

void Judge::note_async(Connection& connection, const Pdu& pdu, uint64_t now_ms) {
    const auto& message = pdu.as<wire::AsyncMessage>();
    const uint64_t within_ms = 1000 * uint64_t{message.parameter3.get()};
    if (message.async_event == 1 || message.async_event == 4) {
        connection.logout_due_ms = now_ms + within_ms;
        connection.logout_or_text = message.async_event == 4;
    }
    // 7.1.4.3: as if TCP had failed, with this Time2Wait.
    Session& session = *connection.session;
    if (message.async_event == 2 || message.async_event == 3)
        session.wait_until_ms =
            std::max(session.wait_until_ms, now_ms + 1000 * uint64_t{message.parameter2.get()});
}

void Judge::note_control(Connection& connection, const Pdu& pdu, uint64_t now_ms) {
    Session& session = *connection.session;
    session.tags.erase(pdu.itt());
    switch (pdu.kind()) {
        case Opcode::NopIn: {
            const uint32_t ttt = pdu.as<wire::NopIn>().target_transfer_tag.get();
            if (ttt != wire::k_reserved_tag && pdu.itt() == wire::k_reserved_tag)
                connection.pings[ttt] = lun_of(pdu);
            return;
        }
        case Opcode::TextResponse: {
            const bool done = pdu.final();
            connection.text_itt = done ? wire::k_reserved_tag : pdu.itt();
            connection.text_ttt = pdu.as<wire::TextResponse>().target_transfer_tag.get();
            connection.text_lun = lun_of(pdu);
            if (!done) session.tags.insert(pdu.itt());
            return;
        }
        case Opcode::TaskManagementResponse: {
            const auto ended = m_aborts.find(uint64_t{connection.id} << 32 | pdu.itt());
            if (ended == m_aborts.end() || pdu.as<wire::TaskManagementResponse>().response != 0)
                return;
            const uint32_t itt = ended->second.second;
            for (auto& [tag, command] : session.commands)
                if (tag == itt || itt == wire::k_reserved_tag) command.aborted = true;
            return;
        }
        case Opcode::AsyncMessage:
            return note_async(connection, pdu, now_ms);
        default:
            return;
    }
}

}  // namespace hawser::target
