// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The park: commands that no connection may carry just now. They came back from a dead connection,
 * came in while none was logged in, or wait because the target said "later".
 *
 * Anybody parks; only the control thread takes out. A parker kicks the control thread after
 * parking, so that a gate which opened meanwhile is seen.
 */
#include "glue.h"

void glue_park_add(struct glue_session *session, struct glue_slot *slot, u64 ready_ms)
{
	unsigned long flags;

	slot->ready_ms = ready_ms;
	spin_lock_irqsave(&session->park_lock, flags);
	list_add_tail(&slot->entry, &session->park);
	slot->parked = true;
	smp_store_release(&slot->owner, 0);
	WRITE_ONCE(session->parked, session->parked + 1);
	spin_unlock_irqrestore(&session->park_lock, flags);
}

/*
 * Takes a command out for good, if it is parked. True: the command is nobody's now, or was so
 * before (parking and taking it out both happen under the lock, so there is no moment between).
 * Otherwise *owner says who has it. What came back at ErrorRecoveryLevel 2 is still the target's,
 * and stays until a connection has taken it up again.
 */
bool glue_park_take(struct glue_session *session, struct glue_slot *slot, u8 *owner)
{
	bool recovers = READ_ONCE(session->snapshot.keys.error_recovery_level) == 2;
	unsigned long flags;

	spin_lock_irqsave(&session->park_lock, flags);
	/* In another nexus it is begun anew, and nobody's meanwhile. */
	recovers &= slot->nexus == READ_ONCE(session->nexus) &&
		    slot->reinstatements == READ_ONCE(session->snapshot.reinstatements);
	if (slot->parked && slot->came_back && recovers) {
		spin_unlock_irqrestore(&session->park_lock, flags);
		*owner = GLUE_OWNER_MOVING;
		return false;
	}
	if (slot->parked) {
		slot->parked = false;
		list_del_init(&slot->entry);
		WRITE_ONCE(session->parked, session->parked - 1);
	}
	*owner = smp_load_acquire(&slot->owner);
	spin_unlock_irqrestore(&session->park_lock, flags);
	return !*owner;
}

/* FATE_NO_PATH is what dm-multipath takes another path for. */
static void park_fail(struct glue_slot *slot, struct glue_session *session,
		      enum glue_lun_fate fate)
{
	struct scsi_cmnd *command = slot->command;
	struct glue_own *own = slot->own;
	bool lost = glue_eh_owns(slot);

	if (command) {
		if (session->gate != GATE_FAILED && session->gate != GATE_GIVEN_UP)
			glue_lun_note_failed(session, slot);
		command->result = (fate == FATE_GONE ? DID_NO_CONNECT : DID_TRANSPORT_FAILFAST) <<
				  16;
	}
	smp_store_release(&slot->owner, 0);
	if (!command)
		glue_own_fail(own);
	else if (!lost) /* else error handling may already have sent it anew */
		scsi_done(command);
}

/* Of the session and of the LUN; the driver's own commands pass a closed gate. */
static enum glue_lun_fate park_fate(const struct glue_session *session,
				    const struct glue_slot *slot)
{
	enum glue_lun_fate fate;

	if (session->gate == GATE_FAILED)
		return FATE_GONE;
	if (!slot->command)
		return FATE_GO;
	if (session->gate == GATE_GIVEN_UP)
		return FATE_NO_PATH;
	fate = glue_lun_fate(slot);
	return fate == FATE_GO && session->gate == GATE_CLOSED ? FATE_HOLD : fate;
}

static struct glue_connection *park_next_accepting(struct glue_session *session, u32 *next)
{
	u32 i;

	for (i = 0; i < session->options.connection_count; i++) {
		u32 index = (*next + i) % session->options.connection_count;

		if (READ_ONCE(session->connections[index].accepting)) {
			*next = index + 1;
			return &session->connections[index];
		}
	}
	return NULL;
}

/*
 * Hands the commands whose time has come to the connections that are logged in, evenly; or fails
 * them all. Returns when the next one is due.
 */
u64 glue_park_release(struct glue_session *session, u64 now_ms)
{
	struct glue_slot *slot, *following;
	u64 due_ms = HAWSER_NEVER;
	LIST_HEAD(going);
	u32 next = 0;

	spin_lock_irq(&session->park_lock);
	list_for_each_entry_safe(slot, following, &session->park, entry) {
		enum glue_lun_fate fate = park_fate(session, slot);

		if (fate == FATE_HOLD)
			continue;
		if (fate == FATE_GO && slot->ready_ms > now_ms) {
			due_ms = min(due_ms, slot->ready_ms);
			continue;
		}
		list_move_tail(&slot->entry, &going);
		slot->parked = false;
		WRITE_ONCE(slot->owner, GLUE_OWNER_MOVING);
		WRITE_ONCE(session->parked, session->parked - 1);
	}
	spin_unlock_irq(&session->park_lock);

	list_for_each_entry_safe(slot, following, &going, entry) {
		enum glue_lun_fate fate = park_fate(session, slot);
		struct glue_connection *connection;

		list_del_init(&slot->entry);
		if (fate > FATE_HOLD) {
			park_fail(slot, session, fate);
			continue;
		}
		connection = park_next_accepting(session, &next);
		if (!connection) {
			/* A connection that starts to accept kicks us. */
			glue_park_add(session, slot, slot->ready_ms);
			continue;
		}
		WRITE_ONCE(slot->owner, connection->index + 1);
		if (llist_add(&slot->inbox, &connection->inbox))
			glue_connection_kick(connection);
	}
	return due_ms;
}
