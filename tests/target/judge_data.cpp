// SPDX-License-Identifier: GPL-2.0-or-later
//
// SCSI commands and their data under the judge's eyes: RFC 7143 4.2.5, 11.3, 11.7, 11.8.

#include <algorithm>

#include "judge.h"

namespace hawser::target {

Judge::Command* Judge::find(Connection& connection, uint32_t itt) {
    const auto found = connection.session->commands.find(itt);
    return found == connection.session->commands.end() ? nullptr : &found->second;
}

void Judge::take_command(Connection& connection, const Pdu& pdu) {
    const auto& header = pdu.as<wire::ScsiCommand>();
    const bool read = header.flags & wire::ScsiCommand::k_read;
    const bool write = header.flags & wire::ScsiCommand::k_write;
    const uint32_t length = header.expected_data_transfer_length.get();
    if (!write && !pdu.final()) breach(14, "11.3.1", connection, "neither W nor F is set");
    if (length != 0 && !read && !write)
        breach(14, "11.3.1", connection, "data is expected, but in no direction");
    if (write && pdu.data.size() == length && !pdu.final())
        breach(15, "11.3.4", connection, "all the data is immediate, but F is not set");
    check_ahs(connection, pdu);
    check_immediate_data(connection, pdu);
    Command* before = find(connection, pdu.itt());
    const bool retry = before != nullptr && !before->answered && !before->aborted;
    if (retry) {
        if (before->header.cmd_sn.get() != header.cmd_sn.get() ||
            !std::equal(header.cdb, header.cdb + 16, before->header.cdb))
            breach(54, "7.2.1", connection, "a retry with another CmdSN or CDB");
        std::erase_if(connection.unsolicited,
                      [&](const Owed& owed) { return owed.itt == pdu.itt(); });
    }
    Command command;
    command.header = header;
    command.connection = connection.id;
    command.immediate = pdu.immediate();
    connection.session->commands[pdu.itt()] = command;
    const uint32_t immediate = static_cast<uint32_t>(pdu.data.size());
    const uint32_t burst = std::min(connection.session->keys.first_burst, length);
    if (write && !pdu.final())
        connection.unsolicited.push_back({pdu.itt(), wire::k_reserved_tag, immediate, burst, 0});
}

void Judge::check_ahs(Connection& connection, const Pdu& pdu) {
    const auto& header = pdu.as<wire::ScsiCommand>();
    const bool both =
        (header.flags & wire::ScsiCommand::k_read) && (header.flags & wire::ScsiCommand::k_write);
    size_t cdbs = 0;
    size_t lengths = 0;
    for (const Ahs& ahs : pdu.additional()) {
        if (ahs.type == Ahs::k_extended_cdb)
            cdbs++;
        else if (ahs.type == Ahs::k_read_length && ahs.content.size() == 4)
            lengths++;
        else
            breach(16, "11.2.2", connection, "an AHS that is none of RFC 7143's");
    }
    if (header.cdb[0] == 0x7f && cdbs != 1)
        breach(16, "11.3.5", connection, "a CDB over 16 bytes without an AHS");
    if (header.cdb[0] != 0x7f && cdbs != 0)
        breach(16, "11.3.5", connection, "an AHS for a CDB of at most 16 bytes");
    if (lengths != (both ? 1u : 0u))
        breach(16, "11.2.2.4", connection, "a read length that does not go with R and W");
}

void Judge::check_immediate_data(Connection& connection, const Pdu& pdu) {
    const auto& header = pdu.as<wire::ScsiCommand>();
    const Keys& keys = connection.session->keys;
    const bool write = header.flags & wire::ScsiCommand::k_write;
    const uint32_t length = header.expected_data_transfer_length.get();
    const uint32_t immediate = static_cast<uint32_t>(pdu.data.size());
    if (immediate != 0 && !write) breach(17, "11.3", connection, "immediate data without a write");
    if (immediate != 0 && !keys.immediate_data)
        breach(17, "13.11", connection, "immediate data, but ImmediateData=No");
    if (immediate > keys.first_burst || immediate > length)
        breach(17, "13.14", connection, "immediate data beyond FirstBurstLength or the command");
    if (immediate > connection.keys.target_max_recv)
        breach(17, "13.12", connection, "immediate data beyond MaxRecvDataSegmentLength");
    if (write && !pdu.final() && keys.initial_r2t)
        breach(17, "13.10", connection, "F is not set, but InitialR2T=Yes");
}

void Judge::take_data_out(Connection& connection, const Pdu& pdu) {
    const auto& header = pdu.as<wire::DataOut>();
    const Command* command = find(connection, pdu.itt());
    if (command == nullptr)
        return breach(9, "4.2.5.3", connection, "Data-Out for a command that does not exist");
    if (command->connection != connection.id)
        breach(8, "4.2.5.1", connection, "Data-Out on another connection than its command's");
    if (pdu.data.size() > connection.keys.target_max_recv)
        breach(17, "13.12", connection, "Data-Out beyond MaxRecvDataSegmentLength");
    const bool solicited = header.target_transfer_tag.get() != wire::k_reserved_tag;
    if (solicited && !std::equal(header.lun, header.lun + 8, command->header.lun))
        breach(9, "11.7.4", connection, "Data-Out with another LUN than the R2T's");
    check_owed(connection, pdu, solicited ? connection.owed : connection.unsolicited);
}

// The sequence that is first in turn: contiguous, numbered from 0, F at its end and only there.
void Judge::check_owed(Connection& connection, const Pdu& pdu, std::vector<Owed>& owed) {
    const auto& header = pdu.as<wire::DataOut>();
    const uint32_t ttt = header.target_transfer_tag.get();
    const bool solicited = ttt != wire::k_reserved_tag;
    const auto found = std::find_if(owed.begin(), owed.end(), [&](const Owed& one) {
        return one.itt == pdu.itt() && one.ttt == ttt;
    });
    if (found == owed.end())
        return breach(solicited ? 19 : 11, "11.7", connection, "Data-Out that nobody asked for");
    // Commands that have been answered wait for nothing.
    const bool first = std::none_of(owed.begin(), found, [&](const Owed& one) {
        const Command* command = find(connection, one.itt);
        return command != nullptr && !command->answered && !command->aborted;
    });
    if (!first)
        breach(solicited ? 20 : 12, solicited ? "11.8" : "4.2.5.2", connection,
               "Data-Out out of turn");
    const uint32_t length = static_cast<uint32_t>(pdu.data.size());
    const uint32_t offset = header.buffer_offset.get();
    if (header.data_sn.get() != found->data_sn++)
        breach(22, "4.2.2.4", connection, "DataSN of Data-Out does not count from 0");
    if (offset != found->offset) breach(19, "11.8", connection, "Data-Out is not contiguous");
    if (offset > found->end || length > found->end - offset)
        breach(solicited ? 19 : 11, "11.8", connection, "Data-Out beyond what was asked for");
    found->offset = offset + length;
    const bool whole = found->offset >= found->end;
    if (whole != pdu.final())
        breach(solicited ? 19 : 11, "11.7.1", connection,
               whole ? "F is not set at the end of the sequence" : "F before the sequence's end");
    if (whole || pdu.final()) owed.erase(found);
}

void Judge::note_data_in(Connection& connection, const Pdu& pdu) {
    const auto& header = pdu.as<wire::DataIn>();
    Command* command = find(connection, pdu.itt());
    if (command == nullptr) return;
    command->data_sns.insert(header.data_sn.get());
    if (header.flags & wire::DataIn::k_acknowledge &&
        connection.session->keys.error_recovery_level > 0)
        command->acknowledge_due[header.target_transfer_tag.get()] = header.data_sn.get() + 1;
    if (header.flags & wire::DataIn::k_status)
        note_status(connection, pdu.itt(), header.stat_sn.get());
}

// Only an R2T that the RFC allows obliges (11.8.4-5).
void Judge::note_r2t(Connection& connection, const Pdu& pdu) {
    const auto& r2t = pdu.as<wire::R2t>();
    Command* command = find(connection, pdu.itt());
    if (command == nullptr || command->connection != connection.id) return;
    const uint32_t length = r2t.desired_data_transfer_length.get();
    const uint32_t offset = r2t.buffer_offset.get();
    const uint32_t whole = command->header.expected_data_transfer_length.get();
    const bool valid = length != 0 && length <= connection.session->keys.max_burst &&
                       offset <= whole && length <= whole - offset &&
                       r2t.target_transfer_tag.get() != wire::k_reserved_tag;
    if (!valid) return;
    // Sent again (SNACK), or twice by a faulty target: it counts once.
    if (r2t.r2t_sn.get() < command->r2ts && connection.session->keys.error_recovery_level == 0)
        return;
    for (const Owed& owed : connection.owed)
        if (owed.itt == pdu.itt() && owed.ttt == r2t.target_transfer_tag.get()) return;
    command->r2ts = r2t.r2t_sn.get() + 1;
    // In order of arrival; those that filled a hole stand where they belong (7.9).
    const uint32_t sn = r2t.r2t_sn.get();
    const auto at =
        std::find_if(connection.owed.begin(), connection.owed.end(),
                     [&](const Owed& one) { return one.itt == pdu.itt() && one.r2t_sn > sn; });
    connection.owed.insert(
        at, {pdu.itt(), r2t.target_transfer_tag.get(), offset, offset + length, 0, sn});
}

void Judge::note_status(Connection& connection, uint32_t itt, uint32_t stat_sn) {
    Command* command = find(connection, itt);
    if (command == nullptr) return;
    command->answered = true;
    command->stat_sn = stat_sn;
}

// What is still owed when nothing moves any more.
void Judge::settle_data(Connection& connection) {
    for (const auto* owed : {&connection.owed, &connection.unsolicited}) {
        for (const Owed& one : *owed) {
            const Command* command = find(connection, one.itt);
            if (command == nullptr || command->answered || command->aborted) continue;
            breach(13, "4.2.5.2", connection,
                   one.ttt == wire::k_reserved_tag ? "unsolicited data was announced and not sent"
                                                   : "an R2T was not honoured");
        }
    }
}

}  // namespace hawser::target
