// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When a logical unit's commands are held, and when they fail instead.
 *
 * Held: from the loss of a nexus until the verifier has found it to be the one that it was; and,
 * on a root session, from an answer "no such LUN". They fail: when the disk is being removed and
 * the target cannot have them (whoever removes it waits for them, and has scan_mutex); when
 * fail_after= is over.
 */
#include <scsi/scsi_device.h>
#include <scsi/scsi_proto.h>

#include "glue.h"

#define LUN_POLL_MS 100 /* how soon a removal is seen */

/* Under luns_lock. */
void glue_lun_set_state(struct glue_session *session, struct glue_disk *disk, u8 state)
{
	lockdep_assert_held(&session->luns_lock);
	WRITE_ONCE(session->luns_held,
		   session->luns_held + (state != LUN_READY) - (disk->state != LUN_READY));
	WRITE_ONCE(session->foreign,
		   session->foreign + (state == LUN_FOREIGN) - (disk->state == LUN_FOREIGN));
	if (state == LUN_READY)
		disk->held_ms = 0;
	else if (!disk->held_ms)
		disk->held_ms = glue_now_ms();
	/* What was found out before is seen by who finds it ready. */
	smp_store_release(&disk->state, state);
}

/* Under luns_lock. What is under way about it does not count any more. */
static void lun_ask_anew(struct glue_session *session, struct glue_disk *disk, u8 state)
{
	lockdep_assert_held(&session->luns_lock);
	glue_lun_set_state(session, disk, state);
	disk->question++;
	disk->ask_ms = 0;
	if (disk->settles) /* it was verified in the old nexus, and has to be again */
		disk->asked = false;
	disk->settles = false;
}

/* Control thread: the nexus is lost, and no order for a new one is given yet. */
void glue_luns_hold(struct glue_session *session)
{
	struct glue_disk *disk;

	spin_lock(&session->luns_lock);
	list_for_each_entry(disk, &session->luns, entry) {
		if (READ_ONCE(disk->watched))
			lun_ask_anew(session, disk, LUN_VERIFYING);
	}
	spin_unlock(&session->luns_lock);
}

/* From a connection's thread: the target said that there is no such LUN. */
void glue_lun_doubt(struct glue_session *session, struct glue_disk *disk)
{
	spin_lock(&session->luns_lock);
	if (disk->state == LUN_READY)
		lun_ask_anew(session, disk, LUN_ABSENT);
	spin_unlock(&session->luns_lock);
	glue_verify_kick(session);
}

static bool lun_is_write(const struct scsi_cmnd *command)
{
	return command->sc_data_direction == DMA_TO_DEVICE;
}

static bool lun_is_flush(const struct scsi_cmnd *command)
{
	return command->cmnd[0] == SYNCHRONIZE_CACHE || command->cmnd[0] == SYNCHRONIZE_CACHE_16;
}

/*
 * A command that was sent has come back from a connection that is no more. Whoever has it next, and
 * whatever becomes of it, the target may still carry it out: until a reset.
 */
void glue_lun_note_lost(const struct glue_slot *slot)
{
	struct glue_disk *disk;

	if (!slot->command || !lun_is_write(slot->command))
		return;
	disk = slot->command->device->hostdata;
	WRITE_ONCE(disk->old_writes, true);
}

/* A reset of this LUN, or of all (NULL), is complete; no write was sent since it began. */
void glue_luns_note_reset(struct glue_session *session, const u64 *lun)
{
	struct glue_disk *disk;

	spin_lock(&session->luns_lock);
	list_for_each_entry(disk, &session->luns, entry) {
		if (!lun || disk->lun == *lun)
			WRITE_ONCE(disk->old_writes, false);
	}
	spin_unlock(&session->luns_lock);
}

/*
 * Whether a command has to wait for its LUN. The answers that tell what is there do not: a scan
 * sends REPORT LUNS to LUN 0, and has scan_mutex.
 */
bool glue_lun_holds(const struct scsi_cmnd *command)
{
	const struct glue_disk *disk;

	if (!command) /* one of our own */
		return false;
	disk = command->device->hostdata;
	if (smp_load_acquire(&disk->state) == LUN_READY)
		return false;
	return command->cmnd[0] != INQUIRY && command->cmnd[0] != REPORT_LUNS;
}

bool glue_lun_is_leaving(const struct scsi_device *sdev)
{
	enum scsi_device_state state = READ_ONCE(sdev->sdev_state);

	return state == SDEV_CANCEL || state == SDEV_DEL;
}

/* Nothing would be lost with it. */
static bool lun_is_clean(const struct glue_disk *disk)
{
	return !glue_lun_is_dirty(disk) && !READ_ONCE(disk->old_writes);
}

static bool lun_is_elsewhere(const struct glue_disk *disk)
{
	return disk->state == LUN_ABSENT || disk->state == LUN_FOREIGN;
}

/* Under luns_lock. */
static enum glue_lun_fate lun_judge(struct glue_session *session, struct glue_disk *disk,
				    u64 now_ms)
{
	lockdep_assert_held(&session->luns_lock);
	if (glue_lun_is_leaving(disk->sdev)) {
		if (!disk->leaving_ms)
			disk->leaving_ms = now_ms;
		disk->fails_clean = lun_is_clean(disk);
		if (lun_is_elsewhere(disk) ||
		    now_ms >= disk->leaving_ms + session->options.grace_ms)
			return FATE_GONE;
	}
	if (session->options.fail_after_ms && disk->held_ms && READ_ONCE(session->scanned) &&
	    now_ms >= disk->held_ms + session->options.fail_after_ms)
		return FATE_NO_PATH;
	return FATE_HOLD; /* while it is held at all */
}

/*
 * Control thread, at each turn: which of the LUNs that are held fail their commands. A machine that
 * goes down waits for a LUN that is elsewhere for half of its grace: the others want the rest.
 * Returns when to look again.
 */
u64 glue_luns_mind(struct glue_session *session, u64 now_ms)
{
	bool held = READ_ONCE(session->luns_held) || session->gate != GATE_OPEN;
	u64 grace_ends_ms = READ_ONCE(session->grace_ends_ms);
	struct glue_disk *disk;
	bool late;

	if (!held && !session->luns_minded)
		return HAWSER_NEVER;
	session->luns_minded = held;
	late = grace_ends_ms && now_ms + session->options.grace_ms / 2 >= grace_ends_ms;
	spin_lock(&session->luns_lock);
	list_for_each_entry(disk, &session->luns, entry) {
		disk->fails = lun_judge(session, disk, now_ms);
		disk->fails_flush = late && lun_is_elsewhere(disk);
	}
	spin_unlock(&session->luns_lock);
	return held && READ_ONCE(session->parked) ? now_ms + LUN_POLL_MS : HAWSER_NEVER;
}

/* Control thread, of a parked command. */
enum glue_lun_fate glue_lun_fate(const struct glue_slot *slot)
{
	const struct glue_disk *disk;

	if (!slot->command)
		return FATE_GO;
	disk = slot->command->device->hostdata;
	if (disk->fails == FATE_GONE || (disk->fails_clean && !lun_is_write(slot->command)) ||
	    (disk->fails_flush && lun_is_flush(slot->command)))
		return FATE_GONE;
	if (!glue_lun_holds(slot->command))
		return FATE_GO;
	return disk->fails;
}

static const char *lun_why(const struct glue_session *session, const struct glue_disk *disk)
{
	switch (disk->state) {
	case LUN_ABSENT:
		return "the target has no such LUN";
	case LUN_FOREIGN:
		return "it is another disk now";
	default:
		return session->released ? "it does not tell who it is" : "no session";
	}
}

/* Control thread: this command fails, for its LUN's sake. What is lost with it is told, once. */
void glue_lun_note_failed(struct glue_session *session, struct glue_slot *slot)
{
	struct glue_disk *disk = slot->command->device->hostdata;
	size_t length = strlen(session->unflushed);
	bool lost, said;

	if (!lun_is_flush(slot->command) && !lun_is_write(slot->command))
		return;
	lost = lun_is_write(slot->command) || !lun_is_clean(disk);
	spin_lock(&session->luns_lock);
	said = disk->unflushed;
	disk->unflushed = true;
	if (!said)
		scnprintf(session->unflushed + length, sizeof(session->unflushed) - length,
			  "%sLUN %llu: %s%s", length ? "; " : "", disk->lun,
			  lun_why(session, disk), lost ? ": THE DISK WAS NOT FLUSHED" : "");
	session->unflushed_lost |= lost;
	spin_unlock(&session->luns_lock);
	if (said)
		return;
	if (lost)
		dev_emerg(&session->dev, "LUN %llu: %s: THE DISK WAS NOT FLUSHED\n", disk->lun,
			  lun_why(session, disk));
	else
		dev_notice(&session->dev, "LUN %llu: %s: not flushed, and nothing was to be\n",
			   disk->lun, lun_why(session, disk));
}
