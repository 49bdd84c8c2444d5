// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a kernel's log says that fails a run: lines of real ones.

#include "serial_log.h"

#include <catch2/catch.hpp>

using namespace hawser::qemu;

namespace {

std::vector<std::string> complaints(const std::vector<std::string>& texts) {
    std::vector<Line> lines;
    for (const auto& text : texts) lines.push_back({text, {}});
    return kernel_complaints(lines);
}

// As on Linux 6.1; the stacks are cut short.
std::vector<std::string> race(const std::string& title, const std::string& first,
                              const std::string& top, const std::string& other_top) {
    return {"[  1.0] BUG: KCSAN: data-race in " + title,
            "[  1.0] ",
            "[  1.0] " + first + " to 0xffff888003480e64 of 4 bytes by task 52 on cpu 0:",
            "[  1.0]  " + top,
            "[  1.0]  kthread+0x144/0x170",
            "[  1.0] ",
            "[  1.0] write to 0xffff888003480e64 of 4 bytes by interrupt on cpu 1:",
            "[  1.0]  " + other_top,
            "[  1.0] ",
            "[  1.0] Reported by Kernel Concurrency Sanitizer on:"};
}

}  // namespace

TEST_CASE("A kernel that is well says nothing that counts") {
    CHECK(complaints({"[  0.1] Linux version 6.1", "[  0.2] kcsan: enabled early"}).empty());
    CHECK(complaints({"[  9.1] BUG: unable to handle page fault"}).size() == 1);
}

TEST_CASE("A data race counts when the module has a part in it that it did not mark") {
    const std::string ours = "park_add+0x40/0x170 [hawser]";
    CHECK(complaints(race("virtqueue_disable_cb / vring_interrupt", "read",
                          "virtqueue_disable_cb+0xba/0x120", "vring_interrupt+0x94/0xf0"))
              .empty());
    CHECK(
        complaints(race("park_add [hawser] / tcp_ack", "read (marked)", ours, "tcp_ack+0x13/0x24"))
            .empty());
    CHECK(
        complaints(race("park_add [hawser] / tcp_ack", "read", ours, "tcp_ack+0x13/0x24")).size() ==
        1);
    CHECK(complaints(race("park_add [hawser] / park_take [hawser]", "read (marked)", ours,
                          "park_take+0x13/0x24 [hawser]"))
              .size() == 1);
    CHECK(
        complaints(race("send [hawser] / kthread_is_per_cpu", "read", ours, "x+0x1/0x2")).empty());
}
