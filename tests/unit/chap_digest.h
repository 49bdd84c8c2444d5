// SPDX-License-Identifier: GPL-2.0-or-later
//
// CHAP's digest, H(identifier secret challenge) of RFC 1994 4.1, by OpenSSL: what hosts of the
// engine and targets in tests answer with.

#pragma once

#include <openssl/evp.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "abi/engine.h"

namespace hawser::test {

inline std::vector<uint8_t> chap_digest(uint8_t algorithm, uint8_t identifier,
                                        const std::string& secret,
                                        std::span<const uint8_t> challenge) {
    const EVP_MD* kind = algorithm == HAWSER_CHAP_MD5      ? EVP_md5()
                         : algorithm == HAWSER_CHAP_SHA1   ? EVP_sha1()
                         : algorithm == HAWSER_CHAP_SHA256 ? EVP_sha256()
                                                           : EVP_sha3_256();
    std::vector<uint8_t> message{identifier};
    message.insert(message.end(), secret.begin(), secret.end());
    message.insert(message.end(), challenge.begin(), challenge.end());
    std::vector<uint8_t> digest(EVP_MAX_MD_SIZE);
    unsigned int length = 0;
    EVP_Digest(message.data(), message.size(), digest.data(), &length, kind, nullptr);
    digest.resize(length);
    return digest;
}

// Answers what an engine asks for; "" is a secret that this host has not.
inline hawser_chap_answer chap_answer(const hawser_chap_request& request, const std::string& ours,
                                      const std::string& target, std::span<const uint8_t> random) {
    hawser_chap_answer answer{};
    const std::string& secret = request.secret == HAWSER_CHAP_OURS ? ours : target;
    for (size_t i = 0; i < sizeof(answer.random); i++) answer.random[i] = random[i % random.size()];
    if (secret.empty()) return answer;
    const auto digest = chap_digest(request.algorithm, request.identifier, secret,
                                    {request.challenge, request.challenge_length});
    answer.digest_length = static_cast<uint8_t>(digest.size());
    for (size_t i = 0; i < digest.size(); i++) answer.digest[i] = digest[i];
    return answer;
}

}  // namespace hawser::test
