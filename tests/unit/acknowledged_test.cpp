// SPDX-License-Identifier: GPL-2.0-or-later
//
// initiator/kernel/acknowledged.h: a position that is kept for later has no horizon, as TCP's
// sequence numbers have.
#include "kernel/acknowledged.h"

#include <catch2/catch.hpp>

namespace {

// What the driver knows of a socket: its own count, and TCP's two numbers.
struct Stream {
    uint64_t sent = 0;
    uint32_t write_seq;
    uint32_t snd_una;

    explicit Stream(uint32_t initial) : write_seq(initial), snd_una(initial) {}
    void send(uint32_t length) {
        sent += length;
        write_seq += length;
    }
    void acknowledge(uint32_t length) { snd_una += length; }
    uint64_t acknowledged() const { return glue_acknowledged(sent, write_seq, snd_una); }
};

// The kernel's before(): which of two sequence numbers of now comes first.
bool before(uint32_t one, uint32_t other) {
    return static_cast<int32_t>(one - other) < 0;
}

}  // namespace

TEST_CASE("a write is unacknowledged until all its bytes are, wherever the numbers begin") {
    for (const uint32_t initial : {0u, 1u, 0x7fffff00u, 0x80000000u, 0xfffff000u}) {
        Stream stream(initial);
        stream.send(8192);
        const uint64_t end = stream.sent;
        CHECK(stream.acknowledged() < end);
        stream.acknowledge(8191);
        CHECK(stream.acknowledged() < end);
        stream.acknowledge(1);
        CHECK(stream.acknowledged() == end);
    }
}

TEST_CASE("a write whose status comes after gigabytes of other data is not held again") {
    Stream stream(0xdeadbeef);
    stream.send(4096);
    const uint64_t end = stream.sent;
    const uint32_t end_seq = stream.write_seq;
    stream.acknowledge(4096);
    bool numbers_were_wrong = false;
    for (unsigned megabytes = 0; megabytes < 10240; megabytes++) {
        CHECK(stream.acknowledged() >= end);
        numbers_were_wrong |= before(stream.snd_una, end_seq);
        stream.send(1 << 20);
        CHECK(stream.acknowledged() >= end);
        stream.acknowledge(1 << 20);
    }
    CHECK(numbers_were_wrong);  // what this is here for
}

TEST_CASE("a FIN of ours, which has a number of its own, errs on the safe side") {
    Stream stream(100);
    stream.send(10);
    stream.write_seq++;
    stream.acknowledge(10);
    CHECK(stream.acknowledged() < stream.sent);
    stream.acknowledge(1);
    CHECK(stream.acknowledged() == stream.sent);
}
