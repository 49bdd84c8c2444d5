// SPDX-License-Identifier: GPL-2.0-or-later
//
// A target for unit tests, made of the wire structs: a RAM disk that behaves by default, and does
// anything else where a test takes over. It sees bytes and gives bytes; the host of host.h carries
// them.

#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "wire/bhs.hpp"
#include "wire/crc32c.hpp"
#include "wire/text.hpp"

namespace hawser::test {

using Bytes = std::vector<uint8_t>;

// A whole PDU as it was received.
struct Pdu {
    Bytes header;  // 48 bytes
    Bytes ahs;
    Bytes data;

    template <typename T>
    const T& as() const {
        return *reinterpret_cast<const T*>(header.data());
    }
    wire::Opcode kind() const { return as<wire::Bhs>().kind(); }
    uint32_t itt() const { return as<wire::Bhs>().initiator_task_tag.get(); }
    std::string text() const { return {data.begin(), data.end()}; }
};

// What the target keeps of a command that it has not answered.
struct Exchange {
    wire::ScsiCommand command;
    Bytes data;
    uint32_t data_sn = 0;
    uint32_t r2t_sn = 0;
    uint32_t asked = 0;  // write: how far R2Ts have asked
};

class Target;

// One connection at the target's side.
class Peer {
public:
    Peer(Target& target, uint32_t index) : target_(target), index_(index) {}

    void connected();
    // Bytes from the initiator; whole PDUs are handled at once.
    void take(const uint8_t* bytes, size_t length);

    // Sends a PDU as it stands, with its data segment and padding.
    template <typename T>
    void send_raw(T pdu, const Bytes& data = {}) {
        pdu.data_segment_length = static_cast<uint32_t>(data.size());
        const auto* bytes = reinterpret_cast<const uint8_t*>(&pdu);
        Bytes whole(bytes, bytes + sizeof(pdu));
        if (header_digest) add_digest(whole, 0, corrupt_header);
        const size_t begin = whole.size();
        whole.insert(whole.end(), data.begin(), data.end());
        whole.resize(whole.size() + (4 - data.size() % 4) % 4);
        if (data_digest && !data.empty()) add_digest(whole, begin, corrupt_data);
        corrupt_header = corrupt_data = false;
        sent.push_back({Bytes(bytes, bytes + sizeof(pdu)), {}, data});
        if (lose && lose(sent.back())) return;
        out.insert(out.end(), whole.begin(), whole.end());
    }
    static void add_digest(Bytes& bytes, size_t begin, bool wrong) {
        uint32_t crc = wire::crc32c(std::span<const uint8_t>(bytes).subspan(begin));
        if (wrong) crc ^= 0x40;
        for (int i = 0; i < 4; i++) bytes.push_back(static_cast<uint8_t>(crc >> 8 * i));
    }
    // The same with the numbers filled in; counts: the PDU takes a StatSN.
    template <typename T>
    void send(T pdu, bool counts, const Bytes& data = {});

    void send_status(const Exchange& exchange, uint8_t status, uint8_t flags = 0,
                     uint32_t residual = 0, const Bytes& sense = {});
    void send_data_in(Exchange& exchange, uint32_t offset, uint32_t length, uint8_t flags);
    void send_r2t(Exchange& exchange, uint32_t offset, uint32_t length, uint32_t ttt);
    void send_login(uint8_t flags, const std::string& words, uint16_t status = 0);

    void answer_login(const Pdu& pdu);
    void answer_command(const Pdu& pdu);
    void answer_data_out(const Pdu& pdu);
    void answer_read(Exchange& exchange);
    void proceed_write(Exchange& exchange);
    void answer_nop(const Pdu& pdu);
    void answer_logout(const Pdu& pdu);
    void answer_management(const Pdu& pdu, uint8_t response = 0);

    Bytes out;                             // to the initiator
    std::vector<Pdu> heard;                // everything, in order
    std::vector<Pdu> sent;                 // the same for what this side sent
    std::function<bool(const Pdu&)> lose;  // true: it never arrives
    bool closed = false;                   // the target closes: EOF once `out` is empty
    bool eof = false;                      // the initiator closed its side
    bool lingers = false;                  // does not close when the initiator did
    bool header_digest = false;            // agreed
    bool data_digest = false;
    bool corrupt_header = false;  // of the next PDU
    bool corrupt_data = false;
    uint32_t digests_wrong = 0;  // of what the initiator sent
    uint32_t stat_sn = 1000;
    uint8_t isid[6] = {};
    uint16_t cid = 0xffff;
    std::map<uint32_t, Exchange> exchanges;  // by ITT

private:
    void handle(const Pdu& pdu);
    void check_digest(size_t begin, size_t end);
    Bytes in_;
    Target& target_;
    uint32_t index_;
};

// What all connections of the session share at the target.
class Target {
public:
    explicit Target(uint32_t connections) {
        for (uint32_t i = 0; i < connections; i++) peers.emplace_back(*this, i);
    }

    // True: the test has dealt with the PDU.
    std::function<bool(Peer&, const Pdu&)> script;
    std::map<std::string, std::string> answers;  // other values for keys
    uint32_t window = 32;
    uint32_t max_recv_data_segment_length = 8192;  // ours, the target's
    uint32_t data_in_bytes = 4096;                 // of one Data-In
    uint32_t burst_bytes = 16384;                  // of one R2T
    bool status_in_data_in = true;
    bool extra_round = false;  // on further connections, as tgt does
    std::string portal_group_tag = "1";

    uint16_t tsih = 0;
    uint32_t exp_cmd_sn = 0;
    uint32_t sessions = 0;
    bool numbers_wrong = false;   // a CmdSN came twice or out of the window
    std::vector<uint32_t> early;  // CmdSNs above a hole
    Bytes disk = Bytes(1 << 21);
    std::vector<Peer> peers;

    // A NOP-Out that counts is answered when its turn has come.
    std::vector<std::pair<Peer*, Pdu>> late_nops;
    bool is_early(uint32_t cmd_sn) const { return static_cast<int32_t>(cmd_sn - exp_cmd_sn) >= 0; }
    void answer_late_nops() {
        for (size_t i = late_nops.size(); i-- != 0;) {
            const auto [peer, pdu] = late_nops[i];
            if (is_early(pdu.as<wire::NopOut>().cmd_sn.get())) continue;
            late_nops.erase(late_nops.begin() + static_cast<long>(i));
            if (!peer->closed) peer->answer_nop(pdu);
        }
    }
    uint32_t max_cmd_sn() const { return exp_cmd_sn + window - 1; }
    // A non-immediate command's number, from any connection.
    void take_cmd_sn(uint32_t cmd_sn) {
        if (static_cast<int32_t>(cmd_sn - exp_cmd_sn) < 0 ||
            static_cast<int32_t>(max_cmd_sn() - cmd_sn) < 0)
            numbers_wrong = true;
        early.push_back(cmd_sn);
        for (bool found = true; found;) {
            found = false;
            for (size_t i = 0; i < early.size(); i++) {
                if (early[i] != exp_cmd_sn) continue;
                early.erase(early.begin() + static_cast<long>(i));
                exp_cmd_sn++;
                found = true;
                break;
            }
        }
    }
};

template <typename T>
void Peer::send(T pdu, bool counts, const Bytes& data) {
    pdu.stat_sn = stat_sn;
    if (counts) stat_sn++;
    pdu.exp_cmd_sn = target_.exp_cmd_sn;
    pdu.max_cmd_sn = target_.max_cmd_sn();
    send_raw(pdu, data);
}

inline void Peer::connected() {
    in_.clear();
    out.clear();
    closed = eof = false;
    header_digest = data_digest = false;
    exchanges.clear();
    stat_sn += 77;
}

inline void Peer::take(const uint8_t* bytes, size_t length) {
    in_.insert(in_.end(), bytes, bytes + length);
    while (in_.size() >= wire::k_bhs_bytes) {
        const auto& header = *reinterpret_cast<const wire::Bhs*>(in_.data());
        const size_t head = wire::k_bhs_bytes + header.total_ahs_length * 4u;
        const size_t data = header.data_segment_length.get();
        const size_t at = head + (header_digest ? 4 : 0);
        const size_t end = at + (data + 3) / 4 * 4;
        const size_t whole = end + (data_digest && data ? 4 : 0);
        if (in_.size() < whole) return;
        if (header_digest) check_digest(0, head);
        if (data_digest && data) check_digest(at, end);
        const auto from = [this](size_t offset) { return in_.begin() + static_cast<long>(offset); };
        Pdu pdu{Bytes(in_.begin(), from(wire::k_bhs_bytes)),
                Bytes(from(wire::k_bhs_bytes), from(head)), Bytes(from(at), from(at + data))};
        in_.erase(in_.begin(), from(whole));
        heard.push_back(pdu);
        handle(pdu);
    }
}

// The digest stands behind what it is of.
inline void Peer::check_digest(size_t begin, size_t end) {
    Bytes expected(in_.begin() + static_cast<long>(begin), in_.begin() + static_cast<long>(end));
    add_digest(expected, 0, false);
    digests_wrong += std::memcmp(&expected[end - begin], &in_[end], 4) != 0;
}

inline void Peer::handle(const Pdu& pdu) {
    // Every request but Data-Out and SNACK has a CmdSN at the same place.
    bool immediate = pdu.header[0] & wire::k_immediate;
    const bool counts =
        pdu.kind() == wire::Opcode::ScsiCommand || pdu.kind() == wire::Opcode::NopOut;
    if (counts && !immediate)
        target_.take_cmd_sn(pdu.as<wire::ScsiCommand>().cmd_sn.get());
    target_.answer_late_nops();
    if (target_.script && target_.script(*this, pdu)) return;
    switch (pdu.kind()) {
        case wire::Opcode::LoginRequest:
            return answer_login(pdu);
        case wire::Opcode::ScsiCommand:
            return answer_command(pdu);
        case wire::Opcode::DataOut:
            return answer_data_out(pdu);
        case wire::Opcode::NopOut:
            return answer_nop(pdu);
        case wire::Opcode::LogoutRequest:
            return answer_logout(pdu);
        case wire::Opcode::TaskManagementRequest:
            return answer_management(pdu);
        default:
            return;
    }
}

inline void Peer::send_login(uint8_t flags, const std::string& words, uint16_t status) {
    wire::LoginResponse response;
    response.flags = flags;
    std::memcpy(response.isid, isid, 6);
    response.tsih = target_.tsih;
    response.initiator_task_tag = heard.back().itt();
    response.status_class = static_cast<uint8_t>(status >> 8);
    response.status_detail = static_cast<uint8_t>(status);
    Bytes text;
    for (char c : words) text.push_back(c == ' ' ? 0 : static_cast<uint8_t>(c));
    if (!text.empty()) text.push_back(0);
    send(response, true, text);
}

inline void Peer::answer_login(const Pdu& pdu) {
    const auto& request = pdu.as<wire::LoginRequest>();
    bool leading = request.tsih.get() == 0;
    std::memcpy(isid, request.isid, 6);
    cid = request.cid.get();
    if ((request.flags >> 2 & 3) == 0) {
        send_login(0x81, "TargetPortalGroupTag=" + target_.portal_group_tag + " AuthMethod=None");
        return;
    }
    if (leading) {
        target_.exp_cmd_sn = request.cmd_sn.get();
        target_.early.clear();
        target_.late_nops.clear();
        target_.tsih = static_cast<uint16_t>(++target_.sessions);
    }
    std::string words;
    wire::TextReader reader(pdu.data);
    bool digests[2] = {};
    while (auto pair = reader.next()) {
        std::string key(pair->key), value(pair->value);
        value = value.substr(0, value.find(','));  // of a list, its first
        if (key == "MaxRecvDataSegmentLength")
            value = std::to_string(target_.max_recv_data_segment_length);
        if (target_.answers.count(key)) value = target_.answers[key];
        if (key == "MaxConnections" && !leading) continue;
        if (key == "HeaderDigest") digests[0] = value == "CRC32C";
        if (key == "DataDigest") digests[1] = value == "CRC32C";
        words += (words.empty() ? "" : " ") + key + "=" + value;
    }
    if (!leading && target_.extra_round && !pdu.data.empty() &&
        pdu.text().find("MaxConnections") == std::string::npos) {
        send_login(0x04, words + " MaxConnections=8");
        return;
    }
    send_login(0x87, words);
    header_digest = digests[0];
    data_digest = digests[1];
}

inline void Peer::answer_command(const Pdu& pdu) {
    Exchange exchange;
    exchange.command = pdu.as<wire::ScsiCommand>();
    uint32_t length = exchange.command.expected_data_transfer_length.get();
    bool read = exchange.command.flags & wire::ScsiCommand::k_read;
    bool write = exchange.command.flags & wire::ScsiCommand::k_write;
    if (!read && !write) return send_status(exchange, 0);
    uint32_t block = 0;
    for (int i = 2; i < 6; i++) block = block << 8 | exchange.command.cdb[i];
    size_t at = size_t{block} * 512;
    if (at + length > target_.disk.size()) return send_status(exchange, 2, 0x02, length);
    if (read) {
        auto from = target_.disk.begin() + static_cast<long>(at);
        exchange.data.assign(from, from + static_cast<long>(length));
        answer_read(exchange);
        return;
    }
    exchange.data = pdu.data;
    exchange.asked = static_cast<uint32_t>(pdu.data.size());
    Exchange& kept = exchanges[pdu.itt()] = exchange;
    if (exchange.command.flags & wire::k_final) proceed_write(kept);
}

inline void Peer::answer_read(Exchange& exchange) {
    uint32_t length = static_cast<uint32_t>(exchange.data.size());
    for (uint32_t at = 0; at < length;) {
        uint32_t step = std::min(target_.data_in_bytes, length - at);
        bool last = at + step == length;
        uint8_t flags = last ? wire::k_final : 0;
        if (last && target_.status_in_data_in) flags |= wire::DataIn::k_status;
        send_data_in(exchange, at, step, flags);
        at += step;
    }
    if (!target_.status_in_data_in || length == 0) send_status(exchange, 0);
}

inline void Peer::send_data_in(Exchange& exchange, uint32_t offset, uint32_t length,
                               uint8_t flags) {
    wire::DataIn in;
    in.flags = flags;
    in.initiator_task_tag = exchange.command.initiator_task_tag.get();
    in.target_transfer_tag = wire::k_reserved_tag;
    in.data_sn = exchange.data_sn++;
    in.buffer_offset = offset;
    Bytes data(length);
    for (uint32_t i = 0; i < length && offset + i < exchange.data.size(); i++)
        data[i] = exchange.data[offset + i];
    send(in, flags & wire::DataIn::k_status, data);
}

inline void Peer::send_status(const Exchange& exchange, uint8_t status, uint8_t flags,
                              uint32_t residual, const Bytes& sense) {
    wire::ScsiResponse response;
    response.flags |= flags;
    response.status = status;
    response.initiator_task_tag = exchange.command.initiator_task_tag.get();
    response.exp_data_sn = exchange.data_sn;
    response.residual_count = residual;
    send(response, true, sense);
}

inline void Peer::send_r2t(Exchange& exchange, uint32_t offset, uint32_t length, uint32_t ttt) {
    wire::R2t r2t;
    std::memcpy(r2t.lun, exchange.command.lun, 8);
    r2t.initiator_task_tag = exchange.command.initiator_task_tag.get();
    r2t.target_transfer_tag = ttt;
    r2t.r2t_sn = exchange.r2t_sn++;
    r2t.buffer_offset = offset;
    r2t.desired_data_transfer_length = length;
    send(r2t, false);
}

// A burst has come whole: asks for the next, or ends the command.
inline void Peer::proceed_write(Exchange& exchange) {
    uint32_t length = exchange.command.expected_data_transfer_length.get();
    uint32_t have = static_cast<uint32_t>(exchange.data.size());
    if (have < length) {
        uint32_t step = std::min(target_.burst_bytes, length - have);
        exchange.asked = have + step;
        return send_r2t(exchange, have, step, 0x7700 + exchange.r2t_sn);
    }
    uint32_t block = 0;
    for (int i = 2; i < 6; i++) block = block << 8 | exchange.command.cdb[i];
    std::copy(exchange.data.begin(), exchange.data.end(),
              target_.disk.begin() + static_cast<long>(block) * 512);
    send_status(exchange, 0);
    exchanges.erase(exchange.command.initiator_task_tag.get());
}

inline void Peer::answer_data_out(const Pdu& pdu) {
    auto found = exchanges.find(pdu.itt());
    const auto& out_header = pdu.as<wire::DataOut>();
    if (found == exchanges.end()) return;
    Exchange& exchange = found->second;
    if (out_header.buffer_offset.get() != exchange.data.size()) target_.numbers_wrong = true;
    exchange.data.insert(exchange.data.end(), pdu.data.begin(), pdu.data.end());
    if (out_header.flags & wire::k_final) proceed_write(exchange);
}

inline void Peer::answer_nop(const Pdu& pdu) {
    if (pdu.itt() == wire::k_reserved_tag) return;
    const bool early = target_.is_early(pdu.as<wire::NopOut>().cmd_sn.get());
    if (early && (pdu.header[0] & wire::k_immediate) == 0) {
        target_.late_nops.emplace_back(this, pdu);
        return;
    }
    wire::NopIn answer;
    answer.initiator_task_tag = pdu.itt();
    answer.target_transfer_tag = wire::k_reserved_tag;
    send(answer, true);
}

inline void Peer::answer_logout(const Pdu& pdu) {
    wire::LogoutResponse response;
    response.initiator_task_tag = pdu.itt();
    send(response, true);
    closed = true;
}

inline void Peer::answer_management(const Pdu& pdu, uint8_t code) {
    wire::TaskManagementResponse response;
    response.initiator_task_tag = pdu.itt();
    response.response = code;
    send(response, true);
}

}  // namespace hawser::test
