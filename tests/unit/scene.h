// SPDX-License-Identifier: GPL-2.0-or-later
//
// A session of one connection, logged in, against the scripted target; and what the target heard.

#pragma once

#include "host_actions.h"

namespace hawser::test {

inline std::vector<Pdu> heard_of(Host& host, wire::Opcode kind, uint32_t index = 0) {
    std::vector<Pdu> found;
    for (const Pdu& pdu : host.target.peers[index].heard)
        if (pdu.kind() == kind) found.push_back(pdu);
    return found;
}

struct Scene : Host {
    explicit Scene(const std::string& more = "", uint32_t seed = 1) : Host(more, 1, seed) {
        for (size_t i = 0; i < target.disk.size(); i++)
            target.disk[i] = static_cast<uint8_t>(i * 7 + i / 512);
    }
    void login() {
        start();
        REQUIRE(state(0) == HAWSER_CONNECTION_LOGGED_IN);
        target.peers[0].heard.clear();
    }
    void disk_is_buffer(uint32_t tag, uint32_t block) {
        CHECK(std::equal(buffers[tag].begin(), buffers[tag].end(),
                         target.disk.begin() + static_cast<long>(block) * 512));
    }
    void good(uint32_t tag) {
        Done result = done_of(tag);
        CHECK(result.completion.response == 0);
        CHECK(result.completion.status == 0);
        CHECK(result.completion.residual == 0);
    }
};

// A PDU that a target sends of its own accord and that says nothing but the numbers (11.19).
inline wire::NopIn news() {
    wire::NopIn pdu;
    pdu.initiator_task_tag = wire::k_reserved_tag;
    pdu.target_transfer_tag = wire::k_reserved_tag;
    return pdu;
}

}  // namespace hawser::test
