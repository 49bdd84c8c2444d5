// SPDX-License-Identifier: GPL-2.0-or-later
// A task: one SCSI command from submission to its completion, under its Initiator Task Tag.
//
// Slots are taken once, with the session, and are indexed by the host's tag. A slot has one owner
// at a time; only the connection that carries the task touches it. A peer may name any tag on any
// connection, so before a slot is touched its identity word is compared: generation and owner, in
// one atomic. Only the owner ever stores its own mark there, so a match means that the slot is
// ours.
#pragma once

#include "abi/engine.h"
#include "engine/list.hpp"
#include "wire/serial.hpp"

#include <atomic>
#include <cstdint>

namespace hawser {

inline constexpr uint32_t k_outstanding_r2t_max = 8;  // limits MaxOutstandingR2T as we offer it

struct Task;

// One Data-Out sequence that is owed to the target: the unsolicited one, or an R2T's (RFC
// 7143 11.8).
struct Sequence {
    Link<Sequence> link;
    Task* task = nullptr;
    uint32_t target_transfer_tag = 0;
    uint32_t offset = 0;  // the next byte to send
    uint32_t left = 0;
    wire::DataSn data_sn;  // restarts at 0 in each sequence, 4.2.2.4
};

// A target's last word on a task, RFC 7143 11.4.
struct TaskStatus {
    uint8_t response = 0;
    uint8_t status = 0;
    uint8_t flags = 0;  // U, O, u, o
    uint32_t residual = 0;
    uint32_t read_residual = 0;  // bidirectional
};

// In which of its connection's lists a task is, while it is on one.
enum class TaskPlace : uint8_t { Pending, Held, Active, Reassigns };

inline constexpr uint8_t k_snack_data = 1;
inline constexpr uint8_t k_snack_acknowledge = 2;

struct Task {
    // generation << 16 | (index of the owning connection + 1), 0 in the low half: nobody's on the
    // wire
    std::atomic<uint32_t> identity{0};
    // The ITT that task management ended last in this slot: what is said about it later is no news.
    std::atomic<uint32_t> aborted_itt{0xffffffff};
    Link<Task> link;
    hawser_command command{};
    wire::CmdSn cmd_sn;
    uint32_t initiator_task_tag = 0;

    uint32_t data_end = 0;      // write: how much the target has been promised so far
    uint32_t transmitted = 0;   // write: how much went into the socket, from the beginning on
    uint32_t r2t_count = 0;     // write: R2Ts not fully answered
    uint32_t promised = 0;      // write: what the target may ask for at once, as Pace counts it
    uint32_t received = 0;      // read
    wire::DataSn next_data_sn;  // of Data-In and of R2T, which share it in both directions, 11.7.5

    // Above ErrorRecoveryLevel 0. What is missing is asked for from next_data_sn on; what comes
    // beyond it is dropped until then (the target sends it again, in order).
    TaskPlace place = TaskPlace::Pending;
    bool retry_wanted = false;
    uint8_t retries = 0;          // of the command, under its CmdSN
    bool numbered = false;        // cmd_sn is this task's, whatever connection carries it
    bool data_requested = false;  // a SNACK for its data is out
    bool any_r2t_sn = false;      // reassigned: the next R2T tells where its numbers go on
    uint8_t snacks = 0;           // k_snack_*: to be sent
    Link<Task> snack_link;
    wire::DataSn acknowledged_sn;  // DataACK: the target may have forgotten what is before
    uint32_t acknowledged = 0;     // and so many bytes
    uint32_t acknowledge_tag = 0;  // TTT of the Data-In that asked for it
    // A status whose data is not all here.
    bool status_held = false;
    wire::StatSn held_stat_sn;
    wire::DataSn held_data_sn;  // ExpDataSN: how many there are
    TaskStatus held{};

    // ErrorRecoveryLevel 2: whose task the target thinks it is.
    uint32_t nexus = 0;    // the session's epoch in which it got its CmdSN
    uint32_t carrier = 0;  // index of the connection that carried it
    bool reassignable = false;

    // The ladder of connection_overdue.cpp.
    bool stirred = false;  // something of it came or went since the last look
    uint8_t rung = 0;      // HAWSER_RUNG_*: how far it has climbed in this nexus
    uint64_t silent_since_ms = 0;

    // For the host, when it comes back parked.
    bool sent = false;
    uint32_t error = HAWSER_ERROR_NONE;  // by which this task cost the connection
    // Completed by the target while a PDU of it is still half in the socket.
    bool completion_deferred = false;
    hawser_completion completion{};
    uint8_t sense[HAWSER_SENSE_MAX] = {};
    Sequence sequences[k_outstanding_r2t_max + 1];  // the last one: unsolicited
};

using TaskList = List<Task, &Task::link>;
using SnackList = List<Task, &Task::snack_link>;
using SequenceList = List<Sequence, &Sequence::link>;

// ITT = tag | generation << 16. Tags from k_reserved_tags on are the engine's own PDUs, which have
// no slot, so no ITT of ours is 0xffffffff (11.2.1.8).
inline constexpr uint32_t k_reserved_tags = 0xf000;
inline constexpr uint32_t k_login_tag = 0xf100;
inline constexpr uint32_t k_nop_tag = 0xf200;
inline constexpr uint32_t k_logout_tag = 0xf300;
inline constexpr uint32_t k_management_tag = 0xf400;
inline constexpr uint32_t k_reassign_tag = 0xf500;
inline constexpr uint32_t k_recover_tag = 0xf600;
inline constexpr uint32_t k_text_tag = 0xf700;
inline constexpr uint32_t k_overdue_tag = 0xf800;
inline constexpr uint32_t k_trial_tag = 0xf900;
static_assert(HAWSER_QUEUE_DEPTH_MAX <= k_reserved_tags);

}  // namespace hawser
