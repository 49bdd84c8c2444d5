// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The mid-layer's error handling, as task management of the engine.
 *
 * A command that timed out belongs to the mid-layer again (SCMD_STATE_COMPLETE is set, and its
 * scsi_done would be ignored), but its slot may still be in a connection or in the park. A handler
 * says SUCCESS only when the slot is nobody's: the same tag, with the same pages, comes back by
 * queuecommand right after that.
 *
 * A reset concerns whole logical units. Meanwhile the gate is closed, so that no command goes out
 * of which nobody knew whether it is hit too; commands that a reset ended on somebody else's
 * account are parked and sent again (result.c).
 */
#include <linux/delay.h>
#include <scsi/scsi_eh.h>

#include "glue.h"

#define EH_POLL_MS 5
#define EH_MARGIN_MS 2000 /* beyond the engine's own timeouts: for threads to get to run */
#define EH_SESSION_MS 60000 /* until a session that starts anew has let go of its commands */
#define EH_NO_TAG HAWSER_QUEUE_DEPTH_MAX

/* Whether error handling has the command, for which the mid-layer wants no scsi_done any more. */
bool glue_eh_owns(const struct glue_slot *slot)
{
	return slot->command && test_bit(SCMD_STATE_COMPLETE, &slot->command->state);
}

static struct glue_slot *eh_slot(struct glue_session *session, struct scsi_cmnd *command)
{
	int tag = scsi_cmd_to_rq(command)->tag;

	if (tag < 0 || tag >= session->depth || session->slots[tag].command != command)
		return NULL; /* never came to us, or the command of an ioctl's reset */
	return &session->slots[tag];
}

/* Under session->manage. It ends in manage_done, in time: the engine sees to that. */
void glue_eh_manage(struct glue_connection *connection,
		    const struct hawser_task_management *request)
{
	lockdep_assert_held(&connection->session->manage);
	reinit_completion(&connection->manage_done);
	connection->manage = *request;
	smp_mb__before_atomic(); /* set_bit alone publishes nothing */
	set_bit(EVENT_MANAGE, &connection->events);
	glue_connection_kick(connection);
}

/*
 * Under session->eh, for the time of one function under session->manage too: the verifier has its
 * resets between ours, since what error handling waits for may be held until then. False: the
 * connection's thread does not run any more.
 */
static bool eh_manage(struct glue_connection *connection,
		      const struct hawser_task_management *request, u32 timeout_ms,
		      struct hawser_managed *managed)
{
	struct glue_session *session = connection->session;
	bool done;

	lockdep_assert_held(&session->eh);
	mutex_lock(&session->manage);
	glue_eh_manage(connection, request);
	done = wait_for_completion_timeout(&connection->manage_done,
					   msecs_to_jiffies(timeout_ms + EH_MARGIN_MS));
	*managed = connection->managed;
	mutex_unlock(&session->manage);
	return done;
}

/* Waits until what each connection's thread has finished was given to scsi_done. */
static void eh_barrier(struct glue_session *session)
{
	struct hawser_task_management nothing = { .function = HAWSER_FUNCTION_ABORT_TASK,
						  .tag = EH_NO_TAG };
	struct hawser_managed managed;
	u32 i;

	for (i = 0; i < session->options.connection_count; i++)
		eh_manage(&session->connections[i], &nothing, 0, &managed);
}

/* Under session->eh. */
static bool eh_abort(struct glue_session *session, struct glue_slot *slot)
{
	struct hawser_task_management request = { .function = HAWSER_FUNCTION_ABORT_TASK,
						  .tag = slot - session->slots };
	u32 timeout_ms = session->options.abort_timeout_ms;
	u64 deadline_ms = glue_now_ms() + timeout_ms + EH_MARGIN_MS;
	struct glue_connection *connection;
	struct hawser_managed managed;
	u8 owner;

	lockdep_assert_held(&session->eh);
	while (!glue_park_take(session, slot, &owner)) {
		if (glue_now_ms() >= deadline_ms)
			return false;
		if (owner == GLUE_OWNER_MOVING) {
			msleep(EH_POLL_MS);
			continue;
		}
		connection = &session->connections[owner - 1];
		if (!eh_manage(connection, &request, timeout_ms, &managed))
			return false;
		if (managed.error == HAWSER_ERROR_TASK_MANAGEMENT_TIMEOUT ||
		    managed.response > 1)
			return false;
		/* Aborted, or completed, or about to be parked: each takes a moment at most. */
		if (READ_ONCE(slot->owner) == owner)
			msleep(EH_POLL_MS);
	}
	eh_barrier(session);
	return true;
}

int glue_eh_abort(struct scsi_cmnd *command)
{
	struct glue_session *session = glue_session_of_host(command->device->host);
	struct glue_slot *slot = eh_slot(session, command);
	bool done;

	if (!slot)
		return SUCCESS;
	for (;;) {
		mutex_lock(&session->eh);
		done = eh_abort(session, slot);
		mutex_unlock(&session->eh);
		if (done || !slot->once)
			break;
		/* Never further up: that would hold the whole host. The ladder goes on with it. */
		msleep(1000);
	}
	if (slot->once)
		glue_passthrough_settle(session);
	scmd_printk(KERN_NOTICE, command, "timed out: %s\n", done ? "aborted" : "abort failed");
	return done ? SUCCESS : FAILED;
}

static bool eh_is_out(struct glue_session *session, struct glue_slot *slot)
{
	bool out;

	spin_lock_irq(&session->park_lock);
	out = slot->parked || !smp_load_acquire(&slot->owner);
	spin_unlock_irq(&session->park_lock);
	return out;
}

/* Until no connection has a command of this LUN, or of any (NULL). */
static bool eh_await_out(struct glue_session *session, const u64 *lun, u32 bound_ms)
{
	u64 deadline_ms = glue_now_ms() + bound_ms;
	u32 i;

	for (i = 0; i < session->depth; i++) {
		struct glue_slot *slot = &session->slots[i];

		while (!eh_is_out(session, slot) && (!lun || READ_ONCE(slot->lun) == *lun)) {
			if (glue_now_ms() >= deadline_ms)
				return false;
			msleep(EH_POLL_MS);
		}
	}
	return true;
}

static void eh_close_gate(struct glue_session *session, bool close)
{
	WRITE_ONCE(session->resetting, close);
	glue_session_kick(session);
	while (close && READ_ONCE(session->gate) == GATE_OPEN)
		msleep(EH_POLL_MS);
}

/* One that takes commands now, or NULL. */
struct glue_connection *glue_eh_connection(struct glue_session *session)
{
	u32 i;

	for (i = 0; i < session->options.connection_count; i++) {
		if (READ_ONCE(session->connections[i].accepting))
			return &session->connections[i];
	}
	return NULL;
}

/* Under session->eh. lun NULL: the whole target. */
static bool eh_reset(struct glue_session *session, const u64 *lun)
{
	struct hawser_task_management request = { .function = HAWSER_FUNCTION_TARGET_WARM_RESET };
	u32 timeout_ms = session->options.tgt_reset_timeout_ms;
	struct glue_connection *connection;
	struct hawser_managed managed;
	bool done = false;

	lockdep_assert_held(&session->eh);
	if (lun) {
		request.function = HAWSER_FUNCTION_LOGICAL_UNIT_RESET;
		int_to_scsilun(*lun, (struct scsi_lun *)request.lun);
		timeout_ms = session->options.lu_reset_timeout_ms;
	}
	eh_close_gate(session, true);
	connection = glue_eh_connection(session);
	if (connection && eh_manage(connection, &request, timeout_ms, &managed))
		done = !managed.error && !managed.response;
	if (done) {
		glue_luns_note_reset(session, lun);
		done = eh_await_out(session, lun, EH_MARGIN_MS);
	}
	eh_close_gate(session, false);
	dev_notice(&session->dev, "%s reset %s\n", lun ? "logical unit" : "target",
		   done ? "done" : "failed");
	return done;
}

/* Under session->eh. The last means: a new session. At the latest the close of the sockets, which
 * the engine bounds, brings every command back.
 */
static bool eh_reinstate(struct glue_session *session)
{
	bool out;

	lockdep_assert_held(&session->eh);
	dev_notice(&session->dev, "error handling starts the session anew\n");
	eh_close_gate(session, true);
	glue_session_request(session, REQUEST_REINSTATE);
	out = eh_await_out(session, NULL, EH_SESSION_MS);
	eh_close_gate(session, false);
	return out;
}

int glue_eh_device_reset(struct scsi_cmnd *command)
{
	struct glue_session *session = glue_session_of_host(command->device->host);
	u64 lun = command->device->lun;
	bool done;

	mutex_lock(&session->eh);
	done = eh_reset(session, &lun);
	mutex_unlock(&session->eh);
	return done ? SUCCESS : FAILED;
}

int glue_eh_target_reset(struct scsi_cmnd *command)
{
	struct glue_session *session = glue_session_of_host(command->device->host);
	bool done;

	mutex_lock(&session->eh);
	done = eh_reset(session, NULL);
	mutex_unlock(&session->eh);
	return done ? SUCCESS : FAILED;
}

int glue_eh_host_reset(struct scsi_cmnd *command)
{
	struct glue_session *session = glue_session_of_host(command->device->host);
	bool done;

	mutex_lock(&session->eh);
	done = eh_reinstate(session);
	mutex_unlock(&session->eh);
	return done ? SUCCESS : FAILED;
}

/* Gets these commands back from wherever they are, by stronger and stronger means. */
void glue_eh_settle(struct glue_session *session, struct list_head *commands)
{
	struct scsi_cmnd *command;
	u8 owner;

	mutex_lock(&session->eh);
	list_for_each_entry(command, commands, eh_entry) {
		struct glue_slot *slot = eh_slot(session, command);
		u64 lun = command->device->lun;

		if (!slot)
			continue;
		if (!glue_park_take(session, slot, &owner) && !eh_reset(session, &lun) &&
		    !eh_reset(session, NULL)) {
			while (!eh_reinstate(session))
				msleep(1000);
		}
		while (!glue_park_take(session, slot, &owner))
			msleep(EH_POLL_MS);
	}
	eh_barrier(session);
	mutex_unlock(&session->eh);
}
