// SPDX-License-Identifier: GPL-2.0-or-later
//
// A node that boots as ours do, by the real initramfs and `hawser boot`, but without firmware and
// into a root file system that a test made: for other inits and other systems than the images'.

#pragma once

#include <filesystem>
#include <string>

#include "direct_run.h"

namespace hawser::qemu {

struct DirectNode {
    std::string name;
    unsigned nics = 2;        // a portal each
    std::string arguments{};  // more for the kernel's command line
};

// The parameters that firmware would have given: target, portals, addresses, and the root.
std::string node_command_line(const Target& target, const DirectNode& node);

// A folder as an ext4 file system, label hawser-root, on the image that is there.
void make_root_disk(const std::filesystem::path& folder, const std::filesystem::path& image);

// busybox, all its applets, the folders that a root needs, and these two files.
void make_busybox_root(const std::filesystem::path& folder, const std::string& inittab,
                       const std::string& rc);

// Starts the machine with build/images' kernel and initramfs.
Machine& start_node(DirectRun& run, const DirectNode& node);

// What must be seen of the end that the console announced by `announced`: the machine's own end by
// `reason`, the wire, the disk without a journal to replay.
void judge_node_end(DirectRun& run, const std::string& announced, const std::string& reason);

}  // namespace hawser::qemu
