// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a file system would do: reads and writes of blocks that say which block and which version
// they are. No two commands of which one writes touch the same block at once, so after a write is
// acknowledged its version is the only right answer.

#pragma once

#include <memory>

#include "scenario.h"
#include "world.h"

namespace hawser::sim {

struct Operation {
    // Poison: a command that the target never takes. Inquire: the host's own, who the disk is.
    enum class Kind { Read, Write, Synchronize, Poison, Inquire };
    Kind kind = Kind::Read;
    uint32_t first = 0;
    uint32_t count = 0;
    uint64_t version = 0;
    Bytes buffer;  // the command's data, of exactly its length
    uint64_t started_us = 0;
    uint32_t attempts = 0;
    bool parked = false;        // it came back, and keeps its tag until it is done
    uint32_t home = 0;          // the connection that has it, or had it last
    bool doomed = false;        // a function that may end it was asked for
    uint32_t id = 0;            // in its CDB, where nobody looks, for the target to tell
    uint32_t accused = 0;       // how often it cost its connection by itself
    uint64_t forgotten_us = 0;  // when the target did so
};

class Workload {
public:
    Workload(World& world, const Scenario& scenario);

    // The next operation, or nothing when all blocks that were thought of are in use.
    std::unique_ptr<Operation> next();
    // Reads everything, one after the other: the last word.
    std::unique_ptr<Operation> next_of_final_check();

    // A poison got its error.
    void give_up(const Operation& operation);
    // GOOD. Checks what was read, and takes note of what was written.
    void succeed(const Operation& operation);
    // A target begins to carry out a write, or its block lands.
    void check_write(uint32_t block, const uint8_t* bytes, bool lands);
    // The disk itself, once nothing is under way any more.
    void check_disk(const Bytes& disk);

    uint64_t acknowledged() const { return m_acknowledged; }

private:
    void lock(const Operation& operation, bool in_use);
    void check_block(uint32_t block, const uint8_t* bytes, const char* rule);

    World& m_world;
    const bool m_long_writes;
    struct Block {
        uint64_t version = 0;  // that was acknowledged
        uint32_t readers = 0;
        bool writer = false;
    };
    std::vector<Block> m_blocks;
    bool m_poisons;
    bool m_poisoned = false;  // one is under way
    uint64_t m_last_version = 0;
    uint64_t m_acknowledged = 0;
    uint32_t m_checked = 0;
};

}  // namespace hawser::sim
