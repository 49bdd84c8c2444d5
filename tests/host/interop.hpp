// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests against real targets share: a target with a disk of its own, commands, data.
#pragma once

#include "posix_host.hpp"
#include "target.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <numeric>

namespace hawser::test {

namespace fs = std::filesystem;

inline constexpr size_t k_image_bytes = 64 << 20;
inline constexpr size_t k_block = 512;

using MakeTarget = std::unique_ptr<qemu::Target> (*)(const qemu::TargetOptions&);

// A directory, an image and a target of its own.
struct Fixture {
    fs::path directory = fs::temp_directory_path() / fmt::format("hawser-interop-{}", ::getpid());
    fs::path image = directory / "disk.img";
    std::unique_ptr<qemu::Target> target;

    explicit Fixture(unsigned max_connections = 8, MakeTarget make = qemu::make_tgt,
                     const qemu::TargetChap& chap = {}, bool digests = true,
                     unsigned error_recovery_level = 0) {
        fs::create_directories(directory);
        std::ofstream(image).close();
        fs::resize_file(image, k_image_bytes);
        target = make({.directory = directory,
                       .image = image,
                       .max_connections = max_connections,
                       .chap = chap,
                       .digests = digests,
                       .error_recovery_level = error_recovery_level});
    }
    ~Fixture() {
        target.reset();
        if (std::getenv("HAWSER_KEEP") == nullptr) fs::remove_all(directory);
    }

    std::string line(unsigned connections, const std::string& more = "") const {
        return fmt::format(
            "target={} initiator=iqn.2026-11.hawser:test portal=127.0.0.1:{} "
            "connections={} {}",
            target->name(), target->port(), connections, more);
    }
};

inline std::vector<uint8_t> cdb10(uint8_t opcode, uint32_t block, size_t blocks) {
    return {opcode,         0, uint8_t(block >> 24), uint8_t(block >> 16), uint8_t(block >> 8),
            uint8_t(block), 0, uint8_t(blocks >> 8), uint8_t(blocks),      0};
}

inline Request write10(uint32_t block, std::span<uint8_t> data, uint64_t lun = 1) {
    return {cdb10(0x2a, block, data.size() / k_block), HAWSER_DATA_WRITE, data, lun, {}};
}
inline Request read10(uint32_t block, std::span<uint8_t> data, uint64_t lun = 1) {
    return {cdb10(0x28, block, data.size() / k_block), HAWSER_DATA_READ, data, lun, {}};
}

inline std::vector<uint8_t> pattern(size_t bytes, uint32_t seed) {
    std::vector<uint8_t> data(bytes);
    uint32_t state = seed * 2654435761u + 1;
    for (uint8_t& byte : data) {
        state = state * 1664525u + 1013904223u;
        byte = uint8_t(state >> 24);
    }
    return data;
}

// After a login the first commands get UNIT ATTENTION; sd retries them, and so does this.
inline bool execute(PosixHost& host, Request& request, int index = -1) {
    for (int tries = 0; tries < 3; tries++) {
        if (!host.execute(request, 20, index)) return false;
        if (request.result.response == 0 && request.result.status == 0) return true;
    }
    return false;
}

inline void check_round_trips(PosixHost& host, uint64_t lun = 1) {
    for (size_t bytes : {k_block, size_t{8192}, size_t{65536}, size_t{65536 + 512},
                         size_t{262144 + 4096}, size_t{1 << 20}}) {
        for (uint32_t index = 0; index < host.connection_count(); index++) {
            std::vector<uint8_t> out = pattern(bytes, index + 1);
            std::vector<uint8_t> in(bytes);
            Request write = write10(index * 4096, out, lun);
            Request read = read10(index * 4096, in, lun);
            const bool wrote = execute(host, write, int(index));
            INFO(bytes << " bytes on connection " << index << ": last error "
                       << hawser_error_words(host.snapshot().last_error) << ", status "
                       << int(write.result.status));
            REQUIRE(wrote);
            REQUIRE(execute(host, read, int(index)));
            REQUIRE(out == in);
        }
    }
}

}  // namespace hawser::test
