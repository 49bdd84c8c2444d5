// SPDX-License-Identifier: GPL-2.0-or-later
//
// The initiator's host in the simulated world: what the module's glue is in the kernel, over the C
// ABI alone. Each connection is a thread, the session another; messages between them take time, and
// nobody looks at what no mask told of: a wake-up that is missing is a command that hangs.

#pragma once

#include <deque>
#include <memory>

#include "abi/engine.h"
#include "network.h"
#include "workload.h"

namespace hawser::sim {

class Host {
public:
    Host(World& world, Network& network, Workload& workload, const Scenario& scenario);

    void start();
    void logout();
    void submit(std::unique_ptr<Operation> operation);
    // Ends a command that is under way, or all of them: somebody's patience is at its end.
    void manage();
    // The target has lost a command, by its id.
    void note_forgotten(uint32_t id);
    bool is_managing() const { return m_managing != 0 || m_escalates; }

    size_t unfinished() const;
    uint64_t oldest_us() const;
    bool ended() const { return m_ended; }
    uint32_t end_error() const { return m_end_error; }
    bool all_closed() const;
    // From submission to GOOD.
    uint64_t longest_us() const { return m_longest_us; }
    // Every connection that the target grants is logged in.
    bool is_whole() const;
    hawser_session_snapshot snapshot() const;
    std::string describe() const;

private:
    class Port : public Endpoint {
    public:
        void handle_bytes(Link& link, const Bytes& bytes) override;
        void handle_fin(Link& link) override;
        void handle_reset(Link& link) override;
        void handle_room(Link& link) override;
        void handle_connected(Link& link, bool succeeded) override;

        Host* host = nullptr;
        uint32_t index = 0;
        hawser_connection* connection = nullptr;
        Link* link = nullptr;
        bool up = false;
        bool fin = false;
        bool armed = false;
        bool pump_due = false;
        bool close_due = false;
        bool logged_in = false;
        uint64_t timer_ms = HAWSER_NEVER;       // when an event comes
        uint64_t told_timer_ms = HAWSER_NEVER;  // what poll_timeout last said
        std::deque<hawser_order> orders;
    };

    // host.cpp: threads, messages, timers
    void obey(const hawser_order& order);
    void connect(const hawser_order& order);
    void take_orders();
    void give_report(const hawser_report& report);
    void handle_report(const hawser_report& report);
    void watch_session_timer();
    void watch_timer(Port& port, uint32_t wants);
    void after(Port& port, uint32_t wants);
    void wake();
    uint32_t look_at_link(Port& port);
    void schedule_close(Port& port, bool orderly);
    void pretend_removed(const hawser_order& order);
    void check_diet(const hawser_report& report);
    void note_loss(Port& port, const hawser_report& report);
    bool is_sound() const;

    // host_management.cpp: CHAP, task management
    void answer_chap(Port& port);
    void abort_one();
    void reset_unit();
    void escalate();
    void take_managed(Port& port);
    void take_aborted(std::unique_ptr<Operation> operation);

    // host_answers.cpp: what is no GOOD, and who the disk is
    void take_rungs(Port& port);
    void take_refused(std::unique_ptr<Operation> operation, const hawser_completion& completion);
    bool is_heedless(const hawser_completion& completion, uint32_t sense) const;
    void check_bound(const Operation& operation);
    bool is_given_up(Operation& operation, uint32_t error);
    bool knows_disk();
    void look_again();
    void take_identity(const Operation& operation);

    // host_data.cpp: bytes and commands
    void arm(Port& port);
    void pump(Port& port);
    void receive(Port& port, const Bytes& bytes);
    uint32_t place(Port& port, const Bytes& bytes, uint32_t used);
    void acknowledge_more(Bytes& bytes);
    void take_completions(Port& port);
    void take_parked(Port& port);
    void complete(const hawser_completion& completion);
    void dispatch();
    void dispatch_parked();
    void give(Port& port, uint32_t tag);
    uint32_t start_or_resume(Port& port, const hawser_command& command, Operation& operation);
    Port* any_port();

    World& m_world;
    Network& m_network;
    Workload& m_workload;
    const Scenario& m_scenario;
    hawser_options m_options{};
    std::unique_ptr<uint8_t, void (*)(void*)> m_memory;
    hawser_session* m_session = nullptr;
    std::vector<std::unique_ptr<Port>> m_ports;
    std::deque<hawser_report> m_reports;
    std::deque<std::unique_ptr<Operation>> m_waiting;
    std::vector<std::unique_ptr<Operation>> m_tags;
    std::deque<uint32_t> m_parked;  // tags
    uint64_t m_session_timer_ms = HAWSER_NEVER;
    uint64_t m_wait_until_ms = 0;  // Time2Wait, as we reckon it
    bool m_lost = false;           // since the last leading login
    uint32_t m_time2wait_s = 0;
    uint32_t m_level = 0;  // ErrorRecoveryLevel, as agreed
    uint32_t m_last_id = 0;
    bool m_knows_disk = false;  // in this session
    bool m_looks = false;       // an INQUIRY is under way
    uint64_t m_pause_us = 0;    // until then no command is begun: the LUN is not there
    bool m_logout = false;
    uint8_t m_managing = 0;        // the function that is under way
    bool m_escalates = false;      // a reset has still to come
    uint64_t m_unit_reset_us = 0;  // when the last reset was answered
    uint64_t m_longest_us = 0;
    bool m_dispatch_due = false;
    bool m_ended = false;
    uint32_t m_end_error = 0;
};

}  // namespace hawser::sim
