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
 * Copies the designators of the logical unit to out (GLUE_OWN_BYTES long); returns how many bytes
 * they are. length: of what has come; a page that says more of itself is cut off there.
 */
static u32 identity_gather(const u8 *page, u32 length, u8 *out)
{
	u32 at = IDENTITY_HEADER, gathered = 0, whole;

	if (length < IDENTITY_HEADER || page[1] != 0x83)
		return 0;
	length = min_t(u32, length, IDENTITY_HEADER + (page[2] << 8 | page[3]));
	for (; at + IDENTITY_HEADER <= length; at += whole) {
		whole = IDENTITY_HEADER + page[at + 3];
		if (at + whole > length || gathered + whole > GLUE_OWN_BYTES)
			break;
		if (page[at + 1] & IDENTITY_ASSOCIATION)
			continue;
		memcpy(out + gathered, page + at, whole);
		gathered += whole;
	}
	return gathered;
}

/* From what the mid-layer has asked at the scan. Afterwards only glue_identity_compare looks. */
void glue_identity_remember(struct scsi_device *sdev)
{
	struct glue_disk *disk = sdev->hostdata;
	const struct scsi_vpd *vpd;

	if (disk->identity_length)
		return;
	rcu_read_lock();
	vpd = rcu_dereference(sdev->vpd_pg83);
	if (vpd) /* no more of it than our own question brings */
		disk->identity_length = identity_gather(vpd->data,
							min_t(u32, vpd->len, GLUE_OWN_BYTES),
							disk->identity);
	rcu_read_unlock();
}

/* own: an INQUIRY of page 0x83 that the target has answered. */
enum glue_identity glue_identity_compare(const struct glue_disk *disk, const struct glue_own *own)
{
	u8 identity[GLUE_OWN_BYTES];
	u32 length;

	if (own->result) {
		/* 24/00, 20/00: it is there, but has no such page. Anything else may pass. */
		if (own->sense_key != ILLEGAL_REQUEST || (own->asc != 0x24 && own->asc != 0x20))
			return IDENTITY_ABSENT;
		return disk->identity_length ? IDENTITY_DIFFERENT : IDENTITY_SAME;
	}
	if (!own->received || own->data[0] & IDENTITY_QUALIFIER)
		return IDENTITY_ABSENT;
	if (!disk->identity_length)
		return IDENTITY_SAME;
	length = identity_gather(own->data, own->received, identity);
	if (length != disk->identity_length || memcmp(identity, disk->identity, length))
		return IDENTITY_DIFFERENT;
	return IDENTITY_SAME;
}
