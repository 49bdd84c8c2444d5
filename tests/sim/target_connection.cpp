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
    while (!closing && in.size() - begin >= wire::k_bhs_bytes) {
        const auto& header = *reinterpret_cast<const wire::Bhs*>(in.data() + begin);
        const uint32_t data = header.data_segment_length.get();
        const size_t ahs = header.total_ahs_length * 4u;
        const size_t whole = wire::k_bhs_bytes + ahs + (data + 3) / 4 * 4;
        const uint32_t allowed = logged_in ? target.scenario.target_segment : 8192;
        target.world.require(data <= allowed, "a segment within MaxRecvDataSegmentLength");
        if (in.size() - begin < whole) break;
        const auto at = in.begin() + static_cast<long>(begin);
        const auto text = at + static_cast<long>(wire::k_bhs_bytes + ahs);
        const Pdu pdu{Bytes(at, at + wire::k_bhs_bytes), Bytes(text, text + data)};
        begin += whole;
        handle(pdu);
    }
    if (is_closed) return;
    in.erase(in.begin(), in.begin() + static_cast<long>(begin));
}

// ExpStatSN and CmdSN, which every request has at the same places (Data-Out has no CmdSN).
void TargetConnection::check_numbers(const Pdu& pdu) {
    const auto& header = pdu.as<wire::ScsiCommand>();
    World& world = target.world;
    const wire::StatSn seen(header.exp_stat_sn.get());
    world.require(wire::StatSn(acknowledged).precedes_or_equals(seen), "ExpStatSN does not fall");
    world.require(seen.precedes_or_equals(wire::StatSn(stat_sn)), "ExpStatSN is what was sent");
    acknowledged = seen.value();
    if (pdu.kind() == wire::Opcode::DataOut) return;
    const wire::CmdSn cmd_sn(header.cmd_sn.get());
    const bool immediate = header.opcode & wire::k_immediate;
    if (has_cmd_sn) {
        const wire::CmdSn last(last_cmd_sn);
        world.require(immediate ? last.precedes_or_equals(cmd_sn) : last.precedes(cmd_sn),
                      "CmdSN rises on each connection");
    }
    if (immediate) return;
    has_cmd_sn = true;
    last_cmd_sn = cmd_sn.value();
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
    check_numbers(pdu);
    switch (pdu.kind()) {
        case wire::Opcode::ScsiCommand:
            return take_command(pdu);
        case wire::Opcode::DataOut:
            return take_data_out(pdu);
        case wire::Opcode::NopOut:
            return take_nop(pdu);
        case wire::Opcode::LogoutRequest:
            return take_logout(pdu);
        case wire::Opcode::TextRequest:
            return take_text(pdu);
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
    wire::NopIn answer;
    answer.initiator_task_tag = nop.initiator_task_tag.get();
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
    pdu.parameter3 = 10;
    send(pdu, true);
}

void TargetConnection::take_logout(const Pdu& pdu) {
    const auto& request = pdu.as<wire::LogoutRequest>();
    const uint8_t reason = request.reason & 0x7f;
    target.world.require(reason == 0 || request.cid.get() == cid, "each closes itself");
    for (const auto& [itt, task] : tasks)
        target.world.require(task->gone, "a Logout waits for its commands");
    wire::LogoutResponse answer;
    answer.initiator_task_tag = request.initiator_task_tag.get();
    send(answer, true);
    target.world.counts["logouts"]++;
    session->connections.erase(cid);
    if (reason == 0) session->dead = true;
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
    if (lost != nullptr && logged_in && lio && !lost->dead)
        target.lose_session_in_lio_manner(*lost);
}

// Commands that have come whole are carried out and answered; then the connection closes.
void TargetConnection::finish_then_close(uint64_t delay_us) {
    closing = true;
    bool waits = false;
    for (const auto& [itt, task] : tasks) waits = waits || (task->executing && !task->gone);
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
