// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CRC32C for the engine: the kernel's own, which uses the CPU's instruction where there is one.
 */
#include <linux/crc32c.h>
#include <linux/highmem.h>

#include "glue.h"

/* RFC 7143 13.1 complements before and after; the kernel's function does neither. */
u32 hawser_crc32c(u32 before, const u8 *bytes, u32 length)
{
	return ~crc32c(~before, bytes, length);
}

/* What was just sent out of a page. */
void glue_digest_sent(struct glue_connection *connection, struct page *page, u32 offset, u32 length)
{
	u8 *address = kmap_local_page(page);

	hawser_connection_digest_sent(connection->engine, address + offset, length);
	kunmap_local(address);
}
