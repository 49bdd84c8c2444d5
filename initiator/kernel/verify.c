// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In each new nexus, before a LUN's commands go on: is it the disk that it was, and has the target
 * done with what the old nexus left behind?
 *
 * Identity. Targets come back before their LUNs are mapped, or with another disk under the number.
 * A LUN that is absent is waited for; one that is another is never written to: its commands are
 * held, and the console says why, until the right one is back, or the administrator says that it
 * is the right one, or takes it away.
 *
 * Old writes. A nexus that is lost aborts its tasks (SAM-5 6.3.3), and LIO sees to that before it
 * takes the new login. tgt (1.0.85) does not: a write that a thread of its backend holds lands when
 * it lands, after newer ones if need be. Its LOGICAL UNIT RESET waits for such threads. So a LUN
 * with writes that may be at the target still goes on only behind one.
 *
 * One thread, which waits for no answer: many questions are out at once, and one reset. Whoever is
 * asked late, or never answers, delays no other. Nothing is allocated here.
 */
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <scsi/scsi_proto.h>

#include "glue.h"

#define VERIFY_AGAIN_MS 1000
#define VERIFY_SOON_MS 100 /* after BUSY, a UNIT ATTENTION; while others manage tasks */
#define VERIFY_RESETS_MAX 3

/* The reset that is out, or about to be. */
struct verify_reset {
	struct glue_disk *disk; /* with a reference; NULL: none */
	u32 question;
	u32 tries;
	struct glue_connection *connection; /* with session->manage; NULL: not sent */
	u64 next_ms;
};

/* Any context that may wake. */
void glue_verify_kick(struct glue_session *session)
{
	if (!test_and_set_bit(0, &session->verify_news))
		wake_up(&session->verify);
}

/* Under luns_lock. */
static void verify_say(struct glue_session *session, struct glue_disk *disk, u8 state)
{
	lockdep_assert_held(&session->luns_lock);
	if (disk->said == state)
		return;
	if (state == LUN_FOREIGN)
		dev_emerg(&session->dev, "LUN %llu IS ANOTHER DISK: nothing is written to it\n",
			  disk->lun);
	else if (state == LUN_ABSENT)
		dev_warn(&session->dev, "LUN %llu is not there yet: its I/O is held\n", disk->lun);
	else
		dev_notice(&session->dev, "LUN %llu is back\n", disk->lun);
	disk->said = state;
}

/* The LUN goes on, unless the nexus in which that was found out is gone. */
static void verify_let_go(struct glue_session *session, struct glue_disk *disk, u32 question)
{
	spin_lock(&session->luns_lock);
	disk->asked = false;
	if (disk->sdev && disk->question == question) {
		verify_say(session, disk, LUN_READY);
		glue_lun_set_state(session, disk, LUN_READY);
	}
	spin_unlock(&session->luns_lock);
	glue_session_kick(session);
}

/* Under luns_lock. True: nothing is in the way of its going on. */
static bool verify_judge(struct glue_session *session, struct glue_disk *disk,
			 enum glue_identity is, u64 now_ms)
{
	u8 state = is == IDENTITY_ABSENT ? LUN_ABSENT : LUN_FOREIGN;

	lockdep_assert_held(&session->luns_lock);
	if (is == IDENTITY_SAME) {
		disk->settles = session->options.lu_reset_after_loss &&
				READ_ONCE(disk->old_writes);
		return !disk->settles;
	}
	disk->asked = false;
	disk->ask_ms = now_ms + VERIFY_SOON_MS;
	if (is == IDENTITY_LATER)
		return false;
	disk->ask_ms = now_ms + VERIFY_AGAIN_MS;
	verify_say(session, disk, state);
	glue_lun_set_state(session, disk, state);
	return false;
}

static void verify_take_answer(struct glue_session *session, struct glue_own *own, u64 now_ms)
{
	struct glue_disk *disk = own->disk;
	struct glue_designators found;
	bool goes = false;
	enum glue_identity is;

	spin_lock(&session->luns_lock);
	if (own->result == -ENODEV || !disk->sdev || disk->question != own->question) {
		disk->asked = false; /* it was said in another nexus */
	} else {
		is = glue_identity_compare(&disk->identity, own, &found);
		disk->found = found;
		goes = verify_judge(session, disk, is, now_ms);
	}
	spin_unlock(&session->luns_lock);
	if (goes)
		verify_let_go(session, disk, own->question);
	else
		glue_session_kick(session); /* what is held there may have to fail */
	own->disk = NULL;
	glue_lun_put(disk);
}

/* A LUN that is to be asked now, with a reference; else *due_ms becomes when there may be one. */
static struct glue_disk *verify_next(struct glue_session *session, u64 now_ms, u64 *due_ms)
{
	struct glue_disk *disk, *found = NULL;

	spin_lock(&session->luns_lock);
	list_for_each_entry(disk, &session->luns, entry) {
		if (disk->state == LUN_READY || disk->asked)
			continue;
		if (disk->ask_ms > now_ms) {
			*due_ms = min(*due_ms, disk->ask_ms);
			continue;
		}
		disk->asked = true;
		kref_get(&disk->kref);
		found = disk;
		break;
	}
	spin_unlock(&session->luns_lock);
	return found;
}

static void verify_ask(struct glue_session *session, struct glue_own *own, struct glue_disk *disk)
{
	own->disk = disk;
	own->question = READ_ONCE(disk->question);
	own->lun = disk->lun;
	memset(own->cdb, 0, sizeof(own->cdb));
	own->cdb[0] = INQUIRY;
	own->cdb[1] = 1; /* EVPD */
	own->cdb[2] = 0x83;
	own->cdb[4] = GLUE_OWN_BYTES;
	own->cdb_length = 6;
	glue_own_start(session, own);
}

/* Takes what was answered, and asks the next. Whether a question is out. */
static bool verify_questions(struct glue_session *session, u64 now_ms, u64 *due_ms)
{
	bool ask = !kthread_should_stop() && smp_load_acquire(&session->released);
	bool out = false;
	u32 i;

	for (i = GLUE_OWN_VERIFY; i < GLUE_OWN_COUNT; i++) {
		struct glue_own *own = &session->own[i];
		struct glue_disk *disk;

		if (own->disk && completion_done(&own->done))
			verify_take_answer(session, own, now_ms);
		disk = ask && !own->disk ? verify_next(session, now_ms, due_ms) : NULL;
		if (disk)
			verify_ask(session, own, disk);
		out |= !!own->disk;
	}
	return out;
}

/* What a target does not know how to do is not asked for twice. */
static void verify_reset_ends(struct glue_session *session, struct verify_reset *reset,
			      const struct hawser_managed *managed)
{
	u64 lun = reset->disk->lun;

	if (managed->error && ++reset->tries < VERIFY_RESETS_MAX) {
		reset->next_ms = glue_now_ms() + VERIFY_SOON_MS;
		return;
	}
	if (managed->error) {
		dev_warn(&session->dev,
			 "LUN %llu: no answer to LOGICAL UNIT RESET: going on without\n", lun);
	} else {
		if (managed->response)
			dev_warn_once(&session->dev, "LUN %llu: LOGICAL UNIT RESET refused (%u)\n",
				      lun, managed->response);
		glue_luns_note_reset(session, &lun);
	}
	verify_let_go(session, reset->disk, reset->question);
	glue_lun_put(reset->disk);
	reset->disk = NULL;
}

static void verify_reset_starts(struct glue_session *session, struct verify_reset *reset)
{
	struct hawser_task_management request = {
		.function = HAWSER_FUNCTION_LOGICAL_UNIT_RESET,
	};
	struct glue_connection *connection = glue_eh_connection(session);

	reset->next_ms = glue_now_ms() + VERIFY_SOON_MS;
	if (!connection || !mutex_trylock(&session->manage))
		return;
	int_to_scsilun(reset->disk->lun, (struct scsi_lun *)request.lun);
	reset->connection = connection;
	glue_eh_manage(connection, &request);
}

static void verify_reset_choose(struct glue_session *session, struct verify_reset *reset)
{
	struct glue_disk *disk;

	spin_lock(&session->luns_lock);
	list_for_each_entry(disk, &session->luns, entry) {
		if (!disk->settles)
			continue;
		disk->settles = false;
		kref_get(&disk->kref);
		*reset = (struct verify_reset){ .disk = disk, .question = disk->question };
		break;
	}
	spin_unlock(&session->luns_lock);
}

/* Whether the nexus of this reset, or its LUN, is gone. */
static bool verify_reset_is_void(struct glue_session *session, const struct verify_reset *reset)
{
	bool gone;

	spin_lock(&session->luns_lock);
	gone = !reset->disk->sdev || reset->disk->question != reset->question;
	spin_unlock(&session->luns_lock);
	return gone || kthread_should_stop();
}

/* Goes on with the LOGICAL UNIT RESETs, one at a time. Whether one is out. */
static bool verify_resets(struct glue_session *session, struct verify_reset *reset, u64 *due_ms)
{
	struct hawser_managed managed;

	if (reset->connection) {
		if (!completion_done(&reset->connection->manage_done))
			return true;
		managed = reset->connection->managed;
		reset->connection = NULL;
		mutex_unlock(&session->manage);
		verify_reset_ends(session, reset, &managed);
	}
	if (reset->disk && verify_reset_is_void(session, reset)) {
		verify_let_go(session, reset->disk, reset->question - 1); /* to be asked anew */
		glue_lun_put(reset->disk);
		reset->disk = NULL;
	}
	if (!reset->disk && !kthread_should_stop())
		verify_reset_choose(session, reset);
	if (!reset->disk)
		return false;
	if (reset->next_ms <= glue_now_ms())
		verify_reset_starts(session, reset);
	if (!reset->connection)
		*due_ms = min(*due_ms, reset->next_ms);
	return true;
}

int glue_verify_thread(void *data)
{
	struct glue_session *session = data;
	unsigned int noio = memalloc_noio_save();
	struct verify_reset reset = {};
	bool out;

	do {
		u64 due_ms = HAWSER_NEVER;

		clear_bit(0, &session->verify_news);
		smp_mb__after_atomic(); /* what was done before the kick is seen below */
		out = verify_questions(session, glue_now_ms(), &due_ms);
		out |= verify_resets(session, &reset, &due_ms);
		if (kthread_should_stop() && out) /* its end is near: the session was given up */
			due_ms = glue_now_ms() + VERIFY_SOON_MS;
		wait_event_idle_timeout(session->verify,
					test_bit(0, &session->verify_news) ||
					(kthread_should_stop() && !out),
					glue_timeout(glue_now_ms(), due_ms));
	} while (!kthread_should_stop() || out);
	memalloc_noio_restore(noio);
	return 0;
}
