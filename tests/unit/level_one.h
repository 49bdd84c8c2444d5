// SPDX-License-Identifier: GPL-2.0-or-later
//
// A scene at ErrorRecoveryLevel 1: a target that keeps what it sent, and sends it again when a
// SNACK asks for it (RFC 7143 11.16).

#pragma once

#include <set>

#include "scene.h"

namespace hawser::test {

inline constexpr const char* k_level_1 =
    "ErrorRecoveryLevel=1 DataDigest=CRC32C noop_out_interval=0";

struct Level1 : Scene {
    explicit Level1(uint32_t seed = 1, const std::string& more = "")
        : Scene(std::string(k_level_1) + more, seed) {
        target.script = [this](Peer& peer, const Pdu& pdu) { return answer(peer, pdu); };
    }

    bool answer(Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != wire::Opcode::Snack) return also && also(peer, pdu);
        snacks.push_back(pdu);
        if (deaf) return true;
        const auto& snack = pdu.as<wire::Snack>();
        const uint32_t from = snack.beg_run.get(), run = snack.run_length.get();
        const std::vector<Pdu> all = peer.sent;
        peer.lose = nullptr;
        std::set<uint32_t> again;
        for (const Pdu& old : all) {
            const auto& numbering = old.as<wire::TargetNumbering>();
            const bool status = (snack.type & 0xf) == wire::Snack::k_status;
            const uint32_t number = status ? numbering.stat_sn.get() : sequence_of(old);
            if (status ? !counts(old) : (old.itt() != pdu.itt() || !is_sequenced(old))) continue;
            if (number - from >= (run ? run : 0x7fffffffu) || !again.insert(number).second)
                continue;
            peer.send_raw(old.as<wire::Bhs>(), old.data);
        }
        return true;
    }
    static bool counts(const Pdu& pdu) {
        return pdu.kind() == wire::Opcode::ScsiResponse ||
               (pdu.kind() == wire::Opcode::DataIn && (pdu.header[1] & wire::DataIn::k_status));
    }
    static bool is_sequenced(const Pdu& pdu) {
        return pdu.kind() == wire::Opcode::DataIn || pdu.kind() == wire::Opcode::R2t;
    }
    static uint32_t sequence_of(const Pdu& pdu) {
        return pdu.kind() == wire::Opcode::DataIn ? pdu.as<wire::DataIn>().data_sn.get()
                                                  : pdu.as<wire::R2t>().r2t_sn.get();
    }
    void lose_once(std::function<bool(const Pdu&)> which) {
        target.peers[0].lose = [this, which](const Pdu& pdu) {
            if (gone || !which(pdu)) return false;
            return gone = true;
        };
    }

    std::function<bool(Peer&, const Pdu&)> also;
    std::vector<Pdu> snacks;
    bool deaf = false;
    bool gone = false;
};

inline uint32_t exp_stat_sn_of(const Pdu& pdu) {
    return pdu.as<wire::Snack>().exp_stat_sn.get();
}

}  // namespace hawser::test
