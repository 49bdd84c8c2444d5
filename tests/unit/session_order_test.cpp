// SPDX-License-Identifier: GPL-2.0-or-later
//
// Targets that do not put commands of several connections into the order of their CmdSN, and those
// that do while connections are lost all the same.

#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

uint32_t number_of(const Pdu& pdu) {
    return pdu.as<wire::ScsiCommand>().cmd_sn.get();
}

bool is_counted(const Pdu& pdu) {
    const bool kind = pdu.kind() == Opcode::ScsiCommand || pdu.kind() == Opcode::NopOut;
    return kind && (pdu.header[0] & wire::k_immediate) == 0;
}

uint32_t trials(const Host& host) {
    return host.count_orders(HAWSER_ORDER_TRY_ORDER);
}

// Commands wait while `holds`; the target may refuse what comes below the highest number that came.
struct Crossing : Host {
    explicit Crossing(const std::string& more, uint32_t connections = 4) : Host(more, connections) {
        target.script = [this](Peer& peer, const Pdu& pdu) {
            if (pdu.kind() == Opcode::LoginRequest && pdu.as<wire::LoginRequest>().tsih.get() == 0)
                highest = number_of(pdu) - 1;
            if (!is_counted(pdu)) return false;
            const bool lower = static_cast<int32_t>(number_of(pdu) - highest) < 0;
            if (!lower) highest = number_of(pdu);
            if (refuses && lower) {
                peer.out.clear();
                return peer.closed = true;
            }
            if (hasty && pdu.kind() == Opcode::NopOut) target.exp_cmd_sn = highest + 1;
            if (deaf && pdu.kind() == Opcode::NopOut) return true;
            if (!holds || pdu.kind() != Opcode::ScsiCommand) return false;
            peer.exchanges[pdu.itt()].command = pdu.as<wire::ScsiCommand>();
            return true;
        };
    }
    // A loss of connection 1 that may mean everything.
    void lose_crossed() {
        holds = true;
        for (uint32_t i : {1u, 2u}) {
            submit(i, HAWSER_DATA_READ, 512);
            run();
        }
        holds = false;
        cut(1);
        pass(20000);
    }
    bool refuses = false;
    bool hasty = false;  // tells an ExpCmdSN beyond what is missing
    bool deaf = false;   // to every NOP-Out that counts
    bool holds = false;
    uint32_t highest = 0;
};

}  // namespace

TEST_CASE("a target that refuses a lower CmdSN gets one connection, within seconds",
          "[RFC 7143 4.2.2.1]") {
    Crossing host("noop_out_interval=0 queue_depth=64");
    host.refuses = true;
    host.start();
    REQUIRE(logged_in(host) == 4);
    std::vector<uint32_t> tags;
    for (uint32_t i = 0; i < 32; i++)
        tags.push_back(host.submit(i % 4, HAWSER_DATA_WRITE, 4096, i * 8));
    host.pass(9000);
    for (uint32_t tag : tags) CHECK(host.done_of(tag).completion.status == 0);
    const hawser_session_snapshot now = host.snapshot();
    CHECK(now.fallback);
    CHECK(now.reinstatements <= 3);
    CHECK(now.connections_asked == 4);
    CHECK(logged_in(host) == 1);
    CHECK(trials(host) == 2);
    // It stays so when that one is lost, and another may not be added.
    for (uint32_t i = 0; i < 4; i++)
        if (host.state(i) == HAWSER_CONNECTION_LOGGED_IN) host.cut(i);
    host.pass(20000);
    CHECK(logged_in(host) == 1);
    uint32_t index = 0;
    CHECK(host.add(nullptr, index) == HAWSER_ERROR_CMD_SN_NOT_ORDERED);
}

TEST_CASE("a crossed command on a lost connection has the target tried once, and never again") {
    Crossing host("noop_out_interval=0");
    host.start();
    host.lose_crossed();
    CHECK(host.snapshot().reinstatements == 1);
    CHECK(trials(host) == 1);
    for (uint32_t i = 0; i < 8; i++) host.lose_crossed();
    CHECK(trials(host) == 1);
    CHECK(logged_in(host) == 4);
    CHECK_FALSE(host.snapshot().fallback);
    CHECK_FALSE(host.target.numbers_wrong);
    CHECK(host.done.size() == 18);
}

TEST_CASE("a loss that nothing has crossed is no suspicion") {
    Crossing host("noop_out_interval=0");
    host.start();
    host.holds = true;
    host.submit(0, HAWSER_DATA_READ, 512);
    host.submit(0, HAWSER_DATA_READ, 512);
    host.run();
    host.holds = false;
    host.cut(0);
    host.pass(20000);
    CHECK(host.snapshot().reinstatements == 1);
    CHECK(trials(host) == 0);
    CHECK(host.done.size() == 2);
}

TEST_CASE("an ExpCmdSN beyond a number that was kept back is proof") {
    Crossing host("noop_out_interval=0");
    host.hasty = true;
    host.start();
    host.lose_crossed();
    CHECK(host.snapshot().fallback);
    CHECK(host.snapshot().reinstatements == 2);
    CHECK(logged_in(host) == 1);
    CHECK(host.done.size() == 2);
}

TEST_CASE("a trial that nobody answers is over in time, and means nothing") {
    Crossing host("noop_out_interval=0");
    host.start();
    host.deaf = true;
    // Its arrival is told by the immediate one: not here either.
    const auto script = host.target.script;
    host.target.script = [&](Peer& peer, const Pdu& pdu) {
        return pdu.kind() == Opcode::NopOut || script(peer, pdu);
    };
    host.lose_crossed();
    CHECK(trials(host) == 1);
    CHECK(logged_in(host) == 4);
    CHECK_FALSE(host.snapshot().fallback);
    CHECK(host.done.size() == 2);
    const uint32_t tag = host.submit(3, HAWSER_DATA_READ, 512);
    host.run();
    CHECK(host.done_of(tag).completion.status == 0);
    // There are a few trials, not one at each loss.
    for (uint32_t i = 0; i < 6; i++) host.lose_crossed();
    CHECK(trials(host) <= 4);
}

TEST_CASE("a target that answers NOP-Outs without counting them is not tried again") {
    Crossing host("noop_out_interval=0");
    host.start();
    const auto script = host.target.script;
    host.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::NopOut || !is_counted(pdu)) return script(peer, pdu);
        const uint32_t number = number_of(pdu);
        if (number == host.target.exp_cmd_sn - 1) host.target.exp_cmd_sn--;
        std::erase(host.target.early, number);
        wire::NopIn answer;
        answer.initiator_task_tag = pdu.itt();
        answer.target_transfer_tag = wire::k_reserved_tag;
        peer.send(answer, true);
        return true;
    };
    host.lose_crossed();
    for (uint32_t i = 0; i < 3; i++) host.lose_crossed();
    CHECK(trials(host) == 1);
    CHECK(logged_in(host) == 4);
    CHECK_FALSE(host.snapshot().fallback);
    CHECK(host.done.size() == 8);
}

TEST_CASE("the administrator's word on CmdSN's order goes before what was found") {
    Crossing one("noop_out_interval=0 cmdsn_order=connection");
    one.start();
    CHECK(logged_in(one) == 1);
    CHECK_FALSE(one.snapshot().fallback);
    one.set_order(HAWSER_CMD_SN_ORDER_SESSION);
    CHECK(logged_in(one) == 4);
    one.set_order(HAWSER_CMD_SN_ORDER_CONNECTION);
    one.pass(20000);
    CHECK(logged_in(one) == 1);
    CHECK(one.snapshot().reinstatements == 0);
    one.set_order(HAWSER_CMD_SN_ORDER_AUTO);
    CHECK(logged_in(one) == 4);

    Crossing all("noop_out_interval=0 cmdsn_order=session");
    all.hasty = true;
    all.start();
    all.lose_crossed();
    CHECK(trials(all) == 0);
    CHECK(logged_in(all) == 4);

    Crossing back("noop_out_interval=0");
    back.hasty = true;
    back.start();
    back.lose_crossed();
    REQUIRE(back.snapshot().fallback);
    back.set_order(HAWSER_CMD_SN_ORDER_SESSION);
    back.pass(1000);
    CHECK(logged_in(back) == 4);
    CHECK_FALSE(back.snapshot().fallback);
}
