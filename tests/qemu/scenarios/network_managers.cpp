// SPDX-License-Identifier: GPL-2.0-or-later
//
// Everybody who thinks that the NICs are his: ifupdown, NetworkManager, systemd-networkd. The
// root's NICs stay up and keep their addresses, for ever, until the Logout has gone through them.

#include "story.h"

using namespace hawser::qemu;

namespace {

// What must not change: the addresses, and that no connection was ever lost.
constexpr const char* k_state =
    "ip -brief address show | grep hawser; "
    "grep . /sys/bus/hawser/devices/hawser0/connection*/losses /sys/bus/hawser/devices/hawser0/"
    "connection*/logins";

void stop_all_managers(Scenario& run) {
    auto& report = run.report();
    auto& shell = run.shell();
    auto before = shell.run_checked(k_state);
    report.set("nics_and_connections", before);
    auto leases =
        shell.run("ip address show | grep -A1 'inet 10\\.0\\.1' | grep -c 'valid_lft forever'");
    report.check("the four addresses have no end", leases.output == "4", leases.output);
    auto managed = shell.run_checked("nmcli -t -f DEVICE,STATE device | grep ^hawser");
    report.check("NetworkManager manages none of them",
                 managed.find("hawser3:unmanaged") != std::string::npos &&
                     managed.find(":connect") == std::string::npos,
                 managed);
    shell.run_checked("systemctl restart networking.service NetworkManager systemd-networkd",
                      Seconds(180));
    shell.run("systemctl start ifup@hawser1.service");
    shell.run_checked("systemctl stop networking.service NetworkManager systemd-networkd",
                      Seconds(180));
    auto after = shell.run_checked(k_state);
    report.check("stopping them all changes nothing", before == after,
                 before + "\nbecame\n" + after);
    report.check("no DHCP client runs", shell.run("pgrep -a dhc").status == 1);
    shell.run_checked("systemctl start networking.service NetworkManager systemd-networkd",
                      Seconds(180));
}

}  // namespace

TEST_CASE("network-managers", "[more][root-network]") {
    tell({.name = "network-managers", .root = "network"}, [](Scenario& run) {
        run.boot();
        stop_all_managers(run);
        run.write_and_compare();
        run.power_off();
        run.report().check("the network was stopped early, and all of it went on",
                           run.machine().serial().find("NETWORK STOPPED").has_value());
        run.judge_wire(4);
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/true);
    });
}
