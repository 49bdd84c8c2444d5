// SPDX-License-Identifier: GPL-2.0-or-later
//
// The root disk's image on the host: copied for each run, and judged after it by e2fsprogs, without
// mounting and without root.

#pragma once

#include <filesystem>
#include <string>

namespace hawser::qemu {

// A copy that shares blocks where the file system can; the holes stay holes.
void copy_image(const std::filesystem::path& from, const std::filesystem::path& to);

struct FileSystemState {
    bool clean = false;           // e2fsck -fn found nothing
    bool needs_recovery = false;  // the journal must be replayed first
    std::string report;           // what the tools said
};

FileSystemState inspect_file_system(const std::filesystem::path& image);

// Replays the journal, as the next mount would. Throws when more than that had to be mended.
void replay_journal(const std::filesystem::path& image);

// SHA-256 (hex) of a file inside the image.
std::string sha256_inside(const std::filesystem::path& image, const std::string& path);

}  // namespace hawser::qemu
