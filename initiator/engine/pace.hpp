// SPDX-License-Identifier: GPL-2.0-or-later
// How much of its writes' data a connection may owe at once.
//
// Theory. A target that has asked for data (R2T) waits for it by a timer of its own (LIO: 3 s from
// the R2T, or from the last Data-Out of that command), and drops the connection when it runs out.
// What it may ask for grows with the commands that it has, what the path carries does not: 128
// commands of 256 KiB each on 15 Mbit/s are 18 seconds. So what is owed is bounded by time: bytes
// that the target may ask for at once, and those that lie in TCP, are together no more than the
// path has shown to carry in a second. Commands beyond that wait here, where no timer runs. One
// burst is always let go.
//
// What the path carries is measured by what TCP has got acknowledged. A sample is a lower bound: it
// may raise the allowance at any time. It lowers it only when there was data in TCP at each look,
// so that nothing but the path held it up. It begins with a MiB; while it is the allowance that
// limits, a sample makes it grow by a second over the time that the allowance took: a fast path is
// past it in a moment.
#pragma once

#include "abi/engine.h"

#include <cstdint>

namespace hawser {

class Pace {
public:
    void reset() { *this = {}; }

    // The target may ask for so much more, or less.
    void promise(uint32_t more) { m_promised += more; }
    void redeem(uint32_t less) { m_promised -= less; }

    // Bytes went to TCP. What a host does not tell the fate of counts as arrived.
    void transmitted(uint32_t bytes) {
        m_sent += bytes;
        if (m_told) m_queued += bytes;
    }

    bool admits(uint64_t bytes) const {
        const uint64_t owed = m_promised + m_queued;
        return owed <= k_negligible || owed + bytes <= m_allowance;
    }

    // Of what was transmitted, `queued` bytes are not acknowledged. `limits`: commands wait. Most
    // looks end at the first branch.
    void look(uint64_t queued, bool limits, uint64_t now_ms) {
        const bool busy = queued > k_negligible;
        const bool sampled = m_samples;
        m_told = true;
        m_queued = queued < m_sent ? queued : m_sent;
        m_samples = busy || limits;
        if (!sampled && !m_samples) return;
        if (!sampled) return begin_sample(busy, now_ms);
        m_busy = m_busy && busy;
        const uint64_t elapsed_ms = now_ms - m_sample_ms;
        if (elapsed_ms < k_sample_ms) return;
        adapt(carried_in(elapsed_ms));
        begin_sample(busy, now_ms);
    }

    uint64_t sent() const { return m_sent; }
    uint64_t acknowledged() const { return m_sent - m_queued; }
    bool is_told() const { return m_told; }

private:
    static constexpr uint32_t k_horizon_ms = 1000;
    static constexpr uint32_t k_sample_ms = 200;
    static constexpr uint64_t k_first_allowance = 1 << 20;
    static constexpr uint64_t k_negligible = 16384;

    void begin_sample(bool busy, uint64_t now_ms) {
        m_sample_ms = now_ms;
        m_sample_acknowledged = acknowledged();
        m_busy = busy;
    }

    // 32 bits each: there are hosts that cannot divide more.
    uint64_t carried_in(uint64_t elapsed_ms) const {
        const uint64_t bytes = acknowledged() - m_sample_acknowledged;
        const uint32_t dividend = bytes < UINT32_MAX ? static_cast<uint32_t>(bytes) : UINT32_MAX;
        const uint32_t divisor =
            elapsed_ms < UINT32_MAX ? static_cast<uint32_t>(elapsed_ms) : UINT32_MAX;
        return uint64_t{dividend / divisor} * k_horizon_ms;
    }

    void adapt(uint64_t carried) {
        if (carried > m_allowance)
            m_allowance = carried;
        else if (m_busy)
            m_allowance = (m_allowance + carried) / 2;
    }

    uint64_t m_promised = 0;
    uint64_t m_sent = 0;
    uint64_t m_queued = 0;
    uint64_t m_allowance = k_first_allowance;
    uint64_t m_sample_ms = 0;
    uint64_t m_sample_acknowledged = 0;
    bool m_told = false;
    bool m_samples = false;  // at the last look: a sample runs
    bool m_busy = false;     // at each look of it
};

}  // namespace hawser
