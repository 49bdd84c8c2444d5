// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who a logical unit is: VPD page 0x83, SPC-4 7.8.6. Of its designators those count whose
 * association is the logical unit itself; those of the target and its ports may differ from one
 * connection to the next.
 */
#include <scsi/scsi_proto.h>

#include "glue.h"

#define IDENTITY_HEADER 4 /* of the page, and of each designator */
#define IDENTITY_ASSOCIATION 0x30
#define IDENTITY_QUALIFIER 0xe0

/*
 * Copies the designators of the logical unit. length: of what has come; a page that says more of
 * itself is cut off there.
 */
void glue_identity_gather(const u8 *page, u32 length, struct glue_designators *out)
{
	u32 at = IDENTITY_HEADER, whole;

	out->length = 0;
	if (length < IDENTITY_HEADER || page[1] != 0x83)
		return;
	length = min_t(u32, length, IDENTITY_HEADER + (page[2] << 8 | page[3]));
	for (; at + IDENTITY_HEADER <= length; at += whole) {
		whole = IDENTITY_HEADER + page[at + 3];
		if (at + whole > length || out->length + whole > sizeof(out->bytes))
			break;
		if (page[at + 1] & IDENTITY_ASSOCIATION)
			continue;
		memcpy(out->bytes + out->length, page + at, whole);
		out->length += whole;
	}
}

/* What an answer that is an error says of the LUN. */
static enum glue_identity identity_of_error(const struct glue_designators *known,
					    const struct glue_own *own)
{
	if (own->sense_key == NOT_READY)
		return IDENTITY_ABSENT;
	if (own->sense_key != ILLEGAL_REQUEST)
		return IDENTITY_LATER; /* UNIT ATTENTION, BUSY and their like pass */
	/* It is there, but has no such page. */
	if (own->asc == 0x24 || own->asc == 0x20)
		return known->length ? IDENTITY_DIFFERENT : IDENTITY_SAME;
	return IDENTITY_ABSENT;
}

/* own: an INQUIRY of page 0x83 that the target has answered. found: who is there. */
enum glue_identity glue_identity_compare(const struct glue_designators *known,
					 const struct glue_own *own,
					 struct glue_designators *found)
{
	found->length = 0;
	if (own->result)
		return identity_of_error(known, own);
	if (!own->received || own->data[0] & IDENTITY_QUALIFIER)
		return IDENTITY_ABSENT;
	glue_identity_gather(own->data, own->received, found);
	if (!known->length)
		return IDENTITY_SAME;
	if (found->length != known->length || memcmp(found->bytes, known->bytes, known->length))
		return IDENTITY_DIFFERENT;
	return IDENTITY_SAME;
}
