// SPDX-License-Identifier: GPL-2.0-or-later
//
// Setting up a run without firmware.

#include "direct_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "disk.h"
#include "process.h"
#include "scenario.h"
#include "tiny_initramfs.h"

namespace hawser::qemu {

namespace fs = std::filesystem;

constexpr const char* k_script_head = R"sh(
say() { echo "FAULT $*"; }
nics() {
    for i in "$@"; do
        ip link set eth$i up
        ip address add 10.0.1$i.15/24 dev eth$i
    done
}
S=/sys/bus/hawser/devices/hawser0
states() { cat $S/state $S/connection?/state | tr '\n' ' '; }
# Four MiB of noise, past the cache, and back.
noise() {
    dd if=/dev/urandom of=/tmp/noise bs=64k count=64 2>/dev/null
    say "sum $(sha256sum < /tmp/noise | cut -c 1-64)"
    dd if=/tmp/noise of=/dev/sda bs=64k oflag=direct 2>/dev/null
    say "write: $?"
    dd if=/dev/sda bs=64k count=64 iflag=direct 2>/dev/null | cmp - /tmp/noise && say "read: same"
}
ip link set lo up
)sh";

DirectRun::DirectRun(const std::string& name, unsigned nics)
    : name_(name), nics_(nics), directory_(fresh_evidence_folder(name)), report_(name) {}

fs::path DirectRun::make_image(uint64_t bytes) {
    std::ofstream(image()).close();
    fs::resize_file(image(), bytes);
    return image();
}

TargetOptions DirectRun::target_options(uint64_t image_bytes) {
    TargetOptions options;
    options.directory = directory_;
    if (image_bytes > 0) options.image = make_image(image_bytes);
    return options;
}

Target& DirectRun::use_target(std::unique_ptr<Target> target) {
    target_ = std::move(target);
    report_.set("target", target_->kind());
    report_.set("target_port", target_->port());
    return *target_;
}

Target& DirectRun::start_tgt(uint64_t image_bytes, const TargetChap& chap) {
    TargetOptions options = target_options(image_bytes);
    options.chap = chap;
    return use_target(make_tgt(options));
}

Target& DirectRun::start_tgt_on(const fs::path& image) {
    copy_image(image, this->image());
    TargetOptions options = target_options(0);
    options.image = this->image();
    return use_target(make_tgt(options));
}

Target& DirectRun::start_lio(uint64_t image_bytes, unsigned error_recovery_level) {
    TargetOptions options = target_options(image_bytes);
    options.error_recovery_level = error_recovery_level;
    return use_target(make_lio(options));
}

Machine& DirectRun::start(const DirectBoot& boot, const Arguments& more, bool second_console) {
    MachineOptions options;
    options.directory = directory_;
    options.nics = nics_;
    options.direct_boot = boot;
    if (const char* words = std::getenv("HAWSER_KERNEL_ARGUMENTS"))
        options.direct_boot->command_line += std::string(" ") + words;
    options.second_console = second_console;
    options.more = more;
    machine_ = std::make_unique<Machine>(options);
    return *machine_;
}

Machine& DirectRun::start_tiny(const std::string& script, const std::string& command_line,
                               const Arguments& more) {
    const auto kernel = default_kernel();
    const auto initrd = directory_ / "initramfs.img";
    auto initramfs = hawser_initramfs({});
    initramfs.script = k_script_head + script;
    initramfs.write(initrd, kernel);
    return start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic " + command_line}, more);
}

std::string DirectRun::expect_console(const std::string& what, const std::string& expression) {
    const auto line = machine_->serial().find(expression);
    report_.check(what, line.has_value(), "console: no " + expression);
    return line ? line->text : std::string();
}

void DirectRun::expect_noise() {
    expect_console("4 MiB were written", "FAULT write: 0");
    expect_console("and read back", "FAULT read: same");
    auto said = machine_->serial().find("FAULT sum ([0-9a-f]{64})");
    std::string sum = said ? said->groups[1] : "no sum";
    auto on_disk =
        run_checked({"sh", "-c", "head -c 4194304 \"$1\" | sha256sum", "sh", image().string()});
    report_.check("the same bytes are in the image", on_disk.starts_with(sum),
                  sum + " became " + on_disk);
}

Capture DirectRun::wire(uint16_t target_port) {
    Capture capture;
    for (unsigned nic = 0; nic < nics_; ++nic) {
        read_capture(machine_->pcap(nic), nic, target_port,
                     static_cast<double>(machine_->pcap_epoch()), capture);
    }
    return capture;
}

std::vector<std::string> DirectRun::frame_fields(uint16_t target_port, const std::string& filter,
                                                 const std::vector<std::string>& fields) {
    std::vector<std::pair<double, std::string>> found;
    for (unsigned nic = 0; nic < nics_; ++nic) {
        Arguments line{"tshark", "-n",
                       "-r",     machine_->pcap(nic).string(),
                       "-d",     fmt::format("tcp.port=={},iscsi", target_port),
                       "-Y",     filter,
                       "-T",     "fields",
                       "-e",     "frame.time_epoch"};
        for (const auto& field : fields) line.insert(line.end(), {"-e", field});
        std::istringstream lines(run_checked(line, Seconds(300)));
        for (std::string text; std::getline(lines, text);)
            found.emplace_back(std::stod(text), text);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> texts;
    for (auto& [at, text] : found) texts.push_back(std::move(text));
    return texts;
}

size_t DirectRun::count_frames(uint16_t target_port, const std::string& filter) {
    size_t count = 0;
    for (unsigned nic = 0; nic < nics_; ++nic) {
        const auto seen = run({"tshark", "-n", "-r", machine_->pcap(nic).string(), "-d",
                               fmt::format("tcp.port=={},iscsi", target_port), "-Y", filter},
                              Seconds(300));
        count += static_cast<size_t>(std::count(seen.output.begin(), seen.output.end(), '\n'));
    }
    return count;
}

void DirectRun::forgive_crash(const std::string& expression) {
    crash_ = expression;
}

void DirectRun::finish(const std::string& expected) {
    if (machine_) {
        auto lines = machine_->serial().lines();
        if (auto crash = crash_.empty() ? std::nullopt : machine_->serial().find(crash_)) {
            auto next = machine_->serial().find("Linux version", crash->line);
            lines.erase(lines.begin() + static_cast<long>(crash->line),
                        next ? lines.begin() + static_cast<long>(next->line) : lines.end());
        }
        auto complaints = kernel_complaints(lines, expected);
        report_.check("the kernel has nothing to complain about", complaints.empty(),
                      fmt::format("{}", fmt::join(complaints, "\n")));
        machine_->kill();
    }
    report_.write(directory_ / "report.json");
}

}  // namespace hawser::qemu
