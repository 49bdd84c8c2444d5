// SPDX-License-Identifier: GPL-2.0-or-later
//
// The Login Phase under the judge's eyes: RFC 7143 6, 11.12, 12.1.3, 13.

#include <fmt/format.h>

#include <algorithm>

#include "judge.h"

namespace hawser::target {

namespace {

constexpr uint8_t csg_of(uint8_t flags) {
    return flags >> 2 & 3;
}

std::string hex_of(const uint8_t* bytes, size_t length) {
    return write_binary(Bytes(bytes, bytes + length), false);
}

}  // namespace

void Judge::take_login_request(Connection& connection, const Pdu& pdu, uint64_t now_ms) {
    const auto& request = pdu.as<wire::LoginRequest>();
    if (connection.full_feature)
        return breach(33, "6.3", connection, "a Login Request in the full feature phase");
    if (connection.login_outstanding)
        breach(33, "6.2", connection, "a second Login Request before the answer");
    connection.login_outstanding = true;
    if (!pdu.immediate()) breach(40, "11.12", connection, "a Login Request is immediate");
    if (request.version_max != 0 || request.version_min != 0)
        breach(40, "11.12.4", connection, "a version other than 0");
    if (connection.requests == 0) {
        connection.first = request;
        connection.cid = request.cid.get();
        check_first_request(connection, pdu, now_ms);
    } else {
        const wire::LoginRequest& first = connection.first;
        const bool same = std::equal(first.isid, first.isid + 6, request.isid) &&
                          first.tsih.get() == request.tsih.get() &&
                          first.cid.get() == request.cid.get();
        if (!same) breach(40, "11.12.5-7", connection, "ISID, TSIH or CID changed during login");
        check_exp_stat_sn(connection, pdu);
    }
    connection.requests++;
    const uint8_t stage = csg_of(request.flags);
    if (stage < connection.stage || stage == 2 || stage == 3)
        breach(35, "6.3", connection, "the stage goes back, or is none");
    connection.stage = std::max(connection.stage, stage);
    const bool more = request.flags & wire::LoginRequest::k_continue;
    if (more && pdu.final()) breach(36, "11.12.2", connection, "C and T are both set");
    if (connection.target_continues && !pdu.data.empty())
        breach(36, "6.2", connection, "text while the target's goes on");
    connection.target_continues = false;
    connection.text.insert(connection.text.end(), pdu.data.begin(), pdu.data.end());
    if (pdu.data.size() > 8192) breach(17, "6.2", connection, "a login PDU over 8192 bytes");
    if (more) return;
    const Bytes text = std::move(connection.text);
    connection.text.clear();
    check_login_text(connection, text, stage);
}

void Judge::check_first_request(Connection& connection, const Pdu& pdu, uint64_t now_ms) {
    const auto& request = pdu.as<wire::LoginRequest>();
    const std::string isid = hex_of(request.isid, 6);
    const uint16_t tsih = request.tsih.get();
    // A session that broke comes back under its ISID.
    const Pairs pairs = read_text(pdu.data);
    const std::string* name = find_value(pairs, "InitiatorName");
    for (const auto& session : m_sessions) {
        const bool broken = session->connections == 0 && !session->logged_out &&
                            !session->discovery && session->connections_ever != 0;
        if (broken && name != nullptr && session->initiator == *name && session->isid != isid)
            breach(40, "11.12.5", connection, "the ISID is another one than before");
    }
    const auto same = std::find_if(m_sessions.begin(), m_sessions.end(), [&](const auto& session) {
        return session->isid == isid && (tsih == 0 || session->tsih == tsih);
    });
    if (tsih != 0 && same == m_sessions.end())
        return breach(57, "6.3.4", connection, "a TSIH that was never given");
    if (tsih == 0) {
        for (const auto& session : m_sessions)
            if (session->isid == isid && session->wait_until_ms > now_ms + leeway_ms)
                return breach(56, "7.5", connection,
                              fmt::format("a login {} ms before Time2Wait was over",
                                          session->wait_until_ms - now_ms));
    }
}

void Judge::check_login_text(Connection& connection, const Bytes& text, uint8_t stage) {
    if (!text.empty() && text.back() != 0)
        breach(38, "6.1", connection, "the text does not end with a NUL");
    const Pairs pairs = read_text(text);
    std::set<std::string> keys;
    for (const auto& [key, value] : pairs) {
        if (!keys.insert(key).second) breach(37, "6.3", connection, key + " twice in a request");
        check_key(connection, key, value, stage);
    }
    if (connection.said.empty()) check_names(connection, pairs);
    check_chap(connection, pairs);
    for (const auto& [key, value] : pairs) connection.said.insert(key);
}

void Judge::check_key(Connection& connection, const std::string& key, const std::string& value,
                      uint8_t stage) {
    const KeyRule* rule = find_rule(key);
    const auto asked = connection.asked.find(key);
    if (rule == nullptr) {
        if (asked == connection.asked.end())
            breach(38, "6.1", connection, "proposes the unknown key " + key);
        else if (value != "NotUnderstood")
            breach(38, "6.2", connection, key + " is not understood, but was answered " + value);
        return;
    }
    if (value == "NotUnderstood")
        breach(38, "6.2", connection, key + " is a key of the RFC, which has to be understood");
    if (!rule->from_initiator) breach(34, "13", connection, key + " is for targets only");
    if (stage == 0 && !rule->security_too)
        breach(35, "6.3", connection, key + " in the security stage");
    if (stage == 1 && key == "AuthMethod")
        breach(35, "6.3", connection, key + " in the operational stage");
    if (rule->leading_only && connection.first.tsih.get() != 0 && asked == connection.asked.end())
        breach(34, "13", connection, key + " on a connection that does not lead");
    if (asked != connection.asked.end() && rule->kind != KeyKind::Declared) {
        if (!is_possible(*rule, asked->second, value))
            breach(rule->kind == KeyKind::Obsolete ? 65 : 39, "6.2", connection,
                   key + "=" + asked->second + " was answered with " + value);
        connection.keys.store(key, value, false);
        connection.asked.erase(key);
        return;
    }
    const bool chap = key.substr(0, 5) == "CHAP_";
    if (connection.said.count(key) != 0 && !chap)
        breach(34, "6.3", connection, key + " is said twice");
    if (rule->kind != KeyKind::List && rule->kind != KeyKind::Obsolete && !is_valid(*rule, value))
        breach(39, "13", connection, key + "=" + value + " is out of range");
    connection.proposed[key] = value;
    if (rule->kind == KeyKind::Declared || decides_alone(*rule, value))
        connection.keys.store(key, value, true);
}

// 6.3, 13.4, 13.5: in the first request of each connection.
void Judge::check_names(Connection& connection, const Pairs& pairs) {
    const std::string* type = find_value(pairs, "SessionType");
    if (find_value(pairs, "InitiatorName") == nullptr)
        breach(34, "13.5", connection, "no InitiatorName in the first request");
    if (find_value(pairs, "TargetName") == nullptr && (type == nullptr || *type != "Discovery"))
        breach(34, "13.4", connection, "no TargetName in the first request");
}

// 12.1.3 and 9.2.1
void Judge::check_chap(Connection& connection, const Pairs& pairs) {
    if (const std::string* algorithms = find_value(pairs, "CHAP_A")) {
        const std::string list = "," + *algorithms + ",";
        if (list.find(",5,") == list.npos)
            breach(43, "12.1.3", connection, "CHAP_A=" + *algorithms + " is without 5 (MD5)");
        for (size_t i = 1; i + 2 < list.size(); i += 2)
            if (list[i] < list[i + 2])
                breach(43, "12.1.3", connection, "CHAP_A: the strongest is not the first");
    }
    const std::string* response = find_value(pairs, "CHAP_R");
    const std::string* challenge = find_value(pairs, "CHAP_C");
    if (response == nullptr && challenge == nullptr) return;
    if (!connection.challenged) breach(44, "12.1.3", connection, "CHAP_R without a challenge");
    if (response == nullptr || find_value(pairs, "CHAP_N") == nullptr)
        breach(44, "12.1.3", connection, "CHAP_N and CHAP_R come together");
    if ((challenge == nullptr) != (find_value(pairs, "CHAP_I") == nullptr))
        breach(44, "12.1.3", connection, "CHAP_I and CHAP_C come together");
    for (const std::string* value : {response, challenge}) {
        if (value == nullptr) continue;
        const auto bytes = read_binary(*value);
        if (!bytes || bytes->size() > 1024)
            breach(44, "12.1.3", connection, "a binary value that is none, or over 1024 bytes");
    }
    if (challenge == nullptr) return;
    const auto bytes = read_binary(*challenge);
    if (bytes && connection.challenges.count(hex_of(bytes->data(), bytes->size())) != 0)
        breach(45, "9.2.1", connection, "the target's own challenge is sent back");
}

void Judge::take_login_response(Connection& connection, const Pdu& pdu) {
    const auto& response = pdu.as<wire::LoginResponse>();
    connection.login_outstanding = false;
    if (response.status_class != 0) {
        connection.refused = true;
        return;
    }
    const uint32_t stat_sn = response.stat_sn.get();
    if (!connection.stat_sn_known) connection.exp_stat_sn = stat_sn;
    connection.stat_sn_known = true;
    connection.next_stat_sn = stat_sn + 1;
    connection.target_text.insert(connection.target_text.end(), pdu.data.begin(), pdu.data.end());
    connection.target_continues = response.flags & wire::LoginResponse::k_continue;
    if (connection.target_continues) return;
    note_target_text(connection);
    if (pdu.final() && (response.flags & 3) == 3) enter_session(connection, response);
}

// What the target says answers the initiator, or asks it something.
void Judge::note_target_text(Connection& connection) {
    for (const auto& [key, value] : read_text(connection.target_text)) {
        const KeyRule* rule = find_rule(key);
        if (key == "CHAP_C") {
            connection.challenged = true;
            const auto bytes = read_binary(value);
            if (bytes) connection.challenges.insert(hex_of(bytes->data(), bytes->size()));
        }
        const bool answer = connection.proposed.count(key) != 0;
        if (rule != nullptr && (answer || rule->kind == KeyKind::Declared))
            connection.keys.store(key, value, false);
        else
            connection.asked[key] = value;
    }
    connection.target_text.clear();
}

void Judge::enter_session(Connection& connection, const wire::LoginResponse& response) {
    connection.full_feature = true;
    const uint16_t tsih = response.tsih.get();
    if (connection.first.tsih.get() == 0) {
        auto session = std::make_unique<Session>();
        session->isid = hex_of(connection.first.isid, 6);
        session->tsih = tsih;
        session->initiator = connection.proposed["InitiatorName"];
        session->discovery = connection.proposed["SessionType"] == "Discovery";
        session->keys = connection.keys;
        session->next_cmd_sn = connection.first.cmd_sn.get();
        session->max_cmd_sn = response.max_cmd_sn.get();
        connection.session = session.get();
        m_sessions.push_back(std::move(session));
    } else {
        for (auto next = m_sessions.rbegin(); next != m_sessions.rend(); ++next) {
            if ((*next)->tsih != tsih) continue;
            connection.session = next->get();
            break;
        }
    }
    if (connection.session == nullptr) return;
    // A connection reinstated under its CID implies the logout of the old one, 6.3.4.
    for (auto& [id, other] : m_connections)
        if (&other != &connection && other.session == connection.session &&
            other.cid == connection.cid)
            connection.session->removed.insert(connection.cid);
    connection.session->connections++;
    connection.session->connections_ever++;
    const Keys& whole = connection.session->keys;
    connection.keys.error_recovery_level = whole.error_recovery_level;
}

}  // namespace hawser::target
