// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bytes between the socket and the engine. Receiving runs under the socket's lock and eats as many
 * PDUs as are there: data goes from the packet straight into the request's pages. Sending takes
 * what the engine has for the room that the socket has: headers are copied, data is sent from its
 * pages.
 *
 * A new command takes its CmdSN inside poll_transmit, so the engine is asked only when its answer
 * is sent at once.
 */
#include <linux/highmem.h>
#include <linux/sched/mm.h>
#include <linux/skbuff.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "glue.h"

#define TRANSFER_BUDGET_US 1000 /* of one turn, each way */
#define TRANSFER_ROOM_LOW 8192 /* below that, an engine with nothing to send may lack room only */

struct receiving {
	struct glue_connection *connection;
	u64 now_ms;
	ktime_t end;
};

/* Gives the engine a run of received bytes, all of it. */
static bool transfer_feed(struct glue_connection *connection, const u8 *bytes, u32 length,
			  u64 now_ms)
{
	struct hawser_connection *engine = connection->engine;
	struct hawser_placement place;
	u32 taken, wants;

	while (length) {
		if (hawser_connection_poll_placement(engine, &place)) {
			taken = min(place.length, length);
			glue_scatter_copy(&connection->session->slots[place.tag], place.offset,
					  bytes, taken);
			if (place.digest)
				hawser_connection_digest_placed(engine, bytes, taken);
			connection->wants |= hawser_connection_handle_placed(engine, taken);
		} else {
			wants = 0;
			taken = hawser_connection_handle_received(engine, bytes, length, now_ms,
								  &wants);
			connection->wants |= wants;
			if (!taken && !(wants & HAWSER_WANT_PLACEMENT))
				return false;
		}
		bytes += taken;
		length -= taken;
	}
	return true;
}

static int transfer_actor(read_descriptor_t *descriptor, struct sk_buff *skb, unsigned int offset,
			  size_t length)
{
	struct receiving *receiving = descriptor->arg.data;
	struct skb_seq_state state;
	const u8 *bytes;
	u32 eaten = 0, piece;

	skb_prepare_seq_read(skb, offset, offset + length, &state);
	while ((piece = skb_seq_read(eaten, &bytes, &state))) {
		piece = min_t(u32, piece, length - eaten);
		if (WARN_ON_ONCE(!transfer_feed(receiving->connection, bytes, piece,
						receiving->now_ms))) {
			skb_abort_seq_read(&state);
			descriptor->count = 0;
			descriptor->error = -EPROTO;
			return eaten;
		}
		eaten += piece;
		if (eaten == length) {
			skb_abort_seq_read(&state);
			break;
		}
	}
	if (ktime_after(ktime_get(), receiving->end))
		descriptor->count = 0;
	return eaten;
}

/* True: the budget is used up, more is waiting. */
bool glue_transfer_receive(struct glue_connection *connection, u64 now_ms)
{
	struct socket *socket = connection->socket;
	struct receiving receiving = {
		.connection = connection,
		.now_ms = now_ms,
		.end = ktime_add_us(ktime_get(), TRANSFER_BUDGET_US),
	};
	read_descriptor_t descriptor = { .arg.data = &receiving, .count = 1 };

	if (!test_and_clear_bit(EVENT_RECEIVE, &connection->events))
		return false;
	if (skb_queue_empty_lockless(&socket->sk->sk_receive_queue))
		return false;
	lock_sock(socket->sk);
	tcp_read_sock(socket->sk, &descriptor, transfer_actor);
	release_sock(socket->sk);
	if (descriptor.error) {
		glue_connection_fail(connection, HAWSER_ERROR_CONNECTION_RESET, -descriptor.error,
				     now_ms);
		return false;
	}
	if (descriptor.count)
		return false;
	set_bit(EVENT_RECEIVE, &connection->events);
	return true;
}

static int transfer_send_bytes(struct glue_connection *connection, const void *bytes, u32 length,
			       bool more)
{
	struct msghdr message = {
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0),
	};
	struct kvec vector = { .iov_base = (void *)bytes, .iov_len = length };
	int sent = kernel_sendmsg(connection->socket, &message, &vector, 1, length);

	if (sent > 0)
		connection->sent += sent;
	return sent;
}

/* Sends from where the data lies, without copying it where possible. *piece: what was tried. */
static int transfer_send_page(struct glue_connection *connection, struct glue_slot *slot,
			      u32 offset, u32 *piece, bool more)
{
	u32 left = *piece, page_offset;
	struct page *page = glue_scatter_page(slot, offset, left, &page_offset, piece);
	void *address;
	int sent;

	if (WARN_ON_ONCE(!page))
		return -EPROTO;
	more |= left > *piece;
	if (sendpage_ok(page)) {
		sent = compat_send_page(connection->socket, page, page_offset, *piece, more);
		if (sent > 0) {
			connection->sent += sent;
			slot->sent_end = connection->sent;
			slot->zero_copied = true;
		}
		return sent;
	}
	address = kmap_local_page(page);
	sent = transfer_send_bytes(connection, address + page_offset, *piece, more);
	kunmap_local(address);
	return sent;
}

/*
 * The pages of a write are not ours alone: with O_DIRECT, or a mapping, their owner may write to
 * them at any time. What is sent is what is digested, so both are taken from one copy.
 */
static int transfer_send_digested(struct glue_connection *connection, struct glue_slot *slot,
				  u32 offset, u32 *piece, bool more)
{
	u32 left = *piece;
	int sent;

	*piece = min_t(u32, left, GLUE_BOUNCE_BYTES);
	if (!glue_scatter_read(slot, offset, connection->bounce, *piece))
		return -EPROTO;
	sent = transfer_send_bytes(connection, connection->bounce, *piece, more || left > *piece);
	if (sent > 0)
		hawser_connection_digest_sent(connection->engine, connection->bounce, sent);
	return sent;
}

/* Sends one answer of poll_transmit. Returns how many bytes went; err says why not all. */
static u32 transfer_send_one(struct glue_connection *connection,
			     const struct hawser_transmit *transmit, int *err)
{
	struct glue_slot *slot = &connection->session->slots[transmit->tag];
	u32 left = transmit->data_length, offset = transmit->data_offset, sent = 0;
	int result;

	*err = 0;
	if (transmit->bytes_length) {
		result = transfer_send_bytes(connection, transmit->bytes, transmit->bytes_length,
					     left || transmit->more);
		if (result <= 0) {
			*err = result ?: -EAGAIN;
			return 0;
		}
		sent = result;
		if (sent < transmit->bytes_length) {
			*err = -EAGAIN;
			return sent;
		}
	}
	while (left) {
		u32 piece = left;

		result = transmit->digest ?
				 transfer_send_digested(connection, slot, offset, &piece,
							transmit->more) :
				 transfer_send_page(connection, slot, offset, &piece,
						    transmit->more);
		if (result <= 0) {
			*err = result ?: -EAGAIN;
			break;
		}
		sent += result;
		left -= result;
		offset += result;
		if (result < piece) {
			*err = -EAGAIN;
			break;
		}
	}
	connection->more_sent = transmit->more && !*err;
	return sent;
}

/* No room: write_space will kick. True: there is room again already. */
static bool transfer_await_room(struct socket *socket)
{
	set_bit(SOCK_NOSPACE, &socket->flags);
	smp_mb__after_atomic();
	return sk_stream_wspace(socket->sk) >= TRANSFER_ROOM_LOW &&
	       sk_stream_is_writeable(socket->sk);
}

/* True: the budget is used up, or room came back meanwhile. */
bool glue_transfer_send(struct glue_connection *connection, u64 now_ms)
{
	struct socket *socket = connection->socket;
	ktime_t end = ktime_add_us(ktime_get(), TRANSFER_BUDGET_US);
	unsigned int noreclaim = memalloc_noreclaim_save();
	struct hawser_transmit transmit;
	bool again = false;
	int err = 0;
	u32 sent;

	for (;;) {
		int room = sk_stream_wspace(socket->sk);

		if (room <= 0) {
			again = transfer_await_room(socket);
			break;
		}
		memset(&transmit, 0, sizeof(transmit));
		if (!hawser_connection_poll_transmit(connection->engine, room, &transmit)) {
			if (room < TRANSFER_ROOM_LOW)
				again = transfer_await_room(socket);
			break;
		}
		sent = transfer_send_one(connection, &transmit, &err);
		if (sent)
			connection->wants |= hawser_connection_handle_transmitted(
				connection->engine, sent, now_ms);
		if (err)
			break;
		if (ktime_after(ktime_get(), end)) {
			again = true;
			break;
		}
	}
	if (connection->more_sent && !again) {
		/* More was promised and did not come: push what TCP has kept back. */
		tcp_sock_set_nodelay(socket->sk);
		connection->more_sent = false;
	}
	memalloc_noreclaim_restore(noreclaim);
	if (err && err != -EAGAIN)
		glue_connection_fail(connection, HAWSER_ERROR_CONNECTION_RESET, err, now_ms);
	return again;
}
