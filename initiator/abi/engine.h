/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contract between the engine (freestanding C++20, no I/O) and its host: the module's C glue,
 * the simulator, a test.
 *
 * The engine has no clock, lock, thread, log or heap. A host hands in bytes, facts and the time,
 * and after each mutation polls what came of it. A mutation returns a mask of HAWSER_WANT_*: the
 * polls that are now worth making. Nothing is ever called back.
 *
 * Who may call what:
 *   - struct hawser_connection: only its connection's own I/O thread, without any lock.
 *   - struct hawser_session: only the session's control thread.
 *   - functions marked "any thread" read atomics only.
 * The two kinds of thread talk by messages that the host carries: an order is polled from the
 * session and handed to a connection's thread; a report is polled from a connection and handed to
 * the session. An order or a report of an older epoch than the receiver's is ignored by the
 * receiver.
 *
 * A task (a SCSI command under its Initiator Task Tag) has one owner: the host until submit, then
 * the connection, then the host again with its completion or when it comes back parked. Its slot
 * lives in the engine's memory, indexed by tag.
 *
 * Times are milliseconds of a monotonic clock that never starts at 0; HAWSER_NEVER means no
 * deadline. Lengths are bytes.
 */
#ifndef HAWSER_ABI_ENGINE_H
#define HAWSER_ABI_ENGINE_H

#if defined(__KERNEL__) && !defined(__cplusplus)
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#endif

#include "error.h"
#include "message.h"
#include "options.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hawser_session;
struct hawser_connection;

/* Masks that mutations return ---------------------------------------------------------------- */

#define HAWSER_WANT_TRANSMIT 1u   /* poll_transmit has something (given room) */
#define HAWSER_WANT_COMPLETION 2u /* poll_completion */
#define HAWSER_WANT_REPORT 4u     /* poll_report, and hand it to the session's control thread */
#define HAWSER_WANT_CLOSE 8u      /* close the socket, then handle_closed; nothing else helps */
#define HAWSER_WANT_TIMEOUT 16u   /* poll_timeout has changed */
#define HAWSER_WANT_WAKE 32u      /* the window opened: wake those of session_window_waiters */
#define HAWSER_WANT_PLACEMENT 64u /* the next received bytes belong into a task's buffer */
#define HAWSER_WANT_ORDER 128u    /* (session) poll_order */
#define HAWSER_WANT_FIN 256u      /* send no more: shutdown(SHUT_WR), go on receiving */
#define HAWSER_WANT_CHAP 512u     /* poll_chap, and answer it by handle_chap */
#define HAWSER_WANT_MANAGED 1024u /* poll_managed */
#define HAWSER_WANT_TAKE_IN 2048u /* take in all that has come, then handle_taken_in */
#define HAWSER_WANT_OVERDUE 4096u /* poll_overdue */

/* The session: control thread ------------------------------------------------------------------ */

/* How much memory a session of these options takes, all of it, for its whole life. */
uint64_t hawser_session_bytes(const struct hawser_options *options);
/* memory: zeroed, hawser_session_bytes() long, 64-byte aligned, outlives the session.
 * random seeds the ISID qualifier where isid_qualifier is 0: a root session's ISID must be the same
 * at each boot (RFC 7143 11.12.5), so a host gives a stable qualifier (1..0xffff) per session to a
 * target. */
struct hawser_session *hawser_session_create(void *memory, const struct hawser_options *options,
                                             uint16_t isid_qualifier, uint32_t random);
struct hawser_connection *hawser_session_connection(struct hawser_session *session, uint32_t index);

/* Begin: orders the leading login. */
uint32_t hawser_session_start(struct hawser_session *session, uint64_t now_ms);
/* End it: Logout on every connection, the last one for the session; ENDED follows, at the latest
 * after twice logout_timeout. Before the first login: ends at once. */
uint32_t hawser_session_logout(struct hawser_session *session, uint64_t now_ms);
/* End it without a word on the wire (grace is over). ENDED follows when all sockets are closed. */
uint32_t hawser_session_abandon(struct hawser_session *session, uint64_t now_ms);
/* One connection more: to this portal, or (NULL) to the next one in turn; between two logins it
 * comes with the next. Returns enum hawser_error; on NONE *index is its CID, and SETTLED follows
 * when it is logged in or has failed once. */
uint32_t hawser_session_add_connection(struct hawser_session *session,
                                       const struct hawser_portal *portal, uint32_t *index,
                                       uint64_t now_ms);
/* Logs a connection out when its tasks are done, and opens it no more, in every state. Not the last
 * one. Returns enum hawser_error. */
uint32_t hawser_session_drop_connection(struct hawser_session *session, uint32_t index,
                                        uint64_t now_ms);
/* As the option cmdsn_order has it, from now on: connections are logged out, or opened again. */
uint32_t hawser_session_set_cmd_sn_order(struct hawser_session *session, uint8_t order,
                                         uint64_t now_ms);
/* Starts the session anew as after a loss (a host's last means against a target that answers to
 * nothing else). Nothing unless LOGGED_IN. */
uint32_t hawser_session_reinstate(struct hawser_session *session, uint64_t now_ms);
uint32_t hawser_session_handle_report(struct hawser_session *session,
                                      const struct hawser_report *report, uint64_t now_ms);
uint32_t hawser_session_handle_timeout(struct hawser_session *session, uint64_t now_ms);
bool hawser_session_poll_order(struct hawser_session *session, struct hawser_order *order);
uint64_t hawser_session_poll_timeout(struct hawser_session *session);

enum hawser_session_state {
    HAWSER_SESSION_FREE = 1,
    HAWSER_SESSION_LOGGED_IN,
    HAWSER_SESSION_FAILED,
};

struct hawser_session_snapshot {
    uint32_t state; /* enum hawser_session_state: RFC 7143 8.3 Q1, Q3, Q4 */
    uint32_t epoch;
    uint32_t reinstatements;
    uint32_t connections_granted;
    uint32_t last_error; /* of any connection */
    uint32_t last_detail;
    uint32_t last_index;
    uint32_t errors[HAWSER_PORTALS_MAX]; /* the last one of each portal: "no portal logged in" */
    uint32_t details[HAWSER_PORTALS_MAX];
    uint8_t isid[6];
    uint16_t tsih;
    uint16_t target_portal_group_tag;
    struct hawser_keys keys;
    uint32_t recoveries; /* connections lost without a reinstatement, ErrorRecoveryLevel 2 */
    uint32_t connections_asked;
    uint32_t portal_count; /* those of the options, then what was learned and added */
    struct hawser_portal portals[HAWSER_PORTALS_MAX];
    uint8_t cmd_sn_order; /* HAWSER_CMD_SN_ORDER_*: as asked for */
    bool fallback; /* AUTO found a target that does not order: one connection, of those asked */
    uint32_t portals_ignored; /* told by the target, and of no meaning here */
    uint32_t own_mistakes, own_mistake; /* how many, and the last one: engine/own_mistake.hpp */
};
/* Control thread; a host publishes it for sysfs. */
void hawser_session_read(const struct hawser_session *session,
                         struct hawser_session_snapshot *snapshot);

struct hawser_window {
    uint32_t cmd_sn;
    uint32_t exp_cmd_sn;
    uint32_t max_cmd_sn;
};
void hawser_session_window(const struct hawser_session *session,
                           struct hawser_window *window); /* any thread */
/* Takes the bit mask of connections that wait for the window and clears it. Any thread. */
uint32_t hawser_session_window_waiters(struct hawser_session *session);

/* A connection: its own thread ----------------------------------------------------------------- */

/* An order CONNECT arrived; the host now connects TCP. Starts login_timeout. */
uint32_t hawser_connection_start_connect(struct hawser_connection *connection,
                                         const struct hawser_order *order, uint64_t now_ms);
/* TCP is up: the first Login Request is ready to be polled. */
uint32_t hawser_connection_handle_connected(struct hawser_connection *connection, uint64_t now_ms);
/* TCP failed, was reset or ended: error is CONNECT_FAILED, CONNECTION_RESET or CLOSED_BY_TARGET,
 * detail a positive errno. Gives LOST (or nothing while draining) and WANT_CLOSE. */
uint32_t hawser_connection_handle_disconnected(struct hawser_connection *connection, uint32_t error,
                                               uint32_t detail, uint64_t now_ms);
/* The socket is closed, and nothing of it can reach the wire or a task's pages any more. Every task
 * comes back by poll_parked; when that is empty poll_report gives CLOSED. Idempotent. */
uint32_t hawser_connection_handle_closed(struct hawser_connection *connection, uint64_t now_ms);
uint32_t hawser_connection_drain(struct hawser_connection *connection, uint32_t epoch,
                                 uint64_t deadline_ms, uint64_t now_ms);
uint32_t hawser_connection_abandon(struct hawser_connection *connection, uint64_t now_ms);
/* With HAWSER_LOGOUT_WHEN_IDLE beside the reason no further command goes out, and the Logout waits
 * until those that are out have completed: at most logout_timeout, or what the target allows. */
#define HAWSER_LOGOUT_WHEN_IDLE 0x40
uint32_t hawser_connection_logout(struct hawser_connection *connection, uint8_t reason,
                                  uint64_t now_ms);
/* ErrorRecoveryLevel 2, on a connection that is logged in: removes another one, `cid`, for recovery
 * (RFC 7143 11.14.1, reason 2). RECOVERED follows, or the loss of this connection. */
uint32_t hawser_connection_recover(struct hawser_connection *connection, uint16_t cid,
                                   uint64_t now_ms);
uint32_t hawser_connection_proceed(struct hawser_connection *connection);
uint32_t hawser_connection_handle_timeout(struct hawser_connection *connection, uint64_t now_ms);
uint64_t hawser_connection_poll_timeout(struct hawser_connection *connection);
/* What TCP knows: bytes of ours are under way, and none of them has been acknowledged since then;
 * HAWSER_NEVER: nothing is under way. A host tells each change, also that some were acknowledged,
 * and looks again before handle_timeout. A connection of several that is silent for about a second
 * while others hear from the target asks for TAKE_IN. The mask may hold WANT_WAKE. */
uint32_t hawser_connection_handle_unacknowledged(struct hawser_connection *connection,
                                                 uint64_t since_ms);
/* After the last WANT_TAKE_IN: nothing that had come for the connection by then lies unread in a
 * queue of this host, and handle_unacknowledged was told what TCP knows now. If that is still the
 * same, the connection is lost (STALLED). */
uint32_t hawser_connection_handle_taken_in(struct hawser_connection *connection);
/* Of the bytes that were transmitted, so many lie in TCP unacknowledged. A host tells at each turn,
 * and looks again before handle_timeout: by this the engine knows what the path carries, and bounds
 * what a target may wait for by a timer of its own. Writes beyond that wait in the engine. A host
 * that never tells may owe one MiB of what was asked for. */
uint32_t hawser_connection_handle_queued(struct hawser_connection *connection, uint32_t bytes,
                                         uint64_t now_ms);
bool hawser_connection_poll_report(struct hawser_connection *connection,
                                   struct hawser_report *report);

/* Commands */
#define HAWSER_DATA_NONE 0
#define HAWSER_DATA_READ 1
#define HAWSER_DATA_WRITE 2
#define HAWSER_DATA_BOTH 3 /* bidirectional: length is the write's, read_length the read's */

struct hawser_command {
    uint32_t tag; /* 0 .. queue_depth - 1; the host reuses it only after completion or park */
    uint32_t length; /* Expected Data Transfer Length */
    uint8_t lun[8];  /* as on the wire, SAM-5 4.7 */
    uint8_t cdb[HAWSER_CDB_MAX];
    uint8_t cdb_length;
    uint8_t direction;      /* HAWSER_DATA_* */
    uint8_t task_attribute; /* RFC 7143 11.3.1 ATTR: 1 simple, 2 ordered, 3 head of queue */
    uint8_t reserved;
    uint32_t read_length; /* HAWSER_DATA_BOTH: Bidirectional Read Expected Data Transfer Length */
    uint32_t timeout_ms; /* silent for so long, it climbs the ladder of poll_overdue; 0: never */
};
/* Whether a command that this connection was given, and that has no answer, only waits its turn:
 * it has not been sent yet, or what was sent before it has got on since then. Any thread. */
bool hawser_connection_serves(const struct hawser_connection *connection, uint32_t tag,
                              uint64_t since_ms);
/* Whether submit would take a command (LOGGED_IN and not draining or logging out). */
bool hawser_connection_accepts(const struct hawser_connection *connection);
/* Takes the task. Only when accepts() says so. */
uint32_t hawser_connection_submit(struct hawser_connection *connection,
                                  const struct hawser_command *command);

/* The same for a command that came back by poll_parked. Where its session still lives, at
 * ErrorRecoveryLevel 2, the target goes on with it (TASK REASSIGN, 11.5.1), once the connection
 * that carried it has been removed there; everywhere else it is begun anew. One that is not given
 * back to a session that lives may leave a hole in CmdSN, which costs the session in half a
 * minute. */
uint32_t hawser_connection_resume(struct hawser_connection *connection,
                                  const struct hawser_command *command);

/* A response of the engine's own, from the range that RFC 7143 11.4.3 leaves to vendors: the status
 * came, the data did not and cannot be had again. The command has to be sent anew. */
#define HAWSER_RESPONSE_DATA_LOST 0xfe

struct hawser_completion {
    uint32_t tag;
    uint8_t response; /* RFC 7143 11.4.3: 0 completed at target, else status means nothing */
    uint8_t status;   /* SCSI status */
    uint8_t overflow; /* residual counts what did not fit */
    uint8_t aborted;  /* 1: ended by task management; only tag means anything */
    uint32_t residual; /* bytes not transferred (or not fitting) */
    uint32_t sense_length;
    const uint8_t *sense; /* valid until the tag is submitted again */
    uint32_t read_residual; /* HAWSER_DATA_BOTH: of its read */
};
bool hawser_connection_poll_completion(struct hawser_connection *connection,
                                       struct hawser_completion *completion);
struct hawser_parked {
    uint32_t tag;
    uint32_t error; /* enum hawser_error: this command itself cost the connection; else NONE */
    bool sent;      /* the target may have it, or have carried it out */
};
/* After handle_closed: the tasks that had not completed. Their buffers are the host's again. */
bool hawser_connection_poll_parked(struct hawser_connection *connection,
                                   struct hawser_parked *parked);

/* The ladder of a command about which nothing is heard for timeout_ms, though the connection is
 * logged in: each rung is told, and polled before the next mutation. First the task is aborted: it
 * comes back by poll_completion as `aborted`, to be sent again. If that is refused, or not answered
 * within abort_timeout, the connection is lost (TASK_OVERDUE), and if the target does not answer in
 * the next one either, at ErrorRecoveryLevel 2, the session is (TASK_OVERDUE_AGAIN: reinstated).
 * The time begins when the command has gone out, anew with each PDU about it, and while data of it
 * is still to be sent; also while commands before it get along, as the target may come to them in
 * turn. It is looked at once a second. It does not run while the command waits for the window or
 * for room in the socket: the target cannot forget what it never had. The host's own function goes
 * first; one that is asked for while the ladder's is out goes out after it, within its own time. */
#define HAWSER_RUNG_ABORT 1
#define HAWSER_RUNG_CONNECTION 2
#define HAWSER_RUNG_SESSION 3
struct hawser_overdue {
    uint32_t tag;
    uint32_t waited_ms; /* without a sign of it; at least its timeout_ms on rung ABORT */
    uint8_t rung;       /* HAWSER_RUNG_* */
};
bool hawser_connection_poll_overdue(struct hawser_connection *connection,
                                    struct hawser_overdue *overdue);

/* Task management, RFC 7143 11.5.1. One function at a time on a connection: each one gives exactly
 * one result, and the next one only counts after that was polled. ABORT TASK goes to the connection
 * that has the task; a task that was not sent yet is taken back without a PDU. With a result of
 * `response` 0 (ABORT TASK: 0 or 1) the tasks concerned come back by poll_completion as `aborted`,
 * on every connection, unless they had completed before: nothing that a peer says about them later
 * is heeded. Those of the siblings come as soon as the host has carried the report and the orders.
 * While a function other than ABORT TASK is outstanding the host submits no command to what it
 * resets: whether a later command is hit too is not known. */
#define HAWSER_FUNCTION_ABORT_TASK 1
#define HAWSER_FUNCTION_ABORT_TASK_SET 2
#define HAWSER_FUNCTION_CLEAR_TASK_SET 4
#define HAWSER_FUNCTION_LOGICAL_UNIT_RESET 5
#define HAWSER_FUNCTION_TARGET_WARM_RESET 6
#define HAWSER_FUNCTION_TARGET_COLD_RESET 7
struct hawser_task_management {
    uint32_t tag; /* ABORT TASK: of the command */
    uint8_t lun[8]; /* not for ABORT TASK, which knows it, nor for target resets */
    uint8_t function;
};
struct hawser_managed {
    uint32_t error;   /* NONE: the target answered, or nothing had to be asked */
    uint8_t response; /* RFC 7143 11.6.1: 0 complete, 1 no such task, 2 no such LUN, ... */
    uint8_t function;
};
uint32_t hawser_connection_manage(struct hawser_connection *connection,
                                  const struct hawser_task_management *request, uint64_t now_ms);
bool hawser_connection_poll_managed(struct hawser_connection *connection,
                                    struct hawser_managed *managed);
/* Asks the target for its portals, with login_timeout (RFC 7143 Appendix C); gives PORTAL for each
 * one that is an address, then PORTALS_TOLD. A text that fails costs nothing but its answer. */
uint32_t hawser_connection_send_targets(struct hawser_connection *connection, uint32_t epoch,
                                        uint64_t now_ms);
uint32_t hawser_connection_conclude(struct hawser_connection *connection, uint32_t epoch,
                                    const struct hawser_scope *scope);
/* Keeps a CmdSN back until a later one has come by `other`: TRIED tells what the target made of it,
 * or a loss does. */
uint32_t hawser_connection_try_order(struct hawser_connection *connection, uint32_t epoch,
                                     uint16_t other, uint64_t now_ms);

/* Sending. What to send now, given room bytes of socket space: bytes of the engine's, then data of
 * a task. The same answer until handle_transmitted moves on; a partial send is fine. New commands
 * take their CmdSN here, immediately before they go out, so a host polls only when it will send at
 * once. */
struct hawser_transmit {
    const uint8_t *bytes;
    uint32_t bytes_length;
    uint32_t tag;
    uint32_t data_offset; /* into the task's data */
    uint32_t data_length; /* 0: none */
    uint32_t more;        /* more follows at once: MSG_MORE */
    uint32_t digest;      /* the data is digested: hawser_connection_digest_sent */
};
bool hawser_connection_poll_transmit(struct hawser_connection *connection, uint32_t room,
                                     struct hawser_transmit *transmit);
/* With transmit.digest: the task's bytes that were just sent, piece by piece in their order, before
 * the handle_transmitted that counts them. They must be the very bytes that TCP got, of a copy that
 * nobody else writes to: the owner of a task's pages may change them at any time. */
void hawser_connection_digest_sent(struct hawser_connection *connection, const uint8_t *bytes,
                                   uint32_t length);
uint32_t hawser_connection_handle_transmitted(struct hawser_connection *connection, uint32_t length,
                                              uint64_t now_ms);

/* Receiving. Eats bytes and returns how many; *wants gets the mask. It stops early only with
 * WANT_PLACEMENT: the next bytes go to poll_placement's place, and handle_placed tells how many
 * did. After WANT_CLOSE every byte is eaten and ignored. Sends nothing, so it may run under the
 * socket's lock. */
struct hawser_placement {
    uint32_t tag;
    uint32_t offset; /* into the task's data; offset + length is within its length */
    uint32_t length;
    uint32_t digest; /* hawser_connection_digest_placed */
};
uint32_t hawser_connection_handle_received(struct hawser_connection *connection,
                                           const uint8_t *bytes, uint32_t length, uint64_t now_ms,
                                           uint32_t *wants);
bool hawser_connection_poll_placement(struct hawser_connection *connection,
                                      struct hawser_placement *placement);
/* With placement.digest: the bytes just placed, before the handle_placed that counts them. */
void hawser_connection_digest_placed(struct hawser_connection *connection, const uint8_t *bytes,
                                     uint32_t length);
uint32_t hawser_connection_handle_placed(struct hawser_connection *connection, uint32_t length);

/* CHAP. The engine keeps no secret and knows no hash: it asks for H(identifier secret challenge),
 * one digest at a time, and goes on when handle_chap brings it. */
#define HAWSER_CHAP_OURS 1   /* the secret by which we authenticate ourselves: chap_key */
#define HAWSER_CHAP_TARGET 2 /* the one that the target must know: chap_key_in */

struct hawser_chap_request {
    uint8_t algorithm; /* HAWSER_CHAP_MD5 .. */
    uint8_t identifier;
    uint8_t secret; /* HAWSER_CHAP_OURS or _TARGET */
    uint8_t reserved;
    uint32_t challenge_length;
    const uint8_t *challenge; /* until handle_chap */
};

struct hawser_chap_answer {
    uint8_t digest_length; /* 0: no such secret or algorithm here */
    uint8_t digest[HAWSER_CHAP_DIGEST_MAX];
    uint8_t random[HAWSER_CHAP_RANDOM_BYTES]; /* fresh, unpredictable, for a challenge of ours */
};
/* False when no digest is wanted now. */
bool hawser_connection_poll_chap(struct hawser_connection *connection,
                                 struct hawser_chap_request *request);
uint32_t hawser_connection_handle_chap(struct hawser_connection *connection,
                                       const struct hawser_chap_answer *answer, uint64_t now_ms);
/* The host gives the engine its fastest CRC32C (RFC 7143 13.1): of bytes, or of what `before` is
 * the digest of followed by bytes. abi/crc32c.cpp is one for hosts that have none. */
uint32_t hawser_crc32c(uint32_t before, const uint8_t *bytes, uint32_t length);

/* RFC 7143 8.2: S1, S2, S4, S5, S6, S7, S8 */
enum hawser_connection_state {
    HAWSER_CONNECTION_FREE = 1,
    HAWSER_CONNECTION_XPT_WAIT = 2,
    HAWSER_CONNECTION_IN_LOGIN = 4,
    HAWSER_CONNECTION_LOGGED_IN = 5,
    HAWSER_CONNECTION_IN_LOGOUT = 6,
    HAWSER_CONNECTION_LOGOUT_REQUESTED = 7,
    HAWSER_CONNECTION_CLEANUP_WAIT = 8,
};

struct hawser_counters {
    uint64_t commands;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint32_t logins;
    uint32_t losses;
    uint32_t state; /* enum hawser_connection_state */
    uint32_t last_error;
    uint32_t last_detail;
    uint32_t tasks; /* owned now */
};
void hawser_connection_counters(const struct hawser_connection *connection,
                                struct hawser_counters *counters); /* any thread */

#ifdef __cplusplus
}
#endif

#endif
