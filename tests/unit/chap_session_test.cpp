// SPDX-License-Identifier: GPL-2.0-or-later
//
// CHAP in a whole session: on every connection, over a reinstatement, and what a failure leads to:
// the end at the first login, patience later, never a storm.

#include "host_actions.h"

using namespace hawser;
using namespace hawser::test;

namespace {

constexpr const char* k_one_way = "chap_name=node-7 chap_key=hawser:out";
constexpr const char* k_both =
    "chap_name=node-7 chap_key=hawser:out chap_name_in=storage chap_key_in=hawser:in";

Bytes binary_of(const std::string& value) {
    Bytes bytes(1024);
    const auto length = wire::parse_binary(value, bytes);
    REQUIRE(length);
    bytes.resize(*length);
    return bytes;
}

std::string hex(const Bytes& bytes) {
    std::string text = "0x";
    for (uint8_t byte : bytes)
        for (int digit : {byte >> 4, byte & 15}) text += "0123456789abcdef"[digit];
    return text;
}

// The security stage of a target that knows both secrets.
struct ChapTarget {
    std::string secret = "swordfish-of-the-initiator";
    std::string secret_in = "haddock-of-the-target";
    uint8_t algorithm = HAWSER_CHAP_SHA256;
    std::map<const Peer*, Bytes> challenges;
    uint8_t fresh = 0;
    uint32_t attempts = 0;   // CHAP_R that came
    uint32_t successes = 0;  // that were right

    bool operator()(Peer& peer, const Pdu& pdu) {
        const auto& request = pdu.as<wire::LoginRequest>();
        if (pdu.kind() != wire::Opcode::LoginRequest || (request.flags >> 2 & 3) != 0) return false;
        std::memcpy(peer.isid, request.isid, 6);
        std::map<std::string, std::string> said;
        wire::TextReader reader(pdu.data);
        while (auto pair = reader.next()) said[std::string(pair->key)] = pair->value;
        if (said.count("AuthMethod")) {
            peer.send_login(0, "TargetPortalGroupTag=1 AuthMethod=CHAP");
        } else if (said.count("CHAP_A")) {
            const Bytes& challenge = challenges[&peer] = {1, 2, 3, 4, 5, 6, 7, ++fresh};
            peer.send_login(
                0, "CHAP_A=" + std::to_string(algorithm) + " CHAP_I=9 CHAP_C=" + hex(challenge));
        } else {
            judge(peer, said);
        }
        return true;
    }

    void judge(Peer& peer, std::map<std::string, std::string>& said) {
        attempts++;
        if (binary_of(said["CHAP_R"]) != chap_digest(algorithm, 9, secret, challenges[&peer]))
            return peer.send_login(0, "", 0x0201);
        successes++;
        if (!said.count("CHAP_C")) return peer.send_login(0x81, "");
        const auto identifier = static_cast<uint8_t>(std::stoi(said["CHAP_I"]));
        const auto proof = chap_digest(algorithm, identifier, secret_in, binary_of(said["CHAP_C"]));
        peer.send_login(0x81, "CHAP_N=storage CHAP_R=" + hex(proof));
    }
};

struct Scene {
    explicit Scene(const std::string& more, uint32_t connections = 1) : host(more, connections) {
        host.target.script = std::ref(target);
        host.chap_secret = target.secret;
        host.chap_secret_in = target.secret_in;
    }
    uint32_t connects() const {
        uint32_t count = 0;
        for (const auto& side : host.sides) count += side.connects;
        return count;
    }
    uint32_t end_error() const {
        for (const auto& order : host.orders)
            if (order.kind == HAWSER_ORDER_ENDED) return order.error;
        return HAWSER_ERROR_NONE;
    }
    ChapTarget target;
    Host host;
};

}  // namespace

TEST_CASE("every connection authenticates, at first and over a reinstatement",
          "[RFC 7143 12.1.3][rule-43][rule-44]") {
    for (const char* options : {k_one_way, k_both}) {
        for (uint8_t algorithm : {5, 6, 7, 8}) {
            Scene scene(options, 3);
            scene.target.algorithm = algorithm;
            scene.host.start();
            REQUIRE(logged_in(scene.host) == 3);
            CHECK(scene.target.successes == 3);
            scene.host.cut(1);
            scene.host.pass(20000);
            REQUIRE(logged_in(scene.host) == 3);
            CHECK(scene.target.successes == 6);
            CHECK(scene.target.attempts == 6);
        }
    }
}

TEST_CASE("a wrong secret at the first login ends it at once", "[RFC 7143 11.13.5][rule-41]") {
    Scene scene(k_one_way, 4);
    scene.host.chap_secret = "wrong";
    scene.host.start();
    scene.host.pass(120000);
    CHECK(scene.end_error() == HAWSER_ERROR_LOGIN_AUTHENTICATION_FAILED);
    CHECK(scene.connects() == 1);
    CHECK(scene.target.attempts == 1);
}

TEST_CASE("a target that fails its authentication is left at once, before any operational key",
          "[RFC 7143 12.1.3][rule-48]") {
    const std::pair<const char*, uint32_t> wrong[] = {
        {"guessed", HAWSER_ERROR_CHAP_TARGET_FAILED},
        {"swordfish-of-the-initiator", HAWSER_ERROR_CHAP_REFLECTION},
    };
    for (const auto& [secret_in, error] : wrong) {
        Scene scene(k_both);
        scene.target.secret_in = secret_in;
        scene.host.start();
        scene.host.pass(120000);
        CHECK(scene.end_error() == error);
        CHECK(scene.connects() == 1);
        for (const Pdu& pdu : scene.host.target.peers[0].heard)
            CHECK((pdu.as<wire::LoginRequest>().flags >> 2 & 3) == 0);
    }
}

TEST_CASE("a host without the secret says so, and once") {
    Scene scene(k_one_way);
    scene.host.chap_secret = "";
    scene.host.start();
    scene.host.pass(120000);
    CHECK(scene.end_error() == HAWSER_ERROR_CHAP_NO_SECRET);
    CHECK(scene.connects() == 1);
}

TEST_CASE("a session that ran waits longer and longer for a secret that is refused",
          "[RFC 7143 11.13.5]") {
    Scene scene(std::string(k_one_way) + " root=yes", 2);
    scene.host.start();
    REQUIRE(logged_in(scene.host) == 2);
    const std::string right = scene.target.secret;
    scene.target.secret = "changed at the target";
    const uint32_t before = scene.target.attempts;
    scene.host.cut(0);
    scene.host.pass(600000);
    CHECK(scene.host.count_orders(HAWSER_ORDER_ENDED) == 0);
    const uint32_t attempts = scene.target.attempts - before;
    CHECK(attempts >= 10);   // it does not give up the root disk
    CHECK(attempts <= 200);  // in ten minutes
    scene.target.secret = right;
    scene.host.pass(30000);
    CHECK(logged_in(scene.host) == 2);
}

TEST_CASE("a further connection that is refused does not harm the others") {
    Scene scene(std::string(k_one_way) + " root=yes", 2);
    const ChapTarget& target = scene.target;
    scene.host.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (target.successes == 1) scene.target.secret = "another one";
        return scene.target(peer, pdu);
    };
    scene.host.start();
    scene.host.pass(600000);
    CHECK(logged_in(scene.host) == 1);
    CHECK(scene.host.snapshot().reinstatements == 0);
    CHECK(target.attempts <= 100);
}
