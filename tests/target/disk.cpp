// SPDX-License-Identifier: GPL-2.0-or-later
//
// SBC and SPC, as far as a disk needs them.

#include "disk.h"

#include <algorithm>

namespace hawser::target {

namespace {

uint64_t number_at(std::span<const uint8_t> bytes, size_t offset, size_t length) {
    uint64_t number = 0;
    for (size_t i = 0; i < length; i++) number = number << 8 | bytes[offset + i];
    return number;
}

void put(Bytes& bytes, size_t offset, uint64_t number, size_t length) {
    for (size_t i = 0; i < length; i++)
        bytes[offset + i] = static_cast<uint8_t>(number >> (8 * (length - 1 - i)));
}

Outcome give(Bytes data, uint64_t allocation) {
    if (data.size() > allocation) data.resize(allocation);
    return {0, std::move(data), {}};
}

constexpr uint8_t k_variable_length = 0x7f;  // a CDB of 32 bytes
constexpr uint8_t k_xd_write_read = 0x53;    // writes, and gives what was there XOR what is

struct Range {
    uint64_t first = 0;
    uint64_t count = 0;
};

Range range_of(std::span<const uint8_t> cdb) {
    if (cdb[0] == k_variable_length) return {number_at(cdb, 12, 8), number_at(cdb, 28, 4)};
    switch (cdb[0] >> 5) {
        case 0:  // 6 bytes: a length of 0 means 256
            return {number_at(cdb, 1, 3) & 0x1fffff, cdb[4] == 0 ? 256u : cdb[4]};
        case 4:
            return {number_at(cdb, 2, 8), number_at(cdb, 10, 4)};
        case 5:
            return {number_at(cdb, 2, 4), number_at(cdb, 6, 4)};
        default:
            return {number_at(cdb, 2, 4), number_at(cdb, 7, 2)};
    }
}

// READ(32) and WRITE(32) have their service action in bytes 8 and 9.
bool is_read(std::span<const uint8_t> cdb) {
    if (cdb[0] == k_variable_length) return number_at(cdb, 8, 2) == 0x0009;
    return cdb[0] == 0x08 || cdb[0] == 0x28 || cdb[0] == 0xa8 || cdb[0] == 0x88;
}

bool is_write(std::span<const uint8_t> cdb) {
    if (cdb[0] == k_variable_length) return number_at(cdb, 8, 2) == 0x000b;
    return cdb[0] == 0x0a || cdb[0] == 0x2a || cdb[0] == 0xaa || cdb[0] == 0x8a;
}

constexpr uint8_t k_illegal_request = 0x05;

}  // namespace

Outcome check_condition(uint8_t key, uint8_t code, uint8_t qualifier) {
    Bytes sense(18);
    sense[0] = 0x70;
    sense[2] = key;
    sense[7] = 10;
    sense[12] = code;
    sense[13] = qualifier;
    return {0x02, {}, sense};
}

Outcome report_luns(std::span<const uint8_t> cdb, uint32_t luns) {
    Bytes data(8 + 8 * size_t{luns});
    put(data, 0, 8 * luns, 4);
    for (uint32_t lun = 0; lun < luns; lun++) data[8 + 8 * lun + 1] = static_cast<uint8_t>(lun);
    return give(data, number_at(cdb, 6, 4));
}

Outcome absent_unit(std::span<const uint8_t> cdb) {
    if (cdb[0] != 0x12) return check_condition(k_illegal_request, 0x25, 0);
    Bytes data(36);
    data[0] = 0x7f;  // no unit there
    data[2] = 6;
    data[4] = 31;
    return give(data, number_at(cdb, 3, 2));
}

uint64_t Disk::data_wanted(std::span<const uint8_t> cdb) const {
    if (is_write(cdb) || cdb[0] == k_xd_write_read) return range_of(cdb).count * k_block_bytes;
    if (cdb[0] == 0x41 || cdb[0] == 0x93) return k_block_bytes;
    if (cdb[0] == 0x42) return number_at(cdb, 7, 2);
    return 0;
}

Outcome Disk::inquiry(std::span<const uint8_t> cdb) const {
    const uint64_t allocation = number_at(cdb, 3, 2);
    if ((cdb[1] & 1) == 0) {
        if (cdb[2] != 0) return check_condition(k_illegal_request, 0x24, 0);
        Bytes data(36, ' ');
        std::fill_n(data.begin(), 8, uint8_t{0});
        data[2] = 6;
        data[3] = 2;
        data[4] = 31;
        data[7] = 2;  // CmdQue
        const std::string names = "HAWSER  SCRIPTED TARGET 0001";
        std::copy(names.begin(), names.end(), data.begin() + 8);
        return give(data, allocation);
    }
    Bytes data(4);
    data[1] = cdb[2];
    if (cdb[2] == 0x00) {
        data.insert(data.end(), {0x00, 0x80, 0x83, 0xb0, 0xb1});
    } else if (cdb[2] == 0x80) {
        data.insert(data.end(), m_serial.begin(), m_serial.end());
    } else if (cdb[2] == 0x83) {
        const std::string name = "HAWSER  " + m_serial;  // T10 vendor identification
        data.insert(data.end(), {0x02, 0x01, 0x00, static_cast<uint8_t>(name.size())});
        data.insert(data.end(), name.begin(), name.end());
    } else if (cdb[2] == 0xb0 || cdb[2] == 0xb1) {
        data.resize(64);  // no limits, no medium that turns
        if (cdb[2] == 0xb1) data[5] = 1;
    } else {
        return check_condition(k_illegal_request, 0x24, 0);
    }
    put(data, 2, data.size() - 4, 2);
    return give(data, allocation);
}

Outcome Disk::read_capacity(bool sixteen, uint32_t allocation) const {
    const uint64_t last = blocks() - 1;
    Bytes data(sixteen ? 32 : 8);
    if (sixteen) {
        put(data, 0, last, 8);
        put(data, 8, k_block_bytes, 4);
        return give(data, allocation);
    }
    put(data, 0, std::min<uint64_t>(last, UINT32_MAX), 4);
    put(data, 4, k_block_bytes, 4);
    return give(data, 8);
}

Outcome Disk::mode_sense(std::span<const uint8_t> cdb) const {
    const bool ten = cdb[0] == 0x5a;
    const uint8_t page = cdb[2] & 0x3f;
    Bytes data(ten ? 8 : 4);
    if (page == 0x08 || page == 0x3f) {
        Bytes caching(20);
        caching[0] = 0x08;
        caching[1] = 18;
        caching[2] = 0x04;  // WCE
        data.insert(data.end(), caching.begin(), caching.end());
    }
    if (page == 0x0a || page == 0x3f) {
        Bytes control(12);
        control[0] = 0x0a;
        control[1] = 10;
        data.insert(data.end(), control.begin(), control.end());
    }
    if (page != 0x08 && page != 0x3f && page != 0x0a && page != 0x1c) {
        return check_condition(k_illegal_request, 0x24, 0);
    }
    if (ten)
        put(data, 0, data.size() - 2, 2);
    else
        data[0] = static_cast<uint8_t>(data.size() - 1);
    return give(data, ten ? number_at(cdb, 7, 2) : cdb[4]);
}

Outcome Disk::transfer(std::span<const uint8_t> cdb, const Bytes& data, bool write) {
    const Range range = range_of(cdb);
    if (range.first > blocks() || range.count > blocks() - range.first)
        return check_condition(k_illegal_request, 0x21, 0);
    const auto at = m_memory.subspan(range.first * k_block_bytes, range.count * k_block_bytes);
    if (!write) return {0, Bytes(at.begin(), at.end()), {}};
    std::copy_n(data.begin(), std::min(data.size(), at.size()), at.begin());
    return {};
}

Outcome Disk::exchange(std::span<const uint8_t> cdb, const Bytes& data) {
    Outcome before = transfer(cdb, {}, false);
    if (before.status != 0) return before;
    transfer(cdb, data, true);
    for (size_t i = 0; i < std::min(before.data.size(), data.size()); i++)
        before.data[i] ^= data[i];
    return before;
}

Outcome Disk::write_same(std::span<const uint8_t> cdb, const Bytes& data) {
    const Range range = range_of(cdb);
    if (range.first > blocks() || range.count > blocks() - range.first)
        return check_condition(k_illegal_request, 0x21, 0);
    if (data.size() < k_block_bytes) return check_condition(k_illegal_request, 0x24, 0);
    for (uint64_t i = 0; i < range.count; i++)
        std::copy_n(data.begin(), k_block_bytes,
                    m_memory.begin() + static_cast<long>((range.first + i) * k_block_bytes));
    return {};
}

Outcome Disk::execute(std::span<const uint8_t> cdb, const Bytes& data) {
    if (is_read(cdb)) return transfer(cdb, {}, false);
    if (is_write(cdb)) return transfer(cdb, data, true);
    if (cdb[0] == k_xd_write_read) return exchange(cdb, data);
    switch (cdb[0]) {
        case 0x00:  // TEST UNIT READY
        case 0x1b:  // START STOP UNIT
        case 0x1e:  // PREVENT ALLOW MEDIUM REMOVAL
        case 0x2f:  // VERIFY
        case 0x35:  // SYNCHRONIZE CACHE
        case 0x91:
        case 0x42:  // UNMAP
            return {};
        case 0x03: {  // REQUEST SENSE
            Bytes sense = check_condition(0, 0, 0).sense;
            return give(sense, cdb[4]);
        }
        case 0x12:
            return inquiry(cdb);
        case 0x1a:
        case 0x5a:
            return mode_sense(cdb);
        case 0x25:
            return read_capacity(false, 8);
        case 0x41:
        case 0x93:
            return write_same(cdb, data);
        case 0x9e:
            if ((cdb[1] & 0x1f) == 0x10)
                return read_capacity(true, static_cast<uint32_t>(number_at(cdb, 10, 4)));
            break;
        default:
            break;
    }
    return check_condition(k_illegal_request, 0x20, 0);
}

}  // namespace hawser::target
