// SPDX-License-Identifier: GPL-2.0-or-later
//
// One seed from login to Logout.

#include "simulation.h"

#include <fmt/format.h>

namespace hawser::sim {

namespace {

Scenario scenario_of(World& world, Canary canary) {
    Scenario scenario(world.random);
    scenario.canary = canary;
    return scenario;
}

// For a run that hangs: what the target still has to do.
std::string describe_target(const Target& target) {
    std::string text;
    for (const auto& [tsih, session] : target.sessions) {
        if (session->dead) continue;
        text += fmt::format("target's session {}: level {}, {} suspended, {} early;", tsih,
                            session->level, session->suspended.size(), session->early.size());
        for (const auto& [cid, connection] : session->connections) {
            text += fmt::format(" connection {}: {} kept, {} lost;", cid, connection->kept.size(),
                                connection->lost_statuses.size());
            for (const auto& [itt, task] : connection->tasks)
                text += fmt::format(
                    " task {:x}: {}{}{}{}, {} of {} received, {} bursts, {} lost;", itt,
                    task->ordered ? "" : "waits ", task->executing ? "executing " : "",
                    task->finished ? "finished " : "", task->answered ? "answered" : "",
                    task->received, task->data.size(), task->bursts.size(), task->lost_data.size());
        }
    }
    return text;
}

// Once peace has come: longer than a drain, a login of each portal and the longest backoff
// together.
constexpr uint64_t k_bound_us = 120000000;

}  // namespace

Simulation::Simulation(uint64_t seed, Canary canary, bool verbose)
    : m_world(seed, verbose),
      m_scenario(scenario_of(m_world, canary)),
      m_target(m_world, m_scenario),
      m_network(m_world, m_target, m_scenario.portals),
      m_workload(m_world, m_scenario),
      m_host(m_world, m_network, m_workload, m_scenario) {
    m_network.path_bytes_per_ms = m_scenario.path_bytes_per_ms;
    m_target.watch = [this](uint32_t block, const uint8_t* bytes, bool lands) {
        m_workload.check_write(block, bytes, lands);
    };
    m_target.forgot = [this](uint32_t id) { m_host.note_forgotten(id); };
}

Outcome Simulation::run() {
    Outcome outcome;
    try {
        run_all();
    } catch (const Violation& violation) {
        outcome.held = false;
        outcome.violation = violation.what();
    }
    outcome.hash = m_world.hash();
    outcome.virtual_us = m_world.now_us();
    outcome.events = m_world.events();
    outcome.counts = m_world.counts;
    outcome.counts["operations acknowledged"] = m_workload.acknowledged();
    outcome.longest_us = m_host.longest_us();
    outcome.counts["ERL 0: sessions reinstated"] = m_host.snapshot().reinstatements;
    outcome.counts["ERL 2: connections recovered"] = m_host.snapshot().recoveries;
    return outcome;
}

void Simulation::load() {
    if (m_peace) return;
    m_world.after(m_world.random.between(1000, 60000), [this] { load(); });
    for (uint64_t burst = m_world.random.between(1, 4); burst != 0; burst--) {
        if (m_host.unfinished() >= 2u * m_scenario.queue_depth) return;
        if (auto operation = m_workload.next()) m_host.submit(std::move(operation));
    }
}

void Simulation::pings() {
    if (m_peace) return;
    m_world.after(3000000, [this] { pings(); });
    if (TargetConnection* connection = m_target.any_logged_in()) connection->ping();
}

// Like faults, but of the host's own making.
void Simulation::manage() {
    if (m_peace) return;
    const uint64_t mean_us = m_scenario.manage_every_us;
    m_world.after(m_world.random.between(mean_us / 4, mean_us * 2), [this] { manage(); });
    m_host.manage();
}

void Simulation::wait_for(const char* rule, uint64_t bound_us, const std::function<bool()>& done) {
    const uint64_t until_us = m_world.now_us() + bound_us;
    while (!done()) {
        if (!m_world.step(until_us))
            m_world.violate(fmt::format("{} within {} s: {} {}", rule, bound_us / 1000000,
                                        m_host.describe(), describe_target(m_target)));
    }
}

void Simulation::run_all() {
    m_host.start();
    load();
    pings();
    if (m_scenario.manage_every_us != 0)
        m_world.after(m_scenario.manage_every_us, [this] { manage(); });
    if (m_scenario.fault_every_us != 0)
        m_world.after(m_scenario.fault_every_us, [this] { fault(); });
    while (m_world.step(m_scenario.busy_us)) m_world.require(!m_host.ended(), "a session lasts");
    m_peace = true;
    m_network.heal();
    m_target.shut_window(false);
    m_target.busy_until_us = 0;
    m_target.noise = Noise::None;
    m_target.strange = m_target.lun_gone = m_target.foreign = false;
    m_world.log("peace");
    wait_for("every command is answered", k_bound_us, [this] { return m_host.unfinished() == 0; });
    wait_for("every function is answered", k_bound_us, [this] { return !m_host.is_managing(); });
    // What faults have still to come of themselves: a target that closes what it announced.
    const uint64_t until_us = m_world.now_us() + 12000000;
    while (m_world.step(until_us)) continue;
    final_check();
}

void Simulation::final_check() {
    while (auto operation = m_workload.next_of_final_check()) m_host.submit(std::move(operation));
    wait_for("all can be read at the end", k_bound_us, [this] { return m_host.unfinished() == 0; });
    wait_for("the session is whole at the end", k_bound_us, [this] { return m_host.is_whole(); });
    m_world.require(m_host.snapshot().own_mistakes == 0, "no mistake of our own");
    if (m_host.snapshot().fallback) {
        const bool right = m_scenario.defect == Defect::RefusesLower;
        m_world.counts[right ? "fallbacks to one connection" : "fallbacks without need"]++;
    }
    if (m_scenario.diet == Diet::ResetsOnly)
        m_world.require(m_host.snapshot().reinstatements == 0,
                        "ErrorRecoveryLevel 2 mends the loss of connections");
    if (m_scenario.path_bytes_per_ms != 0) {
        m_world.require(m_host.snapshot().reinstatements == 0,
                        "a path that is slow costs no connection");
        m_world.counts["sessions on slow paths"]++;
    }
    m_host.logout();
    wait_for("a Logout ends the session", k_bound_us, [this] { return m_host.ended(); });
    m_world.require(m_host.end_error() == HAWSER_ERROR_NONE, "a Logout in peace has no error");
    m_world.require(m_host.all_closed(), "ENDED means that every socket is closed");
    // Whatever still could land has had its time.
    const uint64_t until_us = m_world.now_us() + 10000000;
    while (m_world.step(until_us)) continue;
    m_workload.check_disk(m_target.disk);
}

}  // namespace hawser::sim
