// SPDX-License-Identifier: GPL-2.0-or-later
// iBFTs made by hand, right or broken in one place. The layout is written down anew here, so that a
// mistake in the parser's own offsets cannot hide.
#ifndef HAWSER_TESTS_USER_IBFT_BUILDER_H
#define HAWSER_TESTS_USER_IBFT_BUILDER_H

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace hawser_test {

using Bytes = std::vector<uint8_t>;

struct IbftBuilder {
    Bytes bytes = Bytes(48, 0);
    size_t control = 0;
    size_t pairs = 2;

    explicit IbftBuilder(size_t pair_count = 2) : pairs(pair_count) {
        std::memcpy(bytes.data(), "iBFT", 4);
        bytes[8] = 1;
        std::memcpy(bytes.data() + 10, "TESTOEMTESTTABL", 14);
        control = bytes.size();
        append(1, static_cast<uint16_t>(10 + 4 * pairs), 0, 0);
    }

    void put16(size_t at, uint16_t value) {
        bytes[at] = static_cast<uint8_t>(value);
        bytes[at + 1] = static_cast<uint8_t>(value >> 8);
    }
    void put(size_t at, const Bytes& data) { std::memcpy(&bytes[at], data.data(), data.size()); }

    size_t append(uint8_t id, uint16_t length, uint8_t index, uint8_t flags) {
        bytes.resize((bytes.size() + 15) / 16 * 16);
        const size_t at = bytes.size();
        bytes.resize(at + length);
        bytes[at] = id;
        bytes[at + 1] = 1;
        put16(at + 2, length);
        bytes[at + 4] = index;
        bytes[at + 5] = flags;
        return at;
    }
    // A (length, offset) pair at `at`, and the string with its NUL at the end of the table.
    void string(size_t at, const std::string& text, bool with_nul = true) {
        put16(at, static_cast<uint16_t>(text.size()));
        put16(at + 2, static_cast<uint16_t>(bytes.size()));
        bytes.insert(bytes.end(), text.begin(), text.end());
        if (with_nul) bytes.push_back(0);
    }
    static Bytes mapped(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
        return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d};
    }
    void offset(size_t slot, size_t value) {
        put16(control + 8 + 2 * slot, static_cast<uint16_t>(value));
    }

    size_t initiator(const std::string& name, uint8_t flags = 3) {
        const size_t at = append(2, 74, 0, flags);
        offset(0, at);
        string(at + 70, name);
        return at;
    }
    size_t nic(uint8_t index, const Bytes& address, uint8_t prefix_length, uint8_t last_mac_byte,
               uint8_t flags = 3) {
        const size_t at = append(3, 102, index, flags);
        offset(1 + 2 * index, at);
        put(at + 6, address);
        bytes[at + 22] = prefix_length;
        bytes[at + 23] = 1;
        put(at + 90, {0x52, 0x54, 0, 0, 0, last_mac_byte});
        return at;
    }
    size_t target(uint8_t index, const Bytes& address, const std::string& name, uint8_t nic = 0,
                  uint8_t flags = 3) {
        const size_t at = append(4, 54, index, flags);
        offset(2 + 2 * index, at);
        put(at + 6, address);
        put16(at + 22, 3260);
        bytes[at + 25] = 1;  // LUN 1
        bytes[at + 33] = nic;
        string(at + 34, name);
        return at;
    }

    Bytes finish() {
        const size_t length = bytes.size();
        put16(4, static_cast<uint16_t>(length));
        put16(6, static_cast<uint16_t>(length >> 16));
        return checksummed(bytes);
    }
    static Bytes checksummed(Bytes table) {
        table[9] = 0;
        uint8_t sum = 0;
        for (uint8_t byte : table) sum = static_cast<uint8_t>(sum + byte);
        table[9] = static_cast<uint8_t>(-sum);
        return table;
    }
};

}  // namespace hawser_test

#endif
