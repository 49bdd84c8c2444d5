// SPDX-License-Identifier: GPL-2.0-or-later
//
// ErrorRecoveryLevel 2: a lost connection is removed at the target, and its tasks go on at others.
// The session stays the one that it was.

#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

constexpr const char* k_level_2 = "ErrorRecoveryLevel=2 DefaultTime2Wait=0 noop_out_interval=0 ";

// A target that keeps every task until its status is acknowledged (here: for ever), and gives it to
// the connection that asks for it.
struct Level2 : Host {
    explicit Level2(uint32_t connections, uint32_t seed = 1, const std::string& more = "")
        : Host(k_level_2 + more, connections, seed) {
        for (size_t i = 0; i < target.disk.size(); i++)
            target.disk[i] = static_cast<uint8_t>(i * 7 + i / 512);
        target.script = [this](Peer& peer, const Pdu& pdu) { return answer(peer, pdu); };
    }
    void login() {
        start();
        REQUIRE(logged_in(*this) == sides.size());
        for (Peer& peer : target.peers) peer.heard.clear();
    }

    bool answer(Peer& peer, const Pdu& pdu) {
        if (also && also(peer, pdu)) return true;
        if (pdu.kind() == Opcode::LoginRequest && pdu.as<wire::LoginRequest>().tsih.get() != 0)
            removed.insert(pdu.as<wire::LoginRequest>().cid.get());
        if (pdu.kind() == Opcode::ScsiCommand) {
            Exchange& exchange = tasks[pdu.itt()];
            exchange = {};
            exchange.command = pdu.as<wire::ScsiCommand>();
            carrier[pdu.itt()] = peer.cid;
        }
        if (pdu.kind() == Opcode::LogoutRequest) return answer_removal(peer, pdu);
        if (pdu.kind() != Opcode::TaskManagementRequest) return false;
        return answer_reassign(peer, pdu);
    }

    bool answer_removal(Peer& peer, const Pdu& pdu) {
        const auto& request = pdu.as<wire::LogoutRequest>();
        if ((request.reason & 0x7f) != wire::LogoutRequest::k_remove_for_recovery) return false;
        removals.push_back(request.cid.get());
        wire::LogoutResponse response;
        response.initiator_task_tag = pdu.itt();
        response.response = removal_response;
        response.time2wait = time2wait_s;
        response.time2retain = 20;
        removed.insert(request.cid.get());
        peer.send(response, true);
        return true;
    }

    bool answer_reassign(Peer& peer, const Pdu& pdu) {
        const auto& request = pdu.as<wire::TaskManagementRequest>();
        const uint32_t itt = request.referenced_task_tag.get();
        CHECK((pdu.header[0] & wire::k_immediate) != 0);
        reassigned.push_back(itt);
        wire::TaskManagementResponse response;
        response.initiator_task_tag = pdu.itt();
        response.response = tasks.count(itt) ? (removed.count(carrier[itt]) ? 0 : 3) : 1;
        if (answer_all_with >= 0) response.response = static_cast<uint8_t>(answer_all_with);
        if (response.response == 3) still_allegiant++;
        peer.send(response, true);
        if (response.response != 0) return true;
        carrier[itt] = peer.cid;
        Exchange exchange = tasks[itt];
        peer.exchanges[itt] = exchange;
        Pdu again;
        again.header.assign(reinterpret_cast<const uint8_t*>(&exchange.command),
                            reinterpret_cast<const uint8_t*>(&exchange.command) + 48);
        auto& header = *reinterpret_cast<wire::ScsiCommand*>(again.header.data());
        header.flags |= wire::k_final;  // a write's data is asked for by R2T from the beginning
        peer.answer_command(again);
        return true;
    }

    void all_good(const std::vector<std::pair<uint32_t, uint32_t>>& tags) {
        for (auto [tag, block] : tags) {
            CHECK(done_of(tag).completion.status == 0);
            CHECK(std::equal(buffers[tag].begin(), buffers[tag].end(),
                             target.disk.begin() + static_cast<long>(block) * 512));
        }
        CHECK(in_use.empty());
        CHECK_FALSE(target.numbers_wrong);
    }

    std::function<bool(Peer&, const Pdu&)> also;
    std::map<uint32_t, Exchange> tasks;  // by ITT
    std::map<uint32_t, uint16_t> carrier;
    std::set<uint16_t> removed;
    std::vector<uint16_t> removals;
    std::vector<uint32_t> reassigned;
    uint8_t removal_response = 0;
    uint16_t time2wait_s = 0;
    int answer_all_with = -1;
    uint32_t still_allegiant = 0;
};

}  // namespace

TEST_CASE("the tasks of a lost connection go on at its siblings",
          "[RFC 7143 7.2.2][rule-55][rule-51]") {
    for (uint32_t seed = 1; seed <= 40; seed++) {
        Level2 host(4, seed);
        host.chunk_max = 1 + seed * 61 % 900;
        host.login();
        auto tags = submit_many(host, 80);
        // Cut while PDUs are half sent, on a connection that changes.
        host.after_bytes = 1 + seed * 3001 % 200000;
        host.then = [&] { host.cut_wanted = static_cast<int>(seed % 4); };
        host.run();
        host.pass(3000);
        INFO(seed);
        host.all_good(tags);
        CHECK(host.target.sessions == 1);
        CHECK(host.snapshot().reinstatements == 0);
        CHECK(host.snapshot().recoveries == 1);
        CHECK(host.removals == std::vector<uint16_t>{static_cast<uint16_t>(seed % 4)});
        CHECK(host.still_allegiant == 0);
        CHECK(logged_in(host) == 4);  // and it came back
    }
}

TEST_CASE("Time2Wait passes before a task is reassigned", "[RFC 7143 7.5][rule-56]") {
    Level2 host(2);
    host.time2wait_s = 3;
    host.login();
    bool mute = true;
    host.also = [&](Peer& peer, const Pdu& pdu) {
        return mute && peer.cid == 1 && pdu.kind() == Opcode::ScsiCommand &&
               (host.tasks[pdu.itt()].command = pdu.as<wire::ScsiCommand>(),
                host.carrier[pdu.itt()] = 1, true);
    };
    uint32_t tag = host.submit(1, HAWSER_DATA_READ, 16384, 8);
    host.run();
    host.cut(1);
    mute = false;
    host.run();
    CHECK(host.removals.size() == 1);
    host.pass(2990);
    CHECK(host.reassigned.empty());
    CHECK(host.done.empty());
    host.pass(20);
    REQUIRE(host.reassigned.size() == 1);
    CHECK(host.done_of(tag).completion.status == 0);
    // Meanwhile the sibling took new commands.
    CHECK(host.snapshot().state == HAWSER_SESSION_LOGGED_IN);
}

TEST_CASE("Time2Wait stands where the target knows no such connection",
          "[RFC 7143 13.15][rule-56]") {
    Level2 host(2);
    host.removal_response = 1;
    host.login();
    bool mute = true;
    host.also = [&](Peer& peer, const Pdu& pdu) {
        return mute && peer.cid == 1 && pdu.kind() == Opcode::ScsiCommand &&
               (host.tasks[pdu.itt()].command = pdu.as<wire::ScsiCommand>(),
                host.carrier[pdu.itt()] = 1, true);
    };
    uint32_t tag = host.submit(1, HAWSER_DATA_READ, 16384, 8);
    host.run();
    mute = false;
    wire::AsyncMessage message;
    message.async_event = 2;
    message.parameter1 = 1;
    message.parameter2 = 3;
    message.parameter3 = 20;
    host.target.peers[1].send(message, true);
    host.run();
    CHECK(host.removals.size() == 1);
    host.pass(2900);
    CHECK(host.reassigned.empty());
    host.pass(200);
    CHECK(host.reassigned.size() == 1);
    CHECK(host.done_of(tag).completion.status == 0);
}

TEST_CASE("a Logout for recovery that is not answered reinstates the session",
          "[RFC 7143 7.5][rule-58]") {
    Level2 host(2);
    host.login();
    host.also = [](Peer&, const Pdu& pdu) { return pdu.kind() == Opcode::LogoutRequest; };
    host.cut(1);
    host.run();
    host.pass(30000);
    CHECK(host.snapshot().reinstatements == 1);
    CHECK(host.target.sessions == 2);
    CHECK(logged_in(host) == 2);
}

TEST_CASE("a lone connection comes back under its own CID", "[RFC 7143 6.3.4][rule-57][rule-55]") {
    for (uint32_t seed = 1; seed <= 20; seed++) {
        Level2 host(1, seed);
        host.login();
        auto tags = submit_many(host, 30);
        host.after_bytes = 1 + seed * 2003 % 60000;
        host.then = [&] { host.cut_wanted = 0; };
        host.run();
        host.pass(3000);
        host.all_good(tags);
        CHECK(host.target.sessions == 1);
        CHECK(host.snapshot().reinstatements == 0);
        CHECK(host.removals.empty());
        const auto logins = heard_of(host, Opcode::LoginRequest);
        REQUIRE_FALSE(logins.empty());
        CHECK(logins[0].as<wire::LoginRequest>().tsih.get() == 1);
        CHECK(logins[0].as<wire::LoginRequest>().cid.get() == 0);
    }
}

TEST_CASE("every connection is lost, and the session is not", "[RFC 7143 7.2.2][rule-57]") {
    for (uint32_t seed = 1; seed <= 20; seed++) {
        Level2 host(3, seed);
        host.login();
        auto tags = submit_many(host, 60);
        host.after_bytes = 1 + seed * 5003 % 150000;
        host.then = [&] {
            for (uint32_t i = 0; i < 3; i++)
                if (host.sides[i].up) host.cut(i);
        };
        host.run();
        host.pass(4000);
        INFO(seed);
        host.all_good(tags);
        CHECK(host.target.sessions == 1);
        CHECK(host.snapshot().reinstatements == 0);
        CHECK(host.snapshot().state == HAWSER_SESSION_LOGGED_IN);
        CHECK(logged_in(host) == 3);
    }
}

TEST_CASE("what a target will not remove or reassign reinstates the session",
          "[RFC 7143 7.2.2][rule-55]") {
    for (int kind = 0; kind < 4; kind++) {
        Level2 host(2);
        if (kind < 2) host.removal_response = static_cast<uint8_t>(2 + kind);
        if (kind >= 2) host.answer_all_with = kind == 2 ? 4 : 255;
        host.login();
        bool mute = true;
        host.also = [&](Peer& peer, const Pdu& pdu) {
            return mute && peer.cid == 1 && pdu.kind() == Opcode::ScsiCommand;
        };
        uint32_t tag = host.submit(1, HAWSER_DATA_READ, 16384, 8);
        host.run();
        mute = false;
        host.cut(1);
        host.run();
        host.pass(10000);
        INFO(kind);
        CHECK(host.done_of(tag).completion.status == 0);
        CHECK(host.snapshot().reinstatements == 1);
        CHECK(host.target.sessions == 2);
        CHECK(host.lost_with(0) == (kind < 2 ? 0u : uint32_t{HAWSER_ERROR_REASSIGN_REFUSED}));
        // "Not supported" holds for the session: the next loss asks nothing, and starts anew.
        const bool for_good = kind == 0 || kind == 2;
        const size_t asked = host.removals.size() + host.reassigned.size();
        mute = true;
        tag = host.submit(1, HAWSER_DATA_READ, 16384, 8);
        host.run();
        mute = false;
        host.cut(1);
        host.pass(10000);
        CHECK(host.done_of(tag).completion.status == 0);
        CHECK((host.removals.size() + host.reassigned.size() == asked) == for_good);
        CHECK(host.snapshot().reinstatements == 2);
    }
}

TEST_CASE("a task that the target never saw is sent as it was", "[RFC 7143 7.2.1][rule-54]") {
    Level2 host(2);
    host.login();
    bool lost = true;
    host.also = [&](Peer& peer, const Pdu& pdu) {
        if (!lost || peer.cid != 1 || pdu.kind() != Opcode::ScsiCommand) return false;
        host.target.exp_cmd_sn--;  // it did not arrive
        return true;
    };
    uint32_t tag = host.submit(1, HAWSER_DATA_WRITE, 20000, 8);
    host.run();
    const auto first = heard_of(host, Opcode::ScsiCommand, 1).at(0).as<wire::ScsiCommand>();
    lost = false;
    host.cut(1);
    host.run();
    CHECK(host.done_of(tag).completion.status == 0);
    const auto again = heard_of(host, Opcode::ScsiCommand, 0).at(0).as<wire::ScsiCommand>();
    CHECK(again.initiator_task_tag.get() == first.initiator_task_tag.get());
    CHECK(again.cmd_sn.get() == first.cmd_sn.get());
    CHECK_FALSE(host.target.numbers_wrong);
}

TEST_CASE("a task that the target has forgotten is begun anew", "[RFC 7143 11.6.1]") {
    Level2 host(2);
    host.login();
    bool forget = true;
    host.also = [&](Peer& peer, const Pdu& pdu) {
        return forget && peer.cid == 1 && pdu.kind() == Opcode::ScsiCommand;
    };
    uint32_t tag = host.submit(1, HAWSER_DATA_READ, 4096, 8);
    host.run();
    const auto first = heard_of(host, Opcode::ScsiCommand, 1).at(0).as<wire::ScsiCommand>();
    host.target.peers[0].send(news(), false);  // its CmdSN is acknowledged
    host.run();
    forget = false;
    host.cut(1);
    host.run();
    CHECK(host.done_of(tag).completion.status == 0);
    const auto again = heard_of(host, Opcode::ScsiCommand, 0).at(0).as<wire::ScsiCommand>();
    CHECK(again.initiator_task_tag.get() != first.initiator_task_tag.get());
    CHECK(again.cmd_sn.get() == first.cmd_sn.get() + 1);
}

TEST_CASE("a target that is still at it is asked again", "[RFC 7143 7.2.2]") {
    Level2 host(2);
    host.login();
    bool mute = true;
    host.also = [&](Peer& peer, const Pdu& pdu) {
        return mute && peer.cid == 1 && pdu.kind() == Opcode::ScsiCommand &&
               (host.tasks[pdu.itt()].command = pdu.as<wire::ScsiCommand>(),
                host.carrier[pdu.itt()] = 1, true);
    };
    uint32_t tag = host.submit(1, HAWSER_DATA_READ, 4096, 8);
    host.run();
    mute = false;
    host.answer_all_with = 3;
    host.cut(1);
    host.run();
    host.pass(1000);
    CHECK(host.reassigned.size() == 6);
    CHECK(host.done.empty());
    host.answer_all_with = -1;
    host.pass(300);
    CHECK(host.done_of(tag).completion.status == 0);
    CHECK(host.snapshot().reinstatements == 0);
}

TEST_CASE("the sibling that removes is lost too", "[RFC 7143 7.2.2]") {
    Level2 host(3);
    host.login();
    auto tags = submit_many(host, 60);
    host.also = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::LogoutRequest || peer.cid != 0) return false;
        host.cut_wanted = 0;  // instead of an answer
        return true;
    };
    host.after_bytes = 40000;
    host.then = [&] { host.cut_wanted = 2; };
    host.run();
    host.pass(5000);
    host.all_good(tags);
    CHECK(host.target.sessions == 1);
    CHECK(host.snapshot().recoveries == 2);
}

TEST_CASE("the target is away for longer than Time2Retain", "[RFC 7143 7.5][rule-56][rule-58]") {
    Level2 host(2);
    host.login();
    auto tags = submit_many(host, 20);
    host.portals_down = {0, 1};
    host.after_bytes = 20000;
    host.then = [&] {
        host.cut(0);
        host.cut(1);
    };
    host.run();
    CHECK(host.snapshot().state == HAWSER_SESSION_FAILED);
    host.pass(15000);
    CHECK(host.snapshot().reinstatements == 0);
    host.pass(10000);
    CHECK(host.snapshot().reinstatements == 1);
    host.portals_down.clear();
    host.pass(20000);
    host.all_good(tags);
    CHECK(host.target.sessions == 2);
    CHECK(logged_in(host) == 2);
}

TEST_CASE("a breach of the protocol ends the session at every level", "[RFC 7143 7.7][rule-24]") {
    Level2 host(2);
    host.login();
    wire::NopIn nonsense;
    nonsense.opcode = 0x2f;
    host.target.peers[1].send_raw(nonsense);
    host.run();
    CHECK(host.lost_with(1) == HAWSER_ERROR_UNKNOWN_OPCODE);
    CHECK(host.snapshot().reinstatements == 1);
}

TEST_CASE("R2Ts that came are acknowledged when a write is reassigned",
          "[RFC 7143 7.2.2][rule-55]") {
    Level2 host(2, 1, "InitialR2T=Yes ImmediateData=No");
    host.login();
    host.target.burst_bytes = 4096;
    uint32_t answered = 0;
    host.also = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::DataOut || peer.cid != 1) return false;
        const bool last = (pdu.as<wire::DataOut>().flags & wire::k_final) != 0;
        return last && ++answered == 3;  // its answer would be the fourth R2T
    };
    uint32_t tag = host.submit(1, HAWSER_DATA_WRITE, 40960, 8);
    host.run();
    REQUIRE(answered == 3);
    host.also = nullptr;
    host.cut(1);
    host.run();
    CHECK(host.done_of(tag).completion.status == 0);
    const auto functions = heard_of(host, Opcode::TaskManagementRequest, 0);
    REQUIRE(functions.size() == 1);
    CHECK(functions[0].as<wire::TaskManagementRequest>().exp_data_sn.get() == 3);
}

TEST_CASE("a target that drops what it is given back does not make a storm", "[RFC 7143 7.1.5]") {
    Level2 host(2);
    host.login();
    bool mute = true;
    host.also = [&](Peer& peer, const Pdu& pdu) {
        if (mute && pdu.kind() == Opcode::ScsiCommand) {
            host.tasks[pdu.itt()].command = pdu.as<wire::ScsiCommand>();
            host.carrier[pdu.itt()] = peer.cid;
            return true;
        }
        if (pdu.kind() != Opcode::TaskManagementRequest) return false;
        peer.closed = true;
        return true;
    };
    uint32_t tag = host.submit(1, HAWSER_DATA_READ, 4096, 8);
    host.run();
    mute = false;
    host.cut(1);
    host.run();
    host.pass(5000);
    CHECK(host.snapshot().recoveries <= 9);
    CHECK(host.snapshot().reinstatements == 1);
    CHECK(host.done_of(tag).completion.status == 0);
}
