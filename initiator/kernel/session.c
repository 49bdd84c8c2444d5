// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A session from its creation to its end: memory, threads, Scsi_Host, transport class. Everything
 * that a reconnect may need is made here, once.
 */
#include <linux/blkdev.h>
#include <linux/cpumask.h>
#include <linux/idr.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rculist.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "glue.h"

/* 1 is what the root's session has had from the beginning. */
#define SESSION_QUALIFIER_ROOT 1
#define SESSION_QUALIFIER_DATA 2

/*
 * A session is on the list while its threads live: whoever finds it there may kick it. The list is
 * walked under RCU by who may not wait (RTNL, a reboot), and changed under glue_sessions_lock; what
 * may wait for RTNL, memory or a module is not done under that. session_making has the others.
 */
LIST_HEAD(glue_sessions);
DEFINE_MUTEX(glue_sessions_lock);
static LIST_HEAD(session_making); /* under glue_sessions_lock, by the same entry */
static DEFINE_IDA(session_ida);

/* Kept as long as the session: a kick that comes late wakes a thread that has ended, not a hole. */
static struct task_struct *session_keep(struct task_struct *thread)
{
	return IS_ERR(thread) ? thread : get_task_struct(thread);
}

static void session_let_go(struct task_struct *thread)
{
	if (thread)
		put_task_struct(thread);
}

static void session_release(struct device *dev)
{
	struct glue_session *session = container_of(dev, struct glue_session, dev);
	u32 i;

	for (i = 0; i < session->options.connection_count; i++)
		session_let_go(session->connections[i].thread);
	session_let_go(session->verifier);
	session_let_go(session->thread);
	ida_free(&session_ida, session->index);
	glue_chap_destroy(session);
	glue_own_free(session);
	for (i = 0; i < session->options.connection_count; i++)
		kfree(session->connections[i].bounce);
	vfree(session->engine_memory);
	vfree(session->slots);
	kvfree(session);
	module_put(THIS_MODULE);
}

/* RFC 7143 11.12.5: stable for an initiator, a target and what the session is for. */
static u16 session_isid_qualifier(const struct hawser_options *options)
{
	return options->root ? SESSION_QUALIFIER_ROOT : SESSION_QUALIFIER_DATA;
}

static int session_allocate_engine(struct glue_session *session)
{
	u32 i;

	session->slots = vzalloc(array_size(session->depth + GLUE_OWN_COUNT,
					    sizeof(*session->slots)));
	session->engine_memory = vzalloc(hawser_session_bytes(&session->options));
	if (!session->slots || !session->engine_memory || glue_own_allocate(session))
		return -ENOMEM;
	session->engine = hawser_session_create(session->engine_memory, &session->options,
						session_isid_qualifier(&session->options),
						get_random_u32());
	if (!session->engine)
		return -ENOMEM;
	for (i = 0; i < session->options.connection_count; i++) {
		struct glue_connection *connection = &session->connections[i];

		connection->session = session;
		connection->index = i;
		connection->engine = hawser_session_connection(session->engine, i);
		/* Any login, also a later one, may agree to what is offered. */
		if (session->options.offer.data_digest & 2) {
			connection->bounce = kmalloc(GLUE_BOUNCE_BYTES, GFP_KERNEL);
			if (!connection->bounce)
				return -ENOMEM;
		}
		init_llist_head(&connection->inbox);
		INIT_LIST_HEAD(&connection->finished);
		INIT_LIST_HEAD(&connection->unacknowledged);
		INIT_KFIFO(connection->orders);
		INIT_KFIFO(connection->reports);
		/* Beyond connection_start there is room only, until one is added. */
		if (i < session->options.connection_start)
			connection->ends.portal =
				session->options.portals[i % session->options.portal_count];
		init_completion(&connection->manage_done);
		session->route[i] = i;
	}
	hawser_session_read(session->engine, &session->snapshot);
	return 0;
}

static void session_init(struct glue_session *session, const struct hawser_options *options)
{
	session->options = *options;
	/* Slots beside the mid-layer's, for what the driver itself has to ask. */
	session->options.queue_depth = min_t(u32, HAWSER_QUEUE_DEPTH_MAX,
					     session->options.queue_depth + GLUE_OWN_COUNT);
	session->depth = session->options.queue_depth - GLUE_OWN_COUNT;
	mutex_init(&session->removal);
	mutex_init(&session->eh);
	mutex_init(&session->manage);
	init_completion(&session->change.done);
	init_waitqueue_head(&session->changed);
	init_waitqueue_head(&session->verify);
	spin_lock_init(&session->park_lock);
	spin_lock_init(&session->luns_lock);
	INIT_LIST_HEAD(&session->luns);
	spin_lock_init(&session->lock);
	INIT_LIST_HEAD(&session->park);
	INIT_LIST_HEAD(&session->entry);
	mutex_init(&session->scanning);
	INIT_WORK(&session->scan, glue_scan);
	INIT_WORK(&session->look, glue_look);
}

static int session_start_threads(struct glue_session *session)
{
	struct task_struct *thread;
	cpumask_var_t cpus;
	int err = 0;
	u32 i;

	if (!zalloc_cpumask_var(&cpus, GFP_KERNEL))
		return -ENOMEM;
	if (session->options.cpus_given && cpulist_parse(session->options.cpus, cpus))
		cpumask_clear(cpus); /* was checked before */
	thread = session_keep(kthread_create(glue_control_thread, session, "hawser%u",
					     session->index));
	if (IS_ERR(thread)) {
		err = PTR_ERR(thread);
		goto out;
	}
	session->thread = thread;
	for (i = 0; i < session->options.connection_count; i++) {
		thread = session_keep(kthread_create(glue_connection_thread,
						     &session->connections[i], "hawser%u/%u",
						     session->index, i));
		if (IS_ERR(thread)) {
			err = PTR_ERR(thread);
			goto out;
		}
		session->connections[i].thread = thread;
		if (cpumask_intersects(cpus, cpu_possible_mask))
			set_cpus_allowed_ptr(thread, cpus);
	}
	thread = session_keep(kthread_create(glue_verify_thread, session, "hawser%u/v",
					     session->index));
	if (IS_ERR(thread)) {
		err = PTR_ERR(thread);
		goto out;
	}
	session->verifier = thread;
	for (i = 0; i < session->options.connection_count; i++)
		wake_up_process(session->connections[i].thread);
	wake_up_process(session->verifier);
	wake_up_process(session->thread);
	smp_store_release(&session->running, true);
	mutex_lock(&glue_sessions_lock);
	list_del(&session->entry);
	list_add_tail_rcu(&session->entry, &glue_sessions);
	mutex_unlock(&glue_sessions_lock);
out:
	free_cpumask_var(cpus);
	return err;
}

/* Who kicks goes before whom it kicks: the control thread is the last. */
static void session_stop_threads(struct glue_session *session)
{
	u32 i;

	if (session->verifier)
		kthread_stop(session->verifier);
	for (i = 0; i < session->options.connection_count; i++) {
		if (session->connections[i].thread)
			kthread_stop(session->connections[i].thread);
	}
	if (session->thread)
		kthread_stop(session->thread);
}

static int session_check(const struct hawser_options *options, char *reason)
{
	cpumask_var_t cpus;
	int err = 0;

	if (options->cpus_given) {
		if (!zalloc_cpumask_var(&cpus, GFP_KERNEL))
			return -ENOMEM;
		if (cpulist_parse(options->cpus, cpus) ||
		    !cpumask_intersects(cpus, cpu_online_mask)) {
			snprintf(reason, HAWSER_REASON_BYTES,
				 "cpus=%s: a list of CPUs, one of them online, is needed",
				 options->cpus);
			err = -EINVAL;
		}
		free_cpumask_var(cpus);
		if (err)
			return err;
	}
	return 0;
}

static int session_check_rival(const struct glue_session *session, struct list_head *list,
			       char *reason)
{
	const struct hawser_options *options = &session->options;
	struct glue_session *other;

	lockdep_assert_held(&glue_sessions_lock);
	list_for_each_entry(other, list, entry) {
		if (strcmp(other->options.target_name, options->target_name) ||
		    strcmp(other->options.initiator_name, options->initiator_name))
			continue;
		snprintf(reason, HAWSER_REASON_BYTES, "target=%.160s: session %s is there already",
			 options->target_name, dev_name(&other->dev));
		return -EEXIST;
	}
	return 0;
}

/* From here on no other one can be made that would be its rival. */
static int session_announce(struct glue_session *session, char *reason)
{
	int err;

	mutex_lock(&glue_sessions_lock);
	err = session_check_rival(session, &glue_sessions, reason);
	if (!err)
		err = session_check_rival(session, &session_making, reason);
	if (!err)
		list_add_tail(&session->entry, &session_making);
	mutex_unlock(&glue_sessions_lock);
	return err;
}

/* Nobody finds it any more, and who had found it is done with it. */
static void session_withdraw(struct glue_session *session)
{
	mutex_lock(&glue_sessions_lock);
	if (!list_empty(&session->entry))
		list_del_rcu(&session->entry);
	mutex_unlock(&glue_sessions_lock);
	synchronize_rcu();
}

static struct glue_session *session_allocate(const struct hawser_options *options, char *reason)
{
	struct glue_session *session;
	int index, err;

	session = kvzalloc(struct_size(session, connections, options->connection_count),
			   GFP_KERNEL);
	if (!session)
		return ERR_PTR(-ENOMEM);
	index = ida_alloc_max(&session_ida, U16_MAX - 1, GFP_KERNEL);
	if (index < 0) {
		kvfree(session);
		return ERR_PTR(index);
	}
	__module_get(THIS_MODULE); /* a session keeps the module */
	session->index = index;
	session_init(session, options);
	/* Held until glue_session_connect is done. Nobody knows it yet: no order of two locks. */
	mutex_trylock(&session->removal);
	device_initialize(&session->dev);
	session->dev.bus = &glue_bus;
	session->dev.parent = glue_root;
	session->dev.release = session_release;
	session->dev.groups = glue_session_groups;
	err = dev_set_name(&session->dev, "hawser%d", index);
	if (!err)
		err = session_announce(session, reason);
	if (!err)
		err = glue_chap_create(session, reason);
	if (!err)
		err = session_allocate_engine(session);
	if (!err) {
		device_set_pm_not_required(&session->dev);
		err = device_add(&session->dev);
	}
	if (err) {
		session_withdraw(session);
		mutex_unlock(&session->removal);
		put_device(&session->dev);
		return ERR_PTR(err);
	}
	return session;
}

struct glue_session *glue_session_create(const struct hawser_options *options, char *reason)
{
	struct glue_session *session;
	int err;

	err = session_check(options, reason);
	session = err ? ERR_PTR(err) : session_allocate(options, reason);
	if (IS_ERR(session))
		goto failed;
	err = session_start_threads(session);
	if (!err)
		err = glue_sysfs_add(session);
	if (!err)
		err = glue_host_add(session);
	if (!err)
		err = glue_transport_add(session);
	if (!err)
		return session;
	glue_session_destroy(session);
	session = ERR_PTR(err);
failed:
	if (!reason[0])
		snprintf(reason, HAWSER_REASON_BYTES, "cannot make a session: error %ld",
			 PTR_ERR(session));
	return session;
}

/* Takes the session apart; its disks are gone or were never there. Under session->removal. */
void glue_session_destroy(struct glue_session *session)
{
	u64 bound_ms = 2 * session->options.logout_timeout_ms + 1000;

	lockdep_assert_held(&session->removal);
	if (session->running && !READ_ONCE(session->ended)) {
		glue_session_request(session, REQUEST_LOGOUT);
		if (!wait_event_timeout(session->changed, smp_load_acquire(&session->ended),
					msecs_to_jiffies(bound_ms))) {
			glue_session_request(session, REQUEST_ABANDON);
			wait_event_timeout(session->changed, smp_load_acquire(&session->ended),
					   msecs_to_jiffies(1000));
		}
	}
	/* What still comes in fails from here on. */
	if (session->running)
		glue_session_request(session, REQUEST_ABANDON);
	glue_scan_stop(session);
	glue_transport_remove(session);
	glue_host_forget(session);
	glue_sysfs_remove(session);
	session_withdraw(session);
	session_stop_threads(session);
	cancel_work_sync(&session->scan); /* a thread may have asked for them once more */
	cancel_work_sync(&session->look);
	mutex_unlock(&session->removal);
	device_unregister(&session->dev);
}
