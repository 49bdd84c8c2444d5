// SPDX-License-Identifier: GPL-2.0-or-later
//
// The target, its script and its judge.

#include "scripted_target.h"

#include <fmt/format.h>

#include "fields.h"

namespace hawser::target {

using wire::Opcode;

std::string describe(const Pdu& pdu) {
    std::string text = name_of(pdu.kind());
    if (pdu.immediate() && is_from_initiator(pdu.kind())) text += " I";
    const char* fields[] = {
        "itt",          "ttt",      "cmd_sn",        "exp_stat_sn", "stat_sn",         "data_sn",
        "r2t_sn",       "length",   "buffer_offset", "status",      "reason",          "event",
        "csg",          "nsg",      "transit",       "type",        "beg_run",         "run_length",
        "status_class", "function", "response",      "max_cmd_sn",  "expected_length", "cid",
        "tsih"};
    for (const char* name : fields) {
        const Field* field = find_field(pdu.kind(), name);
        if (field == nullptr) continue;
        const uint64_t value = read_field(pdu, *field);
        const bool tag = std::string(name) == "itt" || std::string(name) == "ttt";
        text += tag ? fmt::format(" {}={:x}", name, value) : fmt::format(" {}={}", name, value);
    }
    if (pdu.final()) text += " F";
    if (!pdu.data.empty()) text += fmt::format(" +{}", pdu.data.size());
    const Opcode kind = pdu.kind();
    const bool has_text = kind == Opcode::LoginRequest || kind == Opcode::LoginResponse ||
                          kind == Opcode::TextRequest || kind == Opcode::TextResponse;
    if (has_text)
        for (const auto& [key, value] : read_text(pdu.data)) text += " " + key + "=" + value;
    return text;
}

ScriptedTarget::ScriptedTarget(Settings settings, std::vector<Rule> rules,
                               std::span<uint8_t> memory)
    : target(std::move(settings), memory), script(std::move(rules), *this) {
    target.filter = this;
    target.observer = &judge;
}

uint64_t ScriptedTarget::poll_timeout() const {
    return std::min(target.poll_timeout(), script.poll_timeout());
}

void ScriptedTarget::handle_timeout(uint64_t now_ms) {
    target.handle_timeout(now_ms);
    script.handle_timeout(now_ms);
}

void ScriptedTarget::tell(uint32_t connection, const char* arrow, const Pdu& pdu) const {
    if (log) log(fmt::format("{:>7} c{} {} {}", target.now_ms, connection, arrow, describe(pdu)));
}

bool ScriptedTarget::incoming(uint32_t connection, Pdu& pdu) {
    tell(connection, "->", pdu);
    heard.emplace_back(connection, pdu);
    return script.handle(connection, Side::ToTarget, pdu, target.now_ms);
}

bool ScriptedTarget::outgoing(uint32_t connection, Pdu& pdu) {
    const bool taken = script.handle(connection, Side::ToInitiator, pdu, target.now_ms);
    tell(connection, taken ? "<~" : "<-", pdu);
    return taken;
}

void ScriptedTarget::pass(uint32_t connection, Side side, const Pdu& pdu, Damage damage,
                          uint32_t piece) {
    Connection& one = *target.find(connection);
    if (one.closed) return;
    if (side == Side::ToTarget) {
        Pdu copy = pdu;
        copy.data_damaged |= damage.data;
        if (damage.header) {
            one.resetting = true;
            return;
        }
        one.handle(copy);
        return;
    }
    tell(connection, damage.header || damage.data ? "<!" : "<-", pdu);
    one.emit(pdu, damage, piece);
}

void ScriptedTarget::pass_bytes(uint32_t connection, Side side, const Bytes& bytes) {
    if (side == Side::ToInitiator) target.find(connection)->out.push_back(bytes);
}

// Numbers that the script does not give are those that the target would send.
void ScriptedTarget::inject(uint32_t connection, Pdu pdu, bool counts, const Words& given) {
    Connection& one = *target.find(connection);
    if (one.closed) return;
    const auto has = [&](const std::string& name) {
        for (const std::string& word : given)
            if (word.substr(0, name.size() + 1) == name + "=") return true;
        return false;
    };
    const Pdu original = pdu;
    auto& numbering = pdu.as<wire::TargetNumbering>();
    numbering.stat_sn = one.stat_sn;
    one.refresh(pdu);
    for (const char* name : {"stat_sn", "exp_cmd_sn", "max_cmd_sn"}) {
        const Field* field = find_field(pdu.kind(), name);
        if (field != nullptr && has(name)) write_field(pdu, *field, read_field(original, *field));
    }
    if (counts && !has("stat_sn")) {
        if (one.keys.error_recovery_level > 0) one.sent[one.stat_sn] = pdu;
        one.stat_sn++;
    }
    tell(connection, "<+", pdu);
    one.emit(pdu);
}

void ScriptedTarget::close(uint32_t connection, bool reset) {
    Connection* one = target.find(connection);
    if (one == nullptr) return;
    (reset ? one->resetting : one->closing) = true;
}

void ScriptedTarget::silence(uint32_t connection, uint64_t until_ms) {
    target.find(connection)->silent_until_ms = until_ms;
}

bool ScriptedTarget::command(const std::string& verb, const Words& words) {
    if (verb == "restart") {
        target.restart();
    } else if (verb == "wake") {
        target.wake();
    } else if (verb == "window") {
        target.settings.window = static_cast<uint32_t>(parse_integer(words[0]).value_or(1));
    } else if (verb == "resize") {
        target.resize(parse_integer(words[0]).value_or(1) << 20);
    } else if (verb == "keys") {
        for (const std::string& word : words) {
            const auto [name, value] = split_pair(word, "keys");
            apply_setting(target.settings, name, value, "keys");
        }
    } else {
        return false;
    }
    return true;
}

Digests ScriptedTarget::digests_of(uint32_t connection) const {
    return target.connections[connection]->digests;
}

void apply_setting(Settings& settings, const std::string& name, const std::string& value,
                   const std::string& place) {
    if (find_rule(name) != nullptr) {
        settings.keys[name] = value;
        return;
    }
    struct Number {
        const char* name;
        uint32_t* to;
    };
    uint32_t group = settings.portal_group_tag;
    const Number numbers[] = {
        {"window", &settings.window},
        {"luns", &settings.luns},
        {"data_in_bytes", &settings.data_in_bytes},
        {"burst_bytes", &settings.burst_bytes},
        {"data_out_timeout_ms", &settings.data_out_timeout_ms},
        {"seed", &settings.seed},
        {"first_stat_sn", &settings.first_stat_sn},
        {"challenge_bytes", &settings.chap.challenge_bytes},
        {"portal_group_tag", &group},
    };
    for (const Number& number : numbers) {
        if (name != number.name) continue;
        const auto parsed = parse_integer(value);
        if (!parsed) throw ScriptError(place + ": " + name + "=" + value + ": not a number");
        *number.to = static_cast<uint32_t>(*parsed);
        settings.portal_group_tag = static_cast<uint16_t>(group);
        return;
    }
    const std::pair<const char*, bool*> switches[] = {
        {"status_in_data_in", &settings.status_in_data_in},
        {"acknowledge", &settings.acknowledge},
        {"unit_attention", &settings.unit_attention},
        {"extra_round", &settings.extra_round},
        {"base64", &settings.chap.base64},
    };
    for (const auto& [key, to] : switches) {
        if (name != key) continue;
        if (value != "yes" && value != "no")
            throw ScriptError(place + ": " + name + "=" + value + ": not yes or no");
        *to = value == "yes";
        return;
    }
    const std::pair<const char*, std::string*> texts[] = {
        {"name", &settings.name},
        {"chap_user", &settings.chap.user},
        {"chap_secret", &settings.chap.secret},
        {"chap_mutual_user", &settings.chap.mutual_user},
        {"chap_mutual_secret", &settings.chap.mutual_secret},
        {"chap_algorithms", &settings.chap.algorithms},
    };
    for (const auto& [key, to] : texts) {
        if (name != key) continue;
        *to = value;
        return;
    }
    if (name != "address")
        throw ScriptError(place + ": the target has no setting \"" + name + "\"");
    settings.addresses.push_back(value);
}

}  // namespace hawser::target
