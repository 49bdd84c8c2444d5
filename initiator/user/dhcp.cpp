// SPDX-License-Identifier: GPL-2.0-or-later
// DHCP by busybox's udhcpc.
#include "user/dhcp.h"

#include <fmt/format.h>

#include "user/files.h"
#include "user/process.h"

namespace hawser::user {
namespace {

// udhcpc asks k_tries times, k_try_s apart, then gives up by itself (-n); the limit is for a hung
// one.
constexpr int k_tries = 5;
constexpr int k_try_s = 3;
constexpr std::chrono::seconds k_limit{30};

// udhcpc hands the lease to its script in the environment.
constexpr const char* k_script = R"(#!/bin/sh
# Written by `hawser boot`: udhcpc calls it with a lease in its environment.
[ "$1" = bound ] || exit 0
printf '%s\n' "ip=$ip" "mask=$mask" "subnet=$subnet" "router=$router" "dns=$dns" \
    "hostname=$hostname"
)";

std::optional<std::vector<std::string>> client_command() {
    if (auto udhcpc = find_program("udhcpc")) return std::vector{*udhcpc};
    if (auto busybox = find_program("busybox")) return std::vector<std::string>{*busybox, "udhcpc"};
    return std::nullopt;
}

// The first word of a list is the one that counts.
std::optional<IpAddress> first_address(std::string_view list) {
    return IpAddress::parse(list.substr(0, list.find(' ')));
}

}  // namespace

std::optional<DhcpLease> parse_dhcp_lease(std::string_view text) {
    DhcpLease lease;
    bool has_address = false;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const size_t equals = line.find('=');
        if (equals == std::string_view::npos) continue;
        const std::string_view key = line.substr(0, equals);
        std::string_view value = line.substr(equals + 1);
        if (key == "ip") {
            const auto address = IpAddress::parse(value);
            if (!address || address->is_unspecified()) return std::nullopt;
            lease.address = *address;
            has_address = true;
        } else if ((key == "mask" || key == "subnet") && lease.prefix_length == 0) {
            lease.prefix_length = parse_prefix_length(value, Family::ipv4).value_or(0);
        } else if (key == "router") {
            lease.gateway = first_address(value);
        } else if (key == "hostname") {
            lease.host_name = printable(value);
        } else if (key == "dns") {
            for (; !value.empty(); value.remove_prefix(std::min(value.size(), value.find(' ')))) {
                while (value.starts_with(' ')) value.remove_prefix(1);
                if (auto server = first_address(value)) lease.dns.push_back(*server);
            }
        }
    }
    if (!has_address || lease.prefix_length == 0) return std::nullopt;
    return lease;
}

std::vector<DhcpAnswer> ask_dhcp(const std::vector<std::string>& nics, const std::string& folder) {
    std::vector<DhcpAnswer> answers(nics.size());
    const auto client = client_command();
    if (!client) {
        for (size_t i = 0; i < nics.size(); ++i) {
            answers[i].problem = {"no DHCP client", "udhcpc for " + nics[i],
                                  "put busybox into the initramfs, or give ip= a fixed address"};
        }
        return answers;
    }
    const std::string script = folder + "/udhcpc.script";
    write_file(script, k_script, 0700);
    std::vector<std::vector<std::string>> commands;
    for (const std::string& nic : nics) {
        std::vector<std::string> command = *client;
        for (const std::string& word :
             {std::string("-f"), std::string("-n"), std::string("-q"), std::string("-t"),
              std::to_string(k_tries), std::string("-T"), std::to_string(k_try_s),
              std::string("-i"), nic, std::string("-s"), script}) {
            command.push_back(word);
        }
        commands.push_back(std::move(command));
    }
    const std::vector<ProcessResult> results = run_programs(commands, k_limit);
    for (size_t i = 0; i < nics.size(); ++i) {
        answers[i].lease = parse_dhcp_lease(results[i].output);
        if (answers[i].lease) continue;
        answers[i].problem = {"no DHCP answer", nics[i],
                              "check the DHCP server, or give ip= a fixed address"};
    }
    return answers;
}

}  // namespace hawser::user
