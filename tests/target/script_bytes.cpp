// SPDX-License-Identifier: GPL-2.0-or-later
//
// The `byte` lines of a script: faults that know nothing of PDUs.

#include "script.h"

namespace hawser::target {

void Script::handle_bytes(uint32_t connection, Side side, Bytes& bytes, uint64_t before,
                          uint64_t now_ms) {
    m_now_ms = now_ms;
    for (Rule& rule : m_rules) {
        if (rule.kind != Rule::Kind::Byte || rule.used || rule.toward != side) continue;
        if (rule.connection && *rule.connection != connection) continue;
        if (rule.at < before || rule.at >= before + bytes.size()) continue;
        rule.used = true;
        Play play{connection, side, Pdu{}, {}, 0, true, &rule};
        for (const Action& action : rule.actions)
            act_on_byte(play, action, bytes, rule.at - before, now_ms);
    }
}

void Script::act_on_byte(Play& play, const Action& action, Bytes& bytes, size_t at,
                         uint64_t now_ms) {
    const std::string& verb = action.verb;
    if (at > bytes.size()) at = bytes.size();
    const auto place = bytes.begin() + static_cast<long>(at);
    if (verb == "mutate") {
        if (place != bytes.end()) *place ^= 0x10;
    } else if (verb == "inject") {
        bytes.insert(place, number_of(play, action, 0, 1), 0x3a);
    } else if (verb == "drop") {
        const size_t count = number_of(play, action, 0, 1);
        bytes.erase(place, place + static_cast<long>(std::min(count, bytes.size() - at)));
    } else if (verb == "close" || verb == "reset") {
        // What was before it still goes.
        bytes.erase(place, bytes.end());
        m_stage.close(play.connection, verb == "reset");
    } else if (verb == "silence" || verb == "trickle") {
        act(play, action, now_ms);
    } else {
        complain(play, verb + " is for PDUs; a byte knows mutate, inject, drop, close, reset, " +
                           "silence and trickle");
    }
}

}  // namespace hawser::target
