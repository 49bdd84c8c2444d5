// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-durable-writer write FOLDER: files of which the newest version is always whole: written
// beside, synced, renamed, and the folder synced; then said, "durable SLOT VERSION". It goes on
// until the machine loses its power. hawser-durable-writer check FOLDER SLOT:VERSION...: each slot
// must hold that version, which was said, or a later one, and whole.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr unsigned k_slots = 16;
constexpr size_t k_words = 3000;  // of a file: not a multiple of a block

using Content = std::array<uint64_t, k_words>;

Content content_of(unsigned slot, uint64_t version) {
    Content content;
    content[0] = version;
    for (size_t i = 1; i < k_words; ++i)
        content[i] = (version * k_slots + slot) * 0x9e3779b97f4a7c15 + i;
    return content;
}

std::string name_of(const std::string& folder, unsigned slot) {
    return folder + "/slot" + std::to_string(slot);
}

bool put(const std::string& folder, int folder_file, unsigned slot, uint64_t version) {
    const auto name = name_of(folder, slot);
    const auto beside = name + ".new";
    const auto content = content_of(slot, version);
    const int file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const bool good = file >= 0 &&
                      ::write(file, content.data(), sizeof content) == sizeof content &&
                      ::fsync(file) == 0 && ::close(file) == 0 &&
                      ::rename(beside.c_str(), name.c_str()) == 0 && ::fsync(folder_file) == 0;
    if (good) std::printf("durable %u %llu\n", slot, static_cast<unsigned long long>(version));
    std::fflush(stdout);
    return good;
}

int write_on(const std::string& folder) {
    const int folder_file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t version = 1;
    while (folder_file >= 0 && put(folder, folder_file, version % k_slots, version)) ++version;
    std::perror("durable: FAILED");
    return 1;
}

bool check(const std::string& folder, unsigned slot, uint64_t said) {
    Content found{};
    const int file = ::open(name_of(folder, slot).c_str(), O_RDONLY | O_CLOEXEC);
    const bool whole = file >= 0 && ::read(file, found.data(), sizeof found) == sizeof found &&
                       found == content_of(slot, found[0]);
    if (file >= 0) ::close(file);
    if (whole && found[0] >= said) return true;
    std::printf("durable: slot %u: said %llu, found %llu, %s\n", slot,
                static_cast<unsigned long long>(said), static_cast<unsigned long long>(found[0]),
                whole ? "whole" : "not whole");
    return false;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::strcmp(argv[1], "write") == 0) return write_on(argv[2]);
    if (argc < 4 || std::strcmp(argv[1], "check") != 0) return 2;
    bool good = true;
    for (int i = 3; i < argc; ++i) {
        char* version = nullptr;
        const auto slot = static_cast<unsigned>(std::strtoul(argv[i], &version, 10));
        good = check(argv[2], slot, std::strtoull(version + 1, nullptr, 10)) && good;
    }
    std::printf("durable: %d slots checked, %s\n", argc - 3, good ? "all right" : "NOT RIGHT");
    return good ? 0 : 1;
}
