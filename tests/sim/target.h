// SPDX-License-Identifier: GPL-2.0-or-later
//
// The model target: a correct one, in tgt's or LIO's manners, made of the same wire structs. It
// holds the initiator to the RFC: CmdSN rises on each connection and stays in the window, an ITT is
// used once at a time, ExpStatSN acknowledges what was sent, Data-Out is what was asked for.
//
// Theory. A write lands block by block some time after its data came. What is in the backend when
// its connection ends lands or not, by manners:
//   FIN       everything that came whole is finished first, then the target closes.
//   cut       (tgt) what is in the backend may still land, up to a time below Time2Wait.
//   abandoned by the initiator, without FIN: (tgt) what is in the backend lands when it is ready.
//   reinstatement  LIO answers the login when old commands are done, tgt throws them away.
//   restart   each block by chance, before anybody can connect again.
// So an initiator that reads siblings to their end, and then waits for Time2Wait, never sees an old
// write after a new one.
//
// Above ErrorRecoveryLevel 0 what was sent is kept until it is acknowledged, and sent again when a
// SNACK asks for it; data that does not come is asked for again. At level 2 the tasks of a lost
// connection go on, unanswered, until a TASK REASSIGN takes them up or Time2Retain is over.
//
// The rooms: target.cpp (all of it), target_connection.cpp (numbers, NOP, Logout, the end),
// target_login.cpp, target_commands.cpp (SCSI), target_data.cpp (what goes over the wire for it),
// target_wire.cpp (framing, digests, noise), target_recovery.cpp (levels 1 and 2),
// target_management.cpp (what ends tasks), target_strange.cpp (what it should not do).

#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>

#include "chap_turn.h"
#include "network.h"
#include "scenario.h"
#include "wire/bhs.hpp"
#include "wire/serial.hpp"

namespace hawser::sim {

inline constexpr uint32_t k_block_bytes = 512;

struct Pdu {
    Bytes header;
    Bytes data;

    template <typename T>
    const T& as() const {
        return *reinterpret_cast<const T*>(header.data());
    }
    template <typename T>
    T& as() {
        return *reinterpret_cast<T*>(header.data());
    }
    wire::Opcode kind() const { return as<wire::Bhs>().kind(); }
};

class Target;
class TargetConnection;
struct TargetSession;

// A run of Data-Out that was asked for, or comes unasked.
struct Burst {
    uint32_t ttt, offset, end;
    uint32_t next;  // the offset of what comes next
    uint32_t data_sn;
    uint64_t touched_us;
};

// When a task will be forgotten: before its data, before it is carried out, after it.
enum class Forgets { Never, AtOnce, WithData, Done };

struct TargetTask {
    wire::ScsiCommand command;
    TargetConnection* connection = nullptr;  // its allegiance; none while it waits for another
    TargetSession* session = nullptr;
    uint16_t cid = 0;       // of the connection that has it, or had it last
    Bytes data;             // of a write
    Bytes have;             // which of its bytes came; above ErrorRecoveryLevel 0
    uint32_t received = 0;  // how many
    uint32_t promised = 0;  // asked for, or on its way unasked
    uint32_t r2t_sn = 0;
    std::vector<Burst> bursts;  // in the order in which they were asked for
    bool unsolicited = false;   // Data-Out without R2T is still to come
    bool ordered = false;       // its CmdSN's turn has come
    bool executing = false;
    bool finished = false;            // carried out; what it came to follows
    bool gone = false;                // no answer any more
    bool is_nop = false;              // a NOP-Out that counts
    uint64_t cancel_us = UINT64_MAX;  // what has not landed by then does not
    uint32_t landings = 0;            // still to come
    // what it came to
    uint8_t status = 0;
    uint32_t sense = 0;  // key, ASC, ASCQ
    Forgets forgets = Forgets::Never;
    bool forgotten = false;
    Bytes read;
    bool answered = false;
    uint32_t stat_sn = 0;
    std::vector<Pdu> data_in;               // by DataSN
    std::vector<Pdu> r2ts;                  // by R2TSN
    std::set<uint32_t> lost_data;           // DataSNs that did not arrive
    uint32_t acknowledged = 0;              // DataSNs before it are forgotten
    uint32_t stale = 0;                     // how often data was asked for again
    uint64_t reassignable_us = UINT64_MAX;  // once its connection was removed

    uint32_t itt() const { return command.initiator_task_tag.get(); }
    bool is_write() const { return command.flags & wire::ScsiCommand::k_write; }
    bool is_inquiry() const { return command.cdb[0] == 0x12; }
    bool is_read() const { return command.flags & wire::ScsiCommand::k_read; }
};

struct TargetSession {
    std::array<uint8_t, 6> isid{};
    uint16_t tsih = 0;
    uint32_t exp_cmd_sn = 0;
    uint32_t max_cmd_sn = 0;
    bool window_shut = false;
    std::map<uint32_t, std::shared_ptr<TargetTask>> early;      // above a hole, by CmdSN
    std::map<uint32_t, uint32_t> numbers;                       // CmdSN: ITT, of what came
    std::map<uint16_t, TargetConnection*> connections;          // by CID
    std::map<uint32_t, std::shared_ptr<TargetTask>> suspended;  // by ITT: their connection is gone
    std::map<uint16_t, uint64_t> lost;                          // CID: until when, us
    std::set<uint32_t> tags;
    uint32_t time2wait_s = 0;
    uint32_t time2retain_s = 0;
    uint32_t first_burst = 0;
    uint32_t max_burst = 0;
    uint32_t max_outstanding_r2t = 0;
    bool initial_r2t = true;
    bool immediate_data = true;
    uint32_t max_connections = 1;
    uint32_t level = 0;  // ErrorRecoveryLevel
    bool dead = false;

    void forget(TargetTask& task);
};

class TargetConnection : public Endpoint {
public:
    TargetConnection(Target& target, Link& link) : target(target), link(&link) {}

    void handle_bytes(Link& link, const Bytes& bytes) override;
    void handle_fin(Link& link) override;
    void handle_reset(Link& link) override;
    void handle_room(Link&) override {}
    void handle_connected(Link&, bool) override {}

    // target_login.cpp
    void take_login(const Pdu& pdu);
    void take_security(const Pdu& pdu);
    void answer_operational(const Pdu& pdu);
    void enter_session(const Pdu& pdu);
    std::string negotiate(const Pdu& pdu);
    void send_login(const wire::LoginRequest& request, uint8_t flags, const std::string& words,
                    uint16_t status = 0);

    // target_wire.cpp
    template <typename T>
    void send(const T& header, bool counts, const Bytes& data = {});
    void send_pdu(Pdu pdu, bool counts);
    void put(Pdu pdu, bool again);
    void note(const Pdu& pdu, bool arrives, bool again);
    bool take_pdu(size_t& begin);
    bool is_lost(const Pdu& pdu);
    bool is_damaged(const Pdu& pdu);
    uint32_t level() const { return session != nullptr ? session->level : 0; }

    // target_connection.cpp
    void handle(const Pdu& pdu);
    void check_acknowledged(wire::StatSn seen);
    void check_numbers(const Pdu& pdu);
    void take_nop(const Pdu& pdu);
    void answer_nop(uint32_t itt);
    void take_text(const Pdu& pdu);
    void take_logout(const Pdu& pdu);
    void ping();
    void async(uint8_t event, uint16_t parameter1, uint16_t wait_s);
    void close(bool abortive);
    void finish_then_close(uint64_t delay_us);
    void end_tasks(uint64_t linger_us);

    // target_commands.cpp
    void take_command(const Pdu& pdu);
    void order_nop(const wire::NopOut& nop);
    bool refuses(wire::CmdSn cmd_sn);
    void order_commands();
    void proceed(const std::shared_ptr<TargetTask>& task);
    void answer(TargetTask& task);

    // target_data.cpp
    void take_data_out(const Pdu& pdu, bool lost, bool damaged);
    void ask(const std::shared_ptr<TargetTask>& task);
    void send_r2t(const std::shared_ptr<TargetTask>& task, uint32_t offset, uint32_t length);
    void watch_burst(const std::shared_ptr<TargetTask>& task, uint32_t ttt);
    void time_burst(const std::shared_ptr<TargetTask>& task, uint32_t ttt);
    void close_burst(const std::shared_ptr<TargetTask>& task, const Burst& burst);
    void give_data(TargetTask& task, uint32_t offset, uint32_t data_sn);
    void give_status(TargetTask& task);

    // target_management.cpp
    void take_management(const Pdu& pdu);
    void take_abort(const wire::TaskManagementRequest& request);
    void take_reset(const wire::TaskManagementRequest& request);
    void abort(const std::shared_ptr<TargetTask>& task);
    void answer_management(uint32_t itt, uint8_t response);

    // target_strange.cpp
    bool rejects_command(const Pdu& pdu);
    void abort_forgotten(const std::shared_ptr<TargetTask>& task, uint32_t function_itt);

    // target_recovery.cpp
    void take_snack(const Pdu& pdu);
    void snack_data(const wire::Snack& snack);
    void snack_status(const wire::Snack& snack);
    void snack_acknowledge(const wire::Snack& snack);
    void reject(const Pdu& pdu, uint8_t reason);
    uint8_t remove_for_recovery(uint16_t of);
    void take_reassign(const Pdu& pdu);
    uint8_t reassign(const wire::TaskManagementRequest& request,
                     std::shared_ptr<TargetTask>& found);
    void resume(const std::shared_ptr<TargetTask>& task, uint32_t exp_data_sn);
    void suspend_tasks();

    Target& target;
    Link* link;  // never null; closed() tells
    TargetSession* session = nullptr;
    uint16_t cid = 0;
    bool logged_in = false;
    bool leading = false;
    bool security_done = false;
    ChapTurn chap;
    bool extra_round_done = false;
    bool closing = false;
    bool announced = false;  // that it will not last: an asynchronous message was said
    bool is_closed = false;
    uint32_t stat_sn = 0;
    uint32_t acknowledged = 0;  // the last ExpStatSN
    bool has_cmd_sn = false;
    uint32_t last_cmd_sn = 0;
    uint32_t ping_ttt = 0;  // that waits for its answer; 0: none
    uint32_t max_send = 8192;
    bool header_digest = false;  // agreed; in force in full feature phase
    bool data_digest = false;
    bool logging_out = false;
    bool rejected = false;  // a command whose data may still come
    bool aborted = false;   // the same
    uint32_t next_ttt = 0x7000;
    std::map<uint32_t, Pdu> kept;      // by StatSN, until it is acknowledged
    std::set<uint32_t> lost_statuses;  // StatSNs that did not arrive
    Bytes in;
    std::map<uint32_t, std::shared_ptr<TargetTask>> tasks;  // by ITT
};

// What happens to PDUs on the wire, for a while.
enum class Noise {
    None,
    DropsOut,      // what the target sends is lost
    DropsIn,       // what it should receive is
    DamagesData,   // a wrong data digest, either way
    DamagesHeader  // a wrong header digest, of what it sends
};

class Target : public Listener {
public:
    Target(World& world, const Scenario& scenario);

    Endpoint* accept(Link& link) override;

    // Faults.
    void restart();
    void crash_backend();
    void shut_window(bool shut);
    void lose_session_in_lio_manner(TargetSession& session);
    TargetConnection* any_logged_in();

    bool has_live_tasks(const TargetSession& session) const;
    void open_window(TargetSession& session);
    // target_commands.cpp
    void execute(const std::shared_ptr<TargetTask>& task);
    void land_block(const TargetTask& task, uint32_t i);
    void land(const std::shared_ptr<TargetTask>& task);
    void finish(const std::shared_ptr<TargetTask>& task);
    // target_strange.cpp
    Forgets choose_forgetting(const TargetTask& task);
    bool forget(TargetTask& task, Forgets when);
    bool refuses(TargetTask& task);

    // target_recovery.cpp
    void end_suspended(TargetSession& session, uint64_t linger_us);
    void expire(TargetSession& session, uint16_t cid);
    void remove(TargetSession& session, uint16_t cid, uint64_t wait_us);

    World& world;
    const Scenario& scenario;
    Bytes disk;
    std::map<uint16_t, std::unique_ptr<TargetSession>> sessions;  // by TSIH
    std::vector<std::unique_ptr<TargetConnection>> connections;
    std::vector<std::shared_ptr<TargetTask>> backend;  // what may still land
    uint16_t next_tsih = 1;
    uint64_t busy_until_us = 0;
    Noise noise = Noise::None;
    uint32_t noise_percent = 0;
    bool strange = true;  // until peace comes
    bool lun_gone = false;
    bool foreign = false;       // another disk is there
    uint64_t attention_us = 0;  // until then commands are answered UNIT ATTENTION
    // A command was forgotten: its id.
    std::function<void(uint32_t id)> forgot;
    // A block of a write begins, or lands.
    std::function<void(uint32_t block, const uint8_t* bytes, bool lands)> watch;
};

template <typename T>
void TargetConnection::send(const T& header, bool counts, const Bytes& data) {
    Pdu pdu{Bytes(sizeof(header)), data};
    __builtin_memcpy(pdu.header.data(), &header, sizeof(header));
    pdu.as<wire::Bhs>().data_segment_length = static_cast<uint32_t>(data.size());
    send_pdu(std::move(pdu), counts);
}

}  // namespace hawser::sim
