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
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "glue.h"

LIST_HEAD(glue_sessions);
DEFINE_MUTEX(glue_sessions_lock);
static DEFINE_IDA(session_ida);

static void session_release(struct device *dev)
{
	struct glue_session *session = container_of(dev, struct glue_session, dev);

	ida_free(&session_ida, session->index);
	glue_chap_destroy(session);
	glue_own_free(session);
	vfree(session->engine_memory);
	vfree(session->slots);
	kvfree(session);
	module_put(THIS_MODULE);
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
						session->index + 1, get_random_u32());
	if (!session->engine)
		return -ENOMEM;
	for (i = 0; i < session->options.connection_count; i++) {
		struct glue_connection *connection = &session->connections[i];

		connection->session = session;
		connection->index = i;
		connection->engine = hawser_session_connection(session->engine, i);
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
	thread = kthread_create(glue_control_thread, session, "hawser%u", session->index);
	if (IS_ERR(thread)) {
		err = PTR_ERR(thread);
		goto out;
	}
	session->thread = thread;
	for (i = 0; i < session->options.connection_count; i++) {
		thread = kthread_create(glue_connection_thread, &session->connections[i],
					"hawser%u/%u", session->index, i);
		if (IS_ERR(thread)) {
			err = PTR_ERR(thread);
			goto out;
		}
		session->connections[i].thread = thread;
		if (cpumask_intersects(cpus, cpu_possible_mask))
			set_cpus_allowed_ptr(thread, cpus);
	}
	thread = kthread_create(glue_verify_thread, session, "hawser%u/v", session->index);
	if (IS_ERR(thread)) {
		err = PTR_ERR(thread);
		goto out;
	}
	session->verifier = thread;
	for (i = 0; i < session->options.connection_count; i++)
		wake_up_process(session->connections[i].thread);
	wake_up_process(session->verifier);
	wake_up_process(session->thread);
	session->running = true;
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
	struct glue_session *other;
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
	list_for_each_entry(other, &glue_sessions, entry) {
		if (!strcmp(other->options.target_name, options->target_name) &&
		    !strcmp(other->options.initiator_name, options->initiator_name)) {
			snprintf(reason, HAWSER_REASON_BYTES,
				 "target=%.160s: session %s is there already", options->target_name,
				 dev_name(&other->dev));
			return -EEXIST;
		}
	}
	return 0;
}

/* Under glue_sessions_lock. */
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
		err = glue_chap_create(session, reason);
	if (!err)
		err = session_allocate_engine(session);
	if (!err) {
		device_set_pm_not_required(&session->dev);
		err = device_add(&session->dev);
	}
	if (err) {
		mutex_unlock(&session->removal);
		put_device(&session->dev);
		return ERR_PTR(err);
	}
	list_add_tail(&session->entry, &glue_sessions);
	return session;
}

struct glue_session *glue_session_create(const struct hawser_options *options, char *reason)
{
	struct glue_session *session;
	int err;

	mutex_lock(&glue_sessions_lock);
	err = session_check(options, reason);
	session = err ? ERR_PTR(err) : session_allocate(options, reason);
	mutex_unlock(&glue_sessions_lock);
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
	cancel_work_sync(&session->scan);
	cancel_work_sync(&session->look);
	glue_transport_remove(session);
	glue_host_forget(session);
	glue_sysfs_remove(session);
	session_stop_threads(session);
	mutex_lock(&glue_sessions_lock);
	list_del_init(&session->entry);
	mutex_unlock(&glue_sessions_lock);
	mutex_unlock(&session->removal);
	device_unregister(&session->dev);
}
