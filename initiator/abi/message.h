/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the session and its connections tell each other, and the host carries: orders and reports.
 * Part of the engine's contract (engine.h).
 */
#ifndef HAWSER_ABI_MESSAGE_H
#define HAWSER_ABI_MESSAGE_H

#if defined(__KERNEL__) && !defined(__cplusplus)
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#endif

#include "options.h"

#ifdef __cplusplus
extern "C" {
#endif

enum hawser_order_kind {
    /* Open TCP to order.where (number `portal` of the session's). The connection's login_timeout
     * runs from here: call start_connect first. */
    HAWSER_ORDER_CONNECT = 1,
    /* hawser_connection_drain: send nothing more, read until EOF or the deadline, then close. */
    HAWSER_ORDER_DRAIN,
    /* hawser_connection_abandon: close now (a login or connect in progress included). */
    HAWSER_ORDER_CLOSE,
    /* hawser_connection_logout(order.logout_reason). */
    HAWSER_ORDER_LOGOUT,
    /* hawser_connection_recover(order.cid): ErrorRecoveryLevel 2. */
    HAWSER_ORDER_RECOVER,
    /* hawser_connection_proceed: tasks that wait on it may be reassigned. */
    HAWSER_ORDER_PROCEED,
    /* The session is LOGGED_IN: parked commands go to connections that are logged in. The first one
     * means that the LUNs can be scanned; `first` says so. */
    HAWSER_ORDER_RELEASE,
    /* Every connection asked for is logged in or has failed once since the last RELEASE. */
    HAWSER_ORDER_SETTLED,
    /* The session is over (FREE), all sockets are closed; error says why (NONE: a Logout). */
    HAWSER_ORDER_ENDED,
    /* hawser_connection_conclude(order.scope): a function on another connection ended these. */
    HAWSER_ORDER_CONCLUDE,
    /* hawser_connection_send_targets: what other portals does the target have? */
    HAWSER_ORDER_SEND_TARGETS,
    /* hawser_connection_try_order(order.cid). */
    HAWSER_ORDER_TRY_ORDER,
};

struct hawser_login_order {
    uint8_t isid[6];
    uint16_t tsih; /* 0: leading */
    uint16_t cid;
    uint8_t leading;
    uint8_t on_trial; /* it takes no command until the trial of TRY_ORDER is over */
    uint32_t random;
    uint16_t target_portal_group_tag; /* to hold a further connection to; valid unless leading */
    struct hawser_keys session_keys;  /* what the leading connection agreed; unused when leading */
};

/* Which tasks a task management function is about (RFC 7143 4.2.3.2): those of the LUN, or all
 * with a target reset, whose CmdSN comes before the function's. */
struct hawser_scope {
    uint8_t function; /* HAWSER_FUNCTION_* */
    uint8_t lun[8];
    uint32_t cmd_sn;
};

struct hawser_order {
    uint32_t kind;
    uint32_t index; /* the connection; unused for RELEASE, SETTLED, ENDED */
    uint32_t epoch;
    uint32_t portal;
    uint32_t error;
    uint32_t detail;
    uint64_t deadline_ms; /* DRAIN: for the EOF; CONNECT: for TCP */
    uint8_t logout_reason; /* RFC 7143 11.14.1 */
    uint8_t first;
    uint16_t cid; /* RECOVER: the connection that was lost; TRY_ORDER: the other one */
    struct hawser_login_order login;
    struct hawser_scope scope; /* CONCLUDE */
    struct hawser_portal where; /* CONNECT */
};

enum hawser_report_kind {
    HAWSER_REPORT_LOGGED_IN = 1,
    /* It carries nothing any more; CLOSED follows, after WANT_CLOSE at once, or (a breach below
     * ErrorRecoveryLevel 2, WANT_FIN) when the target has closed too, or was waited for. */
    HAWSER_REPORT_LOST,
    HAWSER_REPORT_CLOSED,           /* its socket is gone and its tasks are parked */
    HAWSER_REPORT_LOGGED_OUT,       /* Logout answered; detail: tasks it ended; CLOSED follows */
    HAWSER_REPORT_LOGOUT_REQUESTED, /* async event 1: Logout within detail seconds */
    HAWSER_REPORT_TASKS_ENDED,      /* a function is done: siblings conclude report.scope too */
    HAWSER_REPORT_RECOVERED,        /* answer to RECOVER for cid; detail is the response */
    HAWSER_REPORT_DROP_ANNOUNCED,   /* async event 2 about CID detail, with its times */
    HAWSER_REPORT_PORTAL,           /* learned: redirect, redirect_port, target_portal_group_tag */
    HAWSER_REPORT_PORTALS_TOLD,     /* SEND_TARGETS is done; error says how */
    HAWSER_REPORT_TRIED,            /* TRY_ORDER is done; detail: HAWSER_TRIAL_* */
};

struct hawser_report {
    uint32_t kind;
    uint32_t index;
    uint32_t epoch;
    uint32_t error;
    uint32_t detail;
    uint16_t tsih;
    uint16_t target_portal_group_tag;
    uint16_t time2wait_s;   /* as an async message or a Logout Response says; 0xffff: not said */
    uint16_t time2retain_s; /* the same */
    struct hawser_address redirect; /* LOGIN_REDIRECTED */
    uint16_t redirect_port;
    struct hawser_keys keys; /* LOGGED_IN */
    struct hawser_scope scope; /* TASKS_ENDED */
    uint16_t cid;            /* RECOVERED */
    bool crossed; /* LOST: it owed the answer to a command that others' commands have overtaken */
};

#define HAWSER_TRIAL_ORDERED 0u /* the target waited for the lower CmdSN, and took it */
#define HAWSER_TRIAL_NOT_ORDERED 1u
#define HAWSER_TRIAL_UNDECIDED 2u
#define HAWSER_TRIAL_NOT_COUNTED 3u /* it answers NOP-Outs, but does not count them */

#ifdef __cplusplus
}
#endif

#endif
