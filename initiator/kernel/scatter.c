// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A task's data as the mid-layer gave it: a scatter list. Bytes are placed into it and pages are
 * taken out of it at an offset; each direction remembers where it was, so that going on is cheap.
 */
#include <linux/highmem.h>
#include <linux/scatterlist.h>

#include "glue.h"

static struct scatterlist *scatter_first(struct glue_slot *slot)
{
	if (slot->command)
		return scsi_sglist(slot->command);
	return slot->own->data ? &slot->own->scatter : NULL;
}

/* The mid-layer has just given the command. */
void glue_scatter_start(struct glue_slot *slot)
{
	struct scatterlist *first = scatter_first(slot);

	slot->sending = (struct glue_cursor){ .segment = first };
	slot->receiving = (struct glue_cursor){ .segment = first };
}

/* Moves to the segment that holds offset; false: the list ends before it. */
static bool scatter_seek(struct glue_slot *slot, struct glue_cursor *cursor, u32 offset)
{
	if (offset < cursor->start)
		*cursor = (struct glue_cursor){ .segment = scatter_first(slot) };
	while (cursor->segment && offset - cursor->start >= cursor->segment->length) {
		cursor->start += cursor->segment->length;
		cursor->segment = sg_next(cursor->segment);
	}
	return cursor->segment;
}

/* The page that holds the byte at offset, and how many bytes follow in it, at most limit. */
static struct page *scatter_page(struct glue_slot *slot, struct glue_cursor *cursor, u32 offset,
				 u32 limit, u32 *page_offset, u32 *length)
{
	struct scatterlist *segment;
	u32 within;

	if (!scatter_seek(slot, cursor, offset))
		return NULL;
	segment = cursor->segment;
	within = offset - cursor->start;
	*page_offset = offset_in_page(segment->offset + within);
	*length = min3(limit, segment->length - within, (u32)PAGE_SIZE - *page_offset);
	return compat_page_after(sg_page(segment), (segment->offset + within) >> PAGE_SHIFT);
}

struct page *glue_scatter_page(struct glue_slot *slot, u32 offset, u32 limit, u32 *page_offset,
			       u32 *length)
{
	return scatter_page(slot, &slot->sending, offset, limit, page_offset, length);
}

/* False: the list ends before that. */
bool glue_scatter_read(struct glue_slot *slot, u32 offset, u8 *bytes, u32 length)
{
	while (length) {
		u32 page_offset, piece;
		struct page *page = scatter_page(slot, &slot->sending, offset, length,
						 &page_offset, &piece);

		if (WARN_ON_ONCE(!page))
			return false;
		memcpy_from_page(bytes, page, page_offset, piece);
		offset += piece;
		bytes += piece;
		length -= piece;
	}
	return true;
}

/* The engine has checked offset + length against the length that we gave it. */
void glue_scatter_copy(struct glue_slot *slot, u32 offset, const u8 *bytes, u32 length)
{
	while (length) {
		u32 page_offset, piece;
		struct page *page = scatter_page(slot, &slot->receiving, offset, length,
						 &page_offset, &piece);

		if (WARN_ON_ONCE(!page))
			return;
		memcpy_to_page(page, page_offset, bytes, piece);
		offset += piece;
		bytes += piece;
		length -= piece;
	}
}
