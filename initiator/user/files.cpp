// SPDX-License-Identifier: GPL-2.0-or-later
// Whole files, read and written.
#include "user/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "user/failure.h"

namespace hawser::user {

std::optional<std::string> read_file(const std::string& path, size_t bytes_max) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return std::nullopt;
    std::string text;
    char buffer[16384];
    for (;;) {
        const ssize_t got = read(fd, buffer, std::min(sizeof(buffer), bytes_max - text.size()));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            const int error = errno;
            close(fd);
            errno = error;
            if (got < 0) return std::nullopt;
            return text;
        }
        text.append(buffer, static_cast<size_t>(got));
    }
}

std::string read_attribute(const std::string& path) {
    std::string text = read_file(path, 4096).value_or("");
    text.resize(std::min(text.find('\n'), text.size()));
    return text;
}

void write_file(const std::string& path, const std::string& text, mode_t mode) {
    std::error_code ignored;  // open() says it better
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
    const std::string beside = path + ".new";
    unlink(beside.c_str());
    const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool good = fd >= 0 && fchmod(fd, mode) == 0;
    for (size_t at = 0; good && at < text.size();) {
        const ssize_t put = write(fd, text.data() + at, text.size() - at);
        if (put < 0 && errno == EINTR) continue;
        good = put > 0;
        if (good) at += static_cast<size_t>(put);
    }
    if (fd >= 0) close(fd);
    if (!good || rename(beside.c_str(), path.c_str()) != 0) {
        throw Failure("cannot write", path, std::strerror(errno));
    }
}

std::vector<std::string> list_folder(const std::string& path) {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end;
         entry.increment(error)) {
        names.push_back(entry->path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace hawser::user
