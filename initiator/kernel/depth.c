// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TASK SET FULL: the target says that fewer commands at a time are enough. The depth of the LUN
 * goes down by a quarter, at most ten times a second, and up again by one a second: that is the
 * mid-layer's ramp (track_queue_depth), at a period that a day does not pass by.
 *
 * The mid-layer's own way down waits for ten refusals at the same depth for one step.
 */
#include "glue.h"

#define DEPTH_PAUSE (HZ / 10)

void glue_depth_configure(struct scsi_device *sdev)
{
	sdev->queue_ramp_up_period = HZ;
}

/* From a connection's thread. */
void glue_depth_lower(struct scsi_device *sdev)
{
	int depth = READ_ONCE(sdev->queue_depth);

	if (time_before(jiffies, READ_ONCE(sdev->last_queue_full_time) + DEPTH_PAUSE))
		return;
	WRITE_ONCE(sdev->last_queue_full_time, jiffies);
	if (depth > 1)
		scsi_change_queue_depth(sdev, max(1, depth - DIV_ROUND_UP(depth, 4)));
}
