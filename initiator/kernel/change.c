// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections added to and dropped from a session, and how many there may be: requests of
 * /dev/hawser.
 */
#include <linux/delay.h>
#include <linux/string.h>

#include "glue.h"

#define CHANGE_POLL_MS 20

static int change_errno(u32 error)
{
	switch (error) {
	case HAWSER_ERROR_NONE:
		return 0;
	case HAWSER_ERROR_NOT_LOGGED_IN:
		return -ENOTCONN;
	case HAWSER_ERROR_NO_SUCH_CONNECTION:
		return -ENODEV;
	case HAWSER_ERROR_LAST_CONNECTION:
		return -EBUSY;
	case HAWSER_ERROR_CMD_SN_NOT_ORDERED:
		return -EOPNOTSUPP;
	default:
		return -ENOBUFS;
	}
}

/* Has the control thread do it. Under session->removal. */
static int change_ask(struct glue_session *session, int request, char *reason)
{
	struct glue_change *change = &session->change;
	int err;

	lockdep_assert_held(&session->removal);
	reinit_completion(&change->done);
	glue_session_request(session, request);
	wait_for_completion(&change->done);
	err = change_errno(change->error);
	if (err)
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "session=%s: %s", dev_name(&session->dev),
			 hawser_error_words(change->error));
	return err;
}

static u32 change_state(struct glue_session *session, u32 index, u32 *error)
{
	struct hawser_counters counters;

	hawser_connection_counters(session->connections[index].engine, &counters);
	*error = counters.last_error;
	return counters.state;
}

/* Splits "session=hawser0 WORD" in place; the rest is empty when there is none. */
static struct glue_session *change_begin(const char *words, const char *usage, char *name,
					 const char **rest, char *reason)
{
	size_t length = strcspn(words, " ");

	if (strncmp(words, "session=", 8) || length <= 8 || length >= 48) {
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "\"%.100s\": write %s", words, usage);
		return ERR_PTR(-EINVAL);
	}
	memcpy(name, words + 8, length - 8);
	name[length - 8] = '\0';
	*rest = words[length] ? words + length + 1 : "";
	return glue_session_find(name, reason);
}

int glue_change_add(const char *words, char *reason)
{
	static const char usage[] = "add session=hawserN [portal=ADDRESS[:PORT][,nic=NAME]]";
	struct glue_session *session;
	struct glue_change *change;
	const char *rest;
	char name[48];
	u32 error;
	int err = 0;

	session = change_begin(words, usage, name, &rest, reason);
	if (IS_ERR(session))
		return PTR_ERR(session);
	change = &session->change;
	memset(&change->portal, 0, sizeof(change->portal));
	if (*rest && strncmp(rest, "portal=", 7)) {
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "\"%.100s\": write %s", rest, usage);
		err = -EINVAL;
	} else if (*rest &&
		   hawser_portal_parse(rest + 7, strlen(rest + 7), &change->portal, reason)) {
		err = -EINVAL;
	}
	if (!err)
		err = change_ask(session, REQUEST_ADD, reason);
	if (err)
		goto out;
	wait_event_killable_timeout(session->changed,
				    READ_ONCE(session->settled) || READ_ONCE(session->ended),
				    msecs_to_jiffies(session->options.login_timeout_ms + 1000));
	if (change_state(session, change->index, &error) == HAWSER_CONNECTION_LOGGED_IN) {
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "connection %u", change->index);
		goto out;
	}
	err = -ETIMEDOUT;
	if (!change_ask(session, REQUEST_DROP, reason))
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX,
			 "session=%s: the connection does not log in: %s", name,
			 hawser_error_words(error));
out:
	mutex_unlock(&session->removal);
	return err;
}

int glue_change_drop(const char *words, char *reason)
{
	static const char usage[] = "drop session=hawserN connection=N";
	struct glue_session *session;
	const char *rest;
	char name[48];
	u64 bound_ms;
	u32 error;
	int err;

	session = change_begin(words, usage, name, &rest, reason);
	if (IS_ERR(session))
		return PTR_ERR(session);
	if (strncmp(rest, "connection=", 11) ||
	    kstrtou32(rest + 11, 10, &session->change.index)) {
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "\"%.100s\": write %s", rest, usage);
		err = -EINVAL;
		goto out;
	}
	err = change_ask(session, REQUEST_DROP, reason);
	if (err)
		goto out;
	/* Its tasks, then the Logout's answer; or a session that starts anew instead. */
	bound_ms = glue_now_ms() + 2 * session->options.logout_timeout_ms + 5000;
	while (change_state(session, session->change.index, &error) != HAWSER_CONNECTION_FREE &&
	       glue_now_ms() < bound_ms)
		msleep(CHANGE_POLL_MS);
	snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "dropped %s connection %u", name,
		 session->change.index);
out:
	mutex_unlock(&session->removal);
	return err;
}

/* As the option cmdsn_order= has them; by HAWSER_CMD_SN_ORDER_*. */
const char *const glue_cmdsn_orders[3] = { "auto", "session", "connection" };

int glue_change_cmdsn_order(const char *words, char *reason)
{
	static const char usage[] = "cmdsn_order session=hawserN auto|session|connection";
	struct glue_session *session;
	const char *rest;
	char name[48];
	int err;

	session = change_begin(words, usage, name, &rest, reason);
	if (IS_ERR(session))
		return PTR_ERR(session);
	err = match_string(glue_cmdsn_orders, ARRAY_SIZE(glue_cmdsn_orders), rest);
	if (err < 0) {
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "\"%.100s\": write %s", rest, usage);
		goto out;
	}
	session->change.cmdsn_order = err;
	err = change_ask(session, REQUEST_CMDSN_ORDER, reason);
	if (!err)
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "%s: cmdsn_order is %s now", name, rest);
out:
	mutex_unlock(&session->removal);
	return err;
}
