// SPDX-License-Identifier: GPL-2.0-or-later
// Integers as they stand on the wire: big-endian bytes without alignment, so that a struct of them
// is the PDU itself. A peer's byte can be read here in any width without undefined behaviour.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hawser::wire {

// Bytes: how many stand on the wire (2, 3, 4 or 8); T: the host's integer that holds them.
template <typename T, size_t Bytes>
class BigEndian {
    static_assert(Bytes <= sizeof(T));

public:
    constexpr BigEndian() = default;
    constexpr BigEndian(T value) { set(value); }

    constexpr BigEndian& operator=(T value) {
        set(value);
        return *this;
    }

    constexpr T get() const {
        T value = 0;
        for (size_t i = 0; i < Bytes; i++)
            value = static_cast<T>((static_cast<uint64_t>(value) << 8) | m_bytes[i]);
        return value;
    }

private:
    constexpr void set(T value) {
        for (size_t i = 0; i < Bytes; i++)
            m_bytes[i] =
                static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * (Bytes - 1 - i)));
    }

    uint8_t m_bytes[Bytes] = {};
};

using Be16 = BigEndian<uint16_t, 2>;
using Be24 = BigEndian<uint32_t, 3>;
using Be32 = BigEndian<uint32_t, 4>;
using Be64 = BigEndian<uint64_t, 8>;

static_assert(sizeof(Be16) == 2 && sizeof(Be24) == 3 && sizeof(Be32) == 4 && sizeof(Be64) == 8);
static_assert(alignof(Be64) == 1);

}  // namespace hawser::wire
