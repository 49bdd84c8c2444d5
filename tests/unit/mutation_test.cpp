// SPDX-License-Identifier: GPL-2.0-or-later
//
// The mutation list checked: an entry that no longer fits the code must be told, never passed over.

#include "mutation.h"

#include <catch2/catch.hpp>

using namespace hawser::mutants;

namespace {

MutationList list_of(std::string_view text) {
    MutationList list;
    parse_list("x.list", text, list);
    return list;
}

const std::string k_entry = "rule 7\nfile a.cpp\nwhy it is wrong\n- x = 1;\n+ x = 2;\n";

}  // namespace

TEST_CASE("a mutation list is read", "[mutants]") {
    const MutationList list =
        list_of("# words\n\n" + k_entry + "\nrule 8\nfile b.cpp\nwhy a\nwhy b\n- f(\n-     y);\n");
    CHECK(list.defects.empty());
    REQUIRE(list.mutations.size() == 2);
    CHECK(list.mutations[0].rule == 7);
    CHECK(list.mutations[0].file == "a.cpp");
    CHECK(list.mutations[0].before == "x = 1;");
    CHECK(list.mutations[0].after == "x = 2;");
    CHECK(list.mutations[0].place == "x.list:3");
    CHECK(list.mutations[1].why == "a\nb");
    CHECK(list.mutations[1].before == "f(\ny);");
    CHECK(list.mutations[1].after.empty());
}

TEST_CASE("an entry that is not whole is a defect", "[mutants]") {
    for (const char* text :
         {"file a.cpp\n", "rule 7\nwhy w\n- x\n", "rule 7\nfile a\n- x\n",
          "rule 7\nfile a\nwhy w\n", "rule x\nfile a\nwhy w\n- x\n",
          "rule 7\nfile a\nwhy w\n- x\n+ x\n", "rule 7\nnonsense\nfile a\nwhy w\n- x\n"}) {
        INFO(text);
        CHECK(list_of(text).defects.size() == 1);
    }
}

TEST_CASE("a mutation applies where its text stands once", "[mutants]") {
    const Mutation mutation = list_of(k_entry).mutations.at(0);
    CHECK(mutate(mutation, "a; x = 1; b;").text == "a; x = 2; b;");
    CHECK(mutate(mutation, "a;\n  x\n    = 1;\nb;").text == "a;\n  x = 2;\nb;");
    CHECK(mutate(mutation, "x=1;").found == 0);
    CHECK(mutate(mutation, "max = 1;").found == 0);
    CHECK(mutate(mutation, "x = 12;").found == 0);
    CHECK_FALSE(mutate(mutation, "x = 1; x = 1;").text);
    CHECK(mutate(mutation, "x = 1; x = 1;").found == 2);
}
