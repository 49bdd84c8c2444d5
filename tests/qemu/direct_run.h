// SPDX-License-Identifier: GPL-2.0-or-later
//
// A run without firmware: QEMU starts kernel and initramfs itself. For what firmware cannot be made
// to do (a broken iBFT), and for what needs no distribution.

#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "capture.h"
#include "machine.h"
#include "report.h"
#include "target.h"

namespace hawser::qemu {

class DirectRun {
public:
    DirectRun(const std::string& name, unsigned nics);

    // An image of zeroes of that size behind it; 0: a target without a disk.
    Target& start_tgt(uint64_t image_bytes, const TargetChap& chap = {});
    // The kernel's target, in a machine of its own.
    Target& start_lio(uint64_t image_bytes, unsigned error_recovery_level);
    Machine& start(const DirectBoot& boot, const Arguments& more = {});

    // How many frames of all NICs tshark's filter selects; after the machine has ended.
    size_t count_frames(uint16_t target_port, const std::string& filter);
    // What was on the wire to this port, all NICs; after the machine has ended.
    Capture wire(uint16_t target_port);
    void finish();

    Machine& machine() { return *machine_; }
    Target& target() { return *target_; }
    Report& report() { return report_; }
    const std::string& name() const { return name_; }
    std::filesystem::path directory() const { return directory_; }
    std::filesystem::path image() const { return directory_ / "disk.img"; }

private:
    Target& take_target(std::unique_ptr<Target> target);
    TargetOptions target_options(uint64_t image_bytes) const;

    std::string name_;
    unsigned nics_;
    std::filesystem::path directory_;
    Report report_;
    std::unique_ptr<Target> target_;
    std::unique_ptr<Machine> machine_;
};

}  // namespace hawser::qemu
