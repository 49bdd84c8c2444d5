// SPDX-License-Identifier: GPL-2.0-or-later
//
// QEMU's command line and its life.

#include "machine.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <ctime>
#include <fstream>
#include <stdexcept>

namespace hawser::qemu {
namespace {

namespace fs = std::filesystem;

// A unix socket's path must be short, a build folder's need not be: so they live apart.
fs::path make_socket_folder() {
    std::string name = (fs::temp_directory_path() / "hawser-machine-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
        throw std::runtime_error("mkdtemp: " + name);
    }
    return name;
}

std::string socket_option(const std::string& id, const fs::path& path) {
    return fmt::format("socket,id={},path={},server=on,wait=off", id, path.string());
}

}  // namespace

Machine::Machine(const MachineOptions& options)
    : options_(options), sockets_(make_socket_folder()), pcap_epoch_(std::time(nullptr)) {
    fs::create_directories(options_.directory);
    auto line = arguments();
    auto log = options_.directory / (options_.name + "qemu.log");
    std::ofstream(options_.directory / (options_.name + "qemu.cmd")) << quoted(line) << "\n";
    process_ = std::make_unique<Process>(
        line,
        Process::Options{
            .output = log, .append = false, .terminal = options_.on_terminal, .environment = {}});
    Deadline deadline(Seconds(20));
    try {
        qmp_ = std::make_unique<Qmp>(sockets_ / "qmp", deadline);
        if (!options_.on_terminal) {
            serial_ = std::make_unique<SerialLog>(sockets_ / "serial", deadline);
        }
        if (options_.second_console) {
            shell_ = std::make_unique<Shell>(sockets_ / "console", deadline);
        }
    } catch (const std::exception& error) {
        std::ifstream text(log);
        throw std::runtime_error(
            fmt::format("QEMU did not start: {}; {} says:\n{}", error.what(), log.string(),
                        std::string(std::istreambuf_iterator<char>(text), {})));
    }
    // The processors stand still until now (-S): this is the zero of all times.
    started_at_ = Clock::now();
    qmp_->execute("cont");
}

Machine::~Machine() {
    if (process_) {
        process_->kill();
    }
    std::error_code ignored;
    fs::remove_all(sockets_, ignored);
}

fs::path Machine::pcap(unsigned nic) const {
    return options_.directory / fmt::format("{}net{}.pcap", options_.name, nic);
}

Arguments Machine::arguments() {
    auto serial_log = options_.directory / (options_.name + "serial.log");
    fs::remove(serial_log);
    // qemu64 has no SSE4.2 and no RDRAND. Five-level page tables only cost time; and what says ERMS
    // or FSRM is used byte by byte, which emulation does a byte at a time.
    Arguments line{"qemu-system-x86_64",
                   "-machine",
                   "pc,graphics=off",
                   "-cpu",
                   "max,la57=off,erms=off,fsrm=off",
                   "-accel",
                   "tcg,thread=multi",
                   "-smp",
                   std::to_string(options_.processors),
                   "-m",
                   std::to_string(options_.memory_mib),
                   "-nodefaults",
                   "-no-user-config",
                   "-display",
                   "none",
                   "-action",
                   options_.reboots ? "reboot=reset" : "reboot=shutdown",
                   "-S",
                   "-rtc",
                   fmt::format("base={:%Y-%m-%dT%H:%M:%S},clock=vm", fmt::gmtime(pcap_epoch_)),
                   "-device",
                   "virtio-rng-pci",
                   "-chardev",
                   socket_option("qmp", sockets_ / "qmp"),
                   "-mon",
                   "qmp,mode=control"};
    auto serial = options_.on_terminal ? std::string("stdio,id=serial,signal=off")
                                       : socket_option("serial", sockets_ / "serial");
    line.insert(line.end(), {"-chardev", serial + ",logfile=" + serial_log.string(), "-serial",
                             "chardev:serial"});
    if (options_.second_console) {
        // A second 8250: every kernel has its driver built in.
        auto log = options_.directory / (options_.name + "console.log");
        line.insert(line.end(),
                    {"-chardev",
                     socket_option("console", sockets_ / "console") + ",logfile=" + log.string(),
                     "-serial", "chardev:console"});
        fs::remove(log);
    }
    for (unsigned nic = 0; nic < options_.nics; ++nic) {
        add_nic(line, nic);
    }
    add_boot(line);
    line.insert(line.end(), options_.more.begin(), options_.more.end());
    return line;
}

void Machine::add_nic(Arguments& line, unsigned nic) const {
    auto net = fmt::format(
        "user,id=net{0},net=10.0.1{0}.0/24,host=10.0.1{0}.2,dhcpstart=10.0.1{0}.15", nic);
    if (nic == 0 && !options_.boot_file.empty()) {
        net += ",bootfile=" + options_.boot_file;
    }
    if (nic == 0) {
        for (const auto& rule : options_.host_forwards) {
            net += ",hostfwd=" + rule;
        }
    }
    // One option ROM drives all four; more of them would only boot one after another.
    auto boot = options_.direct_boot ? std::string(",romfile=")
                : nic == 0           ? std::string(",bootindex=0")
                                     : std::string(",romfile=");
    line.insert(
        line.end(),
        {"-netdev", net, "-object",
         fmt::format("filter-dump,id=dump{0},netdev=net{0},file={1}", nic, pcap(nic).string()),
         "-device",
         fmt::format("virtio-net-pci,id=nic{0},netdev=net{0},mac={1}{2},addr={3:#x}", nic, mac(nic),
                     boot, 0x10 + nic)});
}

void Machine::add_boot(Arguments& line) const {
    if (!options_.direct_boot) {
        return;
    }
    // Emulated on a busy host, ten ticks may well take longer than the kernel's test of its timer
    // waits: it then panics ("IO-APIC + timer doesn't work").
    line.insert(line.end(), {"-kernel", options_.direct_boot->kernel.string(), "-initrd",
                             options_.direct_boot->initrd.string(), "-append",
                             options_.direct_boot->command_line + " no_timer_check"});
}

void Machine::unplug_nic(unsigned nic, Seconds limit) {
    auto mark = qmp_->mark();
    qmp_->execute("device_del", {{"id", fmt::format("nic{}", nic)}});
    if (!qmp_->wait_for_event("DEVICE_DELETED", Deadline(limit), mark)) {
        throw std::runtime_error(fmt::format("the guest did not let go of NIC {}", nic));
    }
}

void Machine::plug_nic(unsigned nic) {
    qmp_->execute("device_add", {{"driver", "virtio-net-pci"},
                                 {"id", fmt::format("nic{}", nic)},
                                 {"netdev", fmt::format("net{}", nic)},
                                 {"mac", mac(nic)},
                                 {"romfile", ""},
                                 {"addr", fmt::format("{:#x}", 0x10 + nic)}});
}

void Machine::set_link(unsigned nic, bool up) {
    qmp_->execute("set_link", {{"name", fmt::format("nic{}", nic)}, {"up", up}});
}

void Machine::pause() {
    qmp_->execute("stop");
    paused_at_ = Clock::now();
}

void Machine::resume() {
    started_at_ += Clock::now() - paused_at_;
    qmp_->execute("cont");
}

std::string Machine::wait_for_end(Seconds limit) {
    auto event = qmp_->wait_for_event("SHUTDOWN", Deadline(limit));
    if (!event) {
        throw std::runtime_error(
            process_->running()
                ? fmt::format("the machine still runs after {:.0f} s", limit.count())
                : std::string("QEMU ended without a SHUTDOWN event"));
    }
    process_->wait(Deadline(Seconds(20)));
    process_->kill();
    if (serial_) {
        serial_->wait_for_end(Deadline(Seconds(5)));
    }
    return event->data.value("reason", "unknown");
}

}  // namespace hawser::qemu
