// SPDX-License-Identifier: GPL-2.0-or-later
//
// Text keys of RFC 7143 13 as the target sees them: what each is, what becomes of a proposal, and
// the numbers that a session or a connection goes by. Written apart from the engine's negotiator,
// so that each is a check of the other.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace hawser::target {

enum class KeyKind : uint8_t {
    Minimum,
    Maximum,
    And,
    Or,
    List,
    Declared,  // a number or text that is not answered
    Obsolete,  // answered with Reject, 13.25
};

struct KeyRule {
    const char* name;
    KeyKind kind;
    const char* fallback;  // the RFC's default
    uint32_t minimum;
    uint32_t maximum;
    bool leading_only;
    bool session_wide;
    bool security_too;  // may stand in the security stage
    bool from_initiator;
    bool from_target;
};

// nullptr: not a key of RFC 7143.
const KeyRule* find_rule(const std::string& name);

// Whether the value is one that the key can have at all.
bool is_valid(const KeyRule& rule, const std::string& value);
// Whether `answer` may follow from `proposal`.
bool is_possible(const KeyRule& rule, const std::string& proposal, const std::string& answer);
// What a side that wishes `own` answers; "Reject" when nothing fits.
std::string answer_to(const KeyRule& rule, const std::string& proposal, const std::string& own);
// A boolean that leaves the other side no choice needs no answer, 6.2.2.
bool decides_alone(const KeyRule& rule, const std::string& proposal);

std::optional<uint32_t> to_number(const std::string& value);

// What was agreed. Each connection has one; the session's part is its leading connection's.
struct Keys {
    bool header_digest = false;
    bool data_digest = false;
    uint32_t initiator_max_recv = 8192;
    uint32_t target_max_recv = 8192;
    uint32_t max_connections = 1;
    bool initial_r2t = true;
    bool immediate_data = true;
    uint32_t max_burst = 262144;
    uint32_t first_burst = 65536;
    uint32_t time2wait_s = 2;
    uint32_t time2retain_s = 20;
    uint32_t max_outstanding_r2t = 1;
    bool data_pdu_in_order = true;
    bool data_sequence_in_order = true;
    uint32_t error_recovery_level = 0;

    // An agreed value, or a declaration of one of the two sides.
    void store(const std::string& name, const std::string& value, bool from_initiator);
};

using KeyValues = std::map<std::string, std::string>;

}  // namespace hawser::target
