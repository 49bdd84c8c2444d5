// SPDX-License-Identifier: GPL-2.0-or-later
//
// A session of several connections: logging in, running on fewer than asked for, and above all
// reinstatement at ErrorRecoveryLevel 0: a loss, the siblings read to their end, every socket
// closed, Time2Wait, one login with TSIH 0, and every command sent again.

#include <catch2/catch.hpp>

#include "host_actions.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

std::vector<Pdu> logins(Host& host, uint32_t index) {
    std::vector<Pdu> found;
    for (const Pdu& pdu : host.target.peers[index].heard)
        if (pdu.kind() == Opcode::LoginRequest) found.push_back(pdu);
    return found;
}

void all_good(Host& host, const std::vector<std::pair<uint32_t, uint32_t>>& tags) {
    for (auto [tag, block] : tags) {
        CHECK(host.done_of(tag).completion.status == 0);
        CHECK(std::equal(host.buffers[tag].begin(), host.buffers[tag].end(),
                         host.target.disk.begin() + static_cast<long>(block) * 512));
    }
    CHECK(host.in_use.empty());
    CHECK_FALSE(host.target.numbers_wrong);
}

// Two commands are out by connection 0, and it waits for the window with two more.
void fill_window(Host& host) {
    host.target.window = 2;
    host.start();
    host.target.script = swallow;
    for (int i = 0; i < 4; i++) host.submit(0, HAWSER_DATA_NONE, 0);
    host.run();
}

}  // namespace

TEST_CASE("four connections, one session", "[RFC 7143 6.3.1][rule-34][rule-40]") {
    for (bool extra_round : {false, true}) {
        Host host("", 4);
        host.target.extra_round = extra_round;
        host.start();
        CHECK(logged_in(host) == 4);
        CHECK(host.count_orders(HAWSER_ORDER_SETTLED) == 1);
        CHECK(host.snapshot().connections_granted == 4);
        CHECK(host.target.sessions == 1);
        for (uint32_t i = 0; i < 4; i++) {
            auto requests = logins(host, i);
            REQUIRE(requests.size() == (extra_round && i ? 3 : 2));
            for (const Pdu& pdu : requests) {
                const auto& request = pdu.as<wire::LoginRequest>();
                CHECK(request.tsih.get() == (i ? 1 : 0));
                CHECK(request.cid.get() == i);
                CHECK(std::memcmp(request.isid, host.snapshot().isid, 6) == 0);
            }
            // Session-wide keys only on the leading connection.
            CHECK((requests[1].text().find("MaxBurstLength") != std::string::npos) == (i == 0));
        }
        auto tags = submit_many(host, 100);
        host.run();
        all_good(host, tags);
        for (uint32_t i = 0; i < 4; i++) CHECK(host.counters(i).commands == 25);
    }
}

TEST_CASE("a target that grants fewer connections gets no more", "[RFC 7143 13.2]") {
    Host host("", 4);
    host.target.answers["MaxConnections"] = "2";
    host.start();
    CHECK(logged_in(host) == 2);
    CHECK(host.snapshot().connections_granted == 2);
    CHECK(host.count_orders(HAWSER_ORDER_SETTLED) == 1);
    CHECK(host.count_orders(HAWSER_ORDER_CONNECT) == 2);
    host.pass(60000);
    CHECK(host.count_orders(HAWSER_ORDER_CONNECT) == 2);
}

TEST_CASE("a refused further login leaves the session running", "[RFC 7143 11.13.5]") {
    Host host("", 2);
    host.target.script = [](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::LoginRequest || pdu.as<wire::LoginRequest>().tsih.get() == 0)
            return false;
        std::memcpy(peer.isid, pdu.as<wire::LoginRequest>().isid, 6);
        peer.send_login(0, "", 0x0206);
        return true;
    };
    host.start();
    CHECK(logged_in(host) == 1);
    CHECK(host.count_orders(HAWSER_ORDER_SETTLED) == 1);
    CHECK(host.lost_with(1) == HAWSER_ERROR_LOGIN_TOO_MANY_CONNECTIONS);
    CHECK(host.snapshot().errors[1] == HAWSER_ERROR_LOGIN_TOO_MANY_CONNECTIONS);
    uint32_t tag = host.submit(0, HAWSER_DATA_READ, 4096);
    host.run();
    CHECK(host.done_of(tag).completion.status == 0);
    CHECK(host.snapshot().reinstatements == 0);
    // It is tried again, ever more rarely, and joins when it may.
    host.pass(20000);
    uint32_t tries = host.sides[1].connects;
    CHECK(tries >= 3);
    CHECK(tries <= 10);
    host.target.script = nullptr;
    host.pass(10000);
    CHECK(logged_in(host) == 2);
    CHECK(host.snapshot().reinstatements == 0);
}

TEST_CASE("a further connection of another portal group is not taken", "[RFC 7143 13.9]") {
    Host host("", 2);
    host.target.script = [&](Peer&, const Pdu& pdu) {
        bool further =
            pdu.kind() == Opcode::LoginRequest && pdu.as<wire::LoginRequest>().tsih.get();
        host.target.portal_group_tag = further ? "2" : "1";
        return false;
    };
    host.start();
    CHECK(logged_in(host) == 1);
    CHECK(host.lost_with(1) == HAWSER_ERROR_LOGIN_PORTAL_GROUP);
}

TEST_CASE("the first portal down: another leads", "[RFC 7143 6.3.1]") {
    Host host("", 3);
    host.portals_down = {0};
    host.start();
    host.pass(100);
    CHECK(host.snapshot().state == HAWSER_SESSION_LOGGED_IN);
    CHECK(host.snapshot().errors[0] == HAWSER_ERROR_CONNECT_FAILED);
    CHECK(host.target.sessions == 1);
    // The others go on; the first connection keeps to its portal, as each has one, and joins later.
    host.pass(20000);
    CHECK(logged_in(host) == 2);
    host.portals_down.clear();
    host.pass(10000);
    CHECK(logged_in(host) == 3);
    CHECK(host.snapshot().reinstatements == 0);
}

TEST_CASE("one connection and two portals: the second is used when the first is down") {
    Host host("connections=1", 2);
    host.portals_down = {0};
    host.start();
    host.pass(2000);
    CHECK(logged_in(host) == 1);
    CHECK(host.sides[0].connects == 2);
}

TEST_CASE("no portal: the attempt ends when its time is over, with the errors of each") {
    Host host("timeout=30", 2);
    host.portals_down = {0, 1};
    host.start();
    host.pass(29900);
    CHECK(host.count_orders(HAWSER_ORDER_ENDED) == 0);
    host.pass(200);
    REQUIRE(host.count_orders(HAWSER_ORDER_ENDED) == 1);
    CHECK(host.orders.back().error == HAWSER_ERROR_CONNECT_FAILED);
    CHECK(host.orders.back().detail == 111);
    CHECK(host.snapshot().errors[0] == HAWSER_ERROR_CONNECT_FAILED);
    CHECK(host.snapshot().errors[1] == HAWSER_ERROR_CONNECT_FAILED);
    CHECK(host.sides[0].connects > 2);
    CHECK(host.sides[0].connects < 40);
    CHECK(host.next_deadline() == HAWSER_NEVER);
}

TEST_CASE("a first login that is refused for good ends at once", "[RFC 7143 11.13.5][rule-41]") {
    for (auto [status, error] : {std::pair{0x0201, HAWSER_ERROR_LOGIN_AUTHENTICATION_FAILED},
                                 {0x0202, HAWSER_ERROR_LOGIN_FORBIDDEN},
                                 {0x0203, HAWSER_ERROR_LOGIN_TARGET_NOT_FOUND}}) {
        Host host("", 4);
        host.target.script = [status = status](Peer& peer, const Pdu&) {
            peer.send_login(0, "", static_cast<uint16_t>(status));
            return true;
        };
        host.start();
        REQUIRE(host.count_orders(HAWSER_ORDER_ENDED) == 1);
        CHECK(host.orders.back().error == static_cast<uint32_t>(error));
        CHECK(host.orders.back().detail == static_cast<uint32_t>(status));
        CHECK(host.count_orders(HAWSER_ORDER_CONNECT) == 1);
    }
}

TEST_CASE("a busy target is tried again until it has time", "[RFC 7143 11.13.5]") {
    Host host("timeout=60", 1);
    uint32_t refusals = 5;
    host.target.script = [&](Peer& peer, const Pdu& pdu) {
        if (pdu.kind() != Opcode::LoginRequest || !refusals) return false;
        refusals--;
        peer.send_login(0, "", 0x0301);
        return true;
    };
    host.start();
    host.pass(59000);
    CHECK(logged_in(host) == 1);
    CHECK(host.sides[0].connects == 6);
    CHECK(host.last_error(0) == HAWSER_ERROR_NONE);
}

TEST_CASE("a login without an answer is given up after login_timeout") {
    Host host("login_timeout=4 timeout=10");
    host.target.script = [](Peer&, const Pdu&) { return true; };
    host.start();
    host.pass(3900);
    CHECK(host.counters(0).losses == 0);
    host.pass(200);
    CHECK(host.lost_with(0) == HAWSER_ERROR_LOGIN_TIMEOUT);
}

TEST_CASE("the loss of one connection reinstates the session", "[RFC 7143 6.3.5][rule-58]") {
    for (uint32_t seed = 1; seed <= 12; seed++) {
        Host host("DefaultTime2Wait=0", 4, seed);
        host.target.window = 8 + seed;
        host.start();
        auto tags = submit_many(host, 80);
        host.chunk_max = 40 + seed * 50;
        // Cut in the middle of it all.
        uint32_t heard = 0;
        host.target.script = [&](Peer&, const Pdu& pdu) {
            if (pdu.kind() == Opcode::ScsiCommand && ++heard == 20 + seed * 4)
                host.cut_wanted = seed % 4;
            return false;
        };
        host.run();
        host.pass(20000);
        CHECK(host.snapshot().reinstatements == 1);
        CHECK(host.snapshot().state == HAWSER_SESSION_LOGGED_IN);
        CHECK(host.target.sessions == 2);
        CHECK(logged_in(host) == 4);
        CHECK(host.count_orders(HAWSER_ORDER_RELEASE) == 2);
        all_good(host, tags);
        for (uint32_t i = 0; i < 4; i++) CHECK(host.counters(i).tasks == 0);
        // The new session's leader has TSIH 0 and the same ISID.
        uint32_t leading = 0;
        for (uint32_t i = 0; i < 4; i++)
            for (const Pdu& pdu : logins(host, i)) {
                const auto& request = pdu.as<wire::LoginRequest>();
                leading += request.tsih.get() == 0;
                CHECK(std::memcmp(request.isid, host.snapshot().isid, 6) == 0);
            }
        CHECK(leading == 4);  // two logins of two requests
    }
}

TEST_CASE("a connection that waits for the window is woken by its sibling", "[RFC 7143 4.2.2.1]") {
    Host host("", 2);
    fill_window(host);
    CHECK(host.counters(0).commands == 2);
    wire::NopIn news;
    news.initiator_task_tag = wire::k_reserved_tag;
    news.target_transfer_tag = wire::k_reserved_tag;
    host.target.peers[1].send(news, false);
    host.run();
    CHECK(host.counters(0).commands == 4);
    CHECK(hawser_session_window_waiters(host.session) == 0);
}

TEST_CASE("a PDU that is a breach still opens the window for the others", "[RFC 7143 4.2.2.1]") {
    Host host("", 2);
    fill_window(host);
    wire::NopIn breach;
    breach.initiator_task_tag = 0x1234;
    host.target.peers[1].send(breach, true);
    const Bytes heard = std::exchange(host.target.peers[1].out, {});
    uint32_t wants = 0;
    hawser_connection_handle_received(host.sides[1].connection, heard.data(),
                                      static_cast<uint32_t>(heard.size()), host.now_ms, &wants);
    CHECK((wants & (HAWSER_WANT_CLOSE | HAWSER_WANT_FIN)) != 0);
    CHECK((wants & HAWSER_WANT_WAKE) != 0);
    CHECK(hawser_session_window_waiters(host.session) == 1);
}

TEST_CASE("siblings are read to their end, and what they complete counts", "[RFC 7143 7.1.4.3]") {
    Host host("", 2);
    host.start();
    Exchange kept;
    host.target.script = [&](Peer&, const Pdu& pdu) {
        if (pdu.kind() != Opcode::ScsiCommand) return false;
        kept.command = pdu.as<wire::ScsiCommand>();
        kept.data.assign(512, 0x29);
        return true;
    };
    uint32_t tag = host.submit(1, HAWSER_DATA_READ, 512);
    host.run();
    host.target.peers[1].lingers = true;  // the target does not answer FIN with FIN yet
    host.cut(0);
    host.run();
    CHECK(host.count_orders(HAWSER_ORDER_DRAIN) == 1);
    CHECK(host.sides[1].fin);
    CHECK(host.sides[1].open);
    CHECK(host.sides[0].connects == 1);
    host.target.peers[1].send_data_in(kept, 0, 512, wire::k_final | wire::DataIn::k_status);
    host.run();
    CHECK(host.done_of(tag).completion.status == 0);
    CHECK(host.buffers[tag] == Bytes(512, 0x29));
    host.target.script = nullptr;
    host.target.peers[1].lingers = false;
    host.pass(10000);
    CHECK(host.counters(1).losses == 0);  // an end that was ordered is no loss
    CHECK(logged_in(host) == 2);
    CHECK(host.parked.empty());
}

TEST_CASE("a new session waits for every socket to close, and for Time2Wait",
          "[RFC 7143 7.5][rule-56]") {
    Host host("DefaultTime2Wait=3", 2);
    host.start();
    host.target.peers[1].lingers = true;
    host.cut(0);
    host.run();
    CHECK(host.snapshot().state == HAWSER_SESSION_FAILED);
    host.pass(2900);
    CHECK(host.target.sessions == 1);
    CHECK(host.sides[1].open);
    // A sibling whose target says nothing is closed a while after Time2Wait; only then it begins.
    host.pass(20000);
    CHECK(host.target.sessions == 2);
    CHECK(logged_in(host) == 2);

    Host quick("DefaultTime2Wait=3", 2);
    quick.start();
    quick.cut(0);
    quick.pass(2900);
    CHECK(quick.target.sessions == 1);
    CHECK_FALSE(quick.sides[1].open);
    quick.pass(200);
    CHECK(quick.target.sessions == 2);
}

TEST_CASE("the target's DefaultTime2Wait rules when it is longer", "[RFC 7143 13.15][rule-56]") {
    Host host("DefaultTime2Wait=0");
    host.target.answers["DefaultTime2Wait"] = "6";
    host.start();
    host.cut(0);
    host.pass(5900);
    CHECK(host.target.sessions == 1);
    host.pass(200);
    CHECK(host.target.sessions == 2);
}

TEST_CASE("a target that is away comes back after long") {
    Host host("DefaultTime2Wait=0 root=yes", 2);
    host.target.window = 4;  // most of them wait for the window
    host.start();
    host.target.script = swallow;
    auto tags = submit_many(host, 20);
    host.run();
    host.target.script = nullptr;
    host.portals_down = {0, 1};
    host.cut(0);
    host.cut(1);
    host.run();
    CHECK(host.parked.size() == 20);
    host.pass(3600 * 1000);  // far beyond `timeout`, which bounds the first login only
    CHECK(host.count_orders(HAWSER_ORDER_ENDED) == 0);
    CHECK(host.sides[0].connects + host.sides[1].connects > 100);
    host.portals_down.clear();
    host.pass(20000);
    CHECK(logged_in(host) == 2);
    all_good(host, tags);
    CHECK(host.snapshot().reinstatements == 1);
}

TEST_CASE("losses again and again, every byte compared") {
    for (uint32_t seed = 1; seed <= 10; seed++) {
        Host host("DefaultTime2Wait=0", 3, seed);
        host.start();
        uint32_t countdown = 15;
        host.target.script = [&](Peer&, const Pdu& pdu) {
            if (pdu.kind() != Opcode::LoginRequest && --countdown == 0) {
                host.cut_wanted = static_cast<int>(host.random() % 3);
                countdown = 10 + host.random() % 60;
            }
            return false;
        };
        auto tags = submit_many(host, 90);
        host.pass(60000);
        host.target.script = nullptr;
        host.pass(60000);
        all_good(host, tags);
        CHECK(logged_in(host) == 3);
        CHECK(host.snapshot().reinstatements > 1);
    }
}

TEST_CASE("a target that drops every session at once is asked ever less often") {
    Host host("DefaultTime2Wait=0", 2);
    host.start();
    host.target.script = [&](Peer&, const Pdu& pdu) {
        if (pdu.kind() != Opcode::LoginRequest) host.cut_wanted = 0;
        return false;
    };
    auto tags = submit_many(host, 4);
    host.pass(30000);
    CHECK(host.target.sessions > 4);
    CHECK(host.target.sessions < 12);
    host.target.script = nullptr;
    host.pass(30000);
    all_good(host, tags);
}

TEST_CASE("a connection that goes silent is lost by its ping, and the session with it") {
    Host host("noop_out_interval=5 noop_out_timeout=5 DefaultTime2Wait=0", 2);
    host.start();
    host.sides[0].stuck = true;
    host.pass(9900);
    CHECK(host.snapshot().reinstatements == 0);
    host.pass(200);
    CHECK(host.snapshot().reinstatements == 1);
    CHECK(host.lost_with(0) == HAWSER_ERROR_NOP_TIMEOUT);
    host.sides[0].stuck = false;
    host.pass(20000);
    CHECK(logged_in(host) == 2);
}

TEST_CASE("a new session's window is the new target's", "[RFC 7143 11.12.8]") {
    Host host("DefaultTime2Wait=0");
    host.start();
    host.target.window = 2;
    host.cut(0);
    host.pass(5000);
    REQUIRE(logged_in(host) == 1);
    host.target.script = swallow;
    host.target.peers[0].heard.clear();
    for (int i = 0; i < 10; i++) host.submit(0, HAWSER_DATA_NONE, 0);
    host.run();
    CHECK(host.target.peers[0].heard.size() == 2);
    CHECK_FALSE(host.target.numbers_wrong);
}

TEST_CASE("an old epoch's report changes nothing") {
    Host host("DefaultTime2Wait=0", 2);
    host.start();
    uint32_t first_epoch = host.snapshot().epoch;
    host.cut(0);
    host.pass(10000);
    REQUIRE(host.snapshot().reinstatements == 1);
    CHECK(host.snapshot().epoch == first_epoch + 1);
    hawser_report old = {};
    old.kind = HAWSER_REPORT_LOST;
    old.epoch = host.snapshot().epoch - 1;
    old.error = HAWSER_ERROR_CONNECTION_RESET;
    CHECK(hawser_session_handle_report(host.session, &old, host.now_ms) == 0);
    host.run();
    CHECK(host.snapshot().reinstatements == 1);
    old.epoch = host.snapshot().epoch;
    old.index = 99;
    CHECK(hawser_session_handle_report(host.session, &old, host.now_ms) == 0);
}

TEST_CASE("an ISID is the same at each boot, and not open-iscsi's", "[RFC 7143 11.12.5][rule-40]") {
    Host one("", 1, 1), two("", 1, 2);
    CHECK(std::memcmp(one.snapshot().isid, two.snapshot().isid, 6) == 0);
    CHECK((one.snapshot().isid[0] & 0xc0) == 0x80);
    CHECK(one.snapshot().isid[4] == 1);
    CHECK(one.snapshot().isid[5] == 2);
}
