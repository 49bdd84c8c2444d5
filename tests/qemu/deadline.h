// SPDX-License-Identifier: GPL-2.0-or-later
//
// A point in time by which something must have happened. Every wait in this harness is a wait for
// an event, with one of these as its bound; nothing sleeps.
//
// HAWSER_PATIENCE stretches all of them: a debug kernel does the same work at a fraction of the
// speed.

#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace hawser::qemu {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

inline double patience() {
    const char* factor = std::getenv("HAWSER_PATIENCE");
    return factor != nullptr ? std::max(1.0, std::atof(factor)) : 1.0;
}

class Deadline {
public:
    explicit Deadline(Seconds from_now)
        : at_(Clock::now() + std::chrono::duration_cast<Clock::duration>(from_now * patience())) {}

    bool passed() const { return Clock::now() >= at_; }
    Clock::time_point at() const { return at_; }

    // For poll(2): rounded up, so that a wait never wakes just before its end and spins.
    int poll_timeout_ms() const {
        auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now());
        return static_cast<int>(std::max<long>(0, left.count()));
    }

private:
    Clock::time_point at_;
};

}  // namespace hawser::qemu
