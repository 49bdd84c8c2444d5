// SPDX-License-Identifier: GPL-2.0-or-later
// Whole files, read and written.
#ifndef HAWSER_USER_FILES_H
#define HAWSER_USER_FILES_H

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace hawser::user {

// Nothing when it cannot be read; errno says why. At most `bytes_max` are read.
std::optional<std::string> read_file(const std::string& path, size_t bytes_max = 1 << 20);

// A sysfs attribute: the first line without its newline, empty when it is not there.
std::string read_attribute(const std::string& path);

// Makes the folders above, writes beside and renames: a reader sees all or nothing. Throws Failure.
void write_file(const std::string& path, const std::string& text, mode_t mode);

// Names in a folder, sorted, without `.` and `..`; none when there is no such folder.
std::vector<std::string> list_folder(const std::string& path);

}  // namespace hawser::user

#endif
