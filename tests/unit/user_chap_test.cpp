// SPDX-License-Identifier: GPL-2.0-or-later
// CHAP's names and secrets in user space: files that are taken and refused, and that no line which
// leaves the program holds a secret.
#include "user/chap.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "user/commands.h"
#include "user_fixture.h"

using namespace hawser::user;
using hawser_test::Fixture;

namespace {

std::string put(const Fixture& root, const std::string& text, mode_t mode = 0600) {
    root.put("secret", text);
    const std::string path = root.path() + "/secret";
    chmod(path.c_str(), mode);
    return path;
}

std::string failure_of(const std::string& path) {
    try {
        read_secret_file(path);
    } catch (const Failure& failure) {
        return failure.what();
    }
    return "";
}

bool is_skipped() {
    if (geteuid() == 0) return false;
    WARN("SKIPPED: a file of root's needs root");
    return true;
}

ChapCredentials credentials(const std::string& name, const std::string& secret,
                            const std::string& name_in = "", const std::string& secret_in = "") {
    return {name, Secret(secret), name_in, Secret(secret_in)};
}

std::string problem_of(const ChapCredentials& chap) {
    const auto problems = chap_problems(chap, "here");
    return problems.empty() ? "" : problems[0].cause;
}

}  // namespace

TEST_CASE("secret file: plain text and hex", "[user][chap][rule-47]") {
    if (is_skipped()) return;
    const Fixture root;
    CHECK(read_secret_file(put(root, "swordfish 12\n")) == Secret("swordfish 12"));
    CHECK(read_secret_file(put(root, "swordfish", 0400)) == Secret("swordfish"));
    CHECK(read_secret_file(put(root, "two\n\n")) == Secret("two\n"));
    CHECK(read_secret_file(put(root, "0x00fFa5\n")) == Secret(std::string_view("\x00\xff\xa5", 3)));
    CHECK(read_secret_file(put(root, std::string(255, 'a'))).bytes().size() == 255);
    CHECK(read_secret_file(put(root, "0x" + std::string(510, 'a'))).bytes().size() == 255);
}

TEST_CASE("secret file: what is refused, in one line without the secret", "[user][chap]") {
    if (is_skipped()) return;
    const Fixture root;
    const std::string path = root.path() + "/secret";
    for (mode_t mode : {0640u, 0604u, 0644u, 0660u, 0700u | 1u, 0620u}) {
        CHECK(failure_of(put(root, "not-to-be-seen", mode))
                  .find("hawser: secret file is open to others: " + path + " (mode 0") == 0);
    }
    CHECK(failure_of(put(root, "")).find("hawser: secret file is of no use: ") == 0);
    CHECK(failure_of(put(root, "\n")).find("hawser: secret file is of no use: ") == 0);
    CHECK(failure_of(put(root, "0x")).find("hawser: secret file is of no use: ") == 0);
    CHECK(failure_of(put(root, std::string(256, 'a'))).find("hawser: secret file is of no") == 0);
    CHECK(failure_of(put(root, std::string(5000, 'a'))).find("hawser: secret file is of no") == 0);
    for (const char* text : {"0x123", "0x12g4", "0xnot-to-be-seen"}) {
        const std::string line = failure_of(put(root, text));
        CHECK(line.find("hawser: secret file is not hex: " + path) == 0);
        CHECK(line.find("to-be-seen") == std::string::npos);
    }
    REQUIRE(chown(put(root, "not-to-be-seen").c_str(), 65534, 0) == 0);
    CHECK(failure_of(path) == "hawser: secret file belongs to another than root: " + path +
                                  " (uid 65534): chown root it");
    CHECK(failure_of(root.path()).find("hawser: secret file is no plain file: ") == 0);
    CHECK(failure_of("/nowhere") ==
          "hawser: cannot read the secret file: /nowhere: No such file or directory");
}

TEST_CASE("credentials: what does not fit together", "[user][chap][rule-46]") {
    CHECK(problem_of({}).empty());
    CHECK(problem_of(credentials("joe", "swordfish")).empty());
    CHECK(problem_of(credentials("joe", "swordfish", "it", "haddock")).empty());
    CHECK(problem_of(credentials("joe", "swordfish", "", "haddock")).empty());
    CHECK(problem_of(credentials("", "swordfish")) == "CHAP without a name");
    CHECK(problem_of(credentials("joe", "")) == "CHAP without a secret");
    CHECK(problem_of(credentials("joe", "swordfish", "it")) ==
          "a CHAP name of the target without its secret");
    CHECK(problem_of(credentials("joe soap", "swordfish")) == "bad CHAP name");
    CHECK(problem_of(credentials(std::string(256, 'a'), "swordfish")) == "bad CHAP name");
    CHECK(problem_of(credentials("joe", std::string(256, 'a'))) == "CHAP secret too long");
    CHECK(problem_of(credentials("joe", "swordfish", "it", "swordfish")) ==
          "one CHAP secret for both directions");
}

TEST_CASE("credentials: a short secret is warned of", "[user][chap][rule-47]") {
    CHECK_FALSE(chap_warning(credentials("joe", "twelve-bytes")));
    CHECK_FALSE(chap_warning({}));
    CHECK(chap_warning(credentials("joe", "eleven-byte")));
    CHECK(chap_warning(credentials("joe", "twelve-bytes", "it", "eleven-byte")));
}

TEST_CASE("credentials: the line holds names and keys", "[user][chap]") {
    KeyValues values;
    add_chap_values({}, values);
    CHECK(values.empty());
    add_chap_values(credentials("joe", "not-to-be-seen"), values);
    CHECK(connect_line(values) == "connect chap_name=joe chap_key=hawser:chap");
    values.clear();
    add_chap_values(credentials("joe", "not-to-be-seen", "it", "not-to-be-seen-2"), values);
    CHECK(connect_line(values) ==
          "connect chap_name=joe chap_key=hawser:chap chap_name_in=it chap_key_in=hawser:chap-in");
}

TEST_CASE("connect: a secret by file or by key, not both", "[user][chap]") {
    const Fixture root;
    Places places;
    places.device = root.path() + "/none";
    const KeyValues values = {{"target", "iqn.a"},
                              {"portal", "10.0.0.1"},
                              {"initiator", "iqn.b"},
                              {"chap_name", "joe"},
                              {"chap_key", "user:one"}};
    CHECK_THROWS_WITH(run_connect(values, {"/nowhere", ""}, places),
                      Catch::StartsWith("hawser: two places for a secret: "));
    CHECK_THROWS_WITH(
        run_connect({{"target", "iqn.a"}, {"initiator", "iqn.b"}}, {"/nowhere", ""}, places),
        Catch::StartsWith("hawser: cannot read the secret file: /nowhere: "));
}
