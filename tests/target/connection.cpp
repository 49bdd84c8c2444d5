// SPDX-License-Identifier: GPL-2.0-or-later
//
// One connection: framing, numbering, who handles which PDU.

#include <algorithm>

#include "target.h"

namespace hawser::target {

using wire::Opcode;

void Connection::receive(std::span<const uint8_t> bytes) {
    if (closed) return;
    reader.take(bytes);
    if (silent_until_ms > target.now_ms) return;
    while (!closing && !closed) {
        auto pdu = reader.next();
        if (!pdu) break;
        if (target.observer != nullptr) target.observer->from_initiator(id, *pdu, target.now_ms);
        if (target.filter != nullptr && target.filter->incoming(id, *pdu)) continue;
        handle(*pdu);
    }
    if (!reader.broken() || closing) return;
    const std::string how =
        reader.header_damaged() ? "header digest mismatch" : "a data segment without end";
    target.log("connection " + std::to_string(id) + ": " + how);
    if (target.observer != nullptr) target.observer->damaged_stream(id, how);
    resetting = true;
}

// RFC 7143 7.2.1, 7.3: what a data digest error costs.
void Connection::handle(const Pdu& pdu) {
    if (phase != Phase::FullFeature) {
        if (pdu.kind() == Opcode::LoginRequest) return take_login(pdu);
        return close();
    }
    if (session == nullptr) return close();
    if (pdu.data_damaged) {
        reject(pdu, 0x02);
        if (pdu.kind() != Opcode::DataOut) return;
    }
    take_exp_stat_sn(pdu.word(28));
    switch (pdu.kind()) {
        case Opcode::DataOut:
            return take_data_out(pdu);
        case Opcode::Snack:
            return take_snack(pdu);
        case Opcode::LoginRequest:
            return close();
        case Opcode::ScsiCommand:
            take_command(pdu);
            break;
        default:
            break;
    }
    if (pdu.immediate()) return handle_ordered(pdu);
    // 4.2.2.1: outside of the window, or seen before: silently ignored.
    const uint32_t cmd_sn = pdu.word(24);
    if (precedes(cmd_sn, session->exp_cmd_sn) || precedes(session->max_cmd_sn, cmd_sn)) return;
    session->early.emplace(cmd_sn, Early{id, pdu});
    target.order(*session);
}

// Its turn has come.
void Connection::handle_ordered(const Pdu& pdu) {
    switch (pdu.kind()) {
        case Opcode::ScsiCommand: {
            auto task = find_task(pdu.itt());
            if (task == nullptr) return;
            task->ordered = true;
            return proceed(task);
        }
        case Opcode::NopOut:
            return take_nop_out(pdu);
        case Opcode::TaskManagementRequest:
            return take_task_management(pdu);
        case Opcode::TextRequest:
            return take_text(pdu);
        case Opcode::LogoutRequest:
            return take_logout(pdu);
        default:
            return reject(pdu, 0x05);
    }
}

std::shared_ptr<Task> Connection::find_task(uint32_t itt) const {
    if (session == nullptr) return nullptr;
    const auto found = session->tasks.find(itt);
    return found == session->tasks.end() ? nullptr : found->second;
}

// What was acknowledged need not be kept; nor a task whose status was.
void Connection::take_exp_stat_sn(uint32_t exp_stat_sn) {
    if (precedes(stat_sn, exp_stat_sn)) return;  // more than was sent: the judge says so
    acknowledged = exp_stat_sn;
    std::erase_if(sent, [&](const auto& one) { return precedes(one.first, exp_stat_sn); });
    std::erase_if(session->tasks, [&](const auto& one) {
        const Task& task = *one.second;
        return task.connection == this && task.status_sent && precedes(task.stat_sn, exp_stat_sn);
    });
}

// The numbers that a PDU carries when it is sent, whenever it was made.
void Connection::refresh(Pdu& pdu) {
    if (session == nullptr) return;
    target.open_window(*session);
    auto& numbering = pdu.as<wire::TargetNumbering>();
    numbering.exp_cmd_sn = session->exp_cmd_sn;
    numbering.max_cmd_sn = session->max_cmd_sn;
}

void Connection::send(Pdu pdu, bool counts) {
    if (closed) return;
    auto& numbering = pdu.as<wire::TargetNumbering>();
    const bool data_without_status =
        pdu.kind() == Opcode::DataIn && (pdu.header[1] & wire::DataIn::k_status) == 0;
    if (!data_without_status) numbering.stat_sn = stat_sn;
    refresh(pdu);
    if (counts && phase == Phase::FullFeature && keys.error_recovery_level > 0) sent[stat_sn] = pdu;
    if (counts) stat_sn++;
    if (target.filter != nullptr && target.filter->outgoing(id, pdu)) return;
    emit(pdu);
}

// Onto the wire. The last Login Response turns the digests on.
void Connection::emit(const Pdu& pdu, Damage damage, uint32_t piece) {
    if (closed) return;
    Bytes bytes = encode(pdu, digests, damage);
    const bool damaged = damage.header || damage.data;
    if (!damaged && target.observer != nullptr)
        target.observer->to_initiator(id, pdu, target.now_ms);
    while (piece != 0 && bytes.size() > piece) {
        out.emplace_back(bytes.begin(), bytes.begin() + piece);
        bytes.erase(bytes.begin(), bytes.begin() + piece);
    }
    out.push_back(std::move(bytes));
    if (pdu.kind() != Opcode::LoginResponse || phase != Phase::FullFeature) return;
    digests = {keys.header_digest, keys.data_digest};
    reader.digests = digests;
}

// 11.17
void Connection::reject(const Pdu& bad, uint8_t reason) {
    target.counters.rejects++;
    wire::Reject pdu;
    pdu.reason = reason;
    send(make_pdu(pdu, bad.header), true);
}

}  // namespace hawser::target
