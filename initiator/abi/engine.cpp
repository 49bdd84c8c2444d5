// SPDX-License-Identifier: GPL-2.0-or-later
// The C ABI: engine.h spelled over the engine's classes. A host sees only these.
#include "abi/engine.h"

#include "engine/connection.hpp"
#include "engine/session.hpp"

#include <new>

// All memory of a session is one block: the Session, what is shared, the connections, the tasks.
struct hawser_session {
    hawser::Session session;
    hawser::SessionShared shared;
};
struct hawser_connection {
    hawser::Connection connection;
};

namespace hawser {
namespace {

constexpr uint64_t align_up(uint64_t bytes) {
    return (bytes + 63) / 64 * 64;
}
constexpr uint64_t k_session_block_bytes = align_up(sizeof(hawser_session));
static_assert(alignof(hawser_session) <= 64 && alignof(hawser_connection) <= 64);
static_assert(sizeof(hawser_connection) == sizeof(Connection));

std::span<const uint8_t> bytes_of(const uint8_t* bytes, uint32_t length) {
    return {bytes, length};
}

}  // namespace
}  // namespace hawser

extern "C" {

uint64_t hawser_session_bytes(const hawser_options* options) {
    return hawser::k_session_block_bytes +
           hawser::align_up(options->connection_count * sizeof(hawser_connection)) +
           hawser::align_up(options->queue_depth * sizeof(hawser::Task));
}

hawser_session* hawser_session_create(void* memory, const hawser_options* options,
                                      uint16_t isid_qualifier, uint32_t random) {
    uint8_t* block = static_cast<uint8_t*>(memory);
    auto* session = new (block) hawser_session;
    block += hawser::k_session_block_bytes;
    auto* connections = reinterpret_cast<hawser::Connection*>(block);
    block += hawser::align_up(options->connection_count * sizeof(hawser_connection));
    auto* tasks = reinterpret_cast<hawser::Task*>(block);
    session->shared.options = *options;
    for (uint32_t i = 0; i < options->connection_count; i++) {
        new (&connections[i]) hawser::Connection;
        connections[i].create(session->shared, i);
    }
    for (uint32_t i = 0; i < options->queue_depth; i++) new (&tasks[i]) hawser::Task;
    session->shared.tasks = {tasks, options->queue_depth};
    session->session.create(session->shared, {connections, options->connection_count},
                            isid_qualifier, random);
    return session;
}

hawser_connection* hawser_session_connection(hawser_session* session, uint32_t index) {
    return reinterpret_cast<hawser_connection*>(&session->session.connection(index));
}

uint32_t hawser_session_start(hawser_session* session, uint64_t now_ms) {
    return session->session.start(now_ms);
}
uint32_t hawser_session_logout(hawser_session* session, uint64_t now_ms) {
    return session->session.logout(now_ms);
}
uint32_t hawser_session_abandon(hawser_session* session, uint64_t) {
    return session->session.abandon();
}
uint32_t hawser_session_add_connection(hawser_session* session, const hawser_portal* portal,
                                       uint32_t* index, uint64_t now_ms) {
    return session->session.add_connection(portal, *index, now_ms);
}
uint32_t hawser_session_drop_connection(hawser_session* session, uint32_t index, uint64_t) {
    return session->session.drop_connection(index);
}
uint32_t hawser_session_set_cmd_sn_order(hawser_session* session, uint8_t order, uint64_t now_ms) {
    return session->session.set_cmd_sn_order(order, now_ms);
}
uint32_t hawser_session_reinstate(hawser_session* session, uint64_t now_ms) {
    return session->session.reinstate(now_ms);
}
uint32_t hawser_session_handle_report(hawser_session* session, const hawser_report* report,
                                      uint64_t now_ms) {
    return session->session.handle_report(*report, now_ms);
}
uint32_t hawser_session_handle_timeout(hawser_session* session, uint64_t now_ms) {
    return session->session.handle_timeout(now_ms);
}
bool hawser_session_poll_order(hawser_session* session, hawser_order* order) {
    return session->session.poll_order(*order);
}
uint64_t hawser_session_poll_timeout(hawser_session* session) {
    return session->session.poll_timeout();
}
void hawser_session_read(const hawser_session* session, hawser_session_snapshot* snapshot) {
    session->session.read(*snapshot);
}
void hawser_session_window(const hawser_session* session, hawser_window* window) {
    const hawser::CommandWindow& shared = session->shared.window;
    window->cmd_sn = shared.current().value();
    window->exp_cmd_sn = shared.expected().value();
    window->max_cmd_sn = shared.maximum().value();
}
uint32_t hawser_session_window_waiters(hawser_session* session) {
    return session->shared.window.take_waiters();
}

uint32_t hawser_connection_start_connect(hawser_connection* connection, const hawser_order* order,
                                         uint64_t now_ms) {
    return connection->connection.start_connect(*order, now_ms);
}
uint32_t hawser_connection_handle_connected(hawser_connection* connection, uint64_t now_ms) {
    return connection->connection.handle_connected(now_ms);
}
uint32_t hawser_connection_handle_disconnected(hawser_connection* connection, uint32_t error,
                                               uint32_t detail, uint64_t now_ms) {
    return connection->connection.handle_disconnected(error, detail, now_ms);
}
uint32_t hawser_connection_handle_closed(hawser_connection* connection, uint64_t) {
    return connection->connection.handle_closed();
}
uint32_t hawser_connection_drain(hawser_connection* connection, uint32_t epoch,
                                 uint64_t deadline_ms, uint64_t now_ms) {
    return connection->connection.drain(epoch, deadline_ms, now_ms);
}
uint32_t hawser_connection_abandon(hawser_connection* connection, uint64_t) {
    return connection->connection.abandon();
}
uint32_t hawser_connection_logout(hawser_connection* connection, uint8_t reason, uint64_t now_ms) {
    return connection->connection.logout(reason, now_ms);
}
uint32_t hawser_connection_recover(hawser_connection* connection, uint16_t cid, uint64_t now_ms) {
    return connection->connection.recover(cid, now_ms);
}
uint32_t hawser_connection_proceed(hawser_connection* connection) {
    return connection->connection.proceed();
}
uint32_t hawser_connection_handle_unacknowledged(hawser_connection* connection, uint64_t since_ms) {
    return connection->connection.handle_unacknowledged(since_ms);
}
uint32_t hawser_connection_handle_taken_in(hawser_connection* connection) {
    return connection->connection.handle_taken_in();
}

uint32_t hawser_connection_handle_queued(hawser_connection* connection, uint32_t bytes,
                                         uint64_t now_ms) {
    return connection->connection.handle_queued(bytes, now_ms);
}

bool hawser_connection_serves(const hawser_connection* connection, uint32_t tag,
                              uint64_t since_ms) {
    return connection->connection.serves(tag, since_ms);
}

uint32_t hawser_connection_handle_timeout(hawser_connection* connection, uint64_t now_ms) {
    return connection->connection.handle_timeout(now_ms);
}
uint64_t hawser_connection_poll_timeout(hawser_connection* connection) {
    return connection->connection.poll_timeout();
}
bool hawser_connection_poll_report(hawser_connection* connection, hawser_report* report) {
    return connection->connection.poll_report(*report);
}
bool hawser_connection_accepts(const hawser_connection* connection) {
    return connection->connection.accepts();
}
uint32_t hawser_connection_submit(hawser_connection* connection, const hawser_command* command) {
    return connection->connection.submit(*command);
}
uint32_t hawser_connection_resume(hawser_connection* connection, const hawser_command* command) {
    return connection->connection.resume(*command);
}
bool hawser_connection_poll_completion(hawser_connection* connection,
                                       hawser_completion* completion) {
    return connection->connection.poll_completion(*completion);
}
bool hawser_connection_poll_parked(hawser_connection* connection, hawser_parked* parked) {
    return connection->connection.poll_parked(*parked);
}
bool hawser_connection_poll_overdue(hawser_connection* connection, hawser_overdue* overdue) {
    return connection->connection.poll_overdue(*overdue);
}
uint32_t hawser_connection_manage(hawser_connection* connection,
                                  const hawser_task_management* request, uint64_t now_ms) {
    return connection->connection.manage(*request, now_ms);
}
bool hawser_connection_poll_managed(hawser_connection* connection, hawser_managed* managed) {
    return connection->connection.poll_managed(*managed);
}
uint32_t hawser_connection_send_targets(hawser_connection* connection, uint32_t epoch,
                                        uint64_t now_ms) {
    return connection->connection.send_targets(epoch, now_ms);
}
uint32_t hawser_connection_conclude(hawser_connection* connection, uint32_t epoch,
                                    const hawser_scope* scope) {
    return connection->connection.conclude(epoch, *scope);
}
uint32_t hawser_connection_try_order(hawser_connection* connection, uint32_t epoch, uint16_t other,
                                     uint64_t now_ms) {
    return connection->connection.try_order(epoch, other, now_ms);
}
bool hawser_connection_poll_transmit(hawser_connection* connection, uint32_t room,
                                     hawser_transmit* transmit) {
    return connection->connection.poll_transmit(room, *transmit);
}
uint32_t hawser_connection_handle_transmitted(hawser_connection* connection, uint32_t length,
                                              uint64_t now_ms) {
    return connection->connection.handle_transmitted(length, now_ms);
}
void hawser_connection_digest_sent(hawser_connection* connection, const uint8_t* bytes,
                                   uint32_t length) {
    connection->connection.digest_sent(hawser::bytes_of(bytes, length));
}
void hawser_connection_digest_placed(hawser_connection* connection, const uint8_t* bytes,
                                     uint32_t length) {
    connection->connection.digest_placed(hawser::bytes_of(bytes, length));
}
uint32_t hawser_connection_handle_received(hawser_connection* connection, const uint8_t* bytes,
                                           uint32_t length, uint64_t now_ms, uint32_t* wants) {
    return connection->connection.handle_received(hawser::bytes_of(bytes, length), now_ms, *wants);
}
bool hawser_connection_poll_placement(hawser_connection* connection, hawser_placement* placement) {
    return connection->connection.poll_placement(*placement);
}
uint32_t hawser_connection_handle_placed(hawser_connection* connection, uint32_t length) {
    return connection->connection.handle_placed(length);
}
bool hawser_connection_poll_chap(hawser_connection* connection, hawser_chap_request* request) {
    return connection->connection.poll_chap(*request);
}
uint32_t hawser_connection_handle_chap(hawser_connection* connection,
                                       const hawser_chap_answer* answer, uint64_t) {
    return connection->connection.handle_chap(*answer);
}
uint32_t hawser_chap_digest_bytes(uint8_t algorithm) {
    return hawser::chap_digest_bytes(algorithm);
}
void hawser_connection_counters(const hawser_connection* connection, hawser_counters* counters) {
    connection->connection.read_counters(*counters);
}

}  // extern "C"
