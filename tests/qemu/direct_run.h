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

    // A target that the caller made.
    Target& use_target(std::unique_ptr<Target> target);
    // An image of zeroes of that size behind it; 0: a target without a disk.
    Target& start_tgt(uint64_t image_bytes, const TargetChap& chap = {});
    // A copy of that image behind it.
    Target& start_tgt_on(const std::filesystem::path& image);
    // The kernel's target, in a machine of its own.
    Target& start_lio(uint64_t image_bytes, unsigned error_recovery_level);
    // HAWSER_KERNEL_ARGUMENTS is added to the command line. second_console: ttyS1, for a guest that
    // takes orders.
    Machine& start(const DirectBoot& boot, const Arguments& more = {}, bool second_console = false);
    // Kernel, module and `hawser` in a tiny initramfs, and this shell script: `say` prints a line
    // that begins with FAULT, `nics 0 1` brings eth0 and eth1 up with addresses, `noise` writes to
    // the disk and reads back, `states` is the session's state and those of its connections.
    Machine& start_tiny(const std::string& script, const std::string& command_line = "",
                        const Arguments& more = {});
    // `noise` went well, and its bytes are in the image; after the target has ended.
    void expect_noise();
    // The image, for a target that is started elsewhere.
    std::filesystem::path make_image(uint64_t bytes);
    // Notes whether the console says it; what it said.
    std::string expect_console(const std::string& what, const std::string& expression);

    // How many frames of all NICs tshark's filter selects; after the machine has ended.
    // The fields of the frames of all NICs that it selects, by time: "seconds\tfield\tfield...".
    std::vector<std::string> frame_fields(uint16_t target_port, const std::string& filter,
                                          const std::vector<std::string>& fields);
    size_t count_frames(uint16_t target_port, const std::string& filter);
    // What was on the wire to this port, all NICs; after the machine has ended.
    Capture wire(uint16_t target_port);
    // The crash of a kernel that the story asked for, up to where the next one starts.
    void forgive_crash(const std::string& expression);
    // expected: what the kernel may complain of (a regular expression), as the scenario means it
    // to.
    void finish(const std::string& expected = "");

    Machine& machine() { return *machine_; }
    Target& target() { return *target_; }
    Report& report() { return report_; }
    const std::string& name() const { return name_; }
    std::filesystem::path directory() const { return directory_; }
    std::filesystem::path image() const { return directory_ / "disk.img"; }

private:
    TargetOptions target_options(uint64_t image_bytes);

    std::string name_;
    unsigned nics_;
    std::filesystem::path directory_;
    Report report_;
    std::unique_ptr<Target> target_;
    std::unique_ptr<Machine> machine_;
    std::string crash_;
};

}  // namespace hawser::qemu
