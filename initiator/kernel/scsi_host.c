// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Scsi_Host of a session: commands of the mid-layer go to the inboxes of the connections, one
 * hardware queue per connection, tags shared by all.
 *
 * queuecommand takes every command and never says BUSY (that would make the block layer poll): what
 * cannot go now is parked, and the tags give the back-pressure. The timers of a root session are
 * only ever set again: the engine has its own ladder (NOP, drop the connection, reinstate). Those
 * of another session end in task management (eh.c).
 */
#include <linux/blk-mq.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <scsi/scsi_eh.h>
#include <scsi/scsi_proto.h>
#include <scsi/scsi_transport.h>
#include <scsi/scsi_transport_iscsi.h>

#include "glue.h"

#define HOST_SECTORS_MAX 2048 /* 1 MiB: one MaxBurstLength of the default offer */
#define HOST_SEGMENTS_MAX 256

/* Wakes every connection that has commands waiting. Any context. */
void glue_host_kick(struct glue_session *session)
{
	u32 i;

	for (i = 0; i < session->options.connection_count; i++) {
		if (!llist_empty(&session->connections[i].inbox))
			glue_connection_kick(&session->connections[i]);
	}
}

static void host_commit(struct Scsi_Host *host, u16 queue)
{
	struct glue_session *session = glue_session_of_host(host);

	if (session->take_turns)
		WRITE_ONCE(session->turn[queue], READ_ONCE(session->turn[queue]) + 1);
	glue_host_kick(session);
}

static COMPAT_QC_STATUS host_queue_command(struct Scsi_Host *host, struct scsi_cmnd *command)
{
	struct glue_session *session = glue_session_of_host(host);
	struct request *request = scsi_cmd_to_rq(command);
	u16 queue = blk_mq_unique_tag_to_hwq(blk_mq_unique_tag(request));
	struct glue_disk *disk = command->device->hostdata;
	struct glue_slot *slot;
	u32 index;

	if (WARN_ON_ONCE(request->tag < 0 || request->tag >= session->depth))
		return SCSI_MLQUEUE_HOST_BUSY;
	slot = &session->slots[request->tag];
	slot->command = command;
	slot->attempts = 0;
	slot->came_back = false;
	glue_passthrough_begin(slot);
	if (command->cmnd[0] == SYNCHRONIZE_CACHE || command->cmnd[0] == SYNCHRONIZE_CACHE_16)
		slot->writes_seen = atomic64_read(&disk->writes);
	index = (queue + READ_ONCE(session->turn[queue])) % session->options.connection_count;
	index = READ_ONCE(session->route[index]);
	slot->lun = command->device->lun;
	WRITE_ONCE(slot->owner, index + 1);
	llist_add(&slot->inbox, &session->connections[index].inbox);
	if (command->flags & SCMD_LAST)
		host_commit(host, queue);
	return 0;
}

/* What the engine needs to know of a slot's command. */
void glue_host_describe(struct glue_session *session, u32 tag, struct hawser_command *out)
{
	struct scsi_cmnd *command = session->slots[tag].command;

	*out = (struct hawser_command){
		.tag = tag,
		.task_attribute = 1, /* simple */
		.timeout_ms = glue_passthrough_patience(session, &session->slots[tag]),
	};
	if (!command)
		return glue_own_describe(session->slots[tag].own, out);
	out->length = scsi_bufflen(command);
	int_to_scsilun(command->device->lun, (struct scsi_lun *)out->lun);
	out->cdb_length = min_t(u32, command->cmd_len, HAWSER_CDB_MAX);
	memcpy(out->cdb, command->cmnd, out->cdb_length);
	if (out->length)
		out->direction = command->sc_data_direction == DMA_TO_DEVICE ? HAWSER_DATA_WRITE :
									       HAWSER_DATA_READ;
}

/*
 * On a slow path a command may be out for longer than its time and nothing be wrong: it waits in
 * the engine, or the target serves those before it. Who passes one through sets his own bound.
 */
static bool host_waits_its_turn(struct glue_session *session, struct scsi_cmnd *command)
{
	struct request *request = scsi_cmd_to_rq(command);
	u64 now_ms = glue_now_ms(), timeout_ms = jiffies_to_msecs(request->timeout);
	u8 owner = smp_load_acquire(&session->slots[request->tag].owner);

	if (!owner || owner == GLUE_OWNER_MOVING || timeout_ms > now_ms ||
	    blk_rq_is_passthrough(request))
		return false;
	return hawser_connection_serves(session->connections[owner - 1].engine, request->tag,
					now_ms - timeout_ms);
}

/*
 * A root disk waits for ever. Another one's command is aborted once its time is over, unless the
 * session has no target to talk to just now, or its LUN is held, or the target has others to see
 * to: then it waits for that. Whoever sent a command through all that (passthrough.c) has its own
 * time kept everywhere.
 */
static COMPAT_TIMEOUT_ACTION host_timed_out(struct scsi_cmnd *command)
{
	struct glue_session *session = glue_session_of_host(command->device->host);

	if (session->slots[scsi_cmd_to_rq(command)->tag].once)
		return COMPAT_TIMER_DONE;
	if (session->options.root || READ_ONCE(session->gate) != GATE_OPEN ||
	    glue_lun_holds(command))
		return COMPAT_TIMER_RESET;
	return host_waits_its_turn(session, command) ? COMPAT_TIMER_RESET : COMPAT_TIMER_DONE;
}

/*
 * The second line: a result that our table let through and the mid-layer did not know, or a command
 * that could not be aborted. See to it that it is nobody's, and send it again, after a while; never
 * offline a disk.
 */
static void host_recover(struct Scsi_Host *host)
{
	struct scsi_cmnd *command, *following;
	LIST_HEAD(failed);
	LIST_HEAD(done);

	spin_lock_irq(host->host_lock);
	list_splice_init(&host->eh_cmd_q, &failed);
	spin_unlock_irq(host->host_lock);
	if (!list_empty(&failed))
		ssleep(1);
	glue_eh_settle(glue_session_of_host(host), &failed);
	list_for_each_entry_safe(command, following, &failed, eh_entry) {
		scmd_printk(KERN_WARNING, command, "result %#x: sent again\n", command->result);
		command->result = DID_REQUEUE << 16;
		command->retries = 0;
		scsi_eh_finish_cmd(command, &done);
	}
	scsi_eh_flush_done_q(&done);
}

static int host_alloc_disk(struct scsi_device *sdev)
{
	struct glue_session *session = glue_session_of_host(sdev->host);

	if (!glue_scan_wants(session, sdev->lun))
		return -ENXIO;
	return glue_lun_create(session, sdev);
}

static int host_configure_disk(struct scsi_device *sdev, struct queue_limits *limits)
{
	compat_limit_queue(sdev, limits);
	glue_lun_configure(sdev);
	glue_depth_configure(sdev);
	return 0;
}

#ifdef COMPAT_CONFIGURE_WITHOUT_LIMITS
static int compat_host_configure_disk(struct scsi_device *sdev)
{
	return host_configure_disk(sdev, NULL);
}
#endif

struct scsi_host_template glue_host_template = {
	.module = THIS_MODULE,
	.name = "Hawser iSCSI initiator",
	.proc_name = HAWSER_TRANSPORT_NAME,
	.queuecommand = host_queue_command,
	.commit_rqs = host_commit,
	.eh_timed_out = host_timed_out,
	.eh_abort_handler = glue_eh_abort,
	.eh_device_reset_handler = glue_eh_device_reset,
	.eh_target_reset_handler = glue_eh_target_reset,
	.eh_host_reset_handler = glue_eh_host_reset,
	COMPAT_DISK_CALLS(host_alloc_disk, host_configure_disk, glue_lun_destroy),
	.sdev_groups = glue_lun_groups,
	.change_queue_depth = scsi_change_queue_depth,
	.track_queue_depth = 1,
	.this_id = -1,
	.sg_tablesize = HOST_SEGMENTS_MAX,
	.max_sectors = HOST_SECTORS_MAX,
	.host_tagset = 1,
};

int glue_host_add(struct glue_session *session)
{
	struct Scsi_Host *host;
	int err;

	glue_transport_template->eh_strategy_handler = host_recover;
	host = scsi_host_alloc(&glue_host_template, sizeof(struct glue_session *));
	if (!host)
		return -ENOMEM;
	*(struct glue_session **)shost_priv(host) = session;
	host->transportt = glue_transport_template;
	host->can_queue = session->depth;
	host->cmd_per_lun = session->depth;
	host->nr_hw_queues = session->options.connection_count;
	host->max_cmd_len = HAWSER_CDB_MAX;
	host->max_id = 1;
	host->max_channel = 0;
	host->max_lun = U64_MAX; /* a flat LUN 256 is 16640 here */
	session->take_turns = num_online_cpus() < session->options.connection_count;
	err = scsi_add_host(host, &session->dev);
	if (err) {
		scsi_host_put(host);
		return err;
	}
	/* One scheduler on each end is one too many. */
	host->tag_set.flags |= BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	session->scsi_host = host;
	return 0;
}

/* After the transport's objects are gone. */
void glue_host_forget(struct glue_session *session)
{
	struct Scsi_Host *host = session->scsi_host;

	if (!host)
		return;
	spin_lock_irq(&session->lock);
	session->scsi_host = NULL; /* the control thread looks no more */
	spin_unlock_irq(&session->lock);
	scsi_remove_host(host);
	scsi_host_put(host);
}
