// SPDX-License-Identifier: GPL-2.0-or-later
// The session: which connection logs in when, what a loss means, how it ends.
//
// Owned by the control thread. It sees the connections only through reports and acts only through
// orders, each marked with the epoch of the nexus it is about, so that a message that was under way
// while the session started anew is known as old.
//
// At ErrorRecoveryLevel 0 the loss of one connection is the loss of the session (RFC 7143 7.1.4.3,
// 7.1.5). Reinstatement must not let an old write land after a new one: siblings are not reset,
// they are read until the target closes them (a target like LIO finishes its commands first) or
// until Time2Wait is over; only when every socket is closed, and Time2Wait has passed, does one
// connection log in with the same ISID and TSIH 0, which is what ends the old nexus at the target
// (6.3.5). Then the others follow in parallel, and parked commands are released.
//
// At ErrorRecoveryLevel 2 a lost connection ends nothing: session_connection_recovery.cpp.
//
// A connection that does not come up is tried again with a backoff while the session runs on the
// others: at no ErrorRecoveryLevel does a failed login harm those that are logged in.
#pragma once

#include "abi/engine.h"
#include "engine/connection.hpp"

#include <array>
#include <cstdint>

namespace hawser {

enum class SessionState : uint8_t {
    Free = HAWSER_SESSION_FREE,           // Q1
    LoggedIn = HAWSER_SESSION_LOGGED_IN,  // Q3
    Failed = HAWSER_SESSION_FAILED,       // Q4
};

// What the control thread is about; the RFC's Q states are what a user sees of it.
enum class SessionPhase : uint8_t {
    Idle,
    Leading,         // one connection logs in with TSIH 0
    Running,         // full feature phase; further connections come and go
    Draining,        // a loss: waiting for every socket to close, then for Time2Wait
    LoggingOut,      // every connection but the last
    LoggingOutLast,  // the one that closes the session
    Ending,          // abandoned: waiting for the sockets to close
    Ended,
};

class Session {
public:
    void create(SessionShared& shared, std::span<Connection> connections, uint16_t isid_qualifier,
                uint32_t random);

    uint32_t start(uint64_t now_ms);
    uint32_t logout(uint64_t now_ms);
    uint32_t abandon();
    uint32_t add_connection(const hawser_portal* portal, uint32_t& index, uint64_t now_ms);
    uint32_t drop_connection(uint32_t index);
    uint32_t reinstate(uint64_t now_ms);
    uint32_t set_cmd_sn_order(uint8_t order, uint64_t now_ms);
    uint32_t handle_report(const hawser_report& report, uint64_t now_ms);
    uint32_t handle_timeout(uint64_t now_ms);
    uint64_t poll_timeout() const;
    bool poll_order(hawser_order& order);
    void read(hawser_session_snapshot& snapshot) const;

    Connection& connection(uint32_t index) { return m_connections[index]; }
    SessionShared& shared() { return *m_shared; }
    const SessionShared& shared() const { return *m_shared; }

private:
    enum class SlotPhase : uint8_t { Idle, Opening, LoggedIn, Closing };
    // ErrorRecoveryLevel 2, of a lost connection: session_connection_recovery.cpp.
    enum class Recovery : uint8_t { None, Closing, Pending, Removing, Waiting, Reopening };
    struct Slot {
        SlotPhase phase = SlotPhase::Idle;
        bool failed_once = false;  // since the last RELEASE
        uint32_t attempts = 0;     // in a row that failed
        uint32_t portal = 0;
        uint64_t retry_ms = HAWSER_NEVER;
        Recovery recovery = Recovery::None;
        uint32_t remover = 0;                // Removing: who asks for it
        uint64_t recover_ms = HAWSER_NEVER;  // not before: Time2Wait
        uint64_t retain_ms = HAWSER_NEVER;   // not after: Time2Retain
        bool enabled = false;                // one of those that are to be open
        bool retiring = false;               // in a Logout of its own, the session runs on
        uint32_t home = 0;                   // the portal that it begins with
        hawser_portal redirect{};       // where the target sends this login; family 0: nowhere else
        uint32_t redirects = 0;         // in a row
        bool moves = false;             // and for good, once it has logged in there
        bool following = false;         // the redirect is to be followed when the socket is closed
        uint16_t time2wait_s = 0xffff;  // as a sibling's async event 2 announced them
        uint16_t time2retain_s = 0xffff;
    };

    // session.cpp
    hawser_order make_order(uint32_t kind, uint32_t index) const;
    void push_order(const hawser_order& order);
    void connect(uint32_t index, bool leading, uint64_t now_ms);
    void settle();
    uint32_t end(uint32_t error, uint32_t detail);
    uint32_t wants() const;
    uint32_t enabled_connections() const;
    uint32_t next_enabled(uint32_t index) const;
    uint32_t usable_connections() const;
    bool all_idle() const;
    void note_error(const hawser_report& report);

    // session_recovery.cpp
    void handle_logged_in(const hawser_report& report, uint64_t now_ms);
    void handle_lost(const hawser_report& report, uint64_t now_ms);
    void handle_closed(uint32_t index, uint64_t now_ms);
    void release(uint64_t now_ms);
    uint32_t next_leader(uint32_t lost) const;
    void begin_reinstatement(const hawser_report& report, uint64_t now_ms);
    void begin_leading(uint64_t now_ms);
    void try_next_leader(uint64_t now_ms);
    void continue_logout(uint64_t now_ms);
    void close_open_slots();

    // session_connection_recovery.cpp
    bool any_in(SlotPhase phase) const;
    bool can_recover(const hawser_report& report) const;
    bool recovers_in_vain(uint64_t now_ms);
    void begin_recovery(const hawser_report& report, uint64_t now_ms);
    uint32_t free_remover() const;
    void continue_recovery(uint64_t now_ms);
    void finish_recovery(uint32_t index, uint64_t now_ms);
    void rejoin(uint32_t index, uint64_t now_ms);
    void handle_recovered(const hawser_report& report, uint64_t now_ms);
    void disturb_recovery(const hawser_report& report, uint64_t now_ms);
    void note_unsupported(uint32_t error, uint32_t detail);
    void give_up_recovery(uint32_t error, uint32_t detail, uint64_t now_ms);
    uint64_t recovery_timeout() const;
    // session_portals.cpp
    const hawser_portal& portal_of(const Slot& slot) const;
    uint32_t next_portal(uint32_t index) const;
    void shun(const Slot& slot, bool was_opening);
    bool means_nothing(const hawser_address& address) const;
    uint32_t find_portal(const hawser_portal& portal);
    bool ask_for_portals();
    void open_others(uint64_t now_ms);
    void handle_portal(const hawser_report& report);
    void handle_portals_told(const hawser_report& report, uint64_t now_ms);
    void follow_redirect(hawser_report& report);

    // session_order.cpp
    bool is_alone() const;
    bool has_room() const;
    bool suspect(const hawser_report& report, uint64_t now_ms);
    void note_crossed(const hawser_report& report, uint64_t now_ms);
    void begin_order();
    void judge_order(uint32_t index, uint64_t now_ms);
    bool refuses_order(const hawser_report& report) const;
    void try_order(uint32_t index);
    void handle_tried(const hawser_report& report, uint64_t now_ms);
    void end_trial(uint64_t now_ms);

    // session_connections.cpp
    void close_one(uint32_t index);
    bool is_under_way() const;
    void retire(uint32_t index, uint8_t reason);
    void handle_logout_requested(const hawser_report& report, uint64_t now_ms);
    void handle_logged_out(const hawser_report& report, uint64_t now_ms);
    void note_announced_times(const hawser_report& report);
    void take_announced_times(hawser_report& report);
    uint32_t logged_in_connections() const;

    SessionShared* m_shared = nullptr;
    std::span<Connection> m_connections;
    std::array<Slot, HAWSER_CONNECTIONS_MAX> m_slots{};

    SessionPhase m_phase = SessionPhase::Idle;
    SessionState m_state = SessionState::Free;
    uint32_t m_epoch = 0;
    uint32_t m_random = 0;
    bool m_ever_logged_in = false;
    bool m_settled = false;

    std::array<uint8_t, 6> m_isid{};
    uint16_t m_tsih = 0;
    uint16_t m_target_portal_group_tag = 0;
    hawser_keys m_keys{};
    uint32_t m_reinstatements = 0;
    uint32_t m_recoveries = 0;  // of connections, at ErrorRecoveryLevel 2
    uint32_t m_recoveries_in_a_row = 0;
    bool m_never_recovers = false;  // the target said that it does not support it
    uint64_t m_recovered_ms = 0;    // the last one
    uint64_t m_logged_in_ms = 0;    // the last leading login
    uint32_t m_short_lives = 0;     // sessions in a row that were lost soon after it

    // session_order.cpp: whether the target orders commands between connections.
    enum class Order : uint8_t { Unknown, Suspected, Tried, Kept, Refused };
    Order m_order = Order::Unknown;
    uint8_t m_order_asked = HAWSER_CMD_SN_ORDER_AUTO;
    uint32_t m_suspicions = 0;      // in a row
    uint32_t m_trials = 0;          // begun
    uint32_t m_refusals = 0;        // trials that ended in a close
    uint32_t m_trial_ends[2] = {};  // who keeps a number back, and who overtakes it

    uint32_t m_leader = 0;
    uint32_t m_leading_attempts = 0;  // since this reinstatement began
    uint64_t m_leading_retry_ms = HAWSER_NEVER;
    uint64_t m_wait_until_ms = 0;  // Time2Wait
    uint64_t m_give_up_ms = HAWSER_NEVER;
    uint32_t m_last_logout = 0;
    uint32_t m_end_error = 0;
    uint32_t m_end_detail = 0;

    uint32_t m_last_error = 0;
    uint32_t m_last_detail = 0;
    uint32_t m_last_index = 0;
    // Those of the options, then what the target told and what the user added.
    std::array<hawser_portal, HAWSER_PORTALS_MAX> m_portals{};
    uint32_t m_portal_count = 0;
    uint32_t m_portals_asked = 0;  // how often
    bool m_portals_told = false;
    // Bits by number: told by the target and never logged in to, and of these, tried in vain.
    uint32_t m_portals_learned = 0;
    uint32_t m_portals_shunned = 0;
    uint32_t m_portals_ignored = 0;  // how many mean nothing from here
    bool m_portals_awaited = false;  // further connections wait for the answer
    std::array<uint32_t, HAWSER_PORTALS_MAX> m_portal_errors{};
    std::array<uint32_t, HAWSER_PORTALS_MAX> m_portal_details{};

    // A mutation gives at most two orders a connection and three for the session, and for each
    // connection whose recovery ends one to every other; the host polls all of them before the next
    // mutation.
    static constexpr uint32_t k_orders_max = 300;
    static_assert(HAWSER_CONNECTIONS_MAX * (HAWSER_CONNECTIONS_MAX + 2) + 3 <= k_orders_max);
    std::array<hawser_order, k_orders_max> m_orders{};
    uint32_t m_order_begin = 0;
    uint32_t m_order_count = 0;
};

}  // namespace hawser
