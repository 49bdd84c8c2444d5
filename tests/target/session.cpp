// SPDX-License-Identifier: GPL-2.0-or-later
//
// Sessions: the order of commands over all connections, and what becomes of a session whose
// connections go.

#include <algorithm>

#include "target.h"

namespace hawser::target {

Session& Target::create_session(Connection& leader, const wire::LoginRequest& request) {
    auto session = std::make_unique<Session>();
    std::copy_n(request.isid, 6, session->isid.begin());
    session->tsih = next_tsih++;
    session->initiator = leader.initiator;
    session->discovery = leader.discovery;
    session->keys = leader.keys;
    session->exp_cmd_sn = request.cmd_sn.get();
    session->max_cmd_sn = session->exp_cmd_sn - 1;
    if (settings.unit_attention) session->attention = k_reset_occurred;
    return *sessions.emplace(session->tsih, std::move(session)).first->second;
}

// MaxCmdSN only ever rises, 11.4.11.
void Target::open_window(Session& session) {
    const uint32_t maximum = session.exp_cmd_sn + settings.window - 1;
    if (precedes(session.max_cmd_sn, maximum)) session.max_cmd_sn = maximum;
}

// 4.2.2.1: commands begin in the order of CmdSN, whatever connection they came on.
void Target::order(Session& session) {
    const uint16_t tsih = session.tsih;
    for (auto next = session.early.find(session.exp_cmd_sn); next != session.early.end();
         next = session.early.find(session.exp_cmd_sn)) {
        const Early early = std::move(next->second);
        session.early.erase(next);
        session.exp_cmd_sn++;
        Connection& connection = *connections[early.connection];
        const auto task = session.tasks.find(early.pdu.itt());
        if (!connection.closed)
            connection.handle_ordered(early.pdu);
        else if (task != session.tasks.end())
            task->second->ordered = true;  // it waits for its reassignment
        if (sessions.find(tsih) == sessions.end()) return;
    }
}

// The tasks of a connection that is there no more; of: none, once it was lost at level 2.
void Target::forget_tasks(Session& session, uint16_t cid, const Connection* of) {
    std::erase_if(session.tasks, [&](const auto& one) {
        return one.second->cid == cid && one.second->connection == of;
    });
}

// The session is over: all its connections close.
void Target::drop_session(Session& session) {
    const auto those = session.connections;
    for (const auto& [cid, connection] : those) {
        connection->session = nullptr;
        connection->closing = true;
    }
    sessions.erase(session.tsih);
}

// The connection is gone. At level 2 its tasks wait for a reassignment.
void Target::lose_connection(Connection& connection) {
    connection.closed = true;
    connection.out.clear();
    Session* session = connection.session;
    connection.session = nullptr;
    if (session == nullptr) return;
    const auto found = session->connections.find(connection.cid);
    if (found != session->connections.end() && found->second == &connection)
        session->connections.erase(found);
    const bool recoverable = session->keys.error_recovery_level == 2 && !connection.logging_out &&
                             connection.phase == Connection::Phase::FullFeature;
    if (recoverable) {
        for (auto& [itt, task] : session->tasks)
            if (task->connection == &connection) {
                task->connection = nullptr;
                task->bursts.clear();
            }
        session->lost[connection.cid] =
            now_ms + 1000 * uint64_t{session->keys.time2wait_s + session->keys.time2retain_s};
        return;
    }
    forget_tasks(*session, connection.cid, &connection);
    if (session->connections.empty() && session->lost.empty()) sessions.erase(session->tsih);
}

void Target::wake() {
    for (auto& [tsih, session] : sessions) {
        const auto tasks = session->tasks;
        for (const auto& [itt, task] : tasks) {
            task->hung = false;
            if (task->connection != nullptr) task->connection->proceed(task);
        }
    }
}

void Target::resize(uint64_t bytes) {
    disk.resize(bytes / k_block_bytes);
    for (auto& [tsih, session] : sessions) session->attention = k_capacity_changed;
}

void Target::restart() {
    for (const auto& connection : connections) {
        if (connection->closed) continue;
        connection->session = nullptr;
        connection->resetting = true;
    }
    sessions.clear();
}

}  // namespace hawser::target
