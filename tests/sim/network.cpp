// SPDX-License-Identifier: GPL-2.0-or-later
//
// The simulated TCP.

#include "network.h"

#include <algorithm>

#include "abi/engine.h"

namespace hawser::sim {

namespace {

constexpr size_t k_socket_bytes = 128 * 1024;
constexpr size_t k_slow_socket_bytes = 512 * 1024;  // it grows with the queue in the path
constexpr uint64_t k_latency_min_us = 50;

}  // namespace

void Link::queue(Side to, Segment segment) {
    Direction& direction = m_to[to];
    Random& random = m_world.random;
    // Mostly a fast network, now and then a queue in it.
    const uint64_t delay =
        k_latency_min_us + (random.chance(3) ? random.between(0, 80000) : random.between(0, 300));
    direction.last_us = std::max(direction.last_us, m_world.now_us() + delay);
    if (to == k_target && path_bytes_per_ms != 0)
        direction.last_us += segment.bytes.size() * 1000 / path_bytes_per_ms;
    segment.due_us = direction.last_us;
    direction.queued += segment.bytes.size();
    if (direction.segments.empty()) direction.progress_us = m_world.now_us();
    direction.segments.push_back(std::move(segment));
    m_world.after(direction.last_us - m_world.now_us(), [this, to] { deliver(to); });
}

void Link::send(Side from, std::span<const uint8_t> bytes) {
    if (m_closed[from]) return;
    const Side to = from == k_initiator ? k_target : k_initiator;
    while (!bytes.empty()) {
        size_t length = bytes.size();
        if (m_world.random.chance(20)) length = m_world.random.between(1, length);
        length = std::min<size_t>(length, 16384);
        queue(to, {0, Bytes(bytes.begin(), bytes.begin() + static_cast<long>(length))});
        bytes = bytes.subspan(length);
    }
}

void Link::send_fin(Side from) {
    if (m_closed[from]) return;
    if (from == k_initiator) m_initiator_finished = true;
    queue(from == k_initiator ? k_target : k_initiator, {0, {}, true});
}

void Link::close(Side side, bool abortive) {
    if (m_closed[side]) return;
    const Side other = side == k_initiator ? k_target : k_initiator;
    if (m_silent[other]) {
        // What is on the way comes to nothing, and nobody is told.
        m_to[other].segments.clear();
        m_to[other].queued = 0;
    } else if (!m_closed[other]) {
        if (side == k_initiator && abortive && !m_initiator_finished && !m_broken)
            m_was_abandoned = true;
        Segment last{};
        (abortive ? last.reset : last.fin) = true;
        queue(other, last);
    }
    m_closed[side] = true;
    m_to[side].segments.clear();
    m_to[side].queued = 0;
}

size_t Link::room(Side from) const {
    const size_t bytes = path_bytes_per_ms != 0 ? k_slow_socket_bytes : k_socket_bytes;
    return queued(from) < bytes ? bytes - queued(from) : 0;
}

uint64_t Link::unacknowledged_ms(Side from) const {
    const Direction& direction = m_to[from == k_initiator ? k_target : k_initiator];
    return direction.segments.empty() ? HAWSER_NEVER : m_world.ms_of(direction.progress_us);
}

void Link::deliver(Side to) {
    Direction& direction = m_to[to];
    while (!direction.segments.empty() && !m_silent[to] &&
           direction.segments.front().due_us <= m_world.now_us()) {
        const Segment segment = std::move(direction.segments.front());
        direction.segments.pop_front();
        direction.queued -= segment.bytes.size();
        direction.progress_us = m_world.now_us();
        deliver_one(to, segment);
    }
}

void Link::deliver_one(Side to, const Segment& segment) {
    const Side from = to == k_initiator ? k_target : k_initiator;
    if (ends[to] == nullptr) return;  // nobody ever answered
    if (m_closed[to]) {
        // Data for a closed socket is answered by a reset.
        Segment answer{};
        answer.reset = true;
        if (!segment.bytes.empty() && !m_closed[from]) queue(from, answer);
        return;
    }
    if (segment.reset) return ends[to]->handle_reset(*this);
    if (segment.fin) return ends[to]->handle_fin(*this);
    ends[to]->handle_bytes(*this, segment.bytes);
    if (!m_closed[from] && ends[from] != nullptr) ends[from]->handle_room(*this);
}

// A reset from the middle. Each side hears of it in its own time; what was on the way may still
// arrive before that.
void Link::break_up() {
    m_broken = true;
    m_was_cut = !m_initiator_finished;
    for (const Side to : {k_initiator, k_target}) {
        if (m_closed[to]) continue;
        if (m_world.random.chance(60)) m_to[to].segments.clear();
        m_to[to].queued = 0;
        for (const Segment& left : m_to[to].segments) m_to[to].queued += left.bytes.size();
        Segment segment{};
        segment.reset = true;
        queue(to, segment);
    }
}

void Link::set_silent(bool silent) {
    for (const Side to : {k_initiator, k_target}) set_silent(to, silent);
}

void Link::set_silent(Side to, bool silent) {
    if (m_silent[to] == silent) return;
    m_silent[to] = silent;
    if (!silent) m_world.after(k_latency_min_us, [this, to] { deliver(to); });
}

Link& Network::connect(uint32_t portal, Endpoint& initiator) {
    m_links.push_back(
        std::make_unique<Link>(m_world, static_cast<uint32_t>(m_links.size()), portal));
    Link& link = *m_links.back();
    link.ends[k_initiator] = &initiator;
    link.path_bytes_per_ms = path_bytes_per_ms;
    m_world.after(m_world.random.between(100, 1000), [this, &link] {
        if (link.is_closed(k_initiator)) return;
        const PortalState state = portals[link.portal()];
        if (state == PortalState::Unreachable) return;
        Endpoint* target = state == PortalState::Refusing ? nullptr : m_listener.accept(link);
        link.ends[k_target] = target;
        if (target == nullptr) link.close(k_target, false);
        link.ends[k_initiator]->handle_connected(link, target != nullptr);
    });
    return link;
}

std::vector<Link*> Network::open_links() {
    std::vector<Link*> open;
    for (const auto& link : m_links) {
        if (link->is_open() && link->ends[k_target] != nullptr) open.push_back(link.get());
    }
    return open;
}

void Network::heal() {
    for (const auto& link : m_links) link->set_silent(false);
    for (PortalState& state : portals) state = PortalState::Up;
}

}  // namespace hawser::sim
