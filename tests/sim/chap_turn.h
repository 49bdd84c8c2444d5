// SPDX-License-Identifier: GPL-2.0-or-later
//
// CHAP at the model target (RFC 7143 12.1.3): what it says in one login, and whether it believes
// what it hears.

#pragma once

#include <map>
#include <string>

#include "world.h"

namespace hawser::sim {

inline constexpr const char* k_our_secret = "twelve-bytes-of-ours";
inline constexpr const char* k_target_secret = "another-of-the-target";

using TextPairs = std::map<std::string, std::string>;
TextPairs text_pairs(const Bytes& text);

struct ChapTurn {
    // The answer to CHAP_A: one of those that were offered, and a challenge.
    std::string challenge_words(const TextPairs& keys, World& world);
    // The initiator's name and response; words: what is to be said to its own challenge.
    bool check(const TextPairs& keys, bool mutual, World& world, std::string& words) const;

    bool begun = false;
    uint8_t algorithm = 0;
    uint8_t identifier = 0;
    Bytes challenge;
};

}  // namespace hawser::sim
