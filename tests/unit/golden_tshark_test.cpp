// SPDX-License-Identifier: GPL-2.0-or-later
//
// The golden PDUs as tshark reads them: each becomes a TCP segment to or from port 3260 in a pcap,
// and every field that its file names must have the value that its file gives.

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <sstream>

#include "golden.h"

using namespace hawser;

namespace {

void put16(std::string& out, uint32_t value) {
    out += {static_cast<char>(value >> 8), static_cast<char>(value)};
}
void put32(std::string& out, uint32_t value) {
    put16(out, value >> 16);
    put16(out, value);
}
void put32_host(std::string& out, uint32_t value) {
    out.append(reinterpret_cast<const char*>(&value), 4);
}

// IPv4 and TCP without checksums, which tshark does not check unless told to.
std::string packet(const golden::Pdu& pdu, uint16_t stream) {
    std::string out;
    uint32_t initiator = 0x0a000001, target = 0x0a000002;
    put32(out, 0x45000000 | static_cast<uint32_t>(40 + pdu.bytes.size()));
    put32(out, 0);
    put32(out, 0x40060000);
    put32(out, pdu.from_target ? target : initiator);
    put32(out, pdu.from_target ? initiator : target);
    uint16_t port = static_cast<uint16_t>(40000 + stream);
    put16(out, pdu.from_target ? 3260 : port);
    put16(out, pdu.from_target ? port : 3260);
    put32(out, 1);           // sequence
    put32(out, 1);           // acknowledgement
    put32(out, 0x50187fff);  // header of 5 words, PSH ACK, window
    put32(out, 0);
    out.append(pdu.bytes.begin(), pdu.bytes.end());
    return out;
}

void write_pcap(const std::filesystem::path& path, const std::vector<golden::Pdu>& pdus) {
    std::string out;
    for (uint32_t word : {0xa1b2c3d4u, 0x00040002u, 0u, 0u, 65535u, 101u}) put32_host(out, word);
    for (size_t i = 0; i < pdus.size(); i++) {
        std::string bytes = packet(pdus[i], static_cast<uint16_t>(i));
        for (size_t word : {i + 1, size_t{0}, bytes.size(), bytes.size()})
            put32_host(out, static_cast<uint32_t>(word));
        out += bytes;
    }
    std::ofstream(path, std::ios::binary) << out;
}

std::string output_of(const std::string& command) {
    std::string output;
    std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    REQUIRE(pipe);
    char buffer[4096];
    for (size_t length; (length = fread(buffer, 1, sizeof(buffer), pipe.get())) > 0;)
        output.append(buffer, length);
    return output;
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts(1);
    for (char c : text) {
        if (c == separator)
            parts.emplace_back();
        else
            parts.back() += c;
    }
    return parts;
}

std::optional<unsigned long long> number(const std::string& text) {
    char* end = nullptr;
    unsigned long long value = std::strtoull(text.c_str(), &end, 0);
    if (text.empty() || *end) return {};
    return value;
}

// Numbers are equal as numbers (tshark prints some in hex), all else as text.
bool same(const std::string& seen, const std::string& expected) {
    if (seen == expected) return true;
    auto a = number(seen), b = number(expected);
    return a && b && *a == *b && seen.size() < 20;
}

}  // namespace

TEST_CASE("tshark reads in the golden PDUs what their annotations say", "[RFC 7143 11]") {
    if (std::system("command -v tshark >/dev/null 2>&1") != 0) {
        WARN("SKIPPED: tshark is not installed");
        return;
    }
    std::vector<golden::Pdu> pdus = golden::read_all();
    REQUIRE(pdus.size() >= 18);
    std::set<std::string> fields;
    for (const auto& pdu : pdus)
        for (const auto& [field, value] : pdu.tshark) fields.insert(field);

    char directory[] = "/tmp/hawser-golden-XXXXXX";
    REQUIRE(mkdtemp(directory));
    std::filesystem::path pcap = std::filesystem::path(directory) / "golden.pcap";
    write_pcap(pcap, pdus);
    std::string command = "tshark -n -r " + pcap.string() +
                          " -o tcp.desegment_tcp_streams:FALSE -T fields -E separator='|'";
    for (const auto& field : fields) command += " -e " + field;
    std::vector<std::string> lines = split(output_of(command + " 2>/dev/null"), '\n');
    std::filesystem::remove_all(directory);

    REQUIRE(lines.size() == pdus.size() + 1);
    for (size_t i = 0; i < pdus.size(); i++) {
        std::vector<std::string> values = split(lines[i], '|');
        REQUIRE(values.size() == fields.size());
        CHECK(pdus[i].tshark.size() >= 4);
        for (const auto& [field, expected] : pdus[i].tshark) {
            std::string seen =
                values[static_cast<size_t>(std::distance(fields.begin(), fields.find(field)))];
            INFO(pdus[i].name << ": " << field << ": tshark reads '" << seen << "', expected '"
                              << expected << "'");
            CHECK(same(seen, expected));
        }
    }
}
