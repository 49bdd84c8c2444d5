// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a target can do wrong in full feature phase, one test each: the error is the right one, no
// byte lands outside its task, and the session begins anew with the commands that were under way.

#include <catch2/catch.hpp>

#include "host.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

using Misdeed = std::function<void(Host&, Peer&, Exchange&)>;

// Submits one command; when it arrives, the target does the deed instead of answering. Returns the
// error that the connection is lost with.
uint32_t error_of(uint8_t direction, uint32_t length, const Misdeed& deed,
                  const std::string& options = "MaxOutstandingR2T=2 InitialR2T=Yes") {
    uint32_t error = HAWSER_ERROR_NONE;
    for (uint32_t seed = 1; seed <= 4; seed++) {
        Host host(options, 1, seed);
        host.start();
        bool done = false;
        host.target.script = [&](Peer& peer, const Pdu& pdu) {
            if (done || pdu.kind() != Opcode::ScsiCommand) return false;
            done = true;
            Exchange exchange;
            exchange.command = pdu.as<wire::ScsiCommand>();
            exchange.data.resize(1 << 16);
            deed(host, peer, exchange);
            return true;
        };
        uint32_t tag = host.submit(0, direction, length);
        host.run();
        host.sides[0].mute = false;
        host.pass(30000);
        uint32_t this_error = host.lost_with(0);
        if (this_error == HAWSER_ERROR_NONE) return HAWSER_ERROR_NONE;
        CHECK((seed == 1 || this_error == error));
        error = this_error;
        // The session came back, and the command with it.
        CHECK(host.state(0) == HAWSER_CONNECTION_LOGGED_IN);
        CHECK(host.snapshot().reinstatements == 1);
        CHECK(host.counters(0).losses == 1);
        CHECK(host.done_of(tag).completion.status == 0);
        CHECK(host.counters(0).tasks == 0);
    }
    return error;
}

uint32_t read_error(const Misdeed& deed) {
    return error_of(HAWSER_DATA_READ, 8192, deed);
}
uint32_t write_error(const Misdeed& deed) {
    return error_of(HAWSER_DATA_WRITE, 60000, deed);
}

wire::DataIn data_in(const Exchange& exchange) {
    wire::DataIn pdu;
    pdu.flags = wire::k_final;
    pdu.initiator_task_tag = exchange.command.initiator_task_tag.get();
    pdu.target_transfer_tag = wire::k_reserved_tag;
    return pdu;
}

wire::R2t r2t(const Exchange& exchange, uint32_t offset, uint32_t length) {
    wire::R2t pdu;
    pdu.initiator_task_tag = exchange.command.initiator_task_tag.get();
    pdu.target_transfer_tag = 0x55;
    pdu.buffer_offset = offset;
    pdu.desired_data_transfer_length = length;
    return pdu;
}

constexpr uint32_t k_immediate_bytes = 8192;  // what the command of write_error carries

}  // namespace

TEST_CASE("an unknown opcode", "[RFC 7143 11.2.1.2][rule-25]") {
    for (uint8_t opcode : {0x00, 0x01, 0x07, 0x27, 0x30, 0x33, 0x3e, 0x1f})
        CHECK(read_error([&](Host&, Peer& peer, Exchange&) {
                  wire::NopIn pdu;
                  pdu.opcode = opcode;
                  peer.send(pdu, false);
              }) == HAWSER_ERROR_UNKNOWN_OPCODE);
}

TEST_CASE("an opcode that has no place here", "[RFC 7143 4.2.5]") {
    for (uint8_t opcode : {0x22, 0x23, 0x24, 0x26})
        CHECK(read_error([&](Host&, Peer& peer, Exchange&) {
                  wire::NopIn pdu;
                  pdu.opcode = opcode;
                  peer.send(pdu, false);
              }) == HAWSER_ERROR_UNEXPECTED_OPCODE);
}

TEST_CASE("the reserved bits of the first byte are ignored", "[RFC 7143 11.2.1][rule-25]") {
    Host host;
    host.start();
    wire::NopIn pdu;
    pdu.opcode |= 0xc0;
    pdu.initiator_task_tag = wire::k_reserved_tag;
    pdu.target_transfer_tag = wire::k_reserved_tag;
    host.target.peers[0].send(pdu, false);
    host.run();
    CHECK(host.counters(0).losses == 0);
}

TEST_CASE("a data segment beyond MaxRecvDataSegmentLength", "[RFC 7143 13.12][rule-17]") {
    for (uint32_t length : {262145u, (1u << 24) - 1})
        CHECK(read_error([&](Host&, Peer& peer, Exchange& exchange) {
                  wire::ScsiResponse pdu;
                  pdu.initiator_task_tag = exchange.command.initiator_task_tag.get();
                  pdu.data_segment_length = length;
                  const auto* bytes = reinterpret_cast<const uint8_t*>(&pdu);
                  peer.out.insert(peer.out.end(), bytes, bytes + sizeof(pdu));
              }) == HAWSER_ERROR_SEGMENT_TOO_LONG);
}

TEST_CASE("a target's PDU with an AHS", "[RFC 7143 11.2.1.5]") {
    CHECK(read_error([](Host&, Peer& peer, Exchange& exchange) {
              wire::ScsiResponse pdu;
              pdu.initiator_task_tag = exchange.command.initiator_task_tag.get();
              pdu.total_ahs_length = 255;
              peer.send(pdu, true);
          }) == HAWSER_ERROR_BAD_AHS);
}

TEST_CASE("a PDU for a task that does not exist", "[RFC 7143 4.2.5.3][rule-9]") {
    auto itts = [](uint32_t real) {
        return std::vector<uint32_t>{0,          0xffffffff,     0x80000000,    real ^ 0x80000000,
                                     real + 1,   real ^ 0x10000, real | 0x8000, 0xffff0000 | real,
                                     0x0000ffff, 0xf1000000};
    };
    for (size_t which = 0; which < itts(0).size(); which++) {
        INFO(which);
        auto wrong = [&](const Exchange& exchange) {
            return itts(exchange.command.initiator_task_tag.get())[which];
        };
        CHECK(read_error([&](Host&, Peer& peer, Exchange& exchange) {
                  wire::ScsiResponse pdu;
                  pdu.initiator_task_tag = wrong(exchange);
                  peer.send(pdu, true);
              }) == HAWSER_ERROR_UNKNOWN_TASK);
        CHECK(read_error([&](Host&, Peer& peer, Exchange& exchange) {
                  wire::DataIn pdu = data_in(exchange);
                  pdu.initiator_task_tag = wrong(exchange);
                  peer.send(pdu, false, Bytes(512));
              }) == HAWSER_ERROR_UNKNOWN_TASK);
        CHECK(write_error([&](Host&, Peer& peer, Exchange& exchange) {
                  wire::R2t pdu = r2t(exchange, k_immediate_bytes, 4096);
                  pdu.initiator_task_tag = wrong(exchange);
                  peer.send(pdu, false);
              }) == HAWSER_ERROR_UNKNOWN_TASK);
    }
}

TEST_CASE("a second answer to a task that is done", "[RFC 7143 4.2.5.3][rule-9]") {
    Host host;
    host.start();
    host.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        Exchange exchange;
        exchange.command = pdu.as<wire::ScsiCommand>();
        peer.send_status(exchange, 0);
        peer.send_status(exchange, 0);
        return true;
    };
    uint32_t tag = host.submit(0, HAWSER_DATA_NONE, 0);
    host.run();
    CHECK(host.done_of(tag).completion.status == 0);
    CHECK(host.done.empty());
    CHECK(host.lost_with(0) == HAWSER_ERROR_UNKNOWN_TASK);
}

TEST_CASE("a task of another connection", "[RFC 7143 4.2.5.1][rule-9]") {
    Host host("", 2);
    host.start();
    uint32_t itt = 0;
    host.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand || itt) return false;
        itt = pdu.itt();
        Exchange exchange;
        exchange.command = pdu.as<wire::ScsiCommand>();
        exchange.data.resize(512);
        Peer& other = host.target.peers[&peer == &host.target.peers[0] ? 1 : 0];
        other.send_data_in(exchange, 0, 512, wire::k_final);
        return true;
    };
    host.submit(0, HAWSER_DATA_READ, 512);
    host.run();
    CHECK(host.lost_with(1) == HAWSER_ERROR_UNKNOWN_TASK);
}

TEST_CASE("data against the direction of its command", "[RFC 7143 11.7][rule-9]") {
    CHECK(write_error([](Host&, Peer& peer, Exchange& exchange) {
              peer.send(data_in(exchange), false, Bytes(512, 0x66));
          }) == HAWSER_ERROR_WRONG_DIRECTION);
    CHECK(error_of(HAWSER_DATA_NONE, 0, [](Host&, Peer& peer, Exchange& exchange) {
              peer.send(data_in(exchange), false, Bytes(512, 0x66));
          }) == HAWSER_ERROR_WRONG_DIRECTION);
    CHECK(read_error([](Host&, Peer& peer, Exchange& exchange) {
              peer.send(r2t(exchange, 0, 4096), false);
          }) == HAWSER_ERROR_WRONG_DIRECTION);
    CHECK(error_of(HAWSER_DATA_NONE, 0, [](Host&, Peer& peer, Exchange& exchange) {
              peer.send(r2t(exchange, 0, 4096), false);
          }) == HAWSER_ERROR_WRONG_DIRECTION);
}

TEST_CASE("Data-In beyond the command's length", "[RFC 7143 11.7.5][rule-9][rule-17]") {
    for (auto [offset, length] : {std::pair{0u, 8193u},
                                  {8192u, 1u},
                                  {8191u, 2u},
                                  {8193u, 0u},
                                  {0xffffffffu, 1u},
                                  {0xfffff000u, 0x1001u}})
        CHECK(read_error([&](Host&, Peer& peer, Exchange& exchange) {
                  wire::DataIn pdu = data_in(exchange);
                  pdu.buffer_offset = offset;
                  peer.send(pdu, false, Bytes(length, 0x66));
              }) == HAWSER_ERROR_DATA_OUT_OF_RANGE);
}

TEST_CASE("Data-In out of order", "[RFC 7143 11.7.6]") {
    CHECK(read_error([](Host&, Peer& peer, Exchange& exchange) {
              wire::DataIn pdu = data_in(exchange);
              pdu.data_sn = 1;
              peer.send(pdu, false, Bytes(512));
          }) == HAWSER_ERROR_DATA_SN);
    // DataPDUInOrder=Yes: neither a gap nor an overlay (13.18).
    for (uint32_t second : {0u, 511u, 513u, 1024u})
        CHECK(read_error([&](Host&, Peer& peer, Exchange& exchange) {
                  peer.send_data_in(exchange, 0, 512, 0);
                  peer.send_data_in(exchange, second, 512, wire::k_final);
              }) == HAWSER_ERROR_BAD_FIELD);
}

TEST_CASE("Data-In with status and without F", "[RFC 7143 11.7.1][rule-18]") {
    CHECK(read_error([](Host&, Peer& peer, Exchange& exchange) {
              wire::DataIn pdu = data_in(exchange);
              pdu.flags = wire::DataIn::k_status;
              peer.send(pdu, true, Bytes(512));
          }) == HAWSER_ERROR_BAD_FIELD);
}

TEST_CASE("Data-In without data is allowed", "[RFC 7143 11.7][rule-18]") {
    Host host;
    host.start();
    host.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        Exchange exchange;
        exchange.command = pdu.as<wire::ScsiCommand>();
        exchange.data.assign(512, 0x31);
        peer.send_data_in(exchange, 0, 0, 0);
        peer.send_data_in(exchange, 0, 512, 0);
        peer.send_data_in(exchange, 512, 0, wire::k_final | wire::DataIn::k_status);
        return true;
    };
    uint32_t tag = host.submit(0, HAWSER_DATA_READ, 512);
    host.run();
    CHECK(host.done_of(tag).completion.status == 0);
    CHECK(host.buffers[tag] == Bytes(512, 0x31));
}

TEST_CASE("GOOD though data is missing", "[RFC 7143 11.4]") {
    CHECK(read_error([](Host&, Peer& peer, Exchange& exchange) {
              peer.send_status(exchange, 0);
          }) == HAWSER_ERROR_DATA_MISSING);
    CHECK(read_error([](Host&, Peer& peer, Exchange& exchange) {
              peer.send_data_in(exchange, 0, 8191, wire::k_final | wire::DataIn::k_status);
          }) == HAWSER_ERROR_DATA_MISSING);
    CHECK(read_error([](Host&, Peer& peer, Exchange& exchange) {
              peer.send_status(exchange, 0, wire::ScsiResponse::k_underflow, 8191);
          }) == HAWSER_ERROR_DATA_MISSING);
    CHECK(write_error([](Host&, Peer& peer, Exchange& exchange) {
              peer.send_status(exchange, 0);
          }) == HAWSER_ERROR_DATA_MISSING);
}

TEST_CASE("a residual that cannot be", "[RFC 7143 11.4.5.1][rule-23]") {
    CHECK(read_error([](Host&, Peer& peer, Exchange& exchange) {
              peer.send_status(exchange, 2, wire::ScsiResponse::k_underflow, 8193);
          }) == HAWSER_ERROR_BAD_FIELD);
    CHECK(read_error([](Host&, Peer& peer, Exchange& exchange) {
              peer.send_status(exchange, 2,
                               wire::ScsiResponse::k_underflow | wire::ScsiResponse::k_overflow, 1);
          }) == HAWSER_ERROR_BAD_FIELD);
}

TEST_CASE("R2Ts that cannot be", "[RFC 7143 11.8][rule-21]") {
    auto sent = [](uint32_t offset, uint32_t length) {
        return write_error([=](Host&, Peer& peer, Exchange& exchange) {
            peer.send(r2t(exchange, offset, length), false);
        });
    };
    CHECK(sent(k_immediate_bytes, 0) == HAWSER_ERROR_R2T_OUT_OF_RANGE);
    CHECK(sent(k_immediate_bytes, 60000) == HAWSER_ERROR_R2T_OUT_OF_RANGE);
    CHECK(sent(60000, 1) == HAWSER_ERROR_R2T_OUT_OF_RANGE);
    CHECK(sent(0xffffffff, 2) == HAWSER_ERROR_R2T_OUT_OF_RANGE);
    CHECK(sent(0, 4096) == HAWSER_ERROR_R2T_OUT_OF_RANGE);
    CHECK(sent(k_immediate_bytes + 4, 4096) == HAWSER_ERROR_R2T_OUT_OF_RANGE);
    CHECK(sent(k_immediate_bytes, 1048577) == HAWSER_ERROR_R2T_TOO_LONG);
    CHECK(sent(k_immediate_bytes, 0xffffffff) == HAWSER_ERROR_R2T_TOO_LONG);
}

TEST_CASE("R2Ts beyond MaxOutstandingR2T, out of order, with wrong fields",
          "[RFC 7143 11.8][rule-9][rule-21]") {
    CHECK(write_error([](Host& host, Peer& peer, Exchange& exchange) {
              // All three are there before the first can be answered.
              host.sides[0].mute = true;
              for (uint32_t i = 0; i < 3; i++)
                  peer.send_r2t(exchange, k_immediate_bytes + i * 9000, 9000, 0x10 + i);
          }) == HAWSER_ERROR_R2T_TOO_MANY);
    CHECK(write_error([](Host&, Peer& peer, Exchange& exchange) {
              wire::R2t pdu = r2t(exchange, k_immediate_bytes, 4096);
              pdu.r2t_sn = 1;
              peer.send(pdu, false);
          }) == HAWSER_ERROR_R2T_SN);
    CHECK(write_error([](Host&, Peer& peer, Exchange& exchange) {
              wire::R2t pdu = r2t(exchange, k_immediate_bytes, 4096);
              pdu.target_transfer_tag = wire::k_reserved_tag;
              peer.send(pdu, false);
          }) == HAWSER_ERROR_BAD_FIELD);
    CHECK(write_error([](Host&, Peer& peer, Exchange& exchange) {
              wire::R2t pdu = r2t(exchange, k_immediate_bytes, 4096);
              pdu.lun[1] = 1;
              peer.send(pdu, false);
          }) == HAWSER_ERROR_BAD_FIELD);
    CHECK(write_error([](Host&, Peer& peer, Exchange& exchange) {
              peer.send(r2t(exchange, k_immediate_bytes, 4096), false, Bytes(4));
          }) == HAWSER_ERROR_BAD_FIELD);
}

TEST_CASE("StatSN out of order", "[RFC 7143 7.9][rule-5][rule-6]") {
    for (uint32_t jump : {1u, 2u, 0xffffffffu, 0x80000000u})
        CHECK(read_error([&](Host&, Peer& peer, Exchange& exchange) {
                  peer.stat_sn += jump;
                  peer.send_status(exchange, 2);
              }) == HAWSER_ERROR_STAT_SN);
}

TEST_CASE("a Reject", "[RFC 7143 11.17]") {
    CHECK(read_error([](Host&, Peer& peer, Exchange& exchange) {
              wire::Reject pdu;
              pdu.reason = 4;
              Bytes header(48);
              std::memcpy(header.data(), &exchange.command, 48);
              peer.send(pdu, true, header);
          }) == HAWSER_ERROR_REJECTED);
}

TEST_CASE("a NOP-In that answers nothing", "[RFC 7143 11.19]") {
    CHECK(read_error([](Host&, Peer& peer, Exchange& exchange) {
              wire::NopIn pdu;
              pdu.initiator_task_tag = exchange.command.initiator_task_tag.get();
              peer.send(pdu, true);
          }) == HAWSER_ERROR_BAD_NOP);
    CHECK(read_error([](Host& host, Peer& peer, Exchange&) {
              host.sides[0].mute = true;
              wire::NopIn pdu;
              pdu.initiator_task_tag = wire::k_reserved_tag;
              for (uint32_t i = 0; i < 64; i++) {
                  pdu.target_transfer_tag = i;
                  peer.send(pdu, false);
              }
          }) == HAWSER_ERROR_BAD_NOP);
}

TEST_CASE("asynchronous messages are the loss that they announce", "[RFC 7143 11.9.1][rule-29]") {
    auto event = [](uint8_t code) {
        return [=](Host&, Peer& peer, Exchange&) {
            wire::AsyncMessage pdu;
            pdu.async_event = code;
            pdu.parameter2 = 3;
            pdu.parameter3 = 20;
            peer.send(pdu, true);
        };
    };
    CHECK(read_error(event(2)) == HAWSER_ERROR_ASYNC_DROP_CONNECTION);
    CHECK(read_error(event(3)) == HAWSER_ERROR_ASYNC_DROP_SESSION);
}

TEST_CASE("the Time2Wait of an asynchronous message is obeyed",
          "[RFC 7143 7.5.2][rule-29][rule-56]") {
    Host host;
    host.start();
    wire::AsyncMessage pdu;
    pdu.async_event = 3;
    pdu.parameter2 = 7;
    host.target.peers[0].send(pdu, true);
    host.run();
    CHECK(host.state(0) == HAWSER_CONNECTION_FREE);
    host.pass(6900);
    CHECK(host.sides[0].connects == 1);
    host.pass(200);
    CHECK(host.sides[0].connects == 2);
    CHECK(host.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("asynchronous messages that announce no loss", "[RFC 7143 11.9.1]") {
    Host host;
    host.start();
    wire::AsyncMessage pdu;
    for (uint8_t code : {0, 5, 255}) {
        pdu.async_event = code;
        host.target.peers[0].send(pdu, true);
    }
    pdu.async_event = 2;
    pdu.parameter1 = 9;  // another connection
    host.target.peers[0].send(pdu, true);
    host.run();
    CHECK(host.counters(0).losses == 0);
    CHECK(host.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("a target that asks for a logout, however often", "[RFC 7143 11.9.1]") {
    Host host;
    host.start();
    wire::AsyncMessage pdu;
    pdu.async_event = 1;
    pdu.parameter3 = 5;
    for (int i = 0; i < 20; i++) host.target.peers[0].send(pdu, true);
    host.chunk_max = 100000;
    host.run();
    host.pass(10000);
    CHECK(host.snapshot().reinstatements == 1);
    CHECK(host.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("random bytes instead of PDUs never hurt") {
    for (uint32_t seed = 1; seed <= 300; seed++) {
        Host host("timeout=5 queue_depth=16", 1, seed);
        host.chunk_max = 1 + seed % 200;
        host.start();
        for (int i = 0; i < 8; i++)
            host.submit(0, static_cast<uint8_t>(1 + i % 2), 4096, static_cast<uint32_t>(i) * 8);
        uint32_t after = seed % 7;
        host.target.script = [&](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() != Opcode::ScsiCommand || after-- > 0) return false;
            // A plausible header with a few wild bytes.
            wire::DataIn wild = data_in({pdu.as<wire::ScsiCommand>(), {}});
            auto* bytes = reinterpret_cast<uint8_t*>(&wild);
            const uint8_t opcodes[] = {0x20, 0x21, 0x25, 0x26, 0x31, 0x32, 0x3f, 0x23};
            wild.opcode = opcodes[host.random() % 8];
            for (uint32_t n = host.random() % 6; n > 0; n--)
                bytes[host.random() % 48] = static_cast<uint8_t>(host.random());
            wild.stat_sn = peer.stat_sn;
            const auto* whole = reinterpret_cast<const uint8_t*>(&wild);
            peer.out.insert(peer.out.end(), whole, whole + 48);
            for (uint32_t n = host.random() % 2000; n > 0; n--)
                peer.out.push_back(static_cast<uint8_t>(host.random()));
            after = 1000000;
            return true;
        };
        host.run();
        host.cut(0);
        host.target.script = nullptr;
        host.pass(60000);
        CHECK(host.state(0) == HAWSER_CONNECTION_LOGGED_IN);
        CHECK(host.in_use.empty());
    }
}
