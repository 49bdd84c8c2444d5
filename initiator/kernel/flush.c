// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The driver's last SYNCHRONIZE CACHE, behind sd's: the whole disk, and waited for.
 *
 * It is the last chance, so it is not tried once only. What passes (UNIT ATTENTION, BUSY, TASK SET
 * FULL, a reset that ended it) is asked again until the grace is over. Some targets announce a
 * write cache and do not know the command (ILLEGAL REQUEST 20/00): they have nothing to flush.
 */
#include <linux/delay.h>
#include <scsi/scsi_proto.h>

#include "glue.h"

#define FLUSH_AGAIN_MS_MIN 20
#define FLUSH_AGAIN_MS_MAX 1000

static bool flush_may_pass(const struct glue_own *own)
{
	switch (own->sense_key) {
	case NO_SENSE: /* a status without sense, or a response of iSCSI's */
		return own->status != SAM_STAT_RESERVATION_CONFLICT;
	case NOT_READY:
	case UNIT_ATTENTION:
	case ABORTED_COMMAND:
		return true;
	default:
		return false;
	}
}

static bool flush_is_unknown(const struct glue_own *own)
{
	return own->sense_key == ILLEGAL_REQUEST && own->asc == 0x20 && !own->ascq;
}

static void flush_describe(struct glue_own *own, u64 lun)
{
	own->lun = lun;
	memset(own->cdb, 0, sizeof(own->cdb));
	own->cdb[0] = SYNCHRONIZE_CACHE;
	own->cdb_length = 10;
}

/* 0: all is on stable storage. Sleeps, at the latest until the grace is over. */
int glue_flush(struct glue_session *session, u64 lun)
{
	struct glue_own *own = &session->own[GLUE_OWN_FLUSH];
	u32 wait_ms = FLUSH_AGAIN_MS_MIN;
	int err;

	for (;;) {
		flush_describe(own, lun);
		err = glue_own_run(session, own);
		if (err != -EIO || !flush_may_pass(own) ||
		    glue_now_ms() + wait_ms >= READ_ONCE(session->grace_ends_ms))
			break;
		msleep(wait_ms);
		wait_ms = min_t(u32, 2 * wait_ms, FLUSH_AGAIN_MS_MAX);
	}
	if (err == -EIO && flush_is_unknown(own)) {
		dev_notice(&session->dev,
			   "LUN %llu: the target knows no SYNCHRONIZE CACHE: nothing to flush\n",
			   lun);
		return 0;
	}
	if (err == -EIO)
		dev_err(&session->dev,
			"LUN %llu: SYNCHRONIZE CACHE: status %#x, sense %#x %02x/%02x\n", lun,
			own->status, own->sense_key, own->asc, own->ascq);
	return err;
}
