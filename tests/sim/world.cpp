// SPDX-License-Identifier: GPL-2.0-or-later
//
// Virtual time and the log.

#include "world.h"

#include <fmt/format.h>

#include <cstdio>

namespace hawser::sim {

bool World::step(uint64_t until_us) {
    const auto first = m_events.begin();
    if (first == m_events.end() || first->first.first > until_us) {
        m_now_us = until_us;
        return false;
    }
    m_now_us = first->first.first;
    const std::function<void()> act = std::move(first->second);
    m_events.erase(first);
    m_count++;
    act();
    return true;
}

void World::log(const std::string& line) {
    for (const char c : line) m_hash = (m_hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
    m_hash = (m_hash ^ m_now_us) * 0x100000001b3ull;
    if (m_verbose) fmt::print("{:>12.3f} ms  {}\n", static_cast<double>(m_now_us) / 1000, line);
}

void World::violate(const std::string& rule) {
    throw Violation(fmt::format("at {:.3f} s: {}", static_cast<double>(m_now_us) / 1e6, rule));
}

}  // namespace hawser::sim
