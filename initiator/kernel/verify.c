// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * After a reinstatement, before any command goes on: is each disk the one that it was, and has the
 * target done with what the old nexus left behind?
 *
 * Identity. Targets come back before their LUNs are mapped, or with another disk under the number.
 * A LUN that is absent is waited for; one that is another is never written to: the gate stays
 * closed, and the console says why, until the right one is back (or the machine goes down).
 *
 * Old writes. A nexus that is lost aborts its tasks (SAM-5 6.3.3), and LIO sees to that before it
 * takes the new login. tgt (1.0.85) does not: a write that a thread of its backend holds lands when
 * it lands, after newer ones if need be. Its LOGICAL UNIT RESET waits for such threads. So where
 * writes have come back that may be at the target still, they are sent again only behind one.
 *
 * All of it runs on a thread of its own, because it waits for answers, and allocates nothing.
 */
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <scsi/scsi_proto.h>

#include "glue.h"

#define VERIFY_AGAIN_MS 1000
#define VERIFY_RESETS_MAX 3

/* Control thread: RELEASE has come. At the first one there is nothing to compare with. */
void glue_verify_begin(struct glue_session *session, u32 epoch, bool first)
{
	if (first)
		WRITE_ONCE(session->verified_epoch, epoch);
	WRITE_ONCE(session->verify_epoch, epoch);
	wake_up(&session->verify);
}

bool glue_verify_done(const struct glue_session *session)
{
	return smp_load_acquire(&session->verified_epoch) == READ_ONCE(session->verify_epoch);
}

static bool verify_is_over(const struct glue_session *session, u32 epoch)
{
	return kthread_should_stop() || READ_ONCE(session->failing) ||
	       READ_ONCE(session->verify_epoch) != epoch;
}

static enum glue_identity verify_ask(struct glue_session *session, struct scsi_device *sdev)
{
	struct glue_own *own = &session->own[GLUE_OWN_VERIFY];

	own->lun = sdev->lun;
	memset(own->cdb, 0, sizeof(own->cdb));
	own->cdb[0] = INQUIRY;
	own->cdb[1] = 1; /* EVPD */
	own->cdb[2] = 0x83;
	own->cdb[4] = GLUE_OWN_BYTES;
	own->cdb_length = 6;
	if (glue_own_run(session, own) == -ENODEV)
		return IDENTITY_ABSENT;
	glue_identity_remember(sdev);
	return glue_identity_compare(sdev->hostdata, own);
}

/* Until the LUN is the one that it was. False: the session is another one by now, or over. */
static bool verify_identity(struct glue_session *session, struct scsi_device *sdev, u32 epoch)
{
	enum glue_identity said = IDENTITY_SAME;

	for (;;) {
		enum glue_identity is = verify_ask(session, sdev);

		if (verify_is_over(session, epoch))
			return false;
		if (is == IDENTITY_DIFFERENT && said != is)
			dev_emerg(&session->dev,
				  "LUN %llu IS ANOTHER DISK: nothing is written to it\n",
				  sdev->lun);
		if (is == IDENTITY_ABSENT && said != is)
			dev_warn(&session->dev, "LUN %llu is not there yet: its I/O is held\n",
				 sdev->lun);
		WRITE_ONCE(session->foreign, is == IDENTITY_DIFFERENT);
		if (is == IDENTITY_SAME) {
			if (said != is)
				dev_notice(&session->dev, "LUN %llu is back\n", sdev->lun);
			return true;
		}
		said = is;
		wait_event_idle_timeout(session->verify, verify_is_over(session, epoch),
					msecs_to_jiffies(VERIFY_AGAIN_MS));
		if (verify_is_over(session, epoch))
			return false;
	}
}

/* What a target does not know how to do is not asked for twice. */
static void verify_settle(struct glue_session *session, struct scsi_device *sdev, u32 epoch)
{
	u8 response;
	u32 i;

	if (!session->options.lu_reset_after_loss || !glue_park_has_writes(session, sdev->lun))
		return;
	for (i = 0; i < VERIFY_RESETS_MAX && !verify_is_over(session, epoch); i++) {
		if (!glue_eh_reset_lun(session, sdev->lun, &response))
			continue;
		if (response)
			dev_warn_once(&session->dev,
				      "LUN %llu: LOGICAL UNIT RESET refused (%u)\n",
				      sdev->lun, response);
		return;
	}
	if (i == VERIFY_RESETS_MAX)
		dev_warn(&session->dev,
			 "LUN %llu: no answer to LOGICAL UNIT RESET: going on without\n",
			 sdev->lun);
}

static bool verify_all(struct glue_session *session, u32 epoch)
{
	struct scsi_device *sdev;

	shost_for_each_device(sdev, session->scsi_host) {
		if (sdev->type != TYPE_DISK && sdev->type != TYPE_ZBC && sdev->type != TYPE_RBC)
			continue;
		if (!verify_identity(session, sdev, epoch)) {
			scsi_device_put(sdev);
			return false;
		}
		verify_settle(session, sdev, epoch);
	}
	return !verify_is_over(session, epoch);
}

int glue_verify_thread(void *data)
{
	struct glue_session *session = data;
	unsigned int noio = memalloc_noio_save();

	while (!kthread_should_stop()) {
		u32 epoch = READ_ONCE(session->verify_epoch);

		if (!glue_verify_done(session) && !READ_ONCE(session->failing) &&
		    verify_all(session, epoch)) {
			smp_store_release(&session->verified_epoch, epoch);
			glue_session_kick(session);
		}
		wait_event_idle(session->verify,
				kthread_should_stop() ||
				(!glue_verify_done(session) && !READ_ONCE(session->failing)));
	}
	memalloc_noio_restore(noio);
	return 0;
}
