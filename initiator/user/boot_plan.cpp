// SPDX-License-Identifier: GPL-2.0-or-later
// From the iBFT and the command line to a plan. Precedence: rd.hawser.*, then netroot= and
// rd.iscsi.*, then the iBFT. rd.hawser.portal= adds portals to those of the next source that has
// any.
#include "user/boot_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace hawser::user {
namespace {

class Planner {
public:
    Planner(const Ibft* ibft, const BootParameters& parameters,
            const std::vector<NicIdentity>& nics)
        : ibft_(ibft), parameters_(parameters), present_(nics) {}

    BootPlanResult run();

private:
    struct Wanted {  // a portal with its NIC as its parameter named it
        PlannedPortal portal;
        NicSelector nic;
        const IbftTarget* ibft_target = nullptr;
    };

    void problem(std::string cause, std::string value, std::string advice) {
        problems_.push_back({std::move(cause), std::move(value), std::move(advice)});
    }
    bool choose_target();
    void choose_initiator();
    void choose_luns();
    void choose_numbers();
    void choose_chap();
    void collect_portals();
    void collect_parameter_portals();
    void collect_ibft_portals();
    void plan_parameter_nics();
    void plan_dhcp_everywhere(const IpParameter& ip);
    void plan_ibft_nics();
    void bind_portals();
    std::optional<size_t> nic_of_ibft_target(const Wanted& wanted);
    std::optional<size_t> nic_by_address(const Wanted& wanted) const;
    void drop_idle_ibft_nics();
    void check();

    NicSelector canonical(const NicSelector& selector) const;
    std::optional<size_t> find_nic(const NicSelector& canonical) const;
    size_t add_nic(PlannedNic nic);
    const Netroot* used_netroot() const;

    const Ibft* ibft_;
    const BootParameters& parameters_;
    const std::vector<NicIdentity>& present_;
    BootPlan plan_;
    std::vector<Wanted> wanted_;
    std::vector<const IbftTarget*> used_ibft_targets_;
    std::vector<std::optional<size_t>> nic_of_ibft_index_;  // iBFT's NIC n is plan_.nics[...]
    std::vector<Problem> problems_;
};

bool reaches_on_link(const PlannedNic& nic, const IpAddress& address) {
    return nic.address && same_subnet(*nic.address, address, nic.prefix_length);
}

BootPlanResult Planner::run() {
    plan_.notes = parameters_.notes;
    BootPlanResult result;
    if (!choose_target()) {
        result.nothing_to_do = true;
        return result;
    }
    choose_initiator();
    collect_portals();
    choose_luns();
    choose_numbers();
    choose_chap();
    plan_parameter_nics();
    plan_ibft_nics();
    bind_portals();
    drop_idle_ibft_nics();
    check();
    result.problems = std::move(problems_);
    if (result.problems.empty()) result.plan = std::move(plan_);
    return result;
}

bool Planner::choose_target() {
    if (parameters_.target) {
        plan_.target = {*parameters_.target, "rd.hawser.target"};
    } else if (!parameters_.netroots.empty()) {
        plan_.target = {parameters_.netroots.front().target, "netroot"};
    } else if (parameters_.iscsi_target_name) {
        plan_.target = {*parameters_.iscsi_target_name, "rd.iscsi.target.name"};
    } else if (ibft_ != nullptr && !ibft_->targets.empty()) {
        const auto boot = std::find_if(ibft_->targets.begin(), ibft_->targets.end(),
                                       [](const IbftTarget& t) { return t.is_boot_selected(); });
        const IbftTarget& target = boot != ibft_->targets.end() ? *boot : ibft_->targets.front();
        plan_.target = {target.name, fmt::format("iBFT target {}", target.index)};
    } else {
        return false;
    }
    if (ibft_ == nullptr) return true;
    for (const std::string& text : ibft_->notes) plan_.notes.push_back("iBFT: " + text);
    return true;
}

void Planner::choose_initiator() {
    if (parameters_.initiator) {
        plan_.initiator = {*parameters_.initiator, "rd.hawser.initiator"};
    } else if (parameters_.iscsi_initiator) {
        plan_.initiator = {*parameters_.iscsi_initiator, "rd.iscsi.initiator"};
    } else if (ibft_ != nullptr && ibft_->initiator) {
        plan_.initiator = {ibft_->initiator->name, "iBFT initiator"};
    } else {
        problem("no initiator name", "", "give rd.hawser.initiator=IQN, unique to this machine");
    }
}

const Netroot* Planner::used_netroot() const {
    for (const Netroot& netroot : parameters_.netroots) {
        if (netroot.target == plan_.target.value) return &netroot;
    }
    return nullptr;
}

void Planner::choose_luns() {
    if (!parameters_.luns.empty()) {
        plan_.luns = {parameters_.luns, "rd.hawser.lun"};
    } else if (const Netroot* netroot = used_netroot()) {
        plan_.luns = {{netroot->lun}, "netroot"};
    } else if (!used_ibft_targets_.empty()) {
        plan_.luns.source = fmt::format("iBFT target {}", used_ibft_targets_.front()->index);
        for (const IbftTarget* target : used_ibft_targets_) {
            auto& luns = plan_.luns.value;
            if (std::find(luns.begin(), luns.end(), target->lun) == luns.end()) {
                luns.push_back(target->lun);
            }
        }
    } else {
        plan_.luns = {{}, "default"};
    }
}

void Planner::choose_numbers() {
    plan_.connections = {parameters_.connections, parameters_.connections
                                                      ? "rd.hawser.connections"
                                                      : "default (one for each portal)"};
    plan_.timeout_s = {parameters_.timeout_s.value_or(k_boot_timeout_s),
                       parameters_.timeout_s ? "rd.hawser.timeout" : "default"};
    plan_.onfail = {parameters_.onfail.value_or(OnFail::shell),
                    parameters_.onfail ? "rd.hawser.onfail" : "default"};
    plan_.options = parameters_.options;
}

void Planner::choose_chap() {
    if (const Netroot* netroot = used_netroot(); netroot != nullptr && netroot->chap.is_set()) {
        plan_.chap = {netroot->chap, "netroot"};
    } else if (parameters_.iscsi_chap.is_set()) {
        plan_.chap = {parameters_.iscsi_chap, "rd.iscsi.username"};
    } else if (ibft_ != nullptr) {
        for (const IbftTarget& target : ibft_->targets) {
            if (target.name != plan_.target.value || target.chap_type == 0) continue;
            plan_.chap.source = fmt::format("iBFT target {}", target.index);
            plan_.chap.value.name = target.chap_name;
            plan_.ibft_secret = target.chap_secret;
            if (target.chap_type == 1) break;
            plan_.chap.value.name_in = target.reverse_chap_name;
            plan_.ibft_secret_in = target.reverse_chap_secret;
            break;
        }
    }
}

void Planner::collect_portals() {
    collect_parameter_portals();
    if (wanted_.empty()) collect_ibft_portals();
    for (const PortalParameter& portal : parameters_.portals) {
        wanted_.push_back(
            {{portal.endpoint, {}, portal.source, "rd.hawser.portal"}, portal.nic, nullptr});
    }
    // The same portal through the same NIC twice is one portal.
    const auto same = [](const Wanted& a, const Wanted& b) {
        return a.portal.endpoint == b.portal.endpoint &&
               (a.nic == b.nic || !a.nic.is_set() || !b.nic.is_set()) &&
               a.portal.source_address == b.portal.source_address &&
               (a.ibft_target == nullptr || b.ibft_target == nullptr ||
                a.ibft_target->nic_association == b.ibft_target->nic_association);
    };
    for (size_t i = 0; i < wanted_.size(); ++i) {
        for (size_t j = wanted_.size() - 1; j > i; --j) {
            if (!same(wanted_[i], wanted_[j])) continue;
            plan_.notes.push_back(fmt::format("portal {} is named twice ({}, {}); taken once",
                                              wanted_[i].portal.endpoint.to_string(),
                                              wanted_[i].portal.source, wanted_[j].portal.source));
            if (!wanted_[i].nic.is_set()) wanted_[i].nic = wanted_[j].nic;
            wanted_.erase(wanted_.begin() + static_cast<std::ptrdiff_t>(j));
        }
    }
}

void Planner::collect_parameter_portals() {
    for (const Netroot& netroot : parameters_.netroots) {
        if (netroot.target != plan_.target.value) {
            plan_.notes.push_back(
                fmt::format("netroot's target {} is left out: the root is {} ({})", netroot.target,
                            plan_.target.value, plan_.target.source));
        } else if (netroot.server) {
            wanted_.push_back({{{*netroot.server, netroot.port}, {}, {}, "netroot"},
                               NicSelector::parse(netroot.nic).value_or(NicSelector{}),
                               nullptr});
        }
    }
    if (!wanted_.empty() || !parameters_.iscsi_target_address) return;
    wanted_.push_back(
        {{{*parameters_.iscsi_target_address, parameters_.iscsi_target_port.value_or(k_iscsi_port)},
          {},
          {},
          "rd.iscsi.target.ip"},
         {},
         nullptr});
}

void Planner::collect_ibft_portals() {
    if (ibft_ == nullptr) return;
    for (const IbftTarget& target : ibft_->targets) {
        const std::string source = fmt::format("iBFT target {}", target.index);
        if (target.name != plan_.target.value) {
            plan_.notes.push_back(fmt::format("{} ({}) is left out: the root is {} ({})", source,
                                              target.name, plan_.target.value,
                                              plan_.target.source));
            continue;
        }
        wanted_.push_back({{{*target.address, target.port}, {}, {}, source}, {}, &target});
        used_ibft_targets_.push_back(&target);
    }
}

// A name is turned into its MAC where ifname= or the machine tells it, so that the same NIC named
// in two ways is one.
NicSelector Planner::canonical(const NicSelector& selector) const {
    if (selector.mac || selector.name.empty()) return selector;
    for (const NicName& known : parameters_.nic_names) {
        if (known.name == selector.name) return {"", known.mac};
    }
    for (const NicIdentity& nic : present_) {
        if (nic.name == selector.name) return {"", nic.mac};
    }
    return selector;
}

std::optional<size_t> Planner::find_nic(const NicSelector& canonical) const {
    for (size_t i = 0; i < plan_.nics.size(); ++i) {
        if (canonical.is_set() && plan_.nics[i].selector == canonical) return i;
    }
    return std::nullopt;
}

size_t Planner::add_nic(PlannedNic nic) {
    nic.selector = canonical(nic.selector);
    for (const NicName& known : parameters_.nic_names) {
        if (nic.selector.mac == known.mac) nic.name_wanted = known.name;
    }
    plan_.nics.push_back(std::move(nic));
    return plan_.nics.size() - 1;
}

void Planner::plan_parameter_nics() {
    for (const IpParameter& ip : parameters_.ip) {
        if (ip.method == AddressMethod::dhcp && !ip.nic.is_set()) continue;
        if (const auto known = find_nic(canonical(ip.nic))) {
            problem("two ip= for one NIC", ip.nic.to_string(), "give one");
            continue;
        }
        PlannedNic nic;
        nic.selector = ip.nic;
        nic.method = ip.method;
        nic.address = ip.address;
        nic.prefix_length = ip.prefix_length;
        nic.gateway = ip.gateway;
        nic.dns = ip.dns;
        nic.host_name = ip.host_name;
        nic.source = "ip=";
        add_nic(std::move(nic));
    }
    for (const IpParameter& ip : parameters_.ip) {
        if (ip.method == AddressMethod::dhcp && !ip.nic.is_set()) plan_dhcp_everywhere(ip);
    }
}

void Planner::plan_dhcp_everywhere(const IpParameter& ip) {
    for (const NicIdentity& present : present_) {
        if (find_nic({"", present.mac})) continue;
        PlannedNic nic;
        nic.selector.mac = present.mac;
        nic.method = ip.method;
        nic.source = "ip=dhcp";
        add_nic(std::move(nic));
    }
}

void Planner::plan_ibft_nics() {
    if (ibft_ == nullptr) return;
    for (const IbftNic& from : ibft_->nics) {
        const std::string source = fmt::format("iBFT NIC {}", from.index);
        if (nic_of_ibft_index_.size() <= from.index) nic_of_ibft_index_.resize(from.index + 1);
        if (const auto known = find_nic({"", from.mac})) {
            plan_.notes.push_back(fmt::format("{} ({}): {} goes before its address", source,
                                              from.mac.to_string(), plan_.nics[*known].source));
            nic_of_ibft_index_[from.index] = known;
            continue;
        }
        if (from.vlan != 0) {
            plan_.notes.push_back(
                fmt::format("{}: VLAN {} is not supported; left out", source, from.vlan));
            continue;
        }
        PlannedNic nic;
        nic.selector.mac = from.mac;
        nic.address = from.address;
        nic.prefix_length = from.prefix_length;
        nic.gateway = from.gateway;
        nic.dns = from.dns;
        nic.host_name = from.host_name;
        nic.source = source;
        nic.from_ibft = true;
        // An address that the firmware leased is as good as a fixed one, and needs no server now.
        nic.method = from.address ? AddressMethod::fixed : AddressMethod::dhcp;
        if (!from.address) nic.source += from.is_from_dhcp() ? "" : " (no address: DHCP)";
        nic_of_ibft_index_[from.index] = add_nic(std::move(nic));
    }
}

void Planner::bind_portals() {
    for (Wanted& wanted : wanted_) {
        PlannedPortal portal = wanted.portal;
        if (wanted.nic.is_set()) {
            const NicSelector selector = canonical(wanted.nic);
            portal.nic = find_nic(selector);
            if (!portal.nic) {
                PlannedNic nic;
                nic.selector = selector;
                nic.method = AddressMethod::dhcp;
                nic.source = portal.source + " (no ip= for it: DHCP)";
                portal.nic = add_nic(std::move(nic));
            }
        } else if (wanted.ibft_target != nullptr) {
            portal.nic = nic_of_ibft_target(wanted);
        } else {
            portal.nic = nic_by_address(wanted);
        }
        plan_.portals.push_back(std::move(portal));
    }
}

// The NIC that the iBFT associates, unless another one plainly is the right one.
std::optional<size_t> Planner::nic_of_ibft_target(const Wanted& wanted) {
    const unsigned association = wanted.ibft_target->nic_association;
    const std::optional<size_t> by_address = nic_by_address(wanted);
    std::optional<size_t> associated;
    if (association < nic_of_ibft_index_.size()) associated = nic_of_ibft_index_[association];
    const IpAddress& address = wanted.portal.endpoint.address;
    const auto on_link = [&](size_t nic) { return reaches_on_link(plan_.nics[nic], address); };
    if (!associated) {
        plan_.notes.push_back(fmt::format(
            "{}: its NIC {} is not in the iBFT; {}", wanted.portal.source, association,
            by_address ? "by its subnet: " + plan_.nics[*by_address].label() : "by the routes"));
        return by_address;
    }
    if (on_link(*associated) || !by_address || !on_link(*by_address)) return associated;
    plan_.notes.push_back(
        fmt::format("{}: the iBFT says NIC {} ({}), but {} is in the subnet of {}",
                    wanted.portal.source, association, plan_.nics[*associated].label(),
                    address.to_string(), plan_.nics[*by_address].label()));
    return by_address;
}

// By the source address, then by the subnet, then by a gateway if only one NIC has one. A NIC whose
// address comes from DHCP is not known yet, and then the choice waits for resolve_portals().
std::optional<size_t> Planner::nic_by_address(const Wanted& wanted) const {
    const PlannedPortal& portal = wanted.portal;
    std::optional<size_t> best, gateway;
    size_t gateways = 0;
    bool unknown = false;
    for (size_t i = 0; i < plan_.nics.size(); ++i) {
        const PlannedNic& nic = plan_.nics[i];
        if (!nic.address) unknown = true;
        if (portal.source_address && nic.address == portal.source_address) return i;
        if (reaches_on_link(nic, portal.endpoint.address) &&
            (!best || plan_.nics[*best].prefix_length < nic.prefix_length)) {
            best = i;
        }
        if (nic.gateway && nic.gateway->family() == portal.endpoint.address.family()) {
            gateway = i;
            ++gateways;
        }
    }
    if (best) return best;
    if (gateways == 1 && !unknown) return gateway;
    return std::nullopt;
}

// The iBFT may describe more NICs than the boot needs; those stay as they are.
void Planner::drop_idle_ibft_nics() {
    const bool all_bound =
        std::all_of(plan_.portals.begin(), plan_.portals.end(),
                    [](const PlannedPortal& portal) { return portal.nic.has_value(); });
    if (!all_bound) return;
    for (size_t i = plan_.nics.size(); i-- > 0;) {
        const bool used = std::any_of(plan_.portals.begin(), plan_.portals.end(),
                                      [&](const PlannedPortal& portal) { return portal.nic == i; });
        if (used || !plan_.nics[i].from_ibft) continue;
        plan_.notes.push_back(plan_.nics[i].source + " is left out: no portal needs it");
        plan_.nics.erase(plan_.nics.begin() + static_cast<std::ptrdiff_t>(i));
        for (PlannedPortal& portal : plan_.portals) {
            if (*portal.nic > i) --*portal.nic;
        }
    }
}

void Planner::check() {
    if (plan_.portals.empty()) {
        problem("no portal", plan_.target.value, "give rd.hawser.portal=ADDRESS[:PORT]");
    }
    const bool dhcp_everywhere = std::any_of(
        parameters_.ip.begin(), parameters_.ip.end(),
        [](const IpParameter& ip) { return ip.method == AddressMethod::dhcp && !ip.nic.is_set(); });
    if (dhcp_everywhere && plan_.nics.empty()) {
        problem("no NIC", "ip=dhcp", "is the NIC's driver in the initramfs?");
    }
    if (plan_.portals.size() > k_portals_max) {
        problem("too many portals", fmt::format("{}", plan_.portals.size()),
                fmt::format("give at most {}", k_portals_max));
    }
}

}  // namespace

std::string PlannedNic::label() const {
    if (!selector.is_set()) return name_wanted.empty() ? "any NIC" : name_wanted;
    if (name_wanted.empty()) return selector.to_string();
    return fmt::format("{} ({})", name_wanted, selector.to_string());
}

BootPlanResult make_boot_plan(const Ibft* ibft, const BootParameters& parameters,
                              const std::vector<NicIdentity>& nics) {
    return Planner(ibft, parameters, nics).run();
}

}  // namespace hawser::user
