// SPDX-License-Identifier: GPL-2.0-or-later
// One iSCSI connection: its login, its tasks, its transmit queue and receive state, its StatSN.
//
// Owned by one thread, without any lock; the only thing shared with its siblings is the
// CommandWindow. Nothing here knows of sockets or clocks: bytes and times are handed in, headers,
// placements, completions and reports are polled out (abi/engine.h tells the contract).
//
// Transmit: headers are gathered into one small buffer, in the order control PDUs, Data-Out, new
// commands; a PDU with data ends a buffer, its data is sent from the task's own pages, and its
// padding begins the next buffer. What stands in the buffer goes out in that order, whatever comes.
//
// Receive: a PDU at a time; Data-In goes straight to the task's pages by a placement, every other
// data segment into one buffer of bounded size.
//
// The rooms: connection.cpp (life and death, timers), connection_transmit.cpp,
// connection_receive.cpp (framing), connection_control.cpp (login, NOP, Logout, async, Reject),
// connection_text.cpp (text), task_management.cpp (ending tasks), data_transfer.cpp (SCSI),
// connection_stall.cpp (a silent one among living ones), connection_overdue.cpp (a silent task),
// connection_pace.cpp (which command goes next),
// order_trial.cpp (whether the target orders commands between connections),
// retransmission.cpp (ErrorRecoveryLevel 1: holes), reassignment.cpp (ErrorRecoveryLevel 2: tasks
// of a lost connection).
#pragma once

#include "abi/engine.h"
#include "engine/connection_states.hpp"
#include "engine/login.hpp"
#include "engine/pace.hpp"
#include "engine/session_shared.hpp"
#include "engine/status_window.hpp"
#include "engine/task.hpp"
#include "engine/text_exchange.hpp"
#include "wire/bhs.hpp"
#include "wire/serial.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

namespace hawser {

// How much longer than Time2Wait a target's EOF is waited for; it usually comes before. LIO takes
// two seconds from our FIN to its close, just longer than the Time2Wait that it asks for, and a
// login that meets two or more connections on their way out makes its kernel follow a removed list
// entry (iscsit_stop_session in 6.1): general protection fault, the target is gone. A sibling whose
// link is dead gives no EOF, and so this is also what such a link costs.
inline constexpr uint32_t k_close_patience_ms = 2000;

class Connection {
public:
    void create(SessionShared& shared, uint32_t index);

    uint32_t start_connect(const hawser_order& order, uint64_t now_ms);
    uint32_t handle_connected(uint64_t now_ms);
    uint32_t handle_disconnected(uint32_t error, uint32_t detail, uint64_t now_ms);
    uint32_t handle_closed();
    uint32_t drain(uint32_t epoch, uint64_t deadline_ms, uint64_t now_ms);
    uint32_t abandon();
    uint32_t logout(uint8_t reason, uint64_t now_ms);
    uint32_t handle_timeout(uint64_t now_ms);
    uint32_t handle_unacknowledged(uint64_t since_ms);
    uint32_t handle_taken_in();
    uint32_t handle_queued(uint32_t bytes, uint64_t now_ms);
    bool serves(uint32_t tag, uint64_t since_ms) const;
    uint64_t poll_timeout() const;
    bool poll_report(hawser_report& report);

    bool accepts() const {
        return m_state == ConnectionState::LoggedIn && !m_draining && !is_on_trial();
    }
    uint32_t submit(const hawser_command& command);
    uint32_t resume(const hawser_command& command);
    uint32_t recover(uint16_t cid, uint64_t now_ms);
    uint32_t proceed();
    bool poll_completion(hawser_completion& completion);
    bool poll_parked(hawser_parked& parked);
    bool poll_overdue(hawser_overdue& overdue);
    uint32_t manage(const hawser_task_management& request, uint64_t now_ms);
    bool poll_managed(hawser_managed& managed);
    uint32_t conclude(uint32_t epoch, const hawser_scope& scope);
    uint32_t send_targets(uint32_t epoch, uint64_t now_ms);
    uint32_t try_order(uint32_t epoch, uint16_t other, uint64_t now_ms);

    bool poll_transmit(uint32_t room, hawser_transmit& transmit);
    uint32_t handle_transmitted(uint32_t length, uint64_t now_ms);
    void digest_sent(std::span<const uint8_t> bytes);

    uint32_t handle_received(std::span<const uint8_t> bytes, uint64_t now_ms, uint32_t& wants);
    bool poll_placement(hawser_placement& placement) const;
    uint32_t handle_placed(uint32_t length);
    void digest_placed(std::span<const uint8_t> bytes);

    bool poll_chap(hawser_chap_request& request) const;
    uint32_t handle_chap(const hawser_chap_answer& answer);

    void read_counters(hawser_counters& counters) const;

private:
    // connection.cpp
    bool advance(ConnectionEvent event);
    void begin(const hawser_command& command);
    uint32_t fail(uint32_t error, uint32_t detail = 0);
    uint32_t blame(Task* task, uint32_t error, uint32_t detail = 0);
    uint32_t leave(uint32_t error);
    uint32_t own_mistake(OwnMistake which);
    bool can_leave(uint32_t error) const;
    uint32_t close_quietly();
    void record_error(uint32_t error, uint32_t detail);
    void reset_transport();
    void reset_recovery();
    uint32_t ping(uint64_t now_ms);
    hawser_report make_report(uint32_t kind) const;
    void push_report(const hawser_report& report);
    void park(Task& task, bool sent);

    // connection_stall.cpp
    bool watches_stalls() const;
    uint64_t stall_deadline() const;
    uint32_t handle_stall_timeout(uint64_t now_ms);
    bool sibling_lives() const;
    bool owes_sign_of_life() const;

    // connection_overdue.cpp
    uint32_t watch_tasks(uint64_t now_ms);
    bool is_moving(const Task& task) const;
    bool follows_mover(const Task& task) const;
    void note_moved(const Task& task);
    void note_all_moved();
    static void carry_silence_on(Task& task, uint64_t now_ms);
    uint64_t overdue_deadline() const;
    uint32_t handle_overdue_timeout(uint64_t now_ms);
    bool is_overdue(const Task& task, uint64_t now_ms) const;
    Task* next_overdue(uint64_t now_ms);
    void tell_rung(const Task& task, uint8_t rung, uint64_t now_ms);
    uint32_t climb(uint64_t now_ms);
    bool fill_ladder();
    bool awaits_ladder(uint32_t initiator_task_tag) const;
    uint32_t answer_ladder(uint8_t response);
    uint32_t end_patience(uint64_t now_ms);
    uint32_t give_up(const Task& task, uint8_t rung, uint32_t error, uint64_t now_ms);
    void reset_ladder();

    // connection_pace.cpp
    uint64_t ask_limit() const;
    void promise(Task& task, uint32_t sent);
    void take_back_promise(Task& task);
    bool admits(const Task& task) const;
    bool goes_at_once(const Task& task) const;
    bool command_is_due() const;
    Task* next_command();
    bool fill_task();
    uint64_t pace_deadline() const;
    void note_service(const Task& task);

    // order_trial.cpp
    bool is_on_trial() const;
    bool holds_for_trial() const { return m_trial_wanted || m_trial_held; }
    bool is_crossed() const;
    bool fill_trial();
    bool trial_is_due() const;
    uint32_t continue_trial();
    bool is_of_trial(uint32_t initiator_task_tag) const;
    uint32_t handle_trial_answer(uint32_t initiator_task_tag);
    uint32_t handle_trial_timeout();
    uint32_t end_trial(uint32_t outcome);
    void append_trial_nop(uint32_t kind, bool immediate, wire::CmdSn cmd_sn);

    // connection_transmit.cpp
    void fill(uint32_t room);
    bool fill_control();
    bool fill_data_out();
    bool fill_command(Task& task);
    bool has_more() const;
    bool take_number(Task& task);
    bool logout_is_due() const;
    void append(const void* bytes, uint32_t length);
    void append_digest(uint32_t crc);
    void seal_header(uint32_t begin);
    template <typename Pdu>
    void append_header(const Pdu& pdu) {
        const uint32_t begin = m_transmit_end;
        append(&pdu, sizeof(pdu));
        seal_header(begin);
    }
    bool owes_trailer() const { return m_transmit_padding != 0 || m_digest_owed; }
    void owe_trailer(uint32_t length);
    void append_trailer();
    void attach_text(std::span<const uint8_t> text);
    void attach_data(Task& task, uint32_t offset, uint32_t length);
    void append_command(Task& task);
    uint32_t append_ahs(const hawser_command& command);
    void append_login();
    void append_nop_out(uint32_t itt, uint32_t ttt, const uint8_t* lun);
    void append_logout();
    uint32_t finish_data();
    uint32_t transmit_wants() const;

    // connection_receive.cpp
    uint32_t begin_segment();
    void take_segment();
    uint32_t receive_some(const uint8_t* from, uint32_t left, bool& whole);
    uint32_t end_of_pdu();
    uint32_t check_header(const wire::Bhs& header) const;
    Task* named_task(const wire::Bhs& header);

    // connection_control.cpp
    uint32_t take_window();
    uint32_t dispatch_control();
    uint32_t handle_login_response();
    uint32_t handle_nop_in();
    uint32_t handle_async_message();
    uint32_t announce_drop(const wire::AsyncMessage& message);
    uint32_t handle_logout_response();
    uint32_t handle_reject();
    std::optional<uint32_t> handle_harmless_reject();

    // data_transfer.cpp
    Task* find_task(uint32_t initiator_task_tag);
    uint32_t begin_data_in();
    uint32_t finish_data_in();
    uint32_t check_r2t(const Task& task, const wire::R2t& r2t) const;
    uint32_t handle_r2t();
    uint32_t handle_scsi_response();
    void copy_sense(Task& task);
    uint32_t refuse_data_in(Task& task, wire::DataSn data_sn);
    uint32_t discard_segment();
    uint32_t add_sequence(Task& task, const wire::R2t& r2t);
    uint32_t complete(Task& task, const TaskStatus& status);
    void remove_from_list(Task& task);
    void finish_task(Task& task);
    void drop_sequences(Task& task);

    // connection_text.cpp
    void append_text();
    bool text_is_due() const;
    uint32_t negotiate(uint64_t now_ms);
    bool awaits_text(uint32_t initiator_task_tag) const;
    uint32_t handle_text_response();
    uint32_t end_text(uint32_t error);
    bool poll_text_report(hawser_report& report);

    // task_management.cpp
    void append_management();
    void append_function(uint32_t itt, uint8_t function, const uint8_t* lun,
                         uint32_t referenced_itt, wire::CmdSn ref_cmd_sn, uint32_t exp_data_sn);
    uint32_t handle_management_response();
    bool awaits_management(uint32_t initiator_task_tag) const;
    uint32_t end_management(uint32_t error, uint8_t response);
    uint32_t answer_management(uint8_t response);
    bool management_is_due() const { return m_management.wanted && !m_ladder.is_busy(); }
    uint32_t release_management() const;
    uint32_t conclude_tasks(const hawser_scope& scope);
    uint32_t abort_task(Task& task);
    Task* find_own(uint32_t tag);
    bool is_aborted(uint32_t initiator_task_tag) const;
    // retransmission.cpp
    bool recovers() const { return m_keys.error_recovery_level >= 1; }
    bool accept_status(uint32_t& wants);
    bool lacks_data(const Task& task, const wire::ScsiResponse& response) const;
    uint32_t note_hole(const StatusRun& hole);
    uint32_t request_data(Task& task);
    uint32_t acknowledge_data(Task& task, uint32_t target_transfer_tag);
    uint32_t settle_data(Task& task);
    uint32_t hold_status(Task& task, const wire::ScsiResponse& response, const TaskStatus& status);
    uint32_t handle_bad_payload();
    bool fill_snack();
    void append_snack(uint8_t type, uint32_t itt, uint32_t ttt, uint32_t begin, uint32_t length,
                      const uint8_t* lun);
    void release_status(Task& task);
    void forget_snacks(Task& task);
    bool awaits_resent() const { return m_data_requests != 0 || m_statuses.first_hole().length; }
    uint32_t ask_again(uint64_t now_ms);
    uint32_t watch_recovery(uint64_t now_ms);
    void queue_first(Task& task) {
        task.place = TaskPlace::Pending;
        m_pending.push_front(task);
    }
    uint32_t check_command_gap(uint64_t now_ms);
    uint32_t retry_command(Task& task);
    uint32_t handle_recoverable_reject(const wire::Reject& reject);
    uint32_t refuse_rejected(const wire::Reject& reject);
    uint64_t recovery_deadline() const;
    uint32_t handle_recovery_timeout(uint64_t now_ms);

    // reassignment.cpp
    bool owes_recovery() const;
    bool fill_recovery();
    Task* next_reassignable() const;
    void append_reassign(Task& task);
    uint32_t handle_reassign_response();
    uint32_t begin_reassigned(Task& task);
    uint32_t handle_recover_response();
    void set_recovering(const Task& task);

    template <typename Pdu>
    const Pdu& header_as() const {
        static_assert(sizeof(Pdu) == wire::k_bhs_bytes);
        return *reinterpret_cast<const Pdu*>(m_header.data());
    }

    SessionShared* m_shared = nullptr;
    uint32_t m_index = 0;
    uint32_t m_epoch = 0;
    ConnectionState m_state = ConnectionState::Free;
    bool m_closing = false;   // WANT_CLOSE was given; only handle_closed helps
    bool m_open = false;      // the host has a socket (or is making one) for this epoch
    bool m_draining = false;  // send nothing more, read until EOF
    bool m_deaf = false;      // logged out: nothing that still comes means anything
    bool m_logging_out = false;

    bool m_leading = false;
    Login m_login;
    hawser_keys m_keys{};
    StatusWindow m_statuses;
    bool m_login_answered = false;  // so m_exp_stat_sn is known

    // control PDUs that wait to be sent
    static constexpr size_t k_nop_replies_max = 8;
    struct NopReply {
        uint32_t target_transfer_tag;
        uint8_t lun[8];
    };
    std::array<NopReply, k_nop_replies_max> m_nop_replies{};
    uint32_t m_nop_reply_count = 0;
    bool m_nop_wanted = false;
    bool m_nop_outstanding = false;
    uint16_t m_nop_generation = 0;
    uint64_t m_nop_end = 0;  // where it ends among all bytes sent
    uint64_t m_nop_progress_ms = 0;  // the last acknowledgement of what lies before it
    bool m_logout_wanted = false;
    bool m_logout_outstanding = false;
    uint8_t m_logout_reason = 0;
    bool m_holds_commands = false;  // it is to leave: nothing new, RFC 7143 11.9.1 event 1
    bool m_logout_when_idle = false;
    uint64_t m_logout_due_ms = HAWSER_NEVER;  // the target's patience

    // task management: the function that is outstanding, and the last one's result
    struct Management {
        hawser_scope scope{};
        uint32_t task_itt = 0;  // ABORT TASK
        wire::CmdSn task_cmd_sn;
        bool wanted = false;
        bool outstanding = false;
        bool result_due = false;
        bool report_due = false;
        uint16_t generation = 0;
        uint32_t overdue = 0;  // given up by their timeout; the target may yet answer them
        uint64_t deadline_ms = HAWSER_NEVER;
        hawser_managed result{};
    };
    Management m_management;
    // The ladder's ABORT TASK, and the last rung that is to be told.
    struct Ladder {
        bool wanted = false;
        bool outstanding = false;
        bool told_due = false;
        uint16_t generation = 0;
        uint32_t task_itt = 0;
        uint32_t late = 0;  // given up; the target may yet answer them
        uint64_t deadline_ms = HAWSER_NEVER;
        hawser_overdue told{};
        bool is_busy() const { return wanted || outstanding; }
    };
    Ladder m_ladder;
    bool m_watches_tasks = false;  // one with a timeout was submitted
    bool m_any_moved = false;      // since the last look; the first of them by CmdSN:
    wire::CmdSn m_first_moved;
    uint64_t m_look_ms = HAWSER_NEVER;
    // recovery above ErrorRecoveryLevel 0
    SnackList m_snacks;            // tasks that have SNACKs to send
    StatusRun m_status_snack;      // to be sent
    uint32_t m_data_requests = 0;  // tasks whose data was asked for again
    uint32_t m_requests_made = 0;  // in a row, without an answer
    uint64_t m_resent_deadline_ms = HAWSER_NEVER;
    uint64_t m_gap_check_ms =
        HAWSER_NEVER;  // whether the target has a gap before a command of ours
    wire::CmdSn m_gap_cmd_sn;
    bool m_gap_seen = false;
    uint32_t m_gap_checks = 0;      // in a row, of a hole that nothing of ours fills
    TaskList m_reassigns;           // to be reassigned to this connection
    Task* m_reassigning = nullptr;  // its TASK REASSIGN is out
    uint16_t m_reassign_generation = 0;
    uint32_t m_reassign_refusals = 0;
    uint64_t m_reassign_deadline_ms = HAWSER_NEVER;
    uint64_t m_reassign_not_before_ms = HAWSER_NEVER;
    bool m_recover_wanted = false;  // a Logout for recovery of another connection
    bool m_recover_outstanding = false;
    uint16_t m_recover_cid = 0;
    uint64_t m_recover_deadline_ms = HAWSER_NEVER;

    // order_trial.cpp
    bool m_on_trial = false;      // it logged in to be overtaken by, or to overtake
    bool m_trial_wanted = false;  // a CmdSN is to be taken
    bool m_trial_held = false;    // it was taken, and is not sent yet
    bool m_trial_overdue = false;
    bool m_trial_arrival_wanted = false;
    uint8_t m_trial_answers = 0;  // that are awaited, bits by kind
    wire::CmdSn m_trial_cmd_sn;
    uint64_t m_trial_deadline_ms = HAWSER_NEVER;

    // text in full feature phase: one exchange at a time, RFC 7143 6.2
    struct TextTask {
        TextExchange exchange;
        bool targets_wanted = false;
        bool negotiation_wanted = false;
        bool report_due = false;
        uint16_t generation = 0;
        uint32_t error = HAWSER_ERROR_NONE;
        uint32_t overdue = 0;  // given up by their timeout; the target may yet answer them
        uint64_t deadline_ms = HAWSER_NEVER;
    };
    TextTask m_text;

    // timers
    uint64_t m_login_deadline_ms = HAWSER_NEVER;
    uint64_t m_drain_deadline_ms = HAWSER_NEVER;
    uint64_t m_logout_deadline_ms = HAWSER_NEVER;
    uint64_t m_last_received_ms = 0;
    uint64_t m_nop_sent_ms = 0;
    uint64_t m_unacknowledged_ms = HAWSER_NEVER;  // TCP waits for an acknowledgement since then
    uint64_t m_suspect_ms = HAWSER_NEVER;  // its siblings were asked then whether they are alive
    uint64_t m_stall_check_ms = HAWSER_NEVER;
    bool m_awaits_taken_in = false;  // TAKE_IN was asked for
    uint64_t m_now_ms = 0;           // of the last mutation that told it

    // tasks
    TaskList m_pending;    // no CmdSN yet
    TaskList m_held;       // the same: writes that the path cannot carry yet
    TaskList m_active;     // on the wire
    TaskList m_completed;  // polled out by the host
    TaskList m_parked;
    SequenceList m_sequences;
    Pace m_pace;
    bool m_data_out_turn = false;
    uint64_t m_queued_ms = 0;  // the last handle_queued with a write that waits
    uint32_t m_task_count = 0;

    // transmit
    static constexpr uint32_t k_transmit_buffer_bytes = 4096;
    std::array<uint8_t, k_transmit_buffer_bytes> m_transmit{};
    uint32_t m_transmit_begin = 0;
    uint32_t m_transmit_end = 0;
    Task* m_transmit_task = nullptr;
    uint32_t m_transmit_offset = 0;
    uint32_t m_transmit_left = 0;
    uint32_t m_transmit_padding = 0;
    bool m_data_digest = false;  // agreed, in full feature phase
    bool m_digest_owed = false;
    uint32_t m_transmit_crc = 0;
    std::span<const uint8_t> m_own_text;

    // receive
    enum class ReceiveStage : uint8_t { Header, Placement, Segment, Trailer };
    ReceiveStage m_receive_stage = ReceiveStage::Header;
    alignas(8) std::array<uint8_t, wire::k_bhs_bytes + wire::k_digest_bytes> m_header{};
    uint32_t m_header_bytes = wire::k_bhs_bytes;  // with the header digest, once agreed
    uint32_t m_header_filled = 0;
    uint32_t m_stage_left = 0;
    uint32_t m_padding_left = 0;
    uint32_t m_digest_left = 0;
    uint32_t m_receive_crc = 0;
    std::array<uint8_t, wire::k_digest_bytes> m_digest{};
    Task* m_receive_task = nullptr;
    uint32_t m_placement_offset = 0;
    static constexpr uint32_t k_segment_bytes = k_login_segment_bytes_max;
    std::array<uint8_t, k_segment_bytes> m_segment{};
    uint32_t m_segment_filled = 0;

    // reports
    static constexpr size_t k_reports_max = 8;
    std::array<hawser_report, k_reports_max> m_reports{};
    uint32_t m_report_begin = 0;
    uint32_t m_report_count = 0;
    bool m_closed_report_due = false;

    // read by any thread
    std::atomic<uint64_t> m_commands{0};
    std::atomic<uint64_t> m_bytes_in{0};
    std::atomic<uint64_t> m_bytes_out{0};
    std::atomic<uint32_t> m_logins{0};
    std::atomic<uint32_t> m_losses{0};
    std::atomic<uint32_t> m_last_error{0};
    std::atomic<uint32_t> m_last_detail{0};
    std::atomic<uint32_t> m_published_state{HAWSER_CONNECTION_FREE};
    std::atomic<uint32_t> m_published_tasks{0};
    std::atomic<uint64_t> m_served_ms{0};  // when the command that was sent first got on

    // The owner is the only writer: no read-modify-write cycle is needed.
    template <typename T>
    static void add(std::atomic<T>& counter, T amount) {
        counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
};

}  // namespace hawser
