// SPDX-License-Identifier: GPL-2.0-or-later
//
// CHAP as a target does it, RFC 7143 12.1.3 and RFC 1994: it challenges the initiator, and answers
// the initiator's challenge where it gets one. The hashes are OpenSSL's.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pdu.h"

namespace hawser::target {

struct ChapSettings {
    std::string user;  // empty: no CHAP
    std::string secret;
    std::string mutual_user;
    std::string mutual_secret;
    std::string algorithms = "5,6,7,8";  // those that the target can do
    uint32_t challenge_bytes = 16;
    bool base64 = false;  // how it writes binary values
};

// H(identifier, secret, challenge) of algorithm 5 (MD5), 6 (SHA1), 7 (SHA-256) or 8 (SHA3-256).
std::optional<Bytes> chap_response(uint32_t algorithm, uint8_t identifier,
                                   const std::string& secret, const Bytes& challenge);
std::string write_binary(const Bytes& bytes, bool base64);
std::optional<Bytes> read_binary(const std::string& value);

class Chap {
public:
    void begin(const ChapSettings& settings, uint32_t seed) {
        m_settings = settings;
        m_seed = seed;
        m_step = Step::Algorithm;
    }
    // Takes the CHAP keys of one request. False: the initiator is not who it says. Otherwise out
    // gets what to answer.
    bool handle(const Pairs& in, Pairs& out);
    bool done() const { return m_step == Step::Done; }

private:
    enum class Step : uint8_t { Algorithm, Response, Done };
    bool choose(const Pairs& in, Pairs& out);
    bool check(const Pairs& in, Pairs& out);
    Bytes random_bytes(size_t count);

    ChapSettings m_settings;
    uint32_t m_seed = 0;
    Step m_step = Step::Algorithm;
    uint32_t m_algorithm = 0;
    uint8_t m_identifier = 0;
    Bytes m_challenge;
};

}  // namespace hawser::target
