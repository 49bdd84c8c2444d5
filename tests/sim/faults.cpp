// SPDX-License-Identifier: GPL-2.0-or-later
//
// What goes wrong in a simulated world. Each kind is counted under its name.

#include <fmt/format.h>

#include "simulation.h"

namespace hawser::sim {

void Simulation::fault() {
    if (m_peace) return;
    Random& random = m_world.random;
    const uint64_t mean_us = m_scenario.fault_every_us;
    m_world.after(random.between(mean_us / 4, mean_us * 2), [this] { fault(); });
    if (random.chance(60)) return fault_of_link();
    fault_of_target();
}

void Simulation::fault_of_link() {
    Random& random = m_world.random;
    const std::vector<Link*> open = m_network.open_links();
    if (open.empty()) return;
    Link& link = *open[random.next() % open.size()];
    const uint64_t duration_us = random.between(100000, 20000000);
    auto count = [&](const char* name) {
        m_world.counts[std::string("fault: ") + name]++;
        m_world.log(fmt::format("fault: {} (link {})", name, link.id()));
    };
    switch (random.next() % 5) {
        case 0:
        case 1:
            count("connection reset");
            return link.break_up();
        case 2:
            count("connection silent");
            link.set_silent(true);
            return m_world.after(duration_us, [&link] { link.set_silent(false); });
        case 3: {
            count("all connections silent");
            for (Link* each : open) each->set_silent(true);
            for (PortalState& state : m_network.portals) state = PortalState::Unreachable;
            return m_world.after(duration_us, [this] { m_network.heal(); });
        }
        default: {
            count("portal refuses");
            const uint32_t portal = link.portal();
            m_network.portals[portal] = PortalState::Refusing;
            link.break_up();
            return m_world.after(duration_us,
                                 [this, portal] { m_network.portals[portal] = PortalState::Up; });
        }
    }
}

void Simulation::fault_of_target() {
    Random& random = m_world.random;
    const uint64_t duration_us = random.between(100000, 10000000);
    TargetConnection* connection = m_target.any_logged_in();
    auto count = [&](const char* name) {
        m_world.counts[std::string("fault: ") + name]++;
        m_world.log(fmt::format("fault: {}", name));
    };
    switch (random.next() % 6) {
        case 0: {
            count("target restarts");
            m_target.restart();
            const PortalState down =
                random.chance(50) ? PortalState::Refusing : PortalState::Unreachable;
            for (PortalState& state : m_network.portals) state = down;
            return m_world.after(duration_us, [this] { m_network.heal(); });
        }
        case 1:
            count("target closes a connection");
            if (connection != nullptr) connection->finish_then_close(0);
            return;
        case 2:
            count("window shut");
            m_target.shut_window(true);
            return m_world.after(duration_us, [this] { m_target.shut_window(false); });
        case 3:
            count("target busy");
            m_target.busy_until_us = m_world.now_us() + duration_us;
            return;
        case 4:
            count("ping");
            if (connection != nullptr) connection->ping();
            return;
        default:
            count("asynchronous message");
            if (connection != nullptr) say_async(*connection);
    }
}

// RFC 7143 11.9.1, and what a target does after saying so.
void Simulation::say_async(TargetConnection& connection) {
    const uint8_t event = static_cast<uint8_t>(m_world.random.between(0, 4));
    const uint16_t wait_s = static_cast<uint16_t>(m_scenario.time2wait_s);
    connection.async(event, event == 2 ? connection.cid : uint16_t{0}, wait_s);
    TargetSession& session = *connection.session;
    if (event == 2) connection.finish_then_close(0);
    if (event == 3) {
        session.dead = true;
        const auto those = session.connections;
        for (const auto& [cid, each] : those) each->finish_then_close(0);
    }
    if (event != 1) return;
    // Parameter3 seconds to log out; who does not is closed.
    m_world.after(10000000, [&connection] {
        if (!connection.is_closed) connection.finish_then_close(0);
    });
}

}  // namespace hawser::sim
