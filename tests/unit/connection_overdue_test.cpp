// SPDX-License-Identifier: GPL-2.0-or-later
//
// The ladder: what becomes of a command that a target has forgotten while it answers others, and
// what is not taken for one.

#include <algorithm>
#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

constexpr uint32_t k_timeout_ms = 30000;

// A target that keeps what it gets, so that a test lets it talk.
bool keep(Peer& peer, const Pdu& pdu) {
    if (pdu.kind() != Opcode::ScsiCommand) return pdu.kind() == Opcode::DataOut;
    peer.exchanges[pdu.itt()].command = pdu.as<wire::ScsiCommand>();
    return true;
}

// The same for commands; functions are not answered either.
bool deaf(Peer& peer, const Pdu& pdu) {
    return keep(peer, pdu) || pdu.kind() == Opcode::TaskManagementRequest;
}

auto answering(uint8_t response) {
    return [=](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::TaskManagementRequest) return keep(peer, pdu);
        peer.answer_management(pdu, response);
        return true;
    };
}

uint32_t submit_timed(Host& host, uint32_t index, uint8_t direction = HAWSER_DATA_READ,
                      uint32_t length = 512) {
    const uint32_t tag = host.submit(index, direction, length);
    host.sides[index].queue.back().timeout_ms = host.in_use[tag].timeout_ms = k_timeout_ms;
    host.run();
    return tag;
}

Exchange& exchange_of(Host& host, uint32_t tag, uint32_t index = 0) {
    for (auto& [itt, exchange] : host.target.peers[index].exchanges)
        if ((itt & 0xffff) == tag) return exchange;
    FAIL("the target has no command of tag " << tag);
    return host.target.peers[index].exchanges.begin()->second;
}

std::vector<uint32_t> rungs(const Host& host) {
    std::vector<uint32_t> found;
    for (const auto& one : host.overdue) found.push_back(one.rung);
    return found;
}

using Rungs = std::vector<uint32_t>;

std::vector<Pdu> functions(Host& host, uint32_t index = 0) {
    return heard_of(host, Opcode::TaskManagementRequest, index);
}

}  // namespace

TEST_CASE("a command that was forgotten is told, aborted, and comes back") {
    for (const uint8_t response : {uint8_t{0}, uint8_t{1}}) {
        Scene scene;
        scene.login();
        scene.target.script = answering(response);
        const uint32_t tag = submit_timed(scene, 0);
        scene.pass(k_timeout_ms - 1);
        CHECK(scene.overdue.empty());
        CHECK(functions(scene).empty());
        scene.pass(2001);
        CHECK(rungs(scene) == Rungs{HAWSER_RUNG_ABORT});
        CHECK(scene.overdue[0].tag == tag);
        CHECK(scene.overdue[0].waited_ms >= k_timeout_ms);
        CHECK(scene.overdue[0].waited_ms < k_timeout_ms + 2000);
        REQUIRE(functions(scene).size() == 1);
        const auto request = functions(scene)[0].as<wire::TaskManagementRequest>();
        const auto command = heard_of(scene, Opcode::ScsiCommand)[0].as<wire::ScsiCommand>();
        CHECK(request.opcode == (wire::k_immediate | 0x02));
        CHECK(request.function == (wire::k_final | HAWSER_FUNCTION_ABORT_TASK));
        CHECK(request.referenced_task_tag.get() == command.initiator_task_tag.get());
        CHECK(request.ref_cmd_sn.get() == command.cmd_sn.get());
        CHECK(scene.done_of(tag).completion.aborted == 1);
        CHECK(scene.managed.empty());
        // And that is all.
        scene.pass(100000);
        CHECK(functions(scene).size() == 1);
        CHECK(scene.overdue.size() == 1);
        CHECK(scene.snapshot().reinstatements == 0);
    }
}

TEST_CASE("an abort that is not answered costs the connection, in time") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        return peer.cid == 0 && peer.stat_sn < 1100 && deaf(peer, pdu);
    };
    const uint32_t tag = submit_timed(scene, 0);
    scene.pass(k_timeout_ms + 2000);
    CHECK(rungs(scene) == Rungs{HAWSER_RUNG_ABORT});
    CHECK(scene.lost_with(0) == HAWSER_ERROR_NONE);
    scene.pass(15000);
    CHECK(rungs(scene) == Rungs{HAWSER_RUNG_ABORT, HAWSER_RUNG_CONNECTION});
    CHECK(scene.overdue[1].tag == tag);
    CHECK(scene.lost_with(0) == HAWSER_ERROR_TASK_OVERDUE);
    scene.target.script = nullptr;
    // Sent anew in the next session, and right, within timeout + 30 s of its submission.
    scene.pass(13000);
    CHECK(scene.snapshot().reinstatements == 1);
    scene.good(tag);
    scene.disk_is_buffer(tag, 0);
    // It is not the command's own fault.
    CHECK(scene.blamed.at(tag) == HAWSER_ERROR_NONE);
}

TEST_CASE("the target is heard out: what it was at work on must not land later") {
    Scene scene;
    scene.login();
    scene.target.script = deaf;
    submit_timed(scene, 0, HAWSER_DATA_WRITE);
    scene.target.peers[0].lingers = true;
    scene.pass(k_timeout_ms + 2000 + 15000);
    REQUIRE(scene.lost_with(0) == HAWSER_ERROR_TASK_OVERDUE);
    CHECK(scene.sides[0].fin);
    CHECK(scene.sides[0].open);
}

TEST_CASE("an abort that is refused or rejected costs the connection at once") {
    for (int how : {2, 5, 255, -1}) {
        Scene scene;
        scene.login();
        scene.target.script = [=](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() != Opcode::TaskManagementRequest) return keep(peer, pdu);
            wire::Reject reject;
            reject.reason = 5;
            if (how >= 0) peer.answer_management(pdu, static_cast<uint8_t>(how));
            if (how < 0) peer.send(reject, true, pdu.header);
            return true;
        };
        submit_timed(scene, 0);
        scene.pass(k_timeout_ms + 2000);
        CHECK(rungs(scene) == Rungs{HAWSER_RUNG_ABORT, HAWSER_RUNG_CONNECTION});
        CHECK(scene.lost_with(0) == HAWSER_ERROR_TASK_OVERDUE);
    }
}

TEST_CASE("a status that comes before the answer counts") {
    for (int response : {0, 1, 5, -1}) {
        Scene scene;
        scene.login();
        scene.target.script = [=](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() != Opcode::TaskManagementRequest) return keep(peer, pdu);
            peer.send_status(peer.exchanges.begin()->second, 8);
            if (response >= 0) peer.answer_management(pdu, static_cast<uint8_t>(response));
            return true;
        };
        const uint32_t tag = submit_timed(scene, 0);
        scene.pass(k_timeout_ms + 2000);
        CHECK(scene.done_of(tag).completion.status == 8);
        scene.pass(100000);
        CHECK(scene.done.empty());
        CHECK(scene.counters(0).losses == 0);
        // One whose answer was not missed may come yet.
        if (response < 0) scene.target.peers[0].answer_management(functions(scene)[0], 1);
        scene.run();
        CHECK(scene.counters(0).losses == 0);
    }
}

TEST_CASE("what moves is not overdue: data either way, and what is before it in the queue") {
    Scene scene("InitialR2T=Yes ImmediateData=No");
    scene.login();
    scene.target.script = keep;
    const uint32_t read = submit_timed(scene, 0, HAWSER_DATA_READ, 8192);
    const uint32_t write = submit_timed(scene, 0, HAWSER_DATA_WRITE, 8192);
    const uint32_t behind = submit_timed(scene, 0);
    Peer& peer = scene.target.peers[0];
    for (uint32_t step = 0; step < 8; step++) {
        scene.pass(20000);
        peer.send_data_in(exchange_of(scene, read), step * 512, 512, 0);
    }
    scene.run();
    CHECK(scene.overdue.empty());
    exchange_of(scene, read).data.assign(4096, 0);
    peer.send_status(exchange_of(scene, read), 2);
    for (uint32_t step = 0; step < 8; step++) {
        scene.pass(20000);
        peer.send_r2t(exchange_of(scene, write), step * 512, 512, 7);
    }
    scene.pass(20000);
    peer.send_status(exchange_of(scene, write), 2);
    scene.pass(20000);
    CHECK(scene.overdue.empty());
    // Nothing is before it any more, and nothing is heard of it.
    scene.pass(12000);
    REQUIRE(scene.overdue.size() == 1);
    CHECK(scene.overdue[0].tag == behind);
}

TEST_CASE("what comes after it does not help a command that was forgotten") {
    Scene scene;
    scene.login();
    scene.target.script = [](Peer& peer, const Pdu& pdu) {
        return pdu.kind() == Opcode::ScsiCommand && peer.exchanges.empty() && keep(peer, pdu);
    };
    const uint32_t tag = submit_timed(scene, 0);
    while (scene.overdue.empty() && scene.now_ms < 40000) {
        scene.pass(1000);
        if (scene.overdue.empty()) scene.good(submit_timed(scene, 0));
    }
    REQUIRE(scene.overdue.size() == 1);
    CHECK(scene.overdue[0].tag == tag);
    CHECK(scene.done_of(tag).completion.aborted == 1);
}

TEST_CASE("a command that has not gone out is not overdue; its time begins when it has") {
    Scene scene;
    scene.target.window = 1;
    scene.login();
    scene.target.script = keep;
    const uint32_t first = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.target.window = 0;
    scene.run();
    const uint32_t second = submit_timed(scene, 0);
    REQUIRE(heard_of(scene, Opcode::ScsiCommand).size() == 1);
    scene.pass(200000);
    CHECK(scene.overdue.empty());
    scene.target.window = 2;
    scene.target.peers[0].send(news(), false);
    scene.run();
    REQUIRE(heard_of(scene, Opcode::ScsiCommand).size() == 2);
    scene.pass(k_timeout_ms - 1);
    CHECK(scene.overdue.empty());
    scene.pass(2001);
    REQUIRE(scene.overdue.size() == 1);
    CHECK(scene.overdue[0].tag == second);
    CHECK(scene.in_use.count(first) == 1);
}

TEST_CASE("without a timeout nobody looks") {
    Scene scene("noop_out_interval=0");
    scene.login();
    scene.target.script = keep;
    scene.submit(0, HAWSER_DATA_READ, 512);
    scene.run();
    CHECK(scene.next_deadline() == HAWSER_NEVER);
    scene.pass(10000000);
    CHECK(scene.overdue.empty());
}

TEST_CASE("many that are overdue at once are aborted one by one, at once") {
    Scene scene("queue_depth=30");
    scene.login();
    scene.target.script = answering(1);
    for (uint32_t i = 0; i < 30; i++) submit_timed(scene, 0);
    scene.pass(k_timeout_ms + 2000);
    CHECK(functions(scene).size() == 30);
    CHECK(scene.done.size() == 30);
    CHECK(scene.snapshot().reinstatements == 0);
}

TEST_CASE("many that are overdue have the time of one abort together") {
    Scene scene("queue_depth=30");
    scene.login();
    scene.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::TaskManagementRequest) return keep(peer, pdu);
        if (functions(scene).size() < 4) peer.answer_management(pdu, 0);
        return true;
    };
    for (uint32_t i = 0; i < 30; i++) submit_timed(scene, 0);
    scene.pass(k_timeout_ms + 2000 + 10000);
    scene.target.peers[0].answer_management(functions(scene)[3], 0);
    scene.pass(5000);
    CHECK(scene.lost_with(0) == HAWSER_ERROR_TASK_OVERDUE);
    CHECK(functions(scene).size() == 5);
    CHECK(rungs(scene).back() == HAWSER_RUNG_CONNECTION);
}

TEST_CASE("the host's own function goes first, and the ladder after it") {
    Scene scene;
    scene.login();
    scene.target.script = deaf;
    submit_timed(scene, 0);
    scene.pass(k_timeout_ms - 1000);
    scene.manage(0, HAWSER_FUNCTION_LOGICAL_UNIT_RESET, 0, 9);
    scene.pass(20000);
    CHECK(scene.overdue.empty());
    CHECK(functions(scene).size() == 1);
    scene.target.peers[0].answer_management(functions(scene)[0], 2);
    scene.pass(1000);
    CHECK(scene.managed.size() == 1);
    CHECK(scene.managed[0].response == 2);
    CHECK(rungs(scene) == Rungs{HAWSER_RUNG_ABORT});
    CHECK(functions(scene).size() == 2);
}

TEST_CASE("a function of the host's waits for the ladder's, within its own time") {
    Scene scene;
    scene.login();
    scene.target.script = deaf;
    const uint32_t tag = submit_timed(scene, 0);
    const uint32_t other = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.pass(k_timeout_ms + 2000);
    REQUIRE(functions(scene).size() == 1);
    scene.manage(0, HAWSER_FUNCTION_ABORT_TASK, other);
    scene.pass(10000);
    CHECK(functions(scene).size() == 1);
    CHECK(scene.managed.empty());
    scene.target.peers[0].answer_management(functions(scene)[0], 1);
    scene.run();
    CHECK(scene.done_of(tag).completion.aborted == 1);
    CHECK(scene.managed.empty());
    REQUIRE(functions(scene).size() == 2);
    scene.pass(4000);
    scene.target.peers[0].answer_management(functions(scene)[1], 0);
    scene.run();
    CHECK(scene.done_of(other).completion.aborted == 1);
    REQUIRE(scene.managed.size() == 1);
    CHECK(scene.managed[0].error == HAWSER_ERROR_NONE);
}

TEST_CASE("a function of the host's that waited is lost with the connection") {
    Scene scene;
    scene.login();
    scene.target.script = deaf;
    submit_timed(scene, 0);
    scene.pass(k_timeout_ms + 2000);
    scene.manage(0, HAWSER_FUNCTION_LOGICAL_UNIT_RESET);
    scene.pass(15000);
    CHECK(scene.lost_with(0) == HAWSER_ERROR_TASK_OVERDUE);
    scene.pass(10000);
    REQUIRE(scene.managed.size() == 1);
    CHECK(scene.managed[0].error == HAWSER_ERROR_TASK_MANAGEMENT_LOST);
}

TEST_CASE("at level 2 the task goes to another connection; silent there too, the session goes") {
    Host host("ErrorRecoveryLevel=2", 2);
    host.start();
    host.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (host.snapshot().reinstatements != 0) return false;
        if (pdu.kind() == Opcode::LogoutRequest) {
            wire::LogoutResponse removed;
            removed.initiator_task_tag = pdu.itt();
            removed.time2wait = 2;
            removed.time2retain = 20;
            peer.send(removed, true);
            return true;
        }
        if (pdu.kind() != Opcode::TaskManagementRequest) return keep(peer, pdu);
        const auto& request = pdu.as<wire::TaskManagementRequest>();
        if ((request.function & 0x7f) == wire::TaskManagementRequest::k_task_reassign)
            peer.answer_management(pdu, 0);
        return true;
    };
    const uint32_t tag = submit_timed(host, 0);
    host.pass(k_timeout_ms + 2000 + 15000);
    CHECK(rungs(host) == Rungs{HAWSER_RUNG_ABORT, HAWSER_RUNG_CONNECTION});
    CHECK(host.lost_with(0) == HAWSER_ERROR_TASK_OVERDUE);
    CHECK(host.snapshot().reinstatements == 0);
    host.pass(8000);
    CHECK(host.snapshot().recoveries == 1);
    CHECK(rungs(host) == Rungs{HAWSER_RUNG_ABORT, HAWSER_RUNG_CONNECTION, HAWSER_RUNG_SESSION});
    CHECK(host.snapshot().reinstatements == 1);
    host.pass(5000);
    CHECK(host.done_of(tag).completion.status == 0);
    CHECK(host.overdue.size() == 3);
}

TEST_CASE("at level 2 a task keeps the time that it was silent, whatever stands before it") {
    Host host("ErrorRecoveryLevel=2", 2);
    host.start();
    uint32_t forgotten = 0xffffffff;
    host.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() == Opcode::ScsiCommand && forgotten == 0xffffffff) {
            forgotten = pdu.itt();
            return true;
        }
        if (pdu.kind() == Opcode::LogoutRequest) {
            wire::LogoutResponse removed;
            removed.initiator_task_tag = pdu.itt();
            peer.send(removed, true);
            return true;
        }
        return false;
    };
    const uint32_t tag = submit_timed(host, 0);
    host.pass(k_timeout_ms - 10000);
    // The other connection is at work on younger ones when the task comes there.
    auto before = host.target.script;
    host.target.script = [&](Peer& peer, const Pdu& pdu) {
        return pdu.kind() == Opcode::ScsiCommand ? keep(peer, pdu) : before(peer, pdu);
    };
    const uint32_t young = submit_timed(host, 1, HAWSER_DATA_READ, 1024);
    host.cut(0);
    host.pass(100);
    host.target.peers[1].send_data_in(exchange_of(host, young, 1), 0, 512, 0);
    host.pass(1900);
    CHECK(host.overdue.empty());
    host.pass(10000);
    REQUIRE(host.overdue.size() == 1);
    CHECK(host.overdue[0].tag == tag);
}

// Its CmdSN never came, and nothing else is sent under it: what comes after waits at the target.
TEST_CASE("at level 2 a command that the host drops costs the session, and no more",
          "[RFC 7143 7.2.1]") {
    Host host("ErrorRecoveryLevel=2 DefaultTime2Wait=0", 2);
    host.start();
    host.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::LogoutRequest) return swallow(peer, pdu);
        wire::LogoutResponse removed;
        removed.initiator_task_tag = pdu.itt();
        peer.send(removed, true);
        return true;
    };
    const uint32_t dropped = host.submit(0, HAWSER_DATA_READ, 512);
    host.run();
    host.target.exp_cmd_sn--;
    host.hold_parked = true;
    host.cut(0);
    host.pass(5000);
    host.parked.clear();
    host.came_back.clear();
    host.in_use.erase(dropped);
    host.submit(1, HAWSER_DATA_READ, 512);
    host.pass(20000);
    CHECK(host.snapshot().reinstatements == 0);
    host.pass(25000);
    CHECK(host.lost_with(1) == HAWSER_ERROR_COMMAND_NOT_TAKEN);
    CHECK(host.snapshot().reinstatements == 1);
}
