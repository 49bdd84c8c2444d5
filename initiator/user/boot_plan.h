// SPDX-License-Identifier: GPL-2.0-or-later
// What `hawser boot` is going to do: pure code from the iBFT, the command line and the NICs that
// are there to a plan in which every value says where it came from, or to named problems.
//
// Two steps, since an address may come from DHCP: make_boot_plan() says which NICs to set up and
// how, and resolve_portals() says, once they are up, through which NIC and from which address each
// portal is reached.
#ifndef HAWSER_USER_BOOT_PLAN_H
#define HAWSER_USER_BOOT_PLAN_H

#include <optional>
#include <string>
#include <vector>

#include "user/boot_parameters.h"
#include "user/connect_request.h"
#include "user/failure.h"
#include "user/ibft.h"

namespace hawser::user {

constexpr size_t k_portals_max = 16;
constexpr unsigned k_boot_timeout_s = 60;

template <typename T>
struct Sourced {
    T value{};
    std::string source;
};

// A NIC that is in the machine now.
struct NicIdentity {
    std::string name;
    MacAddress mac;
};

struct PlannedNic {
    NicSelector selector;     // not set: any NIC that nothing else names
    std::string name_wanted;  // by ifname=; may be empty
    AddressMethod method = AddressMethod::fixed;
    std::optional<IpAddress> address;  // none: as it is, or from DHCP
    unsigned prefix_length = 0;
    std::optional<IpAddress> gateway;
    std::vector<IpAddress> dns;
    std::string host_name;
    std::string source;
    bool from_ibft = false;

    std::string label() const;  // for messages
};

struct PlannedPortal {
    Endpoint endpoint;
    std::optional<size_t> nic;  // in BootPlan::nics; none: found by subnet once they are up
    std::optional<IpAddress> source_address;
    std::string source;
};

struct BootPlan {
    Sourced<std::string> target;
    Sourced<std::string> initiator;
    Sourced<std::vector<uint64_t>> luns;           // empty: all
    Sourced<std::optional<unsigned>> connections;  // none: one for each portal
    Sourced<unsigned> timeout_s;
    Sourced<OnFail> onfail;
    std::vector<PlannedNic> nics;
    std::vector<PlannedPortal> portals;
    KeyValues options;
    Sourced<ChapCredentials> chap;  // not set: none
    // Where they come from the firmware, its secrets are still to be taken out of the raw table.
    IbftSecret ibft_secret;
    IbftSecret ibft_secret_in;
    std::vector<std::string> notes;
};

struct BootPlanResult {
    std::optional<BootPlan> plan;
    std::vector<Problem> problems;
    bool nothing_to_do = false;  // nobody named a target
};

BootPlanResult make_boot_plan(const Ibft* ibft, const BootParameters& parameters,
                              const std::vector<NicIdentity>& nics);

// A planned NIC as it is after the network was set up (one for each of BootPlan::nics, in order).
struct NicOutcome {
    struct Address {
        IpAddress address;
        unsigned prefix_length = 0;
    };
    std::optional<Problem> problem;  // why it is not usable
    bool is_late = false;  // for want of a carrier alone: it has its address, and may come yet
    std::string name;
    int index = 0;
    MacAddress mac;
    bool mac_is_permanent = false;
    std::vector<Address> addresses;
    std::optional<IpAddress> gateway;
    std::vector<IpAddress> dns;
    unsigned metric = 0;  // of its default route

    bool is_ready() const { return !problem; }
    bool is_set_up() const { return is_ready() || is_late; }
};

struct ReadyPortal {
    Endpoint endpoint;
    std::string nic;  // empty: the kernel's routes decide
    std::optional<IpAddress> source;

    std::string to_string() const;  // as the value of portal=
};

struct ReadyPortals {
    std::vector<ReadyPortal> portals;
    std::vector<Problem> left_out;
};

// The portals of a NIC that is late come last, and only beside others: the kernel tries them again
// and again, so that they join when the NIC has its carrier.
ReadyPortals resolve_portals(const BootPlan& plan, const std::vector<NicOutcome>& outcomes);

// timeout_s: what is left of the plan's when the network is up.
KeyValues connect_values(const BootPlan& plan, const std::vector<ReadyPortal>& portals,
                         unsigned timeout_s);

}  // namespace hawser::user

#endif
