// SPDX-License-Identifier: GPL-2.0-or-later
// The bytes of a session as a pcap: what a host sent and received, put into TCP segments as if they
// had been seen on the wire. So tshark judges a test that had no right to capture packets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

namespace hawser::test {

class WireTap {
public:
    explicit WireTap(uint16_t target_port);

    // A new TCP connection takes the place of an older one of this index.
    void open(uint32_t index);
    void sent(uint32_t index, std::span<const uint8_t> bytes);
    void received(uint32_t index, std::span<const uint8_t> bytes);

    void save(const std::filesystem::path& path) const;

private:
    struct Stream {
        uint16_t port = 0;
        uint32_t sent = 1;  // sequence numbers
        uint32_t received = 1;
    };
    void segment(Stream& stream, bool from_target, std::span<const uint8_t> bytes);

    uint16_t m_target_port;
    uint16_t m_next_port = 40000;
    uint32_t m_packets = 0;
    std::map<uint32_t, Stream> m_streams;
    std::string m_pcap;
};

}  // namespace hawser::test
