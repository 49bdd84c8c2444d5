// SPDX-License-Identifier: GPL-2.0-or-later
//
// The host of a fuzzed stream: the control thread, whose orders and reports take their time, logins
// that succeed, and the end of everything.

#include "stream_host.h"

namespace hawser::fuzz {

// All messages that are on their way arrive.
void StreamHost::control() {
    for (uint32_t turns = 0; turns < 1000; turns++) {
        bool moved = false;
        while (!m_reports.empty()) {
            const hawser_report report = m_reports.front();
            m_reports.pop_front();
            hawser_session_handle_report(m_session, &report, m_now_ms);
            moved = true;
        }
        for (hawser_order order; hawser_session_poll_order(m_session, &order); moved = true) {
            if (order.kind == HAWSER_ORDER_ENDED) {
                FUZZ_CHECK(!m_ended, "a session ends once");
                m_ended = true;
            }
            FUZZ_CHECK(!m_ended || order.kind == HAWSER_ORDER_ENDED, "nothing follows the end");
            if (order.kind < HAWSER_ORDER_RELEASE || order.kind > HAWSER_ORDER_ENDED)
                m_sides.at(order.index).orders.push_back(order);
        }
        for (Side& side : m_sides) {
            while (!side.orders.empty()) {
                const hawser_order order = side.orders.front();
                side.orders.pop_front();
                obey(order);
                moved = true;
            }
        }
        if (!moved) return;
    }
    FUZZ_CHECK(false, "messages come to an end");
}

void StreamHost::obey(const hawser_order& order) {
    Side& side = m_sides.at(order.index);
    hawser_connection* connection = side.connection;
    switch (order.kind) {
        case HAWSER_ORDER_CONNECT:
            FUZZ_CHECK(!side.open, "a connection is opened once at a time");
            side.open = side.connecting = true;
            side.close_due = side.fin = side.armed = side.lost = side.logged_in = false;
            side.logout_sent = side.has_cmd_sn = false;
            side.login_stage = -1;
            side.outgoing.clear();
            side.peer.begin();
            side.leading = order.login.leading != 0;
            if (side.leading) m_exp_cmd_sn = 1;
            return after(order.index,
                         hawser_connection_start_connect(connection, &order, m_now_ms));
        case HAWSER_ORDER_DRAIN:
            return after(order.index, hawser_connection_drain(connection, order.epoch,
                                                              order.deadline_ms, m_now_ms));
        case HAWSER_ORDER_CLOSE:
            return after(order.index, hawser_connection_abandon(connection, m_now_ms));
        case HAWSER_ORDER_RECOVER:
            return after(order.index, hawser_connection_recover(connection, order.cid, m_now_ms));
        case HAWSER_ORDER_PROCEED:
            return after(order.index, hawser_connection_proceed(connection));
        case HAWSER_ORDER_SEND_TARGETS:
            return after(order.index,
                         hawser_connection_send_targets(connection, order.epoch, m_now_ms));
        case HAWSER_ORDER_TRY_ORDER:
            return after(order.index, hawser_connection_try_order(connection, order.epoch,
                                                                  order.cid, m_now_ms));
        case HAWSER_ORDER_CONCLUDE:
            return after(order.index,
                         hawser_connection_conclude(connection, order.epoch, &order.scope));
        default:
            return after(order.index,
                         hawser_connection_logout(connection, order.logout_reason, m_now_ms));
    }
}

void StreamHost::connected(uint32_t index) {
    Side& side = m_sides[index];
    if (!side.open || !side.connecting || side.close_due) return;
    side.connecting = false;
    after(index, hawser_connection_handle_connected(side.connection, m_now_ms));
}

// The right answer to the Login Request that came, with the variant's keys.
void StreamHost::answer_login(uint32_t index) {
    Side& side = m_sides[index];
    transmit(index, 0xffff, 0xffffff);
    if (!side.open || side.login_stage < 0) return;
    const bool operational = side.login_stage == 1;
    side.login_stage = -1;
    side.peer.exp_cmd_sn = m_exp_cmd_sn;
    side.peer.window = 16;
    std::string text = "TargetPortalGroupTag=1 AuthMethod=None";
    if (operational) {
        text = std::string("MaxRecvDataSegmentLength=") + std::to_string(m_variant->max_xmit);
        if (m_variant->digests) text += " HeaderDigest=CRC32C DataDigest=CRC32C";
        if (side.leading) text += std::string(" ") + m_variant->answers;
    }
    side.peer.say_login(operational ? 0x87 : 0x81, side.isid, 1, text);
    side.peer.digests = operational && m_variant->digests;
    deliver(index, 0xffffff);
}

void StreamHost::close(uint32_t index) {
    Side& side = m_sides[index];
    if (!side.open) return;
    side.open = side.connecting = side.close_due = side.armed = false;
    side.login_stage = -1;
    after(index, hawser_connection_handle_closed(side.connection, m_now_ms));
}

void StreamHost::forget(uint32_t tag) {
    HostTask& task = m_tasks[tag];
    task.live = task.on_wire = false;
    task.buffer = Bytes();
}

// Before the input begins: both connections in full feature phase.
void StreamHost::log_in() {
    hawser_session_start(m_session, m_now_ms);
    for (uint32_t turns = 0; turns < 8; turns++) {
        control();
        for (uint32_t i = 0; i < k_connections; i++) {
            connected(i);
            answer_login(i);
        }
    }
    for (const Side& side : m_sides) {
        hawser_counters counters{};
        hawser_connection_counters(side.connection, &counters);
        FUZZ_CHECK(hawser_connection_accepts(side.connection),
                   hawser_error_words(counters.last_error));
    }
}

// The session is given up: whatever the input did, all tasks are back and all sockets closed.
void StreamHost::finish() {
    control();
    hawser_session_abandon(m_session, m_now_ms);
    for (uint32_t turns = 0; turns < 8; turns++) {
        control();
        for (uint32_t i = 0; i < k_connections; i++) {
            if (m_sides[i].close_due) close(i);
        }
    }
    FUZZ_CHECK(m_ended, "an abandoned session ends");
    hawser_session_snapshot snapshot{};
    hawser_session_read(m_session, &snapshot);
    FUZZ_CHECK(snapshot.own_mistakes == 0, "no byte of a peer's leads to a mistake of our own");
    for (const HostTask& task : m_tasks) FUZZ_CHECK(!task.live, "every task comes back");
    for (const Side& side : m_sides) {
        hawser_counters counters{};
        hawser_connection_counters(side.connection, &counters);
        FUZZ_CHECK(side.functions == 0, "every function has its result");
        FUZZ_CHECK(!side.open && counters.tasks == 0, "nothing is left on a connection");
        FUZZ_CHECK(counters.state == HAWSER_CONNECTION_FREE, "a closed connection is free");
    }
}

}  // namespace hawser::fuzz
