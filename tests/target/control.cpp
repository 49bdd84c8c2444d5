// SPDX-License-Identifier: GPL-2.0-or-later
//
// NOP, Text, Logout, asynchronous messages.

#include <algorithm>

#include "target.h"

namespace hawser::target {

void Connection::take_nop_out(const Pdu& pdu) {
    if (pdu.itt() == wire::k_reserved_tag) return;  // the answer to a ping of ours
    wire::NopIn answer;
    answer.initiator_task_tag = pdu.itt();
    answer.target_transfer_tag = wire::k_reserved_tag;
    Bytes echo = pdu.data;
    if (echo.size() > keys.initiator_max_recv) echo.resize(keys.initiator_max_recv);
    send(make_pdu(answer, echo), true);
}

// 11.10: pieces with C are gathered; an answer too long for one PDU is fetched piece by piece.
void Connection::take_text(const Pdu& pdu) {
    const auto& request = pdu.as<wire::TextRequest>();
    if (request.target_transfer_tag.get() != wire::k_reserved_tag && !text_out.empty())
        return send_text_piece(pdu.itt());
    text_in.insert(text_in.end(), pdu.data.begin(), pdu.data.end());
    if (request.flags & wire::TextRequest::k_continue) {
        wire::TextResponse response;
        response.initiator_task_tag = pdu.itt();
        response.target_transfer_tag = next_ttt++;
        return send(make_pdu(response), true);
    }
    text_out = write_text(answer_text(read_text(text_in)));
    text_in.clear();
    send_text_piece(pdu.itt());
}

void Connection::send_text_piece(uint32_t itt) {
    const size_t length = std::min<size_t>(text_out.size(), keys.initiator_max_recv);
    const Bytes piece(text_out.begin(), text_out.begin() + static_cast<long>(length));
    text_out.erase(text_out.begin(), text_out.begin() + static_cast<long>(length));
    wire::TextResponse response;
    response.flags = text_out.empty() ? wire::k_final : wire::TextRequest::k_continue;
    response.initiator_task_tag = itt;
    response.target_transfer_tag = text_out.empty() ? wire::k_reserved_tag : next_ttt++;
    send(make_pdu(response, piece), true);
}

Pairs Connection::answer_text(const Pairs& in) {
    Pairs out;
    for (const auto& [key, value] : in) {
        if (key == "SendTargets") {
            const bool ours = value == target.settings.name || (value.empty() && !discovery);
            if (!ours && !(value == "All" && discovery)) continue;
            out.emplace_back("TargetName", target.settings.name);
            for (const std::string& address : target.settings.addresses)
                out.emplace_back("TargetAddress",
                                 address + "," + std::to_string(target.settings.portal_group_tag));
        } else if (key == "MaxRecvDataSegmentLength") {
            keys.store(key, value, true);
            out.emplace_back(key, std::to_string(keys.target_max_recv));
        } else if (find_rule(key) != nullptr) {
            out.emplace_back(key, "Reject");
        } else {
            out.emplace_back(key, "NotUnderstood");
        }
    }
    return out;
}

// 11.14: reason 0 ends the session, 1 a connection, 2 removes one for recovery.
void Connection::take_logout(const Pdu& pdu) {
    const auto& request = pdu.as<wire::LogoutRequest>();
    const uint8_t reason = request.reason & 0x7f;
    const uint16_t of = request.cid.get();
    wire::LogoutResponse response;
    response.initiator_task_tag = pdu.itt();
    response.time2wait = static_cast<uint16_t>(session->keys.time2wait_s);
    response.time2retain = static_cast<uint16_t>(session->keys.time2retain_s);
    const auto found = session->connections.find(of);
    Connection* other = found == session->connections.end() ? nullptr : found->second;
    if (reason == 2 && session->keys.error_recovery_level < 2) response.response = 2;
    if (reason == 2 && session->keys.error_recovery_level == 2) {
        // Its tasks wait for their reassignment from now on.
        if (other == this)
            response.response = 3;
        else if (other != nullptr)
            target.lose_connection(*other);
        else if (session->lost.find(of) == session->lost.end())
            response.response = 1;
        if (other != nullptr && other != this) other->resetting = true;
    } else if (reason == 1 && other == nullptr) {
        response.response = 1;  // CID not found
    }
    if (reason == 1 && other == this) logging_out = true;
    send(make_pdu(response), true);
    if (closed || response.response != 0) return;
    if (reason == 0) return target.drop_session(*session);
    if (reason != 1) return;
    other->logging_out = true;
    other->closing = true;
}

void Connection::send_async(uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3) {
    wire::AsyncMessage message;
    message.async_event = event;
    message.parameter1 = p1;
    message.parameter2 = p2;
    message.parameter3 = p3;
    send(make_pdu(message), true);
}

}  // namespace hawser::target
