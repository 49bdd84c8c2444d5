// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Finding the LUNs, once, after the first login. On a work item of our own: probing a disk waits
 * for I/O, which the control thread must be free to serve.
 *
 * scsi_scan_target is called directly, and user space's scans go the same way (glue_scan_all), so
 * that the class never marks the target as scanned: then a netlink message cannot remove a root
 * disk.
 */
#include <linux/module.h>
#include <scsi/scsi_proto.h>
#include <scsi/scsi_transport.h>
#include <scsi/scsi_transport_iscsi.h>

#include "glue.h"

bool glue_scan_wants(const struct glue_session *session, u64 lun)
{
	u32 i;

	for (i = 0; i < session->options.lun_count; i++) {
		if (session->options.luns[i] == lun)
			return true;
	}
	return !session->options.lun_count;
}

void glue_scan_all(struct glue_session *session)
{
	struct device *parent = &session->class_session->dev;
	u32 i;

	if (!session->options.lun_count)
		scsi_scan_target(parent, 0, 0, SCAN_WILD_CARD, SCSI_SCAN_MANUAL);
	for (i = 0; i < session->options.lun_count; i++)
		scsi_scan_target(parent, 0, 0, session->options.luns[i], SCSI_SCAN_MANUAL);
	glue_luns_remember(session);
}

void glue_scan(struct work_struct *work)
{
	struct glue_session *session = container_of(work, struct glue_session, scan);
	struct scsi_device *sdev;
	u32 disks = 0;

	iscsi_unblock_session(session->class_session);
	glue_scan_all(session);
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
