/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel's half of a session is made of.
 *
 * The engine (../abi/engine.h) knows the protocol; this side gives it sockets, threads, memory and
 * a Scsi_Host. One control thread per session owns the engine's session, one I/O thread per
 * connection owns the engine's connection; they exchange orders and reports through two rings per
 * connection, each with one writer and one reader. Threads, slots and inboxes live as long as the
 * Scsi_Host; a reconnect creates and frees nothing but the socket.
 *
 * A command is a slot, indexed by its tag. Exactly one owner at a time: the mid-layer, an inbox,
 * the engine's connection, the park, or a connection's list of finished commands.
 */
#ifndef HAWSER_KERNEL_GLUE_H
#define HAWSER_KERNEL_GLUE_H

#include <linux/completion.h>
#include <linux/device.h>
#include <linux/kfifo.h>
#include <linux/llist.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <scsi/scsi_cmnd.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_host.h>

#ifndef UINT64_MAX
#define UINT64_MAX U64_MAX /* engine.h is written for <stdint.h> too */
#endif
#include "../abi/engine.h"
#include "../abi/uapi.h"
#include "acknowledged.h"
#include "compat.h"
#include "lun.h"

struct iscsi_cls_conn;
struct iscsi_cls_session;
struct glue_session;
struct glue_chap;

/* Where in a scatter list a task's bytes are being read or written; seeks forward cheaply. */
struct glue_cursor {
	struct scatterlist *segment;
	u32 start; /* of segment, in the task's data */
};

/* A command of the driver's own: it has a slot beside the mid-layer's, and passes a closed gate. */
struct glue_own {
	struct glue_session *session;
	struct glue_disk *disk; /* the verifier's: about which it asks, with a reference */
	u32 question;
	u64 lun;
	u8 cdb[16];
	u8 cdb_length;
	u8 *data; /* room of GLUE_OWN_BYTES for what is read, or NULL */
	struct scatterlist scatter;
	u32 received;
	int result; /* 0, or -EIO: then sense, where there is one, says more */
	u8 status; /* with -EIO; 0xff: a response of iSCSI's own */
	u8 sense_key, asc, ascq;
	struct completion done;
};

#define GLUE_OWN_QUESTIONS 16 /* out at once: a LUN that does not answer delays no other */

enum { GLUE_OWN_FLUSH, GLUE_OWN_VERIFY, GLUE_OWN_COUNT = GLUE_OWN_VERIFY + GLUE_OWN_QUESTIONS };

struct glue_slot {
	struct scsi_cmnd *command; /* NULL: one of the driver's own */
	struct glue_own *own;
	struct llist_node inbox;
	struct list_head entry; /* the park's, or a connection's finished ones */
	struct glue_cursor sending;
	struct glue_cursor receiving;
	u64 ready_ms; /* parked until then */
	u64 writes_seen; /* a SYNCHRONIZE CACHE covers writes completed up to here */
	u64 sent_end; /* position (glue_connection.sent) after the last byte sent without copying */
	u64 deadline_ms; /* with once: its caller's */
	u16 attempts;
	u8 costs; /* how often it has cost the session */
	bool once; /* never sent again after the target may have had it: passthrough.c */
	bool sent; /* it came back, and the target may have had it */
	bool zero_copied;
	bool came_back; /* from a closed connection: the target may yet go on with it */
	bool parked; /* under glue_session.park_lock */
	u8 owner; /* a connection's index + 1, GLUE_OWNER_MOVING, or 0: nobody's who may touch it */
	u32 nexus; /* that it came back from, */
	u32 reinstatements; /* and how many there had been */
	u64 lun;
};

#define GLUE_OWNER_MOVING 0xff /* from the park to a connection */

/* Bits of glue_connection.events */
enum { EVENT_KICK, EVENT_RECEIVE, EVENT_NIC_GONE, EVENT_MANAGE };

/* Who is at the other end of a socket, for sysfs; under glue_session.lock. */
struct glue_ends {
	struct hawser_portal portal;
	struct hawser_address source;
	u16 source_port;
	char nic[16];
};

struct glue_connection {
	struct glue_session *session;
	struct hawser_connection *engine;
	struct task_struct *thread;
	u32 index;
	unsigned long events;
	struct llist_head inbox;
	bool accepting; /* published: whether a submit would be taken */
	int interface; /* published: index of the NIC, 0 while it is not known */

	/* The I/O thread's own. */
	struct socket *socket;
	void (*old_data_ready)(struct sock *sk);
	void (*old_write_space)(struct sock *sk);
	void (*old_state_change)(struct sock *sk);
	void (*old_error_report)(struct sock *sk);
	bool connected;
	bool end_seen; /* the peer has sent its FIN */
	bool fin_sent;
	bool more_sent; /* the last send said that more would follow */
	u64 sent; /* bytes that TCP has been given since the session began, by whatever socket */
	u8 *bounce; /* GLUE_BOUNCE_BYTES: what is digested is a copy that nobody else writes to */
	u32 acknowledged; /* by TCP: snd_una when it last moved, */
	u64 unacknowledged_ms; /* and since when it has stood still with bytes under way */
	unsigned long fence; /* 0, or what the engine waits for before it calls the link silent */
	u32 wants; /* HAWSER_WANT_* not yet acted on */
	struct list_head finished; /* to be given to scsi_done outside the socket's lock */
	struct list_head unacknowledged; /* completed WRITEs that TCP may yet retransmit */

	struct hawser_task_management manage; /* of who set EVENT_MANAGE */
	struct hawser_managed managed;
	struct completion manage_done;

	DECLARE_KFIFO(orders, struct hawser_order, 8);
	DECLARE_KFIFO(reports, struct hawser_report, 8);

	struct glue_ends ends;
	struct hawser_keys keys; /* as this connection negotiated; under glue_session.lock */
	u32 said_error; /* the control thread's: the last one that was logged */
	struct iscsi_cls_conn *class_connection;
	struct kobject kobj;
	struct completion kobj_released;
	bool kobj_added;
};

/* Bits of glue_session.requests */
enum {
	REQUEST_START,
	REQUEST_LOGOUT,
	REQUEST_ABANDON,
	REQUEST_REINSTATE,
	REQUEST_ADD,
	REQUEST_DROP,
	REQUEST_CMDSN_ORDER,
};

/* What REQUEST_ADD and REQUEST_DROP are about; under glue_session.removal. */
struct glue_change {
	struct hawser_portal portal; /* family 0: the next one in turn */
	u32 index;
	u32 error;
	u8 cmdsn_order; /* HAWSER_CMD_SN_ORDER_* */
	struct completion done;
};

enum glue_gate {
	GATE_CLOSED, /* commands are parked */
	GATE_OPEN,
	GATE_GIVEN_UP, /* commands fail until the session is back: fail_after= */
	GATE_FAILED, /* commands fail: the grace is over, or the session is being taken down */
};

struct glue_session {
	struct device dev;
	struct list_head entry; /* glue_sessions, under RCU */
	struct mutex removal; /* held by who takes the session down */
	u32 index;
	struct hawser_options options;
	struct glue_chap *chap; /* NULL: not configured */
	void *engine_memory;
	struct hawser_session *engine;
	struct task_struct *thread;
	u32 turns; /* of the control thread */
	unsigned long events;
	unsigned long requests;
	wait_queue_head_t changed; /* scanned, settled or ended became true */
	bool running; /* its threads do */
	bool scanned;
	bool settled;
	bool ended;
	u32 end_error;
	u32 end_detail;

	enum glue_gate gate; /* written by the control thread */
	bool released; /* control thread: logged in, and RELEASE has come */
	u32 nexus; /* control thread: the epoch of the last RELEASE */
	u64 shut_ms; /* control thread: since when it is not released; 0: it is */
	u64 waits_ms; /* control thread: since when that, or a LUN, keeps commands waiting */
	bool given_up; /* control thread: fail_after= is over */
	bool held; /* shutdown: no new I/O */
	bool resetting; /* error handling: no new I/O */
	struct mutex eh; /* one error handler at a time; before manage */
	struct mutex manage; /* one task management function at a time */
	struct glue_change change;
	bool failing; /* control thread: give up */
	bool left; /* shut down cleanly: hold what comes for ever */
	u64 grace_ends_ms; /* 0: not armed */

	struct glue_slot *slots; /* depth of the host's, then those of own[] */
	u32 depth;
	struct glue_own own[GLUE_OWN_COUNT];
	struct task_struct *verifier;
	wait_queue_head_t verify;
	unsigned long verify_news; /* bit 0: something for the verifier to do */

	spinlock_t luns_lock; /* never taken in an interrupt */
	struct list_head luns; /* glue_disk */
	u32 luns_held; /* of them not ready */
	u32 foreign; /* of them another disk */
	bool luns_minded; /* control thread */
	bool unflushed_lost; /* under luns_lock, as the next: writes were lost with it */
	char unflushed[256]; /* LUNs that went without a flush, and why */

	spinlock_t park_lock;
	struct list_head park;
	u32 parked;

	u8 route[HAWSER_CONNECTIONS_MAX]; /* hardware queue -> connection */
	u16 turn[HAWSER_CONNECTIONS_MAX]; /* fewer CPUs than connections: take turns */
	bool take_turns;

	spinlock_t lock; /* snapshot, scsi_host's end, glue_connection.ends and .keys */
	struct hawser_session_snapshot snapshot;

	struct Scsi_Host *scsi_host;
	struct iscsi_cls_session *class_session;
	struct work_struct scan;
	struct work_struct look; /* the target said that something has changed: look.c */
	bool luns_changed;
	struct mutex scanning; /* held while LUNs are looked for */
	bool going; /* its disks are being removed: none is looked for any more; under scanning */
	u32 disks;

	struct glue_connection connections[];
};

/* As kfifo_get, which does not order its look at the ring's end before that at the entry. */
#define glue_ring_get(ring, entry)                                                                 \
	({                                                                                         \
		bool any_ = !kfifo_is_empty(ring);                                                 \
		smp_rmb();                                                                         \
		any_ && kfifo_get(ring, entry);                                                    \
	})

static inline u64 glue_now_ms(void)
{
	return ktime_to_ms(ktime_get()) + 1; /* the engine's clock never starts at 0 */
}

static inline struct glue_session *glue_session_of_host(struct Scsi_Host *host)
{
	return *(struct glue_session **)shost_priv(host);
}

/* Jiffies to sleep from now_ms until deadline_ms. */
static inline long glue_timeout(u64 now_ms, u64 deadline_ms)
{
	if (deadline_ms == HAWSER_NEVER)
		return MAX_SCHEDULE_TIMEOUT;
	if (deadline_ms <= now_ms)
		return 0;
	return msecs_to_jiffies(min_t(u64, deadline_ms - now_ms, 1000 * 3600)) + 1;
}

/* session.c */
extern struct list_head glue_sessions;
extern struct mutex glue_sessions_lock;
struct glue_session *glue_session_create(const struct hawser_options *options, char *reason);
int glue_session_connect(struct glue_session *session, char *reason);
int glue_session_disconnect(const char *name, char *reason);
struct glue_session *glue_session_find(const char *name, char *reason);
void glue_session_destroy(struct glue_session *session);

/* control_thread.c */
int glue_control_thread(void *data);
void glue_session_kick(struct glue_session *session);
void glue_session_request(struct glue_session *session, int request);
void glue_error_format(u32 error, u32 detail, char *out, size_t size);

/* connection.c */
int glue_connection_thread(void *data);
void glue_connection_kick(struct glue_connection *connection);
void glue_connection_fail(struct glue_connection *connection, u32 error, int err, u64 now_ms);

/* socket.c */
void glue_socket_register(void);
void glue_socket_unregister(void);
int glue_socket_open(struct glue_connection *connection, const struct hawser_portal *portal);
void glue_socket_close(struct glue_connection *connection);
void glue_socket_finish(struct glue_connection *connection);
int glue_socket_check(struct glue_connection *connection);

/* transfer.c */
bool glue_transfer_receive(struct glue_connection *connection, u64 now_ms);
bool glue_transfer_send(struct glue_connection *connection, u64 now_ms);

#define GLUE_BOUNCE_BYTES 8192 /* the copy is still in the nearest cache when it is digested */

/* scatter.c */
void glue_scatter_start(struct glue_slot *slot);
void glue_scatter_copy(struct glue_slot *slot, u32 offset, const u8 *bytes, u32 length);
bool glue_scatter_read(struct glue_slot *slot, u32 offset, u8 *bytes, u32 length);
struct page *glue_scatter_page(struct glue_slot *slot, u32 offset, u32 limit, u32 *page_offset,
			       u32 *length);

/* scsi_host.c */
int glue_host_add(struct glue_session *session);
void glue_host_forget(struct glue_session *session);
void glue_host_describe(struct glue_session *session, u32 tag, struct hawser_command *command);
void glue_host_kick(struct glue_session *session);
extern struct scsi_host_template glue_host_template;

/* eh.c */
int glue_eh_abort(struct scsi_cmnd *command);
int glue_eh_device_reset(struct scsi_cmnd *command);
int glue_eh_target_reset(struct scsi_cmnd *command);
int glue_eh_host_reset(struct scsi_cmnd *command);
void glue_eh_manage(struct glue_connection *connection,
		    const struct hawser_task_management *request);
struct glue_connection *glue_eh_connection(struct glue_session *session);
void glue_eh_settle(struct glue_session *session, struct list_head *commands);
bool glue_eh_owns(const struct glue_slot *slot);

/* change.c */
int glue_change_add(const char *words, char *reason);
int glue_change_drop(const char *words, char *reason);
int glue_change_cmdsn_order(const char *words, char *reason);
extern const char *const glue_cmdsn_orders[3];

/* leave.c */
int glue_leave_register(void);
void glue_leave_unregister(void);
int glue_leave(const char *words, char *reason);
int glue_leave_not(const char *words, char *reason);
u64 glue_leave_deadline(const struct glue_session *session);
void glue_leave_root_lost(void);

/* result.c */
enum glue_verdict { GLUE_DELIVER, GLUE_RETRY };
enum glue_verdict glue_result(struct glue_session *session, struct glue_slot *slot,
			      const struct hawser_completion *completion);

/* passthrough.c */
void glue_passthrough_begin(struct glue_slot *slot);
u32 glue_passthrough_patience(const struct glue_session *session, const struct glue_slot *slot);
enum glue_verdict glue_passthrough_end(struct glue_slot *slot, int host_byte);
enum glue_verdict glue_passthrough_lost(struct glue_session *session, struct glue_slot *slot,
					const struct hawser_parked *parked, u32 *wait_ms);
bool glue_passthrough_is_late(const struct glue_session *session, const struct glue_slot *slot);
void glue_passthrough_settle(struct glue_session *session);
void glue_passthrough_say_overdue(struct glue_connection *connection,
				  const struct hawser_overdue *overdue);

/* flush.c */
int glue_flush(struct glue_session *session, u64 lun);

/* depth.c */
void glue_depth_configure(struct scsi_device *sdev);
void glue_depth_lower(struct scsi_device *sdev);

/* own.c */
int glue_own_allocate(struct glue_session *session);
void glue_own_free(struct glue_session *session);
void glue_own_describe(const struct glue_own *own, struct hawser_command *command);
void glue_own_finish(struct glue_own *own, const struct hawser_completion *completion);
void glue_own_done(struct glue_own *own);
void glue_own_fail(struct glue_own *own);
void glue_own_start(struct glue_session *session, struct glue_own *own);
int glue_own_run(struct glue_session *session, struct glue_own *own);

/* look.c */
void glue_look(struct work_struct *work);
void glue_look_note(struct glue_session *session, struct scsi_device *sdev, u8 asc, u8 ascq);

/* park.c */
void glue_park_add(struct glue_session *session, struct glue_slot *slot, u64 ready_ms);
bool glue_park_take(struct glue_session *session, struct glue_slot *slot, u8 *owner);
u64 glue_park_release(struct glue_session *session, u64 now_ms);

/* transport.c */
int glue_transport_register(void);
void glue_transport_unregister(void);
int glue_transport_add(struct glue_session *session);
void glue_transport_remove(struct glue_session *session);
void glue_transport_state(struct glue_session *session, u32 state);
extern struct scsi_transport_template *glue_transport_template;

/* scan.c */
void glue_scan(struct work_struct *work);
int glue_scan_luns(struct glue_session *session, u64 lun);
void glue_scan_stop(struct glue_session *session);
bool glue_scan_wants(const struct glue_session *session, u64 lun);
extern struct workqueue_struct *glue_workqueue;

/* sysfs.c */
extern const struct attribute_group *glue_session_groups[];
int glue_sysfs_add(struct glue_session *session);
void glue_sysfs_remove(struct glue_session *session);

/* shutdown.c */
extern struct bus_type glue_bus;
int glue_shutdown_register(struct device *root);
void glue_shutdown_unregister(void);
bool glue_shutdown_dirty(struct glue_session *session);

/* chap.c */
int glue_chap_create(struct glue_session *session, char *reason);
void glue_chap_destroy(struct glue_session *session);
u32 glue_chap_answer(struct glue_connection *connection, u64 now_ms);

/* nic.c */
int glue_nic_register(void);
void glue_nic_unregister(void);

/* fence.c */
int glue_fence_create(void);
void glue_fence_destroy(void);
unsigned long glue_fence_ticket(void);
bool glue_fence_has_passed(unsigned long ticket);

/* main.c */
extern struct device *glue_root;

/* ibft.c */
void glue_ibft_add(struct device *root);
void glue_ibft_remove(struct device *root);

/* control.c */
int glue_control_register(void);
void glue_control_unregister(void);

#endif
