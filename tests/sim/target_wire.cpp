// SPDX-License-Identifier: GPL-2.0-or-later
//
// The model target's PDUs on the wire: framing, digests, and what gets lost.

#include <fmt/format.h>

#include <algorithm>

#include "abi/engine.h"
#include "target.h"

namespace hawser::sim {

namespace {

// RFC 7143 13.1: its bytes go out with the least significant one first.
void append_digest(Bytes& bytes, size_t begin) {
    const uint32_t crc =
        hawser_crc32c(0, bytes.data() + begin, static_cast<uint32_t>(bytes.size() - begin));
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<uint8_t>(crc >> shift));
}

bool digest_matches(const uint8_t* bytes, size_t length) {
    const uint32_t crc = hawser_crc32c(0, bytes, static_cast<uint32_t>(length));
    const uint8_t* at = bytes + length;
    return crc ==
           (uint32_t{at[0]} | uint32_t{at[1]} << 8 | uint32_t{at[2]} << 16 | uint32_t{at[3]} << 24);
}

// Which PDUs take a number of their own, 4.2.2.2.
bool takes_stat_sn(const Pdu& pdu) {
    switch (pdu.kind()) {
        case wire::Opcode::DataIn:
            return pdu.header[1] & wire::DataIn::k_status;
        case wire::Opcode::R2t:
        case wire::Opcode::LoginResponse:
            return false;
        case wire::Opcode::NopIn:
            return pdu.as<wire::Bhs>().initiator_task_tag.get() != wire::k_reserved_tag;
        default:
            return true;
    }
}

}  // namespace

void TargetConnection::send_pdu(Pdu pdu, bool counts) {
    if (is_closed) return;
    auto& numbers = pdu.as<wire::TargetNumbering>();
    if (counts || pdu.kind() != wire::Opcode::DataIn) numbers.stat_sn = stat_sn;
    if (counts && logged_in && level() > 0) kept[stat_sn] = pdu;
    if (counts) stat_sn++;
    put(std::move(pdu), false);
}

// Onto the wire, for the first time or again.
void TargetConnection::put(Pdu pdu, bool again) {
    if (is_closed) return;
    if (session != nullptr) {
        target.open_window(*session);
        auto& numbers = pdu.as<wire::TargetNumbering>();
        uint32_t maximum = session->max_cmd_sn;
        if (target.scenario.canary == Canary::StaleWindow && logged_in) maximum += 3;
        numbers.exp_cmd_sn = session->exp_cmd_sn;
        numbers.max_cmd_sn = maximum;
    }
    // Where noise is all there is, the level must mend it: so not what only a timeout would tell
    // of.
    const bool spared =
        target.scenario.diet == Diet::NoiseOnly && (again || pdu.kind() == wire::Opcode::NopIn);
    const bool hit = logged_in && !spared && target.noise != Noise::None &&
                     target.noise != Noise::DropsIn &&
                     target.world.random.chance(target.noise_percent);
    const bool dropped = hit && target.noise == Noise::DropsOut && level() > 0;
    const bool header = hit && target.noise == Noise::DamagesHeader && header_digest;
    const bool data = hit && target.noise == Noise::DamagesData && data_digest && !pdu.data.empty();
    if (logged_in) note(pdu, !dropped && !header && !data, again);
    if (dropped || header || data)
        target.world.log(fmt::format("target: connection {} loses opcode {:x} tag {:x} StatSN {}",
                                     cid, pdu.header[0],
                                     pdu.as<wire::Bhs>().initiator_task_tag.get(),
                                     pdu.as<wire::TargetNumbering>().stat_sn.get()));
    if (dropped) {
        target.world.counts["lost: PDUs to the initiator"]++;
        return;
    }
    const bool hidden = data && target.scenario.canary == Canary::HiddenDamage;
    if (hidden) pdu.data[target.world.random.next() % pdu.data.size()] ^= 0x01;
    Bytes bytes = pdu.header;
    if (logged_in && header_digest) append_digest(bytes, 0);
    if (header) bytes[20 + target.world.random.next() % 28] ^= 0x10;
    const size_t begin = bytes.size();
    bytes.insert(bytes.end(), pdu.data.begin(), pdu.data.end());
    bytes.resize(bytes.size() + wire::padding_of(static_cast<uint32_t>(pdu.data.size())));
    if (logged_in && data_digest && !pdu.data.empty()) append_digest(bytes, begin);
    if (data && !hidden) bytes[begin + target.world.random.next() % pdu.data.size()] ^= 0x01;
    if (header) target.world.counts["lost: header digests"]++;
    if (data) target.world.counts["lost: data digests, to the initiator"]++;
    link->send(k_target, bytes);
}

// What the initiator may not acknowledge, because it never got it. A copy that is lost says nothing
// of one that came before.
void TargetConnection::note(const Pdu& pdu, bool arrives, bool again) {
    if (!arrives && again) return;
    const uint32_t number = pdu.as<wire::TargetNumbering>().stat_sn.get();
    if (takes_stat_sn(pdu)) {
        if (arrives)
            lost_statuses.erase(number);
        else
            lost_statuses.insert(number);
    }
    if (pdu.kind() != wire::Opcode::DataIn) return;
    const auto& data_in = pdu.as<wire::DataIn>();
    const auto task = tasks.find(data_in.initiator_task_tag.get());
    if (task == tasks.end()) return;
    if (arrives)
        task->second->lost_data.erase(data_in.data_sn.get());
    else
        task->second->lost_data.insert(data_in.data_sn.get());
}

// The whole PDU that begins there; false: not here yet, or the connection is over.
bool TargetConnection::take_pdu(size_t& begin) {
    if (closing || is_closed || in.size() - begin < wire::k_bhs_bytes) return false;
    const auto& header = *reinterpret_cast<const wire::Bhs*>(in.data() + begin);
    const uint32_t length = header.data_segment_length.get();
    const uint32_t allowed = logged_in ? target.scenario.target_segment : 8192;
    // rule 17
    target.world.require(length <= allowed, "a segment within MaxRecvDataSegmentLength");
    const bool with_header = logged_in && header_digest;
    const bool with_data = logged_in && data_digest && length != 0;
    const size_t head = wire::k_bhs_bytes + header.total_ahs_length * 4u;
    const size_t text = head + (with_header ? wire::k_digest_bytes : 0);
    const size_t padded = length + wire::padding_of(length);
    const size_t whole = text + padded + (with_data ? wire::k_digest_bytes : 0);
    if (in.size() - begin < whole) return false;
    const uint8_t* at = in.data() + begin;
    // rule 49
    target.world.require(!with_header || digest_matches(at, head), "a header digest is right");
    target.world.require(!with_data || digest_matches(at + text, padded), "a data digest is right");
    const Pdu pdu{Bytes(at, at + wire::k_bhs_bytes), Bytes(at + text, at + text + length)};
    begin += whole;
    handle(pdu);
    return true;
}

// Not even its header is to be believed: as though it had not come.
bool TargetConnection::is_lost(const Pdu& pdu) {
    if (target.noise != Noise::DropsIn || level() == 0) return false;
    const wire::Opcode kind = pdu.kind();
    const bool repairable =
        kind == wire::Opcode::ScsiCommand || kind == wire::Opcode::DataOut ||
        (kind == wire::Opcode::Snack && target.scenario.diet != Diet::NoiseOnly);
    if (!repairable || !target.world.random.chance(target.noise_percent)) return false;
    target.world.counts["lost: PDUs to the target"]++;
    return true;
}

// Its data is not what was sent.
bool TargetConnection::is_damaged(const Pdu& pdu) {
    if (target.noise != Noise::DamagesData || !data_digest || pdu.data.empty()) return false;
    if (!target.world.random.chance(target.noise_percent)) return false;
    target.world.counts["lost: data digests, to the target"]++;
    return true;
}

}  // namespace hawser::sim
