// SPDX-License-Identifier: GPL-2.0-or-later
// The few requests of rtnetlink that a boot needs, by libmnl.
#ifndef HAWSER_USER_NETLINK_H
#define HAWSER_USER_NETLINK_H

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "user/address.h"

struct mnl_socket;
struct nlmsghdr;

namespace hawser::user {

using Clock = std::chrono::steady_clock;

struct Link {
    int index = 0;
    std::string name;
    MacAddress mac;
    std::optional<MacAddress> permanent_mac;
    bool is_ethernet = false;
    bool is_up = false;
    bool has_carrier = false;
    std::string kind;  // "vlan", "bridge", "veth", ...; empty for hardware

    bool answers_to(const MacAddress& wanted) const {
        return is_ethernet && (mac == wanted || permanent_mac == wanted);
    }
};

struct LinkAddress {
    int index = 0;
    IpAddress address;
    unsigned prefix_length = 0;
};

// One request at a time; a refused one throws Failure with the kernel's errno in words.
class Netlink {
public:
    Netlink();
    ~Netlink();
    Netlink(const Netlink&) = delete;
    Netlink& operator=(const Netlink&) = delete;

    std::vector<Link> links();
    std::vector<LinkAddress> addresses();
    void set_up(const Link& link);
    void rename(const Link& link, const std::string& name);
    void add_address(const Link& link, const IpAddress& address, unsigned prefix_length);
    void add_default_route(const Link& link, const IpAddress& gateway, unsigned metric);

private:
    // Sends and reads the answer; an error that equals `accepted` is none.
    void request(nlmsghdr* message, int (*take)(const nlmsghdr*, void*), void* result,
                 const std::string& what, int accepted = 0);

    mnl_socket* socket_;
    unsigned sequence_ = 0;
};

// Wakes up whenever a link appears, goes, or changes (carrier). Made before the links are listed,
// nothing that happens after is missed.
class LinkEvents {
public:
    LinkEvents();
    ~LinkEvents();
    LinkEvents(const LinkEvents&) = delete;
    LinkEvents& operator=(const LinkEvents&) = delete;

    // False when the deadline passed without an event.
    bool wait_until(Clock::time_point deadline);

private:
    mnl_socket* socket_;
};

}  // namespace hawser::user

#endif
