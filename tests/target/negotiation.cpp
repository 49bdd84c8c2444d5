// SPDX-License-Identifier: GPL-2.0-or-later
//
// The keys of RFC 7143 13 and their result functions.

#include "negotiation.h"

#include <algorithm>
#include <sstream>
#include <vector>

namespace hawser::target {

namespace {

constexpr uint32_t k_max = (1u << 24) - 1;

// clang-format off
constexpr KeyRule k_rules[] = {
    // name, kind, default, min, max, leading only, session wide, security too, sent by I, by T
    {"AuthMethod", KeyKind::List, "None", 0, 0, false, false, true, true, true},
    {"HeaderDigest", KeyKind::List, "None", 0, 0, false, false, false, true, true},
    {"DataDigest", KeyKind::List, "None", 0, 0, false, false, false, true, true},
    {"MaxConnections", KeyKind::Minimum, "1", 1, 65535, true, true, false, true, true},
    {"InitialR2T", KeyKind::Or, "Yes", 0, 0, true, true, false, true, true},
    {"ImmediateData", KeyKind::And, "Yes", 0, 0, true, true, false, true, true},
    {"MaxRecvDataSegmentLength", KeyKind::Declared, "8192", 512, k_max, false, false, false, true,
     true},
    {"MaxBurstLength", KeyKind::Minimum, "262144", 512, k_max, true, true, false, true, true},
    {"FirstBurstLength", KeyKind::Minimum, "65536", 512, k_max, true, true, false, true, true},
    {"DefaultTime2Wait", KeyKind::Maximum, "2", 0, 3600, true, true, false, true, true},
    {"DefaultTime2Retain", KeyKind::Minimum, "20", 0, 3600, true, true, false, true, true},
    {"MaxOutstandingR2T", KeyKind::Minimum, "1", 1, 65535, true, true, false, true, true},
    {"DataPDUInOrder", KeyKind::Or, "Yes", 0, 0, true, true, false, true, true},
    {"DataSequenceInOrder", KeyKind::Or, "Yes", 0, 0, true, true, false, true, true},
    {"ErrorRecoveryLevel", KeyKind::Minimum, "0", 0, 2, true, true, false, true, true},
    {"TaskReporting", KeyKind::List, "RFC3720", 0, 0, true, true, false, true, true},
    {"iSCSIProtocolLevel", KeyKind::Minimum, "1", 0, 31, true, true, false, true, true},
    {"InitiatorName", KeyKind::Declared, "", 0, 0, false, true, true, true, false},
    {"InitiatorAlias", KeyKind::Declared, "", 0, 0, false, true, true, true, false},
    {"SessionType", KeyKind::Declared, "Normal", 0, 0, true, true, true, true, false},
    {"TargetName", KeyKind::Declared, "", 0, 0, false, true, true, true, false},
    {"SendTargets", KeyKind::Declared, "", 0, 0, false, true, false, true, false},
    {"TargetAlias", KeyKind::Declared, "", 0, 0, false, true, true, false, true},
    {"TargetAddress", KeyKind::Declared, "", 0, 0, false, true, true, false, true},
    {"TargetPortalGroupTag", KeyKind::Declared, "", 0, 65535, false, true, true, false, true},
    {"IFMarker", KeyKind::Obsolete, "No", 0, 0, false, false, false, true, true},
    {"OFMarker", KeyKind::Obsolete, "No", 0, 0, false, false, false, true, true},
    {"IFMarkInt", KeyKind::Obsolete, "", 0, 0, false, false, false, true, true},
    {"OFMarkInt", KeyKind::Obsolete, "", 0, 0, false, false, false, true, true},
    {"CHAP_A", KeyKind::Declared, "", 0, 0, false, false, true, true, true},
    {"CHAP_I", KeyKind::Declared, "", 0, 0, false, false, true, true, true},
    {"CHAP_C", KeyKind::Declared, "", 0, 0, false, false, true, true, true},
    {"CHAP_N", KeyKind::Declared, "", 0, 0, false, false, true, true, true},
    {"CHAP_R", KeyKind::Declared, "", 0, 0, false, false, true, true, true},
};
// clang-format on

std::vector<std::string> items_of(const std::string& list) {
    std::vector<std::string> items;
    std::stringstream stream(list);
    for (std::string item; std::getline(stream, item, ',');) items.push_back(item);
    return items;
}

bool contains(const std::vector<std::string>& items, const std::string& item) {
    return std::find(items.begin(), items.end(), item) != items.end();
}

bool is_number(const KeyRule& rule) {
    return rule.kind == KeyKind::Minimum || rule.kind == KeyKind::Maximum ||
           (rule.kind == KeyKind::Declared && rule.maximum != 0);
}

bool is_boolean(const KeyRule& rule) {
    return rule.kind == KeyKind::And || rule.kind == KeyKind::Or;
}

}  // namespace

const KeyRule* find_rule(const std::string& name) {
    for (const KeyRule& rule : k_rules)
        if (name == rule.name) return &rule;
    return nullptr;
}

std::optional<uint32_t> to_number(const std::string& value) {
    if (value.empty() || value.size() > 10) return {};
    const bool hex = value.size() > 2 && value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
    const std::string digits = hex ? value.substr(2) : value;
    const char* allowed = hex ? "0123456789abcdefABCDEF" : "0123456789";
    if (digits.find_first_not_of(allowed) != digits.npos) return {};
    if (!hex && digits.size() > 1 && digits[0] == '0') return {};
    const uint64_t number = std::stoull(digits, nullptr, hex ? 16 : 10);
    if (number > UINT32_MAX) return {};
    return static_cast<uint32_t>(number);
}

bool is_valid(const KeyRule& rule, const std::string& value) {
    if (is_boolean(rule)) return value == "Yes" || value == "No";
    if (!is_number(rule)) return true;
    const auto number = to_number(value);
    return number && *number >= rule.minimum && *number <= rule.maximum;
}

bool is_possible(const KeyRule& rule, const std::string& proposal, const std::string& answer) {
    if (answer == "Reject" || answer == "Irrelevant") return true;
    if (answer == "NotUnderstood") return false;
    if (rule.kind == KeyKind::List) return contains(items_of(proposal), answer);
    if (rule.kind == KeyKind::Obsolete) return answer == "No";
    if (!is_valid(rule, answer)) return false;
    if (rule.kind == KeyKind::Declared) return true;
    return answer_to(rule, proposal, answer) == answer;
}

std::string answer_to(const KeyRule& rule, const std::string& proposal, const std::string& own) {
    if (rule.kind == KeyKind::Obsolete) return "Reject";
    if (rule.kind == KeyKind::List) {
        for (const std::string& item : items_of(proposal))
            if (contains(items_of(own), item)) return item;
        return "Reject";
    }
    if (!is_valid(rule, proposal)) return "Reject";
    if (rule.kind == KeyKind::And) return proposal == "Yes" && own == "Yes" ? "Yes" : "No";
    if (rule.kind == KeyKind::Or) return proposal == "Yes" || own == "Yes" ? "Yes" : "No";
    const uint32_t asked = *to_number(proposal);
    const uint32_t wished = to_number(own).value_or(asked);
    return std::to_string(rule.kind == KeyKind::Minimum ? std::min(asked, wished)
                                                        : std::max(asked, wished));
}

bool decides_alone(const KeyRule& rule, const std::string& proposal) {
    return (rule.kind == KeyKind::And && proposal == "No") ||
           (rule.kind == KeyKind::Or && proposal == "Yes");
}

void Keys::store(const std::string& name, const std::string& value, bool from_initiator) {
    const bool yes = value == "Yes";
    const uint32_t number = to_number(value).value_or(0);
    if (name == "HeaderDigest") header_digest = value == "CRC32C";
    if (name == "DataDigest") data_digest = value == "CRC32C";
    if (name == "InitialR2T") initial_r2t = yes;
    if (name == "ImmediateData") immediate_data = yes;
    if (name == "DataPDUInOrder") data_pdu_in_order = yes;
    if (name == "DataSequenceInOrder") data_sequence_in_order = yes;
    if (!to_number(value)) return;
    if (name == "MaxRecvDataSegmentLength")
        (from_initiator ? initiator_max_recv : target_max_recv) = number;
    if (name == "MaxConnections") max_connections = number;
    if (name == "MaxBurstLength") max_burst = number;
    if (name == "FirstBurstLength") first_burst = number;
    if (name == "DefaultTime2Wait") time2wait_s = number;
    if (name == "DefaultTime2Retain") time2retain_s = number;
    if (name == "MaxOutstandingR2T") max_outstanding_r2t = number;
    if (name == "ErrorRecoveryLevel") error_recovery_level = number;
}

}  // namespace hawser::target
