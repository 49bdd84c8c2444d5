// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rules at work.

#include "script.h"

#include <algorithm>

#include "fields.h"

namespace hawser::target {

using wire::Opcode;

bool fulfils(const Pdu& pdu, const std::vector<Condition>& where,
             const std::vector<Condition>& with) {
    for (const Condition& condition : where) {
        const Field* field = find_field(pdu.kind(), condition.field);
        if (field == nullptr || read_field(pdu, *field) != parse_integer(*condition.value))
            return false;
    }
    if (with.empty()) return true;
    const Pairs pairs = read_text(pdu.data);
    for (const Condition& condition : with) {
        const std::string* value = find_value(pairs, condition.field);
        if (value == nullptr || (condition.value && *value != *condition.value)) return false;
    }
    return true;
}

bool Script::matches(Rule& rule, uint32_t connection, Side side, const Pdu& pdu) const {
    if (rule.kind != Rule::Kind::Any && rule.kind != Rule::Kind::Pdu) return false;
    if (rule.kind == Rule::Kind::Pdu && rule.opcode != pdu.kind()) return false;
    if (rule.toward && *rule.toward != side) return false;
    if (rule.connection && *rule.connection != connection) return false;
    if (m_signals < rule.after) return false;
    if (!fulfils(pdu, rule.where, rule.with)) return false;
    rule.seen++;
    return rule.seen >= rule.first && rule.seen <= rule.last;
}

bool Script::handle(uint32_t connection, Side side, Pdu& pdu, uint64_t now_ms) {
    m_now_ms = now_ms;
    for (const auto& [key, value] : read_text(pdu.data)) m_heard[{connection, side}][key] = value;
    bool touched = false;
    Play play{connection, side, pdu, {}, 0, false, nullptr};
    for (Rule& rule : m_rules) {
        // Each line counts what it sees, whatever an earlier one does with it.
        if (!matches(rule, connection, side, play.pdu) || play.gone) continue;
        rule.used = touched = true;
        play.rule = &rule;
        for (const Action& action : rule.actions) act(play, action, now_ms);
    }
    const auto waits = [&](const Waiting& one) {
        return one.connection == connection && one.side == side && one.due_ms == 1;
    };
    const auto due = std::find_if(m_after.begin(), m_after.end(), waits);
    if (!touched && due == m_after.end()) return false;
    if (!play.gone) pass(play);
    // What was to come after this one.
    while (true) {
        const auto next = std::find_if(m_after.begin(), m_after.end(), waits);
        if (next == m_after.end()) break;
        const Waiting one = *next;
        m_after.erase(next);
        m_stage.pass(one.connection, one.side, one.pdu, one.damage, one.piece);
    }
    for (Waiting& one : m_after) one.due_ms = 1;
    return true;
}

void Script::pass(const Play& play) {
    m_stage.pass(play.connection, play.side, play.pdu, play.damage, play.piece);
}

void Script::complain(const Play& play, const std::string& what) const {
    throw ScriptError(play.rule->place + ": " + what);
}

uint64_t Script::number_of(const Play& play, const Action& action, size_t index,
                           uint64_t fallback) {
    if (index >= action.words.size()) return fallback;
    const auto value = parse_integer(action.words[index]);
    if (!value) complain(play, action.verb + ": \"" + action.words[index] + "\" is not a number");
    return *value;
}

void Script::act(Play& play, const Action& action, uint64_t now_ms) {
    if (act_on_way(play, action, now_ms) || act_on_content(play, action) ||
        act_on_connection(play, action, now_ms))
        return;
    if (!m_stage.command(action.verb, action.words))
        complain(play, action.verb + " is for a target, not for a proxy");
}

bool Script::act_on_way(Play& play, const Action& action, uint64_t now_ms) {
    const std::string& verb = action.verb;
    const auto wait = [&](std::vector<Waiting>& where, uint64_t due_ms) {
        if (play.gone) return;
        where.push_back({due_ms, play.connection, play.side, play.pdu, play.damage, play.piece});
        play.gone = true;
    };
    if (verb == "drop") {
        play.gone = true;
    } else if (verb == "pass") {
        if (!play.gone) pass(play);
        play.gone = true;
    } else if (verb == "hang") {
        play.pdu.hang = true;
    } else if (verb == "delay") {
        wait(m_waiting, now_ms + number_of(play, action, 0, 0));
    } else if (verb == "hold") {
        wait(m_held, 0);
    } else if (verb == "reorder") {
        wait(m_after, 0);
    } else if (verb == "duplicate") {
        for (uint64_t i = number_of(play, action, 0, 1); i > 0; i--) pass(play);
    } else if (verb == "release") {
        auto held = std::move(m_held);
        m_held.clear();
        if (!action.words.empty() && action.words[0] == "reversed")
            std::reverse(held.begin(), held.end());
        for (const Waiting& one : held)
            m_stage.pass(one.connection, one.side, one.pdu, one.damage, one.piece);
    } else {
        return false;
    }
    return true;
}

bool Script::act_on_content(Play& play, const Action& action) {
    const std::string& verb = action.verb;
    if (verb == "set") {
        set_fields(play, play.pdu, action.words, 0);
    } else if (verb == "split") {
        play.piece = static_cast<uint32_t>(number_of(play, action, 0, 1));
    } else if (verb == "corrupt") {
        (action.words[0] == "header" ? play.damage.header : play.damage.data) = true;
    } else if (verb == "replace" || verb == "omit" || verb == "add" || verb == "text") {
        edit_text(play, action);
    } else if (verb == "inject") {
        const Bytes stray(number_of(play, action, 0, 1), 0x3a);  // an opcode that there is not
        m_stage.pass_bytes(play.connection, play.side, stray);
    } else if (verb == "truncate") {
        Bytes bytes = encode(play.pdu, m_stage.digests_of(play.connection), play.damage);
        bytes.resize(std::min<size_t>(bytes.size(), number_of(play, action, 0, 0)));
        m_stage.pass_bytes(play.connection, play.side, bytes);
        play.gone = true;
    } else {
        return false;
    }
    return true;
}

bool Script::act_on_connection(Play& play, const Action& action, uint64_t now_ms) {
    const std::string& verb = action.verb;
    if (verb == "send" || verb == "answer") {
        send(play, action.words);
        if (verb == "answer") play.gone = true;
    } else if (verb == "reject") {
        reject(play, action.words);
        play.gone = true;
    } else if (verb == "close" || verb == "reset") {
        m_stage.close(static_cast<uint32_t>(number_of(play, action, 0, play.connection)),
                      verb == "reset");
        if (verb == "reset") play.gone = true;
    } else if (verb == "trickle") {
        if (!m_stage.trickle(play.connection, play.side,
                             static_cast<uint32_t>(number_of(play, action, 0, 1)),
                             number_of(play, action, 1, 1)))
            complain(play, "trickle is for the proxy");
    } else if (verb == "silence") {
        m_stage.silence(play.connection, now_ms + number_of(play, action, 0, UINT32_MAX));
    } else {
        return false;
    }
    return true;
}

void Script::set_fields(const Play& play, Pdu& pdu, const Words& words, size_t from) {
    for (size_t i = from; i < words.size(); i++) {
        const auto [name, value] = split_pair(words[i], play.rule->place);
        const Field* field = find_field(pdu.kind(), name);
        if (field == nullptr) complain(play, "there is no field \"" + name + "\"");
        uint64_t number = 0;
        if (value[0] == '$') {
            const Field* other = find_field(play.pdu.kind(), value.substr(1));
            if (other == nullptr) complain(play, "there is no field \"" + value + "\"");
            number = read_field(play.pdu, *other);
        } else {
            const bool relative = value[0] == '+' || value[0] == '-';
            const auto given = parse_integer(relative ? value.substr(1) : value);
            if (!given) complain(play, "\"" + value + "\" is not a number");
            number = *given;
            if (relative)
                number = value[0] == '+' ? read_field(pdu, *field) + number
                                         : read_field(pdu, *field) - number;
        }
        write_field(pdu, *field, number);
    }
}

void Script::edit_text(Play& play, const Action& action) {
    if (action.verb == "text") {
        play.pdu.data.clear();
        for (char c : action.words.empty() ? std::string() : action.words[0])
            play.pdu.data.push_back(c == '|' ? uint8_t{0} : static_cast<uint8_t>(c));
        play.pdu.as<wire::Bhs>().data_segment_length = static_cast<uint32_t>(play.pdu.data.size());
        return;
    }
    Pairs pairs = read_text(play.pdu.data);
    const Side other = play.side == Side::ToInitiator ? Side::ToTarget : Side::ToInitiator;
    for (const std::string& word : action.words) {
        if (action.verb == "omit") {
            std::erase_if(pairs, [&](const auto& pair) { return pair.first == word; });
            continue;
        }
        auto [key, value] = split_pair(word, play.rule->place);
        if (!value.empty() && value[0] == '$')
            value = m_heard[{play.connection, other}][value.substr(1)];
        const auto found = std::find_if(pairs.begin(), pairs.end(),
                                        [&](const auto& pair) { return pair.first == key; });
        if (action.verb == "replace" && found != pairs.end())
            found->second = value;
        else
            pairs.emplace_back(key, value);
    }
    play.pdu.data = write_text(pairs);
    play.pdu.as<wire::Bhs>().data_segment_length = static_cast<uint32_t>(play.pdu.data.size());
}

// words: the PDU's name, then its fields. What answers a request bears its tag and LUN.
void Script::send(Play& play, const Words& words) {
    const auto opcode = opcode_of(words[0]);
    if (!opcode) complain(play, "there is no PDU called \"" + words[0] + "\"");
    Pdu pdu;
    pdu.header[0] = static_cast<uint8_t>(*opcode);
    pdu.header[1] = wire::k_final;
    auto& header = pdu.as<wire::Bhs>();
    const bool alone =
        *opcode == Opcode::NopIn || *opcode == Opcode::AsyncMessage || *opcode == Opcode::Reject;
    header.initiator_task_tag = alone ? wire::k_reserved_tag : play.pdu.itt();
    if (*opcode == Opcode::R2t) std::copy_n(&play.pdu.header[8], 8, &pdu.header[8]);
    if (*opcode == Opcode::NopIn || *opcode == Opcode::TextResponse || *opcode == Opcode::DataIn)
        std::fill_n(&pdu.header[20], 4, uint8_t{0xff});
    Words fields;
    for (size_t i = 1; i < words.size(); i++) {
        const auto [name, value] = split_pair(words[i], play.rule->place);
        const auto number = parse_integer(value);
        if (name == "data_bytes" && number) {
            pdu.data.assign(*number, 0x5a);
        } else if (name == "text") {
            for (char c : value) pdu.data.push_back(c == '|' ? uint8_t{0} : uint8_t(c));
        } else {
            fields.push_back(words[i]);
        }
    }
    header.data_segment_length = static_cast<uint32_t>(pdu.data.size());
    set_fields(play, pdu, fields, 0);
    const bool ping = *opcode == Opcode::NopIn && pdu.itt() == wire::k_reserved_tag;
    const bool bare_data =
        *opcode == Opcode::DataIn && (pdu.header[1] & wire::DataIn::k_status) == 0;
    m_stage.inject(play.connection, pdu, !ping && !bare_data && *opcode != Opcode::R2t, fields);
}

void Script::reject(Play& play, const Words& words) {
    const auto reason = parse_integer(words[0]);
    if (!reason) complain(play, "reject: \"" + words[0] + "\" is not a number");
    wire::Reject pdu;
    pdu.reason = static_cast<uint8_t>(*reason);
    m_stage.inject(play.connection, make_pdu(pdu, play.pdu.header), true, {});
}

uint64_t Script::poll_timeout() const {
    uint64_t due_ms = UINT64_MAX;
    for (const Waiting& one : m_waiting) due_ms = std::min(due_ms, one.due_ms);
    for (const Rule& rule : m_rules)
        if (rule.kind == Rule::Kind::Time && !rule.used) due_ms = std::min(due_ms, rule.at);
    return due_ms;
}

// A line that no PDU gave occasion to.
void Script::play_alone(Rule& rule) {
    rule.used = true;
    Play play{rule.connection.value_or(0), Side::ToInitiator, Pdu{}, {}, 0, true, &rule};
    for (const Action& action : rule.actions) act(play, action, m_now_ms);
}

void Script::handle_signal(uint64_t now_ms) {
    m_now_ms = now_ms;
    m_signals++;
    for (Rule& rule : m_rules)
        if (rule.kind == Rule::Kind::Signal && rule.at == m_signals) play_alone(rule);
}

void Script::handle_timeout(uint64_t now_ms) {
    m_now_ms = now_ms;
    for (Rule& rule : m_rules) {
        if (rule.kind != Rule::Kind::Time || rule.used || rule.at > now_ms) continue;
        play_alone(rule);
    }
    while (true) {
        const auto next = std::find_if(m_waiting.begin(), m_waiting.end(),
                                       [&](const Waiting& one) { return one.due_ms <= now_ms; });
        if (next == m_waiting.end()) return;
        const Waiting one = *next;
        m_waiting.erase(next);
        m_stage.pass(one.connection, one.side, one.pdu, one.damage, one.piece);
    }
}

std::vector<std::string> Script::unused() const {
    std::vector<std::string> places;
    for (const Rule& rule : m_rules)
        if (!rule.used) places.push_back(rule.place);
    return places;
}

}  // namespace hawser::target
