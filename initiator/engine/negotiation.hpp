// SPDX-License-Identifier: GPL-2.0-or-later
// The negotiation of text keys, RFC 7143 6.2 and 13: one negotiator for every key of key_table.hpp,
// which says how each behaves. Nothing takes effect before conclude(): negotiations are atomic.
//
// A key is Unsaid until one side sends it. If that is us, it is Proposed, and the target's pair is
// its answer; if it is the target, its pair is a proposal, and we answer at once. Either way it is
// then Settled, and a further pair of that name is a renegotiation, which 6.3 forbids.
#pragma once

#include "abi/engine.h"
#include "engine/key_table.hpp"
#include "wire/text.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hawser {

enum class KeyState : uint8_t { Unsaid, Proposed, Settled };

class Negotiation {
public:
    // offer: the options' keys. On a further connection (leading is false) session_keys rule what
    // is session-wide, and only connection-wide keys are proposed.
    void begin(const hawser_keys& offer, bool leading, const hawser_keys& session_keys);

    // AuthMethod is CHAP and nothing else.
    void offer_chap();

    // Writes our proposals and declarations of that stage.
    void propose(KeyStage stage, wire::TextWriter& writer);
    // Notes that a declaration was sent that is not the negotiator's own (InitiatorName...).
    void declared(KeyId key) { m_states[static_cast<size_t>(key)] = KeyState::Settled; }

    // One pair of the target's. Where it wants an answer, that is written, and answered becomes
    // true. Returns enum hawser_error.
    uint32_t handle(KeyStage stage, std::string_view key, std::string_view value,
                    wire::TextWriter& writer, bool& answered);

    // The stage ended in agreement: keys that the target left unanswered keep their default, the
    // rules between keys are checked, and after the operational stage keys() is the result.
    uint32_t conclude(KeyStage stage);

    const hawser_keys& keys() const { return m_keys; }
    // The agreed value of any key, for those that hawser_keys does not carry.
    uint32_t value(KeyId key) const { return m_values[static_cast<size_t>(key)]; }
    KeyState state(KeyId key) const { return m_states[static_cast<size_t>(key)]; }

private:
    uint32_t handle_declaration(const Key& key, std::string_view value);
    uint32_t handle_answer(const Key& key, std::string_view value);
    uint32_t handle_proposal(const Key& key, std::string_view value, wire::TextWriter& writer,
                             bool& answered);
    uint32_t method_refused() const;
    uint32_t fall_back(const Key& key, bool rejected);
    uint32_t check_rules();
    void store();

    hawser_keys m_keys = {};
    bool m_leading = true;
    KeyState m_states[k_key_count] = {};
    uint32_t m_offers[k_key_count] = {};  // a number, 0 or 1, or a mask of list values
    uint32_t m_values[k_key_count] = {};  // a number, 0 or 1, or the index of a list value
};

}  // namespace hawser
