// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /sys/devices/hawser/ibft: the raw iSCSI Boot Firmware Table that the firmware left below 1 MiB.
 *
 * The kernel has looked for it early (ibft_phys_addr). User space cannot read that memory itself
 * under lockdown; it reads the bytes here and does all the checking. Readable by root only: the
 * table may hold CHAP secrets. Absent where there is no table; under UEFI the table is ACPI's.
 */
#include <linux/acpi.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/iscsi_ibft.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>

#include "glue.h"

#define IBFT_BYTES_MIN 48 /* its header */

#if IS_ENABLED(CONFIG_ISCSI_IBFT_FIND)
static ssize_t ibft_read(struct file *file, struct kobject *kobj, COMPAT_BIN_ATTRIBUTE *attribute,
			 char *buffer, loff_t offset, size_t count)
{
	return memory_read_from_buffer(buffer, count, &offset, attribute->private,
				       attribute->size);
}

static struct bin_attribute ibft_attribute = {
	.attr = { .name = "ibft", .mode = 0400 },
	.read = ibft_read,
};

/*
 * memremap() warns, with a stack trace, of a range that is memory in part. A table that claims to
 * reach beyond low memory, into the VGA's window and ROMs, is such a range, and a lie.
 */
static void *ibft_map(phys_addr_t address, u32 length)
{
	if (region_intersects(address, length, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) ==
	    REGION_MIXED)
		return NULL;
	return memremap(address, length, MEMREMAP_WB);
}

/* The table's length as its header says, or 0 where that cannot be. */
static u32 ibft_length(phys_addr_t address)
{
	const struct acpi_table_header *header;
	u32 length = 0;

	if (!address || address > SZ_1M - IBFT_BYTES_MIN)
		return 0;
	header = ibft_map(address, sizeof(*header));
	if (!header)
		return 0;
	if (!memcmp(header->signature, "iBFT", 4))
		length = header->length;
	memunmap((void *)header);
	if (length >= IBFT_BYTES_MIN && length <= SZ_64K && length <= SZ_1M - address)
		return length;
	pr_warn("hawser: iBFT at %pa: length %u is not possible; table ignored\n", &address,
		length);
	return 0;
}

void glue_ibft_add(struct device *root)
{
	phys_addr_t address = ibft_phys_addr;
	u32 length = ibft_length(address);
	void *table;

	if (!length)
		return;
	table = ibft_map(address, length);
	if (!table) {
		pr_warn("hawser: iBFT at %pa: %u bytes are not all memory; table ignored\n",
			&address, length);
		return;
	}
	ibft_attribute.private = table;
	ibft_attribute.size = length;
	if (device_create_bin_file(root, &ibft_attribute)) {
		memunmap(table);
		ibft_attribute.private = NULL;
	}
}

void glue_ibft_remove(struct device *root)
{
	if (!ibft_attribute.private)
		return;
	device_remove_bin_file(root, &ibft_attribute);
	memunmap(ibft_attribute.private);
	ibft_attribute.private = NULL;
}
#else
void glue_ibft_add(struct device *root)
{
}

void glue_ibft_remove(struct device *root)
{
}
#endif
