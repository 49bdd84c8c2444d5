// SPDX-License-Identifier: GPL-2.0-or-later
// The one word that the connections of a session share: which CmdSN is next, and how far the target
// lets commands go (RFC 7143 4.2.2.1).
//
// A connection takes a CmdSN in its own transmit section, immediately before the header goes out,
// by a compare-and-swap against MaxCmdSN. So on each connection the order of taking is the order of
// sending, by construction, and nobody holds a number that is not on its way. ExpCmdSN and MaxCmdSN
// come from every connection in any order; they are published together as one 64-bit word, and an
// older pair never overwrites a newer one.
//
// Lost wake-ups: a connection that finds the window closed sets its bit and then looks again; a
// publisher stores the window and then looks at the bits. Both sides are sequentially consistent,
// so one of them sees the other.
#pragma once

#include "wire/serial.hpp"

#include <atomic>
#include <cstdint>
#include <optional>

namespace hawser {

class CommandWindow {
public:
    // Control thread only, while no connection is in use: a new session begins at `first`, and its
    // window is shut until the leading login opens it.
    void reset(wire::CmdSn first) {
        m_cmd_sn.store(first.value(), std::memory_order_relaxed);
        m_limits.store(pack(first.value(), first.value() - 1), std::memory_order_relaxed);
        m_waiters.store(0, std::memory_order_seq_cst);
    }

    // The next CmdSN, or nothing while the window is closed.
    std::optional<wire::CmdSn> take() {
        uint32_t next = m_cmd_sn.load(std::memory_order_relaxed);
        do {
            if (wire::CmdSn(max_of(m_limits.load(std::memory_order_seq_cst)))
                    .precedes(wire::CmdSn(next)))
                return std::nullopt;
        } while (!m_cmd_sn.compare_exchange_weak(next, next + 1, std::memory_order_acq_rel,
                                                 std::memory_order_relaxed));
        return wire::CmdSn(next);
    }

    bool is_open() const {
        return wire::CmdSn(m_cmd_sn.load(std::memory_order_relaxed))
            .precedes_or_equals(wire::CmdSn(max_of(m_limits.load(std::memory_order_seq_cst))));
    }

    // What an immediate PDU carries: it does not advance the number.
    wire::CmdSn current() const { return wire::CmdSn(m_cmd_sn.load(std::memory_order_relaxed)); }
    wire::CmdSn expected() const {
        return wire::CmdSn(static_cast<uint32_t>(m_limits.load(std::memory_order_relaxed) >> 32));
    }
    wire::CmdSn maximum() const {
        return wire::CmdSn(max_of(m_limits.load(std::memory_order_relaxed)));
    }

    // What a target PDU said. Returns whether the window moved on and somebody waits for it.
    bool publish(wire::CmdSn expected, wire::CmdSn maximum) {
        // 4.2.2.1: a MaxCmdSN before ExpCmdSN - 1 makes both be ignored.
        if (maximum.next().precedes(expected)) return false;
        uint64_t old = m_limits.load(std::memory_order_relaxed);
        for (;;) {
            const wire::CmdSn old_maximum(max_of(old));
            const wire::CmdSn old_expected(static_cast<uint32_t>(old >> 32));
            const bool opens = old_maximum.precedes(maximum);
            if (!opens && !old_expected.precedes(expected)) return false;
            const uint64_t merged =
                pack(old_expected.precedes(expected) ? expected.value() : old_expected.value(),
                     opens ? maximum.value() : old_maximum.value());
            if (m_limits.compare_exchange_weak(old, merged, std::memory_order_seq_cst,
                                               std::memory_order_relaxed))
                return opens && m_waiters.load(std::memory_order_seq_cst) != 0;
        }
    }

    // Says that connection `index` waits. Returns whether the window is still closed after that.
    bool wait(uint32_t index) {
        m_waiters.fetch_or(1u << index, std::memory_order_seq_cst);
        return !is_open();
    }

    // Whoever these are, they are to be woken though the window has not moved.
    void wake(uint32_t connections) { m_waiters.fetch_or(connections, std::memory_order_seq_cst); }

    uint32_t take_waiters() { return m_waiters.exchange(0, std::memory_order_seq_cst); }

private:
    static constexpr uint64_t pack(uint32_t expected, uint32_t maximum) {
        return (static_cast<uint64_t>(expected) << 32) | maximum;
    }
    static constexpr uint32_t max_of(uint64_t limits) { return static_cast<uint32_t>(limits); }

    alignas(64) std::atomic<uint32_t> m_cmd_sn{1};
    alignas(64) std::atomic<uint64_t> m_limits{0};
    alignas(64) std::atomic<uint32_t> m_waiters{0};
};

}  // namespace hawser
