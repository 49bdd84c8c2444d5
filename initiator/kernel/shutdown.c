// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Leaving clean, by the driver alone.
 *
 * device_shutdown() calls back in the reverse order of the device list: sd first (SYNCHRONIZE
 * CACHE), then a session's device, then its NIC. Two things are in the way. A root_device has no
 * bus, hence no callback: so sessions are devices of a bus of our own. And a NIC that was
 * enumerated again after the session would go down before it: so a reboot notifier links the
 * session to a dummy device, the anchor, which moves the session with all its children to the end
 * of the list.
 *
 * The notifier also arms the grace, the bound on everything: device_shutdown() itself may have to
 * wait for a scan that hangs on a lost connection.
 *
 * The callback runs under device locks: no scan, add or remove in it. After it, commands are held
 * for ever: under reboot -ff processes still run.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/reboot.h>
#include <linux/sched/mm.h>
#include <scsi/scsi_proto.h>

#include "glue.h"

#define SHUTDOWN_POLL_MS 10

static struct device *shutdown_anchor;

/*
 * A write that the target has not answered is in no cache, but it is as lost. Slots are only looked
 * at: their commands' memory is the tag set's, which lives as long as the host.
 */
static bool shutdown_has_open_writes(struct glue_session *session)
{
	const struct scsi_cmnd *command;
	struct glue_slot *slot;
	u32 tag;

	for (tag = 0; tag < session->depth; tag++) {
		slot = &session->slots[tag];
		if (!smp_load_acquire(&slot->owner) && !READ_ONCE(slot->parked))
			continue;
		command = READ_ONCE(slot->command);
		if (command && command->sc_data_direction == DMA_TO_DEVICE)
			return true;
	}
	return false;
}

/*
 * Whether there are writes that no SYNCHRONIZE CACHE has covered: completed into a write cache, or
 * not even that. Disks that are being removed count too.
 */
bool glue_shutdown_dirty(struct glue_session *session)
{
	struct glue_disk *disk;
	bool dirty = false;

	spin_lock_irq(&session->lock); /* glue_host_forget comes before or after */
	if (session->scsi_host)
		dirty = shutdown_has_open_writes(session);
	spin_unlock_irq(&session->lock);
	spin_lock(&session->luns_lock);
	list_for_each_entry(disk, &session->luns, entry)
		dirty |= glue_lun_is_dirty(disk);
	spin_unlock(&session->luns_lock);
	return dirty;
}

static long shutdown_time_left(struct glue_session *session)
{
	return glue_timeout(glue_now_ms(), READ_ONCE(session->grace_ends_ms));
}

/* Our own SYNCHRONIZE CACHE: of everything, waited for, at the latest until the grace is over. */
static int shutdown_flush(struct glue_session *session, struct glue_disk *disk)
{
	u64 writes = atomic64_read(&disk->writes);
	int err;

	if (READ_ONCE(disk->state) == LUN_FOREIGN)
		return -ENODEV; /* the flush of another disk is none of ours */
	err = glue_flush(session, disk->lun);
	if (!err)
		atomic64_set(&disk->synced, writes);
	return err;
}

static bool shutdown_is_drained(struct glue_session *session)
{
	struct hawser_counters counters;
	u32 i;

	for (i = 0; i < session->options.connection_count; i++) {
		hawser_connection_counters(session->connections[i].engine, &counters);
		if (counters.tasks || !llist_empty(&session->connections[i].inbox))
			return false;
	}
	return true;
}

/* Flushes what sd's own SYNCHRONIZE CACHE has not covered. New I/O is held meanwhile. */
static void shutdown_quiesce(struct glue_session *session)
{
	struct glue_disk *disk = NULL;

	WRITE_ONCE(session->held, true);
	glue_session_kick(session);
	while (!shutdown_is_drained(session) && shutdown_time_left(session))
		msleep(SHUTDOWN_POLL_MS);
	while ((disk = glue_lun_after(session, disk))) {
		if (glue_lun_is_dirty(disk) && !READ_ONCE(session->ended) &&
		    shutdown_flush(session, disk))
			dev_emerg(&session->dev,
				  "LUN %llu: SYNCHRONIZE CACHE failed: THE DISK WAS NOT FLUSHED\n",
				  disk->lun);
	}
}

static void shutdown_session(struct device *dev)
{
	struct glue_session *session = container_of(dev, struct glue_session, dev);

	if (!smp_load_acquire(&session->running))
		return; /* it was being made */
	/* Only when the machine goes down by a way that told no notifier. */
	if (!READ_ONCE(session->grace_ends_ms))
		WRITE_ONCE(session->grace_ends_ms, glue_now_ms() + session->options.grace_ms);
	/* Kept for ever: nobody may take the session apart now. Who has it, is doing so already. */
	if (mutex_trylock(&session->removal))
		shutdown_quiesce(session);

	glue_session_request(session, REQUEST_LOGOUT);
	wait_event_timeout(session->changed, smp_load_acquire(&session->ended),
			   shutdown_time_left(session));
	if (READ_ONCE(session->ended) && READ_ONCE(session->gate) != GATE_FAILED) {
		WRITE_ONCE(session->left, true);
		if (session->end_error) /* flushed, and nobody is left to say it to */
			dev_notice(dev, "%s went away before it answered our Logout\n",
				   session->options.target_name);
		else
			dev_info(dev, "logged out of %s\n", session->options.target_name);
		return;
	}
	dev_emerg(dev, "no Logout from %s within %u s of grace\n", session->options.target_name,
		  session->options.grace_ms / 1000);
}

/* First, for all, and without waiting for memory or a lock: what comes next may want both. */
static void shutdown_arm(void)
{
	struct glue_session *session;

	rcu_read_lock();
	list_for_each_entry_rcu(session, &glue_sessions, entry) {
		WRITE_ONCE(session->grace_ends_ms, glue_now_ms() + session->options.grace_ms);
		glue_session_kick(session);
	}
	rcu_read_unlock();
}

static void shutdown_prepare(bool root)
{
	struct glue_session *session;

	lockdep_assert_held(&glue_sessions_lock);
	list_for_each_entry(session, &glue_sessions, entry) {
		if (session->options.root == root &&
		    !device_link_add(&session->dev, shutdown_anchor, DL_FLAG_STATELESS))
			dev_emerg(&session->dev, "cannot be moved before the NICs\n");
	}
}

/* The last to be moved is the first to go: the root sessions go after all others. */
static int shutdown_notify(struct notifier_block *block, unsigned long code, void *command)
{
	unsigned int noio;

	shutdown_arm();
	noio = memalloc_noio_save(); /* the links' memory is not waited for from a dead disk */
	mutex_lock(&glue_sessions_lock);
	shutdown_prepare(true);
	shutdown_prepare(false);
	mutex_unlock(&glue_sessions_lock);
	memalloc_noio_restore(noio);
	return NOTIFY_DONE;
}

static struct notifier_block shutdown_notifier = { .notifier_call = shutdown_notify };

struct bus_type glue_bus = {
	.name = HAWSER_BUS_NAME,
	.shutdown = shutdown_session,
};

int glue_shutdown_register(struct device *root)
{
	int err = bus_register(&glue_bus);

	if (err)
		return err;
	shutdown_anchor = root_device_register("hawser-anchor");
	if (IS_ERR(shutdown_anchor)) {
		err = PTR_ERR(shutdown_anchor);
		goto no_anchor;
	}
	err = register_reboot_notifier(&shutdown_notifier);
	if (!err)
		return 0;
	root_device_unregister(shutdown_anchor);
no_anchor:
	bus_unregister(&glue_bus);
	return err;
}

void glue_shutdown_unregister(void)
{
	unregister_reboot_notifier(&shutdown_notifier);
	root_device_unregister(shutdown_anchor);
	bus_unregister(&glue_bus);
}
