// SPDX-License-Identifier: GPL-2.0-or-later
//
// TCP as it looks from both ends: bytes in order, late, in any pieces; FIN; reset; and the silence
// of a cable that is out. Connections know nothing of each other, so what was sent first on one may
// arrive last.

#pragma once

#include <deque>
#include <memory>
#include <span>

#include "world.h"

namespace hawser::sim {

class Link;

enum Side : uint32_t { k_initiator = 0, k_target = 1 };

// Who holds an end of a link.
class Endpoint {
public:
    virtual ~Endpoint() = default;
    virtual void handle_bytes(Link& link, const Bytes& bytes) = 0;
    virtual void handle_fin(Link& link) = 0;
    virtual void handle_reset(Link& link) = 0;
    virtual void handle_room(Link& link) = 0;
    virtual void handle_connected(Link& link, bool succeeded) = 0;
};

class Listener {
public:
    virtual ~Listener() = default;
    // nullptr: refused.
    virtual Endpoint* accept(Link& link) = 0;
};

// One TCP connection.
class Link {
public:
    Link(World& world, uint32_t id, uint32_t portal) : m_world(world), m_id(id), m_portal(portal) {}

    void send(Side from, std::span<const uint8_t> bytes);
    void send_fin(Side from);
    // After that nothing reaches this side. Abortive: the other one hears a reset, else FIN.
    void close(Side side, bool abortive);
    size_t room(Side from) const;
    // Since when bytes of that side are under way that do not arrive; ms, HAWSER_NEVER: none.
    uint64_t unacknowledged_ms(Side from) const;
    // How much of that side's bytes has not arrived.
    size_t queued(Side from) const {
        return m_to[from == k_initiator ? k_target : k_initiator].queued;
    }

    // Faults.
    void break_up();
    void set_silent(bool silent);
    // Nothing arrives at that side.
    void set_silent(Side to, bool silent);
    bool is_open() const { return !m_closed[0] && !m_closed[1]; }
    bool is_closed(Side side) const { return m_closed[side]; }
    // Broken by a fault, and not after the initiator had said its last.
    bool was_cut() const { return m_was_cut; }
    // Reset by the initiator itself, without a FIN before and on a sound link.
    bool was_abandoned() const { return m_was_abandoned; }

    uint32_t id() const { return m_id; }
    uint32_t portal() const { return m_portal; }
    Endpoint* ends[2] = {};
    uint32_t path_bytes_per_ms = 0;  // towards the target; 0: as fast as can be

private:
    struct Segment {
        uint64_t due_us;
        Bytes bytes;
        bool fin = false;
        bool reset = false;
    };
    struct Direction {
        std::deque<Segment> segments;
        uint64_t last_us = 0;
        uint64_t progress_us = 0;  // the last delivery, or the first segment of those that wait
        size_t queued = 0;
    };

    void queue(Side to, Segment segment);
    void deliver(Side to);
    void deliver_one(Side to, const Segment& segment);

    World& m_world;
    uint32_t m_id;
    uint32_t m_portal;
    Direction m_to[2];
    bool m_closed[2] = {};
    bool m_silent[2] = {};  // towards that side
    bool m_initiator_finished = false;
    bool m_broken = false;
    bool m_was_cut = false;
    bool m_was_abandoned = false;
};

// What a portal does with a TCP SYN.
enum class PortalState { Up, Refusing, Unreachable };

class Network {
public:
    Network(World& world, Listener& listener, size_t portals)
        : portals(portals, PortalState::Up), m_world(world), m_listener(listener) {}

    Link& connect(uint32_t portal, Endpoint& initiator);
    // Links that both sides hold open.
    std::vector<Link*> open_links();
    void heal();

    std::vector<PortalState> portals;
    uint32_t path_bytes_per_ms = 0;  // of each new link

private:
    World& m_world;
    Listener& m_listener;
    std::vector<std::unique_ptr<Link>> m_links;
};

}  // namespace hawser::sim
