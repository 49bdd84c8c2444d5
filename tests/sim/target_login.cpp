// SPDX-License-Identifier: GPL-2.0-or-later
//
// The model target's login: security, operational, session reinstatement, and who is refused.

#include <fmt/format.h>

#include <algorithm>

#include "target.h"
#include "wire/text.hpp"

namespace hawser::sim {

void TargetConnection::send_login(const wire::LoginRequest& request, uint8_t flags,
                                  const std::string& words, uint16_t status) {
    wire::LoginResponse pdu;
    pdu.flags = flags;
    std::copy(std::begin(request.isid), std::end(request.isid), std::begin(pdu.isid));
    pdu.tsih = session != nullptr ? session->tsih : request.tsih.get();
    pdu.initiator_task_tag = request.initiator_task_tag.get();
    pdu.status_class = static_cast<uint8_t>(status >> 8);
    pdu.status_detail = static_cast<uint8_t>(status);
    Bytes text;
    for (const char c : words) text.push_back(c == ' ' ? 0 : static_cast<uint8_t>(c));
    if (!text.empty()) text.push_back(0);
    send(pdu, true, text);
    if (status != 0) close(false);
}

void TargetConnection::take_login(const Pdu& pdu) {
    const auto& request = pdu.as<wire::LoginRequest>();
    target.world.require(!logged_in, "no Login Request in full feature phase");
    target.world.require(!has_cmd_sn || request.cid.get() == cid, "a login keeps its CID");
    has_cmd_sn = true;  // of this login; begins anew in full feature phase
    cid = request.cid.get();
    leading = request.tsih.get() == 0;
    if (target.world.now_us() < target.busy_until_us) {
        target.world.counts["login refused: busy"]++;
        return send_login(request, 0, "", 0x0301);
    }
    if ((request.flags >> 2 & 3) == 0) {
        target.world.require(!security_done, "the security stage comes once");
        return take_security(pdu);
    }
    target.world.require(security_done, "the security stage comes first");
    answer_operational(pdu);
}

// 12.1.3, one step a request. A wrong answer is one of the initiator's own: nothing here damages
// what is said in a login.
void TargetConnection::take_security(const Pdu& pdu) {
    const auto& request = pdu.as<wire::LoginRequest>();
    const Scenario& scenario = target.scenario;
    World& world = target.world;
    if (!scenario.chap) {
        security_done = true;
        return send_login(request, 0x81, "TargetPortalGroupTag=1 AuthMethod=None");
    }
    if (!chap.begun) {
        chap.begun = true;
        return send_login(request, 0, "TargetPortalGroupTag=1 AuthMethod=CHAP");
    }
    const auto keys = text_pairs(pdu.data);
    if (chap.challenge.empty()) return send_login(request, 0, chap.challenge_words(keys, world));
    std::string words;
    const bool right = chap.check(keys, scenario.mutual, world, words);
    world.require(right, "a CHAP response is right");  // rule 44
    world.counts[scenario.mutual ? "CHAP: logins, mutual" : "CHAP: logins, one way"]++;
    security_done = true;
    send_login(request, 0x81, words);
}

std::string TargetConnection::negotiate(const Pdu& pdu) {
    const Scenario& scenario = target.scenario;
    std::string words;
    wire::TextReader reader(pdu.data);
    while (const auto pair = reader.next()) {
        const std::string key(pair->key);
        const uint32_t number = static_cast<uint32_t>(wire::parse_number(pair->value).value_or(0));
        std::string value(pair->value);
        auto at_most = [&](uint32_t ours) { return std::to_string(std::min(number, ours)); };
        if (key == "MaxRecvDataSegmentLength") {
            max_send = number;
            value = std::to_string(scenario.target_segment);
        } else if (key == "MaxConnections") {
            value = at_most(scenario.granted);
        } else if (key == "MaxBurstLength") {
            value = at_most(scenario.max_burst);
        } else if (key == "FirstBurstLength") {
            value = at_most(scenario.first_burst);
        } else if (key == "InitialR2T") {
            value = value == "Yes" || scenario.initial_r2t ? "Yes" : "No";
        } else if (key == "ImmediateData") {
            value = value == "Yes" && scenario.immediate_data ? "Yes" : "No";
        } else if (key == "DefaultTime2Wait") {
            value = std::to_string(std::max(number, scenario.time2wait_s));
        } else if (key == "MaxOutstandingR2T") {
            value = at_most(scenario.max_outstanding_r2t);
        } else if (key == "DefaultTime2Retain") {
            value = at_most(scenario.time2retain_s);
        } else if (key == "ErrorRecoveryLevel") {
            value = at_most(scenario.level);
        } else if (key == "HeaderDigest" || key == "DataDigest") {
            const bool agreed = value.find("CRC32C") != std::string::npos &&
                                (key[0] == 'H' ? scenario.header_digest : scenario.data_digest);
            (key[0] == 'H' ? header_digest : data_digest) = agreed;
            value = agreed ? "CRC32C" : "None";
        }
        words += (words.empty() ? "" : " ") + key + "=" + value;
    }
    return words;
}

void TargetConnection::answer_operational(const Pdu& pdu) {
    const auto& request = pdu.as<wire::LoginRequest>();
    if (!leading) {
        const auto found = target.sessions.find(request.tsih.get());
        if (found == target.sessions.end() || found->second->dead)
            return send_login(request, 0, "", 0x020a);
        session = found->second.get();
        // tgt: one more round on a further connection.
        if (target.scenario.extra_login_round && !extra_round_done) {
            extra_round_done = true;
            return send_login(request, 0x04, negotiate(pdu) + " MaxConnections=8");
        }
        // rule 57: the same CID takes the place of the connection that was there.
        const auto same = session->connections.find(cid);
        if (same != session->connections.end()) {
            TargetConnection& old = *same->second;
            old.end_tasks(target.scenario.linger_us);
            old.close(true);
        }
        if (session->connections.size() >= session->max_connections)
            return send_login(request, 0, "", 0x0206);
        target.remove(*session, cid, 0);
        return enter_session(pdu);
    }
    // RFC 7143 6.3.5: the same ISID ends the session that was there.
    for (auto& [tsih, old] : target.sessions) {
        if (!std::equal(old->isid.begin(), old->isid.end(), request.isid)) continue;
        if (!old->dead && !old->connections.empty())
            target.world.counts["old session met at login"]++;
        old->dead = true;
        const auto those = old->connections;
        const bool waits =
            target.scenario.manners == Manners::Lio && target.scenario.canary != Canary::LateWrite;
        for (const auto& [cid, connection] : those) {
            connection->end_tasks(waits ? UINT64_MAX : 0);
            connection->close(true);
        }
        target.end_suspended(*old, waits ? UINT64_MAX : 0);
        if (waits && target.has_live_tasks(*old)) {
            target.world.counts["login waits for old commands"]++;
            target.world.after(10000, [this, pdu] {
                if (!is_closed) answer_operational(pdu);
            });
            return;
        }
    }
    enter_session(pdu);
}

void TargetConnection::enter_session(const Pdu& pdu) {
    const auto& request = pdu.as<wire::LoginRequest>();
    if (leading) {
        auto fresh = std::make_unique<TargetSession>();
        std::copy(std::begin(request.isid), std::end(request.isid), fresh->isid.begin());
        fresh->tsih = target.next_tsih++;
        if (target.next_tsih == 0) target.next_tsih = 1;
        fresh->exp_cmd_sn = request.cmd_sn.get();
        fresh->max_cmd_sn = fresh->exp_cmd_sn - 1;
        session = fresh.get();
        target.sessions[fresh->tsih] = std::move(fresh);
    }
    const std::string words = negotiate(pdu);
    if (leading) {
        Bytes text(words.begin(), words.end());
        for (uint8_t& byte : text) byte = byte == ' ' ? 0 : byte;
        text.push_back(0);
        wire::TextReader reader(text);
        while (const auto pair = reader.next()) {
            const uint32_t number =
                static_cast<uint32_t>(wire::parse_number(pair->value).value_or(0));
            if (pair->key == "DefaultTime2Wait") session->time2wait_s = number;
            if (pair->key == "DefaultTime2Retain") session->time2retain_s = number;
            if (pair->key == "ErrorRecoveryLevel") session->level = number;
            if (pair->key == "FirstBurstLength") session->first_burst = number;
            if (pair->key == "MaxBurstLength") session->max_burst = number;
            if (pair->key == "MaxOutstandingR2T") session->max_outstanding_r2t = number;
            if (pair->key == "MaxConnections") session->max_connections = number;
            if (pair->key == "InitialR2T") session->initial_r2t = pair->value == "Yes";
            if (pair->key == "ImmediateData") session->immediate_data = pair->value == "Yes";
        }
    }
    session->connections[cid] = this;
    const std::string kept = extra_round_done ? "" : words;
    send_login(request, 0x87, kept);
    logged_in = true;
    has_cmd_sn = false;
    acknowledged = stat_sn;
    target.world.counts["logins"]++;
    target.world.log(fmt::format("target: connection {} in session {}", cid, session->tsih));
}

}  // namespace hawser::sim
