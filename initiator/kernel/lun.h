/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A logical unit stands for itself (docs/decisions/0013): its commands are held while it is absent,
 * another disk, or not yet known to be the one that it was; those of the others go on.
 *
 * A glue_disk is hostdata of its scsi_device, and in the session's list, from slave_alloc to
 * slave_destroy. A command keeps it as it keeps its scsi_device. Whoever has none takes a reference
 * under luns_lock; the scsi_device, and what hangs on it, may be touched under that lock alone.
 */
#ifndef HAWSER_KERNEL_LUN_H
#define HAWSER_KERNEL_LUN_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/types.h>

struct attribute_group;
struct glue_own;
struct glue_session;
struct glue_slot;
struct scsi_cmnd;
struct scsi_device;

#define GLUE_OWN_BYTES 252

/* Designators of VPD page 0x83 that name the logical unit, as they came; length 0: not known. */
struct glue_designators {
	u8 length;
	u8 bytes[GLUE_OWN_BYTES];
};

enum glue_lun_state {
	LUN_READY,
	LUN_VERIFYING, /* a new nexus: not asked yet, not answered yet, or not settled */
	LUN_ABSENT,
	LUN_FOREIGN, /* another disk than it was */
};

/* What becomes of a parked command, as far as its logical unit is concerned. */
enum glue_lun_fate {
	FATE_GO,
	FATE_HOLD,
	FATE_NO_PATH, /* fails: fail_after= is over */
	FATE_GONE, /* fails: the disk is being removed */
};

struct glue_disk {
	struct kref kref;
	struct list_head entry; /* glue_session.luns */
	struct scsi_device *sdev; /* under luns_lock; NULL: destroyed */
	u64 lun;
	bool watched; /* who it is is looked after */
	u8 state; /* enum glue_lun_state; written under luns_lock */
	u8 fails; /* enum glue_lun_fate, control thread: of what is held */
	bool fails_clean; /* control thread: but for writes, since nothing else would be lost */
	bool fails_flush; /* control thread: SYNCHRONIZE CACHE, by the end of a grace */
	bool old_writes; /* one that was lost may still be at the target (decision 0008) */

	/* Under luns_lock. */
	bool asked; /* the verifier is about it */
	bool settles; /* it is the one that it was, and is to be reset before it goes on */
	bool unflushed; /* was said */
	u8 said; /* state that the log knows */
	u32 question; /* an answer to an earlier one does not count */
	u64 ask_ms; /* not before */
	u64 held_ms; /* since when it is not ready; 0: it is */
	u64 leaving_ms; /* since when it is seen to be removed; 0: it is not */
	struct glue_designators identity;
	struct glue_designators found; /* of the disk that is there instead */

	/* What is not yet known to be on stable storage. */
	atomic64_t writes; /* completed into a write cache */
	atomic64_t synced; /* of those, covered by a SYNCHRONIZE CACHE */
	bool capacity_changed; /* the target said so */
};

/* lun.c */
int glue_lun_create(struct glue_session *session, struct scsi_device *sdev);
void glue_lun_configure(struct scsi_device *sdev);
void glue_lun_destroy(struct scsi_device *sdev);
struct glue_disk *glue_lun_get(struct scsi_device *sdev);
struct glue_disk *glue_lun_after(struct glue_session *session, struct glue_disk *disk);
void glue_lun_put(struct glue_disk *disk);
void glue_luns_remember(struct glue_session *session);
bool glue_lun_is_dirty(const struct glue_disk *disk);
const char *glue_lun_state_name(u8 state);

/* lun_hold.c */
void glue_luns_hold(struct glue_session *session);
void glue_lun_doubt(struct glue_session *session, struct glue_disk *disk);
void glue_lun_set_state(struct glue_session *session, struct glue_disk *disk, u8 state);
void glue_lun_note_lost(const struct glue_slot *slot);
void glue_luns_note_reset(struct glue_session *session, const u64 *lun);
bool glue_lun_holds(const struct scsi_cmnd *command);
bool glue_lun_is_leaving(const struct scsi_device *sdev);
u64 glue_luns_mind(struct glue_session *session, u64 now_ms);
enum glue_lun_fate glue_lun_fate(const struct glue_slot *slot);
void glue_lun_note_failed(struct glue_session *session, struct glue_slot *slot);

/* lun_request.c */
extern const struct attribute_group *glue_lun_groups[];
int glue_lun_accept(const char *words, char *reason);

/* verify.c, identity.c */
enum glue_identity { IDENTITY_SAME, IDENTITY_ABSENT, IDENTITY_DIFFERENT, IDENTITY_LATER };
int glue_verify_thread(void *data);
void glue_verify_kick(struct glue_session *session);
void glue_identity_gather(const u8 *page, u32 length, struct glue_designators *out);
enum glue_identity glue_identity_compare(const struct glue_designators *known,
					 const struct glue_own *own,
					 struct glue_designators *found);

#endif
