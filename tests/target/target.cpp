// SPDX-License-Identifier: GPL-2.0-or-later
//
// The target as a whole: connections come and go, time passes.

#include "target.h"

#include <algorithm>

namespace hawser::target {

Target::Target(Settings settings_given, std::span<uint8_t> memory)
    : settings(std::move(settings_given)), disk(memory, "HAWSER0001") {}

uint32_t Target::open(uint64_t now) {
    now_ms = now;
    const uint32_t id = static_cast<uint32_t>(connections.size());
    connections.push_back(std::make_unique<Connection>(*this, id));
    connections.back()->stat_sn = settings.first_stat_sn + id * 1000;
    if (observer != nullptr) observer->opened(id, now);
    return id;
}

Connection* Target::find(uint32_t connection) {
    return connection < connections.size() ? connections[connection].get() : nullptr;
}

void Target::handle_received(uint32_t connection, std::span<const uint8_t> bytes, uint64_t now) {
    now_ms = now;
    connections[connection]->receive(bytes);
}

void Target::handle_closed(uint32_t connection, uint64_t now) {
    now_ms = now;
    Connection& one = *connections[connection];
    if (one.closed) return;
    if (observer != nullptr) observer->closed(connection, true, now);
    lose_connection(one);
}

Bytes Target::take_output(uint32_t connection) {
    Connection& one = *connections[connection];
    if (one.out.empty() || one.resetting || one.silent_until_ms > now_ms) return {};
    Bytes bytes = std::move(one.out.front());
    one.out.pop_front();
    return bytes;
}

bool Target::wants_close(uint32_t connection) const {
    const Connection& one = *connections[connection];
    return one.resetting || (one.closing && one.out.empty());
}

bool Target::wants_reset(uint32_t connection) const {
    return connections[connection]->resetting;
}

uint64_t Target::poll_timeout() const {
    uint64_t deadline_ms = k_never;
    for (const auto& [tsih, session] : sessions) {
        for (const auto& [cid, until_ms] : session->lost)
            deadline_ms = std::min(deadline_ms, until_ms);
        for (const auto& [itt, task] : session->tasks)
            for (const Burst& burst : task->bursts)
                deadline_ms = std::min(deadline_ms, burst.deadline_ms);
    }
    for (const auto& connection : connections)
        if (!connection->closed && connection->silent_until_ms > now_ms)
            deadline_ms = std::min(deadline_ms, connection->silent_until_ms);
    return deadline_ms;
}

void Target::handle_timeout(uint64_t now) {
    now_ms = now;
    std::vector<uint16_t> over;
    for (auto& [tsih, session] : sessions) {
        for (auto next = session->lost.begin(); next != session->lost.end();) {
            if (next->second > now) {
                ++next;
                continue;
            }
            forget_tasks(*session, next->first, nullptr);
            next = session->lost.erase(next);
        }
        if (session->connections.empty() && session->lost.empty()) over.push_back(tsih);
    }
    for (uint16_t tsih : over) sessions.erase(tsih);
    for (const auto& connection : connections) {
        if (!connection->closed) connection->check_bursts(now);
        // What came in the silence is read now.
        if (!connection->closed && connection->silent_until_ms <= now) connection->receive({});
    }
}

}  // namespace hawser::target
