// SPDX-License-Identifier: GPL-2.0-or-later
//
// Deep queues on a path that is slow: no target waits for data longer than its timer, the path is
// never idle for our sake, and nothing but writes waits. In virtual time, over a TCP that keeps
// what the path has not carried yet.

#include <catch2/catch.hpp>
#include <deque>

#include "engine/pace.hpp"
#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

namespace {

constexpr uint32_t k_mib = 1 << 20;
constexpr uint32_t k_15_mbit = 1875;  // bytes in a millisecond

// One connection whose bytes go through a socket of a few MiB and a path of so many bytes a
// millisecond. It watches LIO's Data-Out timer: from an R2T, or a Data-Out of that command.
struct PathScene : Scene {
    explicit PathScene(uint32_t rate, const std::string& more = "")
        : Scene("queue_depth=512 MaxOutstandingR2T=1 InitialR2T=Yes " + more), rate(rate) {
        target.window = 512;
        target.burst_bytes = 262144;
        target.max_recv_data_segment_length = 65536;
        target.answers["MaxBurstLength"] = "262144";
        target.script = [this](Peer&, const Pdu& pdu) {
            watch(pdu);
            return false;
        };
        login();
        sides[0].mute = true;  // what is sent goes by send()
    }

    void watch(const Pdu& pdu) {
        if (pdu.kind() == Opcode::DataOut)
            longest_wait_ms = std::max(longest_wait_ms, now_ms - touched[pdu.itt()]);
        if (pdu.kind() == Opcode::DataOut || pdu.kind() == Opcode::ScsiCommand)
            touched[pdu.itt()] = now_ms;
    }

    uint32_t write(uint32_t length = k_mib, uint8_t attribute = 1) {
        const uint32_t tag = submit(0, HAWSER_DATA_WRITE, 512);
        buffers[tag].resize(length);  // what is in it is of no interest
        sides[0].queue.back().length = in_use[tag].length = length;
        sides[0].queue.back().task_attribute = attribute;
        return tag;
    }

    void send() {
        hawser_connection* engine = sides[0].connection;
        hawser_transmit what;
        while (queued < socket_bytes && sides[0].up) {
            const auto room = static_cast<uint32_t>(socket_bytes - queued);
            if (!hawser_connection_poll_transmit(engine, room, &what)) return;
            const auto buffer = buffers[what.tag].begin() + what.data_offset;
            Bytes bytes(what.bytes, what.bytes + what.bytes_length);
            bytes.insert(bytes.end(), buffer, buffer + what.data_length);
            bytes.resize(std::min<size_t>(bytes.size(), room));
            const auto length = static_cast<uint32_t>(bytes.size());
            queued += length;
            tcp.push_back(std::move(bytes));
            hawser_connection_handle_transmitted(engine, length, now_ms);
        }
    }

    void step() {
        hawser_connection* engine = sides[0].connection;
        now_ms++;
        size_t left = rate;
        while (left != 0 && !tcp.empty()) {
            Bytes& first = tcp.front();
            const size_t length = std::min(first.size() - first_carried, left);
            if (sides[0].up) target.peers[0].take(first.data() + first_carried, length);
            left -= length;
            first_carried += length;
            queued -= length;
            carried += length;
            if (first_carried != first.size()) break;
            first_carried = 0;
            tcp.pop_front();
        }
        idle_bytes += left;
        run();
        if (told) hawser_connection_handle_queued(engine, static_cast<uint32_t>(queued), now_ms);
        if (hawser_connection_poll_timeout(engine) <= now_ms) {
            const uint32_t wants = hawser_connection_handle_timeout(engine, now_ms);
            sides[0].close_due |= (wants & HAWSER_WANT_CLOSE) != 0;
        }
        send();
        sides[0].completion_due = sides[0].report_due = sides[0].managed_due = true;
        run();
    }
    void pass(uint64_t ms) {
        for (const uint64_t until = now_ms + ms; now_ms < until;) step();
    }

    size_t commands_heard() { return heard_of(*this, Opcode::ScsiCommand).size(); }

    uint32_t rate;
    size_t socket_bytes = 4 * k_mib;
    std::deque<Bytes> tcp;
    size_t first_carried = 0;
    size_t queued = 0;
    std::map<uint32_t, uint64_t> touched;
    uint64_t longest_wait_ms = 0;
    uint64_t carried = 0;
    uint64_t idle_bytes = 0;
    bool told = true;
};

}  // namespace

TEST_CASE("on a slow path no R2T waits for a target's timer, and the path is never idle") {
    for (const size_t socket : {size_t{65536}, size_t{4} * k_mib}) {
        PathScene scene(k_15_mbit, "noop_out_interval=1 noop_out_timeout=5");
        scene.socket_bytes = socket;
        std::vector<uint32_t> tags;
        for (int i = 0; i < 32; i++) tags.push_back(scene.write());
        scene.pass(18300);
        for (const uint32_t tag : tags) scene.good(tag);
        CHECK(scene.longest_wait_ms < 2000);
        CHECK(scene.counters(0).losses == 0);
        CHECK(scene.carried > 32ull * k_mib);
        // 32 MiB take 17.9 s of this path.
        CHECK(scene.idle_bytes < uint64_t{400} * k_15_mbit);
    }
}

TEST_CASE("a path that gets slower by and by is followed") {
    PathScene scene(4 * k_15_mbit);
    for (int i = 0; i < 40; i++) scene.write();
    for (const uint32_t rate : {4 * k_15_mbit, 2 * k_15_mbit, k_15_mbit}) {
        scene.rate = rate;
        scene.pass(3000);
    }
    CHECK(scene.longest_wait_ms < 3000);
    scene.pass(20000);
    CHECK(scene.in_use.empty());
}

TEST_CASE("a fast path does not feel it") {
    PathScene scene(100000);  // 800 Mbit/s
    scene.socket_bytes = 16 * k_mib;
    for (int i = 0; i < 200; i++) scene.write();
    const uint64_t begin_ms = scene.now_ms;
    while (!scene.in_use.empty() && scene.now_ms < begin_ms + 5000) scene.step();
    // 2.1 s is what the path takes for it.
    CHECK(scene.now_ms - begin_ms < 2250);
}

TEST_CASE("a host that does not tell what TCP has is bounded all the same") {
    PathScene scene(k_15_mbit);
    scene.told = false;
    scene.socket_bytes = 65536;
    for (int i = 0; i < 20; i++) scene.write();
    scene.pass(13000);
    CHECK(scene.in_use.empty());
    CHECK(scene.longest_wait_ms < 2000);
}

TEST_CASE("reads and commands without data pass writes that wait, and Data-Out") {
    PathScene scene(k_15_mbit);
    for (int i = 0; i < 64; i++) scene.write();
    scene.pass(3000);
    CHECK(scene.commands_heard() < 30);
    const uint32_t read = scene.submit(0, HAWSER_DATA_READ, 4096);
    const uint32_t none = scene.submit(0, HAWSER_DATA_NONE, 0);
    scene.pass(1500);  // what TCP has goes first
    scene.good(read);
    scene.good(none);
    CHECK(scene.in_use.size() > 40);
}

TEST_CASE("writes and the Data-Out of others take turns") {
    PathScene scene(k_15_mbit, "ImmediateData=Yes");
    scene.socket_bytes = 32768;
    for (int i = 0; i < 4; i++) scene.write();
    scene.pass(1500);  // the allowance is now that of a second, and they owe all of it
    const uint32_t small = scene.write(4096);
    scene.pass(3000);
    scene.good(small);
    CHECK(scene.longest_wait_ms < 2000);
}

TEST_CASE("an ordered command passes no write that waits, and is passed by nothing") {
    PathScene scene(k_15_mbit);
    for (int i = 0; i < 16; i++) scene.write();
    scene.pass(200);
    const size_t writes = scene.commands_heard();
    REQUIRE(writes < 16);
    const uint32_t ordered = scene.submit(0, HAWSER_DATA_NONE, 0);
    scene.sides[0].queue.back().task_attribute = 2;
    const uint32_t after = scene.submit(0, HAWSER_DATA_READ, 512);
    const uint32_t head = scene.write(512);
    scene.sides[0].queue.back().task_attribute = 3;
    scene.pass(10000);
    scene.good(ordered);
    scene.good(after);
    scene.good(head);
    std::vector<uint32_t> order;
    for (const Pdu& pdu : heard_of(scene, Opcode::ScsiCommand)) order.push_back(pdu.itt() & 0xffff);
    REQUIRE(order.size() == 19);
    CHECK(order[16] == ordered);
}

TEST_CASE("a write that waits is taken back without a PDU, or parked as one that was never sent") {
    PathScene scene(k_15_mbit);
    for (int i = 0; i < 16; i++) scene.write();
    scene.pass(100);
    const size_t heard = scene.commands_heard();
    const uint32_t last = 15;
    CHECK(hawser_connection_serves(scene.sides[0].connection, last, scene.now_ms));
    SECTION("ABORT TASK") {
        hawser_task_management request = {};
        request.function = HAWSER_FUNCTION_ABORT_TASK;
        request.tag = last;
        hawser_connection_manage(scene.sides[0].connection, &request, scene.now_ms);
        scene.pass(10);
        CHECK(scene.done_of(last).completion.aborted == 1);
        CHECK(heard_of(scene, Opcode::TaskManagementRequest).empty());
    }
    SECTION("the connection is lost") {
        hawser_connection* engine = scene.sides[0].connection;
        hawser_connection_handle_disconnected(engine, HAWSER_ERROR_CONNECTION_RESET, 104,
                                              scene.now_ms);
        hawser_connection_handle_closed(engine, scene.now_ms);
        size_t sent = 0;
        size_t all = 0;
        for (hawser_parked parked; hawser_connection_poll_parked(engine, &parked); all++)
            sent += parked.sent;
        CHECK(all == 16);
        CHECK(sent <= heard + 4);  // those in TCP
        CHECK(sent >= heard);
    }
}

TEST_CASE("a NOP-Out behind megabytes in TCP is waited for as long as they get less") {
    PathScene scene(200, "noop_out_interval=1 noop_out_timeout=2");
    scene.told = false;  // so that the bound does not keep TCP empty
    scene.target.script = swallow;
    for (int i = 0; i < 100; i++) scene.write(65536);
    scene.pass(1);
    REQUIRE(scene.queued > k_mib);
    scene.told = true;
    SECTION("they do") {
        scene.pass(8000);
        CHECK(scene.lost_with(0) == HAWSER_ERROR_NONE);
    }
    SECTION("they do not") {
        scene.pass(2000);
        scene.rate = 0;
        scene.pass(2500);
        CHECK(scene.last_error(0) == HAWSER_ERROR_NOP_TIMEOUT);
    }
}

TEST_CASE("a command waits its turn while those before it get on, and no longer") {
    PathScene scene(k_15_mbit);
    scene.target.script = [](Peer&, const Pdu& pdu) {
        return pdu.kind() == Opcode::ScsiCommand &&
               pdu.as<wire::ScsiCommand>().expected_data_transfer_length.get() == 512;
    };
    for (int i = 0; i < 8; i++) scene.write();
    scene.pass(1);
    const uint32_t forgotten = scene.submit(0, HAWSER_DATA_READ, 512);
    scene.pass(2000);
    const auto serves = [&](uint64_t ms) {
        return hawser_connection_serves(scene.sides[0].connection, forgotten, scene.now_ms - ms);
    };
    CHECK(serves(1000));
    scene.pass(8000);
    CHECK_FALSE(serves(1000));
    CHECK(scene.in_use.size() == 1);
}

TEST_CASE("a trickle tells nothing about a path") {
    Pace pace;
    uint64_t now_ms = 1000;
    for (int i = 0; i < 5000; i++) {
        pace.transmitted(48);
        pace.look(48 + i % 2, false, now_ms += 7);
    }
    CHECK(pace.admits(1 << 20));
}

TEST_CASE("what is owed is what was promised and what TCP has") {
    Pace pace;
    pace.look(0, false, 1000);
    CHECK(pace.admits(100u << 20));  // the first is let go, whatever it is
    pace.promise(1 << 19);
    CHECK(pace.admits(1 << 19));
    CHECK_FALSE(pace.admits((1 << 19) + 1));
    pace.redeem(1 << 18);
    pace.transmitted(1 << 18);
    CHECK(pace.admits(1 << 19));
    CHECK_FALSE(pace.admits((1 << 19) + 1));
    pace.look(0, false, 1001);
    CHECK(pace.admits((1 << 19) + 1));
}
