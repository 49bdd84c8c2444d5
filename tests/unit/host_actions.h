// SPDX-License-Identifier: GPL-2.0-or-later
//
// What tests do with a host, and ask it, again and again.

#pragma once

#include "host.h"

namespace hawser::test {

inline uint32_t logged_in(Host& host) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < host.sides.size(); i++)
        count += host.state(i) == HAWSER_CONNECTION_LOGGED_IN;
    return count;
}

// Fills every connection with commands; the tags, each with its block.
inline std::vector<std::pair<uint32_t, uint32_t>> submit_many(Host& host, uint32_t count) {
    std::vector<std::pair<uint32_t, uint32_t>> tags;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t kind = i % 2 ? HAWSER_DATA_WRITE : HAWSER_DATA_READ;
        uint32_t index = i % static_cast<uint32_t>(host.sides.size());
        tags.emplace_back(host.submit(index, kind, 512 * (1 + i % 24), i * 32), i * 32);
    }
    return tags;
}

// A target that takes commands and does nothing.
inline bool swallow(Peer&, const Pdu& pdu) {
    return pdu.kind() == wire::Opcode::ScsiCommand;
}

}  // namespace hawser::test
