// SPDX-License-Identifier: GPL-2.0-or-later
//
// Preloaded into tgtd: each pwrite64 of its backend waits first, most a few milliseconds, one in
// eight up to HAWSER_SLOW_WRITE_MS. What a thread has begun goes on when the connection has gone:
// so an old write lands late. HAWSER_SLOW_WRITE_SEED says which ones. With HAWSER_SLOW_WRITE_BYTES
// it is only the first one that is so long, and it takes the whole time.

#include <dlfcn.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr uint64_t k_usual_ms = 8;

uint64_t setting(const char* name) {
    const char* words = std::getenv(name);
    return words != nullptr ? std::strtoull(words, nullptr, 10) : 1;
}

uint64_t mix(uint64_t value) {
    value += 0x9e3779b97f4a7c15;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

uint64_t next_delay_ms(size_t count) {
    static const uint64_t k_bytes = setting("HAWSER_SLOW_WRITE_BYTES");
    static std::atomic<bool> s_first{true};
    if (k_bytes > 1)
        return count == k_bytes && s_first.exchange(false) ? setting("HAWSER_SLOW_WRITE_MS") : 0;
    static std::atomic<uint64_t> s_count{0};
    static const uint64_t k_seed = setting("HAWSER_SLOW_WRITE_SEED");
    static const uint64_t k_most_ms = setting("HAWSER_SLOW_WRITE_MS");
    const uint64_t chance = mix(k_seed << 32 ^ s_count++);
    return 1 + (chance >> 8) % (chance % 8 == 0 ? k_most_ms : k_usual_ms);
}

}  // namespace

extern "C" ssize_t pwrite64(int file, const void* bytes, size_t count, off64_t offset) {
    using Write = ssize_t (*)(int, const void*, size_t, off64_t);
    static const Write k_write = reinterpret_cast<Write>(::dlsym(RTLD_NEXT, "pwrite64"));
    const uint64_t delay_ms = next_delay_ms(count);
    const timespec delay{static_cast<time_t>(delay_ms / 1000),
                         static_cast<long>(delay_ms % 1000 * 1000000)};
    ::nanosleep(&delay, nullptr);
    return k_write(file, bytes, count, offset);
}
