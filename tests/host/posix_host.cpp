// SPDX-License-Identifier: GPL-2.0-or-later
// The user space host: sockets, poll(2), and the same order of calls as the module's glue.
#include "posix_host.hpp"

#include "chap_digest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace hawser::test {

namespace {

constexpr uint32_t k_room = 256 * 1024;  // what a fresh socket takes
constexpr size_t k_read_bytes = 64 * 1024;

int address_of(const hawser_address& from, uint16_t port, sockaddr_storage& out) {
    if (from.family == 6) {
        auto& to = reinterpret_cast<sockaddr_in6&>(out);
        to.sin6_family = AF_INET6;
        to.sin6_port = htons(port);
        std::memcpy(&to.sin6_addr, from.bytes, 16);
        return sizeof(to);
    }
    auto& to = reinterpret_cast<sockaddr_in&>(out);
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    std::memcpy(&to.sin_addr, from.bytes, 4);
    return sizeof(to);
}

}  // namespace

PosixHost::PosixHost(const std::string& line) : m_memory(nullptr, std::free) {
    char reason[HAWSER_REASON_BYTES] = {};
    if (hawser_options_parse(line.data(), static_cast<uint32_t>(line.size()), &m_options, reason) !=
        HAWSER_ERROR_NONE)
        throw std::invalid_argument(reason);
    const uint64_t bytes = hawser_session_bytes(&m_options);
    m_memory.reset(static_cast<uint8_t*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
    std::memset(m_memory.get(), 0, bytes);
    m_session = hawser_session_create(m_memory.get(), &m_options, 1, 0x12345678);
    m_links.resize(m_options.connection_count);
    for (uint32_t i = 0; i < m_options.connection_count; i++)
        m_links[i].engine = hawser_session_connection(m_session, i);
    m_requests.resize(m_options.queue_depth);
    for (uint32_t tag = m_options.queue_depth; tag != 0; tag--) m_free_tags.push_back(tag - 1);
}

PosixHost::~PosixHost() {
    for (Link& link : m_links) {
        if (link.fd >= 0) close(link.fd);
    }
}

uint64_t PosixHost::now_ms() {
    using namespace std::chrono;
    return static_cast<uint64_t>(
        duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count() + 1);
}

void PosixHost::start() {
    hawser_session_start(m_session, now_ms());
    take_orders();
}

void PosixHost::logout() {
    hawser_session_logout(m_session, now_ms());
    take_orders();
}

bool PosixHost::login(double seconds) {
    start();
    return run_until([this] { return m_settled || m_ended; }, seconds) && !m_ended;
}

void PosixHost::take_orders() {
    hawser_order order{};
    while (hawser_session_poll_order(m_session, &order)) obey(order);
}

void PosixHost::tell(const std::string& line) {
    m_story += fmt::format("{} ms: {}\n", now_ms(), line);
}

void PosixHost::obey(const hawser_order& order) {
    tell(fmt::format("order {} connection {} epoch {} leading {}", order.kind, order.index,
                     order.epoch, order.login.leading));
    switch (order.kind) {
        case HAWSER_ORDER_CONNECT:
            open_socket(order);
            break;
        case HAWSER_ORDER_DRAIN:
            after(order.index, hawser_connection_drain(m_links[order.index].engine, order.epoch,
                                                       order.deadline_ms, now_ms()));
            break;
        case HAWSER_ORDER_CLOSE:
            after(order.index, hawser_connection_abandon(m_links[order.index].engine, now_ms()));
            break;
        case HAWSER_ORDER_LOGOUT:
            after(order.index, hawser_connection_logout(m_links[order.index].engine,
                                                        order.logout_reason, now_ms()));
            break;
        case HAWSER_ORDER_RECOVER:
            after(order.index,
                  hawser_connection_recover(m_links[order.index].engine, order.cid, now_ms()));
            break;
        case HAWSER_ORDER_PROCEED:
            after(order.index, hawser_connection_proceed(m_links[order.index].engine));
            break;
        case HAWSER_ORDER_TRY_ORDER:
            after(order.index, hawser_connection_try_order(m_links[order.index].engine, order.epoch,
                                                           order.cid, now_ms()));
            break;
        case HAWSER_ORDER_RELEASE:
            m_released = true;
            m_settled = false;
            dispatch();
            break;
        case HAWSER_ORDER_SETTLED:
            m_settled = true;
            break;
        case HAWSER_ORDER_ENDED:
            m_ended = true;
            m_end_error = order.error;
            m_end_detail = order.detail;
            break;
    }
}

void PosixHost::open_socket(const hawser_order& order) {
    Link& link = m_links[order.index];
    const hawser_portal& portal = order.where;
    after(order.index, hawser_connection_start_connect(link.engine, &order, now_ms()));
    sockaddr_storage to{};
    const int length = address_of(portal.address, portal.port, to);
    link.fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;
    setsockopt(link.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    link.opened++;
    link.connecting = true;
    link.want_write = true;
    if (m_tap != nullptr) m_tap->open(order.index);
    if (connect(link.fd, reinterpret_cast<sockaddr*>(&to), static_cast<socklen_t>(length)) < 0 &&
        errno != EINPROGRESS)
        after(order.index,
              hawser_connection_handle_disconnected(link.engine, HAWSER_ERROR_CONNECT_FAILED,
                                                    static_cast<uint32_t>(errno), now_ms()));
}

// What a mutation asked for, in the order in which the glue does it.
void PosixHost::after(uint32_t index, uint32_t wants) {
    Link& link = m_links[index];
    if (wants & HAWSER_WANT_COMPLETION) take_completions(index);
    if (wants & HAWSER_WANT_TRANSMIT) link.want_write = true;
    if (wants & HAWSER_WANT_CHAP) answer_chap(index);
    if (wants & HAWSER_WANT_WAKE) {
        const uint32_t waiters = hawser_session_window_waiters(m_session);
        for (uint32_t i = 0; i < m_links.size(); i++) {
            if (waiters & (1u << i)) m_links[i].want_write = true;
        }
    }
    if ((wants & HAWSER_WANT_FIN) && link.fd >= 0) shutdown(link.fd, SHUT_WR);
    if (wants & HAWSER_WANT_CLOSE) close_socket(index);
    hawser_report report{};
    while (hawser_connection_poll_report(link.engine, &report)) {
        tell(fmt::format("report {} connection {} epoch {} {} {}", report.kind, report.index,
                         report.epoch, hawser_error_words(report.error), report.detail));
        hawser_session_handle_report(m_session, &report, now_ms());
        take_orders();
    }
}

void PosixHost::answer_chap(uint32_t index) {
    hawser_chap_request request{};
    if (!hawser_connection_poll_chap(m_links[index].engine, &request)) return;
    std::vector<uint8_t> random(HAWSER_CHAP_RANDOM_BYTES);
    if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1)
        throw std::runtime_error("no random bytes");
    const auto answer = chap_answer(request, m_secrets[m_options.chap_key],
                                    m_secrets[m_options.chap_key_in], random);
    after(index, hawser_connection_handle_chap(m_links[index].engine, &answer, now_ms()));
}

void PosixHost::close_socket(uint32_t index) {
    Link& link = m_links[index];
    if (link.fd >= 0) close(link.fd);
    link.fd = -1;
    link.connecting = false;
    link.want_write = false;
    const uint32_t wants = hawser_connection_handle_closed(link.engine, now_ms());
    if (wants & HAWSER_WANT_COMPLETION) take_completions(index);
    hawser_parked parked{};
    while (hawser_connection_poll_parked(link.engine, &parked)) {
        // The tag stays the request's: its connection may be gone and its task live on.
        m_waiting.push_back({m_requests[parked.tag], -1, static_cast<int>(parked.tag)});
    }
}

void PosixHost::take_completions(uint32_t index) {
    hawser_completion completion{};
    while (hawser_connection_poll_completion(m_links[index].engine, &completion)) {
        Request* request = m_requests[completion.tag];
        m_requests[completion.tag] = nullptr;
        m_free_tags.push_back(completion.tag);
        request->result.done = true;
        request->result.response = completion.response;
        request->result.status = completion.status;
        request->result.residual = completion.residual;
        request->result.overflow = completion.overflow != 0;
        request->result.sense.assign(completion.sense, completion.sense + completion.sense_length);
    }
    dispatch();
}

void PosixHost::submit(Request& request, int index) {
    request.result = {};
    m_waiting.push_back({&request, index, -1});
    dispatch();
}

bool PosixHost::execute(Request& request, double seconds, int index) {
    submit(request, index);
    return run_until([&] { return request.result.done || m_ended; }, seconds) &&
           request.result.done;
}

void PosixHost::dispatch() {
    std::vector<Waiting> left;
    for (const Waiting& waiting : m_waiting) {
        int index = waiting.index;
        for (uint32_t tried = 0; index < 0 && tried < m_links.size(); tried++) {
            m_next = (m_next + 1) % static_cast<uint32_t>(m_links.size());
            if (hawser_connection_accepts(m_links[m_next].engine)) index = static_cast<int>(m_next);
        }
        const bool again = waiting.tag >= 0;
        if (index < 0 || (!again && m_free_tags.empty()) ||
            !hawser_connection_accepts(m_links[static_cast<uint32_t>(index)].engine)) {
            left.push_back(waiting);
            continue;
        }
        hawser_command command{};
        command.tag = again ? static_cast<uint32_t>(waiting.tag) : m_free_tags.back();
        if (!again) m_free_tags.pop_back();
        m_requests[command.tag] = waiting.request;
        command.length = static_cast<uint32_t>(waiting.request->data.size());
        command.lun[1] = static_cast<uint8_t>(waiting.request->lun);
        command.cdb_length =
            static_cast<uint8_t>(std::max<size_t>(16, waiting.request->cdb.size()));
        std::copy(waiting.request->cdb.begin(), waiting.request->cdb.end(), command.cdb);
        command.direction = waiting.request->direction;
        command.task_attribute = 1;
        Link& link = m_links[static_cast<uint32_t>(index)];
        if (again)
            hawser_connection_resume(link.engine, &command);
        else
            hawser_connection_submit(link.engine, &command);
        link.want_write = true;
    }
    m_waiting.swap(left);
}

void PosixHost::tap_sent(uint32_t index, const iovec (&parts)[2], size_t length) {
    for (size_t i = 0; i < 2 && m_tap != nullptr; i++) {
        const size_t piece = std::min(length, parts[i].iov_len);
        m_tap->sent(index, {static_cast<const uint8_t*>(parts[i].iov_base), piece});
        length -= piece;
    }
}

void PosixHost::transmit(uint32_t index) {
    Link& link = m_links[index];
    hawser_transmit next{};
    while (link.fd >= 0 && hawser_connection_poll_transmit(link.engine, k_room, &next)) {
        iovec parts[2] = {{const_cast<uint8_t*>(next.bytes), next.bytes_length}, {nullptr, 0}};
        if (next.data_length != 0)
            parts[1] = {m_requests[next.tag]->data.data() + next.data_offset, next.data_length};
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        const ssize_t sent =
            sendmsg(link.fd, &message, MSG_NOSIGNAL | (next.more != 0 ? MSG_MORE : 0));
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (sent < 0) {
            after(index,
                  hawser_connection_handle_disconnected(link.engine, HAWSER_ERROR_CONNECTION_RESET,
                                                        static_cast<uint32_t>(errno), now_ms()));
            return;
        }
        tap_sent(index, parts, static_cast<size_t>(sent));
        if (next.digest != 0 && static_cast<size_t>(sent) > next.bytes_length &&
            m_spoil_sent != 0) {
            // The digest of what was meant, not of what went out, or the other way round: the
            // target cannot tell.
            const uint8_t damage = 0x55;
            hawser_connection_digest_sent(link.engine, &damage, 1);
            m_spoil_sent--;
        }
        if (next.digest != 0 && static_cast<size_t>(sent) > next.bytes_length)
            hawser_connection_digest_sent(link.engine,
                                          static_cast<const uint8_t*>(parts[1].iov_base),
                                          static_cast<uint32_t>(sent) - next.bytes_length);
        after(index, hawser_connection_handle_transmitted(link.engine, static_cast<uint32_t>(sent),
                                                          now_ms()));
    }
    link.want_write = false;
}

// Straight into the request's buffer, as the module's actor does.
void PosixHost::place(uint32_t index) {
    hawser_placement placement{};
    size_t begin = 0;
    Link& link = m_links[index];
    const uint32_t opened = link.opened;
    while (begin < m_stream.size()) {
        if (link.fd < 0 || link.opened != opened) return;
        uint32_t wants = 0;
        if (hawser_connection_poll_placement(link.engine, &placement)) {
            const size_t length = std::min<size_t>(placement.length, m_stream.size() - begin);
            if (m_spoil_received != 0) {
                m_stream[begin] ^= 0x10;
                m_spoil_received--;
            }
            std::memcpy(m_requests[placement.tag]->data.data() + placement.offset,
                        m_stream.data() + begin, length);
            if (placement.digest != 0)
                hawser_connection_digest_placed(link.engine, m_stream.data() + begin,
                                                static_cast<uint32_t>(length));
            begin += length;
            wants = hawser_connection_handle_placed(link.engine, static_cast<uint32_t>(length));
        } else {
            begin += hawser_connection_handle_received(
                link.engine, m_stream.data() + begin,
                static_cast<uint32_t>(m_stream.size() - begin), now_ms(), &wants);
        }
        after(index, wants);
    }
}

void PosixHost::receive(uint32_t index) {
    Link& link = m_links[index];
    const uint32_t opened = link.opened;
    while (link.fd >= 0 && link.opened == opened) {
        m_stream.resize(k_read_bytes);
        const ssize_t got = recv(link.fd, m_stream.data(), m_stream.size(), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) {
            const uint32_t error =
                got == 0 ? HAWSER_ERROR_CLOSED_BY_TARGET : HAWSER_ERROR_CONNECTION_RESET;
            after(index,
                  hawser_connection_handle_disconnected(
                      link.engine, error, got < 0 ? static_cast<uint32_t>(errno) : 0, now_ms()));
            return;
        }
        m_stream.resize(static_cast<size_t>(got));
        if (m_tap != nullptr) m_tap->received(index, m_stream);
        place(index);
    }
}

void PosixHost::break_connection(uint32_t index) {
    if (m_links[index].fd >= 0) shutdown(m_links[index].fd, SHUT_RDWR);
}

void PosixHost::turn(int timeout_ms) {
    std::vector<pollfd> fds(m_links.size());
    std::vector<uint32_t> opened(m_links.size());
    for (size_t i = 0; i < m_links.size(); i++) {
        fds[i].fd = m_links[i].fd;
        opened[i] = m_links[i].opened;
        fds[i].events = static_cast<short>(POLLIN | (m_links[i].want_write ? POLLOUT : 0));
    }
    poll(fds.data(), fds.size(), timeout_ms);
    for (uint32_t i = 0; i < m_links.size(); i++) {
        Link& link = m_links[i];
        if (link.fd < 0 || link.fd != fds[i].fd || link.opened != opened[i]) continue;
        if (link.connecting && fds[i].revents != 0) {
            int error = 0;
            socklen_t length = sizeof(error);
            getsockopt(link.fd, SOL_SOCKET, SO_ERROR, &error, &length);
            link.connecting = false;
            after(i, error == 0 ? hawser_connection_handle_connected(link.engine, now_ms())
                                : hawser_connection_handle_disconnected(
                                      link.engine, HAWSER_ERROR_CONNECT_FAILED,
                                      static_cast<uint32_t>(error), now_ms()));
            continue;
        }
        if (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) receive(i);
        if (link.fd >= 0 && !link.connecting && link.want_write) transmit(i);
    }
    const uint64_t now = now_ms();
    for (uint32_t i = 0; i < m_links.size(); i++) {
        if (hawser_connection_poll_timeout(m_links[i].engine) <= now)
            after(i, hawser_connection_handle_timeout(m_links[i].engine, now));
    }
    if (hawser_session_poll_timeout(m_session) <= now) {
        hawser_session_handle_timeout(m_session, now);
        take_orders();
    }
    dispatch();
}

bool PosixHost::run_until(const std::function<bool()>& done, double seconds) {
    const uint64_t deadline = now_ms() + static_cast<uint64_t>(seconds * 1000);
    while (!done()) {
        const uint64_t now = now_ms();
        if (now >= deadline) return false;
        uint64_t wake = std::min(deadline, hawser_session_poll_timeout(m_session));
        for (Link& link : m_links)
            wake = std::min(wake, hawser_connection_poll_timeout(link.engine));
        turn(wake <= now ? 0 : static_cast<int>(std::min<uint64_t>(wake - now, 1000)));
    }
    return true;
}

hawser_session_snapshot PosixHost::snapshot() const {
    hawser_session_snapshot snapshot{};
    hawser_session_read(m_session, &snapshot);
    return snapshot;
}

hawser_counters PosixHost::counters(uint32_t index) const {
    hawser_counters counters{};
    hawser_connection_counters(m_links[index].engine, &counters);
    return counters;
}

}  // namespace hawser::test
