// SPDX-License-Identifier: GPL-2.0-or-later
//
// PDUs to bytes and back.

#include "pdu.h"

#include "wire/crc32c.hpp"

namespace hawser::target {

namespace {

constexpr size_t k_digest_bytes = 4;

void append_digest(Bytes& out, std::span<const uint8_t> covered) {
    const uint32_t crc = wire::crc32c(covered);
    for (int i = 0; i < 4; i++) out.push_back(static_cast<uint8_t>(crc >> (8 * i)));
}

bool digest_matches(std::span<const uint8_t> covered, const uint8_t* digest) {
    const uint32_t crc = wire::crc32c(covered);
    for (int i = 0; i < 4; i++)
        if (digest[i] != static_cast<uint8_t>(crc >> (8 * i))) return false;
    return true;
}

}  // namespace

// One that claims to be longer than there are bytes ends the list; its type is then 0.
std::vector<Ahs> Pdu::additional() const {
    std::vector<Ahs> all;
    for (size_t at = 0; at < ahs.size();) {
        const size_t length = ahs.size() - at < 4 ? 0 : size_t{ahs[at]} << 8 | ahs[at + 1];
        const size_t end = at + 3 + length;
        if (length == 0 || end > ahs.size()) {
            all.emplace_back();
            break;
        }
        const auto from = ahs.begin() + static_cast<long>(at) + 4;
        all.push_back({ahs[at + 2], Bytes(from, ahs.begin() + static_cast<long>(end))});
        at = end + wire::padding_of(static_cast<uint32_t>(end - at));
    }
    return all;
}

Bytes encode(const Pdu& pdu, Digests digests, Damage damage) {
    Bytes out = pdu.header;
    out.insert(out.end(), pdu.ahs.begin(), pdu.ahs.end());
    if (digests.header) append_digest(out, out);
    // The task's tag: whoever looks at a damaged header sees that it is none of his.
    if (damage.header) out[19] ^= 0x40;
    const size_t begin = out.size();
    out.insert(out.end(), pdu.data.begin(), pdu.data.end());
    out.resize(out.size() + wire::padding_of(static_cast<uint32_t>(pdu.data.size())));
    if (digests.data && !pdu.data.empty())
        append_digest(out, Bytes(out.begin() + static_cast<long>(begin), out.end()));
    if (damage.data && !pdu.data.empty()) out[begin] ^= 0x01;
    return out;
}

std::optional<Pdu> PduReader::next() {
    if (broken() || m_bytes.size() < wire::k_bhs_bytes) return {};
    const auto& header = *reinterpret_cast<const wire::Bhs*>(m_bytes.data());
    const size_t ahs = header.total_ahs_length * size_t{4};
    const size_t data = header.data_segment_length.get();
    const size_t head = wire::k_bhs_bytes + ahs;
    const size_t head_digest = digests.header ? k_digest_bytes : 0;
    if (m_bytes.size() < head + head_digest) return {};
    const std::span<const uint8_t> bytes(m_bytes);
    if (digests.header && !digest_matches(bytes.first(head), &m_bytes[head])) {
        m_header_damaged = true;
        return {};
    }
    if (data > data_max) {
        m_too_long = true;
        return {};
    }
    const size_t begin = head + head_digest;
    const size_t padded = data + wire::padding_of(static_cast<uint32_t>(data));
    const size_t data_digest = digests.data && data != 0 ? k_digest_bytes : 0;
    const size_t whole = begin + padded + data_digest;
    if (m_bytes.size() < whole) return {};
    Pdu pdu;
    const auto at = [&](size_t offset) { return m_bytes.begin() + static_cast<long>(offset); };
    pdu.header.assign(at(0), at(wire::k_bhs_bytes));
    pdu.ahs.assign(at(wire::k_bhs_bytes), at(head));
    pdu.data.assign(at(begin), at(begin + data));
    if (data_digest != 0)
        pdu.data_damaged = !digest_matches(bytes.subspan(begin, padded), &m_bytes[begin + padded]);
    m_bytes.erase(at(0), at(whole));
    return pdu;
}

Pairs read_text(const Bytes& data) {
    Pairs pairs;
    std::string text(data.begin(), data.end());
    for (size_t at = 0; at < text.size();) {
        size_t end = text.find('\0', at);
        if (end == text.npos) end = text.size();
        const std::string pair = text.substr(at, end - at);
        at = end + 1;
        if (pair.empty()) continue;
        const size_t equals = pair.find('=');
        if (equals == pair.npos)
            pairs.emplace_back(pair, "");
        else
            pairs.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
    }
    return pairs;
}

Bytes write_text(const Pairs& pairs) {
    Bytes data;
    for (const auto& [key, value] : pairs) {
        const std::string pair = key + "=" + value;
        data.insert(data.end(), pair.begin(), pair.end());
        data.push_back(0);
    }
    return data;
}

const std::string* find_value(const Pairs& pairs, const std::string& key) {
    for (const auto& [name, value] : pairs)
        if (name == key) return &value;
    return nullptr;
}

bool is_from_initiator(wire::Opcode opcode) {
    return static_cast<uint8_t>(opcode) < 0x20;
}

}  // namespace hawser::target
