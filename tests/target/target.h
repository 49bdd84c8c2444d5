// SPDX-License-Identifier: GPL-2.0-or-later
//
// A correct iSCSI target without I/O: bytes and the time go in, bytes and deadlines come out. A RAM
// disk, sessions of several connections, ErrorRecoveryLevel 0 to 2, CHAP, digests.
//
// Theory. The target itself never lies. A Filter between it and the wire may change, drop, hold or
// add any PDU in either direction (script.h does so as a case says), and an Observer sees what
// really crossed the wire (judge.h holds the initiator to the RFC with it). So a case has three
// parts that know nothing of each other: who behaves, who lies, who judges.
//
// Recovery. Every numbered PDU is kept until ExpStatSN acknowledges it, every Data-In and R2T until
// its task's status is acknowledged, if ErrorRecoveryLevel is 1 or more. At level 2 a lost
// connection's tasks wait for TASK REASSIGN until Time2Wait + Time2Retain is over; at the others
// they end with it.
//
// The rooms: target.cpp (connections come and go, time), connection.cpp (framing, numbering,
// dispatch), login.cpp, session.cpp (order of commands, reinstatement), commands.cpp and data.cpp
// (SCSI), control.cpp (NOP, Text, Logout, asynchronous messages), task_management.cpp, recovery.cpp
// (SNACK).

#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "chap.h"
#include "disk.h"
#include "negotiation.h"
#include "pdu.h"

namespace hawser::target {

inline constexpr uint64_t k_never = UINT64_MAX;

inline constexpr uint16_t k_reset_occurred = 0x2900;
inline constexpr uint16_t k_capacity_changed = 0x2a09;

struct Settings {
    std::string name = "iqn.a:disk";
    KeyValues keys;  // what it wishes, where that is not the default of k_own_keys
    uint16_t portal_group_tag = 1;
    std::vector<std::string> addresses;  // "10.0.0.2:3260", as SendTargets tells
    uint32_t luns = 1;
    uint32_t window = 32;
    uint32_t data_in_bytes = 0;  // of one Data-In; 0: as many as may be
    uint32_t burst_bytes = 0;    // of one R2T; 0: MaxBurstLength
    bool status_in_data_in = true;
    bool acknowledge = false;     // the A bit on the last Data-In of a burst
    bool unit_attention = false;  // on the first command of a session
    bool extra_round = false;     // a login round more, without keys
    uint32_t data_out_timeout_ms = 2000;
    uint32_t seed = 1;
    uint32_t first_stat_sn = 77;  // of the first connection; each further one begins 1000 higher
    ChapSettings chap;
};

struct Session;
class Connection;
class Target;

// What a script does between the target and the wire.
class Filter {
public:
    virtual ~Filter() = default;
    // True: the filter has dealt with it, and the other side does not get it.
    virtual bool incoming(uint32_t connection, Pdu& pdu) = 0;
    virtual bool outgoing(uint32_t connection, Pdu& pdu) = 0;
};

// Who only looks. PDUs of the target are told when they are put on the wire unharmed.
class Observer {
public:
    virtual ~Observer() = default;
    virtual void opened(uint32_t connection, uint64_t now_ms) = 0;
    virtual void from_initiator(uint32_t connection, const Pdu& pdu, uint64_t now_ms) = 0;
    virtual void to_initiator(uint32_t connection, const Pdu& pdu, uint64_t now_ms) = 0;
    virtual void damaged_stream(uint32_t connection, const std::string& how) = 0;
    virtual void closed(uint32_t connection, bool by_initiator, uint64_t now_ms) = 0;
};

// One run of Data-Out that the target waits for.
struct Burst {
    uint32_t ttt = 0;
    uint32_t offset = 0;
    uint32_t end = 0;
    uint64_t deadline_ms = k_never;
    uint32_t data_sn = 0;  // of the next Data-Out
};

struct Task {
    uint32_t itt = 0;
    uint32_t cmd_sn = 0;
    Bytes lun = Bytes(8);
    Bytes cdb = Bytes(32);
    uint8_t flags = 0;
    uint32_t expected_length = 0;
    uint32_t read_length = 0;          // what a bidirectional command reads at most, of its AHS
    Connection* connection = nullptr;  // its allegiance; none while it waits for a reassignment
    uint16_t cid = 0;                  // of that connection, or of the lost one
    bool ordered = false;              // its CmdSN's turn has come
    bool executed = false;
    bool hung = false;  // a script keeps it from beginning

    // a write
    Bytes data;
    std::vector<uint8_t> have;  // which of its bytes came
    uint32_t wanted = 0;        // how many there will be
    uint32_t promised = 0;      // up to where they were asked for, or come unasked
    std::vector<Burst> bursts;
    uint32_t r2t_sn = 0;

    // what was sent, for SNACK
    std::map<uint32_t, Pdu> data_in;  // by DataSN
    std::map<uint32_t, Pdu> r2ts;     // by R2TSN
    uint32_t acknowledged = 0;        // the first DataSN that DataACK did not cover
    uint32_t data_sn = 0;
    Outcome outcome;
    uint32_t snack_tag = 0;
    bool status_sent = false;
    uint32_t stat_sn = 0;

    bool is_write() const { return flags & wire::ScsiCommand::k_write; }
    bool is_read() const { return flags & wire::ScsiCommand::k_read; }
    bool is_both() const { return is_read() && is_write(); }
    uint32_t readable() const { return is_both() ? read_length : expected_length; }
};

// A PDU whose CmdSN is not yet due.
struct Early {
    uint32_t connection;
    Pdu pdu;
};

struct Session {
    std::array<uint8_t, 6> isid{};
    uint16_t tsih = 0;
    std::string initiator;
    bool discovery = false;
    Keys keys;
    uint32_t exp_cmd_sn = 0;
    uint32_t max_cmd_sn = 0;
    std::map<uint32_t, Early> early;                  // by CmdSN
    std::map<uint32_t, std::shared_ptr<Task>> tasks;  // by ITT
    std::map<uint16_t, Connection*> connections;      // by CID
    std::map<uint16_t, uint64_t> lost;                // CID: until when it can be recovered
    uint16_t attention = 0;  // the UNIT ATTENTION that is due: its code and qualifier
};

class Connection {
public:
    Connection(Target& target, uint32_t id) : target(target), id(id) {}

    // connection.cpp
    void receive(std::span<const uint8_t> bytes);
    void handle(const Pdu& pdu);
    void handle_ordered(const Pdu& pdu);
    void send(Pdu pdu, bool counts);
    void emit(const Pdu& pdu, Damage damage = {}, uint32_t piece = 0);
    void take_exp_stat_sn(uint32_t exp_stat_sn);
    void refresh(Pdu& pdu);
    void reject(const Pdu& bad, uint8_t reason);
    void close() { closing = true; }

    // login.cpp
    void take_login(const Pdu& pdu);
    uint16_t check_login(const wire::LoginRequest& request, const Pairs& in);
    uint16_t security(const Pairs& in, Pairs& out);
    uint16_t negotiate(const Pairs& in, Pairs& out);
    void negotiate_key(const std::string& key, const std::string& value, Pairs& out);
    uint16_t enter_session(const wire::LoginRequest& request);
    void answer_login(const wire::LoginRequest& request, const Pairs& in);
    void send_login(const wire::LoginRequest& request, uint8_t flags, const Bytes& text,
                    uint16_t status = 0);
    std::string own_value(const KeyRule& rule) const;

    // commands.cpp
    void take_command(const Pdu& pdu);
    void take_data_out(const Pdu& pdu);
    void proceed(const std::shared_ptr<Task>& task);
    void execute(Task& task);
    void finish(Task& task);
    void send_data(Task& task, uint32_t offset, uint32_t data_sn);
    void send_status(Task& task);
    // data.cpp
    void ask(Task& task);
    void send_r2t(Task& task, uint32_t offset, uint32_t length);
    void close_burst(Task& task, Burst burst);
    void fail_write(Task& task);
    void check_bursts(uint64_t now_ms);

    // control.cpp
    void take_nop_out(const Pdu& pdu);
    void take_text(const Pdu& pdu);
    void take_logout(const Pdu& pdu);
    void send_text_piece(uint32_t itt);
    Pairs answer_text(const Pairs& in);
    void send_async(uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3);

    // task_management.cpp
    void take_task_management(const Pdu& pdu);
    uint8_t abort_task(const wire::TaskManagementRequest& request);
    uint8_t abort_tasks(const uint8_t* lun);
    uint8_t reassign(const wire::TaskManagementRequest& request);
    void resume(const std::shared_ptr<Task>& task, uint32_t exp_data_sn);

    // recovery.cpp
    void take_snack(const Pdu& pdu);
    bool resend_data(const wire::Snack& snack);
    bool resend_status(const wire::Snack& snack);
    bool acknowledge_data(const wire::Snack& snack);
    bool resend_from_start(const wire::Snack& snack);

    std::shared_ptr<Task> find_task(uint32_t itt) const;

    Target& target;
    const uint32_t id;
    Session* session = nullptr;
    uint16_t cid = 0;
    Keys keys;
    PduReader reader;
    Digests digests;
    std::deque<Bytes> out;
    bool closing = false;  // closes once `out` is empty
    bool resetting = false;
    bool closed = false;
    bool logging_out = false;
    uint64_t silent_until_ms = 0;  // neither takes nor gives

    // login
    enum class Phase : uint8_t { Security, Operational, FullFeature };
    Phase phase = Phase::Security;
    bool leading = true;
    bool begun = false;
    bool authenticated = false;
    bool extra_round_done = false;
    std::string initiator;
    std::string target_name;
    bool discovery = false;
    Chap chap;
    Bytes login_text;            // pieces of the initiator's
    std::set<std::string> said;  // keys that are settled
    bool portal_group_told = false;

    // full feature phase
    uint32_t stat_sn = 1;
    uint32_t acknowledged = 1;     // the last ExpStatSN
    std::map<uint32_t, Pdu> sent;  // by StatSN, until acknowledged
    uint32_t next_ttt = 0x1000;
    Bytes text_in;
    Bytes text_out;
};

struct Counters {
    uint64_t commands = 0;
    uint64_t bytes_read = 0;
    uint64_t bytes_written = 0;
    uint64_t logins = 0;
    uint64_t snacks = 0;
    uint64_t recovery_r2ts = 0;
    uint64_t reassigned = 0;
    uint64_t rejects = 0;
};

class Target {
public:
    Target(Settings settings, std::span<uint8_t> memory);

    // A new TCP connection; its number.
    uint32_t open(uint64_t now_ms);
    void handle_received(uint32_t connection, std::span<const uint8_t> bytes, uint64_t now_ms);
    // The initiator closed (or the link broke).
    void handle_closed(uint32_t connection, uint64_t now_ms);
    // The next bytes for the initiator; empty: none now. A script may cut them small.
    Bytes take_output(uint32_t connection);
    // No more bytes will come: close; reset: in a way that loses what is on its way.
    bool wants_close(uint32_t connection) const;
    bool wants_reset(uint32_t connection) const;
    uint64_t poll_timeout() const;
    void handle_timeout(uint64_t now_ms);

    Connection* find(uint32_t connection);
    // session.cpp
    Session& create_session(Connection& leader, const wire::LoginRequest& request);
    void drop_session(Session& session);
    void lose_connection(Connection& connection);
    void forget_tasks(Session& session, uint16_t cid, const Connection* of);
    void order(Session& session);
    void open_window(Session& session);
    void wake();  // what hung goes on
    void resize(uint64_t bytes);
    void restart();  // as after a crash: nobody gets a FIN, sessions are forgotten

    Settings settings;
    Disk disk;
    std::vector<std::unique_ptr<Connection>> connections;
    std::map<uint16_t, std::unique_ptr<Session>> sessions;
    Filter* filter = nullptr;
    Observer* observer = nullptr;
    Counters counters;
    uint64_t now_ms = 0;
    uint16_t next_tsih = 1;
    std::function<void(const std::string&)> log = [](const std::string&) {};
};

}  // namespace hawser::target
