/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between kernels, in one place. The running kernel's version decides, never an #ifdef
 * on a name: 6.1.192 defines MSG_SPLICE_PAGES, but its TCP ignores it and copies.
 */
#ifndef HAWSER_KERNEL_COMPAT_H
#define HAWSER_KERNEL_COMPAT_H

#include <linux/blkdev.h>
#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/socket.h>
#include <linux/version.h>
#include <net/inet_sock.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_host.h>

#define COMPAT_SINCE(major, minor) (LINUX_VERSION_CODE >= KERNEL_VERSION(major, minor, 0))

#if COMPAT_SINCE(6, 12) /* 5f60d5f6bbc1: moved */
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

/* Sends part of a page without copying it. The page must be sendpage_ok(). */
static inline int compat_send_page(struct socket *socket, struct page *page, u32 offset, u32 length,
				   bool more)
{
#if COMPAT_SINCE(6, 5) /* 270a1c3de47e, dc97391e6610: MSG_SPLICE_PAGES instead of sendpage */
	struct msghdr message = {
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_SPLICE_PAGES | (more ? MSG_MORE : 0),
	};
	struct bio_vec vector;

	bvec_set_page(&vector, page, length, offset);
	iov_iter_bvec(&message.msg_iter, ITER_SOURCE, &vector, 1, length);
	return sock_sendmsg(socket, &message);
#else
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

	if (more)
		flags |= MSG_MORE | MSG_SENDPAGE_NOTLAST;
	return kernel_sendpage(socket, page, offset, length, flags);
#endif
}

#define COMPAT_READ_TIMEOUT (30 * HZ)

/* A command of the mid-layer's own that reads; 0: it was answered with GOOD. */
static inline int compat_execute_read(struct scsi_device *sdev, const u8 *command, void *buffer,
				      u32 length, int retries)
{
#if COMPAT_SINCE(6, 3) /* scsi_execute_cmd instead of scsi_execute */
	return scsi_execute_cmd(sdev, command, REQ_OP_DRV_IN, buffer, length, COMPAT_READ_TIMEOUT,
				retries, NULL);
#else
	struct scsi_sense_hdr sense;

	return scsi_execute_req(sdev, command, DMA_FROM_DEVICE, buffer, length, &sense,
				COMPAT_READ_TIMEOUT, retries, NULL);
#endif
}

/* Whether the disk has a volatile write cache. */
static inline bool compat_write_cache(struct request_queue *queue)
{
#if COMPAT_SINCE(6, 11) /* 1122c0c1cc71: a feature of the queue's limits */
	return blk_queue_write_cache(queue);
#else
	return test_bit(QUEUE_FLAG_WC, &queue->queue_flags);
#endif
}

#if COMPAT_SINCE(6, 2) /* scsi_timeout_action */
#define COMPAT_TIMER_RESET SCSI_EH_RESET_TIMER
#define COMPAT_TIMER_DONE SCSI_EH_NOT_HANDLED
#define COMPAT_TIMEOUT_ACTION enum scsi_timeout_action
#else
#define COMPAT_TIMER_RESET BLK_EH_RESET_TIMER
#define COMPAT_TIMER_DONE BLK_EH_DONE
#define COMPAT_TIMEOUT_ACTION enum blk_eh_timer_return
#endif

#if COMPAT_SINCE(7, 0) /* a type of its own for queuecommand's result, by 7.3 */
#define COMPAT_QC_STATUS enum scsi_qc_status
#else
#define COMPAT_QC_STATUS int
#endif

/*
 * What a disk's queue is to know. 6.10 hands its limits to the driver (device_configure), 6.14
 * renames the calls.
 */
static inline void compat_limit_queue(struct scsi_device *sdev, struct queue_limits *limits)
{
#if COMPAT_SINCE(6, 11)
	limits->dma_alignment = 0; /* nothing here does DMA */
#else
	blk_queue_dma_alignment(sdev->request_queue, 0);
#endif
}

#if COMPAT_SINCE(6, 14)
#define COMPAT_DISK_CALLS(alloc, configure, destroy)                                               \
	.sdev_init = alloc, .sdev_configure = configure, .sdev_destroy = destroy
#elif COMPAT_SINCE(6, 11)
#define COMPAT_DISK_CALLS(alloc, configure, destroy)                                               \
	.slave_alloc = alloc, .device_configure = configure, .slave_destroy = destroy
#else
#define COMPAT_DISK_CALLS(alloc, configure, destroy)                                               \
	.slave_alloc = alloc, .slave_configure = compat_##configure, .slave_destroy = destroy
#define COMPAT_CONFIGURE_WITHOUT_LIMITS
#endif

/* Binds and connects take an address of any family. */
#if COMPAT_SINCE(6, 19) /* sockaddr_unsized */
#define COMPAT_SOCKADDR struct sockaddr_unsized
#else
#define COMPAT_SOCKADDR struct sockaddr
#endif

static inline void compat_bind_address_no_port(struct sock *sk)
{
#if COMPAT_SINCE(6, 6) /* ca571e2eb7eb: a bit */
	inet_set_bit(BIND_ADDRESS_NO_PORT, sk);
#else
	inet_sk(sk)->bind_address_no_port = 1;
#endif
}

#if COMPAT_SINCE(6, 16) /* 97d06802d10a: what reads a file does not write its description */
#define COMPAT_BIN_ATTRIBUTE const struct bin_attribute
#else
#define COMPAT_BIN_ATTRIBUTE struct bin_attribute
#endif

/* The n-th page after the first of a segment. */
static inline struct page *compat_page_after(struct page *page, unsigned long n)
{
#if COMPAT_SINCE(6, 18) /* a segment's pages lie side by side in the memory map */
	return page + n;
#else
	return nth_page(page, n);
#endif
}

/* A device that is never registered, for a NAPI of our own. */
static inline struct net_device *compat_dummy_netdev(void)
{
#if COMPAT_SINCE(6, 10) /* allocated; the static kind is gone by 7.3 */
	return alloc_netdev_dummy(0);
#else
	static struct net_device device;

	init_dummy_netdev(&device);
	return &device;
#endif
}

static inline void compat_dummy_netdev_free(struct net_device *device)
{
#if COMPAT_SINCE(6, 10)
	free_netdev(device);
#endif
}

static inline void compat_rescan(struct scsi_device *sdev)
{
	scsi_rescan_device(sdev);
}

#endif
