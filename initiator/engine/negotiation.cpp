// SPDX-License-Identifier: GPL-2.0-or-later
// The negotiation of text keys: see negotiation.hpp.
#include "engine/negotiation.hpp"

namespace hawser {

namespace negotiation_detail {

using wire::TextWriter;

constexpr std::string_view k_reject = "Reject";
constexpr std::string_view k_irrelevant = "Irrelevant";
constexpr std::string_view k_not_understood = "NotUnderstood";

constexpr size_t index_of(KeyId id) {
    return static_cast<size_t>(id);
}

// RFC 7143 6.2: what may only be an answer.
bool is_reserved_answer(std::string_view value) {
    return value == k_reject || value == k_irrelevant || value == k_not_understood;
}

// The numbers of hawser_keys by key. As an offer, the digests are masks of indexes.
void load(const hawser_keys& keys, uint32_t (&table)[k_key_count]) {
    table[index_of(KeyId::HeaderDigest)] = keys.header_digest;
    table[index_of(KeyId::DataDigest)] = keys.data_digest;
    table[index_of(KeyId::MaxConnections)] = keys.max_connections;
    table[index_of(KeyId::InitialR2T)] = keys.initial_r2t;
    table[index_of(KeyId::ImmediateData)] = keys.immediate_data;
    table[index_of(KeyId::MaxRecvDataSegmentLength)] = keys.max_recv_data_segment_length;
    table[index_of(KeyId::MaxBurstLength)] = keys.max_burst_length;
    table[index_of(KeyId::FirstBurstLength)] = keys.first_burst_length;
    table[index_of(KeyId::DefaultTime2Wait)] = keys.default_time2wait_s;
    table[index_of(KeyId::DefaultTime2Retain)] = keys.default_time2retain_s;
    table[index_of(KeyId::MaxOutstandingR2T)] = keys.max_outstanding_r2t;
    table[index_of(KeyId::DataPDUInOrder)] = keys.data_pdu_in_order;
    table[index_of(KeyId::DataSequenceInOrder)] = keys.data_sequence_in_order;
    table[index_of(KeyId::ErrorRecoveryLevel)] = keys.error_recovery_level;
}

// The index of value in the list, or its length when it is not there.
size_t list_index(const KeyList& list, std::string_view value) {
    size_t i = 0;
    while (i < 4 && (list.values[i].empty() || list.values[i] != value)) i++;
    return i;
}

// Best first: the values of a list stand in rising order of strength.
void write_list(TextWriter& writer, const Key& key, uint32_t mask) {
    uint8_t buffer[64];
    TextWriter values(buffer);
    const KeyList& list = *list_of(id_of(key));
    for (uint32_t i = 4; i-- > 0;) {
        if (!(mask >> i & 1)) continue;
        if (values.length()) values.text(",");
        values.text(list.values[i]);
    }
    writer.pair(key.name, values.view());
}

void write_value(TextWriter& writer, const Key& key, uint32_t value) {
    if (key.type == KeyType::Number)
        writer.pair(key.name, value);
    else
        writer.pair(key.name, std::string_view(value ? "Yes" : "No"));
}

// One value of the key's type and range. For a list: one of its values, as an index.
std::optional<uint32_t> parse_value(const Key& key, std::string_view value) {
    if (key.type == KeyType::Boolean) {
        auto boolean = wire::parse_boolean(value);
        return boolean ? std::optional<uint32_t>(*boolean) : std::nullopt;
    }
    if (key.type == KeyType::List) {
        size_t index = list_index(*list_of(id_of(key)), value);
        return index < 4 ? std::optional<uint32_t>(index) : std::nullopt;
    }
    auto number = wire::parse_number(value);
    if (!number || *number < key.minimum || *number > key.maximum) return {};
    return static_cast<uint32_t>(*number);
}

// The result functions of RFC 7143 13: what two sides' wishes make together.
uint32_t combine(const Key& key, uint32_t one, uint32_t other) {
    switch (key.result) {
        case KeyResult::Minimum:
        case KeyResult::And:
            return one < other ? one : other;
        case KeyResult::Maximum:
        case KeyResult::Or:
            return one > other ? one : other;
        default:
            return one;
    }
}

// Whether an answer is a possible result of what was offered.
bool is_admissible(const Key& key, uint32_t offer, uint32_t answer) {
    if (key.type == KeyType::List) return offer >> answer & 1;
    return combine(key, offer, answer) == answer;
}

// RFC 7143 6.2.2: a proposal that already decides a boolean needs no answer.
bool decides_alone(const Key& key, uint32_t proposal) {
    return (key.result == KeyResult::And && !proposal) || (key.result == KeyResult::Or && proposal);
}

// What it means that a target does not take the offer: a digest may be insisted on.
uint32_t refusal_of(KeyId id, uint32_t offer) {
    const bool insisted = (offer & 1) == 0;
    return insisted && (id == KeyId::HeaderDigest || id == KeyId::DataDigest)
               ? uint32_t{HAWSER_ERROR_LOGIN_DIGEST_REFUSED}
               : uint32_t{HAWSER_ERROR_LOGIN_BAD_VALUE};
}

}  // namespace negotiation_detail

void Negotiation::begin(const hawser_keys& offer, bool leading, const hawser_keys& session_keys) {
    using namespace negotiation_detail;
    m_leading = leading;
    m_keys = leading ? offer : session_keys;
    for (size_t i = 0; i < k_key_count; i++) {
        m_states[i] = KeyState::Unsaid;
        m_values[i] = key_table::k_keys[i].default_value;
        m_offers[i] = m_values[i];
    }
    load(m_keys, m_offers);
    // What concerns this connection alone is offered as asked, whatever the session has.
    m_offers[index_of(KeyId::HeaderDigest)] = offer.header_digest;
    m_offers[index_of(KeyId::DataDigest)] = offer.data_digest;
    m_offers[index_of(KeyId::MaxRecvDataSegmentLength)] = offer.max_recv_data_segment_length;
    m_offers[index_of(KeyId::AuthMethod)] = k_auth_none;
    m_offers[index_of(KeyId::TaskReporting)] = list_of(KeyId::TaskReporting)->supported;
    if (leading) return;
    for (size_t i = 0; i < k_key_count; i++)
        if (key_table::k_keys[i].use == KeyUse::Leading) m_values[i] = m_offers[i];
}

void Negotiation::offer_chap() {
    m_offers[negotiation_detail::index_of(KeyId::AuthMethod)] = k_auth_chap;
}

// What it means that AuthMethod was not answered as we want it.
uint32_t Negotiation::method_refused() const {
    bool chap = m_offers[negotiation_detail::index_of(KeyId::AuthMethod)] == k_auth_chap;
    return chap ? HAWSER_ERROR_CHAP_REFUSED : HAWSER_ERROR_LOGIN_AUTHENTICATION_REQUIRED;
}

void Negotiation::propose(KeyStage stage, wire::TextWriter& writer) {
    using namespace negotiation_detail;
    for (const Key& key : key_table::k_keys) {
        size_t i = index_of(id_of(key));
        if (key.stage != stage || !is_proposed_by_us(key) || m_states[i] != KeyState::Unsaid)
            continue;
        if (key.use == KeyUse::Leading && !m_leading) continue;
        if (key.type == KeyType::List)
            write_list(writer, key, m_offers[i]);
        else
            write_value(writer, key, m_offers[i]);
        // A declaration goes each way on its own: the target's is still to come.
        if (key.result != KeyResult::Declared) m_states[i] = KeyState::Proposed;
    }
}

uint32_t Negotiation::handle(KeyStage stage, std::string_view name, std::string_view value,
                             wire::TextWriter& writer, bool& answered) {
    using namespace negotiation_detail;
    const Key* key = find_key(name);
    if (!key) {
        // RFC 7143 6.2. X#NodeArchitecture may be discarded in silence (13.26.2), but need not.
        if (is_reserved_answer(value)) return HAWSER_ERROR_LOGIN_BAD_VALUE;
        writer.pair(name, k_not_understood);
        return HAWSER_ERROR_NONE;
    }
    if (key->stage != KeyStage::Any && key->stage != stage) return HAWSER_ERROR_LOGIN_BAD_STAGE;
    if (!(key->senders & k_from_target)) return HAWSER_ERROR_LOGIN_BAD_VALUE;
    switch (m_states[index_of(id_of(*key))]) {
        case KeyState::Proposed:
            return handle_answer(*key, value);
        case KeyState::Settled:
            if (key->name != k_repeatable_key) return HAWSER_ERROR_LOGIN_DUPLICATE_KEY;
            break;
        case KeyState::Unsaid:
            break;
    }
    if (key->result == KeyResult::Declared) return handle_declaration(*key, value);
    return handle_proposal(*key, value, writer, answered);
}

uint32_t Negotiation::handle_declaration(const Key& key, std::string_view value) {
    using namespace negotiation_detail;
    size_t i = index_of(id_of(key));
    m_states[i] = KeyState::Settled;
    if (key.type != KeyType::Number) return HAWSER_ERROR_NONE;
    auto number = parse_value(key, value);
    if (!number) return HAWSER_ERROR_LOGIN_BAD_VALUE;
    m_values[i] = *number;
    return HAWSER_ERROR_NONE;
}

uint32_t Negotiation::handle_answer(const Key& key, std::string_view value) {
    using namespace negotiation_detail;
    size_t i = index_of(id_of(key));
    m_states[i] = KeyState::Settled;
    // 6.2: an RFC key that is not understood is a protocol error; so falls through to a bad value.
    if (value == k_reject || value == k_irrelevant) return fall_back(key, value == k_reject);
    auto answer = parse_value(key, value);
    if (answer && is_admissible(key, m_offers[i], *answer)) {
        m_values[i] = *answer;
        return HAWSER_ERROR_NONE;
    }
    // 6.2.1: the choice of something not proposed. Of a method, it says what the target wants.
    if (id_of(key) == KeyId::AuthMethod && answer) return method_refused();
    return answer ? refusal_of(id_of(key), m_offers[i]) : uint32_t{HAWSER_ERROR_LOGIN_BAD_VALUE};
}

// Without an agreement the key stays at its default (RFC 7143 6.2), which has to be one that our
// offer allows.
uint32_t Negotiation::fall_back(const Key& key, bool rejected) {
    using namespace negotiation_detail;
    size_t i = index_of(id_of(key));
    if (id_of(key) == KeyId::AuthMethod) return method_refused();
    if (is_admissible(key, m_offers[i], key.default_value)) {
        m_values[i] = key.default_value;
        return HAWSER_ERROR_NONE;
    }
    if (rejected || key.type == KeyType::List) return refusal_of(id_of(key), m_offers[i]);
    m_values[i] = m_offers[i];
    return HAWSER_ERROR_NONE;
}

uint32_t Negotiation::handle_proposal(const Key& key, std::string_view value,
                                      wire::TextWriter& writer, bool& answered) {
    using namespace negotiation_detail;
    size_t i = index_of(id_of(key));
    m_states[i] = KeyState::Settled;
    if (is_reserved_answer(value)) return HAWSER_ERROR_LOGIN_BAD_VALUE;
    if (key.result == KeyResult::Obsolete) {
        // 13.25 lets markers be answered with Reject or No; LIO drops a login over the former.
        writer.pair(key.name, key.type == KeyType::Boolean ? std::string_view("No") : k_reject);
        answered = answered || value != "No";
        return HAWSER_ERROR_NONE;
    }
    if (key.type == KeyType::List) {
        answered = true;
        const KeyList& list = *list_of(id_of(key));
        wire::ListReader values(value);
        for (std::string_view item; values.next(item);) {
            size_t index = list_index(list, item);
            if (index >= 4 || !(list.supported & m_offers[i] & 1u << index)) continue;
            m_values[i] = static_cast<uint32_t>(index);
            writer.pair(key.name, item);
            return HAWSER_ERROR_NONE;
        }
        writer.pair(key.name, k_reject);
        return HAWSER_ERROR_NONE;
    }
    auto proposal = parse_value(key, value);
    if (!proposal) {
        answered = true;
        writer.pair(key.name, k_reject);
        return HAWSER_ERROR_NONE;
    }
    answered = answered || !decides_alone(key, *proposal);
    uint32_t result = combine(key, *proposal, m_offers[i]);
    write_value(writer, key, result);
    // tgt proposes leading-only keys on further connections. It gets an answer that it can take,
    // and the session keeps what its leading connection agreed (RFC 7143 13, "use: LO"): store().
    m_values[i] = result;
    return HAWSER_ERROR_NONE;
}

uint32_t Negotiation::conclude(KeyStage stage) {
    using namespace negotiation_detail;
    for (const Key& key : key_table::k_keys) {
        size_t i = index_of(id_of(key));
        if (key.stage != stage || m_states[i] != KeyState::Proposed) continue;
        m_states[i] = KeyState::Settled;
        if (id_of(key) == KeyId::AuthMethod) continue;  // let in without a word about it: None
        if (key.type == KeyType::Boolean && decides_alone(key, m_offers[i])) {
            m_values[i] = m_offers[i];
            continue;
        }
        uint32_t error = fall_back(key, true);
        if (error != HAWSER_ERROR_NONE) return error;
    }
    if (stage != KeyStage::Operational) return HAWSER_ERROR_NONE;
    uint32_t error = check_rules();
    if (error == HAWSER_ERROR_NONE) store();
    return error;
}

// The rules between keys, RFC 7143 13.14 and 13.19: looked at when all of them are known (6.2).
uint32_t Negotiation::check_rules() {
    using negotiation_detail::index_of;
    if (!m_leading) return HAWSER_ERROR_NONE;
    uint32_t& first_burst = m_values[index_of(KeyId::FirstBurstLength)];
    uint32_t max_burst = value(KeyId::MaxBurstLength);
    if (first_burst > max_burst) {
        bool unsolicited = !value(KeyId::InitialR2T) || value(KeyId::ImmediateData);
        if (unsolicited) return HAWSER_ERROR_LOGIN_BAD_VALUE;
        first_burst = max_burst;
    }
    if (value(KeyId::ErrorRecoveryLevel) && value(KeyId::DataSequenceInOrder) &&
        value(KeyId::MaxOutstandingR2T) != 1)
        return HAWSER_ERROR_LOGIN_BAD_VALUE;
    return HAWSER_ERROR_NONE;
}

void Negotiation::store() {
    using negotiation_detail::index_of;
    m_keys.header_digest = static_cast<uint8_t>(value(KeyId::HeaderDigest));
    m_keys.data_digest = static_cast<uint8_t>(value(KeyId::DataDigest));
    m_keys.max_recv_data_segment_length = m_offers[index_of(KeyId::MaxRecvDataSegmentLength)];
    m_keys.max_xmit_data_segment_length = value(KeyId::MaxRecvDataSegmentLength);
    if (!m_leading) return;
    m_keys.max_connections = value(KeyId::MaxConnections);
    m_keys.initial_r2t = static_cast<uint8_t>(value(KeyId::InitialR2T));
    m_keys.immediate_data = static_cast<uint8_t>(value(KeyId::ImmediateData));
    m_keys.max_burst_length = value(KeyId::MaxBurstLength);
    m_keys.first_burst_length = value(KeyId::FirstBurstLength);
    m_keys.default_time2wait_s = static_cast<uint16_t>(value(KeyId::DefaultTime2Wait));
    m_keys.default_time2retain_s = static_cast<uint16_t>(value(KeyId::DefaultTime2Retain));
    m_keys.max_outstanding_r2t = value(KeyId::MaxOutstandingR2T);
    m_keys.data_pdu_in_order = static_cast<uint8_t>(value(KeyId::DataPDUInOrder));
    m_keys.data_sequence_in_order = static_cast<uint8_t>(value(KeyId::DataSequenceInOrder));
    m_keys.error_recovery_level = static_cast<uint8_t>(value(KeyId::ErrorRecoveryLevel));
}

}  // namespace hawser
