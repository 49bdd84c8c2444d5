// SPDX-License-Identifier: GPL-2.0-or-later
//
// An initramfs of busybox, a few kernel modules in the order in which they must be loaded, and one
// script: for the machine that is the LIO target, and for testing the module without a
// distribution.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace hawser::qemu {

struct KernelImage {
    std::filesystem::path image;
    std::filesystem::path modules;  // where its modules.builtin is, and modules.dep if it has any
};

// With the modules of the release that the image itself names (the x86 boot protocol's
// kernel_version).
KernelImage kernel_image(const std::filesystem::path& image);
// build/images/vmlinuz, or else the newest packaged kernel that can be read.
KernelImage packaged_kernel();
// That of the machine under test: what HAWSER_KERNEL names, the folder that a kernel was built in,
// or else the packaged one.
KernelImage default_kernel();
// hawser.ko for that kernel: HAWSER_MODULE, or else build/module/hawser.ko.
std::filesystem::path module_under_test();

// The modules that a module file names as those it needs.
std::vector<std::string> needs_of(const std::filesystem::path& module_file);

struct TinyInitramfs {
    std::vector<std::string> modules;                 // names; what they need comes before them
    std::vector<std::filesystem::path> module_files;  // our own, after those
    std::vector<std::filesystem::path> programs;      // to /bin, with their shared libraries
    std::vector<std::filesystem::path> files;  // or folders, to the same place, with what they need
    std::string script;                        // run by /init once /proc, /sys, /dev are there

    void write(const std::filesystem::path& file, const KernelImage& kernel) const;
};

// For a machine with hawser.ko under test: virtio, what the module needs, the module, `hawser`.
TinyInitramfs hawser_initramfs(std::string script);

}  // namespace hawser::qemu
