// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The I/O thread of a connection. It alone touches the engine's connection and the socket: it sends
 * and receives, in turns of about a millisecond, and takes no lock for a command.
 *
 * What reaches it: orders of the control thread (a ring), commands (a lock-free inbox), events of
 * the socket. What leaves it: reports (a ring), finished commands, parked commands. It runs without
 * signals, never starts reclaim that could wait for its own disk (noio), and is idle, not
 * uninterruptible, while it waits.
 */
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <net/tcp.h>

#include "glue.h"

#define CONNECTION_RETRY_MS_MIN 20
#define CONNECTION_RETRY_MS_MAX 1000
#define CONNECTION_POLL_MS 2

/* Any context. */
void glue_connection_kick(struct glue_connection *connection)
{
	if (!test_and_set_bit(EVENT_KICK, &connection->events))
		wake_up_process(connection->thread);
}

/* The socket is of no use any more: tell the engine, once. */
void glue_connection_fail(struct glue_connection *connection, u32 error, int err, u64 now_ms)
{
	connection->wants |= hawser_connection_handle_disconnected(connection->engine, error,
								   abs(err), now_ms);
}

static void connection_park(struct glue_connection *connection, struct glue_slot *slot,
			    u64 ready_ms)
{
	glue_park_add(connection->session, slot, ready_ms);
	glue_session_kick(connection->session);
}

static void connection_publish_ends(struct glue_connection *connection,
				    const struct hawser_portal *portal)
{
	struct glue_session *session = connection->session;
	struct glue_ends ends = { .portal = *portal };
	unsigned long flags;

	strscpy(ends.nic, portal->nic, sizeof(ends.nic));
	spin_lock_irqsave(&session->lock, flags);
	connection->ends = ends;
	spin_unlock_irqrestore(&session->lock, flags);
}

static void connection_open(struct glue_connection *connection, const struct hawser_order *order,
			    u64 now_ms)
{
	unsigned int noreclaim;
	int err;

	if (WARN_ON_ONCE(connection->socket))
		glue_socket_close(connection);
	connection_publish_ends(connection, &order->where);
	connection->wants |= hawser_connection_start_connect(connection->engine, order, now_ms);
	noreclaim = memalloc_noreclaim_save();
	err = glue_socket_open(connection, &order->where);
	memalloc_noreclaim_restore(noreclaim);
	if (err)
		glue_connection_fail(connection, HAWSER_ERROR_CONNECT_FAILED, err, now_ms);
}

static void connection_take_orders(struct glue_connection *connection, u64 now_ms)
{
	struct hawser_connection *engine = connection->engine;
	struct hawser_order order;

	while (glue_ring_get(&connection->orders, &order)) {
		switch (order.kind) {
		case HAWSER_ORDER_CONNECT:
			connection_open(connection, &order, now_ms);
			break;
		case HAWSER_ORDER_DRAIN:
			connection->wants |= hawser_connection_drain(engine, order.epoch,
								     order.deadline_ms, now_ms);
			break;
		case HAWSER_ORDER_CLOSE:
			connection->wants |= hawser_connection_abandon(engine, now_ms);
			break;
		case HAWSER_ORDER_RECOVER:
			connection->wants |= hawser_connection_recover(engine, order.cid, now_ms);
			break;
		case HAWSER_ORDER_PROCEED:
			connection->wants |= hawser_connection_proceed(engine);
			break;
		case HAWSER_ORDER_LOGOUT:
			connection->wants |= hawser_connection_logout(engine, order.logout_reason,
								      now_ms);
			break;
		case HAWSER_ORDER_CONCLUDE:
			connection->wants |= hawser_connection_conclude(engine, order.epoch,
									&order.scope);
			break;
		case HAWSER_ORDER_TRY_ORDER:
			connection->wants |= hawser_connection_try_order(engine, order.epoch,
									 order.cid, now_ms);
			break;
		case HAWSER_ORDER_SEND_TARGETS:
			connection->wants |= hawser_connection_send_targets(engine, order.epoch,
									    now_ms);
			break;
		}
	}
}

static void connection_take_commands(struct glue_connection *connection)
{
	struct glue_session *session = connection->session;
	struct llist_node *node = llist_del_all(&connection->inbox);
	struct glue_slot *slot, *following;
	struct hawser_command command;

	if (!node)
		return;
	node = llist_reverse_order(node);
	llist_for_each_entry_safe(slot, following, node, inbox) {
		bool open = smp_load_acquire(&session->gate) == GATE_OPEN || !slot->command;

		open &= !glue_lun_holds(slot->command);
		if (slot->once && !slot->came_back && glue_eh_owns(slot))
			open = false; /* its time is over: glue_eh_abort takes it */
		if (!open || !hawser_connection_accepts(connection->engine)) {
			connection_park(connection, slot, 0);
			continue;
		}
		if (glue_passthrough_is_late(session, slot)) {
			glue_passthrough_end(slot, DID_TRANSPORT_DISRUPTED);
			list_add_tail(&slot->entry, &connection->finished);
			continue;
		}
		glue_scatter_start(slot);
		slot->zero_copied = false;
		glue_host_describe(session, slot - session->slots, &command);
		connection->wants |=
			slot->came_back ? hawser_connection_resume(connection->engine, &command) :
					  hawser_connection_submit(connection->engine, &command);
		slot->came_back = false;
	}
}

/* The position up to which the target's TCP has all. Only this thread moves write_seq. */
static u64 connection_acknowledged(const struct glue_connection *connection)
{
	const struct tcp_sock *tp = tcp_sk(connection->socket->sk);

	return glue_acknowledged(connection->sent, READ_ONCE(tp->write_seq),
				 READ_ONCE(tp->snd_una));
}

/* R10: TCP may still read a WRITE's pages while it has not got an acknowledgement of them. */
static bool connection_is_unacknowledged(struct glue_connection *connection, struct glue_slot *slot)
{
	if (!slot->zero_copied || !connection->socket)
		return false;
	return connection_acknowledged(connection) < slot->sent_end;
}

static void connection_take_completions(struct glue_connection *connection, u64 now_ms)
{
	struct glue_session *session = connection->session;
	struct hawser_completion completion;

	while (hawser_connection_poll_completion(connection->engine, &completion)) {
		struct glue_slot *slot = &session->slots[completion.tag];
		u32 wait_ms;

		if (glue_result(session, slot, &completion) == GLUE_DELIVER) {
			list_add_tail(&slot->entry, connection_is_unacknowledged(connection, slot) ?
						    &connection->unacknowledged :
						    &connection->finished);
			continue;
		}
		wait_ms = min(CONNECTION_RETRY_MS_MIN << min_t(u16, slot->attempts, 8),
			      CONNECTION_RETRY_MS_MAX);
		slot->attempts = min(slot->attempts + 1, U16_MAX);
		connection_park(connection, slot, now_ms + wait_ms);
	}
}

/* Gives finished commands back. Runs without the socket's lock. */
static void connection_finish(struct glue_connection *connection)
{
	struct glue_slot *slot, *following;

	list_for_each_entry_safe(slot, following, &connection->unacknowledged, entry) {
		if (!connection_is_unacknowledged(connection, slot))
			list_move_tail(&slot->entry, &connection->finished);
	}
	while ((slot = list_first_entry_or_null(&connection->finished, struct glue_slot, entry))) {
		struct scsi_cmnd *command = slot->command;
		bool lost = glue_eh_owns(slot);
		struct glue_own *own = slot->own;

		list_del_init(&slot->entry); /* R1: not ours from here on */
		smp_store_release(&slot->owner, 0);
		if (!command)
			glue_own_done(own);
		else if (!lost) /* else error handling may already have sent it anew */
			scsi_done(command);
	}
}

static void connection_close(struct glue_connection *connection, u64 now_ms)
{
	struct glue_session *session = connection->session;
	unsigned int noreclaim = memalloc_noreclaim_save();
	struct hawser_parked parked;

	glue_socket_close(connection);
	memalloc_noreclaim_restore(noreclaim);
	connection->wants &= ~(HAWSER_WANT_CLOSE | HAWSER_WANT_FIN);
	connection->wants |= hawser_connection_handle_closed(connection->engine, now_ms);
	while (hawser_connection_poll_parked(connection->engine, &parked)) {
		struct glue_slot *slot = &session->slots[parked.tag];
		u32 wait_ms;

		slot->came_back = true;
		slot->nexus = READ_ONCE(session->nexus);
		slot->reinstatements = READ_ONCE(session->snapshot.reinstatements);
		slot->sent = parked.sent;
		if (parked.sent)
			glue_lun_note_lost(slot);
		if (glue_passthrough_lost(session, slot, &parked, &wait_ms) == GLUE_DELIVER)
			list_add_tail(&slot->entry, &connection->finished);
		else
			connection_park(connection, slot, wait_ms ? now_ms + wait_ms : 0);
	}
	connection->wants |= HAWSER_WANT_REPORT;
}

static void connection_report(struct glue_connection *connection)
{
	struct glue_session *session = connection->session;
	struct hawser_report report;
	unsigned long flags;

	while (!kfifo_is_full(&connection->reports)) {
		if (!hawser_connection_poll_report(connection->engine, &report)) {
			connection->wants &= ~HAWSER_WANT_REPORT;
			break;
		}
		if (report.kind == HAWSER_REPORT_LOGGED_IN) {
			spin_lock_irqsave(&session->lock, flags);
			connection->keys = report.keys;
			spin_unlock_irqrestore(&session->lock, flags);
		}
		kfifo_put(&connection->reports, report);
	}
	/* A full ring: the control thread kicks us when it has read. */
	glue_session_kick(session);
}

static void connection_wake_waiters(struct glue_session *session)
{
	unsigned long waiters = hawser_session_window_waiters(session->engine);
	u32 index;

	for_each_set_bit(index, &waiters, session->options.connection_count)
		glue_connection_kick(&session->connections[index]);
}

/* Does what the engine wanted since the last time. */
static void connection_act(struct glue_connection *connection, u64 now_ms)
{
	struct hawser_overdue overdue;

	while (connection->wants & HAWSER_WANT_CHAP) {
		connection->wants &= ~HAWSER_WANT_CHAP;
		connection->wants |= glue_chap_answer(connection, now_ms);
	}
	if (connection->wants & HAWSER_WANT_COMPLETION) {
		connection->wants &= ~HAWSER_WANT_COMPLETION;
		connection_take_completions(connection, now_ms);
	}
	if (connection->wants & HAWSER_WANT_MANAGED) {
		connection->wants &= ~HAWSER_WANT_MANAGED;
		connection_finish(connection);
		if (hawser_connection_poll_managed(connection->engine, &connection->managed)) {
			complete(&connection->manage_done);
			glue_verify_kick(connection->session);
		}
	}
	if (connection->wants & HAWSER_WANT_OVERDUE) {
		connection->wants &= ~HAWSER_WANT_OVERDUE;
		while (hawser_connection_poll_overdue(connection->engine, &overdue))
			glue_passthrough_say_overdue(connection, &overdue);
	}
	if (connection->wants & HAWSER_WANT_TAKE_IN) {
		connection->wants &= ~HAWSER_WANT_TAKE_IN;
		connection->fence = glue_fence_ticket();
	}
	if (connection->wants & HAWSER_WANT_FIN) {
		connection->wants &= ~HAWSER_WANT_FIN;
		glue_socket_finish(connection);
	}
	/* After a FIN of ours the close is an orderly one. */
	if (connection->wants & HAWSER_WANT_CLOSE)
		connection_close(connection, now_ms);
	if (connection->wants & HAWSER_WANT_REPORT)
		connection_report(connection);
	if (connection->wants & HAWSER_WANT_WAKE) {
		connection->wants &= ~HAWSER_WANT_WAKE;
		connection_wake_waiters(connection->session);
	}
	connection->wants &= ~(HAWSER_WANT_TIMEOUT | HAWSER_WANT_PLACEMENT);
	connection_finish(connection);
}

static void connection_publish_accepting(struct glue_connection *connection)
{
	bool accepting = hawser_connection_accepts(connection->engine);

	if (accepting == connection->accepting)
		return;
	WRITE_ONCE(connection->accepting, accepting);
	glue_session_kick(connection->session);
}

/* What became of the socket, once all that it had received is read. */
static void connection_check(struct glue_connection *connection, u64 now_ms)
{
	u32 error = HAWSER_ERROR_CONNECTION_RESET;
	int news = glue_socket_check(connection);

	if (!news)
		return;
	if (news > 0) {
		connection->connected = true;
		connection->wants |= hawser_connection_handle_connected(connection->engine, now_ms);
		return;
	}
	if (!connection->connected)
		error = HAWSER_ERROR_CONNECT_FAILED;
	else if (news == -EPIPE)
		error = HAWSER_ERROR_CLOSED_BY_TARGET;
	glue_connection_fail(connection, error, news == -EPIPE ? 0 : news, now_ms);
}

/*
 * Whether bytes are under way, or would be if the path took them: the route of a NIC that is down
 * takes none. What the target's window keeps back is its slowness, and no silence.
 */
static bool connection_is_under_way(const struct tcp_sock *tp)
{
	u32 next = READ_ONCE(tp->snd_nxt);

	return READ_ONCE(tp->packets_out) ||
	       (READ_ONCE(tp->write_seq) != next && before(next, tcp_wnd_end(tp)));
}

/* What TCP gets acknowledged tells a silent link from a slow target. */
static void connection_watch_progress(struct glue_connection *connection, u64 now_ms)
{
	const struct tcp_sock *tp = tcp_sk(connection->socket->sk);
	u32 acknowledged = READ_ONCE(tp->snd_una);

	if (!connection_is_under_way(tp))
		connection->unacknowledged_ms = HAWSER_NEVER;
	else if (connection->unacknowledged_ms == HAWSER_NEVER ||
		 acknowledged != connection->acknowledged)
		connection->unacknowledged_ms = now_ms;
	connection->acknowledged = acknowledged;
	connection->wants |= hawser_connection_handle_unacknowledged(
		connection->engine, connection->unacknowledged_ms);
	/* Each turn sends what there is: to be told so would only begin the next turn. */
	connection->wants |= hawser_connection_handle_queued(
				     connection->engine,
				     glue_queued(READ_ONCE(tp->write_seq), acknowledged), now_ms) &
			     ~HAWSER_WANT_TRANSMIT;
}

static void connection_watch_link(struct glue_connection *connection, u64 now_ms)
{
	bool passed = connection->fence && glue_fence_has_passed(connection->fence);

	/* After the fence: what came before it counts. */
	connection_watch_progress(connection, now_ms);
	if (!passed)
		return;
	connection->fence = 0;
	connection->wants |= hawser_connection_handle_taken_in(connection->engine);
}

static bool connection_can_send(const struct glue_connection *connection)
{
	return connection->socket && connection->connected &&
	       !(connection->wants & HAWSER_WANT_CLOSE);
}

/* One turn; true: there is more to do at once. */
static bool connection_turn(struct glue_connection *connection)
{
	u64 now_ms = glue_now_ms();
	bool more = false;

	connection_take_orders(connection, now_ms);
	connection_take_commands(connection);
	if (test_and_clear_bit(EVENT_MANAGE, &connection->events))
		connection->wants |= hawser_connection_manage(connection->engine,
							      &connection->manage, now_ms);
	if (connection->socket)
		more = glue_transfer_receive(connection, now_ms);
	if (test_and_clear_bit(EVENT_NIC_GONE, &connection->events) && connection->socket)
		glue_connection_fail(connection, HAWSER_ERROR_CONNECTION_RESET, ENETDOWN, now_ms);
	if (connection->socket && connection->connected)
		connection_watch_link(connection, now_ms);
	if (hawser_connection_poll_timeout(connection->engine) <= now_ms)
		connection->wants |= hawser_connection_handle_timeout(connection->engine, now_ms);
	connection_act(connection, now_ms);
	if (connection->socket && !more)
		connection_check(connection, now_ms);
	if (connection_can_send(connection))
		more |= glue_transfer_send(connection, now_ms);
	/* All was sent, or write_space or an opened window will kick, or we come back at once. */
	connection->wants &= ~HAWSER_WANT_TRANSMIT;
	connection_act(connection, now_ms);
	if (connection->socket && connection->connected) /* for the time of the next look */
		connection_watch_progress(connection, now_ms);
	connection_publish_accepting(connection);
	if (connection->wants & HAWSER_WANT_TRANSMIT && connection_can_send(connection))
		more = true;
	return more;
}

static void connection_sleep(struct glue_connection *connection)
{
	u64 now_ms = glue_now_ms();
	u64 deadline_ms = hawser_connection_poll_timeout(connection->engine);

	if (!list_empty(&connection->unacknowledged) || connection->fence)
		deadline_ms = min(deadline_ms, now_ms + CONNECTION_POLL_MS);
	set_current_state(TASK_IDLE);
	if (!test_bit(EVENT_KICK, &connection->events) && !kthread_should_stop())
		schedule_timeout(glue_timeout(now_ms, deadline_ms));
	__set_current_state(TASK_RUNNING);
}

int glue_connection_thread(void *data)
{
	struct glue_connection *connection = data;
	unsigned int noio = memalloc_noio_save();

	set_user_nice(current, MIN_NICE);
	while (!kthread_should_stop()) {
		clear_bit(EVENT_KICK, &connection->events);
		smp_mb__after_atomic(); /* what was queued before the kick is seen below */
		if (connection_turn(connection))
			cond_resched();
		else
			connection_sleep(connection);
	}
	glue_socket_close(connection);
	memalloc_noio_restore(noio);
	return 0;
}
