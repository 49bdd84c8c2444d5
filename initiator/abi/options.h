/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a session is asked to be: limits, addresses, the keys that are offered, and the line of
 * words that says all this. Part of the engine's contract (engine.h).
 */
#ifndef HAWSER_ABI_OPTIONS_H
#define HAWSER_ABI_OPTIONS_H

#if defined(__KERNEL__) && !defined(__cplusplus)
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define HAWSER_NAME_BYTES 224 /* an iSCSI name of at most 223 bytes and its NUL, RFC 7143 4.2.7.1 */
#define HAWSER_CONNECTIONS_MAX 16
#define HAWSER_PORTALS_MAX 16
#define HAWSER_LUNS_MAX 16
#define HAWSER_QUEUE_DEPTH_MAX 1024
#define HAWSER_CDB_MAX 32
#define HAWSER_SENSE_MAX 96
#define HAWSER_LINE_MAX 8192 /* the option line with its NUL */
#define HAWSER_REASON_BYTES 256
#define HAWSER_CHAP_NAME_BYTES 256   /* with its NUL; RFC 7143 6.1 */
#define HAWSER_CHAP_KEY_BYTES 128    /* the description of a key in the kernel's keyring */
#define HAWSER_CHAP_SECRET_BYTES 255 /* what a host should be able to hold */
#define HAWSER_CHAP_DIGEST_MAX 32
#define HAWSER_CHAP_RANDOM_BYTES 33 /* an identifier, and a challenge as long as a digest */
#define HAWSER_NEVER UINT64_MAX

struct hawser_address {
    uint8_t family; /* 0 none, 4, 6 */
    uint8_t bytes[16]; /* network order; IPv4 in the first four */
};

struct hawser_portal {
    struct hawser_address address;
    struct hawser_address source; /* family 0: routing decides */
    uint16_t port;
    char nic[16]; /* "" : routing decides */
};

/* What this side offers (options), or what was agreed (negotiated). Keys: RFC 7143 13. */
struct hawser_keys {
    uint32_t max_connections;
    uint32_t max_recv_data_segment_length; /* ours: what the target may send */
    uint32_t max_xmit_data_segment_length; /* the target's declaration: what we may send */
    uint32_t max_burst_length;
    uint32_t first_burst_length;
    uint32_t max_outstanding_r2t;
    uint16_t default_time2wait_s;
    uint16_t default_time2retain_s;
    uint8_t initial_r2t;
    uint8_t immediate_data;
    uint8_t data_pdu_in_order;
    uint8_t data_sequence_in_order;
    uint8_t error_recovery_level;
    uint8_t header_digest; /* offer: bit 0 None, bit 1 CRC32C; agreed: 0 or 1 */
    uint8_t data_digest;
    uint8_t reserved;
};

struct hawser_options {
    char target_name[HAWSER_NAME_BYTES];
    char initiator_name[HAWSER_NAME_BYTES];
    char alias[64];
    struct hawser_portal portals[HAWSER_PORTALS_MAX];
    uint32_t portal_count;
    uint32_t connection_count; /* room for so many: connections_max */
    uint32_t luns[HAWSER_LUNS_MAX];
    uint32_t lun_count; /* 0: all */
    uint32_t queue_depth;
    uint32_t first_cmd_sn; /* of each session: 1; a test lets it begin before the wrap */
    uint32_t timeout_ms; /* first login */
    uint32_t login_timeout_ms; /* one connection, connect included */
    uint32_t noop_out_interval_ms; /* 0: off */
    uint32_t noop_out_timeout_ms;
    uint32_t logout_timeout_ms;
    uint32_t grace_ms;
    uint8_t root;
    uint8_t cpus_given;
    char cpus[64];
    struct hawser_keys offer;
    /* CHAP. Names go on the wire; keys are only where the host finds the secrets, which the engine
     * never sees. */
    char chap_name[HAWSER_CHAP_NAME_BYTES];    /* "": no CHAP */
    char chap_name_in[HAWSER_CHAP_NAME_BYTES]; /* the target's; "": any */
    char chap_key[HAWSER_CHAP_KEY_BYTES];
    char chap_key_in[HAWSER_CHAP_KEY_BYTES]; /* "": the target need not authenticate itself */
    uint8_t chap_algorithms;                 /* HAWSER_CHAP_BIT()s that may be offered */
    uint32_t connect_timeout_ms; /* TCP, where another portal can be tried */
    uint32_t abort_timeout_ms;   /* ABORT TASK, ABORT TASK SET, CLEAR TASK SET */
    uint32_t lu_reset_timeout_ms;
    uint32_t tgt_reset_timeout_ms;
    uint32_t connection_start; /* how many of them to open: connections */
    uint8_t portals_all;       /* ask the target for its other portals */
    uint8_t lu_reset_after_loss; /* host: before writes are sent again in a new session */
    uint32_t fail_after_ms; /* host: without a session for so long commands fail; 0: never */
    uint8_t cmd_sn_order;   /* HAWSER_CMD_SN_ORDER_* */
};

/* Whether the target puts commands that come by several connections into the order of their CmdSN,
 * as RFC 7143 4.2.2.1 has it. One that does it within a connection only gets one connection. */
#define HAWSER_CMD_SN_ORDER_AUTO 0u /* until it is seen that it does not: yes */
#define HAWSER_CMD_SN_ORDER_SESSION 1u
#define HAWSER_CMD_SN_ORDER_CONNECTION 2u

/* RFC 7143 12.1.3, and IANA's "PPP Authentication Algorithms" */
#define HAWSER_CHAP_MD5 5u
#define HAWSER_CHAP_SHA1 6u
#define HAWSER_CHAP_SHA256 7u
#define HAWSER_CHAP_SHA3_256 8u
#define HAWSER_CHAP_BIT(algorithm) (1u << ((algorithm) - HAWSER_CHAP_MD5))
#define HAWSER_CHAP_ALL 15u
uint32_t hawser_chap_digest_bytes(uint8_t algorithm); /* 0: unknown. Any thread */

/*
 * Parses the words after "connect " (docs/contracts.md). On failure returns HAWSER_ERROR_BAD_OPTION
 * and one line in reason that names key, value and what is allowed. Never reads past length.
 */
uint32_t hawser_options_parse(const char *line, uint32_t length, struct hawser_options *options,
                              char reason[HAWSER_REASON_BYTES]);
/* The value of one portal= word, the same way. */
uint32_t hawser_portal_parse(const char *value, uint32_t length, struct hawser_portal *portal,
                             char reason[HAWSER_REASON_BYTES]);
/* "10.0.10.2:3260" or "[fe80::1]:3260"; out holds at least 64 bytes. Any thread. */
void hawser_portal_format(const struct hawser_address *address, uint16_t port, char out[64]);

#ifdef __cplusplus
}
#endif

#endif
