// SPDX-License-Identifier: GPL-2.0-or-later
// Which statuses of a connection have come, and how far they may be acknowledged: ExpStatSN, RFC
// 7143 4.2.2.2.
//
// A target numbers its responses by StatSN, connection by connection, and keeps each until
// ExpStatSN has passed it. At ErrorRecoveryLevel 0 there is nothing to keep: a number out of order
// ends the connection. Above it, a response that was dropped for its digest leaves a hole (7.9),
// which a SNACK has sent again; responses beyond the hole are good in the meantime, but ExpStatSN
// stays before it. It also stays before a response whose data has holes ("held"): once
// acknowledged, the target would no longer have that data to send again.
#pragma once

#include "wire/serial.hpp"

#include <cstdint>

namespace hawser {

// Numbers from `begin` on, `length` of them; none when length is 0.
struct StatusRun {
    wire::StatSn begin;
    uint32_t length = 0;
};

class StatusWindow {
public:
    // A target that is further ahead has lost more than a run of PDUs: 4.2.2.2 takes a large
    // difference as a reason for recovery. More than a session's commands and its control PDUs.
    static constexpr uint32_t k_size = 2048;

    enum class Arrival : uint8_t { InOrder, FillsHole, LeavesHole, Duplicate, TooFar };

    void reset(wire::StatSn expected) {
        m_expected = expected;
        m_next = expected;
        for (uint64_t& word : m_open) word = 0;
    }

    // What every PDU of ours carries: all before it may be forgotten.
    wire::StatSn expected() const { return m_expected; }

    // A response of that number is here. LeavesHole: `hole` is what is missing before it. held: it
    // is not acknowledged before release().
    Arrival arrive(wire::StatSn number, bool held, StatusRun& hole) {
        if (number.precedes(m_expected)) return Arrival::Duplicate;
        if (m_expected.distance_to(number) >= k_size) return Arrival::TooFar;
        if (number.precedes(m_next)) {
            if (!is_missing(number)) return Arrival::Duplicate;
            take(number, held);
            return Arrival::FillsHole;
        }
        const bool in_order = number == m_next;
        hole = reveal(number);
        m_next = number.next();
        take(number, held);
        return in_order ? Arrival::InOrder : Arrival::LeavesHole;
    }

    // The target is about to give `number`: what is before it and never came is missing.
    StatusRun reveal(wire::StatSn number) {
        if (!m_next.precedes(number) || m_expected.distance_to(number) >= k_size) return {};
        const StatusRun run{m_next, m_next.distance_to(number)};
        for (; m_next != number; m_next = m_next.next()) set(m_next, k_missing);
        return run;
    }

    // The first hole, to ask for it again.
    StatusRun first_hole() const {
        wire::StatSn number = m_expected;
        while (number != m_next && !is_missing(number)) number = number.next();
        StatusRun run{number, 0};
        for (; number != m_next && is_missing(number); number = number.next()) run.length++;
        return run;
    }

    void release(wire::StatSn number) {
        clear(number);
        slide();
    }

private:
    static constexpr uint64_t k_missing = 1;  // not here
    static constexpr uint64_t k_held = 2;     // here, not to be acknowledged
    static constexpr uint32_t k_per_word = 32;

    static uint32_t word_of(wire::StatSn number) { return number.value() % k_size / k_per_word; }
    static uint32_t shift_of(wire::StatSn number) { return number.value() % k_per_word * 2; }
    uint64_t mark(wire::StatSn number) const {
        return m_open[word_of(number)] >> shift_of(number) & 3;
    }
    bool is_missing(wire::StatSn number) const { return mark(number) == k_missing; }
    void set(wire::StatSn number, uint64_t value) {
        clear(number);
        m_open[word_of(number)] |= value << shift_of(number);
    }
    void clear(wire::StatSn number) {
        m_open[word_of(number)] &= ~(uint64_t{3} << shift_of(number));
    }

    void take(wire::StatSn number, bool held) {
        clear(number);
        if (held) set(number, k_held);
        slide();
    }

    void slide() {
        while (m_expected != m_next && mark(m_expected) == 0) m_expected = m_expected.next();
    }

    wire::StatSn m_expected;
    wire::StatSn m_next;  // one beyond the highest that is known of
    uint64_t m_open[k_size / k_per_word] = {};
};

}  // namespace hawser
