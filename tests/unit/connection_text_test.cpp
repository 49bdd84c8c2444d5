// SPDX-License-Identifier: GPL-2.0-or-later
//
// Text in full feature phase against a scripted target: SendTargets in the session, in one answer
// and in pieces, and the negotiation that a target asks for.

#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

Bytes text_of(const std::string& words) {
    Bytes text;
    for (char c : words) text.push_back(c == ' ' ? 0 : static_cast<uint8_t>(c));
    if (!text.empty()) text.push_back(0);
    return text;
}

constexpr uint8_t k_more = wire::TextRequest::k_continue;

void answer(Peer& peer, const Pdu& pdu, uint8_t flags, uint32_t ttt, const Bytes& data) {
    wire::TextResponse response;
    response.flags = flags;
    response.initiator_task_tag = pdu.itt();
    response.target_transfer_tag = ttt;
    response.lun[1] = ttt == wire::k_reserved_tag ? 0 : 9;
    peer.send(response, true, data);
}

// A session that asks for portals, and a target that says `words` to it.
struct Asking : Host {
    explicit Asking(const std::string& words = "", const std::string& more = "")
        : Host("portals=all " + more, 1) {
        target.script = [=, this](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() != Opcode::TextRequest) return false;
            answer(peer, pdu, wire::k_final, wire::k_reserved_tag, text_of(words));
            return true;
        };
    }
    std::vector<Pdu> requests() { return heard_of(*this, Opcode::TextRequest); }
    std::vector<std::string> portals() {
        std::vector<std::string> found;
        hawser_session_snapshot now = snapshot();
        for (uint32_t i = 0; i < now.portal_count; i++) {
            char out[64];
            hawser_portal_format(&now.portals[i].address, now.portals[i].port, out);
            found.push_back(out);
        }
        return found;
    }
    uint32_t told() {
        for (const auto& report : reports)
            if (report.kind == HAWSER_REPORT_PORTALS_TOLD) return report.error;
        return ~0u;
    }
};

const std::string k_name = "TargetName=iqn.a:disk ";
using Strings = std::vector<std::string>;

wire::AsyncMessage event(uint8_t code, uint16_t seconds = 10) {
    wire::AsyncMessage pdu;
    pdu.async_event = code;
    pdu.parameter3 = seconds;
    return pdu;
}

}  // namespace

TEST_CASE("portals are asked for by an empty SendTargets", "[RFC 7143 11.10]") {
    Asking host(k_name + "TargetAddress=10.0.7.2:860,1");
    host.start();
    REQUIRE(host.requests().size() == 1);
    const auto request = host.requests()[0].as<wire::TextRequest>();
    CHECK(request.opcode == (wire::k_immediate | 0x04));
    CHECK(request.flags == wire::k_final);
    CHECK(request.target_transfer_tag.get() == wire::k_reserved_tag);
    CHECK(request.cmd_sn.get() == host.target.exp_cmd_sn);
    CHECK(host.requests()[0].data == text_of("SendTargets="));
    CHECK(host.portals() == Strings{"10.0.1.2:3260", "10.0.7.2:860"});
    CHECK(host.told() == HAWSER_ERROR_NONE);
    CHECK(host.count_orders(HAWSER_ORDER_SETTLED) == 1);
}

TEST_CASE("nobody asks for portals that are given") {
    Host host("portals=given", 1);
    host.start();
    CHECK(heard_of(host, Opcode::TextRequest).empty());
}

TEST_CASE("only addresses of this target and this portal group are learned", "[RFC 7143 4.4.1]") {
    Asking host("TargetName=iqn.a:other TargetAddress=10.9.9.9,1 " + k_name +
                "TargetAddress=10.0.1.2:3260,1 TargetAddress=10.0.5.2,2 "
                "TargetAddress=disk.example.com:3260,1 TargetAddress=10.0.6.2 "
                "TargetAddress=[fe80::7]:3261,1 TargetAddress=10.0.8.2,1");
    host.start();
    CHECK(host.portals() == Strings{"10.0.1.2:3260", "[fe80::7]:3261", "10.0.8.2:3260"});
}

TEST_CASE("further connections wait for the portals and use them in turn") {
    Asking host(k_name + "TargetAddress=10.0.7.2,1 TargetAddress=10.0.8.2,1", "connections=4");
    host.start();
    REQUIRE(logged_in(host) == 4);
    CHECK(host.place_of(0) == "10.0.1.2:3260");
    CHECK(host.place_of(1) == "10.0.7.2:3260");
    CHECK(host.place_of(2) == "10.0.8.2:3260");
    CHECK(host.place_of(3) == "10.0.1.2:3260");
    CHECK(host.requests().size() == 1);
    // Once is enough: the session remembers them.
    host.cut(0);
    host.pass(10000);
    CHECK(logged_in(host) == 4);
    CHECK(host.requests().size() == 1);
}

TEST_CASE("more portals than there is room for are left out") {
    std::string words = k_name;
    for (int i = 1; i <= 40; i++) words += " TargetAddress=10.1.0." + std::to_string(i) + ",1";
    Asking host(words);
    host.start();
    CHECK(host.portals().size() == HAWSER_PORTALS_MAX);
}

TEST_CASE("a text that goes on keeps its ITT and copies TTT and LUN",
          "[RFC 7143 11.10.3][RFC 7143 11.11.4][rule-64]") {
    for (uint8_t flags : {k_more, uint8_t{0}}) {
        Asking host;
        Bytes whole = text_of(k_name + "TargetAddress=10.0.7.2,1 TargetAddress=10.0.8.2,1");
        uint32_t at = 0;
        host.target.script = [&](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() != Opcode::TextRequest) return false;
            // Cut in the middle of pairs; C says so, and some targets forget to.
            size_t end = at == 2 ? whole.size() : (at + 1) * 30;
            Bytes piece(whole.begin() + at * 30, whole.begin() + static_cast<long>(end));
            bool last = at++ == 2;
            answer(peer, pdu, last ? wire::k_final : flags,
                   last ? wire::k_reserved_tag : 0x4200 + at, piece);
            return true;
        };
        host.start();
        auto requests = host.requests();
        REQUIRE(requests.size() == 3);
        for (uint32_t i = 0; i < 3; i++) {
            const auto& request = requests[i].as<wire::TextRequest>();
            CHECK(requests[i].itt() == requests[0].itt());
            CHECK(request.opcode == (wire::k_immediate | 0x04));
            CHECK(request.flags == wire::k_final);
            if (i == 0) continue;
            CHECK(request.target_transfer_tag.get() == 0x4200 + i);
            CHECK(request.lun[1] == 9);
            CHECK(requests[i].data.empty());
        }
        CHECK(host.portals().size() == 3);
    }
}

TEST_CASE("8192 bytes of text are taken, more is an error that costs nothing else",
          "[RFC 7143 6.1][rule-38]") {
    for (size_t bytes : {size_t{8192}, size_t{8193}, size_t{9000}}) {
        Asking host;
        host.target.script = [&](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() != Opcode::TextRequest) return false;
            std::string words = k_name + "TargetAddress=10.0.7.2,1 X-a=";
            words += std::string(bytes - words.size() - 1, 'x');
            answer(peer, pdu, wire::k_final, wire::k_reserved_tag, text_of(words));
            return true;
        };
        host.start();
        bool fits = bytes == 8192;
        CHECK(host.told() == (fits ? HAWSER_ERROR_NONE : HAWSER_ERROR_TEXT_TOO_LONG));
        CHECK(host.portals().size() == (fits ? 2 : 1));
        CHECK(host.counters(0).losses == 0);
        CHECK(host.count_orders(HAWSER_ORDER_SETTLED) == 1);
    }
}

TEST_CASE("a text that breaks the rules ends the exchange and nothing else",
          "[RFC 7143 7.12][RFC 7143 11.11.1]") {
    struct Case {
        uint8_t flags;
        uint32_t ttt;
        const char* words;
    };
    for (const Case& wrong :
         {Case{0, wire::k_reserved_tag, ""}, Case{k_more, wire::k_reserved_tag, "X"},
          Case{wire::k_final | k_more, 5, "A=b"},
          Case{wire::k_final, wire::k_reserved_tag, "no-equal-sign"}}) {
        Asking host;
        host.target.script = [&](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() != Opcode::TextRequest) return false;
            answer(peer, pdu, wrong.flags, wrong.ttt, text_of(wrong.words));
            return true;
        };
        host.start();
        CHECK(host.told() == HAWSER_ERROR_BAD_TEXT);
        CHECK(host.counters(0).losses == 0);
        CHECK(host.requests().size() == 1);
    }
}

TEST_CASE("a text without end is given up") {
    Asking host;
    host.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::TextRequest) return false;
        answer(peer, pdu, k_more, 7, text_of("A=b"));
        return true;
    };
    host.start();
    CHECK(host.told() == HAWSER_ERROR_TEXT_TOO_LONG);
    CHECK(host.requests().size() < 70);
}

TEST_CASE("a text without an answer is given up, and a late answer discarded", "[RFC 7143 7.12]") {
    Asking host("", "login_timeout=4 connections=2");
    Pdu asked;
    host.target.script = [&](Peer&, const Pdu& pdu) {
        if (pdu.kind() != Opcode::TextRequest) return false;
        asked = pdu;
        return true;
    };
    host.start();
    CHECK(logged_in(host) == 1);
    host.pass(3999);
    CHECK(host.told() == ~0u);
    host.pass(1);
    CHECK(host.told() == HAWSER_ERROR_TEXT_TIMEOUT);
    CHECK(logged_in(host) == 2);
    answer(host.target.peers[0], asked, wire::k_final, wire::k_reserved_tag, {});
    host.run();
    CHECK(host.counters(0).losses == 0);
    answer(host.target.peers[0], asked, wire::k_final, wire::k_reserved_tag, {});
    host.run();
    CHECK(host.lost_with(0) == HAWSER_ERROR_UNEXPECTED_OPCODE);
}

TEST_CASE("event 4 is answered by a Text Request in time", "[RFC 7143 11.9.1][rule-30]") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::TextRequest) return false;
        // It has something to say first, and then agrees.
        size_t count = 0;
        for (const Pdu& before : peer.heard) count += before.kind() == Opcode::TextRequest;
        if (count == 1)
            answer(peer, pdu, 0, 0x99,
                   text_of("MaxRecvDataSegmentLength=512 X-com.a=1 MaxBurstLength=9999"));
        else
            answer(peer, pdu, wire::k_final, wire::k_reserved_tag, {});
        return true;
    };
    scene.target.peers[0].send(event(4), true);
    scene.run();
    auto requests = heard_of(scene, Opcode::TextRequest);
    REQUIRE(requests.size() == 2);
    CHECK(requests[0].data.empty());
    CHECK(requests[1].data == text_of("X-com.a=NotUnderstood MaxBurstLength=Reject"));
    CHECK(requests[1].as<wire::TextRequest>().target_transfer_tag.get() == 0x99);
    CHECK(scene.counters(0).losses == 0);
    // Only the declaration holds.
    uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 4096);
    scene.run();
    scene.good(tag);
    CHECK(heard_of(scene, Opcode::ScsiCommand)[0].data.size() == 512);
}

TEST_CASE("a negotiation that fails changes nothing", "[RFC 7143 7.12]") {
    for (const char* words : {"MaxRecvDataSegmentLength=511", "MaxRecvDataSegmentLength=16777216",
                              "MaxRecvDataSegmentLength=600 MaxRecvDataSegmentLength=700"}) {
        Scene scene;
        scene.login();
        scene.target.script = [=](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() != Opcode::TextRequest) return false;
            answer(peer, pdu, wire::k_final, wire::k_reserved_tag, text_of(words));
            return true;
        };
        scene.target.peers[0].send(event(4), true);
        scene.run();
        CHECK(scene.counters(0).losses == 0);
        uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 4096);
        scene.run();
        scene.good(tag);
        CHECK(heard_of(scene, Opcode::ScsiCommand)[0].data.size() == 4096);
    }
}

TEST_CASE("our text goes on in pieces that each target takes", "[RFC 7143 6.2][rule-36]") {
    Scene scene;
    scene.login();
    std::string said;
    for (int i = 0; i < 26; i++)
        said += (i ? " X-" : "X-") + std::string(20, char('a' + i % 26)) + std::to_string(i) + "=1";
    uint32_t count = 0;
    scene.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::TextRequest) return false;
        bool more = pdu.as<wire::TextRequest>().flags == k_more;
        if (count++ == 0)
            answer(peer, pdu, 0, 0x99, text_of(said));
        else
            answer(peer, pdu, more ? 0 : wire::k_final, more ? 0x99 : wire::k_reserved_tag, {});
        return true;
    };
    scene.target.peers[0].send(event(4), true);
    scene.run();
    auto requests = heard_of(scene, Opcode::TextRequest);
    REQUIRE(requests.size() == 3);
    CHECK(requests[1].as<wire::TextRequest>().flags == k_more);
    CHECK(requests[2].as<wire::TextRequest>().flags == wire::k_final);
    Bytes answers;
    for (const Pdu& pdu : requests) {
        CHECK(pdu.data.size() <= 512);
        answers.insert(answers.end(), pdu.data.begin(), pdu.data.end());
    }
    CHECK(std::string(answers.begin(), answers.end()).find("NotUnderstood") != std::string::npos);
    CHECK(answers.size() == text_of(said).size() + 26 * (sizeof("NotUnderstood") - 2));
    CHECK(scene.counters(0).losses == 0);
}

TEST_CASE("one Text Request at a time", "[RFC 7143 6.2][rule-33]") {
    Asking host;
    Pdu asked;
    host.target.script = [&](Peer&, const Pdu& pdu) {
        if (pdu.kind() != Opcode::TextRequest) return false;
        asked = pdu;
        return true;
    };
    host.start();
    host.target.peers[0].send(event(4), true);
    host.target.peers[0].send(event(4), true);
    host.run();
    CHECK(host.requests().size() == 1);
    answer(host.target.peers[0], asked, wire::k_final, wire::k_reserved_tag, {});
    host.run();
    CHECK(host.told() == HAWSER_ERROR_NONE);
    host.target.peers[0].send(event(4), true);
    host.run();
    REQUIRE(host.requests().size() == 2);
    CHECK(host.requests()[0].itt() != host.requests()[1].itt());
}
