// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CRC32C for the engine: the kernel's own, which uses the CPU's instruction where there is one.
 */
#include <linux/crc32c.h>

#include "glue.h"

/* RFC 7143 13.1 complements before and after; the kernel's function does neither. */
u32 hawser_crc32c(u32 before, const u8 *bytes, u32 length)
{
	return ~crc32c(~before, bytes, length);
}
