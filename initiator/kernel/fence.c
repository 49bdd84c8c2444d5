// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A fence in the receive path: tells whether packets that have come by now have been taken in.
 *
 * Theory. A packet lies in a NIC's ring until NET_RX polls the NIC. On a busy host ksoftirqd does
 * that, which waits its turn for seconds; and nothing that can be read from outside says so: the
 * pending bit of the softirq is 0 while it carries out what other NICs had, and which CPU takes in
 * a socket's packets may have changed since the last one. But NET_RX polls in the order of arrival
 * (net/core/dev.c, net_rx_action). So a NAPI of our own is queued on every CPU: when it is polled,
 * every NIC that had been queued there before has been. Two in turn, for an interrupt may be taken
 * only after the first was queued, and a packet may be handed to another CPU (RPS).
 *
 * It is used before a link is called silent, which is rare; between, it costs nothing. A NIC in
 * threaded NAPI mode is not covered: its threads are polled by the scheduler.
 */
#include <linux/delay.h>
#include <linux/netdevice.h>
#include <linux/smp.h>

#include "glue.h"

#define FENCE_TIMES 2

struct fence_cpu {
	struct napi_struct napi;
	call_single_data_t call;
};

static struct fence_cpu __percpu *fence_cpus;
static struct net_device *fence_device; /* NAPI wants one; it is never registered */
static unsigned long fence_under_way;
static atomic_t fence_owed; /* polls that are to come, and one for who still queues them */
/* Words, not u64: a load with acquire is of one word. They wrap, like jiffies. */
static unsigned long fence_begun; /* by who has set fence_under_way */
static unsigned long fence_passed;

static void fence_settle(void)
{
	if (!atomic_dec_and_test(&fence_owed))
		return;
	smp_store_release(&fence_passed, fence_begun);
	clear_bit_unlock(0, &fence_under_way);
}

static int fence_poll(struct napi_struct *napi, int budget)
{
	napi_complete_done(napi, 0); /* first: once it is settled it may be queued again */
	fence_settle();
	return 0;
}

static void fence_queue(void *napi)
{
	napi_schedule(napi);
}

static void fence_begin(void)
{
	int cpu;

	WRITE_ONCE(fence_begun, fence_begun + 1);
	atomic_set(&fence_owed, 1);
	local_bh_disable(); /* what is queued on this CPU is polled at its end */
	for_each_online_cpu(cpu) {
		atomic_inc(&fence_owed);
		/* A CPU that has just gone offline has handed on what it had. */
		if (smp_call_function_single_async(cpu, &per_cpu_ptr(fence_cpus, cpu)->call))
			fence_settle();
	}
	fence_settle();
	local_bh_enable();
}

/* What to ask glue_fence_has_passed for: that all that has come by now was taken in. Never 0. */
unsigned long glue_fence_ticket(void)
{
	return (READ_ONCE(fence_begun) + FENCE_TIMES) ?: 1;
}

/* Asked again until it is true; each time it does what is to be done next. Does not sleep. */
bool glue_fence_has_passed(unsigned long ticket)
{
	if ((long)(smp_load_acquire(&fence_passed) - ticket) >= 0)
		return true;
	if (!test_and_set_bit_lock(0, &fence_under_way))
		fence_begin();
	return false;
}

int glue_fence_create(void)
{
	int cpu;

	fence_cpus = alloc_percpu(struct fence_cpu);
	if (!fence_cpus)
		return -ENOMEM;
	fence_device = compat_dummy_netdev();
	if (!fence_device) {
		free_percpu(fence_cpus);
		return -ENOMEM;
	}
	for_each_possible_cpu(cpu) {
		struct fence_cpu *fence = per_cpu_ptr(fence_cpus, cpu);

		set_bit(NAPI_STATE_NO_BUSY_POLL, &fence->napi.state);
		netif_napi_add(fence_device, &fence->napi, fence_poll);
		napi_enable(&fence->napi);
		INIT_CSD(&fence->call, fence_queue, &fence->napi);
	}
	return 0;
}

/* No session is left that could begin one. */
void glue_fence_destroy(void)
{
	int cpu;

	while (test_bit(0, &fence_under_way))
		msleep(1);
	for_each_possible_cpu(cpu) {
		struct fence_cpu *fence = per_cpu_ptr(fence_cpus, cpu);

		napi_disable(&fence->napi);
		__netif_napi_del(&fence->napi);
	}
	synchronize_net();
	free_percpu(fence_cpus);
	compat_dummy_netdev_free(fence_device);
}
