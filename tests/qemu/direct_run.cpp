// SPDX-License-Identifier: GPL-2.0-or-later
//
// Setting up a run without firmware.

#include "direct_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>

#include "process.h"
#include "scenario.h"

namespace hawser::qemu {

namespace fs = std::filesystem;

DirectRun::DirectRun(const std::string& name, unsigned nics)
    : name_(name), nics_(nics), directory_(fresh_evidence_folder(name)), report_(name) {}

TargetOptions DirectRun::target_options(uint64_t image_bytes) const {
    TargetOptions options;
    options.directory = directory_;
    if (image_bytes > 0) {
        std::ofstream(image()).close();
        fs::resize_file(image(), image_bytes);
        options.image = image();
    }
    return options;
}

Target& DirectRun::take_target(std::unique_ptr<Target> target) {
    target_ = std::move(target);
    report_.set("target", target_->kind());
    report_.set("target_port", target_->port());
    return *target_;
}

Target& DirectRun::start_tgt(uint64_t image_bytes, const TargetChap& chap) {
    TargetOptions options = target_options(image_bytes);
    options.chap = chap;
    return take_target(make_tgt(options));
}

Target& DirectRun::start_lio(uint64_t image_bytes, unsigned error_recovery_level) {
    TargetOptions options = target_options(image_bytes);
    options.error_recovery_level = error_recovery_level;
    return take_target(make_lio(options));
}

Machine& DirectRun::start(const DirectBoot& boot, const Arguments& more) {
    MachineOptions options;
    options.directory = directory_;
    options.nics = nics_;
    options.direct_boot = boot;
    options.second_console = false;
    options.more = more;
    machine_ = std::make_unique<Machine>(options);
    return *machine_;
}

Capture DirectRun::wire(uint16_t target_port) {
    Capture capture;
    for (unsigned nic = 0; nic < nics_; ++nic) {
        read_capture(machine_->pcap(nic), nic, target_port,
                     static_cast<double>(machine_->pcap_epoch()), capture);
    }
    return capture;
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

void DirectRun::finish() {
    if (machine_) {
        auto complaints = kernel_complaints(machine_->serial().lines());
        report_.check("the kernel has nothing to complain about", complaints.empty(),
                      fmt::format("{}", fmt::join(complaints, "\n")));
        machine_->kill();
    }
    report_.write(directory_ / "report.json");
}

}  // namespace hawser::qemu
