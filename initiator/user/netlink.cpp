// SPDX-License-Identifier: GPL-2.0-or-later
// rtnetlink, by libmnl.
#include "user/netlink.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>

#include <cerrno>
#include <cstring>

#include "user/failure.h"

namespace hawser::user {
namespace {

constexpr size_t k_buffer_bytes = 32768;  // what the kernel may send at once

mnl_socket* open_socket(unsigned groups) {
    mnl_socket* const socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (socket == nullptr || mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) < 0) {
        throw Failure("no rtnetlink", std::strerror(errno), "is the kernel's network there?");
    }
    return socket;
}

int af_of(const IpAddress& address) {
    return address.family() == Family::ipv4 ? AF_INET : AF_INET6;
}

struct Message {
    alignas(nlmsghdr) char bytes[1024] = {};
    nlmsghdr* header = mnl_nlmsg_put_header(bytes);

    Message(uint16_t type, uint16_t flags) {
        header->nlmsg_type = type;
        header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    }
    template <typename T>
    T* extra() {
        return static_cast<T*>(mnl_nlmsg_put_extra_header(header, sizeof(T)));
    }
};

int take_link_info(const nlattr* attribute, void* data) {
    auto& link = *static_cast<Link*>(data);
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) link.kind = mnl_attr_get_str(attribute);
    return MNL_CB_OK;
}

int take_link_attribute(const nlattr* attribute, void* data) {
    auto& link = *static_cast<Link*>(data);
    const auto* payload = static_cast<const uint8_t*>(mnl_attr_get_payload(attribute));
    const bool is_mac = mnl_attr_get_payload_len(attribute) == 6;
    switch (mnl_attr_get_type(attribute)) {
        case IFLA_IFNAME:
            link.name = mnl_attr_get_str(attribute);
            break;
        case IFLA_ADDRESS:
            if (is_mac) link.mac = MacAddress::from_bytes(payload);
            break;
        case IFLA_PERM_ADDRESS:
            if (is_mac) link.permanent_mac = MacAddress::from_bytes(payload);
            break;
        case IFLA_CARRIER:
            link.has_carrier = mnl_attr_get_u8(attribute) != 0;
            break;
        case IFLA_LINKINFO:
            mnl_attr_parse_nested(attribute, take_link_info, data);
            break;
        default:
            break;
    }
    return MNL_CB_OK;
}

int take_link(const nlmsghdr* message, void* data) {
    const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
    Link link;
    link.index = info->ifi_index;
    link.is_up = (info->ifi_flags & IFF_UP) != 0;
    link.is_ethernet = info->ifi_type == ARPHRD_ETHER;
    mnl_attr_parse(message, sizeof(*info), take_link_attribute, &link);
    link.has_carrier = link.has_carrier && link.is_up;
    static_cast<std::vector<Link>*>(data)->push_back(std::move(link));
    return MNL_CB_OK;
}

struct AddressAttributes {
    const nlattr* local = nullptr;
    const nlattr* address = nullptr;
};

int take_address_attribute(const nlattr* attribute, void* data) {
    auto& found = *static_cast<AddressAttributes*>(data);
    if (mnl_attr_get_type(attribute) == IFA_LOCAL) found.local = attribute;
    if (mnl_attr_get_type(attribute) == IFA_ADDRESS) found.address = attribute;
    return MNL_CB_OK;
}

int take_address(const nlmsghdr* message, void* data) {
    const auto* info = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(message));
    if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) return MNL_CB_OK;
    // What a router advertisement gave may go as it came; it is nothing to lean on.
    if (info->ifa_family == AF_INET6 && (info->ifa_flags & IFA_F_PERMANENT) == 0) return MNL_CB_OK;
    AddressAttributes found;
    mnl_attr_parse(message, sizeof(*info), take_address_attribute, &found);
    // On a point-to-point link IFA_ADDRESS is the peer's, IFA_LOCAL ours.
    const nlattr* const own = found.local != nullptr ? found.local : found.address;
    const Family family = info->ifa_family == AF_INET ? Family::ipv4 : Family::ipv6;
    const size_t size = family == Family::ipv4 ? 4 : 16;
    if (own == nullptr || mnl_attr_get_payload_len(own) != size) return MNL_CB_OK;
    static_cast<std::vector<LinkAddress>*>(data)->push_back(
        {static_cast<int>(info->ifa_index),
         IpAddress::from_bytes(family, mnl_attr_get_payload(own)), info->ifa_prefixlen});
    return MNL_CB_OK;
}

}  // namespace

Netlink::Netlink() : socket_(open_socket(0)) {}

Netlink::~Netlink() {
    mnl_socket_close(socket_);
}

void Netlink::request(nlmsghdr* message, int (*take)(const nlmsghdr*, void*), void* result,
                      const std::string& what, int accepted) {
    message->nlmsg_seq = ++sequence_;
    int status = 0;
    if (mnl_socket_sendto(socket_, message, message->nlmsg_len) < 0) {
        status = -1;
    } else {
        std::vector<char> buffer(k_buffer_bytes);
        do {
            const ssize_t got = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
            status = got < 0 ? -1
                             : mnl_cb_run(buffer.data(), static_cast<size_t>(got), sequence_,
                                          mnl_socket_get_portid(socket_), take, result);
        } while (status > MNL_CB_STOP);
    }
    if (status == -1 && errno != accepted) {
        throw Failure("NIC refused", what, std::strerror(errno));
    }
}

std::vector<Link> Netlink::links() {
    Message message(RTM_GETLINK, NLM_F_DUMP);
    message.extra<ifinfomsg>()->ifi_family = AF_UNSPEC;
    std::vector<Link> links;
    request(message.header, take_link, &links, "list of links");
    return links;
}

std::vector<LinkAddress> Netlink::addresses() {
    Message message(RTM_GETADDR, NLM_F_DUMP);
    message.extra<ifaddrmsg>()->ifa_family = AF_UNSPEC;
    std::vector<LinkAddress> addresses;
    request(message.header, take_address, &addresses, "list of addresses");
    return addresses;
}

void Netlink::set_up(const Link& link) {
    Message message(RTM_NEWLINK, NLM_F_ACK);
    auto* const info = message.extra<ifinfomsg>();
    info->ifi_index = link.index;
    info->ifi_flags = info->ifi_change = IFF_UP;
    request(message.header, nullptr, nullptr, link.name + " up");
}

void Netlink::rename(const Link& link, const std::string& name) {
    Message message(RTM_NEWLINK, NLM_F_ACK);
    message.extra<ifinfomsg>()->ifi_index = link.index;
    mnl_attr_put_strz(message.header, IFLA_IFNAME, name.c_str());
    request(message.header, nullptr, nullptr, fmt::format("{} renamed {}", link.name, name));
}

void Netlink::add_address(const Link& link, const IpAddress& address, unsigned prefix_length) {
    Message message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    auto* const info = message.extra<ifaddrmsg>();
    info->ifa_family = static_cast<uint8_t>(af_of(address));
    info->ifa_prefixlen = static_cast<uint8_t>(prefix_length);
    info->ifa_index = static_cast<uint32_t>(link.index);
    // The address is needed now; the firmware used it a moment ago, so it is nobody else's.
    if (address.family() == Family::ipv6) info->ifa_flags = IFA_F_NODAD;
    mnl_attr_put(message.header, IFA_LOCAL, address.size(), address.data());
    mnl_attr_put(message.header, IFA_ADDRESS, address.size(), address.data());
    if (address.family() == Family::ipv4 && prefix_length < 31) {
        uint32_t broadcast;
        std::memcpy(&broadcast, address.data(), sizeof(broadcast));
        broadcast |= htonl((uint32_t{1} << (32 - prefix_length)) - 1);
        mnl_attr_put_u32(message.header, IFA_BROADCAST, broadcast);
    }
    request(message.header, nullptr, nullptr,
            fmt::format("{} {}/{}", link.name, address.to_string(), prefix_length), EEXIST);
}

void Netlink::add_default_route(const Link& link, const IpAddress& gateway, unsigned metric) {
    Message message(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE);
    auto* const route = message.extra<rtmsg>();
    route->rtm_family = static_cast<uint8_t>(af_of(gateway));
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_BOOT;
    route->rtm_scope = RT_SCOPE_UNIVERSE;
    route->rtm_type = RTN_UNICAST;
    mnl_attr_put(message.header, RTA_GATEWAY, gateway.size(), gateway.data());
    mnl_attr_put_u32(message.header, RTA_OIF, static_cast<uint32_t>(link.index));
    mnl_attr_put_u32(message.header, RTA_PRIORITY, metric);
    request(message.header, nullptr, nullptr,
            fmt::format("{} gateway {}", link.name, gateway.to_string()), EEXIST);
}

LinkEvents::LinkEvents() : socket_(open_socket(RTMGRP_LINK)) {}

LinkEvents::~LinkEvents() {
    mnl_socket_close(socket_);
}

bool LinkEvents::wait_until(Clock::time_point deadline) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd wanted{mnl_socket_get_fd(socket_), POLLIN, 0};
    int ready;
    do {
        ready = poll(&wanted, 1, left < 0 ? 0 : static_cast<int>(left) + 1);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) return false;
    // What happened is read from the links anew; a lost event (ENOBUFS) says the same: look again.
    std::vector<char> buffer(k_buffer_bytes);
    mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
    return true;
}

}  // namespace hawser::user
