// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a script that cannot be understood is told: file, line, what is wrong.

#include <catch2/catch.hpp>

#include "case.h"

namespace hawser::target {

namespace {

std::string complaint(const std::string& line) {
    try {
        parse_case("a.case", "case A\nrule 1\n" + line + "\n");
    } catch (const ScriptError& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a line that is wrong is named, and what is wrong with it", "[target][script]") {
    const std::pair<const char*, const char*> rows[] = {
        {"on Nop do drop", "a.case:3: there is no PDU called \"Nop\""},
        {"on NopIn drop",
         "a.case:3: \"drop\": only after, number, connection, toward, where, with and do "
         "are known here"},
        {"on NopIn", "a.case:3: the line ends where \"do\" should be"},
        {"on NopIn do", "a.case:3: \"do\" without an action"},
        {"on NopIn do fly", "a.case:3: there is no action \"fly\""},
        {"on NopIn do drop then", "a.case:3: \"then\" without an action"},
        {"on NopIn number x do drop", "a.case:3: \"x\" is not a number"},
        {"on NopIn where r2t_sn=1 do drop", "a.case:3: this PDU has no field \"r2t_sn\""},
        {"on NopIn do set r2t_sn=1", "a.case:3: this PDU has no field \"r2t_sn\""},
        {"on NopIn do set ttt", "a.case:3: \"ttt\" is not NAME=VALUE"},
        {"on NopIn do delay", "a.case:3: delay: what?"},
        {"on NopIn do answer Nothing", "a.case:3: there is no PDU called \"Nothing\""},
        {"byte 7 do mutate", "a.case:3: byte: toward initiator, or toward target?"},
        {"on NopIn after noon do drop", "a.case:3: \"noon\" is not a number"},
        {"signal first do wake", "a.case:3: \"first\" is not a number"},
        {"signal 1 do resize", "a.case:3: resize: what?"},
        {"at noon do close", "a.case:3: \"noon\" is not a number"},
        {"rule 66", "a.case:3: there is no rule 66"},
        {"unh login", "a.case:3: unh: a suite (login, ffp, chap) and a number"},
        {"unh scsi 1.1", "a.case:3: unh: there is no suite \"scsi\""},
        {"run fly", "a.case:3: there is no step \"fly\""},
        {"run read 7", "a.case:3: run: a number is missing"},
        {"target erl=2", "a.case:3: the target has no setting \"erl\""},
        {"target window=few", "a.case:3: window=few: not a number"},
        {"target unit_attention=1", "a.case:3: unit_attention=1: not yes or no"},
        {"sing", "a.case:3: sing: what?"},
        {"sing loud", "a.case:3: \"sing\" begins no line of a case"},
    };
    for (const auto& [line, words] : rows) CHECK(complaint(line) == words);
    CHECK(complaint("on NopIn number 2..4 connection 1 where ttt=0xff do drop # why") == "");
}

TEST_CASE("a case has a name, and says what it holds", "[target][script]") {
    CHECK_THROWS_WITH(parse_case("a.case", "rule 1\n"), "a.case: no line \"case NAME\"");
    CHECK_THROWS_WITH(parse_case("a.case", "case A\n"),
                      "a.case: neither \"rule N\" nor \"unh SUITE NUMBER\"");
}

TEST_CASE("a case fails when its script does not come to pass, or what it expects",
          "[target][script]") {
    const auto run = [](const std::string& lines) {
        return run_case(parse_case("a.case", "case A\nrule 1\n" + lines)).failures;
    };
    CHECK(run("run read 0 8\n").empty());
    CHECK(run("on R2t number 1 do drop\nrun read 0 8\n").size() == 1);
    CHECK(run("expect no login\n").size() == 1);
    CHECK(run("expect error STAT_SN\n").size() == 1);
    CHECK(run("expect connections 2\n").size() == 1);
    CHECK(run("expect sent ScsiCommand\n").size() == 1);
    CHECK(run("run test\nexpect not sent ScsiCommand\n").size() == 1);
    CHECK(run("run test\nexpect status 2\n").size() == 1);
    CHECK(run("run test\nexpect undone 1\n").size() == 1);
    CHECK(run("expect reinstatements 1\n").size() == 1);
    CHECK(run("on ScsiCommand number 1 do drop\nstart test\n").size() == 1);
}

}  // namespace hawser::target
