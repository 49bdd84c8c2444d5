// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Leaving while the root disk's target is dead.
 *
 * Until reboot(2) nothing in a kernel tells that a machine is going down, and a root session waits
 * for its target for ever: process 1, which lives on that disk, would hang in a page fault or a
 * lookup long before it came so far. So user space says at the very beginning that it leaves, and
 * to what end (the request "leave"). From then on a session that is without its target for the
 * whole of its grace is given up; one whose target answers has all the time that services take.
 *
 * When every root session is given up, not much of user space can run: its programs are on the disk
 * that is lost. So the driver itself brings the machine to the end that was asked for.
 */
#include <linux/rculist.h>
#include <linux/reboot.h>

#include "glue.h"

enum leave_end { LEAVE_NOT, LEAVE_THEN_NOTHING, LEAVE_POWEROFF, LEAVE_REBOOT, LEAVE_HALT };

/* As systemd names them. What kexec has loaded is not gone to without a disk: a reboot is near. */
static const struct {
	const char *words;
	const char *name;
	enum leave_end end;
} leave_ends[] = {
	{ "", "then=nothing", LEAVE_THEN_NOTHING },
	{ "then=nothing", "then=nothing", LEAVE_THEN_NOTHING },
	{ "then=poweroff", "then=poweroff", LEAVE_POWEROFF },
	{ "then=reboot", "then=reboot", LEAVE_REBOOT },
	{ "then=kexec", "then=reboot", LEAVE_REBOOT },
	{ "then=halt", "then=halt", LEAVE_HALT },
};

static enum leave_end leave_end; /* written under glue_sessions_lock, as the next one */
static u64 leave_since_ms;

static void leave_set(enum leave_end end)
{
	struct glue_session *session;

	mutex_lock(&glue_sessions_lock);
	/* Said twice, the first time counts. */
	if (leave_end == LEAVE_NOT)
		WRITE_ONCE(leave_since_ms, glue_now_ms());
	WRITE_ONCE(leave_end, end);
	mutex_unlock(&glue_sessions_lock);
	rcu_read_lock();
	list_for_each_entry_rcu(session, &glue_sessions, entry)
		glue_session_kick(session);
	rcu_read_unlock();
}

int glue_leave(const char *words, char *reason)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(leave_ends); i++) {
		if (strcmp(words, leave_ends[i].words))
			continue;
		leave_set(leave_ends[i].end);
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "leaving %s", leave_ends[i].name);
		return 0;
	}
	snprintf(reason, HAWSER_ANSWER_BYTES_MAX,
		 "leave: \"%.100s\": nothing, or then=poweroff, reboot, kexec, halt or nothing",
		 words);
	return -EINVAL;
}

int glue_leave_not(const char *words, char *reason)
{
	if (*words) {
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "stay: \"%.100s\": it takes nothing",
			 words);
		return -EINVAL;
	}
	leave_set(LEAVE_NOT);
	snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "staying");
	return 0;
}

/* What is to come; "no" while the machine is to stay. */
static ssize_t leaving_show(struct device *dev, struct device_attribute *attribute, char *out)
{
	enum leave_end end = READ_ONCE(leave_end);
	int i;

	for (i = 0; i < ARRAY_SIZE(leave_ends); i++)
		if (leave_ends[i].end == end)
			return sysfs_emit(out, "%s\n", leave_ends[i].name);
	return sysfs_emit(out, "no\n");
}
static DEVICE_ATTR_RO(leaving);

int glue_leave_register(void)
{
	return device_create_file(glue_root, &dev_attr_leaving);
}

void glue_leave_unregister(void)
{
	device_remove_file(glue_root, &dev_attr_leaving);
}

/* When this session, on which commands wait since waits_ms (0: none does), is given up. Its control
 * thread asks.
 */
u64 glue_leave_deadline(const struct glue_session *session)
{
	if (READ_ONCE(leave_end) == LEAVE_NOT || !session->waits_ms)
		return HAWSER_NEVER;
	return max(READ_ONCE(leave_since_ms), session->waits_ms) + session->options.grace_ms;
}

/* A root of several sessions, a mirror, lives as long as one of them. */
static bool leave_root_is_lost(void)
{
	struct glue_session *session;
	bool lost = true;

	rcu_read_lock();
	list_for_each_entry_rcu(session, &glue_sessions, entry)
		if (session->options.root && !READ_ONCE(session->failing))
			lost = false;
	rcu_read_unlock();
	return lost;
}

static void leave_now(struct work_struct *work)
{
	enum leave_end end = READ_ONCE(leave_end);

	/* Else somebody came to reboot(2) after all. */
	if (end <= LEAVE_THEN_NOTHING || !leave_root_is_lost() || system_state != SYSTEM_RUNNING)
		return;
	pr_emerg("hawser: the root disk is lost: %s without user space\n",
		 end == LEAVE_POWEROFF ? "power-off" : end == LEAVE_HALT ? "halt" : "reboot");
	if (end == LEAVE_POWEROFF)
		kernel_power_off();
	else if (end == LEAVE_HALT)
		kernel_halt();
	else
		kernel_restart(NULL);
}

static DECLARE_WORK(leave_work, leave_now);

/* This root session was given up. By a work, since device_shutdown() waits for control threads. */
void glue_leave_root_lost(void)
{
	queue_work(glue_workqueue, &leave_work);
}
