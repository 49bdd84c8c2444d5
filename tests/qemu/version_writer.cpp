// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-version-writer DEVICE ROUNDS SEED: four threads write numbered versions to overlapping
// extents of the first 32 KiB, past the cache, and note when each write was issued and when it was
// acknowledged. After each round, and before the next one, all is read back. A sector may hold a
// write only if no other write of it was issued after that one was acknowledged; and once read in
// quiet, it may not change until it is written again. The last line is what the disk must hold now.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace {

constexpr size_t k_sector_bytes = 512;
constexpr size_t k_sector_words = k_sector_bytes / sizeof(uint64_t);
constexpr unsigned k_sectors = 64;
constexpr unsigned k_sectors_least = 8;  // of one write
constexpr unsigned k_sectors_most = 40;
constexpr unsigned k_threads = 4;
constexpr unsigned k_writes = 3;  // of a thread in a round, one after the other
constexpr unsigned k_violations_told = 20;
constexpr unsigned k_settle_s = 5;  // longer than any write is held by a slow backend

struct Write {
    uint64_t version = 0;
    uint64_t issued = 0;  // both by one clock that ticks at each event
    uint64_t acknowledged = 0;
    unsigned first = 0;
    unsigned count = 0;
    bool covers(unsigned sector) const { return sector >= first && sector - first < count; }
};

// Of a sector, where the words of a version are: a piece of another sector is not taken for it.
uint64_t word_of(uint64_t version, unsigned sector, size_t index) {
    return index == 0 ? version : version * 0x9e3779b97f4a7c15 + (sector << 8) + index;
}

struct Buffer {
    alignas(4096) std::array<uint64_t, k_sectors * k_sector_words> words;
    void fill(const Write& write) {
        for (unsigned s = 0; s < write.count; s++)
            for (size_t i = 0; i < k_sector_words; i++)
                words[s * k_sector_words + i] = word_of(write.version, write.first + s, i);
    }
    bool is_whole(unsigned sector) const {
        const uint64_t* from = &words[sector * k_sector_words];
        for (size_t i = 1; i < k_sector_words; i++)
            if (from[i] != word_of(from[0], sector, i)) return false;
        return true;
    }
};

struct Checker {
    int file;
    std::atomic<uint64_t> clock{0};
    std::atomic<uint64_t> versions{0};
    std::atomic<uint64_t> errors{0};
    std::atomic<uint64_t> acknowledged{0};
    uint64_t violations = 0;
    std::array<std::vector<Write>, k_sectors> allowed{};  // that a sector may hold
    std::array<uint64_t, k_sectors> held{};

    void put(Write& write) {
        static thread_local Buffer s_buffer;
        write.version = ++versions;
        s_buffer.fill(write);
        const size_t bytes = write.count * k_sector_bytes;
        const off_t at = static_cast<off_t>(write.first * k_sector_bytes);
        write.issued = clock++;
        if (::pwrite(file, s_buffer.words.data(), bytes, at) != static_cast<ssize_t>(bytes))
            errors++;
        else
            acknowledged++;
        write.acknowledged = clock++;
    }

    std::vector<Write> play(uint64_t seed, unsigned round) {
        std::vector<Write> writes(k_threads * k_writes);
        std::mt19937_64 random(seed << 20 | round);
        for (Write& write : writes) {
            write.count = k_sectors_least + random() % (k_sectors_most - k_sectors_least + 1);
            write.first = random() % (k_sectors - write.count + 1);
        }
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < k_threads; t++)
            threads.emplace_back([&, t] {
                for (unsigned i = 0; i < k_writes; i++) put(writes[t * k_writes + i]);
            });
        for (std::thread& thread : threads) thread.join();
        return writes;
    }

    void allow(const std::vector<Write>& writes) {
        for (unsigned sector = 0; sector < k_sectors; sector++) {
            std::vector<Write> those;
            for (const Write& write : writes)
                if (write.covers(sector)) those.push_back(write);
            if (those.empty()) continue;
            uint64_t last_issued = 0;
            for (const Write& write : those) last_issued = std::max(last_issued, write.issued);
            // Older than one that was issued after its acknowledgement: it may not be there.
            std::erase_if(those,
                          [&](const Write& write) { return write.acknowledged < last_issued; });
            allowed[sector] = those;
        }
    }

    void compare(unsigned round, const char* when) {
        static Buffer s_buffer;
        if (::pread(file, s_buffer.words.data(), sizeof(s_buffer.words), 0) !=
            static_cast<ssize_t>(sizeof(s_buffer.words)))
            errors++;
        for (unsigned sector = 0; sector < k_sectors; sector++) {
            const uint64_t version = s_buffer.words[sector * k_sector_words];
            held[sector] = version;
            if (allowed[sector].empty()) continue;
            bool right = false;
            for (const Write& write : allowed[sector]) right |= write.version == version;
            if (right && s_buffer.is_whole(sector)) {
                std::erase_if(allowed[sector],
                              [&](const Write& write) { return write.version != version; });
                continue;
            }
            if (++violations > k_violations_told) continue;
            std::printf("versions: VIOLATION round %u %s sector %u holds %llu%s, not %llu\n", round,
                        when, sector, static_cast<unsigned long long>(version),
                        s_buffer.is_whole(sector) ? "" : " in part",
                        static_cast<unsigned long long>(allowed[sector].back().version));
        }
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const unsigned rounds = static_cast<unsigned>(std::atoi(argv[2]));
    const uint64_t seed = std::strtoull(argv[3], nullptr, 10);
    Checker checker{.file = ::open(argv[1], O_RDWR | O_DIRECT)};
    if (checker.file < 0) return 2;
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    for (unsigned round = 1; round <= rounds; round++) {
        checker.compare(round, "before");
        checker.allow(checker.play(seed, round));
        checker.compare(round, "after");
        if (round % 50 == 0)
            std::printf("versions: round %u, violations %llu\n", round,
                        static_cast<unsigned long long>(checker.violations));
    }
    ::sleep(k_settle_s);
    checker.compare(rounds, "at the end");
    std::printf("versions: rounds %u writes %llu acknowledged %llu errors %llu violations %llu\n",
                rounds, static_cast<unsigned long long>(checker.versions.load()),
                static_cast<unsigned long long>(checker.acknowledged.load()),
                static_cast<unsigned long long>(checker.errors.load()),
                static_cast<unsigned long long>(checker.violations));
    std::printf("versions: table");
    for (uint64_t version : checker.held)
        std::printf(" %llu", static_cast<unsigned long long>(version));
    std::printf("\n");
    return checker.violations == 0 && checker.errors == 0 ? 0 : 1;
}
