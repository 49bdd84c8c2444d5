// SPDX-License-Identifier: GPL-2.0-or-later
//
// The `expect` lines.

#include "expectations.h"

#include <fmt/format.h>

#include <algorithm>

#include "fields.h"

namespace hawser::target {

namespace {

// Out of HAWSER_ERRORS.
std::optional<uint32_t> error_of(const std::string& name) {
#define HAWSER_TARGET_ERROR(symbol, number, words) \
    if (name == #symbol) return number;
    HAWSER_ERRORS(HAWSER_TARGET_ERROR)
#undef HAWSER_TARGET_ERROR
    return {};
}

std::string name_of_error(uint32_t error) {
#define HAWSER_TARGET_ERROR(symbol, number, words) \
    if (error == number) return #symbol;
    HAWSER_ERRORS(HAWSER_TARGET_ERROR)
#undef HAWSER_TARGET_ERROR
    return std::to_string(error);
}

class Checker {
public:
    Checker(const Case& one, const Outcomes& outcomes, std::vector<std::string>& failures)
        : m_case(one), m_outcomes(outcomes), m_failures(failures) {}

    void check() {
        bool login_named = false;
        for (const Expectation& expectation : m_case.expectations) {
            m_words = &expectation.words;
            m_place = expectation.place;
            login_named |= take();
        }
        m_place = m_case.file;
        if (!login_named) check_login(true);
        check_operations();
    }

private:
    void fail(const std::string& what) { m_failures.push_back(m_place + ": " + what); }
    const std::string& word(size_t index) const {
        static const std::string none;
        return index < m_words->size() ? (*m_words)[index] : none;
    }
    uint64_t number(size_t index) const {
        const auto value = parse_integer(word(index));
        if (!value) throw ScriptError(m_place + ": expect " + word(0) + ": a number is missing");
        return *value;
    }
    uint64_t after(const std::string& name, uint64_t fallback) const {
        for (size_t i = 0; i + 1 < m_words->size(); i++)
            if (word(i) == name) return number(i + 1);
        return fallback;
    }

    // True: it says whether there is a login at the end.
    bool take() {
        const std::string& kind = word(0);
        const EngineHost& host = m_outcomes.host;
        if (kind == "logged" || kind == "no") {
            check_login(kind == "logged");
            return true;
        }
        if (kind == "error") {
            check_error();
        } else if (kind == "end") {
            const auto error = error_of(word(1));
            if (!error) throw ScriptError(m_place + ": there is no error " + word(1));
            if (!host.ended() || host.end_error() != *error)
                fail("the session did not end with " + word(1) + ", but " +
                     (host.ended() ? "with " + name_of_error(host.end_error()) : "goes on"));
            return true;
        } else if (kind == "connections") {
            if (host.logged_in() != number(1))
                fail(fmt::format("{} connections are logged in", host.logged_in()));
        } else if (kind == "reinstatements") {
            if (host.snapshot().reinstatements != number(1))
                fail(fmt::format("{} reinstatements", host.snapshot().reinstatements));
        } else if (kind == "portals") {
            check_portals();
        } else if (kind == "place") {
            if (host.place_of(static_cast<uint32_t>(number(1))) != word(2))
                fail("it went to " + host.place_of(static_cast<uint32_t>(number(1))));
        } else if (kind == "sent" || kind == "not") {
            check_sent(kind == "sent");
        } else if (kind == "managed") {
            check_managed();
        } else if (kind == "rungs") {
            check_rungs();
        } else if (kind == "fault") {
            check_fault();
        } else if (kind == "aborted") {
            m_aborted.insert(number(1));
        } else if (kind == "undone") {
            m_undone.insert(number(1));
        } else {
            check_of_operation(kind);
        }
        return false;
    }

    void check_login(bool wanted) {
        const uint32_t count = m_outcomes.host.logged_in();
        if (wanted == (count != 0)) return;
        const hawser_session_snapshot now = m_outcomes.host.snapshot();
        fail(wanted ? "there is no login at the end: " + name_of_error(now.last_error)
                    : "there is a login at the end");
    }

    void check_error() {
        const auto error = error_of(word(1));
        if (!error) throw ScriptError(m_place + ": there is no error " + word(1));
        const uint64_t index = after("connection", UINT64_MAX);
        std::string seen;
        for (const hawser_report& report : m_outcomes.host.reports()) {
            if (report.error == 0) continue;
            if (report.error == *error && (index == UINT64_MAX || report.index == index)) return;
            seen += " " + name_of_error(report.error);
        }
        fail("no connection was lost with " + word(1) + (seen.empty() ? "" : ", but with" + seen));
    }

    void check_portals() {
        const hawser_session_snapshot now = m_outcomes.host.snapshot();
        std::string expected;
        std::string known;
        for (size_t i = 1; i < m_words->size(); i++) expected += " " + word(i);
        for (uint32_t i = 0; i < now.portal_count; i++) {
            char out[64] = {};
            hawser_portal_format(&now.portals[i].address, now.portals[i].port, out);
            known += std::string(" ") + out;
        }
        if (known != expected) fail("it knows" + known);
    }

    void check_managed() {
        const auto& managed = m_outcomes.host.managed();
        const uint64_t index = number(1);
        if (index == 0 || index > managed.size())
            return fail(fmt::format("there are {} results", managed.size()));
        const hawser_managed& result = managed[index - 1];
        if (word(2) == "error") {
            if (result.error != error_of(word(3)))
                fail("its error is " + name_of_error(result.error));
        } else if (result.error != 0 || result.response != number(3)) {
            fail(
                fmt::format("error {}, response {}", name_of_error(result.error), result.response));
        }
    }

    void check_rungs() {
        std::string expected;
        std::string told;
        for (size_t i = 1; i < m_words->size(); i++) expected += " " + word(i);
        for (const hawser_overdue& overdue : m_outcomes.host.rungs())
            told += fmt::format(" {}", overdue.rung);
        if (told != expected) fail("the rungs that were told are" + told);
    }

    void check_fault() {
        const uint64_t of = number(2);
        if (of == 0 || of > m_outcomes.operations.size())
            throw ScriptError(m_place + ": there is no operation of this number");
        const Operation& operation = *m_outcomes.operations[of - 1];
        if (operation.fault != error_of(word(1)))
            fail(operation.words + "was given up by " + name_of_error(operation.fault));
        m_judged.insert(of - 1);
    }

    void check_sent(bool wanted) {
        size_t i = wanted ? 1 : 2;
        const auto opcode = opcode_of(word(i));
        if (!opcode) throw ScriptError(m_place + ": there is no PDU " + word(i));
        uint64_t first = 1;
        uint64_t last = UINT64_MAX;
        uint64_t connection = UINT64_MAX;
        std::vector<Condition> where;
        std::vector<Condition> with;
        for (i++; i + 1 < m_words->size(); i += 2) {
            const std::string& value = word(i + 1);
            const size_t equals = value.find('=');
            const bool pair = equals != value.npos;
            if (word(i) == "times") {
                const size_t dots = value.find("..");
                first = parse_integer(value.substr(0, dots)).value_or(0);
                last =
                    dots == value.npos ? first : parse_integer(value.substr(dots + 2)).value_or(0);
            } else if (word(i) == "connection") {
                connection = number(i + 1);
            } else if (word(i) == "where" && pair &&
                       find_field(*opcode, value.substr(0, equals)) != nullptr) {
                where.push_back({value.substr(0, equals), value.substr(equals + 1)});
            } else if (word(i) == "with" && pair) {
                with.push_back({value.substr(0, equals), value.substr(equals + 1)});
            } else if (word(i) == "with") {
                with.push_back({value, {}});
            } else {
                throw ScriptError(m_place + ": \"" + word(i) + " " + value + "\" is not known");
            }
        }
        if (i < m_words->size()) throw ScriptError(m_place + ": " + word(i) + ": what?");
        uint64_t count = 0;
        for (const auto& [id, pdu] : m_outcomes.target.heard)
            count += pdu.kind() == *opcode && fulfils(pdu, where, with) &&
                     (connection == UINT64_MAX || connection == id);
        if (wanted ? count < first || count > last : count != 0)
            fail(fmt::format("{} of these were sent", count));
    }

    void check_of_operation(const std::string& kind) {
        const uint64_t of = after("of", 0);
        if (of > m_outcomes.operations.size())
            throw ScriptError(m_place + ": there is no operation of this number");
        const size_t begin = of == 0 ? 0 : of - 1;
        const size_t end = of == 0 ? m_outcomes.operations.size() : of;
        for (size_t i = begin; i < end; i++) {
            const Operation& operation = *m_outcomes.operations[i];
            const hawser_completion& completion = operation.completion;
            if (!operation.done) continue;  // said elsewhere
            if (kind == "status") {
                compare(operation, "status", completion.status, number(1));
                m_judged.insert(i);
            } else if (kind == "response") {
                compare(operation, "response", completion.response, number(1));
                m_judged.insert(i);
            } else if (kind == "residual" || kind == "overflow") {
                compare(operation, "residual", completion.residual, number(1));
                compare(operation, "overflow", completion.overflow, kind == "overflow");
            } else if (kind == "read_residual") {
                compare(operation, "read residual", completion.read_residual, number(1));
            } else if (kind == "sense") {
                if (operation.sense.size() < 14) {
                    fail(operation.words + "has no sense data");
                    continue;
                }
                compare(operation, "sense key", operation.sense[2] & 15, number(1));
                compare(operation, "sense code", operation.sense[12], number(2));
                compare(operation, "sense qualifier", operation.sense[13], number(3));
            } else {
                throw ScriptError(m_place + ": expect " + kind + " is not known");
            }
        }
    }

    void compare(const Operation& operation, const char* what, uint64_t is, uint64_t expected) {
        if (is != expected) fail(fmt::format("{}: {} is {}", operation.words, what, is));
    }

    // What nothing was said about is done, and GOOD.
    void check_operations() {
        for (size_t i = 0; i < m_outcomes.operations.size(); i++) {
            const Operation& operation = *m_outcomes.operations[i];
            const bool undone = m_undone.count(i + 1) != 0;
            if (operation.done == undone)
                fail(operation.words + (undone ? "completed" : "did not complete"));
            const bool aborted = m_aborted.count(i + 1) != 0;
            if (operation.done && (operation.completion.aborted != 0) != aborted)
                fail(operation.words + (aborted ? "was not aborted" : "was aborted"));
            if (!operation.done || aborted || m_judged.count(i) != 0) continue;
            if (operation.completion.response != 0 || operation.completion.status != 0)
                fail(fmt::format("{}: response {}, status {}", operation.words,
                                 operation.completion.response, operation.completion.status));
        }
    }

    const Case& m_case;
    const Outcomes& m_outcomes;
    std::vector<std::string>& m_failures;
    const Words* m_words = nullptr;
    std::string m_place;
    std::set<uint64_t> m_undone;
    std::set<uint64_t> m_aborted;
    std::set<size_t> m_judged;
};

}  // namespace

void check_expectations(const Case& one, const Outcomes& outcomes,
                        std::vector<std::string>& failures) {
    Checker(one, outcomes, failures).check();
}

}  // namespace hawser::target
