// SPDX-License-Identifier: GPL-2.0-or-later
//
// The Login Phase, the target's side: RFC 7143 6.3 and 11.13.

#include <algorithm>

#include "target.h"

namespace hawser::target {

namespace {

// What this target wishes, where its settings say nothing else.
const KeyValues k_own_keys = {
    {"AuthMethod", "None"},
    {"HeaderDigest", "None,CRC32C"},
    {"DataDigest", "None,CRC32C"},
    {"MaxConnections", "8"},
    {"InitialR2T", "No"},
    {"ImmediateData", "Yes"},
    {"MaxRecvDataSegmentLength", "8192"},
    {"MaxBurstLength", "262144"},
    {"FirstBurstLength", "65536"},
    {"DefaultTime2Wait", "2"},
    {"DefaultTime2Retain", "20"},
    {"MaxOutstandingR2T", "1"},
    {"DataPDUInOrder", "Yes"},
    {"DataSequenceInOrder", "Yes"},
    {"ErrorRecoveryLevel", "0"},
    {"TaskReporting", "RFC3720"},
    {"iSCSIProtocolLevel", "1"},
};

// 11.13.5
constexpr uint16_t k_initiator_error = 0x0200;
constexpr uint16_t k_authentication_failure = 0x0201;
constexpr uint16_t k_not_found = 0x0203;
constexpr uint16_t k_unsupported_version = 0x0205;
constexpr uint16_t k_too_many_connections = 0x0206;
constexpr uint16_t k_missing_parameter = 0x0207;
constexpr uint16_t k_session_does_not_exist = 0x020a;

constexpr uint8_t csg_of(uint8_t flags) {
    return flags >> 2 & 3;
}

}  // namespace

std::string Connection::own_value(const KeyRule& rule) const {
    const auto given = target.settings.keys.find(rule.name);
    if (given != target.settings.keys.end()) return given->second;
    if (std::string(rule.name) == "AuthMethod" && !target.settings.chap.user.empty()) return "CHAP";
    const auto own = k_own_keys.find(rule.name);
    return own == k_own_keys.end() ? rule.fallback : own->second;
}

void Connection::send_login(const wire::LoginRequest& request, uint8_t flags, const Bytes& text,
                            uint16_t status) {
    wire::LoginResponse response;
    response.flags = flags;
    std::copy_n(request.isid, 6, response.isid);
    response.tsih = session != nullptr ? session->tsih : request.tsih.get();
    response.initiator_task_tag = request.initiator_task_tag.get();
    response.exp_cmd_sn = request.cmd_sn.get();
    response.max_cmd_sn = request.cmd_sn.get();
    response.status_class = static_cast<uint8_t>(status >> 8);
    response.status_detail = static_cast<uint8_t>(status);
    send(make_pdu(response, text), true);
    if (status != 0) close();
}

void Connection::take_login(const Pdu& pdu) {
    const auto& request = pdu.as<wire::LoginRequest>();
    login_text.insert(login_text.end(), pdu.data.begin(), pdu.data.end());
    if (request.flags & wire::LoginRequest::k_continue)
        return send_login(request, request.flags & 0x0c, {});
    const Pairs in = read_text(login_text);
    login_text.clear();
    uint16_t status = begun ? uint16_t{0} : check_login(request, in);
    if (status != 0) return send_login(request, 0, {}, status);
    answer_login(request, in);
}

// The first request of a connection: who is it, what does it want?
uint16_t Connection::check_login(const wire::LoginRequest& request, const Pairs& in) {
    begun = true;
    leading = request.tsih.get() == 0;
    cid = request.cid.get();
    chap.begin(target.settings.chap, target.settings.seed + id);
    if (request.version_min > 0) return k_unsupported_version;
    const std::string* name = find_value(in, "InitiatorName");
    const std::string* wanted = find_value(in, "TargetName");
    const std::string* type = find_value(in, "SessionType");
    if (name == nullptr) return k_missing_parameter;
    initiator = *name;
    discovery = type != nullptr && *type == "Discovery";
    if (!discovery && wanted == nullptr) return k_missing_parameter;
    if (!discovery && *wanted != target.settings.name) return k_not_found;
    if (leading) return 0;
    const auto found = target.sessions.find(request.tsih.get());
    if (found == target.sessions.end() ||
        !std::equal(found->second->isid.begin(), found->second->isid.end(), request.isid))
        return k_session_does_not_exist;
    keys = found->second->keys;
    keys.header_digest = keys.data_digest = false;
    keys.initiator_max_recv = keys.target_max_recv = 8192;
    return 0;
}

uint16_t Connection::security(const Pairs& in, Pairs& out) {
    const KeyRule& rule = *find_rule("AuthMethod");
    const std::string* methods = find_value(in, "AuthMethod");
    const std::string own = own_value(rule);
    if (methods != nullptr) {
        const std::string chosen = answer_to(rule, *methods, own);
        if (chosen == "Reject") return k_authentication_failure;
        out.emplace_back("AuthMethod", chosen);
        authenticated = chosen == "None";
    } else if (own == "None") {
        authenticated = true;
    }
    if (authenticated) return 0;
    if (!chap.handle(in, out)) return k_authentication_failure;
    authenticated = chap.done();
    return 0;
}

void Connection::negotiate_key(const std::string& key, const std::string& value, Pairs& out) {
    const KeyRule* rule = find_rule(key);
    if (rule == nullptr) {
        out.emplace_back(key, "NotUnderstood");
        return;
    }
    said.insert(key);
    if (rule->kind == KeyKind::Declared) {
        keys.store(key, value, true);
        return;
    }
    const std::string answer = answer_to(*rule, value, own_value(*rule));
    out.emplace_back(key, answer);
    if (answer != "Reject") keys.store(key, answer, false);
}

uint16_t Connection::negotiate(const Pairs& in, Pairs& out) {
    for (const auto& [key, value] : in) {
        if (value == "NotUnderstood" || value == "Reject" || value == "Irrelevant") continue;
        const KeyRule* rule = find_rule(key);
        const bool name = rule != nullptr && rule->security_too;
        if (name || said.count(key) != 0) continue;
        if (rule != nullptr && rule->leading_only && !leading) return k_initiator_error;
        negotiate_key(key, value, out);
    }
    const char* segment = "MaxRecvDataSegmentLength";
    if (said.insert("our segment").second) {
        const std::string own = own_value(*find_rule(segment));
        out.emplace_back(segment, own);
        keys.store(segment, own, false);
    }
    return 0;
}

void Connection::answer_login(const wire::LoginRequest& request, const Pairs& in) {
    Pairs out;
    if (!portal_group_told && !discovery)
        out.emplace_back("TargetPortalGroupTag", std::to_string(target.settings.portal_group_tag));
    portal_group_told = true;
    const uint8_t csg = csg_of(request.flags);
    const bool transit = request.flags & wire::LoginRequest::k_transit;
    uint16_t status = 0;
    bool ready = true;
    if (csg == 0) {
        status = security(in, out);
        ready = authenticated;
    } else {
        if (!authenticated && own_value(*find_rule("AuthMethod")) != "None")
            status = k_authentication_failure;
        phase = Phase::Operational;
        if (status == 0) status = negotiate(in, out);
        if (target.settings.extra_round && !extra_round_done) ready = false;
        extra_round_done = true;
    }
    const uint8_t nsg = request.flags & 3;
    uint8_t flags = static_cast<uint8_t>(csg << 2);
    if (transit && ready) flags |= wire::LoginResponse::k_transit | nsg;
    if (status == 0 && transit && ready && nsg == 3) status = enter_session(request);
    if (status != 0) {
        phase = Phase::Security;
        return send_login(request, 0, {}, status);
    }
    send_login(request, flags, write_text(out));
}

// 6.3.4, 6.3.5: a session of the same ISID, or a connection of the same CID, makes way.
uint16_t Connection::enter_session(const wire::LoginRequest& request) {
    target.counters.logins++;
    if (leading) {
        std::vector<Session*> same;
        for (auto& [tsih, other] : target.sessions)
            if (other->initiator == initiator && !discovery && !other->discovery &&
                std::equal(other->isid.begin(), other->isid.end(), request.isid))
                same.push_back(other.get());
        for (Session* other : same) target.drop_session(*other);
        session = &target.create_session(*this, request);
    } else {
        const auto found = target.sessions.find(request.tsih.get());
        if (found == target.sessions.end()) return k_session_does_not_exist;
        Session& joined = *found->second;
        const auto old = joined.connections.find(cid);
        if (old != joined.connections.end()) {
            Connection& before = *old->second;
            target.lose_connection(before);
            before.resetting = true;
        }
        if (joined.connections.size() >= joined.keys.max_connections) return k_too_many_connections;
        session = &joined;
    }
    session->connections[cid] = this;
    phase = Phase::FullFeature;
    return 0;
}

}  // namespace hawser::target
