// SPDX-License-Identifier: GPL-2.0-or-later
// CHAP: see chap.hpp.
#include "engine/chap.hpp"

namespace hawser {

namespace chap_detail {

// The keys of 12.1.3 by their letters, and a bit for each.
constexpr std::string_view k_letters = "AICNR";
enum : uint8_t { k_a = 1, k_i = 2, k_c = 4, k_n = 8, k_r = 16 };

void write_binary(wire::TextWriter& writer, std::string_view key, const uint8_t* bytes,
                  uint32_t length) {
    uint8_t buffer[2 + 2 * HAWSER_CHAP_DIGEST_MAX];
    wire::TextWriter hex(buffer);
    hex.text("0x");
    for (uint32_t i = 0; i < length; i++) {
        hex.hex(bytes[i] >> 4);
        hex.hex(bytes[i] & 15);
    }
    writer.pair(key, hex.view());
}

}  // namespace chap_detail

void Chap::begin(const hawser_options& options) {
    m_options = &options;
    m_step = options.chap_name[0] != '\0' ? ChapStep::Method : ChapStep::Off;
    m_given = 0;
}

bool Chap::is_waiting() const {
    return m_step == ChapStep::Responding || m_step == ChapStep::Reflecting ||
           m_step == ChapStep::Verifying;
}

uint32_t Chap::handle(std::string_view key, std::string_view value) {
    using namespace chap_detail;
    if (m_step == ChapStep::Off) return HAWSER_ERROR_LOGIN_AUTHENTICATION_REQUIRED;
    size_t letter = key.size() == 6 ? wire::find(k_letters, key[5]) : k_letters.size();
    uint8_t bit = static_cast<uint8_t>(1u << letter);
    uint8_t due = 0;
    if (m_step == ChapStep::Algorithm) due = k_a | k_i | k_c;
    if (m_step == ChapStep::Responded && is_mutual()) due = k_n | k_r;
    if (!(bit & due)) return HAWSER_ERROR_LOGIN_BAD_STAGE;
    m_given |= bit;
    if (bit == k_n) {
        std::string_view name = wire::text_of(m_options->chap_name_in);
        return name.empty() || value == name ? HAWSER_ERROR_NONE : HAWSER_ERROR_CHAP_NAME;
    }
    if (bit == k_c || bit == k_r) {
        bool response = bit == k_r;
        auto length = response ? wire::parse_binary(value, m_response)
                               : wire::parse_binary(value, m_challenge);
        bool good = length && (!response || *length == chap_digest_bytes(m_algorithm));
        if (!good) return response ? HAWSER_ERROR_CHAP_RESPONSE : HAWSER_ERROR_CHAP_CHALLENGE;
        if (!response) m_challenge_length = static_cast<uint32_t>(*length);
        return HAWSER_ERROR_NONE;
    }
    auto number = wire::parse_number(value);
    if (bit == k_i) {
        if (!number || *number > 255) return HAWSER_ERROR_CHAP_IDENTIFIER;
        m_identifier = static_cast<uint8_t>(*number);
        return HAWSER_ERROR_NONE;
    }
    bool offered = number && *number >= HAWSER_CHAP_MD5 && *number <= HAWSER_CHAP_SHA3_256 &&
                   algorithms() & HAWSER_CHAP_BIT(*number);
    if (!offered) return HAWSER_ERROR_CHAP_ALGORITHM;
    m_algorithm = static_cast<uint8_t>(*number);
    return HAWSER_ERROR_NONE;
}

uint32_t Chap::advance(bool method, bool transit, wire::TextWriter& writer) {
    using namespace chap_detail;
    uint8_t given = m_given;
    m_given = 0;
    if (m_step == ChapStep::Method && method) {
        m_step = ChapStep::Algorithm;
        write_algorithms(writer);
    } else if (m_step == ChapStep::Algorithm) {
        if (!(given & k_a)) return HAWSER_ERROR_CHAP_ALGORITHM;
        if (!(given & k_i)) return HAWSER_ERROR_CHAP_IDENTIFIER;
        if (!(given & k_c)) return HAWSER_ERROR_CHAP_CHALLENGE;
        m_step = ChapStep::Responding;
    } else if (m_step == ChapStep::Responded && is_mutual()) {
        if (!given && transit) return HAWSER_ERROR_CHAP_TARGET_FAILED;
        if (!(given & k_n)) return HAWSER_ERROR_CHAP_NAME;
        if (!(given & k_r)) return HAWSER_ERROR_CHAP_RESPONSE;
        m_step = ChapStep::Reflecting;
    }
    return HAWSER_ERROR_NONE;
}

// Strongest first.
void Chap::write_algorithms(wire::TextWriter& writer) const {
    uint8_t buffer[8];
    wire::TextWriter list(buffer);
    for (uint32_t algorithm = HAWSER_CHAP_SHA3_256; algorithm >= HAWSER_CHAP_MD5; algorithm--) {
        if (!(algorithms() & HAWSER_CHAP_BIT(algorithm))) continue;
        if (list.length()) list.text(",");
        list.number(algorithm);
    }
    writer.pair("CHAP_A", list.view());
}

// tgt takes 7 for SHA1, as a draft of long ago had it, and 32 bytes for a mistake of ours.
bool Chap::avoid_algorithm() {
    const uint32_t bit = HAWSER_CHAP_BIT(HAWSER_CHAP_SHA256);
    if (m_step != ChapStep::Responded || m_algorithm != HAWSER_CHAP_SHA256 || algorithms() == bit)
        return false;
    m_avoided |= bit;
    return true;
}

bool Chap::poll(hawser_chap_request& request) const {
    if (!is_waiting()) return false;
    request = {};
    request.algorithm = m_algorithm;
    request.identifier = m_identifier;
    request.secret = m_step == ChapStep::Verifying ? HAWSER_CHAP_TARGET : HAWSER_CHAP_OURS;
    request.challenge_length = m_challenge_length;
    request.challenge = m_challenge;
    return true;
}

// In a time that tells nothing about where they differ.
bool Chap::is_response(const uint8_t* digest) const {
    uint8_t difference = 0;
    for (uint32_t i = 0; i < chap_digest_bytes(m_algorithm); i++)
        difference |= static_cast<uint8_t>(m_response[i] ^ digest[i]);
    return difference == 0;
}

uint32_t Chap::handle_answer(const hawser_chap_answer& answer, wire::TextWriter& writer) {
    if (answer.digest_length != chap_digest_bytes(m_algorithm)) return HAWSER_ERROR_CHAP_NO_SECRET;
    switch (m_step) {
        case ChapStep::Responding:
            return respond(answer, writer);
        case ChapStep::Reflecting:
            if (is_response(answer.digest)) return HAWSER_ERROR_CHAP_REFLECTION;
            m_step = ChapStep::Verifying;
            return HAWSER_ERROR_NONE;
        default:
            if (!is_response(answer.digest)) return HAWSER_ERROR_CHAP_TARGET_FAILED;
            m_step = ChapStep::Done;
            return HAWSER_ERROR_NONE;
    }
}

uint32_t Chap::respond(const hawser_chap_answer& answer, wire::TextWriter& writer) {
    using chap_detail::write_binary;
    m_step = ChapStep::Responded;
    writer.pair("CHAP_N", wire::text_of(m_options->chap_name));
    write_binary(writer, "CHAP_R", answer.digest, answer.digest_length);
    if (!is_mutual()) return HAWSER_ERROR_NONE;
    // Ours is as long as a digest: RFC 1994 4.1 asks for no more, and some targets take no more.
    const uint8_t* random = answer.random + 1;
    uint32_t length = answer.digest_length;
    // 9.2.1: the challenge of the other direction is never used again. By chance it never is; by a
    // broken source of random bytes it might be.
    if (length == m_challenge_length && __builtin_memcmp(random, m_challenge, length) == 0)
        return HAWSER_ERROR_CHAP_REFLECTION;
    m_identifier = answer.random[0];
    m_challenge_length = length;
    __builtin_memcpy(m_challenge, random, length);
    writer.pair("CHAP_I", uint64_t{m_identifier});
    write_binary(writer, "CHAP_C", m_challenge, length);
    return HAWSER_ERROR_NONE;
}

}  // namespace hawser
