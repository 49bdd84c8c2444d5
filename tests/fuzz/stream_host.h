// SPDX-License-Identifier: GPL-2.0-or-later
//
// A host of the engine that does what an input says, in any order that the contract of
// abi/engine.h allows, and holds the engine to that contract: every task comes back exactly once, a
// good read has all its bytes, a placement lies in a task's own buffer, no wake-up is missing,
// nothing follows a Logout. Every buffer has exactly its command's length, and is gone with it.

#pragma once

#include <array>
#include <deque>
#include <map>
#include <vector>

#include "abi/engine.h"
#include "stream_target.h"

namespace hawser::fuzz {

inline constexpr uint32_t k_connections = 2;

// What a target answers in the operational stage, and what we offered.
struct Variant {
    const char* options;
    const char* answers;
    uint32_t max_xmit;
    uint32_t max_burst;
    uint8_t level = 0;     // ErrorRecoveryLevel
    bool digests = false;  // both
};

class StreamHost {
public:
    // memory: hawser_session_bytes() of zeroes. Logs both connections in.
    StreamHost(const Variant& variant, void* memory);

    // Runs the input to its end, then ends the session; every task has come back after that.
    void run(Input& input);

    static hawser_options options_of(const Variant& variant);

private:
    struct HostTask {
        bool live = false;
        bool on_wire = false;
        uint32_t index = 0;  // the connection that owns it
        hawser_command command{};
        Bytes buffer;
        std::vector<bool> placed;
        std::vector<bool> sent;
        uint16_t generation = 0;
        SeenTask seen;
    };
    struct Side {
        hawser_connection* connection = nullptr;
        bool open = false;  // between CONNECT and handle_closed
        bool connecting = false;
        bool close_due = false;
        bool fin = false;
        bool armed = false;      // WANT_TRANSMIT was given since poll_transmit last said no
        bool lost = false;       // LOST or LOGGED_OUT was told in this episode
        bool logged_in = false;  // LOGGED_IN was told in this episode
        bool logout_sent = false;
        uint32_t functions = 0;  // of task management, whose result is still to come
        bool has_cmd_sn = false;
        uint32_t last_cmd_sn = 0;
        int login_stage = -1;  // of the request that waits for an answer
        bool leading = false;
        uint8_t isid[6] = {};
        std::deque<hawser_order> orders;
        Bytes outgoing;  // sent, not yet whole PDUs
        StreamPeer peer;
    };

    // stream_host.cpp: what the input chooses
    void act(Input& input);
    void submit(Input& input, uint32_t index);
    void transmit(uint32_t index, uint32_t room, uint32_t limit);
    void deliver(uint32_t index, uint32_t limit);
    void place(uint32_t index, const Bytes& chunk, uint32_t& used);
    void disturb(Input& input, uint32_t index);
    void pass_time(uint32_t ms);
    void speak(Input& input, uint32_t index);
    void manage(Input& input, uint32_t index);

    // stream_rules.cpp: what has to hold
    void after(uint32_t index, uint32_t wants);
    void take_completions(uint32_t index, bool told);
    void take_overdue(uint32_t index, bool told);
    void take_parked(uint32_t index);
    void take_managed(uint32_t index, bool told);
    void take_reports(uint32_t index, bool told);
    void check_good(const HostTask& task, const hawser_completion& completion);
    void check_wake_ups();
    void take_outgoing(uint32_t index);
    void take_pdu(uint32_t index, const uint8_t* at);
    void take_number(uint32_t index, uint32_t cmd_sn);
    void take_command(uint32_t index, const wire::ScsiCommand& pdu);
    void take_data_out(uint32_t index, const wire::DataOut& pdu);
    void take_logout(uint32_t index, const wire::LogoutRequest& pdu);
    void take_login(uint32_t index, const wire::LoginRequest& pdu);
    void take_function(uint32_t index, const wire::TaskManagementRequest& pdu);

    // stream_control.cpp: the control thread, its messages, and the end
    void control();
    void obey(const hawser_order& order);
    void connected(uint32_t index);
    void answer_login(uint32_t index);
    void close(uint32_t index);
    void log_in();
    void finish();
    void forget(uint32_t tag);

    const Variant* m_variant;
    hawser_session* m_session = nullptr;
    hawser_options m_options{};
    std::array<Side, k_connections> m_sides;
    std::vector<HostTask> m_tasks;
    std::map<uint32_t, uint32_t> m_sent;  // ITT: under which CmdSN it went out last
    std::deque<hawser_report> m_reports;
    uint64_t m_now_ms = 1000;
    uint32_t m_exp_cmd_sn = 1;
    bool m_ended = false;
    bool m_managed = false;  // a function was asked for
};

}  // namespace hawser::fuzz
