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
    if (m_scenario.diet == Diet::NoiseOnly)
        return random.chance(70) ? fault_of_noise() : fault_of_target();
    if (m_scenario.diet == Diet::ResetsOnly) return fault_of_link();
    const uint64_t die = random.next() % 100;
    if (die < 50) return fault_of_link();
    die < 80 ? fault_of_target() : fault_of_noise();
}

// For a while PDUs are lost or damaged.
void Simulation::fault_of_noise() {
    Random& random = m_world.random;
    constexpr Noise k_kinds[] = {Noise::DropsOut, Noise::DropsIn, Noise::DamagesData,
                                 Noise::DamagesHeader};
    constexpr const char* k_names[] = {"target's PDUs are lost", "initiator's PDUs are lost",
                                       "data is damaged", "headers are damaged"};
    const size_t kinds = m_scenario.diet == Diet::NoiseOnly ? 3 : 4;
    const size_t kind = random.next() % kinds;
    m_world.counts[std::string("fault: ") + k_names[kind]]++;
    m_world.log(fmt::format("fault: {}", k_names[kind]));
    m_target.noise = k_kinds[kind];
    m_target.noise_percent = static_cast<uint32_t>(random.between(2, 12));
    m_world.after(random.between(100000, 2000000), [this] { m_target.noise = Noise::None; });
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
    switch (m_scenario.diet == Diet::ResetsOnly ? 0 : random.next() % 6) {
        case 0:
        case 1:
            count("connection reset");
            return link.break_up();
        case 5:
            count("connection silent one way");
            link.set_silent(random.chance(50) ? k_initiator : k_target, true);
            return m_world.after(duration_us, [&link] { link.set_silent(false); });
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
    // Where noise is all there is: nothing that ends a connection.
    const bool gentle = m_scenario.diet == Diet::NoiseOnly;
    switch (gentle ? random.between(2, 4) : random.next() % 8) {
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
        case 6:
            return m_scenario.lun_goes ? take_lun_away(duration_us) : void();
        case 7:
            return m_scenario.disk_changes ? change_disk(duration_us) : void();
        default:
            count("asynchronous message");
            if (connection != nullptr) say_async(*connection);
    }
}

// Unmapped at the target, while the session goes on; its first commands after that are told so.
void Simulation::take_lun_away(uint64_t duration_us) {
    m_world.counts["fault: the LUN is gone for a while"]++;
    m_world.log("fault: the LUN is gone");
    m_target.lun_gone = true;
    m_world.after(duration_us, [this] {
        m_target.lun_gone = false;
        m_target.attention_us = m_world.now_us() + 2000;
    });
}

// A new session finds another disk under the same name, and later the right one again.
void Simulation::change_disk(uint64_t duration_us) {
    m_world.counts["fault: another disk for a while"]++;
    m_world.log("fault: another disk");
    m_target.restart();
    m_target.foreign = true;
    m_world.after(duration_us, [this] { m_target.foreign = false; });
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
