// SPDX-License-Identifier: GPL-2.0-or-later
// The plan's NICs, set up. A loop over link events: whatever happened, the links are read anew and
// every planned NIC is taken a step further (found, renamed, up, carrier).
#include "user/network_setup.h"

#include <fmt/format.h>

#include <algorithm>

#include "user/dhcp.h"
#include "user/files.h"

namespace hawser::user {
namespace {

constexpr unsigned k_metric_base = 1024;  // above what an administrator or DHCP client would use

class NetworkSetup {
public:
    NetworkSetup(const BootPlan& plan, const NetworkTimes& times, std::string run_folder,
                 const std::function<void(const std::string&)>& say)
        : plan_(plan), times_(times), run_folder_(std::move(run_folder)), say_(say) {
        outcomes_.resize(plan.nics.size());
        links_.resize(plan.nics.size());
        renamed_.resize(plan.nics.size());
    }

    std::vector<NicOutcome> run();

private:
    void wait_for_links();
    void take_steps(const std::vector<Link>& links);
    void rename_if_wanted(size_t i);
    bool is_needed(size_t i) const;
    bool is_waited_for(size_t i) const;
    void report_missing(const std::vector<Link>& links);
    void collect_addresses();
    void lease_addresses();
    void assign_addresses();
    void guard_shared_subnets();

    bool has_carrier(size_t i) const { return links_[i].index != 0 && links_[i].has_carrier; }

    const BootPlan& plan_;
    NetworkTimes times_;
    std::string run_folder_;
    const std::function<void(const std::string&)>& say_;
    LinkEvents events_;  // before the first look, so that nothing is missed
    Netlink netlink_;
    std::vector<Link> links_;  // of plan_.nics; index 0: not there yet
    std::vector<bool> renamed_;
    std::vector<NicOutcome> outcomes_;
};

std::vector<NicOutcome> NetworkSetup::run() {
    wait_for_links();
    collect_addresses();
    lease_addresses();
    assign_addresses();
    guard_shared_subnets();
    return std::move(outcomes_);
}

void NetworkSetup::wait_for_links() {
    auto deadline = Clock::now() + times_.until_first;
    bool any = false;
    std::vector<Link> links;
    for (;;) {
        links = netlink_.links();
        take_steps(links);
        bool all = true;
        bool any_now = false;
        for (size_t i = 0; i < links_.size(); ++i) {
            all = all && !is_waited_for(i);
            any_now = any_now || (is_needed(i) && has_carrier(i));
        }
        if (all) break;
        if (any_now && !any) {
            any = true;
            deadline = std::min(deadline, Clock::now() + times_.until_rest);
        }
        if (!events_.wait_until(deadline)) break;
    }
    report_missing(links);
}

void NetworkSetup::take_steps(const std::vector<Link>& links) {
    std::vector<int> claimed;
    for (const Link& link : links_) claimed.push_back(link.index);
    for (size_t i = 0; i < links_.size(); ++i) {
        const auto same = std::find_if(links.begin(), links.end(), [&](const Link& link) {
            return links_[i].index != 0 && link.index == links_[i].index;
        });
        const Link* link = same != links.end() ? &*same : nullptr;
        if (link == nullptr) link = match_link(plan_.nics[i], links, claimed);
        links_[i] = link != nullptr ? *link : Link{};
        claimed[i] = links_[i].index;
        if (link == nullptr) continue;
        try {
            rename_if_wanted(i);
            if (!links_[i].is_up) netlink_.set_up(links_[i]);
        } catch (const Failure& failure) {
            outcomes_[i].problem = failure.problems().front();
        }
    }
}

void NetworkSetup::rename_if_wanted(size_t i) {
    const std::string& wanted = plan_.nics[i].name_wanted;
    if (wanted.empty() || links_[i].name == wanted || renamed_[i]) return;
    renamed_[i] = true;  // once: udev may have its own view, and ours is by index anyway
    try {
        netlink_.rename(links_[i], wanted);
        links_[i].name = wanted;
    } catch (const Failure& failure) {
        const Problem& problem = failure.problems().front();
        say_(fmt::format("{} ({}); it stays {}", problem.value, problem.advice, links_[i].name));
    }
}

// A NIC that no portal goes through is set up too if it is there, but nobody waits for it.
bool NetworkSetup::is_needed(size_t i) const {
    return std::any_of(
        plan_.portals.begin(), plan_.portals.end(),
        [&](const PlannedPortal& portal) { return !portal.nic || *portal.nic == i; });
}

bool NetworkSetup::is_waited_for(size_t i) const {
    return is_needed(i) && !has_carrier(i) && !outcomes_[i].problem;
}

void NetworkSetup::report_missing(const std::vector<Link>& links) {
    std::string present;
    for (const Link& link : links) {
        if (!link.is_ethernet) continue;
        present +=
            fmt::format("{}{} {}", present.empty() ? "" : ", ", link.name, link.mac.to_string());
    }
    for (size_t i = 0; i < links_.size(); ++i) {
        const PlannedNic& planned = plan_.nics[i];
        if (outcomes_[i].problem || has_carrier(i)) continue;
        if (links_[i].index == 0) {
            const char* const cause = planned.selector.mac ? "no NIC with that MAC" : "no such NIC";
            outcomes_[i].problem = {cause, fmt::format("{} ({})", planned.label(), planned.source),
                                    "here are: " + (present.empty() ? "none" : present)};
        } else {
            outcomes_[i].problem = {
                "no carrier", fmt::format("{} ({})", links_[i].name, links_[i].mac.to_string()),
                "check cable and switch port"};
            outcomes_[i].is_late = planned.address.has_value();
        }
    }
}

void NetworkSetup::collect_addresses() {
    const std::vector<LinkAddress> addresses = netlink_.addresses();
    for (size_t i = 0; i < links_.size(); ++i) {
        const Link& link = links_[i];
        NicOutcome& outcome = outcomes_[i];
        outcome.name = link.name;
        outcome.index = link.index;
        outcome.mac = link.permanent_mac.value_or(link.mac);
        outcome.mac_is_permanent = link.permanent_mac.has_value();
        outcome.gateway = plan_.nics[i].gateway;
        outcome.dns = plan_.nics[i].dns;
        outcome.metric = k_metric_base + static_cast<unsigned>(i);
        for (const LinkAddress& found : addresses) {
            if (found.index != link.index || found.address.is_link_local()) continue;
            outcome.addresses.push_back({found.address, found.prefix_length});
        }
    }
}

void NetworkSetup::lease_addresses() {
    std::vector<size_t> asking;
    std::vector<std::string> names;
    for (size_t i = 0; i < links_.size(); ++i) {
        if (!outcomes_[i].is_ready() || plan_.nics[i].method != AddressMethod::dhcp) continue;
        if (!outcomes_[i].addresses.empty()) {
            say_(fmt::format("{} has {} already; kept", links_[i].name,
                             outcomes_[i].addresses.front().address.to_string()));
            continue;
        }
        asking.push_back(i);
        names.push_back(links_[i].name);
    }
    if (asking.empty()) return;
    const std::vector<DhcpAnswer> answers = ask_dhcp(names, run_folder_);
    for (size_t n = 0; n < asking.size(); ++n) {
        NicOutcome& outcome = outcomes_[asking[n]];
        const auto& lease = answers[n].lease;
        if (!lease) {
            outcome.problem = answers[n].problem;
            continue;
        }
        // Kept for ever: under a root disk, a lease that ends must not take the address away.
        outcome.addresses.push_back({lease->address, lease->prefix_length});
        outcome.gateway = lease->gateway;
        outcome.dns = lease->dns;
    }
}

void NetworkSetup::assign_addresses() {
    for (size_t i = 0; i < links_.size(); ++i) {
        NicOutcome& outcome = outcomes_[i];
        const PlannedNic& planned = plan_.nics[i];
        if (!outcome.is_set_up()) continue;
        const auto is_planned = [&](const auto& own) { return own.address == planned.address; };
        if (planned.address &&
            std::none_of(outcome.addresses.begin(), outcome.addresses.end(), is_planned)) {
            outcome.addresses.insert(outcome.addresses.begin(),
                                     {*planned.address, planned.prefix_length});
        }
        if (outcome.addresses.empty()) {
            outcome.problem = {"no address", fmt::format("{} ({})", outcome.name, planned.source),
                               "give ip= an address or dhcp"};
            continue;
        }
        try {
            for (const auto& own : outcome.addresses) {
                netlink_.add_address(links_[i], own.address, own.prefix_length);
            }
            if (outcome.is_late) continue;  // no default route into a cable that is not there
            if (outcome.gateway && !outcome.gateway->is_unspecified()) {
                netlink_.add_default_route(links_[i], *outcome.gateway, outcome.metric);
            }
            say_(fmt::format("{} ({}) is up with {}/{}", outcome.name, outcome.mac.to_string(),
                             outcome.addresses.front().address.to_string(),
                             outcome.addresses.front().prefix_length));
        } catch (const Failure& failure) {
            outcome.problem = failure.problems().front();
            outcome.is_late = false;
        }
    }
}

void NetworkSetup::guard_shared_subnets() {
    for (const std::string& nic : nics_sharing_a_subnet(outcomes_)) {
        const std::string folder = "/proc/sys/net/ipv4/conf/" + nic + "/";
        const auto set = [&](const char* name, const char* value) {
            if (FILE* file = std::fopen((folder + name).c_str(), "we")) {
                std::fputs(value, file);
                std::fclose(file);
            }
        };
        set("arp_ignore", "1");
        set("arp_announce", "2");
        set("rp_filter", "2");  // loose: the route back may lie on the neighbour
        say_(nic + " shares its subnet: it answers for its own address only");
    }
}

}  // namespace

const Link* match_link(const PlannedNic& planned, const std::vector<Link>& links,
                       const std::vector<int>& claimed) {
    const Link* best = nullptr;
    for (const Link& link : links) {
        if (!link.is_ethernet) continue;
        if (std::find(claimed.begin(), claimed.end(), link.index) != claimed.end()) continue;
        if (planned.selector.mac && !link.answers_to(*planned.selector.mac)) continue;
        if (!planned.selector.name.empty() && link.name != planned.selector.name) continue;
        // A VLAN or bridge shares the MAC of the hardware below: hardware goes first.
        if (best == nullptr || (!best->kind.empty() && link.kind.empty())) best = &link;
    }
    return best;
}

std::vector<NicOutcome> set_up_network(const BootPlan& plan, const NetworkTimes& times,
                                       const std::string& run_folder,
                                       const std::function<void(const std::string&)>& say) {
    if (plan.nics.empty()) return {};
    return NetworkSetup(plan, times, run_folder, say).run();
}

std::vector<NicIdentity> present_nics(Clock::time_point deadline) {
    LinkEvents events;
    Netlink netlink;
    for (;;) {
        std::vector<NicIdentity> nics;
        for (const Link& link : netlink.links()) {
            if (!link.is_ethernet || (!link.kind.empty() && link.kind != "veth")) continue;
            nics.push_back({link.name, link.permanent_mac.value_or(link.mac)});
        }
        if (!nics.empty() || !events.wait_until(deadline)) return nics;
    }
}

std::vector<std::string> nics_sharing_a_subnet(const std::vector<NicOutcome>& nics) {
    std::vector<std::string> names;
    const auto share = [](const NicOutcome& a, const NicOutcome& b) {
        for (const auto& one : a.addresses) {
            for (const auto& other : b.addresses) {
                if (one.address.family() == Family::ipv4 &&
                    same_subnet(one.address, other.address,
                                std::min(one.prefix_length, other.prefix_length))) {
                    return true;
                }
            }
        }
        return false;
    };
    for (size_t i = 0; i < nics.size(); ++i) {
        for (size_t j = 0; j < nics.size(); ++j) {
            if (i == j || !nics[i].is_set_up() || !nics[j].is_set_up()) continue;
            if (!share(nics[i], nics[j])) continue;
            names.push_back(nics[i].name);
            break;
        }
    }
    return names;
}

}  // namespace hawser::user
