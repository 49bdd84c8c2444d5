// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel command line asks of `hawser boot`, typed and checked. docs/contracts.md lists
// the parameters. A bad value is an error that names the parameter; it never counts as absent.
#ifndef HAWSER_USER_BOOT_PARAMETERS_H
#define HAWSER_USER_BOOT_PARAMETERS_H

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "user/address.h"
#include "user/chap.h"
#include "user/failure.h"
#include "user/kernel_command_line.h"
#include "user/netroot.h"

namespace hawser::user {

// How a NIC is named: by interface name or by MAC (exactly one of the two is set).
struct NicSelector {
    std::string name;
    std::optional<MacAddress> mac;

    static std::optional<NicSelector> parse(std::string_view text);
    bool is_set() const { return mac || !name.empty(); }
    std::string to_string() const { return mac ? mac->to_string() : name; }
    bool operator==(const NicSelector&) const = default;
};

enum class AddressMethod { fixed, dhcp };

// One ip= parameter.
struct IpParameter {
    AddressMethod method = AddressMethod::fixed;
    NicSelector nic;  // not set: every NIC (dhcp), or the only one (fixed)
    std::optional<IpAddress> address;
    unsigned prefix_length = 0;
    std::optional<IpAddress> gateway;
    std::string host_name;
    std::vector<IpAddress> dns;
};

// One ifname=NAME:MAC.
struct NicName {
    std::string name;
    MacAddress mac;
};

// One portal, from any parameter.
struct PortalParameter {
    Endpoint endpoint;
    NicSelector nic;
    std::optional<IpAddress> source;
};

enum class OnFail { shell, reboot };

struct BootParameters {
    bool disabled = false;  // rd.hawser=0
    std::vector<PortalParameter> portals;
    std::optional<unsigned> connections;
    std::vector<uint64_t> luns;
    std::optional<std::string> target;
    std::optional<std::string> initiator;
    std::optional<unsigned> timeout_s;
    std::optional<OnFail> onfail;
    std::vector<std::pair<std::string, std::string>> options;  // rd.hawser.option=KEY=VALUE

    std::vector<Netroot> netroots;  // root=iscsi: or netroot=iscsi:, those that name a target
    std::optional<std::string> iscsi_initiator;    // rd.iscsi.initiator=
    std::optional<std::string> iscsi_target_name;  // rd.iscsi.target.name=
    std::optional<IpAddress> iscsi_target_address;
    std::optional<uint16_t> iscsi_target_port;
    ChapCredentials iscsi_chap;  // rd.iscsi.username=, .password=, .in.username=, .in.password=
    bool firmware = true;        // rd.iscsi.firmware=0, rd.iscsi.ibft=0: the iBFT is not read

    std::vector<IpParameter> ip;
    std::vector<NicName> nic_names;
    std::vector<std::string> notes;  // what was ignored, and why
};

struct BootParametersResult {
    BootParameters parameters;
    std::vector<Problem> problems;
};

BootParametersResult read_boot_parameters(const std::vector<KernelParameter>& command_line);

// Of ip_parameter.cpp: one ip= value; `ibft` and the like give nothing. The text: what is wrong.
std::variant<std::optional<IpParameter>, std::string> parse_ip_parameter(std::string_view text);

}  // namespace hawser::user

#endif
