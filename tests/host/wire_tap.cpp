// SPDX-License-Identifier: GPL-2.0-or-later
// A session as a pcap: see wire_tap.hpp.
#include "wire_tap.hpp"

#include <algorithm>
#include <fstream>

namespace hawser::test {

namespace {

constexpr size_t k_segment_bytes = 32768;

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

}  // namespace

WireTap::WireTap(uint16_t target_port) : m_target_port(target_port) {
    // The header of a pcap of raw IP packets.
    for (uint32_t word : {0xa1b2c3d4u, 0x00040002u, 0u, 0u, 65535u, 101u}) put32_host(m_pcap, word);
}

void WireTap::open(uint32_t index) {
    m_streams[index] = {.port = m_next_port++};
}

void WireTap::sent(uint32_t index, std::span<const uint8_t> bytes) {
    segment(m_streams[index], false, bytes);
}
void WireTap::received(uint32_t index, std::span<const uint8_t> bytes) {
    segment(m_streams[index], true, bytes);
}

// IPv4 and TCP without checksums, which tshark does not check unless told to.
void WireTap::segment(Stream& stream, bool from_target, std::span<const uint8_t> bytes) {
    constexpr uint32_t k_initiator = 0x0a000001, k_target = 0x0a000002;
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min(bytes.size(), k_segment_bytes));
        bytes = bytes.subspan(piece.size());
        uint32_t& sequence = from_target ? stream.received : stream.sent;
        std::string packet;
        put32(packet, 0x45000000 | static_cast<uint32_t>(40 + piece.size()));
        put32(packet, 0);
        put32(packet, 0x40060000);
        put32(packet, from_target ? k_target : k_initiator);
        put32(packet, from_target ? k_initiator : k_target);
        put16(packet, from_target ? m_target_port : stream.port);
        put16(packet, from_target ? stream.port : m_target_port);
        put32(packet, sequence);
        put32(packet, from_target ? stream.sent : stream.received);
        put32(packet, 0x50187fff);  // header of 5 words, PSH ACK, window
        put32(packet, 0);
        packet.append(piece.begin(), piece.end());
        sequence += static_cast<uint32_t>(piece.size());
        // A microsecond a packet keeps their order.
        const uint32_t size = static_cast<uint32_t>(packet.size());
        for (uint32_t word : {1 + m_packets / 1000000, m_packets % 1000000, size, size})
            put32_host(m_pcap, word);
        m_packets++;
        m_pcap += packet;
    }
}

void WireTap::save(const std::filesystem::path& path) const {
    std::ofstream(path, std::ios::binary) << m_pcap;
}

}  // namespace hawser::test
