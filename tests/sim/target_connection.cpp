// SPDX-License-Identifier: GPL-2.0-or-later
//
// One connection at the model target: framing, numbers, NOP, Logout, and its end.

#include <fmt/format.h>

#include <algorithm>

#include "target.h"

namespace hawser::sim {

void TargetConnection::handle_bytes(Link&, const Bytes& bytes) {
    if (closing || is_closed) return;
    in.insert(in.end(), bytes.begin(), bytes.end());
    size_t begin = 0;
    while (take_pdu(begin)) continue;
    if (is_closed) return;
    in.erase(in.begin(), in.begin() + static_cast<long>(begin));
}

// rule 6, rule 52: a status that did not arrive, or whose data did not, is not acknowledged.
void TargetConnection::check_acknowledged(wire::StatSn seen) {
    World& world = target.world;
    for (const uint32_t lost : lost_statuses)
        world.require(!wire::StatSn(lost).precedes(seen),
                      "no status is acknowledged that was lost");
    std::erase_if(kept, [&](const auto& one) { return wire::StatSn(one.first).precedes(seen); });
    std::erase_if(tasks, [&](const auto& one) {
        const TargetTask& task = *one.second;
        if (!task.answered || !wire::StatSn(task.stat_sn).precedes(seen)) return false;
        world.require(task.lost_data.empty(), "no status is acknowledged whose data is missing");
        return true;
    });
}

// ExpStatSN and CmdSN, which every request has at the same places (Data-Out has no CmdSN).
void TargetConnection::check_numbers(const Pdu& pdu) {
    const auto& header = pdu.as<wire::ScsiCommand>();
    World& world = target.world;
    const wire::StatSn seen(header.exp_stat_sn.get());
    // rule 6
    world.require(wire::StatSn(acknowledged).precedes_or_equals(seen), "ExpStatSN does not fall");
    world.require(seen.precedes_or_equals(wire::StatSn(stat_sn)), "ExpStatSN is what was sent");
    acknowledged = seen.value();
    if (level() > 0) check_acknowledged(seen);
    if (pdu.kind() == wire::Opcode::DataOut || pdu.kind() == wire::Opcode::Snack) return;
    const wire::CmdSn cmd_sn(header.cmd_sn.get());
    const bool immediate = header.opcode & wire::k_immediate;
    // rule 54: a number that plugs a gap, or one of what came already, which is ignored.
    const bool again = !immediate && level() > 0 &&
                       (cmd_sn.precedes(wire::CmdSn(session->exp_cmd_sn)) ||
                        (has_cmd_sn && !wire::CmdSn(last_cmd_sn).precedes(cmd_sn)));
    if (again) {
        world.counts["ERL 1: commands sent again"]++;
        return;
    }
    // rule 2
    if (has_cmd_sn) {
        const wire::CmdSn last(last_cmd_sn);
        world.require(immediate ? last.precedes_or_equals(cmd_sn) : last.precedes(cmd_sn),
                      "CmdSN rises on each connection");
    }
    if (immediate) return;
    if (target.scenario.defect == Defect::RefusesLower && refuses(cmd_sn)) return;
    has_cmd_sn = true;
    last_cmd_sn = cmd_sn.value();
    // rule 1, rule 3
    world.require(cmd_sn.precedes_or_equals(wire::CmdSn(session->max_cmd_sn)),
                  "no command beyond MaxCmdSN");
    world.require(!cmd_sn.precedes(wire::CmdSn(session->exp_cmd_sn)), "no CmdSN twice");
}

void TargetConnection::handle(const Pdu& pdu) {
    if (!logged_in) {
        target.world.require(pdu.kind() == wire::Opcode::LoginRequest, "only logins in login");
        return take_login(pdu);
    }
    if (session->dead) return;
    const wire::Opcode kind = pdu.kind();
    const bool lost = is_lost(pdu);
    if (lost && kind != wire::Opcode::DataOut) return;
    if (!lost) check_numbers(pdu);
    const bool damaged = !lost && is_damaged(pdu);
    if (damaged) reject(pdu, wire::Reject::k_data_digest_error);
    if (is_closed) return;
    switch (kind) {
        case wire::Opcode::ScsiCommand:
            return damaged || rejects_command(pdu) ? void() : take_command(pdu);
        case wire::Opcode::DataOut:
            return take_data_out(pdu, lost, damaged);
        case wire::Opcode::NopOut:
            return take_nop(pdu);
        case wire::Opcode::LogoutRequest:
            return take_logout(pdu);
        case wire::Opcode::TextRequest:
            return take_text(pdu);
        case wire::Opcode::Snack:
            return take_snack(pdu);
        case wire::Opcode::TaskManagementRequest:
            return take_management(pdu);
        default:
            target.world.violate("only requests that were agreed on");
    }
}

void TargetConnection::take_nop(const Pdu& pdu) {
    const auto& nop = pdu.as<wire::NopOut>();
    if (nop.initiator_task_tag.get() == wire::k_reserved_tag) {
        target.world.require(nop.target_transfer_tag.get() == ping_ttt && ping_ttt != 0,
                             "a NOP-Out answers our ping");
        ping_ttt = 0;
        return;
    }
    if ((nop.opcode & wire::k_immediate) == 0) return order_nop(nop);
    answer_nop(nop.initiator_task_tag.get());
}

void TargetConnection::answer_nop(uint32_t itt) {
    wire::NopIn answer;
    answer.initiator_task_tag = itt;
    answer.target_transfer_tag = wire::k_reserved_tag;
    send(answer, true);
}

// Only a negotiation that was asked for, and nothing to negotiate. // rule 30
void TargetConnection::take_text(const Pdu& pdu) {
    const auto& request = pdu.as<wire::TextRequest>();
    target.world.require(announced && request.flags == wire::k_final && pdu.data.empty(),
                         "a Text Request answers event 4");
    wire::TextResponse answer;
    answer.flags = wire::k_final;
    answer.initiator_task_tag = request.initiator_task_tag.get();
    send(answer, true);
}

void TargetConnection::ping() {
    if (!logged_in || is_closed || closing || ping_ttt != 0) return;
    ping_ttt = 0x4000 + stat_sn % 0x1000;
    wire::NopIn pdu;
    pdu.initiator_task_tag = wire::k_reserved_tag;
    pdu.target_transfer_tag = ping_ttt;
    send(pdu, false);
}

void TargetConnection::async(uint8_t event, uint16_t parameter1, uint16_t wait_s) {
    announced = true;
    wire::AsyncMessage pdu;
    pdu.async_event = event;
    pdu.parameter1 = parameter1;
    pdu.parameter2 = wait_s;
    const bool of_logout = event == 1 || event == 4;
    pdu.parameter3 = static_cast<uint16_t>(of_logout ? 10 : session->time2retain_s);
    send(pdu, true);
}

void TargetConnection::take_logout(const Pdu& pdu) {
    const auto& request = pdu.as<wire::LogoutRequest>();
    const uint8_t reason = request.reason & 0x7f;
    wire::LogoutResponse answer;
    answer.initiator_task_tag = request.initiator_task_tag.get();
    if (reason == wire::LogoutRequest::k_remove_for_recovery) {
        if (target.scenario.defect == Defect::LogoutUnanswered) return;
        answer.response = remove_for_recovery(request.cid.get());
        const bool waits = target.scenario.defect != Defect::NoTime2Wait;
        answer.time2wait = static_cast<uint16_t>(waits ? session->time2wait_s : 0);
        answer.time2retain = static_cast<uint16_t>(session->time2retain_s);
        return send(answer, true);
    }
    // rule 63
    target.world.require(request.cid.get() == cid, "each closes itself");
    for (const auto& [itt, task] : tasks)
        target.world.require(task->gone || task->answered || announced,
                             "a Logout that nobody hurries waits for its commands");
    logging_out = true;
    end_tasks(0);
    send(answer, true);
    target.world.counts["logouts"]++;
    session->connections.erase(cid);
    if (reason == 0) session->dead = true;
    if (reason == 0) target.end_suspended(*session, 0);
    closing = true;
    close(false);
}

void TargetConnection::handle_fin(Link&) {
    if (is_closed) return;
    if (!logged_in) return close(false);
    const bool lio = target.scenario.manners == Manners::Lio;
    finish_then_close(lio ? 2000000 : 0);
}

void TargetConnection::handle_reset(Link&) {
    if (is_closed) return;
    TargetSession* lost = session;
    const bool lio = target.scenario.manners == Manners::Lio;
    uint64_t linger_us = 0;
    if (link->was_cut()) linger_us = target.scenario.linger_us;
    if (link->was_abandoned() && !closing && !announced) linger_us = UINT64_MAX;
    end_tasks(lio ? UINT64_MAX : linger_us);
    close(true);
    if (lost != nullptr && logged_in && lio && !lost->dead && lost->level < 2)
        target.lose_session_in_lio_manner(*lost);
}

// Commands that have come whole are carried out and answered; then the connection closes.
void TargetConnection::finish_then_close(uint64_t delay_us) {
    closing = true;
    bool waits = false;
    for (const auto& [itt, task] : tasks)
        waits = waits || (task->executing && !task->finished && !task->gone && !task->forgotten);
    if (waits || delay_us != 0) {
        target.world.after(delay_us != 0 ? delay_us : 5000, [this] {
            if (!is_closed) finish_then_close(0);
        });
        return;
    }
    end_tasks(0);
    close(false);
}

// No task of this connection is answered any more; what is in the backend lands until linger_us.
void TargetConnection::end_tasks(uint64_t linger_us) {
    if (level() == 2 && logged_in && !session->dead && !logging_out) return suspend_tasks();
    if (target.scenario.canary == Canary::LateWrite) linger_us = UINT64_MAX;
    const uint64_t now_us = target.world.now_us();
    for (auto& [itt, task] : tasks) {
        task->gone = true;
        if (linger_us != UINT64_MAX)
            task->cancel_us = std::min(task->cancel_us, now_us + linger_us);
        if (session != nullptr) session->tags.erase(itt);
    }
    tasks.clear();
}

void TargetConnection::close(bool abortive) {
    if (is_closed) return;
    is_closed = true;
    link->close(k_target, abortive);
    if (session == nullptr) return;
    const auto found = session->connections.find(cid);
    if (found != session->connections.end() && found->second == this)
        session->connections.erase(found);
    target.world.log(fmt::format("target: connection {} of session {} closed", cid, session->tsih));
}

}  // namespace hawser::sim
