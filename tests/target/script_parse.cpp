// SPDX-License-Identifier: GPL-2.0-or-later
//
// Lines of a script to rules.

#include <algorithm>

#include "fields.h"
#include "script.h"

namespace hawser::target {

namespace {

constexpr const char* k_verbs[] = {
    "drop",   "pass",    "delay",  "hold",    "release",  "reorder", "split",  "duplicate",
    "set",    "corrupt", "inject", "omit",    "truncate", "replace", "add",    "text",
    "reject", "answer",  "send",   "close",   "reset",    "silence", "window", "restart",
    "keys",   "hang",    "wake",   "trickle", "mutate",   "resize"};

Condition parse_condition(const std::string& word) {
    const size_t equals = word.find('=');
    if (equals == word.npos) return {word, {}};
    return {word.substr(0, equals), word.substr(equals + 1)};
}

class RuleParser {
public:
    RuleParser(const Words& words, const std::string& place) : m_words(words) {
        m_rule.place = place;
    }

    Rule parse() {
        if (m_words[0] == "at") {
            m_rule.kind = Rule::Kind::Time;
            m_rule.at = number(next("a time in ms"));
        } else if (m_words[0] == "byte") {
            m_rule.kind = Rule::Kind::Byte;
            m_rule.at = number(next("a number"));
        } else if (m_words[0] == "signal") {
            m_rule.kind = Rule::Kind::Signal;
            m_rule.at = number(next("a number"));
        } else if (m_words.size() > 1 && m_words[1] == "any") {
            m_at++;
            m_rule.kind = Rule::Kind::Any;
        } else {
            const std::string& name = next("a PDU's name");
            m_rule.opcode = opcode_of(name);
            if (!m_rule.opcode) fail("there is no PDU called \"" + name + "\"");
        }
        while (next("\"do\"") != "do") parse_clause();
        while (m_at + 1 < m_words.size()) parse_action();
        if (m_rule.actions.empty()) fail("\"do\" without an action");
        if (m_rule.kind == Rule::Kind::Byte && !m_rule.toward)
            fail("byte: toward initiator, or toward target?");
        return m_rule;
    }

private:
    [[noreturn]] void fail(const std::string& what) const {
        throw ScriptError(m_rule.place + ": " + what);
    }
    const std::string& next(const std::string& wanted) {
        if (m_at + 1 >= m_words.size()) fail("the line ends where " + wanted + " should be");
        return m_words[++m_at];
    }
    uint64_t number(const std::string& text) const {
        const auto value = parse_integer(text);
        if (!value) fail("\"" + text + "\" is not a number");
        return *value;
    }
    void parse_clause() {
        const std::string word = m_words[m_at];
        if (word == "number") {
            const std::string range = next("a number");
            const size_t dots = range.find("..");
            m_rule.first = number(range.substr(0, dots));
            m_rule.last = dots == range.npos ? m_rule.first : number(range.substr(dots + 2));
        } else if (word == "after") {
            m_rule.after = number(next("a number"));
        } else if (word == "connection") {
            m_rule.connection = static_cast<uint32_t>(number(next("a number")));
        } else if (word == "toward") {
            const std::string& side = next("initiator or target");
            if (side != "initiator" && side != "target")
                fail("toward " + side + ": neither initiator nor target");
            m_rule.toward = side == "target" ? Side::ToTarget : Side::ToInitiator;
        } else if (word == "where") {
            const Condition condition = parse_condition(next("FIELD=VALUE"));
            if (!condition.value) fail("where " + condition.field + ": not FIELD=VALUE");
            number(*condition.value);
            if (!m_rule.opcode || find_field(*m_rule.opcode, condition.field) == nullptr)
                fail("this PDU has no field \"" + condition.field + "\"");
            m_rule.where.push_back(condition);
        } else if (word == "with") {
            m_rule.with.push_back(parse_condition(next("KEY or KEY=VALUE")));
        } else {
            fail("\"" + word +
                 "\": only after, number, connection, toward, where, with and do are known here");
        }
    }
    void parse_action() {
        Action action;
        action.verb = next("an action");
        const auto known = std::find(std::begin(k_verbs), std::end(k_verbs), action.verb);
        if (known == std::end(k_verbs)) fail("there is no action \"" + action.verb + "\"");
        while (m_at + 1 < m_words.size() && m_words[m_at + 1] != "then")
            action.words.push_back(m_words[++m_at]);
        if (m_at + 1 < m_words.size()) {
            m_at++;
            if (m_at + 1 == m_words.size()) fail("\"then\" without an action");
        }
        check_arguments(action);
        m_rule.actions.push_back(std::move(action));
    }
    void check_arguments(const Action& action) const {
        const std::string& verb = action.verb;
        const bool needs =
            verb == "delay" || verb == "split" || verb == "set" || verb == "corrupt" ||
            verb == "inject" || verb == "truncate" || verb == "replace" || verb == "omit" ||
            verb == "add" || verb == "reject" || verb == "answer" || verb == "send" ||
            verb == "window" || verb == "keys" || verb == "trickle" || verb == "resize";
        if (needs && action.words.empty()) fail(verb + ": what?");
        if ((verb == "answer" || verb == "send") && !opcode_of(action.words[0]))
            fail("there is no PDU called \"" + action.words[0] + "\"");
        if (verb != "set") return;
        for (const std::string& word : action.words) {
            const auto [field, value] = split_pair(word, m_rule.place);
            if (!m_rule.opcode || find_field(*m_rule.opcode, field) == nullptr)
                fail("this PDU has no field \"" + field + "\"");
        }
    }

    const Words& m_words;
    size_t m_at = 0;
    Rule m_rule;
};

}  // namespace

Words split_words(const std::string& line) {
    Words words;
    std::string word;
    bool quoted = false;
    bool any = false;
    for (char c : line) {
        if (c == '#' && !quoted && !any) break;
        if (c == '"') {
            quoted = !quoted;
            any = true;
        } else if ((c == ' ' || c == '\t') && !quoted) {
            if (any) words.push_back(word);
            word.clear();
            any = false;
        } else {
            word += c;
            any = true;
        }
    }
    if (any) words.push_back(word);
    return words;
}

std::pair<std::string, std::string> split_pair(const std::string& word, const std::string& place) {
    const size_t equals = word.find('=');
    if (equals == word.npos || equals == 0)
        throw ScriptError(place + ": \"" + word + "\" is not NAME=VALUE");
    return {word.substr(0, equals), word.substr(equals + 1)};
}

Rule parse_rule(const Words& words, const std::string& place) {
    return RuleParser(words, place).parse();
}

}  // namespace hawser::target
