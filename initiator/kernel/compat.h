/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between kernels, in one place. The running kernel's version decides, never an #ifdef
 * on a name: 6.1.192 defines MSG_SPLICE_PAGES, but its TCP ignores it and copies.
 */
#ifndef HAWSER_KERNEL_COMPAT_H
#define HAWSER_KERNEL_COMPAT_H

#include <linux/net.h>
#include <linux/socket.h>
#include <linux/version.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_host.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#error "sending without a copy goes by MSG_SPLICE_PAGES from Linux 6.5 on: not written yet"
#endif

/* Sends part of a page without copying it. The page must be sendpage_ok(). */
static inline int compat_send_page(struct socket *socket, struct page *page, u32 offset, u32 length,
				   bool more)
{
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

	if (more)
		flags |= MSG_MORE | MSG_SENDPAGE_NOTLAST;
	return kernel_sendpage(socket, page, offset, length, flags);
}

#define COMPAT_READ_TIMEOUT (30 * HZ)

/* A command of the mid-layer's own that reads; 0: it was answered with GOOD. */
static inline int compat_execute_read(struct scsi_device *sdev, const u8 *command, void *buffer,
				      u32 length, int retries)
{
	struct scsi_sense_hdr sense;

	return scsi_execute_req(sdev, command, DMA_FROM_DEVICE, buffer, length, &sense,
				COMPAT_READ_TIMEOUT, retries, NULL);
}

static inline void compat_rescan(struct scsi_device *sdev)
{
	scsi_rescan_device(sdev);
}

#endif
