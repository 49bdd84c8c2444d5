// SPDX-License-Identifier: GPL-2.0-or-later
//
// One QEMU machine. Each NIC has a network of its own (slirp, 10.0.1N.0/24), on which the host's
// loopback is 10.0.1N.2, and a pcap of its own. QEMU runs without root and without KVM.
//
// All times are on one line: seconds since the machine's processors started. QEMU stamps packets
// with its virtual clock plus the start of its real-time clock; both are pinned here, so that
// packets (exact) and console lines (by arrival) can be compared.

#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "process.h"
#include "qmp.h"
#include "serial_log.h"
#include "shell.h"

namespace hawser::qemu {

struct DirectBoot {
    std::filesystem::path kernel;
    std::filesystem::path initrd;
    std::string command_line;
};

struct MachineOptions {
    std::filesystem::path directory;  // where the evidence goes
    std::string name;                 // prefix of its files; empty: none
    unsigned nics = 1;
    unsigned processors = 2;
    unsigned memory_mib = 1024;
    std::string boot_file;                   // URL that DHCP names on the first network
    std::optional<DirectBoot> direct_boot;   // else: from the network, by iPXE
    std::vector<std::string> host_forwards;  // slirp hostfwd rules of the first network
    bool second_console = true;
    bool on_terminal = false;  // the first console is the user's terminal
    bool reboots = false;      // a reset starts it again; else it ends the machine
    Arguments more;            // further QEMU arguments
};

class Machine {
public:
    explicit Machine(const MachineOptions& options);
    ~Machine();

    SerialLog& serial() { return *serial_; }
    Shell& shell() { return *shell_; }
    Qmp& qmp() { return *qmp_; }

    static std::string host_address(unsigned nic) { return "10.0.1" + std::to_string(nic) + ".2"; }
    static std::string mac(unsigned nic) { return "52:54:00:12:34:1" + std::to_string(nic); }
    std::filesystem::path pcap(unsigned nic) const;

    void unplug_nic(unsigned nic, Seconds limit);
    void plug_nic(unsigned nic);
    void set_link(unsigned nic, bool up);

    // Its processors stand still, and its clock with them: now() and packets stay on one line.
    void pause();
    void resume();

    // Why the machine ended ("guest-shutdown", "guest-reset", ...), when its process has gone.
    std::string wait_for_end(Seconds limit);
    bool running() { return process_->running(); }
    void kill() { process_->kill(); }

    // Of a moment since the last resume().
    double seconds(Clock::time_point at) const { return Seconds(at - started_at_).count(); }
    double now() const { return seconds(Clock::now()); }
    // What a packet's time stamp must be lessened by to be on the same line.
    long pcap_epoch() const { return pcap_epoch_; }

private:
    Arguments arguments();
    void add_boot(Arguments& line) const;
    void add_nic(Arguments& line, unsigned nic) const;

    MachineOptions options_;
    std::filesystem::path sockets_;
    long pcap_epoch_ = 0;
    std::unique_ptr<Process> process_;
    std::unique_ptr<Qmp> qmp_;
    std::unique_ptr<SerialLog> serial_;
    std::unique_ptr<Shell> shell_;
    Clock::time_point started_at_;  // later by the time that it stood still
    Clock::time_point paused_at_;
};

}  // namespace hawser::qemu
