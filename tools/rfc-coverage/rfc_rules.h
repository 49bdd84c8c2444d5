// SPDX-License-Identifier: GPL-2.0-or-later
//
// The rules of RFC 7143 as docs/rules.md lists them, and the tests that hold them. Nothing here
// reads a file: texts are handed in, so that unit tests can hand in small ones.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::rfc_coverage {

struct Rule {
    unsigned number = 0;
    std::string sections;
    std::string words;
};

// The rows `| number | sections | words |` of a Markdown page, in order. Numbers must run from 1
// without a gap; where they do not, defect says which.
struct RuleTable {
    std::vector<Rule> rules;
    std::string defect;
};
RuleTable parse_rules(std::string_view markdown);

// One test that says which rules it holds.
struct Evidence {
    std::string kind;  // unit, case, sim
    std::string name;
    std::string file;
    size_t line = 0;
    std::vector<unsigned> rules;
};

// TEST_CASE("name", "[tags]") of Catch2. A test that does not run by default, or that may fail, is
// none: tags [.], [.x], [!hide], [!mayfail], [!shouldfail], and what stands in `#if 0` or a
// comment.
std::vector<Evidence> scan_unit_test(std::string_view file, std::string_view text);
// A case of the scripted target: its lines `rule N ...`. One with a line `skip ...` is none.
std::vector<Evidence> scan_case(std::string_view file, std::string_view text);
// The simulator: comments `// rule N ...`, each beside the check that holds it.
std::vector<Evidence> scan_simulator(std::string_view file, std::string_view text);

// A row per rule: number, sections, how many tests, their names cut to `columns`; then the total.
struct Report {
    std::string text;
    size_t held = 0;
    size_t total = 0;
    bool complete = false;  // every rule is held, and no test names a rule that there is not
};
Report report_of(const RuleTable& table, const std::vector<Evidence>& evidence, size_t columns);

}  // namespace hawser::rfc_coverage
