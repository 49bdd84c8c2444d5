// SPDX-License-Identifier: GPL-2.0-or-later
//
// The steps of a run: what is set up, and what is done in the guest.

#include "scenario.h"

#include <fmt/format.h>

#include <fstream>
#include <stdexcept>

#include "disk.h"
#include "paths.h"
#include "process.h"

namespace hawser::qemu {

namespace fs = std::filesystem;

namespace {

// Emulated processors, shared with whatever else runs here: bounds against hanging, not measures.
constexpr Seconds k_firmware_limit{120};
constexpr Seconds k_boot_limit{300};
constexpr Seconds k_step_limit{180};

constexpr const char* k_file = "/root/hawser-64MiB";

}  // namespace

fs::path fresh_evidence_folder(const std::string& name) {
    auto folder = evidence_folder(name);
    fs::remove_all(folder);
    fs::create_directories(folder);
    return folder;
}

void require_images() {
    for (const char* file : {"vmlinuz", "initrd.img", "boot.ipxe", "root.img"}) {
        if (!fs::exists(images_folder() / file)) {
            throw std::runtime_error(fmt::format("{} is not there: run `make images`",
                                                 (images_folder() / file).string()));
        }
    }
}

void make_root_image(const std::string& which) {
    run_checked({(build_folder() / "../tests/qemu/roots/make").string(), which}, Seconds(800));
}

Scenario::Scenario(const Plan& plan)
    : plan_(plan), directory_(fresh_evidence_folder(plan.name)), report_(plan.name) {
    require_images();
    copy_image(images_folder() / (plan.root + ".img"), image());
    TargetOptions target;
    target.directory = directory_;
    target.image = image();
    target.max_connections = plan.max_connections;
    target.chap = plan.chap;
    target_ = plan.lio ? make_lio(target) : make_tgt(target);
    report_.set("target", target_->kind());
    report_.set("target_port", target_->port());
    report_.set("initramfs_bytes", fs::file_size(images_folder() / "initrd.img"));
    prepare_boot_files();
    http_server_ = std::make_unique<HttpServer>(directory_ / "http", directory_ / "http.log");
    MachineOptions machine;
    machine.directory = directory_;
    machine.nics = plan.nics;
    machine.on_terminal = plan.on_terminal;
    machine.reboots = plan.reboots;
    machine.boot_file =
        fmt::format("http://{}:{}/boot.ipxe", Machine::host_address(0), http_server_->port());
    machine_ = std::make_unique<Machine>(machine);
    phase("power on", 0);
}

Scenario::~Scenario() = default;

void Scenario::phase(const std::string& name, double at) {
    auto label = lives_.size() > 1 ? fmt::format("life {}: {}", lives_.size(), name) : name;
    report_.phase(label, at);
    if (plan_.progress) {
        plan_.progress(at, label);
    }
}

void Scenario::prepare_boot_files() {
    auto folder = directory_ / "http";
    fs::create_directories(folder);
    for (const char* file : {"vmlinuz", "initrd.img"}) {
        fs::create_symlink(fs::absolute(images_folder() / file), folder / file);
    }
    fs::copy_file(images_folder() / "boot.ipxe", folder / "boot.ipxe");
    std::ofstream(folder / "settings.ipxe") << settings();
}

// What a site would write (boot/settings.ipxe says what each line is).
std::string Scenario::settings() const {
    auto text = fmt::format(
        "#!ipxe\nset target {}\nset lun {:x}\nset port {}\n"
        "set initiator-iqn iqn.2026-11.hawser:node-${{net0/mac:hexhyp}}\n",
        target_->name(), target_->lun(), target_->port());
    for (unsigned i = 0; i < plan_.portals; ++i) {
        text += fmt::format("set portal{} {}\n", i, Machine::host_address(i));
    }
    if (!plan_.chap.name.empty()) {
        text +=
            fmt::format("set username {}\nset password {}\n", plan_.chap.name, plan_.chap.secret);
    }
    if (!plan_.chap.secret_in.empty()) {
        text += fmt::format("set reverse-username {}\nset reverse-password {}\n",
                            plan_.chap.name_in, plan_.chap.secret_in);
    }
    if (plan_.connections != 0) {
        text += fmt::format("set connections {}\n", plan_.connections);
    }
    // Emulated processors stand still for seconds when the host is busy: that is no dead link, and
    // no stalled RCU.
    text += fmt::format(
        "set kernel vmlinuz\nset initrd initrd.img\nset root LABEL=hawser-root\n"
        "set arguments rw console=ttyS0,115200 panic=-1 oops=panic "
        "systemd.wants=serial-getty@ttyS1.service "
        "rcupdate.rcu_cpu_stall_timeout=300 rd.hawser.option=noop_out_timeout={} {}\n"
        "set on-failure reboot\nset failure-ms 1000\nset onfail reboot\n",
        plan_.noop_out_timeout_s, plan_.arguments);
    return text;
}

void Scenario::expect_firmware() {
    auto firmware = machine_->serial().expect("Hawser: starting Linux|Hawser: FAILED.*",
                                              k_firmware_limit, life_starts_at_);
    if (firmware.text.find("FAILED") != std::string::npos) {
        throw std::runtime_error("firmware: " + firmware.text);
    }
    phase("firmware hands over to Linux", machine_->seconds(firmware.at));
}

void Scenario::boot() {
    auto& serial = machine_->serial();
    const bool by_kexec = !lives_.empty() && lives_.back().end.find("kexec") != std::string::npos;
    if (!by_kexec) {
        expect_firmware();
    }
    auto kernel = serial.expect("Linux version", k_step_limit, life_starts_at_);
    lives_.push_back({machine_->seconds(kernel.at), 0, 0, ""});
    phase("kernel start", lives_.back().kernel_start);
    auto mounted =
        serial.expect("EXT4-fs \\((sd[a-z]+)\\): mounted filesystem|^hawser: no root|Kernel panic",
                      k_boot_limit, kernel.line);
    if (mounted.text.find("EXT4-fs") == std::string::npos) {
        throw std::runtime_error("no root was mounted; the console says: " + mounted.text);
    }
    phase("root mounted", machine_->seconds(mounted.at));
    wait_for_shell();
    auto login = machine_->now();
    note_phases();
    phase("login shell", login);
}

// A guest that fell into an emergency shell will never show the prompt: then do not wait for it.
void Scenario::wait_for_shell() {
    Deadline deadline(k_boot_limit);
    for (;;) {
        try {
            shell().wait_for_prompt(Deadline(Seconds(5)));
            return;
        } catch (const std::exception&) {
            auto bad = machine_->serial().find(
                "Kernel panic|[Ee]mergency (mode|shell)|FAILED to boot", life_starts_at_);
            if (bad || deadline.passed() || !machine_->running()) {
                throw std::runtime_error(
                    fmt::format("no login: {}", bad ? bad->text : "no prompt on ttyS1"));
            }
        }
    }
}

// Seconds from power-on to the zero of the guest's monotonic clock.
double Scenario::boot_offset() {
    double before = machine_->now();
    double uptime = std::stod(shell().run_checked("cut -d' ' -f1 /proc/uptime"));
    return (before + machine_->now()) / 2 - uptime;
}

void Scenario::note_phases() {
    auto state = shell().run("systemctl is-system-running --wait", k_boot_limit);
    auto failed = shell().run_checked("systemctl --failed --no-legend --plain");
    report_.check("every unit of the guest started", state.output == "running",
                  state.output + ": " + failed);
    auto offset = boot_offset();
    auto since_boot = [&](const std::string& command) {
        return offset + std::stod(shell().run_checked(command)) / 1e6;
    };
    phase("switch_root", since_boot("systemctl show -P UserspaceTimestampMonotonic"));
    phase("multi-user",
          since_boot("systemctl show -P ActiveEnterTimestampMonotonic multi-user.target"));
}

void Scenario::expect_session(unsigned granted) {
    auto source = shell().run_checked("findmnt -no SOURCE,FSTYPE /");
    report_.check("the root file system is on the session's disk",
                  source.starts_with("/dev/sd") && source.find("ext4") != std::string::npos,
                  source);
    auto lsscsi = shell().run_checked("lsscsi -t");
    report_.check("lsscsi -t names the target", lsscsi.find(target_->name()) != std::string::npos,
                  lsscsi);
    auto status = shell().run("hawser status --json");
    report_.check("hawser status works in the guest", status.status == 0, status.output);
    report_.set("guest_status", Json::parse(status.output, nullptr, false));
    auto sysfs = [&](const std::string& name) {
        return shell().run_checked("cat /sys/bus/hawser/devices/hawser0/" + name);
    };
    unsigned asked = plan_.connections != 0 ? plan_.connections : plan_.portals;
    report_.check("sysfs: connections_asked", sysfs("connections_asked") == std::to_string(asked),
                  sysfs("connections_asked"));
    auto seen = sysfs("connections_granted");
    report_.check("sysfs: connections_granted", seen == std::to_string(granted), seen);
    report_.check("sysfs: the session is logged in", sysfs("state") == "LOGGED_IN", sysfs("state"));
    report_.set("guest_negotiated", sysfs("negotiated"));
    auto cache = shell().run_checked("cat /sys/class/scsi_disk/*/cache_type");
    report_.check("the disk has a write cache", cache.find("write back") != std::string::npos,
                  cache);
}

void Scenario::write_and_compare() {
    // The sum is taken before the write, so that it is not of what was read back.
    shell().run_checked("head -c 64M /dev/urandom > /dev/shm/noise", k_step_limit);
    auto before = shell().run_checked("sha256sum < /dev/shm/noise", k_step_limit).substr(0, 64);
    shell().run_checked(
        fmt::format("cp /dev/shm/noise {0} && sync {0} && rm /dev/shm/noise", k_file),
        k_step_limit);
    shell().run_checked("sync; echo 3 > /proc/sys/vm/drop_caches", k_step_limit);
    auto after =
        shell().run_checked(fmt::format("sha256sum < {}", k_file), k_step_limit).substr(0, 64);
    report_.check("64 MiB written, synced and dropped from the cache are read back the same",
                  before == after && before.size() == 64, before + " became " + after);
    sum_ = before;
    phase("64 MiB written, read back, compared", machine_->now());
}

void Scenario::power_off() {
    phase("power-off asked", machine_->now());
    shell().send_only("systemctl poweroff");
    expect_end("guest-shutdown", k_step_limit);
}

void Scenario::reboot(const std::string& command) {
    phase("reboot asked", machine_->now());
    shell().send_only(command);
    expect_end("guest-reset", k_step_limit);
}

void Scenario::end_life(const std::string& command, const std::string& line) {
    auto& life = lives_.back();
    life.end = command;
    life.asked = machine_->now();
    phase(command, life.asked);
    auto mark = machine_->serial().mark();
    shell().send_only(command);
    auto end = machine_->serial().expect(line, k_step_limit, mark);
    machine_->pause();
    life.ended = machine_->seconds(end.at);
    phase("ended", life.ended);
    life_starts_at_ = end.line + 1;
    inspect_disk(fmt::format(" (life {}: {})", lives_.size(), command));
}

void Scenario::leave_to_boot(const std::string& command, const std::string& line) {
    end_life(command, line);
    machine_->resume();
}

void Scenario::leave_to_stand(const std::string& command, const std::string& line) {
    end_life(command, line);
    machine_->kill();
}

void Scenario::expect_end(const std::string& reason, Seconds limit) {
    auto seen = machine_->wait_for_end(limit);
    phase("machine off", machine_->now());
    report_.check("the machine ended by " + reason, seen == reason, seen);
}

}  // namespace hawser::qemu
