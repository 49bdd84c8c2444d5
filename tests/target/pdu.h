// SPDX-License-Identifier: GPL-2.0-or-later
//
// A whole PDU in memory, made of the engine's own wire structs, and the two ways between it and a
// stream of bytes. Used by the target, the judge and the proxy alike.
//
// Theory. Digests (RFC 7143 13.1) begin for both directions after the last Login Response; who
// reads tells the reader when. A damaged header digest means that no length can be trusted: the
// stream is lost. A damaged data digest costs only its PDU, which comes out marked.

#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wire/bhs.hpp"

namespace hawser::target {

using Bytes = std::vector<uint8_t>;

struct Digests {
    bool header = false;
    bool data = false;
};

// An additional header segment, RFC 7143 11.2.2.
struct Ahs {
    static constexpr uint8_t k_extended_cdb = 1;
    static constexpr uint8_t k_read_length = 2;  // of a bidirectional command
    uint8_t type = 0;
    Bytes content;  // without the length, the type and the reserved byte
};

struct Pdu {
    Bytes header = Bytes(wire::k_bhs_bytes);
    Bytes ahs;
    Bytes data;
    bool hang = false;          // a script's word to the target: take it, but do not begin
    bool data_damaged = false;  // as received: the data digest does not match

    template <typename T>
    const T& as() const {
        static_assert(sizeof(T) == wire::k_bhs_bytes);
        return *reinterpret_cast<const T*>(header.data());
    }
    template <typename T>
    T& as() {
        static_assert(sizeof(T) == wire::k_bhs_bytes);
        return *reinterpret_cast<T*>(header.data());
    }
    wire::Opcode kind() const { return as<wire::Bhs>().kind(); }
    uint32_t itt() const { return as<wire::Bhs>().initiator_task_tag.get(); }
    bool immediate() const { return header[0] & wire::k_immediate; }
    bool final() const { return header[1] & wire::k_final; }
    uint32_t word(size_t offset) const {
        return uint32_t{header[offset]} << 24 | uint32_t{header[offset + 1]} << 16 |
               uint32_t{header[offset + 2]} << 8 | header[offset + 3];
    }
    std::string text() const { return {data.begin(), data.end()}; }
    std::vector<Ahs> additional() const;
};

template <typename T>
Pdu make_pdu(const T& header, Bytes data = {}) {
    Pdu pdu;
    std::memcpy(pdu.header.data(), &header, sizeof(header));
    pdu.data = std::move(data);
    pdu.as<wire::Bhs>().data_segment_length = static_cast<uint32_t>(pdu.data.size());
    return pdu;
}

// What spoils a PDU on its way, after its digests were made.
struct Damage {
    bool header = false;
    bool data = false;
};

// The bytes of a PDU: padded, with the digests asked for. The lengths in the header are sent as
// they stand, so that a script may lie about them.
Bytes encode(const Pdu& pdu, Digests digests, Damage damage = {});

class PduReader {
public:
    void take(std::span<const uint8_t> bytes) {
        m_bytes.insert(m_bytes.end(), bytes.begin(), bytes.end());
    }
    std::optional<Pdu> next();

    Digests digests;
    uint32_t data_max = 1 << 24;  // a longer data segment breaks the stream
    bool header_damaged() const { return m_header_damaged; }
    bool too_long() const { return m_too_long; }
    bool broken() const { return m_header_damaged || m_too_long; }
    // What was not made a PDU of; it is gone from here then.
    Bytes rest() { return std::move(m_bytes); }

private:
    std::vector<uint8_t> m_bytes;
    bool m_header_damaged = false;
    bool m_too_long = false;
};

// key=value pairs of a text segment, in order; what has no '=' comes as a key without a value.
using Pairs = std::vector<std::pair<std::string, std::string>>;
Pairs read_text(const Bytes& data);
Bytes write_text(const Pairs& pairs);
const std::string* find_value(const Pairs& pairs, const std::string& key);

bool is_from_initiator(wire::Opcode opcode);
// Serial number arithmetic, RFC 1982.
inline bool precedes(uint32_t a, uint32_t b) {
    return static_cast<int32_t>(b - a) > 0;
}

}  // namespace hawser::target
