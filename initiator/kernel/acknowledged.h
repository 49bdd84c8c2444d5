/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far TCP has got with what it was given. Its sequence numbers have 32 bits and come round
 * every 4 GiB: two of them tell a distance, as long as both are of now, and never an order between
 * now and then. What is kept for later is a position: bytes since the session began, in 64 bits.
 *
 * No kernel header is needed here: tests/unit compiles it too.
 */
#ifndef HAWSER_KERNEL_ACKNOWLEDGED_H
#define HAWSER_KERNEL_ACKNOWLEDGED_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#endif

/* Bytes that TCP has and the peer has not acknowledged. A send buffer is no 4 GiB. */
static inline uint32_t glue_queued(uint32_t write_seq, uint32_t snd_una)
{
	return write_seq - snd_una;
}

/* The position up to which all is acknowledged; `sent` is that of write_seq. */
static inline uint64_t glue_acknowledged(uint64_t sent, uint32_t write_seq, uint32_t snd_una)
{
	return sent - glue_queued(write_seq, snd_una);
}

#endif
