// SPDX-License-Identifier: GPL-2.0-or-later
//
// What one seed is about: the target's manners, the keys, the workload's and the faults' measure. A
// canary is a known bug, planted in host, network or target, that the simulator has to find.

#pragma once

#include <string>

#include "world.h"

namespace hawser::sim {

enum class Canary {
    None,
    LateWrite,       // target: an old session's writes land after its reinstatement
    LostWrite,       // host: a parked write is called done
    ForgottenTask,   // host: a parked command is not sent again
    StaleWindow,     // network: MaxCmdSN is raised on its way
    EarlyLogin,      // host: a loss says Time2Wait 0, and siblings are closed unread
    Deaf,            // host: nobody is woken when the window opens
    WrongPlace,      // host: a Data-In's bytes land one block further
    ForgottenNexus,  // host: a command that came back is begun anew, though its session still lives
    UnheardSnack,    // target: as though no SNACK was ever sent
    EagerStatus,     // host: a status is acknowledged though what is before it was lost
    HastyReassign,   // host: tasks move before the Logout for recovery is answered
    HastyWait,       // host: Time2Wait of a Logout Response is not heard
    HiddenDamage,    // host: data with a wrong digest is taken
    WrongSecret,     // host: CHAP is answered with another secret now and then
    PlainNumbers,    // target: MaxCmdSN stands still before the wrap
    AbortedDone,     // host: a write that was aborted is called done
    LateAbort,       // target: what is in the backend lands after its abort was answered
    NoLadder,        // host: no command has a timeout
    LongAbort,       // host: an unanswered ABORT TASK is waited for a minute
    EndlessResend,   // host: a command that costs its connection is sent again for ever
    BusyDone,        // host: a write that was answered BUSY or TASK SET FULL is called done
    AttentionDone,   // host: one that was answered UNIT ATTENTION is called done
    GoneDone,        // host: one that the target has no LUN for is called done
    UnseenDisk,      // host: nobody looks who the disk is after a login
    LyingTcp,        // host: of what TCP has it tells all or nothing, by turns
    BlindToOrder,    // host: a target that refuses lower numbers is taken for one that orders
};
Canary canary_of(const std::string& name);
inline constexpr const char* k_canaries[] = {
    "late-write",     "lost-write",     "forgotten-task",  "stale-window",  "early-login",
    "deaf",           "wrong-place",    "forgotten-nexus", "unheard-snack", "eager-status",
    "hasty-reassign", "hasty-wait",     "hidden-damage",   "wrong-secret",  "plain-numbers",
    "aborted-done",   "late-abort",     "no-ladder",       "long-abort",    "endless-resend",
    "busy-done",      "attention-done", "gone-done",       "unseen-disk",   "lying-tcp",
    "blind-to-order"};

// How a target deals with the connections of a session of which one is lost.
enum class Manners {
    Tgt,  // keeps the others; closes on FIN once its commands are done
    Lio,  // kills the others; closes two seconds after FIN; a reinstatement waits for old commands
};

// What a target does wrong, and an initiator has to live with.
enum class Defect {
    None,
    NoOrder,           // commands begin as they come, whatever their CmdSN
    NoReassign,        // TASK REASSIGN is not supported, though ErrorRecoveryLevel 2 was agreed
    Forgetful,         // tasks of a lost connection that did no harm yet are forgotten
    SlowRelease,       // "task still allegiant" for a while after the Logout for recovery
    LogoutUnanswered,  // no answer to a Logout for recovery
    RecoveryRefused,   // "connection recovery is not supported"
    CidNotFound,       // a lost connection is not known any more, its tasks are
    NoTime2Wait,       // a Logout for recovery says Time2Wait 0, whatever was agreed
    RefusesLower,      // a CmdSN below the highest that came costs its connection
};

// What becomes of the ABORT TASK of a task that the target has forgotten.
enum class Forgetting { Answered, Refused, Silent };

// Faults of one kind only, which the level agreed has to mend by itself.
enum class Diet { Everything, NoiseOnly, ResetsOnly };

struct Scenario {
    explicit Scenario(Random& random);
    std::string option_line() const;
    void choose_recovery(Random& random);
    void choose_more(Random& random);
    void choose_strange(Random& random);
    void choose_slow_path(Random& random);

    Manners manners;
    Canary canary = Canary::None;
    uint32_t connections;
    uint32_t portals;
    uint32_t granted;  // MaxConnections as the target has it
    uint32_t queue_depth;
    uint32_t window;
    uint32_t time2wait_s;
    uint32_t target_segment;     // the target's MaxRecvDataSegmentLength
    uint32_t initiator_segment;  // ours
    uint32_t max_burst;
    uint32_t first_burst;
    uint32_t max_outstanding_r2t;
    uint32_t offered_level;  // ErrorRecoveryLevel that we offer
    uint32_t level;          // and the target
    uint32_t time2retain_s;
    bool header_digest;
    bool data_digest;
    bool acknowledge;  // the target sets the A bit
    Defect defect;
    Diet diet;
    bool initial_r2t;
    bool immediate_data;
    bool extra_login_round;
    bool status_in_data_in;
    bool pings;                // ours; without faults also none: nothing then hides a lost wake-up
    uint64_t backend_us;       // how long a command takes, usually
    uint64_t slow_backend_us;  // and how long one in twenty
    uint64_t linger_us;        // how long after a reset a write may still land
    uint64_t fault_every_us;   // on average; 0: none
    bool chap;                 // the target asks for it
    bool mutual;               // and we for it
    uint32_t before_wrap;      // CmdSN and StatSN begin so far before it; 0: anywhere
    uint64_t manage_every_us;  // on average: the host ends tasks; 0: never
    uint64_t busy_us;          // of load and faults; then peace
    uint32_t blocks;
    uint32_t timeout_ms = 30000;  // of each command
    // What a strange target does.
    uint32_t forgets = 0;  // of a thousand commands
    Forgetting forgetting = Forgetting::Answered;
    bool calm = false;          // forgotten commands are all that goes wrong: they have their bound
    uint32_t rejects = 0;       // of a thousand commands, each of them legal
    bool poisons = false;       // now and then a command that it always rejects
    bool attends = false;       // UNIT ATTENTION now and then
    bool lun_goes = false;      // and comes back
    bool disk_changes = false;  // another one is there for a while
    uint32_t path_bytes_per_ms;  // from us to the target; 0: as fast as can be
    uint64_t data_out_us;  // so long the target waits for data; 0: for ever, above level 0 its own
};

}  // namespace hawser::sim
