// SPDX-License-Identifier: GPL-2.0-or-later
//
// Runs in the machine, without a library and without privileges: writes to a disk with O_DIRECT
// while another thread changes the very buffer that is being written, as any user may.
//
//   hawser-scribbler DISK SECONDS

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

constexpr size_t k_bytes = 256 << 10;
constexpr int k_writers = 4;

std::atomic<bool> g_over{false};

void scribble(uint64_t* words) {
    for (uint64_t turn = 1; !g_over; turn++) {
        for (size_t i = 0; i < k_bytes / 8; i += 61) words[i] += turn;
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const int disk = ::open(argv[1], O_WRONLY | O_DIRECT);
    if (disk < 0) {
        std::perror(argv[1]);
        return 1;
    }
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[2]));
    auto* words = static_cast<uint64_t*>(std::aligned_alloc(4096, k_bytes));
    for (size_t i = 0; i < k_bytes / 8; i++) words[i] = i;
    std::thread scribbler(scribble, words);
    std::atomic<int> written{0};
    std::atomic<bool> failed{false};
    std::vector<std::thread> writers;
    for (int i = 0; i < k_writers; i++) {
        writers.emplace_back([&, i] {
            while (std::chrono::steady_clock::now() < end && !failed) {
                if (::pwrite(disk, words, k_bytes, i * static_cast<off_t>(k_bytes)) !=
                    static_cast<ssize_t>(k_bytes)) {
                    std::perror("pwrite");
                    failed = true;
                }
                written++;
            }
        });
    }
    for (std::thread& writer : writers) writer.join();
    g_over = true;
    scribbler.join();
    std::printf("scribbler: uid %u wrote %d times\n", ::getuid(), written.load());
    return failed ? 1 : 0;
}
