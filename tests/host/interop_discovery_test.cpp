// SPDX-License-Identifier: GPL-2.0-or-later
// `hawser discover` against tgt and istgt: what they have is listed, and each way to fail has its
// own line.
#include "interop.hpp"
#include "process.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <algorithm>
#include <nlohmann/json.hpp>

using namespace hawser;
using namespace hawser::test;

namespace {

const qemu::TargetChap k_mutual{"node-7", "swordfish-0001", "storage", "haddock-00002"};

qemu::CommandResult discover(const std::vector<std::string>& more) {
    qemu::Arguments line{HAWSER_BUILD_DIR "/bin/hawser", "discover", "--initiator",
                         "iqn.2026-11.hawser:test"};
    line.insert(line.end(), more.begin(), more.end());
    return qemu::run(line, qemu::Seconds(60));
}

std::string portal_of(const Fixture& fixture) {
    return fmt::format("127.0.0.1:{}", fixture.target->port());
}

std::string secret_file(const Fixture& fixture, const char* name, const std::string& secret) {
    const auto path = fixture.directory / name;
    std::ofstream(path) << secret << "\n";
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    return path.string();
}

}  // namespace

TEST_CASE("discover: a target and its portal", "[interop][discovery]") {
    const MakeTarget make = GENERATE(MakeTarget{qemu::make_tgt}, MakeTarget{qemu::make_istgt});
    Fixture fixture(8, make);
    const std::string portal = portal_of(fixture);
    INFO(fixture.target->kind());
    const auto result = discover({portal});
    INFO(result.errors);
    REQUIRE(result.status == 0);
    CHECK(result.errors.empty());
    CHECK(result.output.find(fixture.target->name() + "  " + portal + "  1\n") !=
          std::string::npos);
    const auto json = nlohmann::json::parse(discover({"--json", portal}).output);
    REQUIRE(json["targets"].size() == 1);
    CHECK(json["targets"][0]["name"] == fixture.target->name());
    CHECK(json["targets"][0]["portals"][0]["portal"] == portal);
    CHECK(json["targets"][0]["portals"][0]["group"] == 1);
    SECTION("a dead portal beside it is named") {
        const auto both = discover({"127.0.0.1:1", portal, "--timeout", "3"});
        CHECK(both.status == 0);
        CHECK(both.errors.find("hawser: cannot connect: 127.0.0.1:1: ") == 0);
        CHECK(both.output == result.output);
    }
}

TEST_CASE("discover: a portal that is not there, or says nothing", "[interop][discovery]") {
    const auto refused = discover({"127.0.0.1:1"});
    CHECK(refused.status == 1);
    CHECK(refused.errors == "hawser: cannot connect: 127.0.0.1:1: Connection refused\n");
    CHECK(std::count(refused.errors.begin(), refused.errors.end(), '\n') == 1);
    const int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    REQUIRE(bind(silent, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(listen(silent, 1) == 0);
    REQUIRE(getsockname(silent, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    const std::string portal = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
    const auto mute = discover({portal, "--timeout", "1"});
    close(silent);
    CHECK(mute.status == 1);
    CHECK(mute.errors == "hawser: login refused: " + portal + ": no answer\n");
}

TEST_CASE("discover: CHAP in both directions", "[interop][discovery][chap]") {
    if (geteuid() != 0) {
        WARN("SKIPPED: a secret file is root's");
        return;
    }
    Fixture fixture(8, qemu::make_istgt, k_mutual);
    const std::string portal = portal_of(fixture);
    const std::string right = secret_file(fixture, "right", k_mutual.secret);
    const std::string right_in = secret_file(fixture, "right-in", k_mutual.secret_in);
    const std::string wrong = secret_file(fixture, "wrong", "swordfish-0002");
    const auto with = [&](const std::string& ours, const std::string& in) {
        return discover({portal, "--chap-name", "node-7", "--chap-secret-file", ours,
                         "--chap-name-in", "storage", "--chap-secret-file-in", in});
    };
    const auto good = with(right, right_in);
    INFO(good.errors);
    CHECK(good.status == 0);
    CHECK(good.output.find(fixture.target->name()) != std::string::npos);
    for (const auto& result : {discover({portal}), with(wrong, right_in), with(right, wrong)}) {
        CHECK(result.status == 1);
        CHECK(result.output.empty());
        UNSCOPED_INFO(result.errors);
        CHECK(result.errors.find("hawser: login refused: " + portal + ": ") == 0);
        CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
        CHECK(result.errors.find("swordfish") == std::string::npos);
    }
}
