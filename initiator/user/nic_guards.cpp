// SPDX-License-Identifier: GPL-2.0-or-later
// The words of four network managers for "leave that NIC alone".
#include "user/nic_guards.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>

#include "user/files.h"

namespace hawser::user {
namespace {

std::string match_section(const NicOutcome& nic) {
    return fmt::format("[Match]\n{}={}\n",
                       nic.mac_is_permanent ? "PermanentMACAddress" : "MACAddress",
                       nic.mac.to_string());
}

std::string names(const std::vector<NicOutcome>& nics, const char* before, const char* between) {
    std::string text;
    for (const NicOutcome& nic : nics) {
        if (!nic.is_set_up()) continue;
        text += fmt::format("{}{}{}", text.empty() ? "" : between, before, nic.name);
    }
    return text;
}

}  // namespace

std::string udev_link(const NicOutcome& nic) {
    return "# Written by `hawser boot`: this NIC keeps its name when it is unplugged and comes "
           "back.\n" +
           match_section(nic) + fmt::format("\n[Link]\nName={}\n", nic.name);
}

std::string networkd_unit(const NicOutcome& nic) {
    std::string text =
        "# Written by `hawser boot`: the root disk is reached through this NIC, so it stays as it "
        "is.\n" +
        match_section(nic);
    text +=
        "\n[Network]\nKeepConfiguration=yes\nDHCP=no\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n";
    for (const auto& own : nic.addresses) {
        text += fmt::format("Address={}/{}\n", own.address.to_string(), own.prefix_length);
    }
    for (const IpAddress& dns : nic.dns) text += fmt::format("DNS={}\n", dns.to_string());
    if (nic.gateway && !nic.gateway->is_unspecified()) {
        text +=
            fmt::format("\n[Route]\nGateway={}\nMetric={}\n", nic.gateway->to_string(), nic.metric);
    }
    return text;
}

// `unmanaged-devices` in [keyfile] is one list for all files, and ours would replace the
// administrator's; a [device] section is only ours.
std::string network_manager_conf(const std::vector<NicOutcome>& nics) {
    return fmt::format(
        "# Written by `hawser boot`: the root disk is reached through these NICs.\n"
        "[device-hawser]\nmatch-device={}\nmanaged=0\n",
        names(nics, "interface-name:", ","));
}

// A second ExecStart would be one more command: so the lists are emptied first. What the
// administrator excludes stays excluded. ifup takes one pattern an option.
std::string networking_drop_in(const std::vector<NicOutcome>& nics) {
    const std::string exclude = "--exclude=" + names(nics, "", " --exclude=");
    return fmt::format(
        "# Written by `hawser boot`: the root disk is reached through these NICs.\n"
        "[Service]\nExecStart=\nExecStart=/sbin/ifup -a --read-environment {0}\n"
        "ExecStop=\nExecStop=/sbin/ifdown -a --read-environment --exclude=lo {0}\n",
        exclude);
}

void write_nic_guards(const std::string& run, const std::vector<NicOutcome>& nics) {
    bool any = false;
    const std::string units = run + "/systemd/system";
    for (const NicOutcome& nic : nics) {
        if (!nic.is_set_up()) continue;
        any = true;
        const std::string path = fmt::format("{}/systemd/network/05-hawser-{}", run, nic.name);
        write_file(path + ".network", networkd_unit(nic), 0644);
        write_file(path + ".link", udev_link(nic), 0644);
        // ifupdown's unit for a NIC that udev announces (allow-hotplug): masked.
        const std::filesystem::path hotplug = fmt::format("{}/ifup@{}.service", units, nic.name);
        std::error_code ignored;
        std::filesystem::create_directories(units, ignored);
        std::filesystem::create_symlink("/dev/null", hotplug, ignored);
    }
    if (!any) return;
    write_file(run + "/NetworkManager/conf.d/05-hawser.conf", network_manager_conf(nics), 0644);
    write_file(units + "/networking.service.d/05-hawser.conf", networking_drop_in(nics), 0644);
    // networkd is no root, and may look into its folder.
    for (const char* folder : {"/systemd", "/systemd/network", "/systemd/system",
                               "/systemd/system/networking.service.d"}) {
        chmod((run + folder).c_str(), 0755);
    }
}

}  // namespace hawser::user
