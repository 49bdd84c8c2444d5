// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The list of a session's logical units, and how long each lives.
 */
#include <linux/slab.h>
#include <scsi/scsi_device.h>

#include "glue.h"

const char *glue_lun_state_name(u8 state)
{
	static const char *const names[] = {
		[LUN_READY] = "ready",
		[LUN_VERIFYING] = "verifying",
		[LUN_ABSENT] = "absent",
		[LUN_FOREIGN] = "foreign",
	};

	return names[state];
}

int glue_lun_create(struct glue_session *session, struct scsi_device *sdev)
{
	struct glue_disk *disk = kzalloc(sizeof(*disk), GFP_KERNEL);

	if (!disk)
		return -ENOMEM;
	kref_init(&disk->kref);
	disk->sdev = sdev;
	disk->lun = sdev->lun;
	sdev->hostdata = disk;
	spin_lock(&session->luns_lock);
	list_add_tail(&disk->entry, &session->luns);
	spin_unlock(&session->luns_lock);
	return 0;
}

/*
 * From now on it is known what it is. A peripheral qualifier says that no unit is there (1, 3): so
 * there is no disk that could be lost or mistaken.
 */
void glue_lun_configure(struct scsi_device *sdev)
{
	struct glue_disk *disk = sdev->hostdata;

	WRITE_ONCE(disk->watched, !sdev->inq_periph_qual &&
				  (sdev->type == TYPE_DISK || sdev->type == TYPE_ZBC ||
				   sdev->type == TYPE_RBC || sdev->type == TYPE_ROM));
}

static void lun_release(struct kref *kref)
{
	kfree(container_of(kref, struct glue_disk, kref));
}

void glue_lun_put(struct glue_disk *disk)
{
	kref_put(&disk->kref, lun_release);
}

/* The mid-layer has waited for its commands. Called also where glue_lun_create has failed. */
void glue_lun_destroy(struct scsi_device *sdev)
{
	struct glue_session *session = glue_session_of_host(sdev->host);
	struct glue_disk *disk = sdev->hostdata;

	if (!disk)
		return;
	spin_lock(&session->luns_lock);
	glue_lun_set_state(session, disk, LUN_READY);
	list_del_init(&disk->entry);
	disk->sdev = NULL;
	sdev->hostdata = NULL;
	spin_unlock(&session->luns_lock);
	glue_lun_put(disk);
}

/* Of a scsi_device that no command of the caller's keeps. NULL: it is gone. */
struct glue_disk *glue_lun_get(struct scsi_device *sdev)
{
	struct glue_session *session = glue_session_of_host(sdev->host);
	struct glue_disk *disk;

	spin_lock(&session->luns_lock);
	disk = sdev->hostdata;
	if (disk)
		kref_get(&disk->kref);
	spin_unlock(&session->luns_lock);
	return disk;
}

/*
 * Each LUN in turn, with a reference; takes that of disk, from which it goes on (NULL: from the
 * first). One that was removed meanwhile ends the walk early.
 */
struct glue_disk *glue_lun_after(struct glue_session *session, struct glue_disk *disk)
{
	struct glue_disk *next = NULL;

	spin_lock(&session->luns_lock);
	if (!disk)
		next = list_first_entry_or_null(&session->luns, struct glue_disk, entry);
	else if (disk->sdev && !list_is_last(&disk->entry, &session->luns))
		next = list_next_entry(disk, entry);
	if (next)
		kref_get(&next->kref);
	spin_unlock(&session->luns_lock);
	if (disk)
		glue_lun_put(disk);
	return next;
}

/*
 * Who each disk is, from what the mid-layer has asked at its scan: once. After each scan, so that a
 * LUN which comes later is remembered too.
 */
void glue_luns_remember(struct glue_session *session)
{
	const struct scsi_vpd *vpd;
	struct glue_disk *disk;

	spin_lock(&session->luns_lock);
	rcu_read_lock();
	list_for_each_entry(disk, &session->luns, entry) {
		vpd = rcu_dereference(disk->sdev->vpd_pg83);
		if (vpd && disk->watched && !disk->identity.length)
			/* no more of it than our own question brings */
			glue_identity_gather(vpd->data, min_t(u32, vpd->len, GLUE_OWN_BYTES),
					     &disk->identity);
	}
	rcu_read_unlock();
	spin_unlock(&session->luns_lock);
}

/* Writes were completed into a write cache, and no SYNCHRONIZE CACHE has covered them. */
bool glue_lun_is_dirty(const struct glue_disk *disk)
{
	return atomic64_read(&disk->writes) != atomic64_read(&disk->synced);
}
