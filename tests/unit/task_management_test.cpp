// SPDX-License-Identifier: GPL-2.0-or-later
//
// Task management against a scripted target: what goes out, what comes back to the host, and what
// a target may still say about a task that is no more.

#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

// A target that keeps commands to itself; a test lets it talk by `command_of`.
bool mute(Peer& peer, const Pdu& pdu) {
    if (pdu.kind() != Opcode::ScsiCommand) return pdu.kind() == Opcode::DataOut;
    peer.exchanges[pdu.itt()].command = pdu.as<wire::ScsiCommand>();
    return true;
}

// The same, and functions are not answered either.
bool deaf(Peer& peer, const Pdu& pdu) {
    return mute(peer, pdu) || pdu.kind() == Opcode::TaskManagementRequest;
}

const wire::TaskManagementRequest& function_of(const std::vector<Pdu>& heard, size_t at = 0) {
    REQUIRE(at < heard.size());
    return heard[at].as<wire::TaskManagementRequest>();
}

Exchange& exchange_of(Host& host, uint32_t tag, uint32_t index = 0) {
    for (auto& [itt, exchange] : host.target.peers[index].exchanges)
        if ((itt & 0xffff) == tag) return exchange;
    FAIL("the target has no command of tag " << tag);
    return host.target.peers[index].exchanges.begin()->second;
}

void aborted(Host& host, uint32_t tag) {
    CHECK(host.done_of(tag).completion.aborted == 1);
    for (const auto& more : host.done) CHECK(more.completion.tag != tag);
}

void answered(Host& host, uint8_t response, size_t results = 1) {
    REQUIRE(host.managed.size() == results);
    CHECK(host.managed.back().error == HAWSER_ERROR_NONE);
    CHECK(host.managed.back().response == response);
}

// A command whose answer never comes, at another LUN than 0.
uint32_t submit_at(Host& host, uint32_t index, uint8_t lun) {
    uint32_t tag = host.submit(index, HAWSER_DATA_READ, 512);
    host.sides[index].queue.back().lun[1] = lun;
    host.in_use[tag].lun[1] = lun;
    host.run();
    return tag;
}

}  // namespace

TEST_CASE("ABORT TASK names the task by its ITT and its CmdSN",
          "[RFC 7143 11.5.5][rule-61][rule-62]") {
    Scene scene;
    scene.login();
    scene.target.script = mute;
    scene.submit(0, HAWSER_DATA_READ, 512);
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 4096);
    scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    auto commands = heard_of(scene, Opcode::ScsiCommand);
    REQUIRE(commands.size() == 3);
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, tag);
    auto heard = heard_of(scene, Opcode::TaskManagementRequest);
    REQUIRE(heard.size() == 1);
    const auto& request = function_of(heard);
    const auto& command = commands[1].as<wire::ScsiCommand>();
    CHECK(request.opcode == (wire::k_immediate | 0x02));
    CHECK(request.function == (wire::k_final | 1));
    CHECK(request.referenced_task_tag.get() == command.initiator_task_tag.get());
    CHECK(request.ref_cmd_sn.get() == command.cmd_sn.get());
    CHECK(request.cmd_sn.get() == scene.target.exp_cmd_sn);
    CHECK(request.initiator_task_tag.get() != command.initiator_task_tag.get());
    CHECK(request.exp_data_sn.get() == 0);
    answered(scene, 0);
    aborted(scene, tag);
    CHECK(scene.done.empty());
    CHECK(scene.counters(0).tasks == 2);
}

TEST_CASE("ABORT TASK goes on the connection of its task only", "[RFC 7143 11.5.1][rule-61]") {
    Host host("", 2);
    host.start();
    host.target.script = mute;
    uint32_t tag = host.submit(1, HAWSER_DATA_READ, 512);
    host.run();
    host.manage(0, HAWSER_FUNCTION_ABORT_TASK, tag);
    answered(host, 1);  // not known here, and nothing is asked
    host.manage(1, HAWSER_FUNCTION_ABORT_TASK, tag);
    answered(host, 0, 2);
    CHECK(heard_of(host, Opcode::TaskManagementRequest, 0).empty());
    CHECK(heard_of(host, Opcode::TaskManagementRequest, 1).size() == 1);
    aborted(host, tag);
}

TEST_CASE("a task that was not sent is taken back without a PDU", "[RFC 7143 11.5.1]") {
    Scene scene;
    scene.target.window = 1;
    scene.login();
    scene.target.script = mute;
    uint32_t first = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.target.window = 0;
    scene.run();
    uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 512);
    scene.run();
    REQUIRE(heard_of(scene, Opcode::ScsiCommand).size() == 1);
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, tag);
    CHECK(heard_of(scene, Opcode::TaskManagementRequest).empty());
    answered(scene, 0);
    aborted(scene, tag);
    // A closed window does not keep a function back.
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, first);
    CHECK(heard_of(scene, Opcode::TaskManagementRequest).size() == 1);
    aborted(scene, first);
}

TEST_CASE("a task that completes first is completed, once", "[RFC 7143 4.2.3.3]") {
    for (uint8_t response : {0, 1}) {
        Scene scene;
        scene.login();
        scene.target.script = [=](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() != Opcode::TaskManagementRequest) return mute(peer, pdu);
            peer.send_status(peer.exchanges.begin()->second, 8);
            peer.answer_management(pdu, response);
            return true;
        };
        uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
        scene.run();
        scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, tag);
        answered(scene, response);
        auto done = scene.done_of(tag).completion;
        CHECK(done.aborted == 0);
        CHECK(done.status == 8);
        CHECK(scene.done.empty());
    }
}

TEST_CASE("a refused function leaves the task as it is", "[RFC 7143 11.6.1]") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::TaskManagementRequest) return mute(peer, pdu);
        peer.answer_management(pdu, 5);
        return true;
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, tag);
    answered(scene, 5);
    scene.manage(0, HAWSER_FUNCTION_LOGICAL_UNIT_RESET);
    answered(scene, 5, 2);
    CHECK(scene.done.empty());
    scene.target.peers[0].send_status(exchange_of(scene, tag), 8);
    scene.run();
    CHECK(scene.done_of(tag).completion.status == 8);
}

TEST_CASE("what comes for an ended task hurts nobody", "[RFC 7143 4.2.3.3]") {
    Scene scene;
    scene.login();
    scene.target.script = mute;
    uint32_t read = scene.submit(0, HAWSER_DATA_READ, 4096);
    uint32_t write = scene.submit(0, HAWSER_DATA_WRITE, 200000);
    scene.run();
    Exchange read_of = exchange_of(scene, read), write_of = exchange_of(scene, write);
    scene.manage(0, HAWSER_FUNCTION_LOGICAL_UNIT_RESET);
    aborted(scene, read);
    aborted(scene, write);
    scene.target.peers[0].heard.clear();
    scene.buffers[read].assign(4096, 0xee);

    read_of.data.assign(4096, 0x11);
    Peer& peer = scene.target.peers[0];
    peer.send_data_in(read_of, 0, 1021, 0);
    peer.send_data_in(read_of, 1021, 3075, wire::k_final | wire::DataIn::k_status);
    peer.send_status(read_of, 0);
    peer.send_r2t(write_of, 65536, 8192, 0x77);
    peer.send_status(write_of, 0);
    scene.run();
    CHECK(scene.buffers[read] == Bytes(4096, 0xee));
    CHECK(heard_of(scene, Opcode::DataOut).empty());
    CHECK(scene.done.empty());
    CHECK(scene.counters(0).losses == 0);

    // The numbers of all that were taken, and the slots serve again.
    scene.target.script = nullptr;
    uint32_t again = scene.submit(0, HAWSER_DATA_READ, 4096, 8);
    CHECK(again == read);
    scene.run();
    scene.good(again);
    CHECK(scene.counters(0).losses == 0);
}

TEST_CASE("what comes for an ended task hurts nobody, though its slot was begun and taken back",
          "[RFC 7143 4.2.3.3]") {
    Scene scene;
    scene.target.window = 1;
    scene.login();
    scene.target.script = mute;
    uint32_t first = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    const Exchange late = exchange_of(scene, first);
    scene.target.window = 0;
    scene.manage(0, HAWSER_FUNCTION_LOGICAL_UNIT_RESET);
    aborted(scene, first);
    uint32_t second = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    REQUIRE(second == first);
    REQUIRE(heard_of(scene, Opcode::ScsiCommand).size() == 1);
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, second);
    aborted(scene, second);
    scene.target.peers[0].send_status(late, 0);
    scene.run();
    CHECK(scene.counters(0).losses == 0);
    CHECK(scene.state(0) == HAWSER_CONNECTION_LOGGED_IN);
}

TEST_CASE("an unknown ITT is an error also after an abort", "[RFC 7143 4.2.5.3]") {
    Scene scene;
    scene.login();
    scene.target.script = mute;
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    Exchange other = exchange_of(scene, tag);
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, tag);
    other.command.initiator_task_tag = other.command.initiator_task_tag.get() + 0x10000;
    scene.target.peers[0].send_status(other, 0);
    scene.run();
    CHECK(scene.lost_with(0) == HAWSER_ERROR_UNKNOWN_TASK);
}

TEST_CASE("R2Ts are answered while ABORT TASK SET is outstanding", "[RFC 7143 4.2.3.3][rule-60]") {
    Scene scene("InitialR2T=Yes ImmediateData=No");
    scene.login();
    Pdu asked;
    scene.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() == Opcode::TaskManagementRequest) asked = pdu;
        return deaf(peer, pdu);
    };
    uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 65536);
    scene.run();
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK_SET);
    const auto request = function_of(heard_of(scene, Opcode::TaskManagementRequest));
    CHECK(request.function == (wire::k_final | 2));
    CHECK(request.referenced_task_tag.get() == wire::k_reserved_tag);
    CHECK(request.ref_cmd_sn.get() == 0);
    Peer& peer = scene.target.peers[0];
    peer.send_r2t(exchange_of(scene, tag), 0, 20000, 0x42);
    scene.run();
    auto data = heard_of(scene, Opcode::DataOut);
    REQUIRE_FALSE(data.empty());
    size_t sum = 0;
    for (const Pdu& pdu : data) {
        CHECK(pdu.as<wire::DataOut>().target_transfer_tag.get() == 0x42);
        sum += pdu.data.size();
    }
    CHECK(sum == 20000);
    CHECK((data.back().as<wire::DataOut>().flags & wire::k_final) != 0);
    CHECK(scene.done.empty());
    peer.answer_management(asked);
    scene.run();
    answered(scene, 0);
    aborted(scene, tag);
}

TEST_CASE("a write that is half in the socket is given back when its PDU has left") {
    Scene scene("InitialR2T=Yes ImmediateData=No");
    scene.login();
    uint32_t tag = scene.submit(0, HAWSER_DATA_WRITE, 65536);
    scene.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() == Opcode::ScsiCommand) {
            peer.exchanges[pdu.itt()].command = pdu.as<wire::ScsiCommand>();
            peer.send_r2t(peer.exchanges[pdu.itt()], 0, 65536, 0x42);
        } else if (pdu.kind() == Opcode::TaskManagementRequest) {
            peer.answer_management(pdu);
        }
        return true;
    };
    // Enough that the first Data-Out has begun: 48 of the command, 48 of its header.
    scene.after_bytes = 48 + 48 + 100;
    scene.then = [&] { scene.sides[0].mute = true; };
    scene.run();
    hawser_connection* connection = scene.sides[0].connection;
    hawser_transmit rest;
    REQUIRE(hawser_connection_poll_transmit(connection, 65536, &rest));
    REQUIRE(rest.data_length != 0);
    hawser_task_management request = {};
    request.function = HAWSER_FUNCTION_LOGICAL_UNIT_RESET;
    // Its PDU waits behind the data; the target's word overtakes it all the same.
    CHECK((hawser_connection_manage(connection, &request, scene.now_ms) & HAWSER_WANT_TRANSMIT) !=
          0);
    hawser_scope scope = {};
    scope.function = HAWSER_FUNCTION_LOGICAL_UNIT_RESET;
    scope.cmd_sn = scene.target.exp_cmd_sn;
    uint32_t epoch = scene.snapshot().epoch;
    CHECK(hawser_connection_conclude(connection, epoch + 1, &scope) == 0);
    CHECK((hawser_connection_conclude(connection, epoch, &scope) & HAWSER_WANT_COMPLETION) == 0);
    scene.run();
    CHECK(scene.done.empty());
    scene.sides[0].mute = false;
    scene.sides[0].transmit_due = true;
    scene.run();
    aborted(scene, tag);
    // Its other Data-Outs are not sent, and the stream is whole: the function got through.
    CHECK(heard_of(scene, Opcode::DataOut).size() == 1);
    answered(scene, 0);
    CHECK(scene.counters(0).losses == 0);
}

TEST_CASE("a reset ends the tasks of its LUN on every connection", "[RFC 7143 4.2.3.2]") {
    Host host("", 3);
    host.start();
    host.target.script = mute;
    uint32_t near = submit_at(host, 0, 1), far = submit_at(host, 1, 1),
             other = submit_at(host, 2, 2);
    host.manage(0, HAWSER_FUNCTION_LOGICAL_UNIT_RESET, 0, 1);
    const auto request = function_of(heard_of(host, Opcode::TaskManagementRequest, 0));
    CHECK(request.function == (wire::k_final | 5));
    CHECK(request.lun[1] == 1);
    CHECK(request.referenced_task_tag.get() == wire::k_reserved_tag);
    answered(host, 0);
    aborted(host, near);
    aborted(host, far);
    CHECK(host.done.empty());
    host.manage(2, HAWSER_FUNCTION_TARGET_WARM_RESET);
    aborted(host, other);
    const auto reset = function_of(heard_of(host, Opcode::TaskManagementRequest, 2));
    CHECK(reset.function == (wire::k_final | 6));
    CHECK(reset.lun[1] == 0);
    for (uint32_t i = 0; i < 3; i++) CHECK(host.counters(i).losses == 0);
}

TEST_CASE("a Data-In that is on its way on a sibling is not placed any more") {
    Host host("MaxRecvDataSegmentLength=65536", 2);
    host.chunk_max = 64;
    host.start();
    host.target.data_in_bytes = 65536;
    host.target.script = mute;
    uint32_t tag = host.submit(1, HAWSER_DATA_READ, 40001);
    host.run();
    Exchange& exchange = exchange_of(host, tag, 1);
    exchange.data.assign(40001, 0x55);
    Peer& peer = host.target.peers[1];
    peer.send_data_in(exchange, 0, 40001, wire::k_final | wire::DataIn::k_status);
    Bytes tail(peer.out.begin() + 5000, peer.out.end());
    peer.out.resize(5000);
    host.run();
    host.manage(0, HAWSER_FUNCTION_LOGICAL_UNIT_RESET);
    aborted(host, tag);
    Bytes before = host.buffers[tag];
    peer.out.insert(peer.out.end(), tail.begin(), tail.end());
    host.run();
    CHECK(host.buffers[tag] == before);
    CHECK(host.counters(1).losses == 0);
    host.target.script = nullptr;
    uint32_t again = host.submit(1, HAWSER_DATA_READ, 512);
    host.run();
    CHECK(host.done_of(again).completion.status == 0);
}

TEST_CASE("a function without an answer has its own timeout", "[RFC 7143 4.2.3.3]") {
    struct Case {
        uint8_t function;
        uint32_t seconds;
    };
    for (Case wanted :
         {Case{HAWSER_FUNCTION_ABORT_TASK, 3}, Case{HAWSER_FUNCTION_CLEAR_TASK_SET, 3},
          Case{HAWSER_FUNCTION_LOGICAL_UNIT_RESET, 4},
          Case{HAWSER_FUNCTION_TARGET_COLD_RESET, 6}}) {
        Scene scene("abort_timeout=3 lu_reset_timeout=4 tgt_reset_timeout=6 noop_out_interval=0");
        scene.login();
        Pdu asked;
        scene.target.script = [&](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() == Opcode::TaskManagementRequest) asked = pdu;
            return deaf(peer, pdu);
        };
        uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
        scene.run();
        scene.manage(0, wanted.function, tag);
        CHECK(function_of(heard_of(scene, Opcode::TaskManagementRequest)).function ==
              (wire::k_final | wanted.function));
        scene.pass(wanted.seconds * 1000 - 1);
        CHECK(scene.managed.empty());
        scene.pass(1);
        REQUIRE(scene.managed.size() == 1);
        CHECK(scene.managed[0].error == HAWSER_ERROR_TASK_MANAGEMENT_TIMEOUT);
        CHECK(scene.managed[0].function == wanted.function);
        CHECK(scene.counters(0).losses == 0);
        // An answer that comes late is discarded; a second one is nobody's.
        scene.target.peers[0].answer_management(asked);
        scene.run();
        CHECK(scene.done.empty());
        CHECK(scene.managed.size() == 1);
        CHECK(scene.counters(0).losses == 0);
        scene.target.peers[0].answer_management(asked);
        scene.run();
        CHECK(scene.lost_with(0) == HAWSER_ERROR_UNEXPECTED_OPCODE);
    }
}

TEST_CASE("a connection that is lost gives the function's result and the tasks parked") {
    Scene scene;
    scene.hold_parked = true;
    scene.login();
    scene.target.script = deaf;
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, tag);
    scene.cut(0);
    scene.run();
    REQUIRE(scene.managed.size() == 1);
    CHECK(scene.managed[0].error == HAWSER_ERROR_TASK_MANAGEMENT_LOST);
    CHECK(scene.parked == std::vector<uint32_t>{tag});
    CHECK(scene.done.empty());
}

TEST_CASE("a connection that takes no commands manages none", "[RFC 7143 11.14][rule-63]") {
    Scene scene;
    scene.manage(0, HAWSER_FUNCTION_LOGICAL_UNIT_RESET);
    REQUIRE(scene.managed.size() == 1);
    CHECK(scene.managed[0].error == HAWSER_ERROR_TASK_MANAGEMENT_LOST);
}

TEST_CASE("one function at a time on a connection") {
    Scene scene;
    scene.login();
    scene.target.script = deaf;
    scene.manage(0, HAWSER_FUNCTION_LOGICAL_UNIT_RESET);
    scene.manage(0, HAWSER_FUNCTION_TARGET_WARM_RESET);
    CHECK(heard_of(scene, Opcode::TaskManagementRequest).size() == 1);
    CHECK(scene.managed.empty());
    scene.pass(40000);
    CHECK(scene.managed.size() == 1);
    scene.manage(0, HAWSER_FUNCTION_TARGET_WARM_RESET);
    auto heard = heard_of(scene, Opcode::TaskManagementRequest);
    REQUIRE(heard.size() == 2);
    CHECK(heard[0].itt() != heard[1].itt());
}
