// SPDX-License-Identifier: GPL-2.0-or-later
//
// The counter of rules checked: what counts as a test that holds a rule, and what must not.

#include <catch2/catch.hpp>

#include "rfc_rules.h"

using namespace hawser::rfc_coverage;

namespace {

using Numbers = std::vector<unsigned>;

// Which rules the tests of a source hold. The macro's name is put in here, so that this file's own
// snippets are never taken for tests.
Numbers unit_rules(std::string text) {
    for (size_t at = text.find('@'); at != text.npos; at = text.find('@'))
        text.replace(at, 1, "TEST_CASE");
    Numbers all;
    for (const Evidence& test : scan_unit_test("tests/unit/x_test.cpp", text))
        all.insert(all.end(), test.rules.begin(), test.rules.end());
    return all;
}

RuleTable two_rules() {
    return parse_rules("| rule | RFC | what |\n|---|---|---|\n| 1 | 4.2 | a |\n| 2 | 7.9 | b |\n");
}

Evidence test_of(unsigned rule) {
    return {"unit", "name of " + std::to_string(rule), "f.cpp", 3, {rule}};
}

}  // namespace

TEST_CASE("rfc-coverage reads the table of rules", "[rfc-coverage]") {
    const RuleTable table = two_rules();
    REQUIRE(table.rules.size() == 2);
    CHECK(table.defect.empty());
    CHECK(table.rules[1].number == 2);
    CHECK(table.rules[1].sections == "7.9");
    CHECK(table.rules[1].words == "b");
    CHECK_FALSE(parse_rules("| 1 | a | b |\n| 3 | a | b |\n").defect.empty());
    CHECK_FALSE(parse_rules("| 1 | a | b |\n| 1 | a | b |\n").defect.empty());
    CHECK_FALSE(parse_rules("| 1 |  | b |\n").defect.empty());
    CHECK_FALSE(parse_rules("no table\n").defect.empty());
}

TEST_CASE("rfc-coverage finds the rules of unit tests", "[rfc-coverage]") {
    CHECK(unit_rules("@(\"a\", \"[RFC 7143 6.3][rule-7][rule-12]\") {}\n") == Numbers{7, 12});
    CHECK(unit_rules("@(\"a\",\n          \"[x]\"\n  \"[rule-7]\") {}\n") == Numbers{7});
    CHECK(unit_rules("@(\"a \\\"[rule-9]\\\"\", \"[rule-7]\") {}\n") == Numbers{7});
    CHECK(unit_rules("@(\"[rule-7]\") {}\n").empty());
    CHECK(unit_rules("@(\"a\", \"[rule-x]\") {}\n") == Numbers{0});
    const auto found = scan_unit_test("f.cpp", "\nTEST_CASE(\"a b\", \"[rule-1]\") {}\n");
    REQUIRE(found.size() == 1);
    CHECK(found[0].name == "a b");
    CHECK(found[0].line == 2);
}

TEST_CASE("rfc-coverage counts no test that does not run or may fail", "[rfc-coverage]") {
    CHECK(unit_rules("// @(\"a\", \"[rule-7]\") {}\n").empty());
    CHECK(unit_rules("/* @(\"a\", \"[rule-7]\") {} */\n").empty());
    CHECK(unit_rules("const char* s = \"@(a, [rule-7])\";\n").empty());
    CHECK(unit_rules("#if 0\n@(\"a\", \"[rule-7]\") {}\n#endif\n").empty());
    CHECK(unit_rules("#if 0\n#else\n@(\"a\", \"[rule-7]\") {}\n#endif\n") == Numbers{7});
    CHECK(unit_rules("#if 0\n#if 1\n#endif\n@(\"a\", \"[rule-7]\") {}\n#endif\n").empty());
    for (const char* tag : {"[.]", "[.slow]", "[!hide]", "[!mayfail]", "[!shouldfail]"})
        CHECK(unit_rules(std::string("@(\"a\", \"[rule-7]") + tag + "\") {}\n").empty());
}

TEST_CASE("rfc-coverage finds the rules of cases and of the simulator", "[rfc-coverage]") {
    auto found =
        scan_case("tests/target/cases/ffp-1.1.case", "# rule 9\nrule 22\nsend x\nrule 3 4\n");
    REQUIRE(found.size() == 1);
    CHECK(found[0].name == "ffp-1.1");
    CHECK(found[0].rules == Numbers{22, 3, 4});
    CHECK(scan_case("a.case", "send x\n").empty());
    CHECK(scan_case("a.case", "rule 22\nskip no peer does this\n").empty());
    found = scan_simulator("tests/sim/x.cpp", "int a;\n    // rule 6: held\n// rules of thumb\n");
    REQUIRE(found.size() == 1);
    CHECK(found[0].name == "x:2");
    CHECK(found[0].rules.empty() == false);
    CHECK(found[0].rules == Numbers{6});
}

TEST_CASE("rfc-coverage is complete only with a test for each rule", "[rfc-coverage]") {
    Report report = report_of(two_rules(), {test_of(1), test_of(2)}, 100);
    CHECK(report.complete);
    CHECK(report.held == 2);
    CHECK(report.text.find("name of 2") != std::string::npos);
    CHECK(report.text.find("2 of 2") != std::string::npos);
    report = report_of(two_rules(), {test_of(1)}, 100);
    CHECK_FALSE(report.complete);
    CHECK(report.text.find("NO TEST: b") != std::string::npos);
    CHECK(report.text.find("1 of 2") != std::string::npos);
    // A number that no rule has is a slip of the pen, and told.
    report = report_of(two_rules(), {test_of(1), test_of(2), test_of(3)}, 100);
    CHECK_FALSE(report.complete);
    CHECK(report.text.find("f.cpp:3: rule 3") != std::string::npos);
    RuleTable broken = two_rules();
    broken.defect = "x";
    CHECK_FALSE(report_of(broken, {test_of(1), test_of(2)}, 100).complete);
}
