// SPDX-License-Identifier: GPL-2.0-or-later
//
// The fault proxy's two ways.

#include "proxy.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace hawser::target {

using wire::Opcode;

uint32_t Proxy::open(uint64_t now_ms) {
    m_now_ms = now_ms;
    m_pairs[m_next];
    return m_next++;
}

void Proxy::handle_received(uint32_t id, Side side, const Bytes& bytes, uint64_t now_ms) {
    m_now_ms = now_ms;
    Pair& pair = m_pairs[id];
    Way& way = way_of(pair, side);
    if (pair.resetting) return;
    if (way.raw) return push(id, side, bytes);
    way.reader.take(bytes);
    while (auto pdu = way.reader.next()) {
        pdus++;
        if (on_pdu) on_pdu(id, side, *pdu);
        if (side == Side::ToTarget && order && order->refuses(id, *pdu)) {
            way_of(pair, Side::ToInitiator).out.clear();
            pair.closing = true;
            return;
        }
        Pdu changed = *pdu;
        // What was damaged before us goes on damaged.
        if (!script.handle(id, side, changed, now_ms))
            pass(id, side, changed, Damage{false, pdu->data_damaged}, 0);
        if (pair.resetting) return;
    }
    if (!way.reader.broken()) return;
    way.raw = true;
    push(id, side, way.reader.rest());
}

// What passes tells the digests and the numbers that are due.
void Proxy::note(Pair& pair, Side side, const Pdu& pdu) {
    const Opcode kind = pdu.kind();
    if (kind == Opcode::LoginRequest || kind == Opcode::LoginResponse) {
        for (const auto& [key, value] : read_text(pdu.data)) {
            if (key != "HeaderDigest" && key != "DataDigest") continue;
            const bool answer = pair.proposed.count(key) != 0;
            if (answer) pair.keys.store(key, value, false);
            pair.proposed[key] = value;
        }
    }
    if (side == Side::ToTarget) return;
    const auto& numbering = pdu.as<wire::TargetNumbering>();
    const bool bare = kind == Opcode::DataIn && (pdu.header[1] & wire::DataIn::k_status) == 0;
    const bool ping = kind == Opcode::NopIn && pdu.itt() == wire::k_reserved_tag;
    if (!bare) pair.stat_sn = numbering.stat_sn.get() + (kind == Opcode::R2t || ping ? 0 : 1);
    pair.exp_cmd_sn = numbering.exp_cmd_sn.get();
    pair.max_cmd_sn = numbering.max_cmd_sn.get();
    if (kind != Opcode::LoginResponse || !pdu.final() || (pdu.header[1] & 3) != 3 ||
        pdu.as<wire::LoginResponse>().status_class != 0)
        return;
    pair.digests = {pair.keys.header_digest, pair.keys.data_digest};
    for (Way& way : pair.ways) way.reader.digests = pair.digests;
}

void Proxy::pass(uint32_t id, Side side, const Pdu& pdu, Damage damage, uint32_t piece) {
    const auto found = m_pairs.find(id);
    if (found == m_pairs.end()) return;
    Bytes bytes = encode(pdu, found->second.digests, damage);
    note(found->second, side, pdu);
    while (piece != 0 && bytes.size() > piece) {
        push(id, side, Bytes(bytes.begin(), bytes.begin() + piece));
        bytes.erase(bytes.begin(), bytes.begin() + piece);
    }
    push(id, side, std::move(bytes));
}

void Proxy::pass_bytes(uint32_t id, Side side, const Bytes& bytes) {
    push(id, side, bytes);
}

void Proxy::push(uint32_t id, Side side, Bytes bytes) {
    Pair& pair = m_pairs[id];
    Way& way = way_of(pair, side);
    if (pair.closing || pair.resetting) return;
    const size_t length = bytes.size();
    script.handle_bytes(id, side, bytes, way.passed, m_now_ms);
    way.passed += length;
    if (!bytes.empty()) way.out.push_back(std::move(bytes));
}

Bytes Proxy::take_output(uint32_t id, Side side) {
    const auto found = m_pairs.find(id);
    if (found == m_pairs.end()) return {};
    Pair& pair = found->second;
    Way& way = way_of(pair, side);
    if (way.out.empty() || pair.resetting || pair.silent_until_ms > m_now_ms) return {};
    Bytes bytes = std::move(way.out.front());
    way.out.pop_front();
    if (way.trickle_bytes == 0) return bytes;
    if (way.next_ms > m_now_ms) {
        way.out.push_front(std::move(bytes));
        return {};
    }
    way.next_ms = m_now_ms + way.trickle_ms;
    if (bytes.size() > way.trickle_bytes) {
        way.out.emplace_front(bytes.begin() + way.trickle_bytes, bytes.end());
        bytes.resize(way.trickle_bytes);
    }
    return bytes;
}

void Proxy::inject(uint32_t id, Pdu pdu, bool, const Words& given) {
    const Pair& pair = m_pairs[id];
    const auto has = [&](const std::string& name) {
        return std::any_of(given.begin(), given.end(), [&](const std::string& word) {
            return word.substr(0, name.size() + 1) == name + "=";
        });
    };
    const bool ours = is_from_initiator(pdu.kind());
    auto& numbering = pdu.as<wire::TargetNumbering>();
    if (!ours && !has("stat_sn")) numbering.stat_sn = pair.stat_sn;
    if (!ours && !has("exp_cmd_sn")) numbering.exp_cmd_sn = pair.exp_cmd_sn;
    if (!ours && !has("max_cmd_sn")) numbering.max_cmd_sn = pair.max_cmd_sn;
    push(id, ours ? Side::ToTarget : Side::ToInitiator, encode(pdu, pair.digests));
}

void Proxy::close(uint32_t id, bool reset) {
    const auto found = m_pairs.find(id);
    if (found == m_pairs.end()) return;
    (reset ? found->second.resetting : found->second.closing) = true;
}

void Proxy::silence(uint32_t id, uint64_t until_ms) {
    m_pairs[id].silent_until_ms = until_ms;
}

bool Proxy::trickle(uint32_t id, Side side, uint32_t bytes, uint64_t ms) {
    Way& way = way_of(m_pairs[id], side);
    way.trickle_bytes = bytes;
    way.trickle_ms = ms;
    return true;
}

Digests Proxy::digests_of(uint32_t id) const {
    const auto found = m_pairs.find(id);
    return found == m_pairs.end() ? Digests{} : found->second.digests;
}

void Proxy::handle_closed(uint32_t id, uint64_t now_ms) {
    m_now_ms = now_ms;
    const auto found = m_pairs.find(id);
    if (found != m_pairs.end()) found->second.closing = true;
}

bool Proxy::is_empty(const Pair& pair) const {
    return pair.ways[0].out.empty() && pair.ways[1].out.empty();
}

// While it is silent nothing is seen of an end either.
bool Proxy::wants_close(uint32_t id) const {
    const auto found = m_pairs.find(id);
    if (found == m_pairs.end()) return true;
    const Pair& pair = found->second;
    return pair.resetting || (pair.closing && is_empty(pair) && pair.silent_until_ms <= m_now_ms);
}

bool Proxy::wants_reset(uint32_t id) const {
    const auto found = m_pairs.find(id);
    return found != m_pairs.end() && found->second.resetting;
}

uint64_t Proxy::poll_timeout() const {
    uint64_t due_ms = script.poll_timeout();
    for (const auto& [id, pair] : m_pairs) {
        if (pair.silent_until_ms > m_now_ms) due_ms = std::min(due_ms, pair.silent_until_ms);
        for (const Way& way : pair.ways)
            if (way.trickle_bytes != 0 && !way.out.empty()) due_ms = std::min(due_ms, way.next_ms);
    }
    return due_ms;
}

void Proxy::handle_timeout(uint64_t now_ms) {
    m_now_ms = now_ms;
    script.handle_timeout(now_ms);
}

std::vector<std::string> random_script(uint32_t seed, uint32_t faults, uint32_t pdus) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t limit) { return static_cast<uint32_t>(random()) % limit; };
    std::vector<std::string> lines;
    for (uint32_t i = 0; i < faults; i++) {
        const char* side = below(2) != 0 ? "target" : "initiator";
        if (below(4) == 0) {
            const char* actions[] = {"mutate", "inject 3", "drop 1", "reset", "silence 3000"};
            lines.push_back(
                fmt::format("byte {} toward {} do {}", below(pdus * 200), side, actions[below(5)]));
            continue;
        }
        const char* actions[] = {"drop",    "delay 700",      "duplicate",     "reorder",
                                 "split 3", "corrupt header", "corrupt data",  "close",
                                 "reset",   "silence 4000",   "trickle 100 1", "truncate 20"};
        lines.push_back(fmt::format("on any toward {} number {} do {}", side, 1 + below(pdus),
                                    actions[below(12)]));
    }
    return lines;
}

}  // namespace hawser::target
