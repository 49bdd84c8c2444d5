// SPDX-License-Identifier: GPL-2.0-or-later
//
// A host of the engine for unit tests: what the module's C glue is in the kernel. It carries
// orders, reports and bytes between the engine and a scripted target, in virtual time, and cuts the
// bytes at random places. It polls only what a mask of HAWSER_WANT_* told it to, so that a bit that
// is not set is a session that stands still. Everything that comes out is kept for a test.

#pragma once

#include <array>
#include <catch2/catch.hpp>
#include <deque>
#include <random>
#include <set>

#include "abi/engine.h"
#include "chap_digest.h"
#include "options_of.h"
#include "scripted_target.h"

namespace hawser::test {

class Host {
public:
    struct Side {
        hawser_connection* connection = nullptr;
        bool open = false;   // a socket
        bool up = false;     // TCP is established
        bool fin = false;    // no more sending
        bool stuck = false;  // the socket takes and gives nothing
        bool mute = false;   // it takes nothing
        bool late = false;   // what has come lies unread in a queue of the host
        bool close_due = false;
        bool transmit_due = false;
        bool completion_due = false;
        bool report_due = false;
        bool managed_due = false;
        uint64_t deadline_ms = HAWSER_NEVER;  // as of the last WANT_TIMEOUT
        std::deque<hawser_command> queue;
        uint32_t connects = 0;
    };
    struct Done {
        hawser_completion completion;
        Bytes sense;
        uint32_t index;
    };

    explicit Host(const std::string& more = "", uint32_t connections = 1, uint32_t seed = 1)
        : options(options_of(more, connections)), target(options.connection_count), random(seed) {
        uint64_t bytes = hawser_session_bytes(&options);
        memory.resize(bytes + 64);
        auto address = (reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~uintptr_t{63};
        session = hawser_session_create(reinterpret_cast<void*>(address), &options, 0x0102, 7);
        sides.resize(options.connection_count);
        for (uint32_t i = 0; i < sides.size(); i++)
            sides[i].connection = hawser_session_connection(session, i);
        buffers.resize(options.queue_depth);
    }

    void logout() { act(hawser_session_logout(session, now_ms)); }
    void abandon() { act(hawser_session_abandon(session, now_ms)); }
    void act(uint32_t wants) {
        note(wants);
        run();
    }

    // The session logs in, all of it.
    void start() { act(hawser_session_start(session, now_ms)); }

    // Until nothing moves any more.
    void run() {
        for (uint32_t quiet = 0; quiet < 2;) {
            quiet = step() ? 0 : quiet + 1;
            REQUIRE(++steps < 2000000);
        }
    }

    void turn() { step(); }
    void follow(uint32_t index, uint32_t wants) { note_connection(index, wants); }
    // Lets time pass, stopping at each deadline on the way.
    void pass(uint64_t ms) {
        uint64_t until = now_ms + ms;
        run();
        for (uint64_t next = next_deadline(); next <= until; next = next_deadline()) {
            now_ms = std::max(now_ms, next);
            fire_timeouts();
            run();
        }
        now_ms = until;
        run();
    }

    uint64_t next_deadline() {
        uint64_t next = session_deadline_ms;
        for (Side& side : sides) next = std::min(next, side.deadline_ms);
        return next;
    }

    // Gives a command to a connection; a write's data is put into its buffer.
    uint32_t submit(uint32_t index, uint8_t direction, uint32_t length, uint32_t block = 0,
                    uint8_t cdb_length = 10) {
        uint32_t tag = 0;
        while (in_use.count(tag)) tag++;
        REQUIRE(tag < options.queue_depth);
        hawser_command command = {};
        command.tag = tag;
        command.length = length;
        command.direction = direction;
        command.task_attribute = 1;
        command.cdb_length = cdb_length;
        command.cdb[0] = direction == HAWSER_DATA_WRITE ? 0x2a : direction ? 0x28 : 0x00;
        for (int i = 0; i < 4; i++)
            command.cdb[2 + i] = static_cast<uint8_t>(block >> (24 - 8 * i));
        buffers[tag].assign(length, 0xee);
        if (direction == HAWSER_DATA_WRITE)
            for (auto& byte : buffers[tag]) byte = static_cast<uint8_t>(random());
        in_use[tag] = command;
        sides[index].queue.push_back(command);
        return tag;
    }

    uint32_t add(const hawser_portal* portal, uint32_t& index) {
        uint32_t error = hawser_session_add_connection(session, portal, &index, now_ms);
        note(HAWSER_WANT_ORDER | HAWSER_WANT_TIMEOUT);
        run();
        return error;
    }
    uint32_t drop(uint32_t index) {
        uint32_t error = hawser_session_drop_connection(session, index, now_ms);
        note(HAWSER_WANT_ORDER | HAWSER_WANT_TIMEOUT);
        run();
        return error;
    }
    // What TCP would tell of a side.
    void unacknowledged(uint32_t index, uint64_t since_ms) {
        note_connection(index,
                        hawser_connection_handle_unacknowledged(sides[index].connection, since_ms));
    }
    void taken_in(uint32_t index) {
        note_connection(index, hawser_connection_handle_taken_in(sides[index].connection));
        run();
    }
    void set_order(uint8_t order) { act(hawser_session_set_cmd_sn_order(session, order, now_ms)); }
    void reinstate() { act(hawser_session_reinstate(session, now_ms)); }
    // Where the last CONNECT of a connection went: "10.0.1.2:3260".
    std::string place_of(uint32_t index) const {
        char out[64] = "nowhere";
        for (const auto& order : orders)
            if (order.kind == HAWSER_ORDER_CONNECT && order.index == index)
                hawser_portal_format(&order.where.address, order.where.port, out);
        return out;
    }

    // Asks a connection for a task management function; its result comes to `managed`.
    void manage(uint32_t index, uint8_t function, uint32_t tag = 0, uint8_t lun = 0) {
        hawser_task_management request = {};
        request.function = function;
        request.tag = tag;
        request.lun[1] = lun;
        note_connection(index, hawser_connection_manage(sides[index].connection, &request, now_ms));
        run();
    }

    // The completion of this tag, taken away; fails when there is none.
    Done done_of(uint32_t tag) {
        for (size_t i = 0; i < done.size(); i++) {
            if (done[i].completion.tag != tag) continue;
            Done found = done[i];
            done.erase(done.begin() + static_cast<long>(i));
            return found;
        }
        FAIL("no completion of tag " << tag);
        return {};
    }

    hawser_counters counters(uint32_t index) {
        hawser_counters result;
        hawser_connection_counters(sides[index].connection, &result);
        return result;
    }
    hawser_session_snapshot snapshot() {
        hawser_session_snapshot result;
        hawser_session_read(session, &result);
        return result;
    }
    uint32_t state(uint32_t index) { return counters(index).state; }
    uint32_t last_error(uint32_t index) { return counters(index).last_error; }
    uint32_t lost_with(uint32_t index) {
        for (const auto& report : reports)
            if (report.kind == HAWSER_REPORT_LOST && report.index == index) return report.error;
        return HAWSER_ERROR_NONE;
    }

    // The network cuts a connection: what was on the way is gone.
    void cut(uint32_t index) {
        target.peers[index].out.clear();
        note_connection(index,
                        hawser_connection_handle_disconnected(
                            sides[index].connection, HAWSER_ERROR_CONNECTION_RESET, 104, now_ms));
        sides[index].up = false;
    }

    hawser_options options;
    Target target;
    std::mt19937 random;
    uint64_t now_ms = 1000;
    hawser_session* session = nullptr;
    std::vector<Side> sides;
    std::vector<Bytes> buffers;  // by tag
    std::map<uint32_t, hawser_command> in_use;
    std::vector<Done> done;
    std::vector<hawser_managed> managed;  // results of task management
    std::vector<hawser_overdue> overdue;  // rungs that were told
    std::map<uint32_t, uint32_t> blamed;  // errors of parked commands, by tag
    std::vector<uint32_t> parked;
    std::set<uint32_t> came_back;  // parked once, and not submitted since
    std::vector<hawser_report> reports;
    std::vector<hawser_order> orders;
    std::vector<uint32_t> portals_down;  // refuse TCP
    uint32_t chunk_max = 700;            // bytes handed over at once, 1 at least
    bool hold_parked = false;            // do not submit parked commands again
    uint32_t after_bytes = 0;            // when so many more were sent, `then` happens
    std::function<void()> then;
    std::string chap_secret;     // ours; "": there is none
    std::string chap_secret_in;  // the target's
    int cut_wanted = -1;         // from within a script: cut this connection soon

    uint32_t count_orders(uint32_t kind) const {
        uint32_t count = 0;
        for (const auto& order : orders) count += order.kind == kind;
        return count;
    }

private:
    void note(uint32_t wants) {
        moved = true;
        if (wants & HAWSER_WANT_ORDER) order_due = true;
        if (wants & HAWSER_WANT_TIMEOUT) session_deadline_ms = hawser_session_poll_timeout(session);
    }

    void note_connection(uint32_t index, uint32_t wants) {
        Side& side = sides[index];
        moved = true;
        if (wants & HAWSER_WANT_CLOSE) side.close_due = true;
        if (wants & HAWSER_WANT_CHAP) answer_chap(index);
        if (wants & HAWSER_WANT_FIN) side.fin = target.peers[index].eof = true;
        if (wants & HAWSER_WANT_TRANSMIT) side.transmit_due = true;
        if (wants & HAWSER_WANT_COMPLETION) side.completion_due = true;
        if (wants & HAWSER_WANT_REPORT) side.report_due = true;
        if (wants & HAWSER_WANT_MANAGED) side.managed_due = true;
        if (wants & HAWSER_WANT_OVERDUE) take_overdue(side.connection);
        if ((wants & HAWSER_WANT_TAKE_IN) && !side.late) taken_in(index);
        if (wants & HAWSER_WANT_TIMEOUT)
            side.deadline_ms = hawser_connection_poll_timeout(side.connection);
        if (!(wants & HAWSER_WANT_WAKE)) return;
        uint32_t waiters = hawser_session_window_waiters(session);
        for (uint32_t i = 0; i < sides.size(); i++) {
            if (!(waiters >> i & 1)) continue;
            sides[i].transmit_due = true;
            sides[i].deadline_ms = hawser_connection_poll_timeout(sides[i].connection);
        }
    }

    void take_overdue(hawser_connection* connection) {
        for (hawser_overdue one; hawser_connection_poll_overdue(connection, &one);)
            overdue.push_back(one);
    }

    void answer_chap(uint32_t index) {
        hawser_chap_request request;
        if (!hawser_connection_poll_chap(sides[index].connection, &request)) return;
        Bytes fresh(HAWSER_CHAP_RANDOM_BYTES);
        for (auto& byte : fresh) byte = static_cast<uint8_t>(random());
        const auto answer = chap_answer(request, chap_secret, chap_secret_in, fresh);
        note_connection(index,
                        hawser_connection_handle_chap(sides[index].connection, &answer, now_ms));
    }

    void fire_timeouts() {
        if (session_deadline_ms <= now_ms) {
            note(hawser_session_handle_timeout(session, now_ms));
            session_deadline_ms = hawser_session_poll_timeout(session);
        }
        for (uint32_t i = 0; i < sides.size(); i++) {
            if (sides[i].deadline_ms > now_ms) continue;
            note_connection(i, hawser_connection_handle_timeout(sides[i].connection, now_ms));
            sides[i].deadline_ms = hawser_connection_poll_timeout(sides[i].connection);
        }
    }

    bool step() {
        moved = false;
        if (cut_wanted >= 0 && sides[static_cast<size_t>(cut_wanted)].up)
            cut(static_cast<uint32_t>(cut_wanted));
        cut_wanted = -1;
        if (session_deadline_ms <= now_ms) fire_timeouts();
        if (order_due) {
            order_due = false;
            for (hawser_order order; hawser_session_poll_order(session, &order);) carry_out(order);
        }
        for (uint32_t i = 0; i < sides.size(); i++) {
            submit_queued(i);
            transmit(i);
            receive(i);
            close(i);
            poll(i);
        }
        return moved;
    }

    void carry_out(const hawser_order& order) {
        orders.push_back(order);
        moved = true;
        hawser_connection* connection = sides[order.index].connection;
        uint32_t wants = 0;
        if (order.kind == HAWSER_ORDER_CONCLUDE) {
            wants = hawser_connection_conclude(connection, order.epoch, &order.scope);
        } else if (order.kind == HAWSER_ORDER_SEND_TARGETS) {
            wants = hawser_connection_send_targets(connection, order.epoch, now_ms);
        } else if (order.kind == HAWSER_ORDER_TRY_ORDER) {
            wants = hawser_connection_try_order(connection, order.epoch, order.cid, now_ms);
        } else if (order.kind >= HAWSER_ORDER_RELEASE) {
            if (order.kind == HAWSER_ORDER_RELEASE && !hold_parked) release();
            return;
        } else if (order.kind == HAWSER_ORDER_CONNECT) {
            connect(order);
        } else if (order.kind == HAWSER_ORDER_DRAIN) {
            wants = hawser_connection_drain(connection, order.epoch, order.deadline_ms, now_ms);
        } else if (order.kind == HAWSER_ORDER_CLOSE) {
            wants = hawser_connection_abandon(connection, now_ms);
        } else if (order.kind == HAWSER_ORDER_RECOVER) {
            wants = hawser_connection_recover(connection, order.cid, now_ms);
        } else if (order.kind == HAWSER_ORDER_PROCEED) {
            wants = hawser_connection_proceed(connection);
        } else {
            wants = hawser_connection_logout(connection, order.logout_reason, now_ms);
        }
        note_connection(order.index, wants);
    }

    void connect(const hawser_order& order) {
        Side& side = sides[order.index];
        REQUIRE_FALSE(side.open);
        side.connects++;
        side.open = true;
        side.fin = side.close_due = false;
        note_connection(order.index,
                        hawser_connection_start_connect(side.connection, &order, now_ms));
        for (uint32_t portal : portals_down) {
            if (portal != order.portal) continue;
            note_connection(order.index,
                            hawser_connection_handle_disconnected(
                                side.connection, HAWSER_ERROR_CONNECT_FAILED, 111, now_ms));
            return;
        }
        side.up = true;
        target.peers[order.index].connected();
        note_connection(order.index, hawser_connection_handle_connected(side.connection, now_ms));
    }

    void release() {
        uint32_t index = 0;
        for (uint32_t tag : parked) {
            for (size_t i = 0; i < sides.size(); i++, index++)
                if (hawser_connection_accepts(sides[index % sides.size()].connection)) break;
            sides[index % sides.size()].queue.push_back(in_use.at(tag));
        }
        parked.clear();
    }

    void submit_queued(uint32_t index) {
        Side& side = sides[index];
        while (!side.queue.empty() && hawser_connection_accepts(side.connection)) {
            const hawser_command& command = side.queue.front();
            const bool again = came_back.erase(command.tag) != 0;
            note_connection(index, again ? hawser_connection_resume(side.connection, &command)
                                         : hawser_connection_submit(side.connection, &command));
            side.queue.pop_front();
        }
    }

    void transmit(uint32_t index) {
        Side& side = sides[index];
        hawser_transmit what;
        uint32_t room = 96 + random() % 4096;
        if (!side.up || side.fin || side.stuck || side.mute || !side.transmit_due) return;
        side.transmit_due = hawser_connection_poll_transmit(side.connection, room, &what);
        if (!side.transmit_due) return;
        Bytes bytes(what.bytes, what.bytes + what.bytes_length);
        if (what.data_length) {
            REQUIRE(in_use.count(what.tag));
            const Bytes& buffer = buffers[what.tag];
            REQUIRE(uint64_t{what.data_offset} + what.data_length <= buffer.size());
            auto from = buffer.begin() + what.data_offset;
            bytes.insert(bytes.end(), from, from + what.data_length);
        }
        REQUIRE_FALSE(bytes.empty());
        uint32_t length =
            std::min<uint32_t>(static_cast<uint32_t>(bytes.size()), 1 + random() % (chunk_max * 4));
        if (what.digest && length > what.bytes_length)
            hawser_connection_digest_sent(side.connection, bytes.data() + what.bytes_length,
                                          length - what.bytes_length);
        note_connection(index,
                        hawser_connection_handle_transmitted(side.connection, length, now_ms));
        target.peers[index].take(bytes.data(), length);
        if (after_bytes && (after_bytes -= std::min(after_bytes, length)) == 0) then();
    }

    void receive(uint32_t index) {
        Side& side = sides[index];
        Peer& peer = target.peers[index];
        if (!side.up || side.stuck) return;
        if (peer.out.empty()) {
            // A target closes when it was told to, or when the initiator has shut its side.
            if (!peer.closed && (!peer.eof || peer.lingers)) return;
            side.up = false;
            note_connection(index, hawser_connection_handle_disconnected(
                                       side.connection, HAWSER_ERROR_CLOSED_BY_TARGET, 0, now_ms));
            return;
        }
        uint32_t length =
            std::min<uint32_t>(static_cast<uint32_t>(peer.out.size()), 1 + random() % chunk_max);
        // An exact copy on the heap: a read beyond it is seen.
        Bytes chunk(peer.out.begin(), peer.out.begin() + length);
        peer.out.erase(peer.out.begin(), peer.out.begin() + length);
        for (uint32_t used = 0; used < length;) {
            Bytes rest(chunk.begin() + used, chunk.end());
            uint32_t wants = 0;
            used += hawser_connection_handle_received(
                side.connection, rest.data(), static_cast<uint32_t>(rest.size()), now_ms, &wants);
            REQUIRE(used <= length);
            REQUIRE((used == length || wants & HAWSER_WANT_PLACEMENT));
            note_connection(index, wants);
            used += place(index, chunk, used);
        }
    }

    uint32_t place(uint32_t index, const Bytes& chunk, uint32_t used) {
        hawser_placement where;
        if (!hawser_connection_poll_placement(sides[index].connection, &where)) return 0;
        REQUIRE(in_use.count(where.tag));
        REQUIRE(uint64_t{where.offset} + where.length <= buffers[where.tag].size());
        uint32_t length = std::min(where.length, static_cast<uint32_t>(chunk.size()) - used);
        std::memcpy(buffers[where.tag].data() + where.offset, chunk.data() + used, length);
        if (where.digest)
            hawser_connection_digest_placed(sides[index].connection, chunk.data() + used, length);
        note_connection(index, hawser_connection_handle_placed(sides[index].connection, length));
        return length;
    }

    void close(uint32_t index) {
        Side& side = sides[index];
        if (!side.close_due) return;
        side.close_due = side.open = side.up = side.transmit_due = false;
        note_connection(index, hawser_connection_handle_closed(side.connection, now_ms));
    }

    void poll(uint32_t index) {
        Side& side = sides[index];
        hawser_completion completion;
        while (side.completion_due &&
               hawser_connection_poll_completion(side.connection, &completion)) {
            Bytes sense(completion.sense, completion.sense + completion.sense_length);
            done.push_back({completion, sense, index});
            REQUIRE(in_use.erase(completion.tag) == 1);
            moved = true;
        }
        side.completion_due = false;
        hawser_managed result;
        while (side.managed_due && hawser_connection_poll_managed(side.connection, &result))
            managed.push_back(result);
        side.managed_due = false;
        if (!side.report_due) return;
        side.report_due = false;
        for (hawser_parked one; hawser_connection_poll_parked(side.connection, &one);) {
            REQUIRE(in_use.count(one.tag));
            parked.push_back(one.tag);
            came_back.insert(one.tag);
            blamed[one.tag] = one.error;
        }
        for (hawser_report report; hawser_connection_poll_report(side.connection, &report);) {
            reports.push_back(report);
            note(hawser_session_handle_report(session, &report, now_ms));
        }
        // While the session lives on without that connection, its siblings take its commands.
        const hawser_session_snapshot now = snapshot();
        if (now.state == HAWSER_SESSION_LOGGED_IN && now.keys.error_recovery_level == 2 &&
            !hold_parked)
            release();
    }

    Bytes memory;
    uint64_t session_deadline_ms = HAWSER_NEVER;
    bool order_due = false;
    bool moved = false;
    uint64_t steps = 0;
};

}  // namespace hawser::test
