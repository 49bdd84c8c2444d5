// SPDX-License-Identifier: GPL-2.0-or-later
//
// CHAP, the target's side.

#include "chap.h"

#include <openssl/evp.h>

#include <random>

#include "negotiation.h"
#include "wire/text.hpp"

namespace hawser::target {

std::optional<Bytes> chap_response(uint32_t algorithm, uint8_t identifier,
                                   const std::string& secret, const Bytes& challenge) {
    const EVP_MD* kinds[] = {EVP_md5(), EVP_sha1(), EVP_sha256(), EVP_sha3_256()};
    if (algorithm < 5 || algorithm > 8) return {};
    Bytes input{identifier};
    input.insert(input.end(), secret.begin(), secret.end());
    input.insert(input.end(), challenge.begin(), challenge.end());
    Bytes output(EVP_MAX_MD_SIZE);
    unsigned length = 0;
    if (EVP_Digest(input.data(), input.size(), output.data(), &length, kinds[algorithm - 5],
                   nullptr) != 1)
        return {};
    output.resize(length);
    return output;
}

std::string write_binary(const Bytes& bytes, bool base64) {
    if (base64) {
        std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                        static_cast<int>(bytes.size()));
        text.pop_back();
        return "0b" + text;
    }
    std::string text = "0x";
    for (uint8_t byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

std::optional<Bytes> read_binary(const std::string& value) {
    Bytes bytes(value.size());
    const auto length = wire::parse_binary(value, bytes);
    if (!length) return {};
    bytes.resize(*length);
    return bytes;
}

Bytes Chap::random_bytes(size_t count) {
    std::mt19937 random(m_seed++);
    Bytes bytes(count);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() >> 11);
    return bytes;
}

bool Chap::handle(const Pairs& in, Pairs& out) {
    switch (m_step) {
        case Step::Algorithm:
            return choose(in, out);
        case Step::Response:
            return check(in, out);
        case Step::Done:
            break;
    }
    return true;
}

bool Chap::choose(const Pairs& in, Pairs& out) {
    const std::string* proposal = find_value(in, "CHAP_A");
    if (proposal == nullptr) return true;  // a round of AuthMethod alone
    const KeyRule list{"CHAP_A", KeyKind::List, "", 0, 0, false, false, true, true, true};
    const std::string chosen = answer_to(list, *proposal, m_settings.algorithms);
    const auto number = to_number(chosen);
    if (!number) return false;
    m_algorithm = *number;
    m_identifier = static_cast<uint8_t>(random_bytes(1)[0]);
    m_challenge = random_bytes(m_settings.challenge_bytes);
    out.emplace_back("CHAP_A", chosen);
    out.emplace_back("CHAP_I", std::to_string(m_identifier));
    out.emplace_back("CHAP_C", write_binary(m_challenge, m_settings.base64));
    m_step = Step::Response;
    return true;
}

bool Chap::check(const Pairs& in, Pairs& out) {
    const std::string* name = find_value(in, "CHAP_N");
    const std::string* response = find_value(in, "CHAP_R");
    if (name == nullptr || response == nullptr || *name != m_settings.user) return false;
    const auto given = read_binary(*response);
    const auto expected = chap_response(m_algorithm, m_identifier, m_settings.secret, m_challenge);
    if (!given || !expected || *given != *expected) return false;
    const std::string* identifier = find_value(in, "CHAP_I");
    const std::string* challenge = find_value(in, "CHAP_C");
    m_step = Step::Done;
    if (identifier == nullptr && challenge == nullptr) return true;
    if (identifier == nullptr || challenge == nullptr || m_settings.mutual_user.empty())
        return false;
    const auto asked = read_binary(*challenge);
    const auto number = to_number(*identifier);
    if (!asked || !number || *number > 255 || *asked == m_challenge) return false;
    const auto ours =
        chap_response(m_algorithm, static_cast<uint8_t>(*number), m_settings.mutual_secret, *asked);
    out.emplace_back("CHAP_N", m_settings.mutual_user);
    out.emplace_back("CHAP_R", write_binary(*ours, m_settings.base64));
    return true;
}

}  // namespace hawser::target
