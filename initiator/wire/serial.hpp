// SPDX-License-Identifier: GPL-2.0-or-later
// Sequence numbers that wrap: RFC 7143 4.2.2.1 compares CmdSN, StatSN and their like by the serial
// number arithmetic of RFC 1982 with SERIAL_BITS = 32. Each kind is a type of its own, so that one
// is never compared with another, and has no operator<, which would be wrong at the wrap.
#pragma once

#include <cstdint>

namespace hawser::wire {

template <typename Kind>
class SerialNumber {
public:
    constexpr SerialNumber() = default;
    constexpr explicit SerialNumber(uint32_t value) : m_value(value) {}

    constexpr uint32_t value() const { return m_value; }
    constexpr SerialNumber next() const { return SerialNumber(m_value + 1); }
    constexpr SerialNumber advanced(uint32_t count) const { return SerialNumber(m_value + count); }

    // Strictly before: RFC 1982 3.2. Undefined at a distance of exactly 2^31; false here.
    constexpr bool precedes(SerialNumber other) const {
        return static_cast<int32_t>(other.m_value - m_value) > 0;
    }
    constexpr bool precedes_or_equals(SerialNumber other) const {
        return m_value == other.m_value || precedes(other);
    }
    // How far `other` is ahead; meaningful when this precedes_or_equals(other).
    constexpr uint32_t distance_to(SerialNumber other) const { return other.m_value - m_value; }

    constexpr bool operator==(const SerialNumber&) const = default;

private:
    uint32_t m_value = 0;
};

using CmdSn = SerialNumber<struct CmdSnKind>;
using StatSn = SerialNumber<struct StatSnKind>;
using DataSn = SerialNumber<struct DataSnKind>;  // R2TSN counts in the same space, RFC 7143 4.2.2.4

}  // namespace hawser::wire
