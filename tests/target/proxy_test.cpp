// SPDX-License-Identifier: GPL-2.0-or-later
//
// Each fault of the proxy, by PDU and by byte, on a pair of connections in memory.

#include "proxy.h"

#include <catch2/catch.hpp>

namespace hawser::target {

namespace {

Pdu nop_out(uint32_t itt, Bytes data = {}) {
    wire::NopOut nop;
    nop.initiator_task_tag = itt;
    return make_pdu(nop, std::move(data));
}

Pdu nop_in(uint32_t itt) {
    wire::NopIn nop;
    nop.initiator_task_tag = itt;
    nop.stat_sn = itt;
    return make_pdu(nop);
}

// A proxy with a script, and what came out of it.
struct Wire {
    explicit Wire(const std::vector<std::string>& lines) : proxy(rules_of(lines)) {
        proxy.open(1000);
    }
    static std::vector<Rule> rules_of(const std::vector<std::string>& lines) {
        std::vector<Rule> rules;
        for (const std::string& line : lines) rules.push_back(parse_rule(split_words(line), line));
        return rules;
    }
    void send(const Pdu& pdu, Side side = Side::ToTarget) {
        proxy.handle_received(0, side, encode(pdu, proxy.digests_of(0)), now_ms);
    }
    void pass_time(uint64_t ms) {
        now_ms += ms;
        proxy.handle_timeout(now_ms);
    }
    Bytes bytes(Side side = Side::ToTarget) {
        Bytes all;
        for (Bytes piece = proxy.take_output(0, side); !piece.empty();
             piece = proxy.take_output(0, side))
            all.insert(all.end(), piece.begin(), piece.end());
        return all;
    }
    std::vector<uint32_t> tags(Side side = Side::ToTarget) {
        PduReader reader;
        reader.take(bytes(side));
        std::vector<uint32_t> found;
        while (const auto pdu = reader.next()) found.push_back(pdu->itt());
        return found;
    }

    Proxy proxy;
    uint64_t now_ms = 1000;
};

using Tags = std::vector<uint32_t>;

}  // namespace

TEST_CASE("without a script every byte goes through, however it comes", "[target][proxy]") {
    Wire wire({});
    const Bytes whole = encode(nop_out(7, {1, 2, 3, 4, 5}), {});
    for (uint8_t byte : whole) wire.proxy.handle_received(0, Side::ToTarget, {byte}, 1000);
    CHECK(wire.bytes() == whole);
}

TEST_CASE("PDUs are dropped, doubled, put in another order", "[target][proxy]") {
    const auto run = [](const std::string& line) {
        Wire wire({line});
        for (uint32_t itt = 1; itt <= 4; itt++) wire.send(nop_out(itt));
        return wire.tags();
    };
    CHECK(run("on NopOut number 2 do drop") == Tags{1, 3, 4});
    CHECK(run("on NopOut number 2..3 do drop") == Tags{1, 4});
    CHECK(run("on any toward target number 3 do duplicate 2") == Tags{1, 2, 3, 3, 3, 4});
    CHECK(run("on any toward initiator number 3 do duplicate") == Tags{1, 2, 3, 4});
    CHECK(run("on NopOut number 2 do reorder") == Tags{1, 3, 2, 4});
    CHECK(run("on NopOut where itt=3 do set itt=+96") == Tags{1, 2, 99, 4});
    CHECK(run("on NopOut connection 1 do drop") == Tags{1, 2, 3, 4});
}

TEST_CASE("PDUs are held until something else comes, or for a time", "[target][proxy]") {
    Wire wire({"on NopOut number 1..2 do hold", "on NopOut number 4 do pass then release reversed",
               "on NopOut number 5 do delay 300"});
    for (uint32_t itt = 1; itt <= 3; itt++) wire.send(nop_out(itt));
    CHECK(wire.tags() == Tags{3});
    wire.send(nop_out(4));
    CHECK(wire.tags() == Tags{4, 2, 1});
    wire.send(nop_out(5));
    CHECK(wire.proxy.poll_timeout() == wire.now_ms + 300);
    wire.pass_time(299);
    CHECK(wire.tags().empty());
    wire.pass_time(1);
    CHECK(wire.tags() == Tags{5});
}

TEST_CASE("a silent pair gives nothing, and all of it afterwards", "[target][proxy]") {
    Wire wire({"on NopOut number 2 do silence 500"});
    wire.send(nop_out(1));
    CHECK(wire.tags() == Tags{1});
    wire.send(nop_out(2));
    wire.send(nop_in(3), Side::ToInitiator);
    CHECK(wire.tags().empty());
    CHECK(wire.tags(Side::ToInitiator).empty());
    wire.proxy.handle_closed(0, wire.now_ms);
    CHECK_FALSE(wire.proxy.wants_close(0));
    wire.pass_time(500);
    CHECK(wire.tags() == Tags{2});
    CHECK(wire.tags(Side::ToInitiator) == Tags{3});
    CHECK(wire.proxy.wants_close(0));
}

TEST_CASE("a cut loses what is on its way, a close does not", "[target][proxy]") {
    Wire cut({"on NopOut number 2 do reset"});
    cut.send(nop_out(1));
    cut.send(nop_out(2));
    CHECK(cut.proxy.wants_reset(0));
    CHECK(cut.tags().empty());
    Wire closed({"on NopOut number 2 do pass then close"});
    closed.send(nop_out(1));
    closed.send(nop_out(2));
    closed.send(nop_out(3));
    CHECK_FALSE(closed.proxy.wants_close(0));
    CHECK(closed.tags() == Tags{1, 2});
    CHECK(closed.proxy.wants_close(0));
    CHECK_FALSE(closed.proxy.wants_reset(0));
}

TEST_CASE("bytes are cut small, and come one after the other in time", "[target][proxy]") {
    Wire split({"on NopOut do split 20"});
    split.send(nop_out(1));
    CHECK(split.proxy.take_output(0, Side::ToTarget).size() == 20);
    CHECK(split.proxy.take_output(0, Side::ToTarget).size() == 20);
    CHECK(split.proxy.take_output(0, Side::ToTarget).size() == 8);
    Wire slow({"byte 0 toward target do trickle 10 50"});
    slow.send(nop_out(1));
    CHECK(slow.bytes().size() == 10);
    CHECK(slow.proxy.poll_timeout() == slow.now_ms + 50);
    size_t total = 10;
    for (int i = 0; i < 4; i++) {
        slow.pass_time(50);
        total += slow.bytes().size();
    }
    CHECK(total == 48);
}

TEST_CASE("single bytes are mutated, injected, dropped; the stream is cut at one",
          "[target][proxy]") {
    const auto run = [](const std::string& line) {
        Wire wire({line});
        wire.send(nop_out(1));
        wire.send(nop_out(2));
        const Bytes bytes = wire.bytes();
        return std::pair(bytes, wire.proxy.wants_close(0));
    };
    const Bytes plain = run("byte 0 toward initiator do mutate").first;
    REQUIRE(plain.size() == 96);
    Bytes mutated = plain;
    mutated[60] ^= 0x10;
    CHECK(run("byte 60 toward target do mutate").first == mutated);
    CHECK(run("byte 48 toward target do inject 5").first.size() == 101);
    CHECK(run("byte 48 toward target do inject 5").first[48] == 0x3a);
    CHECK(run("byte 50 toward target do drop 3").first.size() == 93);
    const auto [cut, over] = run("byte 70 toward target do close");
    CHECK(cut == Bytes(plain.begin(), plain.begin() + 70));
    CHECK(over);
}

TEST_CASE("digests are made anew, unless they are to be wrong", "[target][proxy]") {
    Wire wire({"on NopOut number 1 do set ttt=9", "on NopOut number 2 do corrupt data",
               "on NopOut number 3 do corrupt header"});
    wire::LoginRequest request;
    wire.send(
        make_pdu(request, write_text({{"HeaderDigest", "CRC32C"}, {"DataDigest", "CRC32C"}})));
    wire::LoginResponse response;
    response.flags = 0x87;
    wire.send(
        make_pdu(response, write_text({{"HeaderDigest", "CRC32C"}, {"DataDigest", "CRC32C"}})),
        Side::ToInitiator);
    wire.bytes();
    PduReader reader;
    reader.digests = {true, true};
    wire.send(nop_out(1, {1, 2, 3}));
    wire.send(nop_out(2, {1, 2, 3}));
    wire.send(nop_out(3, {1, 2, 3}));
    reader.take(wire.bytes());
    const auto first = reader.next();
    REQUIRE(first);
    CHECK_FALSE(first->data_damaged);
    CHECK(first->word(20) == 9);
    const auto second = reader.next();
    REQUIRE(second);
    CHECK(second->data_damaged);
    CHECK_FALSE(reader.next());
    CHECK(reader.header_damaged());
}

TEST_CASE("a PDU is put between others, with the numbers that are due", "[target][proxy]") {
    Wire wire({"on NopOut number 1 do send AsyncMessage event=1 parameter3=7"});
    wire.send(nop_in(40), Side::ToInitiator);
    wire.bytes(Side::ToInitiator);
    wire.send(nop_out(1));
    PduReader reader;
    reader.take(wire.bytes(Side::ToInitiator));
    const auto message = reader.next();
    REQUIRE(message);
    CHECK(message->as<wire::AsyncMessage>().stat_sn.get() == 41);
    CHECK(message->as<wire::AsyncMessage>().parameter3.get() == 7);
    CHECK(wire.tags() == Tags{1});
}

TEST_CASE("a stream that cannot be read goes through as it is", "[target][proxy]") {
    Wire wire({"on any do drop"});
    Pdu wild = nop_out(1);
    wild.as<wire::Bhs>().data_segment_length = 0xffffff;
    Bytes bytes = wild.header;
    bytes.resize(300);
    wire.proxy.handle_received(0, Side::ToTarget, bytes, 1000);
    CHECK(wire.bytes().empty());  // it waits for the 16 MiB that were announced
}

TEST_CASE("a seed gives the same script each time, and every line can be read", "[target][proxy]") {
    for (uint32_t seed = 1; seed < 50; seed++) {
        const auto lines = random_script(seed, 20, 500);
        CHECK(lines == random_script(seed, 20, 500));
        for (const std::string& line : lines) CHECK_NOTHROW(parse_rule(split_words(line), line));
    }
    CHECK(random_script(1, 20, 500) != random_script(2, 20, 500));
}

TEST_CASE("the proxy refuses a CmdSN below the highest of its session, on its connection alone") {
    Wire wire({});
    wire.proxy.order.emplace();
    wire.proxy.open(1000);  // connection 1
    const auto give = [&](uint32_t pair, const Pdu& pdu) {
        wire.proxy.handle_received(pair, Side::ToTarget, encode(pdu, {}), wire.now_ms);
    };
    const auto command = [](uint32_t cmd_sn, bool immediate) {
        wire::NopOut nop;
        if (immediate) nop.opcode |= wire::k_immediate;
        nop.initiator_task_tag = cmd_sn;
        nop.cmd_sn = cmd_sn;
        return make_pdu(nop);
    };
    for (uint32_t pair : {0u, 1u}) {
        wire::LoginRequest login;
        login.isid[0] = 0x80;
        login.tsih = static_cast<uint16_t>(pair);
        login.cmd_sn = 7;
        give(pair, make_pdu(login));
    }
    give(0, command(7, false));
    give(1, command(9, false));
    give(0, command(8, true));
    CHECK_FALSE(wire.proxy.wants_close(0));
    wire.bytes();
    give(0, command(8, false));
    CHECK(wire.bytes().empty());
    CHECK(wire.proxy.wants_close(0));
    CHECK_FALSE(wire.proxy.wants_close(1));
    CHECK(wire.proxy.order->refused == 1);
}

}  // namespace hawser::target
