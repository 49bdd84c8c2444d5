// SPDX-License-Identifier: GPL-2.0-or-later
//
// The simulated host's threads: orders, reports, timers, sockets.

#include "host.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace hawser::sim {

Host::Host(World& world, Network& network, Workload& workload, const Scenario& scenario)
    : m_world(world),
      m_network(network),
      m_workload(workload),
      m_scenario(scenario),
      m_memory(nullptr, std::free) {
    const std::string line = scenario.option_line();
    char reason[HAWSER_REASON_BYTES] = {};
    if (hawser_options_parse(line.data(), static_cast<uint32_t>(line.size()), &m_options, reason) !=
        HAWSER_ERROR_NONE)
        throw std::invalid_argument(reason);
    if (scenario.before_wrap != 0) m_options.first_cmd_sn = 0u - scenario.before_wrap;
    if (scenario.canary == Canary::LongAbort) m_options.abort_timeout_ms = 60000;
    const uint64_t bytes = (hawser_session_bytes(&m_options) + 63) / 64 * 64;
    m_memory.reset(static_cast<uint8_t*>(std::aligned_alloc(64, bytes)));
    std::memset(m_memory.get(), 0, bytes);
    m_session = hawser_session_create(m_memory.get(), &m_options, 1, 0x12345678);
    m_tags.resize(m_options.queue_depth);
    for (uint32_t i = 0; i < m_options.connection_count; i++) {
        m_ports.push_back(std::make_unique<Port>());
        m_ports[i]->host = this;
        m_ports[i]->index = i;
        m_ports[i]->connection = hawser_session_connection(m_session, i);
    }
}

void Host::start() {
    hawser_session_start(m_session, m_world.now_ms());
    take_orders();
}

void Host::logout() {
    m_logout = true;
    hawser_session_logout(m_session, m_world.now_ms());
    take_orders();
}

// Orders to one connection stay in order; each takes its time.
void Host::take_orders() {
    hawser_order order{};
    while (hawser_session_poll_order(m_session, &order)) {
        m_world.log(
            fmt::format("order {} connection {} epoch {}", order.kind, order.index, order.epoch));
        m_world.require(!m_ended, "nothing follows ENDED");
        if (order.kind == HAWSER_ORDER_ENDED) {
            m_ended = true;
            m_end_error = order.error;
        } else if (order.kind == HAWSER_ORDER_RELEASE || order.kind == HAWSER_ORDER_SETTLED) {
            dispatch_parked();
            dispatch();
        } else {
            Port& port = *m_ports.at(order.index);
            port.orders.push_back(order);
            m_world.after(m_world.random.between(1, 500), [this, &port] {
                const hawser_order next = port.orders.front();
                port.orders.pop_front();
                obey(next);
            });
        }
    }
    watch_session_timer();
}

void Host::obey(const hawser_order& order) {
    Port& port = *m_ports[order.index];
    const uint64_t now_ms = m_world.now_ms();
    switch (order.kind) {
        case HAWSER_ORDER_CONNECT:
            return connect(order);
        case HAWSER_ORDER_DRAIN:
            if (m_scenario.canary == Canary::EarlyLogin)
                return after(port, hawser_connection_abandon(port.connection, now_ms));
            return after(port, hawser_connection_drain(port.connection, order.epoch,
                                                       order.deadline_ms, now_ms));
        case HAWSER_ORDER_CLOSE:
            return after(port, hawser_connection_abandon(port.connection, now_ms));
        case HAWSER_ORDER_RECOVER:
            if (m_scenario.canary == Canary::HastyReassign) return pretend_removed(order);
            return after(port, hawser_connection_recover(port.connection, order.cid, now_ms));
        case HAWSER_ORDER_TRY_ORDER:
            return after(port, hawser_connection_try_order(port.connection, order.epoch, order.cid,
                                                           now_ms));
        case HAWSER_ORDER_CONCLUDE:
            return after(port,
                         hawser_connection_conclude(port.connection, order.epoch, &order.scope));
        case HAWSER_ORDER_PROCEED:
            return after(port, hawser_connection_proceed(port.connection));
        default:
            return after(port,
                         hawser_connection_logout(port.connection, order.logout_reason, now_ms));
    }
}

void Host::connect(const hawser_order& order) {
    Port& port = *m_ports[order.index];
    m_world.require(port.link == nullptr, "a connection is opened once at a time");
    if (order.login.leading != 0) {
        m_knows_disk = m_lost = false;
        for (const auto& other : m_ports)
            m_world.require(other->link == nullptr, "a leading login waits for every close");
        if (m_scenario.canary != Canary::EarlyLogin)
            m_world.require(m_world.now_ms() >= m_wait_until_ms, "Time2Wait is obeyed");
        if (snapshot().reinstatements != 0) m_world.counts["reinstatements tried"]++;
    }
    port.up = port.fin = port.armed = port.close_due = port.logged_in = false;
    port.link = &m_network.connect(order.portal, port);
    after(port, hawser_connection_start_connect(port.connection, &order, m_world.now_ms()));
}

// As though the Logout for recovery were answered, though it was not even sent.
void Host::pretend_removed(const hawser_order& order) {
    hawser_report report{};
    report.kind = HAWSER_REPORT_RECOVERED;
    report.index = order.index;
    report.epoch = order.epoch;
    report.cid = order.cid;
    give_report(report);
}

// What a mutation asked for, and nothing else.
void Host::after(Port& port, uint32_t wants) {
    if (wants & HAWSER_WANT_COMPLETION) take_completions(port);
    if (wants & HAWSER_WANT_OVERDUE) take_rungs(port);
    if (wants & HAWSER_WANT_CHAP) answer_chap(port);
    if (wants & HAWSER_WANT_MANAGED) take_managed(port);
    if (wants & HAWSER_WANT_TAKE_IN)
        after(port, hawser_connection_handle_taken_in(port.connection));
    if (wants & HAWSER_WANT_TRANSMIT) arm(port);
    if ((wants & HAWSER_WANT_WAKE) && m_scenario.canary != Canary::Deaf) wake();
    const bool orderly = wants & HAWSER_WANT_FIN;
    if (orderly && port.link != nullptr && !(wants & HAWSER_WANT_CLOSE) && !port.fin) {
        port.fin = true;
        port.link->send_fin(k_initiator);
    }
    if (wants & HAWSER_WANT_CLOSE) schedule_close(port, orderly);
    if (wants & HAWSER_WANT_REPORT) {
        hawser_report report{};
        while (hawser_connection_poll_report(port.connection, &report)) {
            note_loss(port, report);
            give_report(report);
        }
    }
    watch_timer(port, wants);
}

void Host::wake() {
    const uint32_t waiters = hawser_session_window_waiters(m_session);
    for (const auto& port : m_ports) {
        if (!(waiters & (1u << port->index))) continue;
        arm(*port);
        watch_timer(*port, HAWSER_WANT_TIMEOUT);
    }
}

// What the host's TCP would know.
uint32_t Host::look_at_link(Port& port) {
    const bool up = port.link != nullptr && port.up && !port.close_due;
    uint32_t wants = 0;
    if (up) {
        auto queued = static_cast<uint32_t>(port.link->queued(k_initiator));
        if (m_scenario.canary == Canary::LyingTcp)
            queued = m_world.now_ms() % 1000 < 500 ? UINT32_MAX : 0;
        wants = hawser_connection_handle_queued(port.connection, queued, m_world.now_ms());
    }
    return wants | hawser_connection_handle_unacknowledged(
                       port.connection,
                       up ? port.link->unacknowledged_ms(k_initiator) : HAWSER_NEVER);
}

void Host::schedule_close(Port& port, bool orderly) {
    if (port.close_due || port.link == nullptr) return;
    port.close_due = true;
    m_world.after(m_world.random.between(1, 200), [this, &port, orderly] {
        m_world.log(fmt::format("connection {} closed", port.index));
        port.link->close(k_initiator, !orderly);
        port.link = nullptr;
        port.up = false;
        const uint32_t wants = hawser_connection_handle_closed(port.connection, m_world.now_ms());
        if (wants & HAWSER_WANT_COMPLETION) take_completions(port);
        take_parked(port);
        after(port, wants & ~HAWSER_WANT_COMPLETION);
    });
}

// The session runs, and no loss is on its way to it.
bool Host::is_sound() const {
    return snapshot().state == HAWSER_SESSION_LOGGED_IN &&
           std::none_of(m_reports.begin(), m_reports.end(), [](const hawser_report& report) {
               return report.kind == HAWSER_REPORT_LOST;
           });
}

// Our own reckoning of Time2Wait: from the first loss of a session, as agreed or as last said.
void Host::note_loss(Port& port, const hawser_report& report) {
    m_world.log(fmt::format("report {} connection {} epoch {} {} {:x}", report.kind, report.index,
                            report.epoch, hawser_error_words(report.error), report.detail));
    if (report.kind == HAWSER_REPORT_LOGGED_IN) {
        port.logged_in = true;
        if (is_sound()) m_lost = false;
        m_level = report.keys.error_recovery_level;
        m_time2wait_s = report.keys.default_time2wait_s;
    }
    const bool loss =
        report.kind == HAWSER_REPORT_LOST || report.kind == HAWSER_REPORT_LOGOUT_REQUESTED;
    if (loss) check_diet(report);
    if (!loss || !port.logged_in) return;
    port.logged_in = false;
    if (m_level == 2 && report.kind == HAWSER_REPORT_LOST) return;
    if (m_lost) return;
    m_lost = true;
    m_world.counts["sessions lost"]++;
    const uint64_t wait_s = report.time2wait_s != 0xffff ? report.time2wait_s : m_time2wait_s;
    m_wait_until_ms = m_world.now_ms() + 1000 * wait_s;
}

// What a level can mend by itself must not cost a connection.
void Host::check_diet(const hawser_report& report) {
    if (m_scenario.diet != Diet::NoiseOnly || m_level == 0 || m_logout) return;
    m_world.violate(fmt::format("ErrorRecoveryLevel 1 mends what noise takes, but: {}",
                                hawser_error_words(report.error)));
}

void Host::give_report(const hawser_report& report) {
    m_reports.push_back(report);
    m_world.after(m_world.random.between(1, 500), [this] {
        hawser_report next = m_reports.front();
        m_reports.pop_front();
        if (m_scenario.canary == Canary::EarlyLogin) next.time2wait_s = 0;
        if (m_scenario.canary == Canary::HastyWait && next.kind == HAWSER_REPORT_RECOVERED)
            next.time2wait_s = 0;
        hawser_session_handle_report(m_session, &next, m_world.now_ms());
        take_orders();
        dispatch_parked();
    });
}

void Host::watch_session_timer() {
    const uint64_t due_ms = hawser_session_poll_timeout(m_session);
    if (due_ms >= m_session_timer_ms) return;
    m_session_timer_ms = due_ms;
    const uint64_t now_ms = m_world.now_ms();
    m_world.after((due_ms > now_ms ? due_ms - now_ms : 0) * 1000, [this, due_ms] {
        if (m_session_timer_ms == due_ms) m_session_timer_ms = HAWSER_NEVER;
        const uint64_t now_ms = m_world.now_ms();
        // What it does at one deadline may set another that is due at once, but not for ever.
        constexpr uint32_t k_turns_max = 4;
        for (uint32_t turn = 0; hawser_session_poll_timeout(m_session) <= now_ms; turn++) {
            m_world.require(turn != k_turns_max, "a session's deadline that was served is over");
            hawser_session_handle_timeout(m_session, now_ms);
        }
        take_orders();
    });
}

void Host::watch_timer(Port& port, uint32_t wants) {
    const uint32_t look = look_at_link(port);
    if (look & HAWSER_WANT_TRANSMIT) arm(port);
    wants |= look;
    const uint64_t due_ms = hawser_connection_poll_timeout(port.connection);
    m_world.require(due_ms >= port.told_timer_ms || (wants & HAWSER_WANT_TIMEOUT),
                    "an earlier deadline is announced");
    port.told_timer_ms = due_ms;
    if (due_ms >= port.timer_ms) return;
    port.timer_ms = due_ms;
    const uint64_t now_ms = m_world.now_ms();
    m_world.after((due_ms > now_ms ? due_ms - now_ms : 0) * 1000, [this, &port, due_ms] {
        if (port.timer_ms != due_ms) return;
        port.timer_ms = HAWSER_NEVER;
        uint32_t now_wants = HAWSER_WANT_TIMEOUT | look_at_link(port);
        if (hawser_connection_poll_timeout(port.connection) <= m_world.now_ms())
            now_wants |= hawser_connection_handle_timeout(port.connection, m_world.now_ms());
        after(port, now_wants);
    });
}

bool Host::all_closed() const {
    return std::all_of(m_ports.begin(), m_ports.end(),
                       [](const auto& port) { return port->link == nullptr; });
}

bool Host::is_whole() const {
    uint32_t logged_in = 0;
    for (const auto& port : m_ports) logged_in += hawser_connection_accepts(port->connection);
    const hawser_session_snapshot now = snapshot();
    if (now.fallback) return logged_in == 1;
    return logged_in != 0 &&
           logged_in == std::min(m_options.connection_count, now.connections_granted);
}

hawser_session_snapshot Host::snapshot() const {
    hawser_session_snapshot snapshot{};
    hawser_session_read(m_session, &snapshot);
    return snapshot;
}

// For a run that hangs: where everybody stands.
std::string Host::describe() const {
    hawser_window window{};
    hawser_session_window(m_session, &window);
    std::string text = fmt::format(
        "session state {}, window {} {} {}, {} wait of {};", snapshot().state, window.cmd_sn,
        window.exp_cmd_sn, window.max_cmd_sn, m_waiting.size() + m_parked.size(), unfinished());
    for (const auto& port : m_ports) {
        hawser_counters counters{};
        hawser_connection_counters(port->connection, &counters);
        text += fmt::format(" connection {}: state {}, {} tasks, {}{};", port->index,
                            counters.state, counters.tasks, hawser_error_words(counters.last_error),
                            port->armed ? ", armed" : "");
    }
    return text;
}

}  // namespace hawser::sim
