// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands of the driver's own: the last SYNCHRONIZE CACHE, and the questions who the LUNs are, of
 * which several may be out at once.
 *
 * Each has a slot beside those of the mid-layer, made with the session, and goes through the park,
 * which lets it by while the gate is closed for all others. It ends when the target has answered,
 * however often connections are lost meanwhile, or when the session is given up.
 */
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <scsi/scsi_common.h>

#include "glue.h"

int glue_own_allocate(struct glue_session *session)
{
	u32 i;

	for (i = 0; i < GLUE_OWN_COUNT; i++) {
		struct glue_own *own = &session->own[i];

		own->session = session;
		init_completion(&own->done);
		session->slots[session->depth + i].own = own;
		if (i < GLUE_OWN_VERIFY)
			continue;
		own->data = kzalloc(GLUE_OWN_BYTES, GFP_KERNEL);
		if (!own->data)
			return -ENOMEM;
		sg_init_one(&own->scatter, own->data, GLUE_OWN_BYTES);
	}
	return 0;
}

void glue_own_free(struct glue_session *session)
{
	u32 i;

	for (i = GLUE_OWN_VERIFY; i < GLUE_OWN_COUNT; i++)
		kfree(session->own[i].data);
}

void glue_own_describe(const struct glue_own *own, struct hawser_command *command)
{
	int_to_scsilun(own->lun, (struct scsi_lun *)command->lun);
	memcpy(command->cdb, own->cdb, own->cdb_length);
	command->cdb_length = own->cdb_length;
	command->direction = own->data ? HAWSER_DATA_READ : HAWSER_DATA_NONE;
	command->length = own->data ? GLUE_OWN_BYTES : 0;
}

/* What it came to. Whoever waits is woken when the slot is nobody's (connection.c, park.c). */
void glue_own_finish(struct glue_own *own, const struct hawser_completion *completion)
{
	struct scsi_sense_hdr sense;

	own->result = completion->response || completion->status ? -EIO : 0;
	own->status = completion->response ? 0xff : completion->status;
	own->received = own->data ? GLUE_OWN_BYTES : 0;
	if (completion->residual && !completion->overflow)
		own->received -= min(completion->residual, own->received);
	if (completion->sense_length &&
	    scsi_normalize_sense(completion->sense, completion->sense_length, &sense)) {
		own->sense_key = sense.sense_key;
		own->asc = sense.asc;
		own->ascq = sense.ascq;
	}
}

/* The slot is nobody's. */
void glue_own_done(struct glue_own *own)
{
	complete(&own->done);
	glue_verify_kick(own->session);
}

void glue_own_fail(struct glue_own *own)
{
	own->result = -ENODEV;
	glue_own_done(own);
}

/* It ends in own->done. */
void glue_own_start(struct glue_session *session, struct glue_own *own)
{
	struct glue_slot *slot = &session->slots[session->depth + (own - session->own)];

	own->sense_key = 0;
	own->asc = 0;
	own->ascq = 0;
	own->received = 0;
	reinit_completion(&own->done);
	slot->command = NULL;
	slot->lun = own->lun;
	slot->attempts = 0;
	slot->costs = 0;
	slot->came_back = false;
	glue_park_add(session, slot, 0);
	glue_session_kick(session);
}

/* Sleeps. Returns 0, -EIO: see own, or -ENODEV: the session was given up. */
int glue_own_run(struct glue_session *session, struct glue_own *own)
{
	glue_own_start(session, own);
	wait_for_completion(&own->done);
	return own->result;
}
