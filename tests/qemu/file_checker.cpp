// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-file-checker FILE SEED SECONDS: one file beside its copy in memory. Writes, mapped writes,
// truncates, holes, ranges of zeroes and fsyncs go to both; each read, by the cache, past it, by a
// mapping or by a descriptor opened anew, must find what the copy says. The kind of test that fsx
// is. Exit status 1 and the last operations when it does not.

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr size_t k_bytes_most = 512 << 10;
constexpr size_t k_length_most = 64 << 10;
constexpr size_t k_page = 4096;
constexpr size_t k_operations_told = 30;

class FileChecker {
public:
    FileChecker(const char* path, uint64_t seed) : path_(path), random_(seed) { open_anew(); }

    void step();
    unsigned long steps() const { return steps_; }
    void compare_all() { read_range(0, copy_.size(), false); }

private:
    size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }
    [[noreturn]] void fail(const std::string& what);
    void require(bool good, const char* what) {
        if (!good) fail(std::string(what) + ": " + strerror(errno));
    }
    void note(const char* what, size_t at, size_t length);
    void open_anew();
    void write_range(size_t at, size_t length, bool mapped);
    void read_range(size_t at, size_t length, bool mapped);
    void read_past_cache();
    void resize(size_t bytes);
    void make_zero(size_t at, size_t length, int mode);
    void compare(const uint8_t* found, size_t at, size_t length);

    const char* path_;
    int file_ = -1;
    std::mt19937_64 random_;
    std::vector<uint8_t> copy_;
    std::deque<std::string> told_;
    unsigned long steps_ = 0;
};

void FileChecker::fail(const std::string& what) {
    for (const auto& line : told_) std::printf("checker: %s\n", line.c_str());
    std::printf("checker: FAILED in step %lu: %s\n", steps_, what.c_str());
    std::exit(1);
}

void FileChecker::note(const char* what, size_t at, size_t length) {
    char line[120];
    std::snprintf(line, sizeof line, "%lu: %s at %zu, %zu bytes, of %zu", steps_, what, at, length,
                  copy_.size());
    told_.emplace_back(line);
    if (told_.size() > k_operations_told) told_.pop_front();
}

void FileChecker::open_anew() {
    if (file_ >= 0) require(::close(file_) == 0, "close");
    file_ = ::open(path_, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    require(file_ >= 0, "open");
}

void FileChecker::compare(const uint8_t* found, size_t at, size_t length) {
    for (size_t i = 0; i < length; ++i) {
        if (found[i] == copy_[at + i]) continue;
        char words[100];
        std::snprintf(words, sizeof words, "byte %zu is %02x, not %02x", at + i, found[i],
                      copy_[at + i]);
        fail(words);
    }
}

void FileChecker::write_range(size_t at, size_t length, bool mapped) {
    note(mapped ? "mapped write" : "write", at, length);
    std::vector<uint8_t> bytes(length);
    for (auto& byte : bytes) byte = static_cast<uint8_t>(random_());
    if (at + length > copy_.size()) {
        copy_.resize(at + length);
        if (mapped) require(::ftruncate(file_, static_cast<off_t>(copy_.size())) == 0, "ftruncate");
    }
    std::copy(bytes.begin(), bytes.end(), copy_.begin() + static_cast<long>(at));
    if (!mapped) {
        require(::pwrite(file_, bytes.data(), length, static_cast<off_t>(at)) ==
                    static_cast<ssize_t>(length),
                "pwrite");
        return;
    }
    const size_t from = at / k_page * k_page;
    const size_t size = at - from + length;
    void* map =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_, static_cast<off_t>(from));
    require(map != MAP_FAILED, "mmap");
    std::memcpy(static_cast<uint8_t*>(map) + (at - from), bytes.data(), length);
    if (below(2) == 0) require(::msync(map, size, MS_SYNC) == 0, "msync");
    require(::munmap(map, size) == 0, "munmap");
}

void FileChecker::read_range(size_t at, size_t length, bool mapped) {
    length = std::min(length, copy_.size() - at);
    if (length == 0) return;
    note(mapped ? "mapped read" : "read", at, length);
    if (mapped) {
        const size_t from = at / k_page * k_page;
        const size_t size = at - from + length;
        void* map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file_, static_cast<off_t>(from));
        require(map != MAP_FAILED, "mmap");
        compare(static_cast<uint8_t*>(map) + (at - from), at, length);
        require(::munmap(map, size) == 0, "munmap");
        return;
    }
    std::vector<uint8_t> found(length);
    require(::pread(file_, found.data(), length, static_cast<off_t>(at)) ==
                static_cast<ssize_t>(length),
            "pread");
    compare(found.data(), at, length);
}

// What the disk itself says, not the cache.
void FileChecker::read_past_cache() {
    note("read past the cache", 0, copy_.size());
    require(::fsync(file_) == 0, "fsync");
    int direct = ::open(path_, O_RDONLY | O_DIRECT | O_CLOEXEC);
    require(direct >= 0, "open O_DIRECT");
    alignas(k_page) static uint8_t s_found[k_bytes_most + k_length_most];
    size_t at = 0;
    while (at < copy_.size()) {
        const ssize_t got =
            ::pread(direct, s_found + at, sizeof s_found - at, static_cast<off_t>(at));
        require(got > 0, "pread O_DIRECT");
        at += static_cast<size_t>(got);
    }
    compare(s_found, 0, copy_.size());
    ::close(direct);
}

void FileChecker::resize(size_t bytes) {
    note("truncate", bytes, 0);
    require(::ftruncate(file_, static_cast<off_t>(bytes)) == 0, "ftruncate");
    copy_.resize(bytes);
}

void FileChecker::make_zero(size_t at, size_t length, int mode) {
    length = std::min(length, copy_.size() - at);
    if (length == 0) return;
    note("zero", at, length);
    if (::fallocate(file_, mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at),
                    static_cast<off_t>(length)) != 0) {
        require(errno == EOPNOTSUPP, "fallocate");
        return;
    }
    std::fill_n(copy_.begin() + static_cast<long>(at), length, 0);
}

void FileChecker::step() {
    ++steps_;
    const size_t at = below(k_bytes_most - k_length_most);
    const size_t inside = below(copy_.size());
    const size_t length = 1 + below(k_length_most);
    switch (below(16)) {
        case 0:
        case 1:
        case 2:
            return write_range(at, length, false);
        case 3:
        case 4:
            return write_range(at, length, true);
        case 5:
        case 6:
        case 7:
            return read_range(inside, length, false);
        case 8:
        case 9:
            return read_range(inside, length, true);
        case 10:
            return resize(below(k_bytes_most));
        case 11:
            return make_zero(inside, length, FALLOC_FL_PUNCH_HOLE);
        case 12:
            return make_zero(inside, length, FALLOC_FL_ZERO_RANGE);
        case 13:
            return read_past_cache();
        case 14:
            require(::fdatasync(file_) == 0, "fdatasync");
            ::posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED);
            return;
        default:
            return open_anew();
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    FileChecker checker(argv[1], std::strtoull(argv[2], nullptr, 10));
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[3]));
    while (std::chrono::steady_clock::now() < end) checker.step();
    checker.compare_all();
    std::printf("checker: %lu steps, every byte right\n", checker.steps());
    return 0;
}
