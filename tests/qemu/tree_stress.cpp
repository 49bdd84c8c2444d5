// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-tree-stress FOLDER SEED SECONDS: files, folders and links made, written, renamed, linked
// and removed at random, by four processes. The kind of test that fsstress is: what is judged is
// the file system afterwards. An error that the operation does not explain (EIO, EROFS, a file
// system that was shut down) ends it with exit status 1.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

namespace {

constexpr unsigned k_processes = 4;
constexpr unsigned k_names = 12;  // in a folder: few, so that operations meet
constexpr size_t k_length_most = 48 << 10;
constexpr std::array k_explained{ENOENT, EEXIST, ENOTEMPTY, ENOTDIR, EISDIR,      ELOOP,
                                 EINVAL, EMLINK, ENOSPC,    EPERM,   ENAMETOOLONG};

class TreeStress {
public:
    TreeStress(std::string root, uint64_t seed) : root_(std::move(root)), random_(seed) {}

    bool step();
    unsigned long steps() const { return steps_; }

private:
    size_t below(size_t limit) { return random_() % limit; }
    std::string path();
    int write_file(const std::string& name);
    int change_file(const std::string& name);
    int sync_of(const std::string& name);

    std::string root_;
    std::mt19937_64 random_;
    unsigned long steps_ = 0;
};

// One to three levels deep.
std::string TreeStress::path() {
    std::string name = root_;
    for (size_t depth = 1 + below(3); depth > 0; --depth)
        name += "/n" + std::to_string(below(k_names));
    return name;
}

int TreeStress::write_file(const std::string& name) {
    const int file =
        ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | (below(4) ? 0 : O_SYNC), 0644);
    if (file < 0) return -1;
    static std::array<char, k_length_most> s_bytes;
    s_bytes.fill(static_cast<char>(random_()));
    const auto length = 1 + below(k_length_most);
    const auto at = static_cast<off_t>(below(4 * k_length_most));
    const int result = ::pwrite(file, s_bytes.data(), length, at) < 0 ? -1 : 0;
    const int error = errno;
    ::close(file);
    errno = error;
    return result;
}

int TreeStress::change_file(const std::string& name) {
    const int file = ::open(name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) return -1;
    const auto at = static_cast<off_t>(below(2 * k_length_most));
    const auto length = static_cast<off_t>(1 + below(k_length_most));
    const int result = below(2) == 0 ? ::ftruncate(file, at) : ::fallocate(file, 0, at, length);
    const int error = errno;
    ::close(file);
    errno = error;
    return result;
}

int TreeStress::sync_of(const std::string& name) {
    const int file = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    const int result = ::fsync(file);
    const int error = errno;
    ::close(file);
    errno = error;
    return result;
}

bool TreeStress::step() {
    ++steps_;
    const std::string name = path();
    int result = 0;
    const auto what = below(16);
    switch (what) {
        case 0:
        case 1:
        case 2:
        case 3:
            result = write_file(name);
            break;
        case 4:
        case 5:
            result = ::mkdir(name.c_str(), 0755);
            break;
        case 6:
            result = ::rmdir(name.c_str());
            break;
        case 7:
        case 8:
            result = ::unlink(name.c_str());
            break;
        case 9:
        case 10:
            result = ::rename(name.c_str(), path().c_str());
            break;
        case 11:
            result = ::link(name.c_str(), path().c_str());
            break;
        case 12:
            result = ::symlink(("n" + std::to_string(below(k_names))).c_str(), name.c_str());
            break;
        case 13:
            result = change_file(name);
            break;
        case 14:
            result = sync_of(name);
            break;
        default:
            result = ::chmod(name.c_str(), below(2) == 0 ? 0644 : 0755);
            break;
    }
    if (result == 0 ||
        std::find(k_explained.begin(), k_explained.end(), errno) != k_explained.end())
        return true;
    std::printf("stress: FAILED: operation %zu on %s: %s\n", what, name.c_str(), strerror(errno));
    return false;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[3]));
    for (unsigned p = 0; p < k_processes; ++p) {
        if (::fork() != 0) continue;
        TreeStress stress(argv[1], std::strtoull(argv[2], nullptr, 10) * k_processes + p);
        while (std::chrono::steady_clock::now() < end) {
            if (!stress.step()) return 1;
        }
        std::printf("stress: %lu steps\n", stress.steps());
        return 0;
    }
    int failed = 0;
    for (int status = 0; ::wait(&status) > 0;) failed |= status;
    return failed == 0 ? 0 : 1;
}
