// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The socket of a connection: opened without blocking, on the connection's own kernel thread and in
 * init_net, so that no process's memory limits or namespaces follow the disk.
 *
 * How it ends decides what the target sees. Nothing pending and the peer's FIN seen: FIN. Anything
 * else: RST, so that no byte of a dead connection can still arrive after the session was
 * reinstated. Either way the pages of its tasks are handed back only when the network stack holds
 * none of them (R10).
 */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/netdevice.h>
#include <linux/delay.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "glue.h"

#define SOCKET_DRAIN_MS 100

#ifdef CONFIG_DEBUG_LOCK_ALLOC
/*
 * User space's sockets are locked with mmap_lock held, and file systems lie above ours: one class
 * for both would let lockdep see a circle that is none.
 */
static struct lock_class_key socket_key[2];
static struct lock_class_key socket_slock_key[2];

static void socket_reclassify(struct sock *sk)
{
	if (WARN_ON_ONCE(!sock_allow_reclassification(sk)))
		return;
	if (sk->sk_family == AF_INET)
		sock_lock_init_class_and_name(sk, "slock-AF_INET-HAWSER", &socket_slock_key[0],
					      "sk_lock-AF_INET-HAWSER", &socket_key[0]);
	else
		sock_lock_init_class_and_name(sk, "slock-AF_INET6-HAWSER", &socket_slock_key[1],
					      "sk_lock-AF_INET6-HAWSER", &socket_key[1]);
}
#else
static void socket_reclassify(struct sock *sk)
{
}
#endif

static void socket_wake(struct sock *sk, int event)
{
	struct glue_connection *connection;

	read_lock_bh(&sk->sk_callback_lock);
	connection = sk->sk_user_data;
	if (connection) {
		set_bit(event, &connection->events);
		glue_connection_kick(connection);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

static void socket_data_ready(struct sock *sk)
{
	socket_wake(sk, EVENT_RECEIVE);
}

static void socket_state_change(struct sock *sk)
{
	socket_wake(sk, EVENT_RECEIVE);
}

static void socket_error_report(struct sock *sk)
{
	socket_wake(sk, EVENT_RECEIVE);
}

static void socket_write_space(struct sock *sk)
{
	struct glue_connection *connection;

	read_lock_bh(&sk->sk_callback_lock);
	connection = sk->sk_user_data;
	if (connection && sk_stream_is_writeable(sk)) {
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		glue_connection_kick(connection);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

static void socket_attach(struct glue_connection *connection)
{
	struct sock *sk = connection->socket->sk;

	write_lock_bh(&sk->sk_callback_lock);
	connection->old_data_ready = sk->sk_data_ready;
	connection->old_write_space = sk->sk_write_space;
	connection->old_state_change = sk->sk_state_change;
	connection->old_error_report = sk->sk_error_report;
	sk->sk_user_data = connection;
	sk->sk_data_ready = socket_data_ready;
	sk->sk_write_space = socket_write_space;
	sk->sk_state_change = socket_state_change;
	sk->sk_error_report = socket_error_report;
	write_unlock_bh(&sk->sk_callback_lock);
}

static void socket_detach(struct glue_connection *connection)
{
	struct sock *sk = connection->socket->sk;

	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_user_data = NULL;
	sk->sk_data_ready = connection->old_data_ready;
	sk->sk_write_space = connection->old_write_space;
	sk->sk_state_change = connection->old_state_change;
	sk->sk_error_report = connection->old_error_report;
	write_unlock_bh(&sk->sk_callback_lock);
}

static int socket_address(const struct hawser_address *address, u16 port, int interface,
			  struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (address->family == 4) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, address->bytes, sizeof(in->sin_addr));
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, address->bytes, sizeof(in6->sin6_addr));
	if (ipv6_addr_type(&in6->sin6_addr) & IPV6_ADDR_LINKLOCAL)
		in6->sin6_scope_id = interface;
	return sizeof(*in6);
}

/* Binds to the portal's NIC and source address, where it names them; returns the NIC's index. */
static int socket_bind(struct socket *socket, const struct hawser_portal *portal)
{
	struct sockaddr_storage source;
	struct net_device *device;
	int interface = 0, length, err;

	if (portal->nic[0]) {
		/* By name at each connect: a NIC that was replaced has another index. */
		device = dev_get_by_name(&init_net, portal->nic);
		if (!device)
			return -ENODEV;
		interface = device->ifindex;
		dev_put(device);
		err = sock_bindtoindex(socket->sk, interface, true);
		if (err)
			return err;
	}
	if (portal->source.family) {
		length = socket_address(&portal->source, 0, interface, &source);
		compat_bind_address_no_port(socket->sk);
		err = kernel_bind(socket, (COMPAT_SOCKADDR *)&source, length);
		if (err)
			return err;
	}
	return interface;
}

/*
 * What sk_set_memalloc() does for each socket: it patches the kernel's code, and for that waits
 * until no CPU is going offline. A CPU that goes waits for the commands of its queue, these for the
 * very login that wants the socket. So it is done once, while there is no session.
 */
void glue_socket_register(void)
{
	static_branch_inc(&memalloc_socks_key);
}

void glue_socket_unregister(void)
{
	static_branch_dec(&memalloc_socks_key);
}

/* The rest of it: this socket may use the reserves, since memory is freed by writing through it. */
static void socket_use_reserves(struct sock *sk)
{
	sock_set_flag(sk, SOCK_MEMALLOC);
	sk->sk_allocation |= __GFP_MEMALLOC;
}

/* Starts to connect; glue_socket_check tells how it went. */
int glue_socket_open(struct glue_connection *connection, const struct hawser_portal *portal)
{
	int family = portal->address.family == 4 ? AF_INET : AF_INET6;
	struct sockaddr_storage address;
	struct socket *socket;
	int err, length;

	err = sock_create_kern(&init_net, family, SOCK_STREAM, IPPROTO_TCP, &socket);
	if (err)
		return err;
	socket_reclassify(socket->sk);
	tcp_sock_set_nodelay(socket->sk);
	socket->sk->sk_allocation = GFP_ATOMIC;
	socket->sk->sk_use_task_frag = false;
	socket_use_reserves(socket->sk);
	err = socket_bind(socket, portal);
	if (err < 0) {
		sock_release(socket);
		return err;
	}
	length = socket_address(&portal->address, portal->port, err, &address);
	connection->socket = socket;
	connection->connected = false;
	connection->end_seen = false;
	connection->fin_sent = false;
	connection->more_sent = false;
	connection->unacknowledged_ms = HAWSER_NEVER;
	WRITE_ONCE(connection->interface, err);
	clear_bit(EVENT_RECEIVE, &connection->events);
	clear_bit(EVENT_NIC_GONE, &connection->events);
	socket_attach(connection);
	err = kernel_connect(socket, (COMPAT_SOCKADDR *)&address, length, O_NONBLOCK);
	return err == -EINPROGRESS ? 0 : err;
}

/* Not before it is connected: a connect has its own deadline, and TCP its own cause to tell. */
static void socket_bound_silence(struct glue_connection *connection)
{
	const struct hawser_options *options = &connection->session->options;

	if (options->noop_out_interval_ms)
		tcp_sock_set_user_timeout(connection->socket->sk, options->noop_out_interval_ms +
								  options->noop_out_timeout_ms);
}

static void socket_publish_source(struct glue_connection *connection)
{
	struct glue_session *session = connection->session;
	struct sock *sk = connection->socket->sk;
	struct hawser_address source = { .family = sk->sk_family == AF_INET ? 4 : 6 };
	char nic[16] = "";
	struct dst_entry *route;

	if (source.family == 4)
		memcpy(source.bytes, &inet_sk(sk)->inet_saddr, 4);
	else
		memcpy(source.bytes, &inet6_sk(sk)->saddr, 16);
	route = sk_dst_get(sk);
	if (route) {
		strscpy(nic, route->dev->name, sizeof(nic));
		WRITE_ONCE(connection->interface, route->dev->ifindex);
		dst_release(route);
	}
	spin_lock_irq(&session->lock);
	connection->ends.source = source;
	connection->ends.source_port = ntohs(inet_sk(sk)->inet_sport);
	if (nic[0])
		strscpy(connection->ends.nic, nic, sizeof(connection->ends.nic));
	spin_unlock_irq(&session->lock);
}

/*
 * Asked when all that was received has been read: > 0 connected, 0 no news, < 0 over: -EPIPE for
 * the peer's FIN, else the error.
 */
int glue_socket_check(struct glue_connection *connection)
{
	struct sock *sk = connection->socket->sk;
	int state = READ_ONCE(sk->sk_state);
	int err;

	if (connection->end_seen || state == TCP_SYN_SENT)
		return 0;
	if (state == TCP_ESTABLISHED && !connection->connected) {
		socket_publish_source(connection);
		socket_bound_silence(connection);
		return 1;
	}
	if (state == TCP_CLOSE || READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN) {
		if (!skb_queue_empty_lockless(&sk->sk_receive_queue) && connection->connected)
			return 0; /* bytes before the end; a turn is on its way */
		connection->end_seen = true;
		err = sock_error(sk);
		if (err)
			return err;
		return connection->connected ? -EPIPE : -ECONNREFUSED;
	}
	return 0;
}

/* Sends FIN; receiving goes on. */
void glue_socket_finish(struct glue_connection *connection)
{
	if (!connection->socket || connection->fin_sent)
		return;
	connection->fin_sent = true;
	kernel_sock_shutdown(connection->socket, SHUT_WR);
}

/* Both FINs are there and acknowledged, or ours is and the peer's cannot come. */
static bool socket_has_parted(const struct glue_connection *connection, const struct sock *sk)
{
	if ((1 << READ_ONCE(sk->sk_state)) & (TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_LAST_ACK))
		return false;
	return !connection->fin_sent || READ_ONCE(sk->sk_state) == TCP_CLOSE ||
	       READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN;
}

/*
 * Afterwards nothing of the connection can reach the wire, and no page of a task is in use. An
 * orderly end is waited for, for its FIN must be out before a NIC may go down.
 */
void glue_socket_close(struct glue_connection *connection)
{
	struct socket *socket = connection->socket;
	u64 end_ms = glue_now_ms() + SOCKET_DRAIN_MS;
	struct sock *sk;
	bool orderly;

	if (!socket)
		return;
	sk = socket->sk;
	while (connection->fin_sent && !socket_has_parted(connection, sk) && glue_now_ms() < end_ms)
		usleep_range(500, 1000);
	orderly = connection->connected && (connection->fin_sent || connection->end_seen) &&
		  !sk->sk_err && tcp_rtx_and_write_queues_empty(sk) &&
		  !tcp_inq(sk); /* the queue may hold a FIN, which is no unread byte */
	socket_detach(connection);
	if (!orderly)
		sock_no_linger(sk); /* RST, and the send queue is thrown away */
	sock_hold(sk);
	connection->socket = NULL;
	connection->fence = 0;
	WRITE_ONCE(connection->interface, 0);
	sock_release(socket);
	/* One reference of sk_wmem_alloc is the socket's own. */
	end_ms = glue_now_ms() + SOCKET_DRAIN_MS;
	while ((refcount_read(&sk->sk_wmem_alloc) > 1 ||
		(orderly && !socket_has_parted(connection, sk))) && glue_now_ms() < end_ms)
		usleep_range(500, 1000);
	sock_put(sk);
}
