// SPDX-License-Identifier: GPL-2.0-or-later
//
// CRC32C against the examples of RFC 7143 A.4.

#include "wire/crc32c.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <span>

using hawser::wire::crc32c;

namespace {

constexpr std::array<uint8_t, 32> filled(uint8_t first, int step) {
    std::array<uint8_t, 32> bytes{};
    for (size_t i = 0; i < bytes.size(); i++)
        bytes[i] = static_cast<uint8_t>(first + step * static_cast<int>(i));
    return bytes;
}

// An iSCSI SCSI Read (10) command PDU.
constexpr std::array<uint8_t, 48> k_read_command = {
    0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18,
    0x28, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};

}  // namespace

TEST_CASE("the CRC examples of the RFC", "[RFC 7143 13.1][rule-49]") {
    // The RFC prints the digest's bytes in wire order; the number is their little-endian reading.
    CHECK(crc32c(filled(0x00, 0)) == 0x8a9136aa);
    CHECK(crc32c(filled(0xff, 0)) == 0x62a8ab43);
    CHECK(crc32c(filled(0x00, 1)) == 0x46dd794e);
    CHECK(crc32c(filled(0x1f, -1)) == 0x113fdb5c);
    CHECK(crc32c(k_read_command) == 0xd9963a56);
}

TEST_CASE("a CRC goes on where another ended", "[RFC 7143 13.1]") {
    std::span<const uint8_t> all(k_read_command);
    for (size_t cut = 0; cut <= all.size(); cut++)
        CHECK(crc32c(all.subspan(cut), crc32c(all.first(cut))) == crc32c(all));
    CHECK(crc32c({}) == 0);
}
