// SPDX-License-Identifier: GPL-2.0-or-later
//
// A host of the engine in virtual time, joined to a scripted target in the same process: what the
// module's glue and a network do, in microseconds. It polls only what a mask of HAWSER_WANT_* told
// it to.

#pragma once

#include <deque>
#include <memory>
#include <random>

#include "abi/engine.h"
#include "scripted_target.h"

namespace hawser::target {

// One SCSI command of a workload.
struct Operation {
    std::string words;  // as the case says it
    Bytes cdb;
    uint8_t direction = HAWSER_DATA_NONE;
    Bytes buffer;
    Bytes read_buffer;  // of HAWSER_DATA_BOTH, whose buffer is what it writes
    Bytes expected;     // what read_buffer must begin with
    uint64_t lun = 0;
    int connection = -1;  // -1: any
    // what came of it
    bool done = false;
    bool checked = false;  // its data, once: later commands change the disk
    hawser_completion completion{};
    Bytes sense;
    uint32_t attempts = 0;
    int tag = -1;
    bool parked = false;                 // it came back, and may live on at the target
    bool overdue = false;                // the ladder has told of it
    uint32_t accused = 0;                // how often it cost its connection by itself
    uint32_t fault = HAWSER_ERROR_NONE;  // by which it was given up
    uint32_t home = 0;                   // the connection that had it last
};

class EngineHost {
public:
    // line: as after "connect ". Throws ScriptError with the engine's reason.
    EngineHost(const std::string& line, ScriptedTarget& target, uint32_t seed);
    ~EngineHost();
    EngineHost(const EngineHost&) = delete;
    EngineHost& operator=(const EngineHost&) = delete;

    void start();
    void logout();
    void submit(Operation& operation);
    // Asks for a task management function; its result comes to managed().
    void manage(uint32_t index, uint8_t function, uint32_t tag, uint64_t lun);
    const std::vector<hawser_managed>& managed() const { return m_managed; }
    // The network breaks a connection: what was on its way is gone, both sides see it.
    void cut(uint32_t index);
    // Lets time pass until `done` says so, for at most `ms`.
    bool run_until(const std::function<bool()>& done, uint64_t ms);

    uint64_t now_ms() const { return m_now_ms; }
    bool settled() const { return m_settled; }
    bool ended() const { return m_ended; }
    uint32_t end_error() const { return m_end_error; }
    uint32_t logged_in() const;
    uint32_t connection_count() const { return static_cast<uint32_t>(m_ports.size()); }
    hawser_session_snapshot snapshot() const;
    hawser_counters counters(uint32_t index) const;
    const std::vector<hawser_report>& reports() const { return m_reports; }
    const std::vector<hawser_order>& orders() const { return m_orders; }
    // Where a connection went last.
    std::string place_of(uint32_t index) const;

    std::string chap_secret;     // ours
    std::string chap_secret_in;  // the target's
    uint32_t chunk_bytes = 0;    // received at once, at most; 0: as they come
    uint32_t timeout_ms = 0;     // of each command
    const std::vector<hawser_overdue>& rungs() const { return m_rungs; }

private:
    struct Port {
        hawser_connection* engine = nullptr;
        int link = -1;  // the target's number of the connection
        bool open = false;
        bool up = false;
        bool fin = false;
        bool close_due = false;
        bool transmit_due = false;
        bool completion_due = false;
        bool report_due = false;
        bool managed_due = false;
        uint64_t deadline_ms = HAWSER_NEVER;
        std::deque<int> queue;  // tags
    };

    void note(uint32_t wants);
    void note_port(uint32_t index, uint32_t wants);
    void answer_chap(uint32_t index);
    bool step();
    void run_quiet();
    void fire(uint64_t now_ms);
    uint64_t next_deadline() const;
    void carry_out(const hawser_order& order);
    void connect(const hawser_order& order);
    void dispatch();
    void transmit(uint32_t index);
    void receive(uint32_t index);
    void feed(uint32_t index, const Bytes& bytes);
    uint32_t place(uint32_t index, const Bytes& bytes, uint32_t used);
    void close(uint32_t index);
    void poll(uint32_t index);
    void take_rungs(uint32_t index);
    void take_parked(const hawser_parked& parked);
    void drop_link(uint32_t index);

    hawser_options m_options{};
    std::unique_ptr<uint8_t, void (*)(void*)> m_memory;
    hawser_session* m_session = nullptr;
    ScriptedTarget& m_target;
    std::mt19937 m_random;
    std::vector<Port> m_ports;
    std::vector<Operation*> m_operations;  // by tag
    std::deque<int> m_waiting;             // tags that no connection has
    uint32_t m_next = 0;
    uint64_t m_now_ms = 1000;
    uint64_t m_session_deadline_ms = HAWSER_NEVER;
    bool m_order_due = false;
    bool m_moved = false;
    bool m_settled = false;
    bool m_ended = false;
    uint32_t m_end_error = 0;
    std::vector<hawser_report> m_reports;
    std::vector<hawser_managed> m_managed;
    std::vector<hawser_overdue> m_rungs;
    std::vector<hawser_order> m_orders;
};

}  // namespace hawser::target
