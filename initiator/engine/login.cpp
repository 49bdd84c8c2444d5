// SPDX-License-Identifier: GPL-2.0-or-later
// The Login Phase of one connection: see login.hpp.
//
// Theory. A login climbs stages (RFC 7143 6.3): SecurityNegotiation, LoginOperationalNegotiation,
// FullFeaturePhase. Each round is one Login Request and one Login Response of the same stage (CSG).
// The initiator asks for the next stage with T and NSG; only then may the target grant it, with T
// and the same NSG, and both are there at once. Without T the stage goes on: the target proposes
// something of its own, or needs a round more (tgt does on further connections), and we ask again.
// Text longer than a PDU is sent in pieces with C, each answered by an empty PDU.
//
// We always begin in the security stage, with AuthMethod=None or, where CHAP is configured, with
// nothing but CHAP: who configures a secret does not want to be let in without one. Beginning in
// the operational stage would save one round, but then a target that demands an authentication can
// only refuse (0201, 6.3.1); so it says what it wants, and CHAP (chap.hpp) is rounds of the
// security stage without T, and nothing else. It is also how the Windows and VMware initiators
// begin, so no target stumbles over it. The RFC's row "security -> full feature" is missing below
// because we never ask for it: the keys of the operational stage have still to be agreed, and a
// target must not grant more than was asked.
#include "engine/login.hpp"

#include "engine/address.hpp"

namespace hawser {

namespace login_detail {

// What a Login Response of Status-Class 0 says about the stage, by its bits T and C and its NSG.
enum class Answer : uint8_t { Continues, Stays, GrantsOperational, GrantsFullFeature, Undefined };

struct Transition {
    std::string_view name;
    LoginState from;
    Answer answer;
    LoginState to;
};

// RFC 7143 6.3, the table "From - To". What is not here is refused with LOGIN_BAD_STAGE.
constexpr Transition k_transitions[] = {
    {"security, text goes on", LoginState::Security, Answer::Continues, LoginState::Security},
    {"security, one more round", LoginState::Security, Answer::Stays, LoginState::Security},
    {"security -> operational", LoginState::Security, Answer::GrantsOperational,
     LoginState::Operational},
    {"operational, text goes on", LoginState::Operational, Answer::Continues,
     LoginState::Operational},
    {"operational, one more round", LoginState::Operational, Answer::Stays,
     LoginState::Operational},
    {"operational -> full feature", LoginState::Operational, Answer::GrantsFullFeature,
     LoginState::FullFeature},
};

const Transition* find_transition(LoginState from, Answer answer) {
    for (const Transition& transition : k_transitions)
        if (transition.from == from && transition.answer == answer) return &transition;
    return nullptr;
}

constexpr uint8_t stage_code(LoginState state) {
    return static_cast<uint8_t>(state == LoginState::Security ? wire::LoginStage::Security
                                                              : wire::LoginStage::Operational);
}

// The stage that we ask for once everything is said.
constexpr uint8_t wanted_stage_code(LoginState state) {
    return static_cast<uint8_t>(state == LoginState::Security ? wire::LoginStage::Operational
                                                              : wire::LoginStage::FullFeature);
}

constexpr Answer answer_of(uint8_t flags) {
    bool transit = flags & wire::LoginResponse::k_transit;
    bool more = flags & wire::LoginResponse::k_continue;
    if (transit && more) return Answer::Undefined;  // 11.13.7
    if (more) return Answer::Continues;
    if (!transit) return Answer::Stays;  // NSG is reserved
    switch (static_cast<wire::LoginStage>(flags & 3)) {
        case wire::LoginStage::Operational:
            return Answer::GrantsOperational;
        case wire::LoginStage::FullFeature:
            return Answer::GrantsFullFeature;
        default:
            return Answer::Undefined;
    }
}

struct Status {
    uint16_t code;
    uint32_t error;
};

// RFC 7143 11.13.5
constexpr Status k_statuses[] = {
    {0x0101, HAWSER_ERROR_LOGIN_REDIRECTED},
    {0x0102, HAWSER_ERROR_LOGIN_REDIRECTED},
    {0x0200, HAWSER_ERROR_LOGIN_INITIATOR_ERROR},
    {0x0201, HAWSER_ERROR_LOGIN_AUTHENTICATION_FAILED},
    {0x0202, HAWSER_ERROR_LOGIN_FORBIDDEN},
    {0x0203, HAWSER_ERROR_LOGIN_TARGET_NOT_FOUND},
    {0x0204, HAWSER_ERROR_LOGIN_TARGET_REMOVED},
    {0x0205, HAWSER_ERROR_LOGIN_UNSUPPORTED_VERSION},
    {0x0206, HAWSER_ERROR_LOGIN_TOO_MANY_CONNECTIONS},
    {0x0207, HAWSER_ERROR_LOGIN_MISSING_PARAMETER},
    {0x0208, HAWSER_ERROR_LOGIN_CANNOT_INCLUDE},
    {0x0209, HAWSER_ERROR_LOGIN_SESSION_TYPE},
    {0x020a, HAWSER_ERROR_LOGIN_SESSION_DOES_NOT_EXIST},
    {0x020b, HAWSER_ERROR_LOGIN_INVALID_DURING_LOGIN},
    {0x0300, HAWSER_ERROR_LOGIN_TARGET_ERROR},
    {0x0301, HAWSER_ERROR_LOGIN_SERVICE_UNAVAILABLE},
    {0x0302, HAWSER_ERROR_LOGIN_OUT_OF_RESOURCES},
};

// "Status-Class is sufficient for a simple initiator" (11.13.5): an unknown detail means its class.
uint32_t error_of_status(uint16_t code) {
    for (const Status& status : k_statuses)
        if (status.code == code) return status.error;
    if (code >> 8 == 2) return HAWSER_ERROR_LOGIN_INITIATOR_ERROR;
    if (code >> 8 == 3) return HAWSER_ERROR_LOGIN_TARGET_ERROR;
    return HAWSER_ERROR_LOGIN_UNKNOWN_STATUS;
}

}  // namespace login_detail

void Login::begin(const hawser_options& options, const hawser_login_order& order) {
    m_state = LoginState::Idle;
    m_leading = order.leading;
    m_asked_transit = false;
    m_asked_continue = false;
    m_target_continues = false;
    for (size_t i = 0; i < sizeof(m_isid); i++) m_isid[i] = order.isid[i];
    m_cid = order.cid;
    m_tsih = order.leading ? uint16_t{0} : order.tsih;
    m_expected_portal_group_tag = order.target_portal_group_tag;
    m_portal_group_tag = order.leading ? uint16_t{0} : order.target_portal_group_tag;
    m_redirect = {};
    m_redirect_port = 0;
    m_detail = 0;
    m_rounds = 0;
    m_received = 0;
    m_chap.begin(options);
    m_negotiation.begin(options.offer, m_leading, order.session_keys);
    if (m_chap.is_configured()) m_negotiation.offer_chap();
    m_writer = wire::TextWriter(m_request_text);
    declare_names(options);
    enter(LoginState::Security);
}

// RFC 7143 6.3: the names in the first request of every connection. SessionType and InitiatorAlias
// are the session's: LIO does not know them on a further connection.
void Login::declare_names(const hawser_options& options) {
    m_writer.pair("InitiatorName", wire::text_of(options.initiator_name));
    std::string_view alias = wire::text_of(options.alias);
    if (m_leading && !alias.empty()) m_writer.pair("InitiatorAlias", alias);
    m_writer.pair("TargetName", wire::text_of(options.target_name));
    if (m_leading) m_writer.pair("SessionType", "Normal");
}

// Writes after what stands in m_writer: the names, when this is the first stage.
void Login::enter(LoginState state) {
    m_state = state;
    if (state == LoginState::FullFeature) return;
    m_negotiation.propose(key_stage(), m_writer);
    m_sent = 0;
    m_request_ready = true;
}

bool Login::poll_request(wire::LoginRequest& header, std::span<const uint8_t>& text) {
    if (!m_request_ready || m_chap.is_waiting()) return false;
    m_request_ready = false;
    size_t left = m_target_continues ? 0 : m_writer.length() - m_sent;
    size_t length = left < k_login_segment_bytes_max ? left : k_login_segment_bytes_max;
    m_asked_continue = length < left;
    // 6.2: nothing is asked for while text goes on, ours or the target's.
    bool may_leave = m_state != LoginState::Security || m_chap.may_leave();
    m_asked_transit = may_leave && !m_asked_continue && !m_target_continues;
    text = m_writer.written().subspan(m_sent, length);
    m_sent += length;

    header = {};
    header.flags = static_cast<uint8_t>(login_detail::stage_code(m_state) << 2);
    if (m_asked_continue) header.flags |= wire::LoginRequest::k_continue;
    if (m_asked_transit)
        header.flags |= wire::LoginRequest::k_transit | login_detail::wanted_stage_code(m_state);
    header.data_segment_length = static_cast<uint32_t>(length);
    for (size_t i = 0; i < sizeof(m_isid); i++) header.isid[i] = m_isid[i];
    header.tsih = m_tsih;
    header.cid = m_cid;
    return true;
}

uint32_t Login::handle_response(const wire::LoginResponse& header, std::span<const uint8_t> text) {
    bool logging_in = m_state == LoginState::Security || m_state == LoginState::Operational;
    if (!logging_in || m_request_ready) return fail(HAWSER_ERROR_LOGIN_UNEXPECTED_PDU);
    if (header.status_class != 0) return fail(handle_status(header, text));
    uint32_t error = reply(header, text);
    return error == HAWSER_ERROR_NONE ? error : fail(error);
}

uint32_t Login::handle_chap(const hawser_chap_answer& answer) {
    if (!m_chap.is_waiting()) return HAWSER_ERROR_NONE;
    uint32_t error = m_chap.handle_answer(answer, m_writer);
    return error == HAWSER_ERROR_NONE ? error : fail(error);
}

uint32_t Login::fail(uint32_t error) {
    m_state = LoginState::Failed;
    m_request_ready = false;
    return error;
}

uint32_t Login::handle_status(const wire::LoginResponse& header, std::span<const uint8_t> text) {
    m_detail = static_cast<uint32_t>(header.status_class) << 8 | header.status_detail;
    uint32_t error = login_detail::error_of_status(static_cast<uint16_t>(m_detail));
    if (error == HAWSER_ERROR_LOGIN_REDIRECTED) take_redirect(text);
    if (error == HAWSER_ERROR_LOGIN_INITIATOR_ERROR && m_state == LoginState::Security &&
        m_chap.avoid_algorithm()) {
        m_detail = 0;
        return HAWSER_ERROR_LOGIN_CHAP_ALGORITHM;
    }
    return error;
}

// The first TargetAddress that is an address. Its portal group tag has to be omitted here (13.8);
// where it is not, it is passed over.
void Login::take_redirect(std::span<const uint8_t> text) {
    wire::TextReader reader(text);
    while (auto pair = reader.next()) {
        if (pair->key != "TargetAddress") continue;
        auto portal = parse_portal(wire::slice(pair->value, 0, wire::find(pair->value, ',')));
        if (!portal) continue;
        m_redirect = portal->address;
        m_redirect_port = portal->port;
        return;
    }
}

// A response of Status-Class 0: checks it, takes its text, makes the next request.
uint32_t Login::reply(const wire::LoginResponse& header, std::span<const uint8_t> text) {
    using namespace login_detail;
    Answer answer = answer_of(header.flags);
    const Transition* transition = find_transition(m_state, answer);
    bool transit = answer == Answer::GrantsOperational || answer == Answer::GrantsFullFeature;
    bool same_stage = (header.flags >> 2 & 3) == stage_code(m_state);
    // 11.13.6: T is only granted to a request that had it.
    if (!transition || !same_stage || (transit && !m_asked_transit))
        return HAWSER_ERROR_LOGIN_BAD_STAGE;
    uint32_t error = check_fields(header, answer == Answer::GrantsFullFeature);
    if (error != HAWSER_ERROR_NONE) return error;
    if (++m_rounds >= k_login_rounds_max) return HAWSER_ERROR_LOGIN_ENDLESS;

    m_request_ready = true;
    if (m_asked_continue) {
        // 6.2: a request with C is answered without text; then the rest of ours goes out.
        return text.empty() && answer == Answer::Stays ? HAWSER_ERROR_NONE
                                                       : HAWSER_ERROR_LOGIN_BAD_STAGE;
    }
    error = gather(text);
    if (error != HAWSER_ERROR_NONE) return error;
    m_target_continues = answer == Answer::Continues;
    if (m_target_continues) return HAWSER_ERROR_NONE;
    error = handle_text(transit);
    if (error != HAWSER_ERROR_NONE) return error;
    if (!transit) return HAWSER_ERROR_NONE;
    return leave_stage(header, transition->to);
}

// What has to stay the same in all responses: RFC 7143 11.13.1-3. A leading login's TSIH comes with
// the last one; before that, targets fill it as they like.
uint32_t Login::check_fields(const wire::LoginResponse& header, bool final) const {
    uint16_t tsih = header.tsih.get();
    bool same_isid = true;
    for (size_t i = 0; i < sizeof(m_isid); i++) same_isid &= header.isid[i] == m_isid[i];
    if (!same_isid || header.version_active != 0) return HAWSER_ERROR_LOGIN_BAD_FIELD;
    if (m_leading) return final && tsih == 0 ? HAWSER_ERROR_LOGIN_NO_TSIH : HAWSER_ERROR_NONE;
    bool same_tsih = tsih == m_tsih || (tsih == 0 && !final);
    return same_tsih ? HAWSER_ERROR_NONE : HAWSER_ERROR_LOGIN_BAD_FIELD;
}

// Puts a piece to the logical text data segment.
uint32_t Login::gather(std::span<const uint8_t> text) {
    if (text.size() > sizeof(m_response_text) - m_received) return HAWSER_ERROR_LOGIN_TOO_LONG;
    if (!text.empty()) __builtin_memcpy(m_response_text + m_received, text.data(), text.size());
    m_received += text.size();
    return HAWSER_ERROR_NONE;
}

// Takes the whole logical text data segment and writes what it wants to have answered.
uint32_t Login::handle_text(bool transit) {
    std::span<const uint8_t> text(m_response_text, m_received);
    m_received = 0;
    m_sent = 0;
    m_writer = wire::TextWriter(m_request_text);

    size_t count = 0;
    wire::TextReader counter(text);
    while (counter.next()) count++;
    if (counter.error() != wire::TextError::None) return HAWSER_ERROR_LOGIN_BAD_TEXT;
    if (count > k_login_pairs_max) return HAWSER_ERROR_LOGIN_TOO_LONG;
    if (wire::has_duplicate_key(text, k_repeatable_key, k_login_pairs_max))
        return HAWSER_ERROR_LOGIN_DUPLICATE_KEY;

    // Our longest answer to a pair is that it is not understood: there is room for all of them.
    static_assert(k_login_pairs_max * (wire::k_key_name_bytes + sizeof("=NotUnderstood")) <=
                  k_login_request_bytes_max);
    bool answer_wanted = false;
    wire::TextReader reader(text);
    while (auto pair = reader.next()) {
        uint32_t error = handle_pair(*pair, answer_wanted);
        if (error != HAWSER_ERROR_NONE) return error;
    }
    if (m_state == LoginState::Security) {
        bool method = m_negotiation.state(KeyId::AuthMethod) == KeyState::Settled;
        uint32_t error = m_chap.advance(method, transit, m_writer);
        if (error != HAWSER_ERROR_NONE) return error;
    }
    // 6.3: a stage is not left with something that needs another request.
    if (transit && answer_wanted) return HAWSER_ERROR_LOGIN_BAD_STAGE;
    return check_portal_group();
}

uint32_t Login::handle_pair(const wire::TextPair& pair, bool& answer_wanted) {
    if (!is_chap_key(pair.key))
        return m_negotiation.handle(key_stage(), pair.key, pair.value, m_writer, answer_wanted);
    if (m_state != LoginState::Security) return HAWSER_ERROR_LOGIN_BAD_STAGE;
    return m_chap.handle(pair.key, pair.value);
}

// RFC 7143 4.4.1: all connections of a session go to one portal group. Its tag comes with the first
// response that may carry it (13.9).
uint32_t Login::check_portal_group() {
    if (m_negotiation.state(KeyId::TargetPortalGroupTag) != KeyState::Settled)
        return HAWSER_ERROR_NONE;
    m_portal_group_tag = static_cast<uint16_t>(m_negotiation.value(KeyId::TargetPortalGroupTag));
    bool same = m_leading || m_portal_group_tag == m_expected_portal_group_tag;
    return same ? HAWSER_ERROR_NONE : HAWSER_ERROR_LOGIN_PORTAL_GROUP;
}

uint32_t Login::leave_stage(const wire::LoginResponse& header, LoginState to) {
    uint32_t error = m_negotiation.conclude(key_stage());
    if (error != HAWSER_ERROR_NONE) return error;
    m_request_ready = false;
    if (to == LoginState::FullFeature && m_leading) m_tsih = header.tsih.get();
    // Optional answers of the stage that is over are left unsaid.
    m_writer = wire::TextWriter(m_request_text);
    enter(to);
    return HAWSER_ERROR_NONE;
}

}  // namespace hawser
