// SPDX-License-Identifier: GPL-2.0-or-later
// CHAP, RFC 7143 12.1.3 and RFC 1994: the rounds of the security stage in which we prove that we
// know a secret and, if asked to, let the target prove that it knows another one.
//
// Theory. Whoever is challenged answers H(identifier secret challenge). Neither secrets nor hashes
// are known here: the host is asked for one digest at a time (poll), and the login stands still
// until it comes (handle_answer). In the mutual case two digests of our own challenge are asked
// for: first what our own secret makes of it, because a target that has no secret can only hand
// back what somebody else of our kind has answered (9.2.1), then what the target's must make of it.
#pragma once

#include "abi/engine.h"
#include "wire/text.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hawser {

// RFC 7143 12.1.3, of CHAP_C and CHAP_R in binary.
inline constexpr size_t k_chap_binary_max = 1024;

constexpr uint32_t chap_digest_bytes(uint8_t algorithm) {
    switch (algorithm) {
        case HAWSER_CHAP_MD5:
            return 16;
        case HAWSER_CHAP_SHA1:
            return 20;
        case HAWSER_CHAP_SHA256:
        case HAWSER_CHAP_SHA3_256:
            return 32;
        default:
            return 0;
    }
}

constexpr bool is_chap_key(std::string_view key) {
    return wire::slice(key, 0, 5) == "CHAP_";
}

class Chap {
public:
    // options outlive the login.
    void begin(const hawser_options& options);

    bool is_configured() const { return m_step != ChapStep::Off; }
    // Whether the host's digest is missing: nothing is sent before it is here.
    bool is_waiting() const;
    // Whether everything of ours is said, so that the next stage may be asked for.
    bool may_leave() const { return m_step == ChapStep::Off || m_step >= ChapStep::Responded; }

    // One pair of the target's, is_chap_key. Returns enum hawser_error, as all below.
    uint32_t handle(std::string_view key, std::string_view value);
    // The whole text of a response was handled. method: AuthMethod=CHAP is agreed; transit: the
    // target leaves the stage.
    uint32_t advance(bool method, bool transit, wire::TextWriter& writer);

    // The target calls our response an initiator's error. True: the next login will go without the
    // algorithm that is to blame for it.
    bool avoid_algorithm();

    bool poll(hawser_chap_request& request) const;
    uint32_t handle_answer(const hawser_chap_answer& answer, wire::TextWriter& writer);

private:
    enum class ChapStep : uint8_t {
        Off,
        Method,      // AuthMethod=CHAP was offered
        Algorithm,   // CHAP_A was sent; CHAP_A, CHAP_I and CHAP_C are due
        Responding,  // the host computes our response
        Responded,   // it was sent; mutual: CHAP_N and CHAP_R are due
        Reflecting,  // the host computes what our own secret makes of our challenge
        Verifying,   // the host computes what the target's secret makes of it
        Done,
    };

    // What may be offered, HAWSER_CHAP_BIT()s.
    uint32_t algorithms() const { return m_options->chap_algorithms & ~m_avoided; }
    bool is_mutual() const { return m_options->chap_key_in[0] != '\0'; }
    void write_algorithms(wire::TextWriter& writer) const;
    uint32_t respond(const hawser_chap_answer& answer, wire::TextWriter& writer);
    bool is_response(const uint8_t* digest) const;

    const hawser_options* m_options = nullptr;
    ChapStep m_step = ChapStep::Off;
    uint32_t m_avoided = 0;  // over all logins of this connection
    uint8_t m_given = 0;     // keys of this text, a bit each
    uint8_t m_algorithm = 0;
    uint8_t m_identifier = 0;  // of m_challenge
    uint32_t m_challenge_length = 0;
    uint8_t m_challenge[k_chap_binary_max] = {};  // the target's, later ours
    uint8_t m_response[HAWSER_CHAP_DIGEST_MAX] = {};
};

}  // namespace hawser
