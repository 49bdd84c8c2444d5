// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-memory-eater MIB SECONDS: takes more memory than the machine has, and sees to it that
// every page comes back from swap as it went. A page holds a word that follows from its place and
// from how often it was written; pages are read, compared and written anew in an order without
// locality, for so long; at the end each page is compared once more. The exit status is 1 when a
// byte was wrong.

#include <sys/mman.h>
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr size_t k_page_words = 4096 / sizeof(uint64_t);

double seconds_now() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

uint64_t mix(uint64_t value) {
    value ^= value >> 31;
    value *= 0x9e3779b97f4a7c15;
    return value ^ value >> 29;
}

struct Eater {
    uint64_t* memory;
    size_t pages;
    std::vector<uint8_t> writings = std::vector<uint8_t>(pages);
    uint64_t compared = 0;
    uint64_t wrong = 0;

    uint64_t word(size_t page) const { return mix(page + 1 + (uint64_t{writings[page]} << 40)); }
    void write(size_t page) {
        writings[page]++;
        const uint64_t first = word(page);
        for (size_t i = 0; i < k_page_words; i++) memory[page * k_page_words + i] = first + i;
    }
    void compare(size_t page) {
        const uint64_t first = word(page);
        bool right = true;
        for (size_t i = 0; i < k_page_words; i++)
            right &= memory[page * k_page_words + i] == first + i;
        compared++;
        wrong += !right;
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const size_t bytes = static_cast<size_t>(std::atoi(argv[1])) << 20;
    const double wanted_s = std::atof(argv[2]);
    void* memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 2;
    Eater eater{static_cast<uint64_t*>(memory), bytes / 4096};
    const double start_s = seconds_now();
    for (size_t page = 0; page < eater.pages; page++) eater.write(page);
    std::printf("eater: %zu pages are written after %.0f s\n", eater.pages,
                seconds_now() - start_s);
    std::fflush(stdout);
    const double filled_s = seconds_now();
    // Runs of pages, so that swap's own read-ahead is of some use; their starts have no order.
    for (uint64_t turn = 1; seconds_now() - filled_s < wanted_s; turn++) {
        const size_t run = mix(turn) % (eater.pages / 16);
        for (size_t page = run * 16; page < run * 16 + 16; page++) {
            eater.compare(page);
            eater.write(page);
        }
    }
    const uint64_t meanwhile = eater.compared;
    for (size_t page = 0; page < eater.pages; page++) eater.compare(page);
    std::printf("eater: pages compared %llu and %zu, wrong %llu, after %.0f s\n",
                static_cast<unsigned long long>(meanwhile), eater.pages,
                static_cast<unsigned long long>(eater.wrong), seconds_now() - start_s);
    return eater.wrong == 0 ? 0 : 1;
}
