// SPDX-License-Identifier: GPL-2.0-or-later
//
// Blocks, their versions, and what a reader has to see.

#include "workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "target.h"

namespace hawser::sim {

namespace {

// Block and version, then bytes that follow from both; version 0 is a disk of zeroes.
void fill(uint32_t block, uint64_t version, uint8_t* bytes) {
    if (version == 0) {
        std::memset(bytes, 0, k_block_bytes);
        return;
    }
    Random random(version << 20 | block);
    uint64_t words[k_block_bytes / 8];
    for (uint64_t& word : words) word = random.next();
    words[0] = block;
    words[1] = version;
    std::memcpy(bytes, words, sizeof(words));
}

}  // namespace

Workload::Workload(World& world, const Scenario& scenario)
    : m_world(world),
      m_long_writes(scenario.path_bytes_per_ms != 0),
      m_blocks(scenario.blocks),
      m_poisons(scenario.poisons) {}

void Workload::lock(const Operation& operation, bool in_use) {
    for (uint32_t i = operation.first; i < operation.first + operation.count; i++) {
        if (operation.kind == Operation::Kind::Write) m_blocks[i].writer = in_use;
        if (operation.kind == Operation::Kind::Read) m_blocks[i].readers += in_use ? 1u : -1u;
    }
}

std::unique_ptr<Operation> Workload::next() {
    Random& random = m_world.random;
    auto operation = std::make_unique<Operation>();
    operation->started_us = m_world.now_us();
    if (random.chance(3)) {
        operation->kind = Operation::Kind::Synchronize;
        return operation;
    }
    if (m_poisons && !m_poisoned && random.next() % 1000 == 0) {
        operation->kind = Operation::Kind::Poison;
        m_poisoned = true;
        return operation;
    }
    const bool write = random.chance(60);
    operation->kind = write ? Operation::Kind::Write : Operation::Kind::Read;
    const uint32_t all = static_cast<uint32_t>(m_blocks.size());
    const uint32_t most = random.chance(80) ? 4 : std::min(all / 2, 32u);
    operation->count = static_cast<uint32_t>(random.between(1, most));
    if (m_long_writes && write) operation->count = static_cast<uint32_t>(random.between(64, 192));
    operation->first = static_cast<uint32_t>(random.between(0, all - operation->count));
    for (uint32_t i = operation->first; i < operation->first + operation->count; i++) {
        if (m_blocks[i].writer || (write && m_blocks[i].readers != 0)) return nullptr;
    }
    operation->buffer.assign(size_t{operation->count} * k_block_bytes, 0xee);
    if (write) {
        operation->version = ++m_last_version;
        for (uint32_t i = 0; i < operation->count; i++)
            fill(operation->first + i, operation->version,
                 operation->buffer.data() + size_t{i} * k_block_bytes);
    }
    lock(*operation, true);
    return operation;
}

std::unique_ptr<Operation> Workload::next_of_final_check() {
    if (m_checked == m_blocks.size()) return nullptr;
    auto operation = std::make_unique<Operation>();
    operation->started_us = m_world.now_us();
    operation->first = m_checked;
    operation->count = std::min<uint32_t>(m_long_writes ? 192 : 16,
                                          static_cast<uint32_t>(m_blocks.size()) - m_checked);
    m_checked += operation->count;
    operation->buffer.assign(size_t{operation->count} * k_block_bytes, 0xee);
    lock(*operation, true);
    return operation;
}

void Workload::check_block(uint32_t block, const uint8_t* bytes, const char* rule) {
    uint8_t expected[k_block_bytes];
    fill(block, m_blocks[block].version, expected);
    if (std::memcmp(expected, bytes, k_block_bytes) == 0) return;
    uint64_t words[2];
    std::memcpy(words, bytes, sizeof(words));
    m_world.violate(
        fmt::format("{}: block {} should have version {}, and holds block {} version {}", rule,
                    block, m_blocks[block].version, words[0], words[1]));
}

void Workload::give_up(const Operation& operation) {
    m_world.require(operation.kind == Operation::Kind::Poison,
                    "no command fails that a target can carry out");
    m_poisoned = false;
    m_world.counts["poisoned commands that got their error"]++;
}

void Workload::succeed(const Operation& operation) {
    m_world.require(operation.kind != Operation::Kind::Poison, "what is rejected is not done");
    lock(operation, false);
    m_acknowledged++;
    for (uint32_t i = 0; i < operation.count; i++) {
        const uint32_t block = operation.first + i;
        const uint8_t* bytes = operation.buffer.data() + size_t{i} * k_block_bytes;
        if (operation.kind == Operation::Kind::Write) m_blocks[block].version = operation.version;
        if (operation.kind == Operation::Kind::Read)
            check_block(block, bytes, "a read sees what was acknowledged last");
    }
}

// What was acknowledged is never carried out once more, nor comes down over what is newer.
void Workload::check_write(uint32_t block, const uint8_t* bytes, bool lands) {
    uint64_t words[2];
    std::memcpy(words, bytes, sizeof(words));
    const uint64_t acknowledged = m_blocks.at(block).version;
    if (words[0] != block)
        m_world.violate(
            fmt::format("a write holds its data: block {} gets that of {}", block, words[0]));
    if (lands ? words[1] >= acknowledged : words[1] > acknowledged) return;
    m_world.violate(fmt::format("{}: block {} version {}, acknowledged was {}",
                                lands ? "no old write lands after a newer one"
                                      : "no write is carried out after it was acknowledged",
                                block, words[1], acknowledged));
}

void Workload::check_disk(const Bytes& disk) {
    for (uint32_t block = 0; block < m_blocks.size(); block++)
        check_block(block, disk.data() + size_t{block} * k_block_bytes,
                    "no acknowledged write is lost");
}

}  // namespace hawser::sim
