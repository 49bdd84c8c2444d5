// SPDX-License-Identifier: GPL-2.0-or-later
//
// The model target's half of CHAP.

#include "chap_turn.h"

#include <fmt/format.h>

#include "chap_digest.h"
#include "wire/text.hpp"

namespace hawser::sim {

namespace {

std::string hex_of(const Bytes& bytes) {
    std::string text = "0x";
    for (const uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
    return text;
}

// Hex alone: that is what the engine sends.
Bytes bytes_of(const std::string& hex) {
    Bytes bytes;
    for (size_t i = 2; i + 1 < hex.size(); i += 2)
        bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

const std::string& value_of(const TextPairs& keys, const std::string& key) {
    static const std::string none;
    const auto found = keys.find(key);
    return found == keys.end() ? none : found->second;
}

}  // namespace

TextPairs text_pairs(const Bytes& text) {
    TextPairs pairs;
    wire::TextReader reader(text);
    while (const auto pair = reader.next()) pairs[std::string(pair->key)] = pair->value;
    return pairs;
}

std::string ChapTurn::challenge_words(const TextPairs& keys, World& world) {
    std::vector<uint8_t> offered;
    for (const char c : value_of(keys, "CHAP_A"))
        if (c >= '5' && c <= '8') offered.push_back(static_cast<uint8_t>(c - '0'));
    world.require(!offered.empty(), "CHAP algorithms are offered");  // rule 43
    algorithm = offered[world.random.next() % offered.size()];
    identifier = static_cast<uint8_t>(world.random.next());
    challenge.resize(world.random.between(16, 64));
    for (uint8_t& byte : challenge) byte = static_cast<uint8_t>(world.random.next());
    return fmt::format("CHAP_A={} CHAP_I={} CHAP_C={}", algorithm, identifier, hex_of(challenge));
}

bool ChapTurn::check(const TextPairs& keys, bool mutual, World& world, std::string& words) const {
    if (value_of(keys, "CHAP_N") != "node") return false;
    const Bytes expected = test::chap_digest(algorithm, identifier, k_our_secret, challenge);
    if (bytes_of(value_of(keys, "CHAP_R")) != expected) return false;
    const Bytes theirs = bytes_of(value_of(keys, "CHAP_C"));
    // rule 45
    world.require(mutual == !theirs.empty(), "the target is challenged where it was asked for");
    if (!mutual) return true;
    world.require(theirs != challenge, "a challenge is not reflected");
    const auto own_identifier =
        static_cast<uint8_t>(wire::parse_number(value_of(keys, "CHAP_I")).value_or(0));
    words =
        fmt::format("CHAP_N=disk CHAP_R={}",
                    hex_of(test::chap_digest(algorithm, own_identifier, k_target_secret, theirs)));
    return true;
}

}  // namespace hawser::sim
