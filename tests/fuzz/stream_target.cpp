// SPDX-License-Identifier: GPL-2.0-or-later
//
// The PDUs of a fuzzed target: right first, then changed byte by byte as the input says.

#include "stream_target.h"

#include "abi/engine.h"

#include <algorithm>

namespace hawser::fuzz {

namespace {

constexpr uint32_t k_lengths[] = {0, 1, 3, 4, 511, 512, 513, 2048, 4096, 9000};

Bytes pattern(uint32_t length, uint8_t seed) {
    Bytes data(length);
    for (uint32_t i = 0; i < length; i++) data[i] = static_cast<uint8_t>(seed + i);
    return data;
}

}  // namespace

template <typename T>
void StreamPeer::append(Input& input, T pdu, bool counts, const Bytes& data) {
    pdu.data_segment_length = static_cast<uint32_t>(data.size());
    pdu.stat_sn = stat_sn;
    if (counts) stat_sn++;
    pdu.exp_cmd_sn = exp_cmd_sn;
    pdu.max_cmd_sn = exp_cmd_sn + window - 1;
    auto* bytes = reinterpret_cast<uint8_t*>(&pdu);
    const uint8_t how = input.byte() % 16;
    // The lie, if any: up to three bytes of the header.
    for (uint8_t changes = how; changes > 12; changes--) {
        const uint8_t at = input.byte() % wire::k_bhs_bytes;
        bytes[at] = input.byte();
    }
    Bytes whole(bytes, bytes + sizeof(pdu));
    whole.insert(whole.end(), data.begin(), data.end());
    whole.resize(whole.size() + (4 - data.size() % 4) % 4);
    if (history.size() < 16) {
        history.push_back(whole);
        seal(history.back(), data.size(), false, false);
    }
    if (how == 11) return;  // lost on the way
    seal(whole, data.size(), how == 12, how == 10);
    out.insert(out.end(), whole.begin(), whole.end());
}

// Puts in the digests, right or wrong.
void StreamPeer::seal(Bytes& pdu, size_t data, bool bad_header, bool bad_data) const {
    if (!digests) return;
    const auto digest_of = [&pdu](size_t from, size_t to, bool bad) {
        const uint32_t crc =
            hawser_crc32c(bad ? 1 : 0, pdu.data() + from, static_cast<uint32_t>(to - from));
        Bytes digest(4);
        for (int i = 0; i < 4; i++)
            digest[static_cast<size_t>(i)] = static_cast<uint8_t>(crc >> (8 * i));
        return digest;
    };
    const Bytes of_header = digest_of(0, wire::k_bhs_bytes, bad_header);
    if (data != 0) {
        const Bytes of_data = digest_of(wire::k_bhs_bytes, pdu.size(), bad_data);
        pdu.insert(pdu.end(), of_data.begin(), of_data.end());
    }
    pdu.insert(pdu.begin() + static_cast<long>(wire::k_bhs_bytes), of_header.begin(),
               of_header.end());
}

void StreamPeer::say_data_in(Input& input, SeenTask& task, bool rest) {
    const uint32_t left = task.length - std::min(task.length, task.offset);
    const uint8_t choice = input.byte();
    const uint32_t length = rest ? left : std::min(left, k_lengths[choice % 10]);
    wire::DataIn pdu;
    pdu.initiator_task_tag = task.initiator_task_tag;
    pdu.target_transfer_tag = wire::k_reserved_tag;
    pdu.data_sn = task.data_sn++;
    pdu.buffer_offset = task.offset;
    if (rest || (choice & 0x40)) pdu.flags |= wire::k_final;
    if (rest) pdu.flags |= wire::DataIn::k_status;
    task.offset += length;
    append(input, pdu, rest, pattern(length, choice));
}

void StreamPeer::say_response(Input& input, const SeenTask& task, bool good) {
    wire::ScsiResponse pdu;
    pdu.initiator_task_tag = task.initiator_task_tag;
    pdu.exp_data_sn = task.data_sn;
    if (good) {
        const uint32_t moved = task.read ? task.offset : task.promised;
        if (moved < task.length) {
            pdu.flags |= wire::ScsiResponse::k_underflow;
            pdu.residual_count = task.length - moved;
        }
        append(input, pdu, true);
        return;
    }
    const uint8_t choice = input.byte();
    pdu.status = choice & 1 ? 2 : choice;
    pdu.response = choice & 2 ? 0 : 1;
    Bytes sense = pattern(k_lengths[choice % 10], choice);
    if (sense.size() >= 2) {
        sense[0] = input.byte();
        sense[1] = input.byte();
    }
    append(input, pdu, true, sense);
}

void StreamPeer::say_r2t(Input& input, SeenTask& task) {
    const uint32_t left = task.length - std::min(task.length, task.promised);
    const uint32_t wanted = k_lengths[input.byte() % 10];
    wire::R2t pdu;
    std::memcpy(pdu.lun, task.lun, sizeof(task.lun));
    pdu.initiator_task_tag = task.initiator_task_tag;
    pdu.target_transfer_tag = 0x1000u + task.r2t_sn;
    pdu.r2t_sn = task.r2t_sn++;
    pdu.buffer_offset = task.promised;
    const uint32_t length = std::min(std::min(left, wanted), max_burst);
    pdu.desired_data_transfer_length = length;
    task.promised += length;
    append(input, pdu, false);
}

void StreamPeer::say_nop(Input& input, uint8_t kind) {
    wire::NopIn pdu;
    pdu.initiator_task_tag = kind == 0 ? nop_itt : wire::k_reserved_tag;
    pdu.target_transfer_tag = kind == 1 ? 0x2000u + stat_sn : wire::k_reserved_tag;
    append(input, pdu, kind == 0, pattern(k_lengths[input.byte() % 4], 7));
}

void StreamPeer::say_async(Input& input) {
    wire::AsyncMessage pdu;
    pdu.async_event = input.byte() % 7;
    pdu.parameter1 = static_cast<uint16_t>(input.byte() % 3);
    pdu.parameter2 = 1;
    pdu.parameter3 = 2;
    append(input, pdu, true, pattern(k_lengths[input.byte() % 10], 9));
}

// What SendTargets is answered with, in pieces or whole; or a negotiation.
void StreamPeer::say_text(Input& input) {
    constexpr const char* k_pairs[] = {
        "TargetName=iqn.a:disk",
        "TargetName=iqn.b:other",
        "TargetAddress=10.0.3.2:3260,1",
        "TargetAddress=[fd00::3]:3260,2",
        "TargetAddress=disk.example.com,1",
        "TargetAddress=10.0.3.2:99999,1",
        "MaxRecvDataSegmentLength=4096",
        "X-unknown=1",
        "TargetAddress=",
        "NoEqualsSign",
    };
    wire::TextResponse pdu;
    const uint8_t how = input.byte();
    pdu.initiator_task_tag = text_itt;
    pdu.flags = how & 1 ? wire::k_final : how & 2 ? wire::TextRequest::k_continue : 0;
    if (!(how & 1)) pdu.target_transfer_tag = 0x3000u + stat_sn;
    Bytes text;
    for (uint8_t count = how >> 2 & 7; count != 0; count--) {
        const std::string pair = k_pairs[input.byte() % 10];
        text.insert(text.end(), pair.begin(), pair.end());
        text.push_back(0);
    }
    if (how & 0x80) text.resize(text.size() - text.size() % 4);
    append(input, pdu, true, text);
}

void StreamPeer::say_other(Input& input, uint8_t kind) {
    if (kind == 0) {
        wire::Reject pdu;
        pdu.reason = input.byte();
        append(input, pdu, true, pattern(48, 3));
    } else if (kind == 1) {
        wire::LogoutResponse pdu;
        const uint8_t choice = input.byte();
        pdu.initiator_task_tag = choice & 16 ? recover_itt : 0xf300u | index;
        pdu.response = static_cast<uint8_t>(std::max(0, choice % 16 - 12));
        append(input, pdu, true);
    } else if (kind == 2) {
        say_text(input);
    } else if (kind == 3) {
        wire::TaskManagementResponse pdu;
        const uint8_t choice = input.byte();
        pdu.initiator_task_tag = choice & 16 ? reassign_itt : function_itt;
        pdu.response = static_cast<uint8_t>(std::max(0, choice % 16 - 8));
        append(input, pdu, true);
    } else {
        wire::LoginResponse pdu;
        pdu.initiator_task_tag = 0xf100u | index;
        append(input, pdu, true);
    }
}

void StreamPeer::say(Input& input, std::vector<SeenTask>& tasks) {
    const uint8_t kind = input.byte() % 24;
    const uint8_t which = input.byte();
    // Also without one: then it names what nobody sent.
    SeenTask nobody;
    SeenTask& task = tasks.empty() ? nobody : tasks[which % tasks.size()];
    if (kind < 5) {
        say_data_in(input, task, false);
    } else if (kind < 9) {
        say_data_in(input, task, true);
    } else if (kind < 12) {
        say_response(input, task, true);
    } else if (kind < 14) {
        say_response(input, task, false);
    } else if (kind < 18) {
        say_r2t(input, task);
    } else if (kind < 21) {
        say_nop(input, static_cast<uint8_t>(kind - 18));
    } else if (kind == 21) {
        say_async(input);
    } else if (which >= 192) {
        say_raw(pop_history(which));
    } else {
        say_other(input, which % 5);
    }
}

void StreamPeer::say_login(uint8_t flags, const uint8_t* isid, uint16_t tsih,
                           const std::string& text) {
    wire::LoginResponse pdu;
    pdu.flags = flags;
    std::memcpy(pdu.isid, isid, sizeof(pdu.isid));
    pdu.tsih = tsih;
    pdu.initiator_task_tag = 0xf100u | index;
    Bytes data;
    for (const char c : text) data.push_back(c == ' ' ? 0 : static_cast<uint8_t>(c));
    if (!data.empty()) data.push_back(0);
    Input nothing(nullptr, 0);
    append(nothing, pdu, true, data);
}

}  // namespace hawser::fuzz
