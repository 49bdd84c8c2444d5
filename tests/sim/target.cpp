// SPDX-License-Identifier: GPL-2.0-or-later
//
// The model target as a whole: who is let in, its window, its restarts.

#include "target.h"

#include <algorithm>

namespace hawser::sim {

Target::Target(World& world, const Scenario& scenario)
    : world(world), scenario(scenario), disk(size_t{scenario.blocks} * k_block_bytes) {}

Endpoint* Target::accept(Link& link) {
    connections.push_back(std::make_unique<TargetConnection>(*this, link));
    const uint32_t anywhere = static_cast<uint32_t>(world.random.next());
    const uint32_t before = scenario.before_wrap;
    connections.back()->stat_sn = before != 0 ? 0u - (1 + anywhere % before) : anywhere;
    return connections.back().get();
}

// MaxCmdSN only ever rises; a shut window leaves it where it is.
void Target::open_window(TargetSession& session) {
    const uint32_t maximum = session.exp_cmd_sn + scenario.window - 1;
    if (scenario.canary == Canary::PlainNumbers && maximum < session.exp_cmd_sn) return;
    if (!session.window_shut && wire::CmdSn(session.max_cmd_sn).precedes(wire::CmdSn(maximum)))
        session.max_cmd_sn = maximum;
}

void Target::shut_window(bool shut) {
    for (auto& [tsih, session] : sessions) {
        session->window_shut = shut;
        if (shut || session->dead) continue;
        // Opened again without a command to answer: a NOP-In tells.
        for (auto& [cid, connection] : session->connections) {
            wire::NopIn pdu;
            pdu.initiator_task_tag = wire::k_reserved_tag;
            pdu.target_transfer_tag = wire::k_reserved_tag;
            connection->send(pdu, false);
            break;
        }
    }
}

bool Target::has_live_tasks(const TargetSession& session) const {
    for (const auto& task : backend) {
        if (task->session == &session && task->landings != 0 && task->cancel_us > world.now_us())
            return true;
    }
    return false;
}

TargetConnection* Target::any_logged_in() {
    std::vector<TargetConnection*> found;
    for (auto& connection : connections) {
        if (connection->logged_in && !connection->is_closed) found.push_back(connection.get());
    }
    return found.empty() ? nullptr : found[world.random.next() % found.size()];
}

// LIO at ErrorRecoveryLevel 0: all connections of the session go, each when its commands are done.
void Target::lose_session_in_lio_manner(TargetSession& session) {
    session.dead = true;
    const auto those = session.connections;
    for (const auto& [cid, connection] : those) connection->finish_then_close(0);
}

// Everything but the disk is forgotten; nobody gets a FIN.
void Target::restart() {
    world.log("target restarts");
    crash_backend();
    for (auto& [tsih, session] : sessions) {
        session->dead = true;
        end_suspended(*session, 0);
    }
    for (auto& connection : connections) {
        if (connection->is_closed) continue;
        connection->end_tasks(0);
        connection->close(true);
    }
}

}  // namespace hawser::sim
