// SPDX-License-Identifier: GPL-2.0-or-later
//
// CHAP, RFC 7143 12.1.3 and 9.2.1: the steps against a target played by hand, known answers of each
// algorithm, and each way in which a target can be wrong. Tags name the group of
// UNH-IOL's CHAP suite for initiators that a case belongs to.

#include "engine/chap.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "chap_digest.h"
#include "engine/login.hpp"

using namespace hawser;
using test::chap_digest;
using wire::LoginRequest;
using wire::LoginResponse;

namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint8_t k_stay = 0;
constexpr uint8_t k_leave = LoginResponse::k_transit | 1;
const std::string k_secret = "swordfish-of-the-initiator";
const std::string k_secret_in = "haddock-of-the-target";
const std::string k_mutual = "chap_name_in=storage chap_key_in=hawser:in ";

std::string hex(const Bytes& bytes) {
    std::string text = "0x";
    for (uint8_t byte : bytes)
        for (int digit : {byte >> 4, byte & 15}) text += "0123456789abcdef"[digit];
    return text;
}

// RFC 4648 4, by OpenSSL.
std::string base64(const Bytes& bytes) {
    std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                    static_cast<int>(bytes.size()));
    text.pop_back();
    return "0b" + text;
}

struct Scene {
    explicit Scene(const std::string& more = "", bool configured = true)
        : login(std::make_unique<Login>()) {
        std::string line = "target=iqn.a:disk initiator=iqn.a:node portal=10.0.0.1 " + more;
        if (configured) line += " chap_name=node-7 chap_key=hawser:out";
        char reason[HAWSER_REASON_BYTES] = {};
        const uint32_t error =
            hawser_options_parse(line.data(), static_cast<uint32_t>(line.size()), &options, reason);
        INFO(reason);
        REQUIRE(error == HAWSER_ERROR_NONE);
        order.leading = 1;
        login->begin(options, order);
    }

    // The next request must be there; its text as words.
    std::string request() {
        std::span<const uint8_t> text;
        REQUIRE(login->poll_request(header, text));
        std::string words(text.begin(), text.end());
        for (char& c : words)
            if (c == '\0') c = ' ';
        return words;
    }
    bool is_silent() {
        std::span<const uint8_t> text;
        return !login->poll_request(header, text);
    }

    uint32_t answer(uint8_t flags, std::string words, uint16_t tsih = 0) {
        LoginResponse response;
        response.flags = flags;
        response.tsih = tsih;
        for (char& c : words)
            if (c == ' ') c = '\0';
        Bytes text(words.begin(), words.end());
        if (!text.empty()) text.push_back(0);
        return login->handle_response(response, text);
    }

    // What the host does, once; the engine must have asked.
    uint32_t digest() {
        REQUIRE(login->poll_chap(asked));
        CHECK(login->wants() == HAWSER_WANT_CHAP);
        CHECK(is_silent());
        const auto answer = test::chap_answer(asked, k_secret, k_secret_in, random);
        return login->handle_chap(answer);
    }

    // Up to the target's challenge, which is taken or refused.
    uint32_t challenge(const std::string& words) {
        request();
        REQUIRE(answer(k_stay, "AuthMethod=CHAP") == HAWSER_ERROR_NONE);
        request();
        return answer(k_stay, words);
    }

    // Mutual, up to the target's proof: its challenge answered, ours sent.
    void prove(const std::string& words = "CHAP_A=5 CHAP_I=42 CHAP_C=0x01020304") {
        REQUIRE(challenge(words) == HAWSER_ERROR_NONE);
        REQUIRE(digest() == HAWSER_ERROR_NONE);
        sent = request();
    }
    // What the target that knows `secret` says to our challenge.
    Bytes proof(const std::string& secret, uint8_t algorithm = 5) const {
        const size_t length = chap_digest_bytes(algorithm);
        return chap_digest(algorithm, random[0], secret, {random.data() + 1, length});
    }

    hawser_options options = {};
    hawser_login_order order = {};
    std::unique_ptr<Login> login;
    LoginRequest header;
    hawser_chap_request asked = {};
    std::string sent;
    Bytes random = [] {
        Bytes bytes(HAWSER_CHAP_RANDOM_BYTES);
        for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(0xd0 + i);
        return bytes;
    }();
};

uint32_t after_challenge(const std::string& words) {
    return Scene().challenge(words);
}

uint32_t after_proof(const std::string& words, uint8_t flags = k_leave) {
    Scene scene(k_mutual);
    scene.prove();
    return scene.answer(flags, words);
}

}  // namespace

TEST_CASE("CHAP in one direction, step by step", "[RFC 7143 12.1.3][rule-44][unh-chap-1]") {
    Scene scene;
    CHECK(scene.request() ==
          "InitiatorName=iqn.a:node TargetName=iqn.a:disk SessionType=Normal AuthMethod=CHAP ");
    CHECK(scene.header.flags == 0);  // no T before everything is said
    REQUIRE(scene.answer(k_stay, "TargetPortalGroupTag=1 AuthMethod=CHAP") == HAWSER_ERROR_NONE);
    CHECK(scene.request() == "CHAP_A=8,7,6,5 ");
    CHECK(scene.header.flags == 0);
    REQUIRE(scene.answer(k_stay, "CHAP_A=5 CHAP_I=42 CHAP_C=0x01020304") == HAWSER_ERROR_NONE);
    REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
    CHECK(scene.asked.secret == HAWSER_CHAP_OURS);
    CHECK(scene.asked.identifier == 42);
    CHECK(scene.login->wants() == HAWSER_WANT_TRANSMIT);
    CHECK(scene.request() ==
          "CHAP_N=node-7 CHAP_R=" + hex(chap_digest(5, 42, k_secret, Bytes{1, 2, 3, 4})) + " ");
    CHECK(scene.header.flags == 0x81);
    REQUIRE(scene.answer(k_leave, "") == HAWSER_ERROR_NONE);
    CHECK(scene.login->state() == LoginState::Operational);
    CHECK(scene.request().substr(0, 13) == "HeaderDigest=");
    CHECK(scene.header.flags == 0x87);
}

TEST_CASE("known answers of the four algorithms", "[RFC 1994 4.1][rule-43]") {
    // printf '\x2aswordfish12\x01\x02\x03\x04' | openssl dgst -ALGORITHM
    const std::pair<uint8_t, const char*> answers[] = {
        {HAWSER_CHAP_MD5, "0x91e0aea1aafcb7770207dc1aec594d2f"},
        {HAWSER_CHAP_SHA1, "0x0f1c790539bbad3a66fbc8d303c875c094b3457a"},
        {HAWSER_CHAP_SHA256, "0x012e3a343770b5638499474955d01958f071a59b91e8c4991db15acd9ab146f3"},
        {HAWSER_CHAP_SHA3_256,
         "0xa992b9cccb7cdd153e72135661a479780032b90c65802d1f1539918e088168e3"},
    };
    for (const auto& [algorithm, expected] : answers) {
        Scene scene;
        REQUIRE(scene.challenge("CHAP_A=" + std::to_string(algorithm) +
                                " CHAP_I=42 CHAP_C=0x01020304") == HAWSER_ERROR_NONE);
        hawser_chap_request asked;
        REQUIRE(scene.login->poll_chap(asked));
        CHECK(asked.algorithm == algorithm);
        const auto answer = test::chap_answer(asked, "swordfish12", "", scene.random);
        CHECK(answer.digest_length == hawser_chap_digest_bytes(algorithm));
        REQUIRE(scene.login->handle_chap(answer) == HAWSER_ERROR_NONE);
        CHECK(scene.request() == std::string("CHAP_N=node-7 CHAP_R=") + expected + " ");
    }
    CHECK(hawser_chap_digest_bytes(4) == 0);
    CHECK(hawser_chap_digest_bytes(9) == 0);
}

TEST_CASE("algorithms are offered strongest first", "[RFC 7143 12.1.3][rule-43][unh-chap-1]") {
    const std::pair<const char*, const char*> offers[] = {
        {"", "CHAP_A=8,7,6,5 "},
        {"chap_algs=5,7", "CHAP_A=7,5 "},
        {"chap_algs=5", "CHAP_A=5 "},
    };
    for (const auto& [more, expected] : offers) {
        Scene scene(more);
        scene.request();
        REQUIRE(scene.answer(k_stay, "AuthMethod=CHAP") == HAWSER_ERROR_NONE);
        CHECK(scene.request() == expected);
    }
}

TEST_CASE("mutual CHAP, step by step", "[RFC 7143 12.1.3][rule-44][rule-45][unh-chap-5]") {
    for (uint8_t algorithm : {5, 6, 7, 8}) {
        Scene scene(k_mutual);
        scene.prove("CHAP_A=" + std::to_string(algorithm) + " CHAP_I=1 CHAP_C=0xff");
        const Bytes ours(scene.random.begin() + 1,
                         scene.random.begin() + 1 + chap_digest_bytes(algorithm));
        CHECK(scene.sent ==
              "CHAP_N=node-7 CHAP_R=" + hex(chap_digest(algorithm, 1, k_secret, Bytes{0xff})) +
                  " CHAP_I=208 CHAP_C=" + hex(ours) + " ");
        CHECK(scene.header.flags == 0x81);
        const Bytes proof = scene.proof(k_secret_in, algorithm);
        REQUIRE(scene.answer(k_leave, "CHAP_N=storage CHAP_R=" + hex(proof)) == HAWSER_ERROR_NONE);
        // Nothing of the next stage goes out before the proof is checked, both ways.
        REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
        CHECK(scene.asked.secret == HAWSER_CHAP_OURS);
        CHECK(scene.asked.identifier == 208);
        REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
        CHECK(scene.asked.secret == HAWSER_CHAP_TARGET);
        CHECK(scene.request().substr(0, 13) == "HeaderDigest=");
        CHECK(scene.header.flags == 0x87);
    }
}

TEST_CASE("a target may leave the security stage a round later", "[RFC 7143 6.3.2]") {
    Scene scene(k_mutual);
    scene.prove();
    const std::string proof = hex(scene.proof(k_secret_in));
    REQUIRE(scene.answer(k_stay, "CHAP_N=storage CHAP_R=" + proof) == HAWSER_ERROR_NONE);
    REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
    REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
    CHECK(scene.request().empty());
    CHECK(scene.header.flags == 0x81);
    REQUIRE(scene.answer(k_leave, "") == HAWSER_ERROR_NONE);
    CHECK(scene.login->state() == LoginState::Operational);
}

TEST_CASE("challenges of every allowed length, in hex and base64",
          "[RFC 7143 6.1][rule-44][unh-chap-3]") {
    for (size_t length : {1, 2, 3, 16, 255, 256, 1023, 1024}) {
        Bytes challenge(length);
        for (size_t i = 0; i < length; i++) challenge[i] = static_cast<uint8_t>(i * 7 + 1);
        for (bool in_hex : {true, false}) {
            const std::string value = in_hex ? hex(challenge) : base64(challenge);
            Scene scene;
            REQUIRE(scene.challenge("CHAP_A=7 CHAP_I=0x2A CHAP_C=" + value) == HAWSER_ERROR_NONE);
            REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
            CHECK(scene.request() ==
                  "CHAP_N=node-7 CHAP_R=" + hex(chap_digest(7, 42, k_secret, challenge)) + " ");
        }
    }
}

TEST_CASE("a target's proof in base64", "[RFC 7143 6.1][rule-44]") {
    Scene scene(k_mutual);
    scene.prove();
    const std::string proof = base64(scene.proof(k_secret_in));
    REQUIRE(scene.answer(k_leave, "CHAP_R=" + proof + " CHAP_N=storage") == HAWSER_ERROR_NONE);
    REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
    CHECK(scene.digest() == HAWSER_ERROR_NONE);
}

TEST_CASE("secrets of any byte and of 128 bits and more", "[RFC 7143 9.2.1][rule-47]") {
    for (size_t length : {1u, 12u, 16u, unsigned{HAWSER_CHAP_SECRET_BYTES}}) {
        std::string secret(length, '\0');
        for (size_t i = 0; i < length; i++) secret[i] = static_cast<char>(i * 11);
        Scene scene;
        REQUIRE(scene.challenge("CHAP_A=5 CHAP_I=0 CHAP_C=0x00") == HAWSER_ERROR_NONE);
        hawser_chap_request asked;
        REQUIRE(scene.login->poll_chap(asked));
        REQUIRE(scene.login->handle_chap(test::chap_answer(asked, secret, "", scene.random)) ==
                HAWSER_ERROR_NONE);
        CHECK(scene.request() ==
              "CHAP_N=node-7 CHAP_R=" + hex(chap_digest(5, 0, secret, Bytes{0})) + " ");
    }
}

TEST_CASE("a bad CHAP_A", "[RFC 7143 12.1.3][rule-43][unh-chap-1]") {
    const std::string rest = " CHAP_I=1 CHAP_C=0x0102";
    for (const char* value : {"4", "9", "0", "5,7", "Reject", "", "MD5", "-5", "261", "4294967301"})
        CHECK(after_challenge("CHAP_A=" + std::string(value) + rest) ==
              HAWSER_ERROR_CHAP_ALGORITHM);
    CHECK(after_challenge("CHAP_I=1 CHAP_C=0x0102") == HAWSER_ERROR_CHAP_ALGORITHM);
    CHECK(after_challenge("") == HAWSER_ERROR_CHAP_ALGORITHM);
    Scene scene("chap_algs=5");
    CHECK(scene.challenge("CHAP_A=7" + rest) == HAWSER_ERROR_CHAP_ALGORITHM);
}

TEST_CASE("a bad CHAP_I", "[RFC 1994 4.1][rule-44][unh-chap-2]") {
    for (const char* value : {"0", "255", "0x0", "0xff"})
        CHECK(after_challenge("CHAP_A=5 CHAP_C=0x01 CHAP_I=" + std::string(value)) ==
              HAWSER_ERROR_NONE);
    for (const char* value : {"256", "-1", "", "a", "0x100", "4294967296", "0x", "1.0"})
        CHECK(after_challenge("CHAP_A=5 CHAP_C=0x01 CHAP_I=" + std::string(value)) ==
              HAWSER_ERROR_CHAP_IDENTIFIER);
    CHECK(after_challenge("CHAP_A=5 CHAP_C=0x01") == HAWSER_ERROR_CHAP_IDENTIFIER);
}

TEST_CASE("a bad CHAP_C", "[RFC 7143 12.1.3][rule-44][unh-chap-3]") {
    const Bytes long_one(1025, 7);
    for (const std::string& value :
         {std::string(), std::string("0x"), std::string("0b"), std::string("0x123"),
          std::string("0x0g"), std::string("abcd"), std::string("0bA==="), std::string("1234"),
          hex(long_one), base64(long_one)})
        CHECK(after_challenge("CHAP_A=5 CHAP_I=1 CHAP_C=" + value) == HAWSER_ERROR_CHAP_CHALLENGE);
    CHECK(after_challenge("CHAP_A=5 CHAP_I=1") == HAWSER_ERROR_CHAP_CHALLENGE);
}

TEST_CASE("a bad CHAP_N", "[RFC 7143 12.1.3][rule-44][unh-chap-4]") {
    const std::string proof = " CHAP_R=0x" + std::string(32, '0');
    for (const char* name : {"", "Storage", "storage2", "node-7"})
        CHECK(after_proof("CHAP_N=" + std::string(name) + proof) == HAWSER_ERROR_CHAP_NAME);
    CHECK(after_proof(proof.substr(1)) == HAWSER_ERROR_CHAP_NAME);
    // Without a configured name any will do: the secret is what counts.
    Scene scene("chap_key_in=hawser:in");
    scene.prove();
    REQUIRE(scene.answer(k_leave, "CHAP_N=whoever CHAP_R=" + hex(scene.proof(k_secret_in))) ==
            HAWSER_ERROR_NONE);
    REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
    CHECK(scene.digest() == HAWSER_ERROR_NONE);
}

TEST_CASE("a bad CHAP_R", "[RFC 7143 12.1.3][rule-44][unh-chap-5]") {
    for (const std::string& value : {std::string(), std::string("0x"), "0x" + std::string(30, '0'),
                                     "0x" + std::string(34, '0'), "0x" + std::string(64, '0'),
                                     "0x" + std::string(66, '0'), std::string("secret")})
        CHECK(after_proof("CHAP_N=storage CHAP_R=" + value) == HAWSER_ERROR_CHAP_RESPONSE);
    CHECK(after_proof("CHAP_N=storage") == HAWSER_ERROR_CHAP_RESPONSE);
}

TEST_CASE("a target that does not know its secret", "[RFC 7143 12.1.3][rule-48][unh-chap-5]") {
    Scene scene(k_mutual);
    scene.prove();
    REQUIRE(scene.answer(k_leave, "CHAP_N=storage CHAP_R=" + hex(scene.proof("guessed"))) ==
            HAWSER_ERROR_NONE);
    REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
    CHECK(scene.digest() == HAWSER_ERROR_CHAP_TARGET_FAILED);
    CHECK(scene.login->state() == LoginState::Failed);
    CHECK(scene.is_silent());
    // It may not leave the stage without a proof either.
    CHECK(after_proof("") == HAWSER_ERROR_CHAP_TARGET_FAILED);
    CHECK(after_proof("", k_stay) == HAWSER_ERROR_CHAP_NAME);
}

TEST_CASE("a reflected response", "[RFC 7143 9.2.1][rule-46][unh-chap-3]") {
    // What somebody with our own secret says to our challenge: whether it was reflected by another
    // connection or the same secret is configured both ways, it proves nothing.
    Scene scene(k_mutual);
    scene.prove();
    REQUIRE(scene.answer(k_leave, "CHAP_N=storage CHAP_R=" + hex(scene.proof(k_secret))) ==
            HAWSER_ERROR_NONE);
    CHECK(scene.digest() == HAWSER_ERROR_CHAP_REFLECTION);
    CHECK(scene.login->state() == LoginState::Failed);
}

TEST_CASE("the target's challenge is never ours", "[RFC 7143 9.2.1][rule-45][unh-chap-3]") {
    Scene scene(k_mutual);
    const Bytes theirs(scene.random.begin() + 1, scene.random.begin() + 17);
    REQUIRE(scene.challenge("CHAP_A=5 CHAP_I=1 CHAP_C=" + hex(theirs)) == HAWSER_ERROR_NONE);
    CHECK(scene.digest() == HAWSER_ERROR_CHAP_REFLECTION);
    CHECK(scene.is_silent());
    // One that only begins like ours is another one.
    Scene other(k_mutual);
    const Bytes longer(other.random.begin() + 1, other.random.begin() + 18);
    REQUIRE(other.challenge("CHAP_A=5 CHAP_I=1 CHAP_C=" + hex(longer)) == HAWSER_ERROR_NONE);
    CHECK(other.digest() == HAWSER_ERROR_NONE);
}

TEST_CASE("CHAP is configured, and the target wants none of it", "[RFC 7143 12.1][unh-login-22]") {
    for (const char* value : {"None", "Reject", "KRB5", "SRP", "Irrelevant"}) {
        Scene scene;
        scene.request();
        CHECK(scene.answer(k_stay, "AuthMethod=" + std::string(value)) ==
              HAWSER_ERROR_CHAP_REFUSED);
    }
    Scene scene;
    scene.request();
    CHECK(scene.answer(k_stay, "AuthMethod=chap") == HAWSER_ERROR_LOGIN_BAD_VALUE);
    // To leave the stage it would have to be asked.
    Scene hasty;
    hasty.request();
    CHECK(hasty.answer(k_leave, "AuthMethod=CHAP") == HAWSER_ERROR_LOGIN_BAD_STAGE);
}

TEST_CASE("CHAP's keys where they are not due", "[RFC 7143 12.1.3][rule-44][rule-42]") {
    const std::string challenge = "CHAP_A=5 CHAP_I=1 CHAP_C=0x0102";
    for (const std::string& words :
         {challenge + " CHAP_N=storage", challenge + " CHAP_R=0x01", challenge + " CHAP_X=1",
          challenge + " CHAP_=1", challenge + " CHAP_AI=1"})
        CHECK(after_challenge(words) == HAWSER_ERROR_LOGIN_BAD_STAGE);
    SECTION("with the method") {
        Scene scene;
        scene.request();
        CHECK(scene.answer(k_stay, "AuthMethod=CHAP " + challenge) == HAWSER_ERROR_LOGIN_BAD_STAGE);
    }
    SECTION("a proof that nobody asked for") {
        Scene scene;
        REQUIRE(scene.challenge(challenge) == HAWSER_ERROR_NONE);
        REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
        scene.request();
        CHECK(scene.answer(k_leave, "CHAP_N=storage CHAP_R=0x0102") ==
              HAWSER_ERROR_LOGIN_BAD_STAGE);
    }
    SECTION("a second challenge") {
        CHECK(after_proof(challenge, k_stay) == HAWSER_ERROR_LOGIN_BAD_STAGE);
    }
    SECTION("in the operational stage") {
        Scene scene;
        REQUIRE(scene.challenge(challenge) == HAWSER_ERROR_NONE);
        REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
        scene.request();
        REQUIRE(scene.answer(k_leave, "") == HAWSER_ERROR_NONE);
        scene.request();
        CHECK(scene.answer(1 << 2, "CHAP_A=5") == HAWSER_ERROR_LOGIN_BAD_STAGE);
    }
    SECTION("when none is configured") {
        Scene scene("", false);
        scene.request();
        CHECK(scene.answer(k_stay, "AuthMethod=None " + challenge) ==
              HAWSER_ERROR_LOGIN_AUTHENTICATION_REQUIRED);
    }
    SECTION("twice") {
        CHECK(after_challenge(challenge + " CHAP_I=2") == HAWSER_ERROR_LOGIN_DUPLICATE_KEY);
    }
}

TEST_CASE("a response while the host computes", "[RFC 7143 6.3][rule-33]") {
    Scene scene;
    REQUIRE(scene.challenge("CHAP_A=5 CHAP_I=1 CHAP_C=0x0102") == HAWSER_ERROR_NONE);
    CHECK(scene.answer(k_stay, "") == HAWSER_ERROR_LOGIN_UNEXPECTED_PDU);
}

TEST_CASE("a host without the secret, or with another algorithm's digest") {
    for (uint8_t length : {0, 15, 17, 20, 32}) {
        Scene scene;
        REQUIRE(scene.challenge("CHAP_A=5 CHAP_I=1 CHAP_C=0x0102") == HAWSER_ERROR_NONE);
        hawser_chap_answer answer = {};
        answer.digest_length = length;
        CHECK(scene.login->handle_chap(answer) == HAWSER_ERROR_CHAP_NO_SECRET);
    }
    Scene scene;
    hawser_chap_answer answer = {};
    CHECK(scene.login->handle_chap(answer) == HAWSER_ERROR_NONE);  // nothing was asked
    hawser_chap_request asked;
    CHECK_FALSE(scene.login->poll_chap(asked));
}

TEST_CASE("a target that means SHA1 by 7 is asked again without it", "[tgt]") {
    const std::string challenge = "CHAP_A=7 CHAP_I=1 CHAP_C=0x0102";
    const auto refused = [&](Scene& scene, uint16_t status) {
        REQUIRE(scene.challenge(challenge) == HAWSER_ERROR_NONE);
        REQUIRE(scene.digest() == HAWSER_ERROR_NONE);
        scene.request();
        LoginResponse response;
        response.status_class = static_cast<uint8_t>(status >> 8);
        response.status_detail = static_cast<uint8_t>(status);
        return scene.login->handle_response(response, {});
    };
    SECTION("once") {
        Scene scene;
        CHECK(refused(scene, 0x0200) == HAWSER_ERROR_LOGIN_CHAP_ALGORITHM);
        CHECK_FALSE(hawser_error_is_final(HAWSER_ERROR_LOGIN_CHAP_ALGORITHM));
        scene.login->begin(scene.options, scene.order);
        scene.request();
        REQUIRE(scene.answer(k_stay, "AuthMethod=CHAP") == HAWSER_ERROR_NONE);
        CHECK(scene.request() == "CHAP_A=8,6,5 ");
        CHECK(scene.answer(k_stay, challenge) == HAWSER_ERROR_CHAP_ALGORITHM);
    }
    SECTION("not when the secret is wrong") {
        Scene scene;
        CHECK(refused(scene, 0x0201) == HAWSER_ERROR_LOGIN_AUTHENTICATION_FAILED);
    }
    SECTION("not when there is no other") {
        Scene scene("chap_algs=7");
        CHECK(refused(scene, 0x0200) == HAWSER_ERROR_LOGIN_INITIATOR_ERROR);
    }
}

TEST_CASE("every authentication failure is final") {
    for (uint32_t error = HAWSER_ERROR_CHAP_REFUSED; error <= HAWSER_ERROR_CHAP_NO_SECRET; error++)
        CHECK(hawser_error_is_final(error));
}
