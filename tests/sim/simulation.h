// SPDX-License-Identifier: GPL-2.0-or-later
//
// One seed: a session under load and faults, then peace, in which everything has to come right:
// every command answered, every block as acknowledged, a Logout, every socket closed.

#pragma once

#include <map>
#include <string>

#include "host.h"
#include "target.h"

namespace hawser::sim {

struct Outcome {
    bool held = true;
    std::string violation;  // with its time
    uint64_t hash = 0;      // of everything that happened
    uint64_t virtual_us = 0;
    uint64_t events = 0;
    uint64_t longest_us = 0;  // a command took
    std::map<std::string, uint64_t> counts;
};

class Simulation {
public:
    Simulation(uint64_t seed, Canary canary, bool verbose);
    Outcome run();

private:
    void load();
    void fault();
    void fault_of_link();
    void fault_of_target();
    void fault_of_noise();
    void take_lun_away(uint64_t duration_us);
    void change_disk(uint64_t duration_us);
    void say_async(TargetConnection& connection);
    void pings();
    void manage();
    void run_all();
    void wait_for(const char* rule, uint64_t bound_us, const std::function<bool()>& done);
    void final_check();

    World m_world;
    Scenario m_scenario;
    Target m_target;
    Network m_network;
    Workload m_workload;
    Host m_host;
    bool m_peace = false;
};

}  // namespace hawser::sim
