// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control thread of a session. It alone touches the engine's session: reports of the
 * connections go in, orders to them come out. It also decides where commands may go: the gate, the
 * route from hardware queues to connections, the park.
 */
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <scsi/scsi_transport_iscsi.h>

#include "glue.h"

/* Any context. */
void glue_session_kick(struct glue_session *session)
{
	if (!test_and_set_bit(EVENT_KICK, &session->events))
		wake_up_process(session->thread);
}

void glue_session_request(struct glue_session *session, int request)
{
	smp_mb__before_atomic(); /* set_bit alone publishes nothing: what the request is about */
	set_bit(request, &session->requests);
	glue_session_kick(session);
}

/* "TCP connect failed (ECONNREFUSED)", "target asks for a logout (1)" */
void glue_error_format(u32 error, u32 detail, char *out, size_t size)
{
	const char *words = hawser_error_words(error);
	bool is_errno = error < HAWSER_ERROR_LOGIN_REDIRECTED && error != HAWSER_ERROR_OWN_MISTAKE;
	char name[32];

	if (is_errno && detail && detail < MAX_ERRNO) {
		scnprintf(name, sizeof(name), "%pe", ERR_PTR(-(long)detail));
		scnprintf(out, size, "%s (%s)", words, name + 1); /* without the sign */
	} else if (detail && !(error >= HAWSER_ERROR_LOGIN_REDIRECTED &&
			       error < HAWSER_ERROR_LOGIN_UNKNOWN_STATUS)) {
		scnprintf(out, size, "%s (%u)", words, detail);
	} else {
		scnprintf(out, size, "%s", words); /* a Login status: the words tell it */
	}
}

static void control_say(struct glue_session *session, struct glue_connection *connection,
			const struct hawser_report *report)
{
	struct hawser_portal portal;
	char where[64], why[128];

	spin_lock_irq(&session->lock);
	portal = connection->ends.portal;
	spin_unlock_irq(&session->lock);
	hawser_portal_format(&portal.address, portal.port, where);
	switch (report->kind) {
	case HAWSER_REPORT_LOGGED_IN:
		connection->said_error = 0;
		dev_info(&session->dev, "connection %u to %s: logged in\n", connection->index,
			 where);
		break;
	case HAWSER_REPORT_LOST:
		/* A target that is away fails again and again in the same way: say it once. */
		if (connection->said_error == report->error)
			break;
		connection->said_error = report->error;
		glue_error_format(report->error, report->detail, why, sizeof(why));
		dev_notice(&session->dev, "connection %u to %s: %s\n", connection->index, where,
			   why);
		break;
	case HAWSER_REPORT_LOGOUT_REQUESTED:
		dev_notice(&session->dev,
			   "connection %u to %s: target asks for a logout within %u s\n",
			   connection->index, where, report->detail);
		break;
	case HAWSER_REPORT_LOGGED_OUT:
		dev_info(&session->dev, "connection %u to %s: logged out\n", connection->index,
			 where);
		break;
	}
}

static void control_say_end(struct glue_session *session)
{
	char why[128];

	if (!session->end_error)
		return;
	glue_error_format(session->end_error, session->end_detail, why, sizeof(why));
	dev_notice(&session->dev, "the session is over: %s\n", why);
}

static void control_take_reports(struct glue_session *session, u64 now_ms)
{
	struct hawser_report report;
	u32 i;

	for (i = 0; i < session->options.connection_count; i++) {
		struct glue_connection *connection = &session->connections[i];
		bool was_full = kfifo_is_full(&connection->reports);

		while (glue_ring_get(&connection->reports, &report)) {
			control_say(session, connection, &report);
			hawser_session_handle_report(session->engine, &report, now_ms);
		}
		if (was_full)
			glue_connection_kick(connection);
	}
}

static void control_take_changes(struct glue_session *session, u64 now_ms)
{
	struct glue_change *change = &session->change;
	bool given = change->portal.address.family;

	if (test_and_clear_bit(REQUEST_ADD, &session->requests)) {
		WRITE_ONCE(session->settled, false);
		change->error = hawser_session_add_connection(session->engine,
							      given ? &change->portal : NULL,
							      &change->index, now_ms);
		complete(&change->done);
	}
	if (test_and_clear_bit(REQUEST_DROP, &session->requests)) {
		change->error = hawser_session_drop_connection(session->engine, change->index,
							       now_ms);
		complete(&change->done);
	}
}

static void control_take_order_change(struct glue_session *session, u64 now_ms)
{
	struct glue_change *change = &session->change;

	if (!test_and_clear_bit(REQUEST_CMDSN_ORDER, &session->requests))
		return;
	hawser_session_set_cmd_sn_order(session->engine, change->cmdsn_order, now_ms);
	change->error = HAWSER_ERROR_NONE;
	complete(&change->done);
}

static void control_take_requests(struct glue_session *session, u64 now_ms)
{
	if (test_and_clear_bit(REQUEST_START, &session->requests))
		hawser_session_start(session->engine, now_ms);
	if (test_and_clear_bit(REQUEST_LOGOUT, &session->requests))
		hawser_session_logout(session->engine, now_ms);
	if (test_and_clear_bit(REQUEST_REINSTATE, &session->requests))
		hawser_session_reinstate(session->engine, now_ms);
	control_take_changes(session, now_ms);
	control_take_order_change(session, now_ms);
	if (test_and_clear_bit(REQUEST_ABANDON, &session->requests)) {
		session->failing = true;
		hawser_session_abandon(session->engine, now_ms);
	}
}

/* What the engine has found out since it was last looked at. */
static void control_say_news(struct glue_session *session,
			     const struct hawser_session_snapshot *now)
{
	const struct hawser_session_snapshot *before = &session->snapshot;
	struct device *dev = &session->dev;

	if (now->fallback && !before->fallback)
		dev_warn(dev, "target %s (%s): %s\n",
			 "does not put commands of several connections into order",
			 "a lower CmdSN that comes later is an error to it",
			 "one connection from now on; see hawser connection cmdsn-order");
	if (!now->fallback && before->fallback &&
	    now->cmd_sn_order != HAWSER_CMD_SN_ORDER_CONNECTION)
		dev_notice(dev, "no longer held to one connection\n");
	if (now->portals_ignored != before->portals_ignored)
		dev_notice(dev, "target tells %u portals that mean nothing from here: not used\n",
			   now->portals_ignored);
	if (now->own_mistakes == before->own_mistakes)
		return;
	dev_err(dev, "a mistake of our own (number %u, %u so far): please report it\n",
		now->own_mistake, now->own_mistakes);
	WARN_ONCE(true, "hawser: own mistake %u\n", now->own_mistake);
}

static void control_publish(struct glue_session *session)
{
	struct hawser_session_snapshot snapshot;

	memset(&snapshot, 0, sizeof(snapshot));
	hawser_session_read(session->engine, &snapshot);
	if (snapshot.connections_granted != session->snapshot.connections_granted &&
	    snapshot.state == HAWSER_SESSION_LOGGED_IN &&
	    snapshot.connections_granted < snapshot.connections_asked)
		dev_notice(&session->dev, "target grants %u of %u connections\n",
			   snapshot.connections_granted, snapshot.connections_asked);
	control_say_news(session, &snapshot);
	spin_lock_irq(&session->lock);
	session->snapshot = snapshot;
	spin_unlock_irq(&session->lock);
	glue_transport_state(session, snapshot.state);
}

static void control_tell(struct glue_session *session, const struct hawser_order *order)
{
	struct glue_connection *connection;

	if (WARN_ON_ONCE(order->index >= session->options.connection_count))
		return;
	connection = &session->connections[order->index];
	while (!kfifo_put(&connection->orders, *order)) {
		glue_connection_kick(connection);
		schedule_timeout_idle(1);
	}
	glue_connection_kick(connection);
}

static void control_take_orders(struct glue_session *session)
{
	struct hawser_order order;

	while (hawser_session_poll_order(session->engine, &order)) {
		switch (order.kind) {
		case HAWSER_ORDER_RELEASE:
			WRITE_ONCE(session->nexus, order.epoch);
			smp_store_release(&session->released, true);
			glue_verify_kick(session);
			if (order.first)
				queue_work(glue_workqueue, &session->scan);
			break;
		case HAWSER_ORDER_SETTLED:
			WRITE_ONCE(session->settled, true);
			wake_up_all(&session->changed);
			break;
		case HAWSER_ORDER_ENDED:
			session->end_error = order.error;
			session->end_detail = order.detail;
			control_say_end(session);
			/* Who waits for the end reads there what each portal said last. */
			control_publish(session);
			smp_store_release(&session->ended, true);
			wake_up_all(&session->changed);
			break;
		default:
			control_tell(session, &order);
		}
	}
}

/* Since when it is so; 0: it is not. */
static u64 control_since(bool is_so, u64 since_ms, u64 now_ms)
{
	if (!is_so)
		return 0;
	return since_ms ? since_ms : now_ms;
}

static void control_note_use(struct glue_session *session, u64 now_ms)
{
	bool shut = !session->released;
	bool waits = shut || (READ_ONCE(session->luns_held) && READ_ONCE(session->parked));

	session->shut_ms = control_since(shut, session->shut_ms, now_ms);
	session->waits_ms = control_since(waits, session->waits_ms, now_ms);
}

/*
 * The grace of a shutdown, or of a disconnect, is a bound on everything; so is that of a machine
 * that leaves, on a target that is away.
 */
static u64 control_mind_grace(struct glue_session *session, u64 now_ms)
{
	u64 grace_ends_ms = READ_ONCE(session->grace_ends_ms);
	u64 leave_ends_ms = glue_leave_deadline(session);
	u64 ends_ms = min(grace_ends_ms ? grace_ends_ms : HAWSER_NEVER, leave_ends_ms);
	bool left;

	if (session->failing || READ_ONCE(session->left))
		return HAWSER_NEVER;
	if (now_ms < ends_ms)
		return ends_ms;
	/* By reboot(2) somebody has unmounted the root, or did not want to; before, nobody has. */
	left = !grace_ends_ms && session->options.root;
	WRITE_ONCE(session->failing, true);
	dev_emerg(&session->dev,
		  "no answer from %s within %u s of grace: every command fails from now on%s\n",
		  session->options.target_name, session->options.grace_ms / 1000,
		  left || glue_shutdown_dirty(session) ? "; THE DISK WAS NOT FLUSHED" : "");
	hawser_session_abandon(session->engine, now_ms);
	control_take_orders(session);
	if (left)
		glue_leave_root_lost();
	return HAWSER_NEVER;
}

/* fail_after=: a caller that has another way is not kept waiting for ever. */
static u64 control_mind_patience(struct glue_session *session, u64 now_ms)
{
	u64 ends_ms;

	if (session->released || !session->options.fail_after_ms) {
		if (session->given_up)
			dev_notice(&session->dev, "the session is back: commands go on\n");
		session->given_up = false;
		return HAWSER_NEVER;
	}
	ends_ms = session->shut_ms + session->options.fail_after_ms;
	if (now_ms < ends_ms)
		return ends_ms;
	if (!session->given_up && READ_ONCE(session->scanned))
		dev_err(&session->dev, "no session for %u s: commands fail until it is back\n",
			session->options.fail_after_ms / 1000);
	session->given_up = READ_ONCE(session->scanned);
	return HAWSER_NEVER;
}

static void control_set_gate(struct glue_session *session)
{
	enum glue_gate gate = GATE_CLOSED;

	if (session->failing)
		gate = GATE_FAILED;
	else if (session->given_up)
		gate = GATE_GIVEN_UP;
	else if (session->released && !READ_ONCE(session->held) && !READ_ONCE(session->resetting))
		gate = GATE_OPEN;
	/* Who finds it open sees which LUNs are held. */
	smp_store_release(&session->gate, gate);
}

/*
 * The nexus is lost: before an order goes out that may lead to a new one, no command may go there
 * but past the verifier.
 */
static void control_mind_loss(struct glue_session *session)
{
	struct hawser_session_snapshot snapshot;

	if (!session->released)
		return;
	hawser_session_read(session->engine, &snapshot);
	if (snapshot.state == HAWSER_SESSION_LOGGED_IN)
		return;
	WRITE_ONCE(session->released, false);
	glue_luns_hold(session);
	control_set_gate(session);
}

/* A hardware queue whose own connection takes no commands uses another one, in turn. */
static void control_set_route(struct glue_session *session)
{
	u32 count = session->options.connection_count;
	u8 accepting[HAWSER_CONNECTIONS_MAX];
	u32 i, found = 0, next = 0;

	for (i = 0; i < count; i++) {
		if (READ_ONCE(session->connections[i].accepting))
			accepting[found++] = i;
	}
	for (i = 0; i < count; i++) {
		u32 index = i;

		if (found && !READ_ONCE(session->connections[i].accepting))
			index = accepting[next++ % found];
		WRITE_ONCE(session->route[i], index);
	}
}

/* Returns when the next turn is due. */
static u64 control_turn(struct glue_session *session)
{
	u64 now_ms = glue_now_ms();
	u64 due_ms;

	control_take_reports(session, now_ms);
	control_take_requests(session, now_ms);
	if (hawser_session_poll_timeout(session->engine) <= now_ms)
		hawser_session_handle_timeout(session->engine, now_ms);
	control_mind_loss(session);
	control_take_orders(session);
	control_publish(session);
	control_note_use(session, now_ms);
	due_ms = control_mind_grace(session, now_ms);
	due_ms = min(due_ms, control_mind_patience(session, now_ms));
	control_set_gate(session);
	control_set_route(session);
	due_ms = min(due_ms, glue_luns_mind(session, now_ms));
	due_ms = min(due_ms, glue_park_release(session, now_ms));
	return min(due_ms, hawser_session_poll_timeout(session->engine));
}

int glue_control_thread(void *data)
{
	struct glue_session *session = data;
	unsigned int noio = memalloc_noio_save();
	u64 due_ms;

	while (!kthread_should_stop()) {
		clear_bit(EVENT_KICK, &session->events);
		smp_mb__after_atomic(); /* what was queued before the kick is seen below */
		due_ms = control_turn(session);
		smp_store_release(&session->turns, session->turns + 1);
		set_current_state(TASK_IDLE);
		if (!test_bit(EVENT_KICK, &session->events) && !kthread_should_stop())
			schedule_timeout(glue_timeout(glue_now_ms(), due_ms));
		__set_current_state(TASK_RUNNING);
		cond_resched();
	}
	memalloc_noio_restore(noio);
	return 0;
}
