// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two requests of /dev/hawser: connect waits until the disks are there, or says why not;
 * disconnect refuses while a disk is held open.
 */
#include <linux/blkdev.h>
#include <scsi/scsi_transport.h>
#include <scsi/scsi_transport_iscsi.h>

#include "glue.h"

static int connect_errno(u32 error)
{
	switch (error) {
	case HAWSER_ERROR_LOGIN_AUTHENTICATION_FAILED:
	case HAWSER_ERROR_LOGIN_AUTHENTICATION_REQUIRED:
	case HAWSER_ERROR_CHAP_REFUSED ... HAWSER_ERROR_CHAP_NO_SECRET:
		return -EACCES;
	case HAWSER_ERROR_LOGIN_TARGET_NOT_FOUND:
		return -ENOENT;
	case HAWSER_ERROR_LOGIN_FORBIDDEN:
		return -EPERM;
	default:
		return hawser_error_is_final(error) ? -EPROTO : -ETIMEDOUT;
	}
}

/* "no portal logged in within 60 s: 10.0.10.2:3260: TCP connect failed (ECONNREFUSED); ..." */
static void connect_explain(struct glue_session *session, char *reason)
{
	const struct hawser_session_snapshot *snapshot = &session->snapshot;
	const struct hawser_options *options = &session->options;
	const size_t size = HAWSER_ANSWER_BYTES_MAX;
	size_t length = 0;
	char where[64], why[128];
	u32 i;

	if (hawser_error_is_final(session->end_error))
		length = scnprintf(reason, size, "login to %s refused", options->target_name);
	else
		length = scnprintf(reason, size, "no portal logged in within %u s",
				   options->timeout_ms / 1000);
	for (i = 0; i < snapshot->portal_count; i++) {
		const struct hawser_portal *portal = &snapshot->portals[i];
		u32 error = snapshot->errors[i];

		hawser_portal_format(&portal->address, portal->port, where);
		strscpy(why, "not tried", sizeof(why));
		if (error)
			glue_error_format(error, snapshot->details[i], why, sizeof(why));
		length += scnprintf(reason + length, size - length, "%s %s%s%s: %s", i ? ";" : ":",
				    where, portal->nic[0] ? " on " : "", portal->nic, why);
	}
}

/* Takes the disks away while the session is alive: sd's SYNCHRONIZE CACHE goes to the target. */
static void connect_remove_disks(struct glue_session *session)
{
	lockdep_assert_held(&session->removal);
	glue_scan_stop(session);
	scsi_remove_target(&session->class_session->dev);
}

static bool connect_is_over(struct glue_session *session)
{
	return smp_load_acquire(&session->ended) || smp_load_acquire(&session->scanned);
}

/* The further connections: logged in, or failed once. */
static void connect_await_settled(struct glue_session *session)
{
	long bound = msecs_to_jiffies(session->options.login_timeout_ms + 1000);

	wait_event_killable_timeout(session->changed,
				    READ_ONCE(session->settled) || READ_ONCE(session->ended),
				    bound);
}

/*
 * Logs in and waits for the disks. On failure nothing of the session is left. The engine bounds the
 * first login; the scan after it may take as long again.
 */
int glue_session_connect(struct glue_session *session, char *reason)
{
	const struct hawser_options *options = &session->options;
	long bound = msecs_to_jiffies(2 * options->timeout_ms + options->login_timeout_ms);
	const size_t size = HAWSER_ANSWER_BYTES_MAX;
	long left;
	int err;

	glue_session_request(session, REQUEST_START);
	left = wait_event_killable_timeout(session->changed, connect_is_over(session), bound);
	if (left > 0 && READ_ONCE(session->scanned) && session->disks) {
		connect_await_settled(session);
		snprintf(reason, size, "session %s", dev_name(&session->dev));
		mutex_unlock(&session->removal);
		return 0;
	}
	if (left < 0) {
		err = -EINTR;
		strscpy(reason, "interrupted", size);
	} else if (READ_ONCE(session->scanned)) {
		err = -ENODEV;
		snprintf(reason, size, "logged in to %s, but it shows no %sLUN",
			 options->target_name, options->lun_count ? "wanted " : "");
	} else if (READ_ONCE(session->ended)) {
		err = connect_errno(session->end_error);
		connect_explain(session, reason);
	} else {
		err = -ETIMEDOUT;
		snprintf(reason, size, "logged in to %s, but it does not tell its LUNs",
			 options->target_name);
	}
	if (!READ_ONCE(session->scanned)) /* frees a scan that waits */
		glue_session_request(session, REQUEST_ABANDON);
	connect_remove_disks(session);
	glue_session_destroy(session);
	return err;
}

static bool disconnect_is_open(struct glue_session *session)
{
	struct scsi_device *sdev;
	bool open = false;

	shost_for_each_device(sdev, session->scsi_host) {
		struct gendisk *disk = READ_ONCE(sdev->request_queue->disk);

		/* A mounted or otherwise used partition counts as an opener of the whole disk. */
		open |= disk && disk_openers(disk);
	}
	return open;
}

/* Finds a session by name and takes its removal lock. */
struct glue_session *glue_session_find(const char *name, char *reason)
{
	struct glue_session *session;
	int err = -ENODEV;

	mutex_lock(&glue_sessions_lock);
	list_for_each_entry(session, &glue_sessions, entry) {
		if (strcmp(dev_name(&session->dev), name))
			continue;
		err = mutex_trylock(&session->removal) ? 0 : -EBUSY;
		break;
	}
	mutex_unlock(&glue_sessions_lock);
	if (!err)
		return session;
	snprintf(reason, HAWSER_ANSWER_BYTES_MAX, err == -EBUSY ?
		 "session=%.40s: it is being connected or disconnected" :
		 "session=%.40s: there is no such session", name);
	return ERR_PTR(err);
}

/* "connection 0 to 10.0.10.2:3260: TCP connect failed (ECONNREFUSED)", what each said last. */
static void disconnect_explain(struct glue_session *session, char *reason)
{
	const size_t size = HAWSER_ANSWER_BYTES_MAX;
	struct hawser_counters counters;
	size_t length = strlen(reason);
	struct hawser_portal portal;
	char where[64], why[128];
	u32 i;

	for (i = 0; i < session->options.connection_count; i++) {
		spin_lock_irq(&session->lock);
		portal = session->connections[i].ends.portal;
		spin_unlock_irq(&session->lock);
		hawser_connection_counters(session->connections[i].engine, &counters);
		if (!portal.address.family || !counters.last_error)
			continue;
		hawser_portal_format(&portal.address, portal.port, where);
		glue_error_format(counters.last_error, counters.last_detail, why, sizeof(why));
		length += scnprintf(reason + length, size - length, "; connection %u to %s: %s", i,
				    where, why);
	}
}

/* How it went, after the disks are gone. */
static int disconnect_judge(struct glue_session *session, char *reason)
{
	const size_t size = HAWSER_ANSWER_BYTES_MAX;
	const char *name = dev_name(&session->dev);

	if (READ_ONCE(session->gate) == GATE_FAILED) {
		snprintf(reason, size,
			 "session=%s: no answer from %.160s within %u s of grace: given up without "
			 "SYNCHRONIZE CACHE and Logout", name, session->options.target_name,
			 session->options.grace_ms / 1000);
		disconnect_explain(session, reason);
		return -ETIMEDOUT;
	}
	if (session->unflushed_lost) {
		snprintf(reason, size, "session=%s: disconnected, but not all was flushed: %s",
			 name, session->unflushed);
		return -EIO;
	}
	snprintf(reason, size, "disconnected %s%s%s", name,
		 session->unflushed[0] ? ", not flushed, and nothing was to be: " : "",
		 session->unflushed);
	return 0;
}

int glue_session_disconnect(const char *name, char *reason)
{
	struct glue_session *session = glue_session_find(name, reason);
	int err;

	if (IS_ERR(session))
		return PTR_ERR(session);
	if (disconnect_is_open(session)) {
		mutex_unlock(&session->removal);
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX,
			 "session=%s: a disk of it is in use (mounted or open): unmount it first",
			 name);
		return -EBUSY;
	}
	spin_lock(&session->luns_lock);
	session->unflushed[0] = '\0'; /* what was deleted before is no part of it */
	session->unflushed_lost = false;
	spin_unlock(&session->luns_lock);
	/* A target that is away must not keep us here for ever. */
	WRITE_ONCE(session->grace_ends_ms, glue_now_ms() + session->options.grace_ms);
	glue_session_kick(session);
	connect_remove_disks(session);
	err = disconnect_judge(session, reason);
	glue_session_destroy(session);
	return err;
}
