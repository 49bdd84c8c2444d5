// SPDX-License-Identifier: GPL-2.0-or-later
// What keeps a disk busy: a mounted file system, swap, or a device stacked upon it; on the whole
// disk or on one of its partitions.
#include <fmt/format.h>

#include <sstream>

#include "user/failure.h"
#include "user/files.h"
#include "user/session_status.h"

namespace hawser::user {
namespace {

struct Volume {  // a disk or a partition
    std::string name;
    std::string device_number;
    std::string folder;
};

std::vector<Volume> volumes_of(const Disk& disk) {
    std::vector<Volume> volumes{{disk.name, disk.device_number, disk.folder}};
    for (const std::string& name : list_folder(disk.folder)) {
        const std::string folder = disk.folder + "/" + name;
        if (!read_file(folder + "/partition")) continue;
        volumes.push_back({name, read_attribute(folder + "/dev"), folder});
    }
    return volumes;
}

// mountinfo: id parent major:minor root mount-point options [tags] - type source super-options.
// btrfs shows a device number of its own, but its source names the volume.
void find_mounts(const Volume& volume, const std::string& mountinfo,
                 std::vector<std::string>& uses) {
    std::istringstream lines(mountinfo);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string id, parent, number, root, mount_point, word, type, source;
        words >> id >> parent >> number >> root >> mount_point;
        while (words >> word && word != "-") {
        }
        words >> type >> source;
        if (number != volume.device_number && source != "/dev/" + volume.name) continue;
        uses.push_back(fmt::format("{} is mounted on {}", volume.name, printable(mount_point)));
    }
}

void find_swap(const Volume& volume, const std::string& swaps, std::vector<std::string>& uses) {
    std::istringstream lines(swaps);
    for (std::string line; std::getline(lines, line);) {
        if (line.substr(0, line.find_first_of(" \t")) != "/dev/" + volume.name) continue;
        uses.push_back(volume.name + " is swap");
    }
}

}  // namespace

std::vector<std::string> disk_uses(const SessionStatus& session, const std::string& proc) {
    // Without these files nothing could be said, and nothing said would read as "not in use".
    const auto mountinfo = read_file(proc + "/self/mountinfo", size_t{16} << 20);
    if (!mountinfo) throw Failure("cannot read", proc + "/self/mountinfo", "is /proc mounted?");
    const std::string swaps = read_file(proc + "/swaps").value_or("");
    std::vector<std::string> uses;
    for (const Disk& disk : session.disks) {
        for (const Volume& volume : volumes_of(disk)) {
            find_mounts(volume, *mountinfo, uses);
            find_swap(volume, swaps, uses);
            for (const std::string& holder : list_folder(volume.folder + "/holders")) {
                uses.push_back(volume.name + " is held by " + holder);
            }
        }
    }
    return uses;
}

}  // namespace hawser::user
