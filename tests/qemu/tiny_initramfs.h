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
    std::string release;  // as in /lib/modules/<release>
};

// Reads the release out of the image itself (the x86 boot protocol's kernel_version).
KernelImage kernel_image(const std::filesystem::path& image);
// build/images/vmlinuz, or else the newest packaged kernel that can be read.
KernelImage default_kernel();

// The modules that a module file names as those it needs.
std::vector<std::string> needs_of(const std::filesystem::path& module_file);

struct TinyInitramfs {
    std::vector<std::string> modules;                 // names; what they need comes before them
    std::vector<std::filesystem::path> module_files;  // our own, after those
    std::vector<std::filesystem::path> programs;      // to /bin, with their shared libraries
    std::string script;  // run by /init once /proc, /sys, /dev are there

    void write(const std::filesystem::path& file, const KernelImage& kernel) const;
};

// What a node needs: the module of this build, `hawser`, a virtio NIC, disks. Without a script.
TinyInitramfs node_initramfs();

}  // namespace hawser::qemu
