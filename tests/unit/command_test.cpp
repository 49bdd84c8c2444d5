// SPDX-License-Identifier: GPL-2.0-or-later
//
// The SCSI Command PDU: its flags, lengths, AHS, numbers and tags, as a target sees them.

#include <catch2/catch.hpp>
#include <set>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

TEST_CASE("a READ's command has F, R, its length and nothing else",
          "[RFC 7143 11.3.1][rule-14][rule-25]") {
    Scene scene;
    scene.login();
    scene.submit(0, HAWSER_DATA_READ, 4096, 8);
    scene.run();
    auto commands = heard_of(scene, Opcode::ScsiCommand);
    REQUIRE(commands.size() == 1);
    const auto& command = commands[0].as<wire::ScsiCommand>();
    CHECK(command.flags == (wire::k_final | wire::ScsiCommand::k_read | 1));
    CHECK(command.expected_data_transfer_length.get() == 4096);
    CHECK(command.data_segment_length.get() == 0);
    CHECK(command.total_ahs_length == 0);
    CHECK(command.cdb[0] == 0x28);
}

TEST_CASE("a command without data has F and no direction", "[RFC 7143 11.3.1][rule-14]") {
    Scene scene;
    scene.login();
    uint32_t tag = scene.submit(0, HAWSER_DATA_NONE, 0);
    scene.run();
    scene.good(tag);
    CHECK(heard_of(scene, Opcode::ScsiCommand)[0].as<wire::ScsiCommand>().flags ==
          (wire::k_final | 1));
}

TEST_CASE("a CDB of 32 bytes goes on in an AHS", "[RFC 7143 11.2.2.3][rule-16]") {
    Scene scene;
    scene.login();
    uint32_t tag = scene.submit(0, HAWSER_DATA_NONE, 0, 0, 32);
    scene.sides[0].queue.back().cdb[0] = 0x7f;
    scene.sides[0].queue.back().cdb[31] = 0x99;
    scene.run();
    scene.good(tag);
    Pdu command = heard_of(scene, Opcode::ScsiCommand).at(0);
    REQUIRE(command.ahs.size() == 20);
    CHECK(command.ahs[1] == 17);
    CHECK(command.ahs[2] == 1);
    CHECK(command.ahs[19] == 0x99);
}

TEST_CASE("a command that expects data says in which direction", "[RFC 7143 11.3.1][rule-14]") {
    Scene scene;
    scene.login();
    for (uint8_t direction : {HAWSER_DATA_READ, HAWSER_DATA_WRITE}) {
        scene.submit(0, direction, 512);
        scene.run();
        const auto commands = heard_of(scene, Opcode::ScsiCommand);
        const auto& command = commands.back().as<wire::ScsiCommand>();
        const uint8_t both = wire::ScsiCommand::k_read | wire::ScsiCommand::k_write;
        CHECK((command.flags & both) == (direction == HAWSER_DATA_READ
                                             ? wire::ScsiCommand::k_read
                                             : wire::ScsiCommand::k_write));
    }
}

TEST_CASE("an immediate PDU carries the next CmdSN and leaves it",
          "[RFC 7143 4.2.2.1][rule-1][rule-27]") {
    Scene scene("noop_out_interval=5");
    scene.login();
    scene.submit(0, HAWSER_DATA_NONE, 0);
    scene.run();
    wire::NopIn question = news();
    question.target_transfer_tag = 0x77;
    scene.target.peers[0].send(question, false);
    scene.pass(12000);  // two pings of ours, too
    scene.submit(0, HAWSER_DATA_NONE, 0);
    scene.run();
    const auto commands = heard_of(scene, Opcode::ScsiCommand);
    REQUIRE(commands.size() == 2);
    const uint32_t first = commands[0].as<wire::ScsiCommand>().cmd_sn.get();
    const auto pings = heard_of(scene, Opcode::NopOut);
    REQUIRE(pings.size() >= 3);
    CHECK(pings[0].itt() == wire::k_reserved_tag);
    for (const Pdu& ping : pings) {
        CHECK((ping.header[0] & wire::k_immediate) != 0);
        CHECK(ping.as<wire::NopOut>().cmd_sn.get() == first + 1);
    }
    CHECK(commands[1].as<wire::ScsiCommand>().cmd_sn.get() == first + 1);
    CHECK((commands[0].header[0] & wire::k_immediate) == 0);
    CHECK_FALSE(scene.target.numbers_wrong);
}

TEST_CASE("CmdSN rises on each connection, and all of them together leave no number out",
          "[RFC 7143 4.2.2.1][rule-1][rule-2]") {
    for (uint32_t seed = 1; seed <= 4; seed++) {
        Host host("", 3, seed);
        host.target.window = 3 + seed;
        host.start();
        const uint32_t first = host.target.exp_cmd_sn;
        submit_many(host, 90);
        host.run();
        std::set<uint32_t> all;
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t last = first - 1;
            for (const Pdu& pdu : heard_of(host, Opcode::ScsiCommand, i)) {
                const uint32_t cmd_sn = pdu.as<wire::ScsiCommand>().cmd_sn.get();
                CHECK(cmd_sn > last);
                last = cmd_sn;
                CHECK(all.insert(cmd_sn).second);
            }
        }
        CHECK(all.size() == 90);
        CHECK(*all.rbegin() == first + 89);
        CHECK_FALSE(host.target.numbers_wrong);
    }
}

TEST_CASE("no two PDUs of a session share an Initiator Task Tag", "[RFC 7143 11.2.1.8][rule-10]") {
    Host host("queue_depth=4 noop_out_interval=5", 2);
    host.start();
    std::set<uint32_t> tags;
    for (uint32_t i = 0; i < 40; i++) {  // each slot ten times
        host.submit(i % 2, i % 4 == 1 ? HAWSER_DATA_WRITE : HAWSER_DATA_READ, 512, i);
        if (i % 4 == 3) host.pass(6000);
    }
    host.run();
    uint32_t pdus = 0;
    for (uint32_t i = 0; i < 2; i++) {
        for (const Pdu& pdu : host.target.peers[i].heard) {
            if (pdu.kind() != Opcode::ScsiCommand && pdu.kind() != Opcode::NopOut) continue;
            CHECK(pdu.itt() != wire::k_reserved_tag);
            CHECK(tags.insert(pdu.itt()).second);
            pdus++;
        }
    }
    CHECK(pdus > 50);
    // A login has its own, one for each connection's whole phase.
    const uint32_t login = heard_of(host, Opcode::LoginRequest, 0).at(0).itt();
    CHECK(tags.insert(login).second);
    CHECK(tags.insert(heard_of(host, Opcode::LoginRequest, 1).at(0).itt()).second);
}

TEST_CASE("Data-Out goes on the connection of its command", "[RFC 7143 4.2.5.1][rule-8]") {
    Host host("ImmediateData=No", 3);
    host.start();
    for (uint32_t i = 0; i < 30; i++) host.submit(i % 3, HAWSER_DATA_WRITE, 20000, i * 64);
    host.run();
    for (uint32_t i = 0; i < 3; i++) {
        std::set<uint32_t> commands;
        for (const Pdu& pdu : heard_of(host, Opcode::ScsiCommand, i)) commands.insert(pdu.itt());
        CHECK(commands.size() == 10);
        const auto data = heard_of(host, Opcode::DataOut, i);
        CHECK(data.size() >= 10 * 3);
        for (const Pdu& pdu : data) CHECK(commands.count(pdu.itt()) == 1);
    }
    CHECK(host.in_use.empty());
}

namespace {

// Bytes of a header that are reserved, by opcode: RFC 7143 11.3 to 11.18. An EVPD of reserved bits
// within a byte is given as a mask.
struct ReservedBits {
    Opcode opcode;
    std::vector<std::pair<size_t, uint8_t>> bytes;
};

std::vector<std::pair<size_t, uint8_t>> range(size_t first, size_t last) {
    std::vector<std::pair<size_t, uint8_t>> bytes;
    for (size_t i = first; i <= last; i++) bytes.emplace_back(i, 0xff);
    return bytes;
}

std::vector<std::pair<size_t, uint8_t>> operator+(
    std::vector<std::pair<size_t, uint8_t>> one, const std::vector<std::pair<size_t, uint8_t>>& b) {
    one.insert(one.end(), b.begin(), b.end());
    return one;
}

}  // namespace

TEST_CASE("reserved bits are sent as 0", "[RFC 7143 11][rule-25]") {
    const ReservedBits reserved[] = {
        {Opcode::ScsiCommand, range(2, 4) + std::vector<std::pair<size_t, uint8_t>>{{1, 0x18}}},
        {Opcode::DataOut, range(2, 4) + range(24, 27) + range(32, 35) + range(44, 47) +
                              std::vector<std::pair<size_t, uint8_t>>{{1, 0x7f}}},
        {Opcode::NopOut,
         range(2, 4) + range(32, 47) + std::vector<std::pair<size_t, uint8_t>>{{1, 0x7f}}},
        {Opcode::LoginRequest, range(4, 4) + range(22, 23) + range(32, 47) +
                                   std::vector<std::pair<size_t, uint8_t>>{{1, 0x30}}},
        {Opcode::LogoutRequest, range(2, 15) + range(22, 23) + range(32, 47)},
    };
    Scene scene("noop_out_interval=5 ImmediateData=No");
    scene.start();
    scene.submit(0, HAWSER_DATA_READ, 4096);
    scene.submit(0, HAWSER_DATA_WRITE, 40000, 16);
    scene.submit(0, HAWSER_DATA_NONE, 0);
    scene.pass(6000);
    scene.logout();
    for (const ReservedBits& of : reserved) {
        const auto pdus = heard_of(scene, of.opcode);
        INFO(static_cast<int>(of.opcode));
        CHECK_FALSE(pdus.empty());
        for (const Pdu& pdu : pdus)
            for (const auto& [at, mask] : of.bytes) {
                INFO("byte " << at);
                CHECK((pdu.header[at] & mask) == 0);
            }
        for (const Pdu& pdu : pdus) CHECK((pdu.header[0] & 0x80) == 0);
    }
}

TEST_CASE("reserved bits of a target are ignored", "[RFC 7143 11][rule-25]") {
    Scene scene("ImmediateData=No InitialR2T=Yes");
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        const auto& command = pdu.as<wire::ScsiCommand>();
        if (command.flags & wire::ScsiCommand::k_read) {
            wire::DataIn in;
            in.flags = wire::k_final | 0x38;
            in.reserved = 0xff;
            in.status = 0x5a;  // without S it is none
            in.initiator_task_tag = pdu.itt();
            in.target_transfer_tag = wire::k_reserved_tag;
            peer.send(in, false, Bytes(512, 0x11));
            wire::ScsiResponse response;
            response.flags |= 0x61;
            std::memset(response.reserved, 0xff, sizeof(response.reserved));
            response.initiator_task_tag = pdu.itt();
            response.exp_data_sn = 1;
            peer.send(response, true);
            return true;
        }
        Exchange exchange;
        exchange.command = command;
        wire::R2t r2t;
        r2t.flags |= 0x7f;
        r2t.reserved[0] = r2t.reserved[1] = 0xff;
        r2t.initiator_task_tag = pdu.itt();
        r2t.target_transfer_tag = 9;
        r2t.desired_data_transfer_length = 512;
        peer.exchanges[pdu.itt()] = exchange;
        peer.send(r2t, false);
        wire::NopIn nop = news();
        nop.flags |= 0x7f;
        std::memset(nop.reserved2, 0xff, sizeof(nop.reserved2));
        peer.send(nop, false);
        return true;
    };
    const uint32_t read = scene.submit(0, HAWSER_DATA_READ, 512);
    const uint32_t write = scene.submit(0, HAWSER_DATA_WRITE, 512, 16);
    scene.run();
    scene.good(read);
    scene.good(write);
    CHECK(scene.buffers[read] == Bytes(512, 0x11));
    scene.disk_is_buffer(write, 16);
    CHECK(scene.counters(0).losses == 0);
}
