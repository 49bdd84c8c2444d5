// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a simulated world is made of: virtual time, chance from a seed, a log of everything that
// happens, and the end of a run that broke a rule. Nothing else in here knows what time it is, and
// nothing else throws dice: so a seed replays to the byte, and the log's hash proves it.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hawser::sim {

using Bytes = std::vector<uint8_t>;

// A rule that did not hold.
struct Violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// splitmix64: small, fast, the same everywhere.
class Random {
public:
    explicit Random(uint64_t seed) : m_state(seed) {}

    uint64_t next() {
        m_state += 0x9e3779b97f4a7c15ull;
        uint64_t z = m_state;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        return z ^ z >> 31;
    }
    // From low to high, both included.
    uint64_t between(uint64_t low, uint64_t high) { return low + next() % (high - low + 1); }
    bool chance(uint32_t percent) { return next() % 100 < percent; }
    template <typename T, size_t N>
    const T& pick(const T (&values)[N]) {
        return values[next() % N];
    }

private:
    uint64_t m_state;
};

class World {
public:
    World(uint64_t seed, bool verbose) : random(seed), m_verbose(verbose) {}

    uint64_t now_us() const { return m_now_us; }
    // The clock that the engine sees; it never starts at 0.
    uint64_t now_ms() const { return ms_of(m_now_us); }
    static uint64_t ms_of(uint64_t us) { return 1000 + us / 1000; }

    void after(uint64_t delay_us, std::function<void()> act) {
        m_events.emplace(std::pair(m_now_us + delay_us, m_sequence++), std::move(act));
    }
    // The next event; false when there is none until then, and then it is that time.
    bool step(uint64_t until_us);

    // Adds to the hash, and prints with --log.
    void log(const std::string& line);
    uint64_t hash() const { return m_hash; }
    uint64_t events() const { return m_count; }

    [[noreturn]] void violate(const std::string& rule);
    void require(bool holds, const char* rule) {
        if (!holds) violate(rule);
    }

    Random random;
    std::map<std::string, uint64_t> counts;  // faults and facts by class

private:
    std::map<std::pair<uint64_t, uint64_t>, std::function<void()>> m_events;
    uint64_t m_now_us = 0;
    uint64_t m_sequence = 0;
    uint64_t m_count = 0;
    uint64_t m_hash = 0xcbf29ce484222325ull;
    bool m_verbose;
};

}  // namespace hawser::sim
