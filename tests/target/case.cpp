// SPDX-License-Identifier: GPL-2.0-or-later
//
// Case files to cases.

#include "case.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "fields.h"

namespace hawser::target {

namespace {

class CaseParser {
public:
    CaseParser(const std::string& file, const std::string& text) : m_text(text) {
        m_case.file = file;
    }

    Case parse() {
        std::stringstream lines(m_text);
        size_t number = 0;
        for (std::string line; std::getline(lines, line);) {
            m_place = fmt::format("{}:{}", m_case.file, ++number);
            m_words = split_words(line);
            if (!m_words.empty()) parse_line();
        }
        m_place = m_case.file;
        if (m_case.name.empty()) fail("no line \"case NAME\"");
        if (m_case.rules.empty() && m_case.unh_number.empty())
            fail("neither \"rule N\" nor \"unh SUITE NUMBER\"");
        if (m_case.steps.empty() || m_case.steps[0].words[0] != "login")
            m_case.steps.insert(m_case.steps.begin(), Step{{"login"}, true, m_place});
        return m_case;
    }

private:
    [[noreturn]] void fail(const std::string& what) const {
        throw ScriptError(m_place + ": " + what);
    }
    uint32_t number_at(size_t index) const {
        const auto value =
            index < m_words.size() ? parse_integer(m_words[index]) : std::optional<uint64_t>();
        if (!value) fail(m_words[0] + ": a number is missing");
        return static_cast<uint32_t>(*value);
    }

    void parse_line() {
        const std::string& verb = m_words[0];
        if (verb == "on" || verb == "at" || verb == "byte" || verb == "signal") {
            m_case.script.push_back(parse_rule(m_words, m_place));
        } else if (verb == "run" || verb == "start") {
            parse_step();
        } else if (verb == "expect") {
            if (m_words.size() < 2) fail("expect: what?");
            m_case.expectations.push_back({{m_words.begin() + 1, m_words.end()}, m_place});
        } else {
            parse_head(verb);
        }
    }

    void parse_head(const std::string& verb) {
        if (m_words.size() < 2) fail(verb + ": what?");
        if (verb == "case") {
            m_case.name = joined(1);
        } else if (verb == "unh") {
            if (m_words.size() != 3) fail("unh: a suite (login, ffp, chap) and a number");
            if (m_words[1] != "login" && m_words[1] != "ffp" && m_words[1] != "chap")
                fail("unh: there is no suite \"" + m_words[1] + "\"");
            m_case.unh_suite = m_words[1];
            m_case.unh_number = m_words[2];
        } else if (verb == "rule") {
            for (size_t i = 1; i < m_words.size(); i++) {
                const uint32_t rule = number_at(i);
                if (rule < 1 || rule > 65) fail(fmt::format("there is no rule {}", rule));
                m_case.rules.insert(rule);
            }
        } else if (verb == "target") {
            for (size_t i = 1; i < m_words.size(); i++) {
                const auto [name, value] = split_pair(m_words[i], m_place);
                apply_setting(m_case.settings, name, value, m_place);
            }
        } else if (verb == "options") {
            m_case.options += " " + joined(1);
        } else if (verb == "connections") {
            m_case.connections = number_at(1);
        } else if (verb == "secret") {
            m_case.secret = m_words[1];
            m_case.secret_in = m_words.size() > 2 ? m_words[2] : "";
        } else if (verb == "timeout") {
            m_case.timeout_ms = number_at(1);
        } else if (verb == "chunk") {
            m_case.chunk_bytes = number_at(1);
        } else {
            fail("\"" + verb + "\" begins no line of a case");
        }
    }

    void parse_step() {
        static const std::set<std::string> known = {
            "login", "write",     "read",      "write32",   "read32",     "flush",     "test",
            "cdb",   "exchange",  "all",       "wait",      "logout",     "cut",       "settle",
            "abort", "abort-set", "clear-set", "reset-lun", "warm-reset", "cold-reset"};
        if (m_words.size() < 2) fail(m_words[0] + ": what?");
        if (known.count(m_words[1]) == 0) fail("there is no step \"" + m_words[1] + "\"");
        const size_t numbers = m_words[1].substr(0, 4) == "read" ||
                                       m_words[1].substr(0, 5) == "write" ||
                                       m_words[1] == "exchange"
                                   ? 2
                               : m_words[1] == "wait" || m_words[1] == "cut" ? 1
                                                                             : 0;
        for (size_t i = 0; i < numbers; i++) number_at(2 + i);
        m_case.steps.push_back(
            {{m_words.begin() + 1, m_words.end()}, m_words[0] == "run", m_place});
    }

    std::string joined(size_t from) const {
        std::string text;
        for (size_t i = from; i < m_words.size(); i++) text += (i == from ? "" : " ") + m_words[i];
        return text;
    }

    const std::string& m_text;
    std::string m_place;
    Words m_words;
    Case m_case;
};

}  // namespace

Case parse_case(const std::string& file, const std::string& text) {
    return CaseParser(file, text).parse();
}

Case read_case(const std::string& file) {
    std::ifstream stream(file);
    if (!stream) throw ScriptError(file + ": cannot be read");
    std::stringstream text;
    text << stream.rdbuf();
    return parse_case(file, text.str());
}

}  // namespace hawser::target
