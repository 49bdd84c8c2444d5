// SPDX-License-Identifier: GPL-2.0-or-later
// CRC32C, RFC 7143 13.1: the Castagnoli polynomial 0x11edc6f41, bits reflected, complemented before
// and after. The table is made by the compiler. In the kernel the host's own crc32c() does the long
// runs; this one serves headers, tests and tools.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace hawser::wire {

namespace crc32c_detail {

// 0x1edc6f41 with its bits reversed.
inline constexpr uint32_t k_polynomial = 0x82f63b78;

constexpr std::array<uint32_t, 256> make_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t remainder = i;
        for (int bit = 0; bit < 8; bit++)
            remainder = (remainder & 1) ? (remainder >> 1) ^ k_polynomial : remainder >> 1;
        table[i] = remainder;
    }
    return table;
}

inline constexpr std::array<uint32_t, 256> k_table = make_table();

}  // namespace crc32c_detail

// The digest of bytes, or of what `before` was the digest of followed by bytes. On the wire its
// least significant byte comes first (13.1: x^31 is mapped to bit 7 of the lowest byte, reflected).
constexpr uint32_t crc32c(std::span<const uint8_t> bytes, uint32_t before = 0) {
    uint32_t crc = ~before;
    for (uint8_t byte : bytes) crc = (crc >> 8) ^ crc32c_detail::k_table[(crc ^ byte) & 0xff];
    return ~crc;
}

}  // namespace hawser::wire
