// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands of the driver's own: the last SYNCHRONIZE CACHE, and the question who a LUN is.
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
	struct glue_own *own = &session->own[GLUE_OWN_VERIFY];
	u32 i;

	for (i = 0; i < GLUE_OWN_COUNT; i++) {
		init_completion(&session->own[i].done);
		session->slots[session->depth + i].own = &session->own[i];
	}
	own->data = kzalloc(GLUE_OWN_BYTES, GFP_KERNEL);
	if (!own->data)
		return -ENOMEM;
	sg_init_one(&own->scatter, own->data, GLUE_OWN_BYTES);
	return 0;
}

void glue_own_free(struct glue_session *session)
{
	kfree(session->own[GLUE_OWN_VERIFY].data);
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

void glue_own_fail(struct glue_own *own)
{
	own->result = -ENODEV;
	complete(&own->done);
}

/* Sleeps. Returns 0, -EIO: see own, or -ENODEV: the session was given up. */
int glue_own_run(struct glue_session *session, struct glue_own *own)
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
	slot->came_back = false;
	glue_park_add(session, slot, 0);
	glue_session_kick(session);
	wait_for_completion(&own->done);
	return own->result;
}
