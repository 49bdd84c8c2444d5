// SPDX-License-Identifier: GPL-2.0-or-later
//
// e2fsck, dumpe2fs and debugfs, read.

#include "disk.h"

#include <fmt/format.h>

#include <fstream>
#include <regex>
#include <stdexcept>

#include "process.h"

namespace hawser::qemu {

namespace fs = std::filesystem;

void copy_image(const fs::path& from, const fs::path& to) {
    fs::create_directories(to.parent_path());
    run_checked({"cp", "--reflink=auto", "--sparse=always", "--remove-destination", from.string(),
                 to.string()},
                Seconds(300));
}

FileSystemState inspect_file_system(const fs::path& image) {
    FileSystemState state;
    auto header = run_checked({"/sbin/dumpe2fs", "-h", image.string()});
    static const std::regex k_features("Filesystem features:[^\n]*needs_recovery");
    static const std::regex k_state("Filesystem state:\\s*clean\n");
    state.needs_recovery = std::regex_search(header, k_features);
    bool marked_clean = std::regex_search(header, k_state);
    auto check = run({"/sbin/e2fsck", "-f", "-n", image.string()}, Seconds(300));
    state.clean = check.status == 0 && marked_clean && !state.needs_recovery;
    state.report =
        fmt::format("e2fsck -f -n: exit status {}\n{}{}", check.status, check.output, check.errors);
    return state;
}

void replay_journal(const fs::path& image) {
    // 1: mended. That must have been the journal alone: a second look then finds nothing to say.
    auto check = run({"/sbin/e2fsck", "-p", image.string()}, Seconds(300));
    if (check.status > 1) {
        throw std::runtime_error(fmt::format("e2fsck -p: exit status {}: {}{}", check.status,
                                             check.output, check.errors));
    }
    auto state = inspect_file_system(image);
    if (!state.clean) {
        throw std::runtime_error("not clean after its journal was replayed: " + state.report);
    }
}

std::string sha256_inside(const fs::path& image, const std::string& path) {
    auto copy = image.string() + ".dump";
    fs::remove(copy);
    run_checked({"/sbin/debugfs", "-R", fmt::format("dump {} {}", path, copy), image.string()},
                Seconds(120));
    if (!fs::exists(copy)) {
        throw std::runtime_error(fmt::format("{}: no {} inside", image.string(), path));
    }
    auto sum = run_checked({"sha256sum", copy}, Seconds(60)).substr(0, 64);
    fs::remove(copy);
    return sum;
}

}  // namespace hawser::qemu
