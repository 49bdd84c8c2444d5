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

#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>

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
    wire::Opcode kind() const { return as<wire::Bhs>().kind(); }
};

class Target;
class TargetConnection;

struct TargetTask {
    wire::ScsiCommand command;
    TargetConnection* connection = nullptr;
    Bytes data;             // of a write
    uint32_t received = 0;  // of it, in order
    uint32_t promised = 0;  // asked for, or on its way unasked
    uint32_t data_sn = 0;
    uint32_t r2t_sn = 0;
    struct Burst {
        uint32_t ttt, offset, end, data_sn;
    };
    std::vector<Burst> bursts;  // in the order in which they were asked for
    bool unsolicited = false;   // Data-Out without R2T is still to come
    bool ordered = false;       // its CmdSN's turn has come
    bool executing = false;
    bool gone = false;                // no answer any more
    uint64_t cancel_us = UINT64_MAX;  // what has not landed by then does not
    uint32_t landings = 0;            // still to come
};

struct TargetSession {
    std::array<uint8_t, 6> isid{};
    uint16_t tsih = 0;
    uint32_t exp_cmd_sn = 0;
    uint32_t max_cmd_sn = 0;
    bool window_shut = false;
    std::map<uint32_t, std::shared_ptr<TargetTask>> early;  // above a hole, by CmdSN
    std::map<uint16_t, TargetConnection*> connections;      // by CID
    std::set<uint32_t> tags;
    uint32_t time2wait_s = 0;
    uint32_t first_burst = 0;
    uint32_t max_burst = 0;
    uint32_t max_outstanding_r2t = 0;
    bool initial_r2t = true;
    bool immediate_data = true;
    uint32_t max_connections = 1;
    bool dead = false;
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
    void answer_operational(const Pdu& pdu);
    void enter_session(const Pdu& pdu);
    std::string negotiate(const Pdu& pdu);
    void send_login(const wire::LoginRequest& request, uint8_t flags, const std::string& words,
                    uint16_t status = 0);

    // target_connection.cpp
    void handle(const Pdu& pdu);
    void check_numbers(const Pdu& pdu);
    void take_nop(const Pdu& pdu);
    void take_text(const Pdu& pdu);
    void take_logout(const Pdu& pdu);
    void ping();
    void async(uint8_t event, uint16_t parameter1, uint16_t wait_s);
    void close(bool abortive);
    void finish_then_close(uint64_t delay_us);
    void end_tasks(uint64_t linger_us);
    template <typename T>
    void send(T pdu, bool counts, const Bytes& data = {});

    // target_commands.cpp
    void take_command(const Pdu& pdu);
    void take_data_out(const Pdu& pdu);
    void order_commands();
    void proceed(const std::shared_ptr<TargetTask>& task);
    void ask(TargetTask& task);
    void execute(const std::shared_ptr<TargetTask>& task);
    void land(const std::shared_ptr<TargetTask>& task);
    void finish(const std::shared_ptr<TargetTask>& task);
    void give_data(TargetTask& task, Bytes data);
    void give_status(TargetTask& task, uint8_t status, uint32_t underflow);

    Target& target;
    Link* link;  // never null; closed() tells
    TargetSession* session = nullptr;
    uint16_t cid = 0;
    bool logged_in = false;
    bool leading = false;
    bool security_done = false;
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
    Bytes in;
    std::map<uint32_t, std::shared_ptr<TargetTask>> tasks;  // by ITT
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

    World& world;
    const Scenario& scenario;
    Bytes disk;
    std::map<uint16_t, std::unique_ptr<TargetSession>> sessions;  // by TSIH
    std::vector<std::unique_ptr<TargetConnection>> connections;
    std::vector<std::shared_ptr<TargetTask>> backend;  // what may still land
    uint16_t next_tsih = 1;
    uint64_t busy_until_us = 0;
};

template <typename T>
void TargetConnection::send(T pdu, bool counts, const Bytes& data) {
    if (is_closed) return;
    pdu.data_segment_length = static_cast<uint32_t>(data.size());
    pdu.stat_sn = stat_sn;
    if (counts) stat_sn++;
    if (session != nullptr) {
        target.open_window(*session);
        pdu.exp_cmd_sn = session->exp_cmd_sn;
        uint32_t maximum = session->max_cmd_sn;
        if (target.scenario.canary == Canary::StaleWindow && logged_in) maximum += 3;
        pdu.max_cmd_sn = maximum;
    }
    Bytes bytes(sizeof(pdu));
    __builtin_memcpy(bytes.data(), &pdu, sizeof(pdu));
    bytes.insert(bytes.end(), data.begin(), data.end());
    bytes.resize(bytes.size() + (4 - data.size() % 4) % 4);
    link->send(k_target, bytes);
}

}  // namespace hawser::sim
