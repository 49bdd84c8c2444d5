// SPDX-License-Identifier: GPL-2.0-or-later
//
// The Login Phase against a target played by hand: stages, bits, text, statuses, and each way in
// which a target can be wrong.

#include "engine/login.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

using namespace hawser;
using wire::LoginRequest;
using wire::LoginResponse;

namespace {

constexpr uint8_t k_t = LoginResponse::k_transit;
constexpr uint8_t k_c = LoginResponse::k_continue;
constexpr uint8_t k_security_to_operational = k_t | 0 << 2 | 1;
constexpr uint8_t k_operational_to_full = k_t | 1 << 2 | 3;
constexpr uint8_t k_operational = 1 << 2;

// "A=1 B=2" as pairs. A value may hold no space.
std::string text_of(std::string words) {
    if (words.empty()) return words;
    for (char& c : words)
        if (c == ' ') c = '\0';
    return words + '\0';
}

std::string words_of(std::span<const uint8_t> text) {
    std::string words(text.begin(), text.end());
    for (char& c : words)
        if (c == '\0') c = ' ';
    return words;
}

struct Scene {
    explicit Scene(bool leading = true) : login(std::make_unique<Login>()) {
        const std::string line =
            "target=iqn.a:disk initiator=iqn.a:node alias=node-7 portal=10.0.0.1 connections=4";
        char reason[HAWSER_REASON_BYTES];
        REQUIRE(hawser_options_parse(line.data(), static_cast<uint32_t>(line.size()), &options,
                                     reason) == HAWSER_ERROR_NONE);
        const uint8_t isid[6] = {0x80, 1, 2, 3, 0, 1};
        std::memcpy(order.isid, isid, 6);
        order.leading = leading;
        order.cid = leading ? 0 : 2;
        order.tsih = leading ? 0 : 0x1234;
        order.target_portal_group_tag = 7;
        order.session_keys = options.offer;
        order.session_keys.first_burst_length = 4096;
        login->begin(options, order);
    }

    // The next request must be there; its text as words.
    std::string request() {
        std::span<const uint8_t> text;
        REQUIRE(login->poll_request(header, text));
        CHECK(header.data_segment_length.get() == text.size());
        std::span<const uint8_t> none;
        LoginRequest unused;
        CHECK_FALSE(login->poll_request(unused, none));
        return words_of(text);
    }

    LoginResponse response(uint8_t flags) const {
        LoginResponse answer;
        answer.flags = flags;
        std::memcpy(answer.isid, order.isid, 6);
        answer.tsih = order.tsih;
        if ((flags & (k_t | 3)) == (k_t | 3)) answer.tsih = leading_tsih();
        return answer;
    }

    uint16_t leading_tsih() const { return order.leading ? uint16_t{0x4321} : order.tsih; }

    uint32_t answer(const LoginResponse& header, const std::string& text) {
        // An exact copy on the heap, so that a read beyond it is seen.
        std::vector<uint8_t> copy(text.begin(), text.end());
        return login->handle_response(header, copy);
    }
    uint32_t answer(uint8_t flags, const std::string& words) {
        return answer(response(flags), text_of(words));
    }

    // Through the security stage, with the operational request taken.
    std::string operational(const std::string& words = "TargetPortalGroupTag=7 AuthMethod=None") {
        request();
        REQUIRE(answer(k_security_to_operational, words) == HAWSER_ERROR_NONE);
        return request();
    }

    hawser_options options = {};
    hawser_login_order order = {};
    std::unique_ptr<Login> login;
    LoginRequest header;
};

const std::string k_usual_answers =
    "HeaderDigest=None DataDigest=None MaxConnections=4 InitialR2T=No ImmediateData=Yes "
    "MaxRecvDataSegmentLength=65536 MaxBurstLength=262144 FirstBurstLength=65536 "
    "DefaultTime2Wait=2 DefaultTime2Retain=20 MaxOutstandingR2T=1 DataPDUInOrder=Yes "
    "DataSequenceInOrder=Yes ErrorRecoveryLevel=0";

}  // namespace

TEST_CASE("the first request carries the names and asks for the operational stage",
          "[RFC 7143 6.3][rule-34][rule-35][rule-40]") {
    Scene scene;
    CHECK(scene.request() ==
          "InitiatorName=iqn.a:node InitiatorAlias=node-7 TargetName=iqn.a:disk "
          "SessionType=Normal AuthMethod=None ");
    CHECK(scene.header.opcode == 0x43);  // immediate, 11.12
    CHECK(scene.header.flags == 0x81);
    CHECK(scene.header.version_max == 0);
    CHECK(scene.header.version_min == 0);
    CHECK(scene.header.tsih.get() == 0);
    CHECK(scene.header.cid.get() == 0);
    CHECK(std::memcmp(scene.header.isid, scene.order.isid, 6) == 0);
}

TEST_CASE("a leading login reaches the full feature phase", "[RFC 7143 6.3]") {
    Scene scene;
    std::string keys = scene.operational();
    CHECK(keys.find("MaxConnections=4 ") != std::string::npos);
    CHECK(keys.find("InitiatorName") == std::string::npos);
    CHECK(scene.header.flags == 0x87);
    REQUIRE(scene.answer(k_operational_to_full, k_usual_answers) == HAWSER_ERROR_NONE);
    CHECK(scene.login->done());
    CHECK(scene.login->tsih() == 0x4321);
    CHECK(scene.login->target_portal_group_tag() == 7);
    CHECK(scene.login->keys().max_connections == 4);
    CHECK(scene.login->keys().default_time2wait_s == 2);
    CHECK(scene.login->keys().max_xmit_data_segment_length == 65536);
    std::span<const uint8_t> text;
    CHECK_FALSE(scene.login->poll_request(scene.header, text));
}

TEST_CASE("a further login keeps to its connection's keys",
          "[RFC 7143 11.12.6][rule-34][rule-40]") {
    Scene scene(false);
    CHECK(scene.request() == "InitiatorName=iqn.a:node TargetName=iqn.a:disk AuthMethod=None ");
    CHECK(scene.header.tsih.get() == 0x1234);
    CHECK(scene.header.cid.get() == 2);
    REQUIRE(scene.answer(k_security_to_operational, "TargetPortalGroupTag=7 AuthMethod=None") ==
            HAWSER_ERROR_NONE);
    CHECK(scene.request() == "HeaderDigest=None DataDigest=None MaxRecvDataSegmentLength=262144 ");
    REQUIRE(scene.answer(k_operational_to_full,
                         "HeaderDigest=None DataDigest=None MaxRecvDataSegmentLength=8192") ==
            HAWSER_ERROR_NONE);
    CHECK(scene.login->done());
    CHECK(scene.login->tsih() == 0x1234);
    CHECK(scene.login->keys().first_burst_length == 4096);
    CHECK(scene.login->keys().max_xmit_data_segment_length == 8192);
}

TEST_CASE("tgt's further connection: proposals, and one more round", "[RFC 7143 6.3.3]") {
    Scene scene(false);
    scene.operational();
    REQUIRE(scene.answer(k_operational,
                         "HeaderDigest=None DataDigest=None "
                         "MaxRecvDataSegmentLength=8192 MaxConnections=8") == HAWSER_ERROR_NONE);
    CHECK_FALSE(scene.login->done());
    CHECK(scene.request() == "MaxConnections=4 ");
    CHECK(scene.header.flags == 0x87);
    REQUIRE(scene.answer(k_operational_to_full, "") == HAWSER_ERROR_NONE);
    CHECK(scene.login->done());
}

TEST_CASE("without T and without a proposal the request is repeated empty", "[RFC 7143 6.3.3]") {
    Scene scene;
    scene.request();
    REQUIRE(scene.answer(0, "TargetPortalGroupTag=7") == HAWSER_ERROR_NONE);
    CHECK(scene.request().empty());
    CHECK(scene.header.flags == 0x81);
    REQUIRE(scene.answer(k_security_to_operational, "AuthMethod=None") == HAWSER_ERROR_NONE);
    scene.request();
    REQUIRE(scene.answer(k_operational, k_usual_answers) == HAWSER_ERROR_NONE);
    CHECK(scene.request().empty());
    CHECK(scene.header.flags == 0x87);
    CHECK(scene.answer(k_operational_to_full, "") == HAWSER_ERROR_NONE);
    CHECK(scene.login->done());
}

TEST_CASE("text in pieces is answered by empty requests", "[RFC 7143 6.2][rule-36]") {
    Scene scene;
    scene.operational();
    std::string text = text_of(k_usual_answers);
    for (size_t at = 0; at < text.size(); at += 30) {
        bool last = at + 30 >= text.size();
        REQUIRE(scene.answer(scene.response(last ? k_operational_to_full : k_operational | k_c),
                             text.substr(at, 30)) ==
                (last ? HAWSER_ERROR_LOGIN_BAD_STAGE : HAWSER_ERROR_NONE));
        if (last) break;
        CHECK(scene.request().empty());
        CHECK(scene.header.flags == 0x04);  // no T while text goes on: so none can be granted above
    }
    Scene again;
    again.operational();
    REQUIRE(again.answer(again.response(k_operational | k_c), text.substr(0, 100)) ==
            HAWSER_ERROR_NONE);
    again.request();
    REQUIRE(again.answer(again.response(k_operational), text.substr(100)) == HAWSER_ERROR_NONE);
    CHECK(again.request().empty());
    CHECK(again.header.flags == 0x87);
    REQUIRE(again.answer(k_operational_to_full, "") == HAWSER_ERROR_NONE);
    CHECK(again.login->keys().max_burst_length == 262144);
}

TEST_CASE("our own text goes out in pieces when it is long", "[RFC 7143 6.2][rule-36][rule-38]") {
    Scene scene;
    scene.operational();
    std::string unknown;
    for (int i = 0; i < 110; i++)
        unknown += "X-" + std::string(58, 'k') + std::to_string(100 + i) + "=1 ";
    unknown.pop_back();
    REQUIRE(scene.answer(k_operational, unknown) == HAWSER_ERROR_NONE);
    std::string first = scene.request();
    CHECK(first.size() == 8192);
    CHECK(scene.header.flags == 0x44);
    REQUIRE(scene.answer(k_operational, "") == HAWSER_ERROR_NONE);
    std::string second = scene.request();
    CHECK(scene.header.flags == 0x87);
    CHECK((first + second).size() == 110 * (63 + 15));
    REQUIRE(scene.answer(k_operational_to_full, k_usual_answers) == HAWSER_ERROR_NONE);
    CHECK(scene.login->done());
}

TEST_CASE("a request with C is answered without text", "[RFC 7143 6.2][rule-36]") {
    Scene scene;
    scene.operational();
    std::string unknown;
    for (int i = 0; i < 110; i++)
        unknown += "X-" + std::string(58, 'k') + std::to_string(100 + i) + "=1 ";
    unknown.pop_back();
    REQUIRE(scene.answer(k_operational, unknown) == HAWSER_ERROR_NONE);
    scene.request();
    CHECK(scene.answer(k_operational, "MaxConnections=1") == HAWSER_ERROR_LOGIN_BAD_STAGE);
}

TEST_CASE("a stage is left only as asked for", "[RFC 7143 6.3][rule-35][rule-36]") {
    // Wrong CSG, T with C, NSG beyond, below or reserved, a reserved CSG.
    for (uint8_t flags : {k_operational_to_full, uint8_t(k_t | k_c | 1), uint8_t(k_t | 3),
                          uint8_t(k_t | 0), uint8_t(k_t | 2), uint8_t(2 << 2), uint8_t(3 << 2)}) {
        Scene scene;
        scene.request();
        INFO(int(flags));
        CHECK(scene.answer(flags, "") == HAWSER_ERROR_LOGIN_BAD_STAGE);
        CHECK(scene.login->state() == LoginState::Failed);
    }
    for (uint8_t flags : {uint8_t(k_t | 1 << 2 | 1), uint8_t(k_t | 1 << 2), uint8_t(0), k_t,
                          uint8_t(k_t | k_c | 1 << 2 | 3)}) {
        Scene scene;
        scene.operational();
        INFO(int(flags));
        CHECK(scene.answer(flags, "") == HAWSER_ERROR_LOGIN_BAD_STAGE);
    }
}

TEST_CASE("a stage is not left with an open proposal", "[RFC 7143 6.3]") {
    Scene scene(false);
    scene.operational();
    CHECK(scene.answer(k_operational_to_full, "MaxConnections=8") == HAWSER_ERROR_LOGIN_BAD_STAGE);
    // What needs no answer is not open.
    Scene other;
    other.operational();
    CHECK(other.answer(k_operational_to_full, k_usual_answers + " IFMarker=No X-a.b=1") ==
          HAWSER_ERROR_NONE);
}

TEST_CASE("fields that have to stay the same", "[RFC 7143 11.13][rule-40]") {
    Scene isid;
    isid.request();
    LoginResponse answer = isid.response(k_security_to_operational);
    answer.isid[5] ^= 1;
    CHECK(isid.answer(answer, "") == HAWSER_ERROR_LOGIN_BAD_FIELD);

    Scene version;
    version.request();
    answer = version.response(k_security_to_operational);
    answer.version_active = 1;
    CHECK(version.answer(answer, "") == HAWSER_ERROR_LOGIN_BAD_FIELD);

    Scene tsih(false);
    tsih.request();
    answer = tsih.response(k_security_to_operational);
    answer.tsih = 0x1235;
    CHECK(tsih.answer(answer, "") == HAWSER_ERROR_LOGIN_BAD_FIELD);

    Scene last(false);
    last.operational();
    answer = last.response(k_operational_to_full);
    answer.tsih = 0;
    CHECK(last.answer(answer, "") == HAWSER_ERROR_LOGIN_BAD_FIELD);
}

TEST_CASE("a new session needs a TSIH", "[RFC 7143 11.13.3][rule-40]") {
    Scene scene;
    scene.operational();
    LoginResponse answer = scene.response(k_operational_to_full);
    answer.tsih = 0;
    CHECK(scene.answer(answer, text_of(k_usual_answers)) == HAWSER_ERROR_LOGIN_NO_TSIH);
}

TEST_CASE("bad text in each of its kinds", "[RFC 7143 6.1][rule-37][rule-38]") {
    auto error = [](const std::string& raw) {
        Scene scene;
        scene.request();
        return scene.answer(scene.response(k_security_to_operational), raw);
    };
    CHECK(error("TargetAlias=x") == HAWSER_ERROR_LOGIN_BAD_TEXT);
    CHECK(error(std::string("TargetAlias\0", 12)) == HAWSER_ERROR_LOGIN_BAD_TEXT);
    CHECK(error(std::string(8192, 'x')) == HAWSER_ERROR_LOGIN_BAD_TEXT);
    CHECK(error(text_of("TargetAlias=x TargetAlias=y")) == HAWSER_ERROR_LOGIN_DUPLICATE_KEY);
    CHECK(error(text_of("TargetPortalGroupTag=x")) == HAWSER_ERROR_LOGIN_BAD_VALUE);
    CHECK(error(text_of("MaxConnections=1")) == HAWSER_ERROR_LOGIN_BAD_STAGE);
    CHECK(error(text_of("AuthMethod=CHAP")) == HAWSER_ERROR_LOGIN_AUTHENTICATION_REQUIRED);
    CHECK(error(text_of("X-a=1 X-a=2")) == HAWSER_ERROR_LOGIN_DUPLICATE_KEY);
    std::string many;
    for (int i = 0; i < 129; i++) many += "X-" + std::to_string(i) + "=1 ";
    many.pop_back();
    CHECK(error(text_of(many)) == HAWSER_ERROR_LOGIN_TOO_LONG);
}

TEST_CASE("a key redeclared in the other stage is a duplicate", "[RFC 7143 6.3][rule-37]") {
    Scene scene;
    scene.operational();
    CHECK(scene.answer(k_operational_to_full, "TargetPortalGroupTag=7") ==
          HAWSER_ERROR_LOGIN_DUPLICATE_KEY);
}

TEST_CASE("text without an end is cut off", "[RFC 7143 6.1][rule-38]") {
    Scene scene;
    scene.request();
    uint32_t error = HAWSER_ERROR_NONE;
    size_t taken = 0;
    while (error == HAWSER_ERROR_NONE) {
        error = scene.answer(scene.response(k_c), std::string(512, 'x'));
        if (error == HAWSER_ERROR_NONE) {
            taken += 512;
            scene.request();
        }
    }
    CHECK(error == HAWSER_ERROR_LOGIN_TOO_LONG);
    CHECK(taken == 8192);
}

TEST_CASE("rounds without an end are cut off", "[RFC 7143 6.2]") {
    Scene scene;
    uint32_t rounds = 0;
    uint32_t error = HAWSER_ERROR_NONE;
    while (error == HAWSER_ERROR_NONE) {
        scene.request();
        error = scene.answer(0, "");
        rounds++;
    }
    CHECK(error == HAWSER_ERROR_LOGIN_ENDLESS);
    CHECK(rounds >= 6);
    CHECK(rounds == k_login_rounds_max);
}

TEST_CASE("a response that nobody asked for", "[RFC 7143 6.3][rule-33]") {
    Scene scene;
    CHECK(scene.answer(0, "") == HAWSER_ERROR_LOGIN_UNEXPECTED_PDU);
    Scene done;
    done.operational();
    REQUIRE(done.answer(k_operational_to_full, k_usual_answers) == HAWSER_ERROR_NONE);
    CHECK(done.answer(k_operational_to_full, "") == HAWSER_ERROR_LOGIN_UNEXPECTED_PDU);
}

TEST_CASE("each status is an error of its own", "[RFC 7143 11.13.5][rule-41]") {
    for (auto [status, error] : {std::pair{0x0101, HAWSER_ERROR_LOGIN_REDIRECTED},
                                 {0x0102, HAWSER_ERROR_LOGIN_REDIRECTED},
                                 {0x0103, HAWSER_ERROR_LOGIN_UNKNOWN_STATUS},
                                 {0x0200, HAWSER_ERROR_LOGIN_INITIATOR_ERROR},
                                 {0x0201, HAWSER_ERROR_LOGIN_AUTHENTICATION_FAILED},
                                 {0x0202, HAWSER_ERROR_LOGIN_FORBIDDEN},
                                 {0x0203, HAWSER_ERROR_LOGIN_TARGET_NOT_FOUND},
                                 {0x0204, HAWSER_ERROR_LOGIN_TARGET_REMOVED},
                                 {0x0205, HAWSER_ERROR_LOGIN_UNSUPPORTED_VERSION},
                                 {0x0206, HAWSER_ERROR_LOGIN_TOO_MANY_CONNECTIONS},
                                 {0x0207, HAWSER_ERROR_LOGIN_MISSING_PARAMETER},
                                 {0x0208, HAWSER_ERROR_LOGIN_CANNOT_INCLUDE},
                                 {0x0209, HAWSER_ERROR_LOGIN_SESSION_TYPE},
                                 {0x020a, HAWSER_ERROR_LOGIN_SESSION_DOES_NOT_EXIST},
                                 {0x020b, HAWSER_ERROR_LOGIN_INVALID_DURING_LOGIN},
                                 {0x02ff, HAWSER_ERROR_LOGIN_INITIATOR_ERROR},
                                 {0x0300, HAWSER_ERROR_LOGIN_TARGET_ERROR},
                                 {0x0301, HAWSER_ERROR_LOGIN_SERVICE_UNAVAILABLE},
                                 {0x0302, HAWSER_ERROR_LOGIN_OUT_OF_RESOURCES},
                                 {0x0303, HAWSER_ERROR_LOGIN_TARGET_ERROR},
                                 {0x0400, HAWSER_ERROR_LOGIN_UNKNOWN_STATUS}}) {
        Scene scene;
        scene.request();
        // Nothing but the status is looked at: T, CSG, NSG and the numbers are reserved.
        LoginResponse answer;
        answer.flags = 0xff;
        answer.version_active = 9;
        answer.status_class = static_cast<uint8_t>(status >> 8);
        answer.status_detail = static_cast<uint8_t>(status);
        CHECK(scene.answer(answer, "junk") == static_cast<uint32_t>(error));
        CHECK(scene.login->detail() == static_cast<uint32_t>(status));
        CHECK_FALSE(scene.login->done());
    }
}

TEST_CASE("a redirect's address", "[RFC 7143 13.8]") {
    auto redirect = [](const std::string& words) {
        Scene scene;
        scene.request();
        LoginResponse answer = scene.response(0);
        answer.status_class = 1;
        answer.status_detail = 1;
        REQUIRE(scene.answer(answer, text_of(words)) == HAWSER_ERROR_LOGIN_REDIRECTED);
        if (scene.login->redirect().family == 0) return std::string("none");
        char out[64];
        hawser_portal_format(&scene.login->redirect(), scene.login->redirect_port(), out);
        return std::string(out);
    };
    CHECK(redirect("TargetAddress=10.0.0.9:5003") == "10.0.0.9:5003");
    CHECK(redirect("TargetAddress=10.0.0.9") == "10.0.0.9:3260");
    CHECK(redirect("TargetAddress=[fe80::9]:5003") == "[fe80::9]:5003");
    CHECK(redirect("TargetAddress=10.0.0.9:5003,1") == "10.0.0.9:5003");
    CHECK(redirect("TargetAddress=disk.example.com TargetAddress=10.0.0.8") == "10.0.0.8:3260");
    CHECK(redirect("TargetAddress=disk.example.com") == "none");
    CHECK(redirect("") == "none");
    CHECK(redirect("TargetAddress=10.0.0.9:99999") == "none");
}

TEST_CASE("another portal group ends a further login", "[RFC 7143 13.9]") {
    Scene scene(false);
    scene.request();
    CHECK(scene.answer(k_security_to_operational, "TargetPortalGroupTag=8 AuthMethod=None") ==
          HAWSER_ERROR_LOGIN_PORTAL_GROUP);
}

TEST_CASE("a login begins anew after a failure") {
    Scene scene;
    scene.request();
    REQUIRE(scene.answer(0xff, "") != HAWSER_ERROR_NONE);
    scene.login->begin(scene.options, scene.order);
    scene.operational();
    REQUIRE(scene.answer(k_operational_to_full, k_usual_answers) == HAWSER_ERROR_NONE);
    CHECK(scene.login->done());
    CHECK(scene.login->detail() == 0);
}
