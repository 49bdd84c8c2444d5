// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What becomes of a SCSI result: deliver it to the mid-layer, or hold the command here and send it
 * again later.
 *
 * The mid-layer sends an unknown status, or CHECK CONDITION without sense, to its error handler,
 * which can end in "Device offlined", for ever. So it gets only what it knows:
 *
 *   status                          root session       other session
 *   GOOD, CONDITION MET, ...        deliver            deliver
 *   RESERVATION CONFLICT            deliver            deliver
 *   BUSY, TASK SET FULL             retry              retry, bounded
 *   TASK ABORTED, unknown           retry              retry, bounded
 *   CHECK CONDITION, no sense       retry              retry, bounded
 *   ILLEGAL REQUEST 25/00, once     retry: a target that is up before its LUNs
 *     the disk is known             are mapped says so deliver
 *   NOT READY, once it is known     retry              deliver
 *   ABORTED COMMAND                 retry, bounded     deliver
 *   UNIT ATTENTION                  deliver, but       deliver
 *                                   retry from the
 *                                   fourth in a row on
 *   any other sense                 deliver            deliver
 *   iSCSI response "target failure" retry              retry, bounded
 *   too little data came            retry              retry, bounded
 *   ended by a reset, or the ladder retry              retry
 *
 * Passthrough that may go out only once (passthrough.c) gets every status and sense as it came, but
 * for BUSY and TASK SET FULL, by which the target has not begun it; where a retry would follow it
 * gets a transport error.
 */
#include <linux/blkdev.h>
#include <scsi/scsi.h>
#include <scsi/scsi_proto.h>

#include "glue.h"

#define RESULT_ATTEMPTS_MAX 60 /* about a minute */
#define RESULT_ATTENTIONS_MAX 3 /* that the mid-layer is left to retry: it gives up after five */

/* Answers that tell what is there; waiting would hide the truth from whoever asks. */
static bool result_asks_what_is_there(const struct scsi_cmnd *command)
{
	switch (command->cmnd[0]) {
	case INQUIRY:
	case REPORT_LUNS:
	case TEST_UNIT_READY:
		return true;
	default:
		return false;
	}
}

static bool result_sense_is_passing(struct glue_session *session, struct glue_slot *slot)
{
	struct scsi_cmnd *command = slot->command;
	struct scsi_sense_hdr sense;

	if (!scsi_normalize_sense(command->sense_buffer, SCSI_SENSE_BUFFERSIZE, &sense))
		return true;
	if (sense.sense_key == UNIT_ATTENTION)
		glue_look_note(session, command->device, sense.asc, sense.ascq);
	/* Whoever takes a disk away wants its errors. */
	if (!session->options.root || !READ_ONCE(session->scanned) || slot->once ||
	    result_asks_what_is_there(command) || glue_lun_is_leaving(command->device))
		return false;
	if (sense.sense_key == NOT_READY)
		return true;
	/* The mid-layer tries these five times, and then the file system has an error. */
	if (sense.sense_key == UNIT_ATTENTION)
		return command->retries >= RESULT_ATTENTIONS_MAX;
	if (sense.sense_key == ABORTED_COMMAND)
		return slot->attempts < RESULT_ATTEMPTS_MAX;
	if (sense.sense_key != ILLEGAL_REQUEST || sense.asc != 0x25 || sense.ascq)
		return false;
	/* Its commands wait until it is there, and is found to be the one that it was. */
	glue_lun_doubt(session, command->device->hostdata);
	return true;
}

static enum glue_verdict result_judge(struct glue_session *session, struct glue_slot *slot,
				      const struct hawser_completion *completion)
{
	struct scsi_cmnd *command = slot->command;

	if (completion->response)
		return GLUE_RETRY;
	switch (completion->status) {
	case SAM_STAT_GOOD:
		if (scsi_bufflen(command) - scsi_get_resid(command) < command->underflow)
			return GLUE_RETRY;
		return GLUE_DELIVER;
	case SAM_STAT_CONDITION_MET:
	case SAM_STAT_INTERMEDIATE:
	case SAM_STAT_INTERMEDIATE_CONDITION_MET:
	case SAM_STAT_RESERVATION_CONFLICT:
		return GLUE_DELIVER;
	case SAM_STAT_CHECK_CONDITION:
		return result_sense_is_passing(session, slot) ? GLUE_RETRY : GLUE_DELIVER;
	default: /* BUSY, TASK SET FULL, TASK ABORTED, and what nobody knows */
		return GLUE_RETRY;
	}
}

/* Of the whole disk, and answered when it is done (SBC-4 5.29, 5.30): no IMMED, no range. */
static bool result_is_full_flush(const u8 *cdb)
{
	static const u8 nothing[12];

	if (cdb[1] & 2)
		return false;
	if (cdb[0] == SYNCHRONIZE_CACHE)
		return !memcmp(cdb + 2, nothing, 4) && !memcmp(cdb + 7, nothing, 2);
	return !memcmp(cdb + 2, nothing, 12);
}

static void result_note_writes(struct glue_slot *slot)
{
	struct scsi_cmnd *command = slot->command;
	struct glue_disk *disk = command->device->hostdata;

	switch (command->cmnd[0]) {
	case SYNCHRONIZE_CACHE:
	case SYNCHRONIZE_CACHE_16:
		if (result_is_full_flush(command->cmnd))
			atomic64_set(&disk->synced, slot->writes_seen);
		break;
	default:
		if (command->sc_data_direction == DMA_TO_DEVICE &&
		    compat_write_cache(command->device->request_queue))
			atomic64_inc(&disk->writes);
	}
}

/* Fills in command->result, sense and residual. The slot is not the engine's any more. */
enum glue_verdict glue_result(struct glue_session *session, struct glue_slot *slot,
			      const struct hawser_completion *completion)
{
	struct scsi_cmnd *command = slot->command;

	if (completion->aborted) {
		if (command && slot->once)
			return glue_passthrough_end(slot, DID_TRANSPORT_DISRUPTED);
		if (!command || !glue_eh_owns(slot))
			return GLUE_RETRY; /* a reset not on its account, or the ladder */
		command->result = DID_ABORT << 16;
		return GLUE_DELIVER;
	}
	if (!command) {
		glue_own_finish(slot->own, completion);
		return GLUE_DELIVER;
	}
	command->result = completion->status;
	scsi_set_resid(command, 0);
	if (completion->residual && !completion->overflow)
		scsi_set_resid(command, min(completion->residual, scsi_bufflen(command)));
	memset(command->sense_buffer, 0, SCSI_SENSE_BUFFERSIZE);
	if (completion->sense_length)
		memcpy(command->sense_buffer, completion->sense,
		       min_t(u32, completion->sense_length, SCSI_SENSE_BUFFERSIZE));
	/*
	 * The mid-layer gives a command up that is retried (even for a UNIT ATTENTION) when it was
	 * first started too long ago. The time it was held here is not the disk's fault.
	 */
	command->jiffies_at_alloc = jiffies;

	if (result_judge(session, slot, completion) == GLUE_DELIVER) {
		if (completion->status == SAM_STAT_GOOD)
			result_note_writes(slot);
		return GLUE_DELIVER;
	}
	if (!completion->response && completion->status == SAM_STAT_TASK_SET_FULL)
		glue_depth_lower(command->device);
	else if (slot->once && (completion->response || completion->status != SAM_STAT_BUSY))
		return glue_passthrough_end(slot, DID_ERROR);
	if (!session->options.root && slot->attempts >= RESULT_ATTEMPTS_MAX) {
		command->result = DID_ERROR << 16;
		return GLUE_DELIVER;
	}
	dev_warn_ratelimited(&session->dev,
			     "command %#04x: response %#x, status %#x, sense %*phN: sent again\n",
			     command->cmnd[0], completion->response, completion->status,
			     (int)min_t(u32, completion->sense_length, 18), command->sense_buffer);
	return GLUE_RETRY;
}
