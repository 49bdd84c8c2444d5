// SPDX-License-Identifier: GPL-2.0-or-later
// What all connections of a session look at, and the session's control thread: the options, the
// command window, the tasks, and a few atomic words by which they know of each other.
#pragma once

#include "abi/engine.h"
#include "engine/command_window.hpp"
#include "engine/own_mistake.hpp"
#include "engine/task.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

namespace hawser {

// A trial of the target's order, which two connections make together: order_trial.cpp.
enum class TrialStep : uint8_t {
    None,
    Held,     // a CmdSN was taken and is kept back; the other connection is to overtake it
    Arrived,  // it has, at the target
    Sent,     // the lower number is on its way
    Over,
};

// What all connections of a session look at. Options never change; tasks are owned one by one.
struct SessionShared {
    hawser_options options{};
    CommandWindow window;
    std::span<Task> tasks;
    // CIDs, as bits, whose tasks wait until the target has removed the connection (7.2.2). A bit is
    // set by the connection's thread as it closes, before its tasks come back; the control thread
    // clears it.
    std::atomic<uint32_t> recovering{0};
    // connection_stall.cpp: when each connection last heard from the target, and when one of them
    // last asked the others for a sign of life.
    struct alignas(64) Heard {
        std::atomic<uint64_t> ms{0};
    };
    std::array<Heard, HAWSER_CONNECTIONS_MAX> heard;
    std::atomic<uint64_t> suspected_ms{0};
    std::atomic<uint32_t> own_mistakes{0};  // own_mistake.hpp
    std::atomic<uint32_t> own_mistake{0};   // the last one
    // order_trial.cpp
    std::atomic<TrialStep> trial_step{TrialStep::None};
    std::atomic<uint32_t> trial_number{0};  // the CmdSN that is kept back
    std::atomic<uint32_t> trial_other{0};   // the connection that overtakes it
};

inline void note_own_mistake(SessionShared& shared, OwnMistake which) {
    shared.own_mistake.store(static_cast<uint32_t>(which), std::memory_order_relaxed);
    shared.own_mistakes.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace hawser
