// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The target said, by a UNIT ATTENTION, that something has changed: a disk's capacity (2A/09) or
 * the list of LUNs (3F/0E). Then it is looked at again, without anybody's asking.
 *
 * What has grown is taken as it is. A disk that has shrunk keeps its size here: blocks that a file
 * system counts on are not taken from under it, and their I/O fails only at the target.
 */
#include <linux/blkdev.h>
#include <linux/slab.h>
#include <scsi/scsi_proto.h>
#include <scsi/scsi_transport_iscsi.h>

#include "glue.h"

#define LOOK_BYTES 32
#define LOOK_RETRIES 5

/* From a connection's thread. */
void glue_look_note(struct glue_session *session, struct scsi_device *sdev, u8 asc, u8 ascq)
{
	struct glue_disk *disk = sdev->hostdata;

	if (asc == 0x2a && ascq == 0x09)
		WRITE_ONCE(disk->capacity_changed, true);
	else if (asc == 0x3f && ascq == 0x0e)
		WRITE_ONCE(session->luns_changed, true);
	else
		return;
	if (READ_ONCE(session->scanned) && !READ_ONCE(session->grace_ends_ms))
		queue_work(glue_workqueue, &session->look);
}

/* READ CAPACITY (16): blocks and their length; false: it was not answered. */
static bool look_capacity(struct scsi_device *sdev, u64 *blocks, u32 *block_bytes)
{
	u8 command[16] = { SERVICE_ACTION_IN_16, SAI_READ_CAPACITY_16 };
	u8 *answer = kzalloc(LOOK_BYTES, GFP_KERNEL);
	bool done = false;

	if (!answer)
		return false;
	command[13] = LOOK_BYTES;
	if (!compat_execute_read(sdev, command, answer, LOOK_BYTES, LOOK_RETRIES)) {
		*blocks = get_unaligned_be64(answer) + 1;
		*block_bytes = get_unaligned_be32(answer + 8);
		done = *block_bytes;
	}
	kfree(answer);
	return done;
}

static void look_at_disk(struct scsi_device *sdev)
{
	struct gendisk *disk = READ_ONCE(sdev->request_queue->disk);
	u64 blocks, is, was;
	u32 block_bytes;

	if (!disk || !look_capacity(sdev, &blocks, &block_bytes))
		return;
	was = get_capacity(disk);
	is = blocks * (block_bytes >> SECTOR_SHIFT);
	if (block_bytes != sdev->sector_size || is < was) {
		sdev_printk(KERN_EMERG, sdev,
			    "THE DISK HAS SHRUNK from %llu to %llu sectors: not applied here\n",
			    was, is);
		return;
	}
	if (is == was)
		return;
	sdev_printk(KERN_NOTICE, sdev, "has grown from %llu to %llu sectors\n", was, is);
	compat_rescan(sdev);
}

void glue_look(struct work_struct *work)
{
	struct glue_session *session = container_of(work, struct glue_session, look);
	struct scsi_device *sdev;

	if (READ_ONCE(session->going)) /* there may be no host any more */
		return;
	shost_for_each_device(sdev, session->scsi_host) {
		struct glue_disk *disk = glue_lun_get(sdev);

		if (!disk)
			continue;
		if (xchg(&disk->capacity_changed, false))
			look_at_disk(sdev);
		glue_lun_put(disk);
	}
	if (!xchg(&session->luns_changed, false))
		return;
	dev_notice(&session->dev, "the target's LUNs have changed: looking for new ones\n");
	glue_scan_luns(session, SCAN_WILD_CARD);
}
