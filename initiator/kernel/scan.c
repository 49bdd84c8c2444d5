// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Finding the LUNs, once, after the first login. On a work item of our own: probing a disk waits
 * for I/O, which the control thread must be free to serve.
 *
 * scsi_scan_target is called directly, and user space's scans go the same way (glue_scan_luns), so
 * that the class never marks the target as scanned: then a netlink message cannot remove a root
 * disk.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <scsi/scsi_proto.h>
#include <scsi/scsi_transport.h>
#include <scsi/scsi_transport_iscsi.h>

#include "glue.h"

#define SCAN_FLAT 0x4000
#define SCAN_REPORT_BYTES 16376
#define SCAN_RETRIES 3

/*
 * Which one it is of the numbers that were asked for. By peripheral device addressing or by flat
 * space addressing (SAM-5 4.7.7.2, 4.7.7.3): a target tells one, and means by it what it tells.
 */
static bool scan_is_number(u64 lun, u32 number)
{
	return lun == number || lun == (number | SCAN_FLAT);
}

bool glue_scan_wants(const struct glue_session *session, u64 lun)
{
	u32 i;

	for (i = 0; i < session->options.lun_count; i++) {
		if (scan_is_number(lun, session->options.luns[i]))
			return true;
	}
	return !session->options.lun_count;
}

/* Whether the target tells this number by flat space addressing, and not by peripheral. */
static bool scan_is_told_flat(struct scsi_device *sdev, u32 number)
{
	u8 command[16] = { REPORT_LUNS };
	bool flat = false, peripheral = false;
	u32 length, at;
	u8 *answer;

	answer = kzalloc(SCAN_REPORT_BYTES, GFP_KERNEL);
	if (!answer)
		return false;
	put_unaligned_be32(SCAN_REPORT_BYTES, command + 6);
	if (!compat_execute_read(sdev, command, answer, SCAN_REPORT_BYTES, SCAN_RETRIES)) {
		length = min_t(u32, get_unaligned_be32(answer), SCAN_REPORT_BYTES - 8);
		for (at = 8; at + 8 <= length + 8; at += 8) {
			u64 lun = scsilun_to_int((struct scsi_lun *)(answer + at));

			flat |= lun == (number | SCAN_FLAT);
			peripheral |= lun == number;
		}
	}
	kfree(answer);
	return flat && !peripheral;
}

/* Whether the number is there by peripheral device addressing, and told so. */
static bool scan_is_peripheral(struct glue_session *session, u32 number)
{
	struct Scsi_Host *host = session->scsi_host;
	struct scsi_device *sdev = scsi_device_lookup(host, 0, 0, number | SCAN_FLAT);
	bool flat = sdev;

	if (!sdev) {
		scsi_scan_target(&session->class_session->dev, 0, 0, number, SCSI_SCAN_MANUAL);
		sdev = scsi_device_lookup(host, 0, 0, number);
		if (!sdev)
			return false;
		flat = scan_is_told_flat(sdev, number);
		if (flat)
			scsi_remove_device(sdev);
	}
	scsi_device_put(sdev);
	return !flat;
}

/* Goes on the wire as the target tells it. Both are asked: not every target tells. */
static void scan_number(struct glue_session *session, u32 number)
{
	if (!scan_is_peripheral(session, number))
		scsi_scan_target(&session->class_session->dev, 0, 0, number | SCAN_FLAT,
				 SCSI_SCAN_MANUAL);
}

/* Under session->scanning. */
static void scan_all(struct glue_session *session)
{
	u32 i;

	if (!session->options.lun_count)
		scsi_scan_target(&session->class_session->dev, 0, 0, SCAN_WILD_CARD,
				 SCSI_SCAN_MANUAL);
	for (i = 0; i < session->options.lun_count; i++)
		scan_number(session, session->options.luns[i]);
}

/* lun: as the mid-layer writes it, or SCAN_WILD_CARD: all that are wanted. */
int glue_scan_luns(struct glue_session *session, u64 lun)
{
	int err = 0;

	mutex_lock(&session->scanning);
	if (session->going || !session->class_session)
		err = -ENODEV;
	else if (lun == SCAN_WILD_CARD)
		scan_all(session);
	else
		scsi_scan_target(&session->class_session->dev, 0, 0, lun, SCSI_SCAN_MANUAL);
	if (!err)
		glue_luns_remember(session);
	mutex_unlock(&session->scanning);
	return err;
}

/* Before disks are removed. Waits for a scan under way, which the session's end, too, ends. */
void glue_scan_stop(struct glue_session *session)
{
	mutex_lock(&session->scanning);
	WRITE_ONCE(session->going, true);
	mutex_unlock(&session->scanning);
	cancel_work_sync(&session->scan);
	cancel_work_sync(&session->look);
}

void glue_scan(struct work_struct *work)
{
	struct glue_session *session = container_of(work, struct glue_session, scan);
	struct scsi_device *sdev;
	u32 disks = 0;

	if (READ_ONCE(session->going))
		return;
	iscsi_unblock_session(session->class_session);
	glue_scan_luns(session, SCAN_WILD_CARD);
	shost_for_each_device(sdev, session->scsi_host) {
		if (sdev->type != TYPE_DISK && sdev->type != TYPE_ZBC && sdev->type != TYPE_RBC &&
		    sdev->type != TYPE_ROM)
			continue;
		/* sd probes asynchronously; this waits for that, or does it. */
		if (device_attach(&sdev->sdev_gendev) < 0)
			sdev_printk(KERN_WARNING, sdev, "no driver took it\n");
		disks++;
	}
	session->disks = disks;
	smp_store_release(&session->scanned, true);
	wake_up_all(&session->changed);
}
