// SPDX-License-Identifier: GPL-2.0-or-later
//
// The host's control side: orders, reports, time.

#include "engine_host.h"

#include <algorithm>
#include <cstdlib>

namespace hawser::target {

namespace {

constexpr uint32_t k_steps_max = 200000;  // without time passing: something spins

}  // namespace

EngineHost::EngineHost(const std::string& line, ScriptedTarget& target, uint32_t seed)
    : m_memory(nullptr, std::free), m_target(target), m_random(seed) {
    char reason[HAWSER_REASON_BYTES] = {};
    const uint32_t error =
        hawser_options_parse(line.data(), static_cast<uint32_t>(line.size()), &m_options, reason);
    if (error != HAWSER_ERROR_NONE) throw ScriptError(std::string("options: ") + reason);
    const uint64_t bytes = (hawser_session_bytes(&m_options) + 63) / 64 * 64;
    m_memory.reset(static_cast<uint8_t*>(std::aligned_alloc(64, bytes)));
    std::fill_n(m_memory.get(), bytes, uint8_t{0});
    m_session = hawser_session_create(m_memory.get(), &m_options, 0x0102, seed);
    m_ports.resize(m_options.connection_count);
    for (uint32_t i = 0; i < m_ports.size(); i++)
        m_ports[i].engine = hawser_session_connection(m_session, i);
    m_operations.resize(m_options.queue_depth);
}

EngineHost::~EngineHost() = default;

void EngineHost::start() {
    note(hawser_session_start(m_session, m_now_ms));
}

void EngineHost::manage(uint32_t index, uint8_t function, uint32_t tag, uint64_t lun) {
    hawser_task_management request{};
    request.tag = tag;
    request.function = function;
    request.lun[1] = static_cast<uint8_t>(lun);
    note_port(index, hawser_connection_manage(m_ports[index].engine, &request, m_now_ms));
}

void EngineHost::logout() {
    note(hawser_session_logout(m_session, m_now_ms));
}

void EngineHost::note(uint32_t wants) {
    m_moved = true;
    if (wants & HAWSER_WANT_ORDER) m_order_due = true;
    if (wants & HAWSER_WANT_TIMEOUT) m_session_deadline_ms = hawser_session_poll_timeout(m_session);
}

void EngineHost::note_port(uint32_t index, uint32_t wants) {
    Port& port = m_ports[index];
    m_moved = true;
    if (wants & HAWSER_WANT_CLOSE) port.close_due = true;
    if (wants & HAWSER_WANT_OVERDUE) take_rungs(index);
    if (wants & HAWSER_WANT_CHAP) answer_chap(index);
    if (wants & HAWSER_WANT_FIN) port.fin = true;
    if (wants & HAWSER_WANT_TRANSMIT) port.transmit_due = true;
    if (wants & HAWSER_WANT_COMPLETION) port.completion_due = true;
    if (wants & HAWSER_WANT_REPORT) port.report_due = true;
    if (wants & HAWSER_WANT_MANAGED) port.managed_due = true;
    if (wants & HAWSER_WANT_TIMEOUT) port.deadline_ms = hawser_connection_poll_timeout(port.engine);
    if (!(wants & HAWSER_WANT_WAKE)) return;
    const uint32_t waiters = hawser_session_window_waiters(m_session);
    for (uint32_t i = 0; i < m_ports.size(); i++)
        if (waiters >> i & 1) m_ports[i].transmit_due = true;
}

void EngineHost::answer_chap(uint32_t index) {
    hawser_chap_request request{};
    if (!hawser_connection_poll_chap(m_ports[index].engine, &request)) return;
    hawser_chap_answer answer{};
    for (uint8_t& byte : answer.random) byte = static_cast<uint8_t>(m_random());
    const std::string& secret = request.secret == HAWSER_CHAP_OURS ? chap_secret : chap_secret_in;
    const Bytes challenge(request.challenge, request.challenge + request.challenge_length);
    const auto digest = chap_response(request.algorithm, request.identifier, secret, challenge);
    if (digest && !secret.empty()) {
        answer.digest_length = static_cast<uint8_t>(digest->size());
        std::copy(digest->begin(), digest->end(), answer.digest);
    }
    note_port(index, hawser_connection_handle_chap(m_ports[index].engine, &answer, m_now_ms));
}

uint64_t EngineHost::next_deadline() const {
    uint64_t next = std::min(m_session_deadline_ms, m_target.poll_timeout());
    for (const Port& port : m_ports) next = std::min(next, port.deadline_ms);
    return next;
}

void EngineHost::fire(uint64_t now_ms) {
    if (m_session_deadline_ms <= now_ms) {
        note(hawser_session_handle_timeout(m_session, now_ms));
        m_session_deadline_ms = hawser_session_poll_timeout(m_session);
    }
    for (uint32_t i = 0; i < m_ports.size(); i++) {
        if (m_ports[i].deadline_ms > now_ms) continue;
        note_port(i, hawser_connection_handle_timeout(m_ports[i].engine, now_ms));
        m_ports[i].deadline_ms = hawser_connection_poll_timeout(m_ports[i].engine);
    }
    if (m_target.poll_timeout() <= now_ms) {
        m_target.handle_timeout(now_ms);
        m_moved = true;
    }
}

void EngineHost::run_quiet() {
    uint32_t steps = 0;
    for (uint32_t quiet = 0; quiet < 2; quiet = step() ? 0 : quiet + 1)
        if (++steps > k_steps_max) throw ScriptError("nothing comes to rest: the session spins");
}

bool EngineHost::run_until(const std::function<bool()>& done, uint64_t ms) {
    const uint64_t until_ms = m_now_ms + ms;
    run_quiet();
    while (!done()) {
        const uint64_t next_ms = next_deadline();
        if (next_ms > until_ms) break;
        m_now_ms = std::max(m_now_ms, next_ms);
        fire(m_now_ms);
        run_quiet();
    }
    if (done()) return true;
    m_now_ms = until_ms;
    return false;
}

bool EngineHost::step() {
    m_moved = false;
    if (next_deadline() <= m_now_ms) fire(m_now_ms);
    if (m_order_due) {
        m_order_due = false;
        for (hawser_order order; hawser_session_poll_order(m_session, &order);) carry_out(order);
    }
    dispatch();
    for (uint32_t i = 0; i < m_ports.size(); i++) {
        transmit(i);
        receive(i);
        close(i);
        poll(i);
    }
    return m_moved;
}

void EngineHost::carry_out(const hawser_order& order) {
    m_orders.push_back(order);
    m_moved = true;
    switch (order.kind) {
        case HAWSER_ORDER_RELEASE:
            return;
        case HAWSER_ORDER_SETTLED:
            m_settled = true;
            return;
        case HAWSER_ORDER_ENDED:
            m_ended = true;
            m_end_error = order.error;
            return;
        default:
            break;
    }
    hawser_connection* engine = m_ports[order.index].engine;
    switch (order.kind) {
        case HAWSER_ORDER_CONNECT:
            return connect(order);
        case HAWSER_ORDER_DRAIN:
            return note_port(order.index, hawser_connection_drain(engine, order.epoch,
                                                                  order.deadline_ms, m_now_ms));
        case HAWSER_ORDER_CLOSE:
            return note_port(order.index, hawser_connection_abandon(engine, m_now_ms));
        case HAWSER_ORDER_LOGOUT:
            return note_port(order.index,
                             hawser_connection_logout(engine, order.logout_reason, m_now_ms));
        case HAWSER_ORDER_RECOVER:
            return note_port(order.index, hawser_connection_recover(engine, order.cid, m_now_ms));
        case HAWSER_ORDER_PROCEED:
            return note_port(order.index, hawser_connection_proceed(engine));
        case HAWSER_ORDER_SEND_TARGETS:
            return note_port(order.index,
                             hawser_connection_send_targets(engine, order.epoch, m_now_ms));
        case HAWSER_ORDER_TRY_ORDER:
            return note_port(order.index, hawser_connection_try_order(engine, order.epoch,
                                                                      order.cid, m_now_ms));
        case HAWSER_ORDER_CONCLUDE:
            return note_port(order.index,
                             hawser_connection_conclude(engine, order.epoch, &order.scope));
        default:
            throw ScriptError("the host does not know order " + std::to_string(order.kind));
    }
}

void EngineHost::connect(const hawser_order& order) {
    Port& port = m_ports[order.index];
    port.open = port.up = true;
    port.fin = port.close_due = false;
    m_settled = false;
    note_port(order.index, hawser_connection_start_connect(port.engine, &order, m_now_ms));
    port.link = static_cast<int>(m_target.target.open(m_now_ms));
    note_port(order.index, hawser_connection_handle_connected(port.engine, m_now_ms));
}

hawser_session_snapshot EngineHost::snapshot() const {
    hawser_session_snapshot snapshot{};
    hawser_session_read(m_session, &snapshot);
    return snapshot;
}

hawser_counters EngineHost::counters(uint32_t index) const {
    hawser_counters counters{};
    hawser_connection_counters(m_ports[index].engine, &counters);
    return counters;
}

std::string EngineHost::place_of(uint32_t index) const {
    char out[64] = "nowhere";
    for (const hawser_order& order : m_orders)
        if (order.kind == HAWSER_ORDER_CONNECT && order.index == index)
            hawser_portal_format(&order.where.address, order.where.port, out);
    return out;
}

uint32_t EngineHost::logged_in() const {
    uint32_t count = 0;
    for (uint32_t i = 0; i < m_ports.size(); i++)
        count += counters(i).state == HAWSER_CONNECTION_LOGGED_IN;
    return count;
}

}  // namespace hawser::target
