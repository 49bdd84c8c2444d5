/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can go wrong, with a number and words for each: part of the engine's contract (engine.h).
 */
#ifndef HAWSER_ABI_ERROR_H
#define HAWSER_ABI_ERROR_H

#if defined(__KERNEL__) && !defined(__cplusplus)
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Errors. One per cause: X(name, number, words). Numbers are stable (they reach sysfs and tests);
 * words complete the sentence "connection 2 to 10.0.10.2:3260: ...".
 */
#define HAWSER_ERRORS(X)                                                                           \
    X(NONE, 0, "no error")                                                                         \
    /* the transport; detail is a positive errno */                                                \
    X(CONNECT_FAILED, 1, "TCP connect failed")                                                     \
    X(CONNECTION_RESET, 2, "connection lost")                                                      \
    X(CLOSED_BY_TARGET, 3, "target closed the connection")                                         \
    X(CONNECT_TIMEOUT, 4, "no answer to the TCP connect")                                          \
    X(LOGIN_TIMEOUT, 5, "no answer to the Login")                                                  \
    X(NOP_TIMEOUT, 6, "no answer to a NOP-Out")                                                    \
    X(LOGOUT_TIMEOUT, 7, "no answer to the Logout")                                                \
    X(GIVEN_UP, 8, "given up by this host")                                                        \
    X(STALLED, 10, "link is silent while others of the session are not")                          \
    X(SIBLING_LOST, 9, "closed because another connection of the session was lost")                \
    X(TASK_OVERDUE, 11, "target answers others, but not a command and not its abort")              \
    X(TASK_OVERDUE_AGAIN, 12, "target does not answer a command on a second connection either")    \
    X(COMMAND_NOT_TAKEN, 13, "target does not take a command, however often it is sent")           \
    X(CMD_SN_NOT_ORDERED, 14, "target does not put commands of several connections into order")    \
    X(OWN_MISTAKE, 15, "a mistake of our own: please report it")                                   \
    X(PORTAL_UNREACHABLE, 16, "target tells a portal that means nothing from here")                \
    /* Login answers, RFC 7143 11.13.5; detail is Status-Class << 8 | Status-Detail */             \
    X(LOGIN_REDIRECTED, 20, "target redirects the login (0101/0102)")                              \
    X(LOGIN_INITIATOR_ERROR, 21, "target refuses the login: initiator error (0200)")               \
    X(LOGIN_AUTHENTICATION_FAILED, 22, "target refuses the login: authentication failure (0201)")  \
    X(LOGIN_FORBIDDEN, 23, "target refuses the login: not allowed (0202)")                         \
    X(LOGIN_TARGET_NOT_FOUND, 24, "target is not known there (0203)")                              \
    X(LOGIN_TARGET_REMOVED, 25, "target was removed (0204)")                                       \
    X(LOGIN_UNSUPPORTED_VERSION, 26, "target supports another iSCSI version (0205)")               \
    X(LOGIN_TOO_MANY_CONNECTIONS, 27, "target allows no further connection (0206)")                \
    X(LOGIN_MISSING_PARAMETER, 28, "target misses a parameter (0207)")                             \
    X(LOGIN_CANNOT_INCLUDE, 29, "target cannot include the connection in the session (0208)")      \
    X(LOGIN_SESSION_TYPE, 30, "target does not support this session type (0209)")                  \
    X(LOGIN_SESSION_DOES_NOT_EXIST, 31, "target does not know the session (020a)")                 \
    X(LOGIN_INVALID_DURING_LOGIN, 32, "target got an invalid request during login (020b)")         \
    X(LOGIN_TARGET_ERROR, 33, "target error (0300)")                                               \
    X(LOGIN_SERVICE_UNAVAILABLE, 34, "target is busy or not operational (0301)")                   \
    X(LOGIN_OUT_OF_RESOURCES, 35, "target is out of resources (0302)")                             \
    X(LOGIN_UNKNOWN_STATUS, 36, "target answers the login with an unknown status")                 \
    X(LOGIN_CHAP_ALGORITHM, 37, "target refuses what SHA-256 gives: trying without it")            \
    X(LOGIN_DIGEST_REFUSED, 38, "target refuses the digest that is asked for")                     \
    /* what the peer did wrong while logging in */                                                 \
    X(LOGIN_UNEXPECTED_PDU, 40, "a PDU other than a Login Response during login")                  \
    X(LOGIN_BAD_STAGE, 41, "Login Response with a wrong stage or T/C bit")                         \
    X(LOGIN_BAD_FIELD, 42, "Login Response with a wrong ITT, ISID, TSIH, CID or version")          \
    X(LOGIN_BAD_TEXT, 43, "Login Response text is not key=value pairs")                            \
    X(LOGIN_DUPLICATE_KEY, 44, "target sent a key twice")                                          \
    X(LOGIN_BAD_VALUE, 45, "target answered a key with a value that is not allowed")               \
    X(LOGIN_TOO_LONG, 46, "target's login text is too long")                                       \
    X(LOGIN_ENDLESS, 47, "login did not end within its number of rounds")                          \
    X(LOGIN_AUTHENTICATION_REQUIRED, 48,                                                           \
      "target demands an authentication that is not configured")                                   \
    X(LOGIN_NO_TSIH, 49, "target gave no TSIH")                                                    \
    X(LOGIN_PORTAL_GROUP, 50, "portal belongs to another target portal group")                     \
    /* CHAP, RFC 7143 12.1.3 and 9.2.1 */                                                          \
    X(CHAP_REFUSED, 51, "target does not authenticate by CHAP, which is configured")               \
    X(CHAP_ALGORITHM, 52, "target's CHAP_A is none of the algorithms offered")                     \
    X(CHAP_IDENTIFIER, 53, "target's CHAP_I is missing or no number of one byte")                  \
    X(CHAP_CHALLENGE, 54, "target's CHAP_C is missing, not binary or longer than 1024 bytes")      \
    X(CHAP_NAME, 55, "target's CHAP_N is missing or not the configured name")                      \
    X(CHAP_RESPONSE, 56, "target's CHAP_R is missing or not of its algorithm's length")            \
    X(CHAP_REFLECTION, 57, "target's CHAP_R is what our own secret gives: it was reflected")       \
    X(CHAP_TARGET_FAILED, 58, "target does not know the secret that it should prove")              \
    X(CHAP_NO_SECRET, 59, "this host has no such CHAP secret or algorithm")                        \
    /* what the peer did wrong in full feature phase */                                            \
    X(UNKNOWN_OPCODE, 60, "a PDU with an unknown opcode")                                          \
    X(UNEXPECTED_OPCODE, 61, "a PDU that is not allowed in this phase")                            \
    X(SEGMENT_TOO_LONG, 62, "a data segment beyond MaxRecvDataSegmentLength")                      \
    X(BAD_AHS, 63, "a PDU with a bad TotalAHSLength")                                              \
    X(UNKNOWN_TASK, 64, "a PDU for a task that does not exist")                                    \
    X(WRONG_DIRECTION, 65, "Data-In or R2T against the direction of its command")                  \
    X(DATA_OUT_OF_RANGE, 66, "Data-In beyond the expected data transfer length")                   \
    X(DATA_SN, 67, "Data-In out of order")                                                         \
    X(R2T_OUT_OF_RANGE, 68, "R2T beyond the command's data or of no length")                       \
    X(R2T_TOO_LONG, 69, "R2T beyond MaxBurstLength")                                               \
    X(R2T_TOO_MANY, 70, "R2T beyond MaxOutstandingR2T")                                            \
    X(R2T_SN, 71, "R2T out of order")                                                              \
    X(STAT_SN, 72, "StatSN out of order")                                                          \
    X(DATA_MISSING, 73, "command completed but data is missing")                                   \
    X(BAD_FIELD, 74, "a PDU with a field that its task contradicts")                               \
    X(REJECTED, 75, "target rejected a PDU")                                                       \
    X(BAD_NOP, 76, "a NOP-In that answers nothing")                                                \
    X(HEADER_DIGEST, 77, "header digest mismatch")                                                 \
    X(DATA_DIGEST, 78, "data digest mismatch")                                                     \
    /* recovery above ErrorRecoveryLevel 0 */                                                      \
    X(SNACK_TIMEOUT, 79, "target did not send again what a SNACK asked for")                       \
    X(REASSIGN_REFUSED, 80, "target refuses to reassign a task")                                   \
    X(REASSIGN_TIMEOUT, 81, "no answer to a TASK REASSIGN")                                        \
    X(RECOVERY_REFUSED, 82, "target refuses to remove a connection for recovery")                  \
    X(RETAIN_OVER, 83, "no connection within Time2Retain")                                         \
    /* asynchronous messages, RFC 7143 11.9.1; detail is the AsyncEvent */                         \
    X(ASYNC_LOGOUT, 90, "target asks for a logout")                                                \
    X(ASYNC_DROP_CONNECTION, 91, "target drops this connection")                                   \
    X(ASYNC_DROP_SESSION, 92, "target drops every connection")                                     \
    X(LOGOUT_REFUSED, 94, "target refuses the Logout")                                             \
    /* what this side asked for */                                                                 \
    X(TASK_MANAGEMENT_TIMEOUT, 95, "no answer to a task management function")                      \
    X(TASK_MANAGEMENT_LOST, 96, "connection lost before a task management function was answered")  \
    X(TEXT_TIMEOUT, 97, "no answer to a Text Request")                                             \
    X(TEXT_REJECTED, 98, "target rejected a Text Request")                                         \
    X(BAD_TEXT, 99, "a Text Response that breaks the rules of negotiation")                        \
    X(TEXT_TOO_LONG, 100, "target's text is too long")                                             \
    X(REDIRECTED_TOO_OFTEN, 101, "target redirects the login again and again")                     \
    X(REDIRECTED_NOWHERE, 102, "target redirects the login, but names no IP address")              \
    X(NOT_LOGGED_IN, 103, "session is not logged in")                                              \
    X(CONNECTIONS_FULL, 104, "session takes no further connection")                                \
    X(PORTALS_FULL, 105, "session takes no further portal")                                        \
    X(NO_SUCH_CONNECTION, 106, "session has no such connection")                                   \
    X(LAST_CONNECTION, 107, "session has no other connection that is logged in")                   \
    /* options */                                                                                  \
    X(BAD_OPTION, 110, "bad option")

enum hawser_error {
#define HAWSER_ERROR_ENUM(name, number, words) HAWSER_ERROR_##name = number,
    HAWSER_ERRORS(HAWSER_ERROR_ENUM)
#undef HAWSER_ERROR_ENUM
};

const char *hawser_error_words(uint32_t error); /* any thread; never NULL */
/* Whether trying the same login again is pointless (Status-Class 2 and its like). Any thread. */
bool hawser_error_is_final(uint32_t error);

#ifdef __cplusplus
}
#endif

#endif
