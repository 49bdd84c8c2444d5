// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Passthrough: commands of SG_IO, bsg and sg, of tapes, of persistent reservations. Nobody here
 * knows what it means to do one of them twice, and who sent it waits with a time of its own.
 *
 * So it goes out once. When its connection is lost after the target may have had it, its caller is
 * told so at once (DID_TRANSPORT_DISRUPTED), and the mid-layer is left no retries. When its time is
 * over it ends (DID_TIME_OUT) wherever it is: at a closed gate and in the park as well, on root
 * sessions too. At the target it is aborted (eh.c); where that does not help, the engine's ladder
 * ends it with its connection.
 *
 * The kernel's own passthrough is none of that: what sd asks (INQUIRY, READ CAPACITY, MODE SENSE)
 * and its last SYNCHRONIZE CACHE may be repeated, and must not fail for a lost link: a failed READ
 * CAPACITY makes a disk of no size, a failed flush loses what was written. It is known by the
 * retries that it allows, and is held and sent again like any command.
 */
#include <linux/blk-mq.h>
#include <linux/delay.h>
#include <scsi/scsi_proto.h>

#include "glue.h"

#define PASSTHROUGH_POLL_MS 5
#define PASSTHROUGH_MARGIN_MS 2000 /* the block layer's timer is late by up to a second */
#define PASSTHROUGH_OWN_MS 30000 /* a question of the driver's own, */
#define PASSTHROUGH_FLUSH_MS 120000 /* and its SYNCHRONIZE CACHE, which takes its time */
#define PASSTHROUGH_COSTS_MAX 3

static bool passthrough_is_once(struct scsi_cmnd *command)
{
	struct request *request = scsi_cmd_to_rq(command);

	if (!blk_rq_is_passthrough(request))
		return false;
	return !command->allowed || command->sc_data_direction == DMA_TO_DEVICE ||
	       request->cmd_flags & REQ_FAILFAST_TRANSPORT;
}

/* A command of the mid-layer comes in. */
void glue_passthrough_begin(struct glue_slot *slot)
{
	slot->costs = 0;
	slot->once = passthrough_is_once(slot->command);
	if (slot->once)
		slot->deadline_ms =
			glue_now_ms() + jiffies_to_msecs(scsi_cmd_to_rq(slot->command)->timeout);
}

/* After how long without an answer the engine's ladder begins; 0: never (eh.c sees to it). */
u32 glue_passthrough_patience(const struct glue_session *session, const struct glue_slot *slot)
{
	u64 now_ms;

	if (!slot->command)
		return slot->own->cdb[0] == SYNCHRONIZE_CACHE ? PASSTHROUGH_FLUSH_MS :
								PASSTHROUGH_OWN_MS;
	if (slot->once) {
		now_ms = glue_now_ms();
		return PASSTHROUGH_MARGIN_MS +
		       (slot->deadline_ms > now_ms ? slot->deadline_ms - now_ms : 0);
	}
	return session->options.root ? jiffies_to_msecs(scsi_cmd_to_rq(slot->command)->timeout) : 0;
}

/* Ends it by this host byte, and not by a retry of the mid-layer's. */
enum glue_verdict glue_passthrough_end(struct glue_slot *slot, int host_byte)
{
	struct scsi_cmnd *command = slot->command;

	command->result = host_byte << 16;
	command->retries = max(command->allowed, 0);
	command->jiffies_at_alloc = jiffies;
	memset(command->sense_buffer, 0, SCSI_SENSE_BUFFERSIZE); /* of an earlier answer */
	scsi_set_resid(command, scsi_bufflen(command));
	return GLUE_DELIVER;
}

/*
 * The one command that gets an error although its session is well: each time that it is sent, the
 * target, or a check of ours on its answer, ends the session. All others would pay for it.
 */
static enum glue_verdict passthrough_blame(struct glue_session *session, struct glue_slot *slot,
					   const struct hawser_parked *parked)
{
	const u8 *cdb = slot->command ? slot->command->cmnd : slot->own->cdb;
	u32 length = slot->command ? slot->command->cmd_len : slot->own->cdb_length;

	if (++slot->costs <= PASSTHROUGH_COSTS_MAX)
		return GLUE_RETRY;
	dev_err(&session->dev,
		"LUN %llu: command %*ph (tag %u) has cost the session %u times (%s): it fails\n",
		slot->lun, min_t(int, length, HAWSER_CDB_MAX), cdb, parked->tag, slot->costs,
		hawser_error_words(parked->error));
	if (slot->command)
		return glue_passthrough_end(slot, DID_ERROR);
	slot->own->result = -EIO;
	return GLUE_DELIVER;
}

/*
 * A command has come back from a closed connection. GLUE_RETRY: it is sent again, after wait_ms.
 * At ErrorRecoveryLevel 2 the target goes on with the very task, as long as its session lives.
 */
enum glue_verdict glue_passthrough_lost(struct glue_session *session, struct glue_slot *slot,
					const struct hawser_parked *parked, u32 *wait_ms)
{
	bool recovers = READ_ONCE(session->snapshot.keys.error_recovery_level) == 2;

	*wait_ms = 0;
	if (slot->command && slot->once && parked->sent && (!recovers || parked->error))
		return glue_passthrough_end(slot, DID_TRANSPORT_DISRUPTED);
	if (!parked->error)
		return GLUE_RETRY;
	*wait_ms = 1000 << slot->costs;
	return passthrough_blame(session, slot, parked);
}

/* ErrorRecoveryLevel 2: it was to go on with the target, whose session is another one by now. */
bool glue_passthrough_is_late(const struct glue_session *session, const struct glue_slot *slot)
{
	return slot->once && slot->came_back && slot->sent &&
	       slot->nexus != READ_ONCE(session->nexus);
}

/*
 * Its time was over, and its slot is nobody's. If the control thread has made it so, it may be
 * about to call scsi_done: by its next turn it has.
 */
void glue_passthrough_settle(struct glue_session *session)
{
	u32 turns = READ_ONCE(session->turns);

	glue_session_kick(session);
	while (smp_load_acquire(&session->turns) == turns)
		msleep(PASSTHROUGH_POLL_MS);
}

/* The ladder of a command that the target does not answer, rung by rung. */
void glue_passthrough_say_overdue(struct glue_connection *connection,
				  const struct hawser_overdue *overdue)
{
	static const char *const rungs[] = {
		[HAWSER_RUNG_ABORT] = "it is aborted",
		[HAWSER_RUNG_CONNECTION] = "nor was its abort: the connection is lost on purpose",
		[HAWSER_RUNG_SESSION] = "nor was its abort: the session starts anew",
	};
	struct glue_session *session = connection->session;
	struct glue_slot *slot = &session->slots[overdue->tag];
	const u8 *cdb = slot->command ? slot->command->cmnd : slot->own->cdb;
	u32 length = slot->command ? slot->command->cmd_len : slot->own->cdb_length;

	dev_warn(&session->dev,
		 "LUN %llu: command %*ph (tag %u), connection %u: no answer for %u.%u s: %s\n",
		 slot->lun, min_t(int, length, HAWSER_CDB_MAX), cdb, overdue->tag,
		 connection->index, overdue->waited_ms / 1000, overdue->waited_ms % 1000 / 100,
		 overdue->rung < ARRAY_SIZE(rungs) && rungs[overdue->rung] ? rungs[overdue->rung] :
									     "?");
}
