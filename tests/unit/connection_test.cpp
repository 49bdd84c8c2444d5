// SPDX-License-Identifier: GPL-2.0-or-later
//
// One connection in full feature phase against a scripted target: data both ways and the window.
// Byte streams are cut at random places; what reaches the target is checked there.

#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

TEST_CASE("a session of one connection logs in", "[RFC 7143 6.3]") {
    Scene scene;
    scene.start();
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
    CHECK(scene.snapshot().state == HAWSER_SESSION_LOGGED_IN);
    CHECK(scene.snapshot().tsih == 1);
    CHECK(scene.snapshot().target_portal_group_tag == 1);
    REQUIRE(scene.count_orders(HAWSER_ORDER_RELEASE) == 1);
    CHECK(scene.count_orders(HAWSER_ORDER_SETTLED) == 1);
    auto requests = heard_of(scene, Opcode::LoginRequest);
    REQUIRE(requests.size() == 2);
    // One ITT for the whole phase, StatSN acknowledged, CmdSN as it stands (11.12.8).
    CHECK(requests[0].itt() == requests[1].itt());
    CHECK(requests[0].itt() != wire::k_reserved_tag);
    CHECK(requests[0].as<wire::LoginRequest>().exp_stat_sn.get() == 0);
    CHECK(requests[1].as<wire::LoginRequest>().exp_stat_sn.get() ==
          scene.target.peers[0].stat_sn - 1);
    CHECK(requests[0].as<wire::LoginRequest>().cmd_sn.get() ==
          requests[1].as<wire::LoginRequest>().cmd_sn.get());
}

TEST_CASE("READ with its status in the last Data-In, or after it", "[RFC 7143 11.7][rule-18]") {
    for (bool in_data_in : {true, false}) {
        for (uint32_t seed = 1; seed <= 20; seed++) {
            Scene scene("", seed);
            scene.chunk_max = 1 + seed * 37 % 900;
            scene.target.status_in_data_in = in_data_in;
            scene.target.data_in_bytes = 1000 + seed;  // not in words: padding
            scene.login();
            uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 16384, 8);
            scene.run();
            scene.good(tag);
            scene.disk_is_buffer(tag, 8);
            CHECK(scene.counters(0).bytes_in == 16384);
            CHECK(scene.counters(0).tasks == 0);
        }
    }
}

TEST_CASE("a WRITE in each of its four ways",
          "[RFC 7143 13.11][rule-11][rule-13][rule-15][rule-17][rule-19][rule-22]") {
    struct Way {
        const char* keys;
        uint32_t immediate;    // bytes with the command
        uint32_t unsolicited;  // and before the first R2T
    };
    const Way ways[] = {
        {"InitialR2T=Yes ImmediateData=No", 0, 0},
        {"InitialR2T=Yes ImmediateData=Yes", 8192, 8192},
        {"InitialR2T=No ImmediateData=No", 0, 12000},
        {"InitialR2T=No ImmediateData=Yes", 8192, 12000},
    };
    for (const Way& way : ways) {
        for (uint32_t length : {1u, 513u, 8191u, 8192u, 12001u, 60003u}) {
            INFO(way.keys << " " << length);
            Scene scene(std::string(way.keys) + " FirstBurstLength=12000", length);
            scene.login();
            uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, length, 16);
            scene.run();
            scene.good(tag);
            scene.disk_is_buffer(tag, 16);
            CHECK_FALSE(scene.target.numbers_wrong);
            CHECK(scene.counters(0).bytes_out == length);
            Pdu command = heard_of(scene, Opcode::ScsiCommand).at(0);
            CHECK(command.data.size() == std::min(way.immediate, length));
            bool final = command.as<wire::ScsiCommand>().flags & wire::k_final;
            CHECK(final == (std::min(way.unsolicited, length) == command.data.size()));
            // DataSN from 0 in each sequence, F on its last PDU, never beyond the segment length.
            uint32_t data_sn = 0;
            uint32_t free_bytes = 0;
            for (const Pdu& pdu : heard_of(scene, Opcode::DataOut)) {
                const auto& out = pdu.as<wire::DataOut>();
                CHECK(out.data_sn.get() == data_sn);
                CHECK(pdu.data.size() <= 8192);
                if (out.target_transfer_tag.get() == wire::k_reserved_tag)
                    free_bytes += static_cast<uint32_t>(pdu.data.size());
                data_sn = out.flags & wire::k_final ? 0 : data_sn + 1;
            }
            CHECK(data_sn == 0);
            CHECK(command.data.size() + free_bytes == std::min(way.unsolicited, length));
        }
    }
}

TEST_CASE("several R2Ts are answered in the order of their arrival",
          "[RFC 7143 11.8][rule-13][rule-19][rule-20]") {
    Scene scene("MaxOutstandingR2T=4 InitialR2T=Yes ImmediateData=No");
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        Exchange exchange;
        exchange.command = pdu.as<wire::ScsiCommand>();
        for (uint32_t i = 0; i < 4; i++) peer.send_r2t(exchange, i * 10000, 10000, 0x100 + i);
        return true;
    };
    scene.submit(0, HAWSER_DATA_WRITE, 60000);
    scene.run();
    std::vector<uint32_t> ttts;
    std::map<uint32_t, uint32_t> bytes;
    for (const Pdu& pdu : heard_of(scene, Opcode::DataOut)) {
        uint32_t ttt = pdu.as<wire::DataOut>().target_transfer_tag.get();
        CHECK(pdu.as<wire::DataOut>().buffer_offset.get() == (ttt - 0x100) * 10000 + bytes[ttt]);
        bytes[ttt] += static_cast<uint32_t>(pdu.data.size());
        if (ttts.empty() || ttts.back() != ttt) ttts.push_back(ttt);
    }
    CHECK(ttts == std::vector<uint32_t>{0x100, 0x101, 0x102, 0x103});
    for (uint32_t ttt : ttts) CHECK(bytes[ttt] == 10000);
}

// A WRITE whose target sends R2Ts and then, before they are answered, an error.
TEST_CASE("a WRITE that fails early takes back what it still owed", "[RFC 7143 11.4]") {
    Scene scene("MaxOutstandingR2T=4 InitialR2T=Yes ImmediateData=No queue_depth=1");
    scene.login();
    scene.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        Exchange exchange;
        exchange.command = pdu.as<wire::ScsiCommand>();
        scene.sides[0].mute = true;
        for (uint32_t i = 0; i < 4; i++) peer.send_r2t(exchange, i * 9000, 9000, 0x100 + i);
        peer.send_status(exchange, 2);
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 60000);
    scene.run();
    CHECK(scene.done_of(tag).completion.status == 2);
    scene.sides[0].mute = false;
    scene.target.script = nullptr;
    // The slot is used again at once; nothing of the old command is sent in its name.
    tag = scene.submit(0, HAWSER_DATA_WRITE, 20000, 16);
    scene.run();
    scene.good(tag);
    scene.disk_is_buffer(tag, 16);
    CHECK_FALSE(scene.target.numbers_wrong);
    CHECK(scene.counters(0).losses == 0);
    for (const Pdu& pdu : heard_of(scene, Opcode::DataOut))
        CHECK(pdu.as<wire::DataOut>().target_transfer_tag.get() >= 0x7700);
}

// Sends one R2T; the error comes when some of its Data-Out is out. cut: and then TCP ends.
void fail_in_the_middle(uint32_t seed, bool cut) {
    Scene scene("FirstBurstLength=512 InitialR2T=Yes ImmediateData=No DefaultTime2Wait=0", seed);
    scene.target.max_recv_data_segment_length = 65536;
    scene.chunk_max = 200;
    scene.login();
    bool done = false;
    scene.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (done || pdu.kind() != Opcode::ScsiCommand) return false;
        done = true;
        Exchange exchange;
        exchange.command = pdu.as<wire::ScsiCommand>();
        peer.send_r2t(exchange, 0, 40000, 0x100);
        scene.after_bytes = 3000;
        scene.then = [&scene, &peer, exchange, cut] {
            peer.send_status(exchange, 2);
            if (!cut) return;
            scene.sides[0].mute = true;
            peer.closed = true;
        };
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 40000);
    scene.run();
    CHECK(scene.done_of(tag).completion.status == 2);
    CHECK(scene.parked.empty());
    CHECK(scene.counters(0).losses == (cut ? 1 : 0));
    scene.sides[0].mute = false;
    scene.pass(10000);
    auto data_outs = heard_of(scene, Opcode::DataOut);
    REQUIRE(data_outs.size() == (cut ? 0 : 1));
    if (!cut) CHECK(data_outs[0].data.size() == 40000);
    tag = scene.submit(0, HAWSER_DATA_WRITE, 4096, 8);
    scene.run();
    scene.good(tag);
    scene.disk_is_buffer(tag, 8);
}

TEST_CASE("a WRITE that fails in the middle of a Data-Out ends after that PDU") {
    for (uint32_t seed = 1; seed <= 10; seed++) fail_in_the_middle(seed, false);
}

TEST_CASE("a WRITE whose status came before its connection ended is complete") {
    for (uint32_t seed = 1; seed <= 10; seed++) fail_in_the_middle(seed, true);
}

TEST_CASE("unsolicited data goes in the order of its commands", "[RFC 7143 4.2.5.2][rule-12]") {
    Scene scene("FirstBurstLength=65536");
    scene.login();
    scene.target.script = [](Peer&, const Pdu& pdu) { return pdu.kind() != Opcode::NopOut; };
    for (int i = 0; i < 4; i++) scene.submit(0, HAWSER_DATA_WRITE, 40000);
    scene.run();
    std::vector<uint32_t> commands, sequences;
    for (const Pdu& pdu : scene.target.peers[0].heard) {
        auto& list = pdu.kind() == Opcode::ScsiCommand ? commands : sequences;
        if (list.empty() || list.back() != pdu.itt()) list.push_back(pdu.itt());
    }
    REQUIRE(commands.size() == 4);
    CHECK(sequences == commands);
}

// LIO takes unsolicited Data-Out of a command that is not its turn yet as a protocol error.
TEST_CASE("with siblings a command's data beyond the immediate waits for R2T",
          "[RFC 7143 13.10][rule-11]") {
    Host host("InitialR2T=No FirstBurstLength=65536 MaxRecvDataSegmentLength=8192", 2);
    host.start();
    REQUIRE(host.state(1) == HAWSER_CONNECTION_LOGGED_IN);
    host.target.peers[0].heard.clear();
    uint32_t tag = host.submit(0, HAWSER_DATA_WRITE, 40000);
    host.run();
    CHECK(host.done_of(tag).completion.status == 0);
    CHECK((heard_of(host, Opcode::ScsiCommand).at(0).as<wire::ScsiCommand>().flags &
           wire::k_final) != 0);
    std::vector<Pdu> data = heard_of(host, Opcode::DataOut);
    CHECK_FALSE(data.empty());
    for (const Pdu& pdu : data)
        CHECK(pdu.as<wire::DataOut>().target_transfer_tag.get() != wire::k_reserved_tag);
}

TEST_CASE("many commands of all kinds, every byte compared", "[RFC 7143 4.2.2.1][rule-1][rule-2]") {
    for (uint32_t seed = 1; seed <= 8; seed++) {
        Scene scene("queue_depth=64", seed);
        scene.target.window = 4 + seed;
        scene.target.data_in_bytes = 512 + seed * 100;
        scene.login();
        std::vector<std::pair<uint32_t, uint32_t>> tags;  // with their block
        for (uint32_t i = 0; i < 60; i++) {
            uint8_t kind = static_cast<uint8_t>(scene.random() % 3);
            uint32_t length = kind ? 512 * (1 + scene.random() % 30) : 0;
            tags.emplace_back(scene.submit(0, kind, length, i * 32), i * 32);
        }
        scene.run();
        for (auto [tag, block] : tags) {
            scene.good(tag);
            scene.disk_is_buffer(tag, block);
        }
        CHECK_FALSE(scene.target.numbers_wrong);
        REQUIRE(scene.lost_with(0) == HAWSER_ERROR_NONE);
        // CmdSN rises by one with each command, and none is left out.
        auto commands = heard_of(scene, Opcode::ScsiCommand);
        for (size_t i = 1; i < commands.size(); i++)
            CHECK(commands[i].as<wire::ScsiCommand>().cmd_sn.get() ==
                  commands[i - 1].as<wire::ScsiCommand>().cmd_sn.get() + 1);
        CHECK(scene.counters(0).commands == 60);
    }
}

TEST_CASE("nothing is sent past a closed window, and it goes on when it opens",
          "[RFC 7143 4.2.2.1]") {
    Scene scene;
    scene.target.window = 2;
    scene.login();
    scene.target.script = [](Peer&, const Pdu& pdu) { return pdu.kind() == Opcode::ScsiCommand; };
    for (int i = 0; i < 5; i++) scene.submit(0, HAWSER_DATA_NONE, 0);
    scene.target.window = 0;  // further numbers do not open it
    scene.run();
    CHECK(heard_of(scene, Opcode::ScsiCommand).size() == 2);
    hawser_window window;
    hawser_session_window(scene.session, &window);
    CHECK(window.cmd_sn == window.max_cmd_sn + 1);

    scene.target.window = 2;
    wire::NopIn news;  // only the numbers: RFC 7143 11.19
    news.initiator_task_tag = wire::k_reserved_tag;
    news.target_transfer_tag = wire::k_reserved_tag;
    scene.target.peers[0].send(news, false);
    scene.run();
    CHECK(heard_of(scene, Opcode::ScsiCommand).size() == 4);
    scene.target.peers[0].send(news, false);
    scene.run();
    CHECK(heard_of(scene, Opcode::ScsiCommand).size() == 5);
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("a MaxCmdSN before ExpCmdSN - 1 is ignored", "[RFC 7143 4.2.2.1]") {
    Scene scene;
    scene.login();
    hawser_window before, after;
    hawser_session_window(scene.session, &before);
    wire::NopIn news;
    news.initiator_task_tag = wire::k_reserved_tag;
    news.target_transfer_tag = wire::k_reserved_tag;
    news.stat_sn = scene.target.peers[0].stat_sn;
    news.exp_cmd_sn = before.exp_cmd_sn + 10;
    news.max_cmd_sn = before.exp_cmd_sn + 8;
    scene.target.peers[0].send_raw(news);
    scene.run();
    hawser_session_window(scene.session, &after);
    CHECK(after.exp_cmd_sn == before.exp_cmd_sn);
    CHECK(after.max_cmd_sn == before.max_cmd_sn);
}

TEST_CASE("residuals and sense reach the host", "[RFC 7143 11.4]") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        Exchange exchange;
        exchange.command = pdu.as<wire::ScsiCommand>();
        Bytes sense(20);
        sense[1] = 18;
        sense[2] = 0x70;
        sense[4] = 0x05;
        peer.send_status(exchange, 2, wire::ScsiResponse::k_underflow, 4096, sense);
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 4096);
    scene.run();
    auto done = scene.done_of(tag);
    CHECK(done.completion.status == 2);
    CHECK(done.completion.residual == 4096);
    CHECK(done.completion.overflow == 0);
    REQUIRE(done.sense.size() == 18);
    CHECK(done.sense[0] == 0x70);
    CHECK(done.sense[2] == 0x05);
}

TEST_CASE("a short read says how much came", "[RFC 7143 11.4.5.1][rule-23]") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        Exchange exchange;
        exchange.command = pdu.as<wire::ScsiCommand>();
        exchange.data = Bytes(36, 0x42);
        peer.send_data_in(exchange, 0, 36, wire::k_final);
        peer.send_status(exchange, 0, wire::ScsiResponse::k_underflow, 255 - 36);
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 255);
    scene.run();
    auto done = scene.done_of(tag);
    CHECK(done.completion.status == 0);
    CHECK(done.completion.residual == 219);
    CHECK(scene.buffers[tag][35] == 0x42);
    CHECK(scene.buffers[tag][36] == 0xee);
}

TEST_CASE("an overflow is told as such", "[RFC 7143 11.4.5.1][rule-23]") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        Exchange exchange;
        exchange.command = pdu.as<wire::ScsiCommand>();
        peer.send_data_in(exchange, 0, 8, wire::k_final);
        peer.send_status(exchange, 0, wire::ScsiResponse::k_overflow, 100);
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 8);
    scene.run();
    auto done = scene.done_of(tag);
    CHECK(done.completion.overflow == 1);
    CHECK(done.completion.residual == 100);
}

TEST_CASE("with a Response other than 0 status and residual mean nothing",
          "[RFC 7143 11.4.3][rule-23]") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        wire::ScsiResponse response;
        response.flags |= 0x06;
        response.response = 1;
        response.status = 0x77;
        response.residual_count = 0xffffffff;
        response.initiator_task_tag = pdu.itt();
        peer.send(response, true);
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    auto done = scene.done_of(tag);
    CHECK(done.completion.response == 1);
    CHECK(done.completion.status == 0);
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("sense longer than its segment, or its segment than anything", "[RFC 7143 11.4.7.2]") {
    for (uint32_t segment : {0u, 1u, 2u, 3u, 98u, 99u, 8192u, 8193u, 262144u}) {
        for (uint32_t sense_length : {0u, 18u, 96u, 97u, 65535u}) {
            Scene scene;
            scene.chunk_max = 100000;
            scene.login();
            scene.target.script = [=](Peer& peer, const Pdu& pdu) {
                if (pdu.kind() != Opcode::ScsiCommand) return false;
                Exchange exchange;
                exchange.command = pdu.as<wire::ScsiCommand>();
                Bytes sense(segment, 0x5a);
                if (segment > 0) sense[0] = static_cast<uint8_t>(sense_length >> 8);
                if (segment > 1) sense[1] = static_cast<uint8_t>(sense_length);
                peer.send_status(exchange, 2, 0, 0, sense);
                return true;
            };
            uint32_t tag = scene.submit(0, HAWSER_DATA_NONE, 0);
            scene.run();
            uint32_t expected = segment < 2 ? 0 : std::min({sense_length, segment - 2, 96u});
            CHECK(scene.done_of(tag).sense.size() == expected);
        }
    }
}

TEST_CASE("a byte at a time") {
    Scene scene;
    scene.chunk_max = 1;
    scene.start();
    REQUIRE(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
    uint32_t read = scene.submit(0, HAWSER_DATA_READ, 1536, 4);
    uint32_t write = scene.submit(0, HAWSER_DATA_WRITE, 1536, 40);
    scene.run();
    scene.good(read);
    scene.good(write);
    scene.disk_is_buffer(read, 4);
    scene.disk_is_buffer(write, 40);
}
