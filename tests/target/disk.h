// SPDX-License-Identifier: GPL-2.0-or-later
//
// The SCSI side of the target: one logical unit over a piece of memory, with the commands that an
// operating system asks a disk at its first sight, and those that move data.

#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "pdu.h"

namespace hawser::target {

inline constexpr uint32_t k_block_bytes = 512;

// What a command came to.
struct Outcome {
    uint8_t status = 0;
    Bytes data;   // for the initiator
    Bytes sense;  // with CHECK CONDITION
};

class Disk {
public:
    // The memory outlives the disk. serial: what the unit calls itself in INQUIRY.
    Disk(std::span<uint8_t> memory, std::string serial) : m_memory(memory), m_serial(serial) {
        resize(UINT64_MAX);
    }

    // cdb: 32 bytes at least, zeros beyond its end. How many bytes it wants from the initiator; 0
    // for all that are no writes.
    uint64_t data_wanted(std::span<const uint8_t> cdb) const;
    // data: what the initiator sent, all of data_wanted or less.
    Outcome execute(std::span<const uint8_t> cdb, const Bytes& data);
    uint64_t blocks() const { return m_blocks; }
    // Smaller, or as large again as its memory.
    void resize(uint64_t blocks) {
        m_blocks = std::min<uint64_t>(blocks, m_memory.size() / k_block_bytes);
    }

private:
    Outcome inquiry(std::span<const uint8_t> cdb) const;
    Outcome read_capacity(bool sixteen, uint32_t allocation) const;
    Outcome mode_sense(std::span<const uint8_t> cdb) const;
    Outcome transfer(std::span<const uint8_t> cdb, const Bytes& data, bool write);
    Outcome exchange(std::span<const uint8_t> cdb, const Bytes& data);
    Outcome write_same(std::span<const uint8_t> cdb, const Bytes& data);

    std::span<uint8_t> m_memory;
    uint64_t m_blocks = 0;
    std::string m_serial;
};

// CHECK CONDITION with fixed format sense data.
Outcome check_condition(uint8_t key, uint8_t code, uint8_t qualifier);
// REPORT LUNS of these, and what answers at a LUN that is not there.
Outcome report_luns(std::span<const uint8_t> cdb, uint32_t luns);
Outcome absent_unit(std::span<const uint8_t> cdb);

}  // namespace hawser::target
