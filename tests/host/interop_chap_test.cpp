// SPDX-License-Identifier: GPL-2.0-or-later
// CHAP against tgt and istgt: one way and mutual, on every connection, and what becomes of a wrong
// secret. tshark reads all of it: no PDU of ours is malformed, no secret is on the wire.
#include "capture.h"
#include "interop.hpp"

#include <iterator>

using namespace hawser;
using namespace hawser::test;

namespace {

const std::string k_secret = "swordfish-0001";
const std::string k_secret_in = "haddock-00002";
const qemu::TargetChap k_one_way{"node-7", k_secret, "", ""};
const qemu::TargetChap k_mutual{"node-7", k_secret, "storage", k_secret_in};
const std::string k_ours = "chap_name=node-7 chap_key=out ";
const std::string k_both = k_ours + "chap_name_in=storage chap_key_in=in ";

struct Kind {
    const char* name;
    MakeTarget make;
};
const Kind k_lio{"LIO", qemu::make_lio};
const Kind k_kinds[] = {{"tgt", qemu::make_tgt}, {"istgt", qemu::make_istgt}};

struct Scene {
    Scene(const Kind& kind, const qemu::TargetChap& chap, unsigned connections,
          const std::string& options)
        : fixture(8, kind.make, chap),
          tap(fixture.target->port()),
          host(fixture.line(connections, options)) {
        host.keep_secret("out", k_secret);
        host.keep_secret("in", k_secret_in);
        host.attach(tap);
    }

    // What was on the wire so far; a secret in it fails the test.
    qemu::Capture capture() {
        const auto pcap = fixture.directory / "session.pcap";
        tap.save(pcap);
        std::ifstream file(pcap, std::ios::binary);
        const std::string bytes(std::istreambuf_iterator<char>(file), {});
        CHECK(bytes.find(k_secret) == std::string::npos);
        CHECK(bytes.find(k_secret_in) == std::string::npos);
        qemu::Capture result;
        qemu::read_capture(pcap, 0, fixture.target->port(), 0, result);
        for (const auto& line : result.malformed) UNSCOPED_INFO(line);
        CHECK(result.malformed.empty());
        return result;
    }
    uint64_t lun() const { return fixture.target->lun(); }

    Fixture fixture;
    WireTap tap;
    PosixHost host;
};

void check_session(const Kind& kind, const qemu::TargetChap& chap, const std::string& options,
                   const std::string& algorithm = "5") {
    const bool mutual = !chap.secret_in.empty();
    const unsigned connections = 3;
    Scene scene(kind, chap, connections, options);
    const bool logged_in = scene.host.login(10);
    INFO(scene.host.story());
    REQUIRE(logged_in);
    check_round_trips(scene.host, scene.lun());
    scene.host.break_connection(1);
    REQUIRE(scene.host.run_until([&] { return scene.host.snapshot().reinstatements == 1; }, 10));
    REQUIRE(scene.host.run_until(
        [&] { return scene.host.snapshot().state == HAWSER_SESSION_LOGGED_IN; }, 20));
    REQUIRE(scene.host.run_until([&] { return scene.host.settled(); }, 20));
    check_round_trips(scene.host, scene.lun());
    scene.host.logout();
    REQUIRE(scene.host.run_until([&] { return scene.host.ended(); }, 10));
    const auto capture = scene.capture();
    CHECK(capture.logged_in().connections.size() == 2 * connections);
    for (const auto& connection : capture.logged_in().connections) {
        CHECK(connection.initiator_keys.at("AuthMethod") == "CHAP");
        // tgt: see Chap::avoid_algorithm().
        CHECK((connection.initiator_keys.at("CHAP_A") == "8,7,6,5" ||
               connection.initiator_keys.at("CHAP_A") == "8,6,5"));
        CHECK(connection.target_keys.at("CHAP_A") == algorithm);
        CHECK(connection.initiator_keys.at("CHAP_N") == "node-7");
        CHECK(connection.initiator_keys.count("CHAP_C") == mutual);
        CHECK(connection.target_keys.count("CHAP_R") == mutual);
    }
}

}  // namespace

TEST_CASE("CHAP one way: every connection, over a reinstatement", "[interop][chap][rule-43]") {
    const Kind kind = GENERATE(k_kinds[0], k_kinds[1]);
    INFO(kind.name);
    check_session(kind, k_one_way, k_ours);
}

TEST_CASE("mutual CHAP: every connection, over a reinstatement", "[interop][chap][rule-44]") {
    const Kind kind = GENERATE(k_kinds[0], k_kinds[1]);
    INFO(kind.name);
    check_session(kind, k_mutual, k_both);
}

// LIO knows all four, and takes the first: SHA3-256. In a machine of its own.
TEST_CASE("LIO: mutual CHAP by SHA3-256", "[interop][chap][lio][rule-43]") {
    check_session(k_lio, k_mutual, k_both, "8");
}

TEST_CASE("a wrong secret of ours ends the first login with one attempt", "[interop][chap]") {
    const Kind kind = GENERATE(k_kinds[0], k_kinds[1]);
    INFO(kind.name);
    Scene scene(kind, k_one_way, 4, k_ours);
    scene.host.keep_secret("out", "swordfish-0002");
    CHECK_FALSE(scene.host.login(20));
    INFO(scene.host.story());
    CHECK(scene.host.ended());
    CHECK(scene.host.end_error() == HAWSER_ERROR_LOGIN_AUTHENTICATION_FAILED);
    CHECK(scene.capture().connections.size() <= 5);  // tgt: each connection learns it once
}

TEST_CASE("a wrong secret of the target's ends it too", "[interop][chap][rule-48]") {
    const Kind kind = GENERATE(k_kinds[0], k_kinds[1]);
    INFO(kind.name);
    Scene scene(kind, k_mutual, 4, k_both);
    scene.host.keep_secret("in", "another-000002");
    CHECK_FALSE(scene.host.login(20));
    INFO(scene.host.story());
    CHECK(scene.host.end_error() == HAWSER_ERROR_CHAP_TARGET_FAILED);
    CHECK(scene.capture().connections.size() <= 5);
}

TEST_CASE("a target without accounts is not taken when CHAP is configured", "[interop][chap]") {
    const Kind kind = GENERATE(k_kinds[0], k_kinds[1]);
    INFO(kind.name);
    Scene scene(kind, {}, 2, k_ours);
    CHECK_FALSE(scene.host.login(20));
    INFO(scene.host.story());
    CHECK(scene.host.ended());
    CHECK(scene.capture().connections.size() == 1);
}

TEST_CASE("a target that demands CHAP which is not configured", "[interop][chap]") {
    const Kind kind = GENERATE(k_kinds[0], k_kinds[1]);
    INFO(kind.name);
    Scene scene(kind, k_one_way, 2, "");
    CHECK_FALSE(scene.host.login(20));
    INFO(scene.host.story());
    CHECK(scene.host.ended());
    INFO(hawser_error_words(scene.host.end_error()));
    CHECK(hawser_error_is_final(scene.host.end_error()));
    CHECK(scene.capture().connections.size() == 1);
}
