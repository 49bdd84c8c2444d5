// SPDX-License-Identifier: GPL-2.0-or-later
//
// Login Responses into a connection that logs in, in each stage, as a leading or a further one. The
// input chooses the answers' bits and text out of the RFC's words, or any bytes. What comes out
// must stay a proper login, what is agreed must be what we offered, and with CHAP nobody gets in
// who has not proved what he has to.

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "abi/engine.h"
#include "engine/key_table.hpp"
#include "input.h"
#include "wire/bhs.hpp"
#include "wire/text.hpp"

using namespace hawser;
using namespace hawser::fuzz;

namespace {

using Bytes = std::vector<uint8_t>;

constexpr const char* k_options[] = {
    "",
    "MaxOutstandingR2T=8",
    "InitialR2T=Yes ImmediateData=No FirstBurstLength=16777215 MaxBurstLength=16777215",
    "MaxRecvDataSegmentLength=512 DefaultTime2Wait=3600 DefaultTime2Retain=0",
};
// By two bits of the input: none, one-way, mutual, mutual with the target's name known.
constexpr const char* k_chap_options[] = {
    "",
    " chap_name=node chap_key=k:out",
    " chap_name=node chap_key=k:out chap_key_in=k:in",
    " chap_name=node chap_key=k:out chap_key_in=k:in chap_name_in=storage",
};
constexpr const char* k_chap_keys[] = {"CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R", "CHAP_X"};
// Two of them stand for more than they say: text_of() puts a digest in their place.
constexpr std::string_view k_proof = "what the target's secret makes of our challenge";
constexpr std::string_view k_reflection = "what our own secret makes of it";
constexpr std::string_view k_chap_values[] = {
    "5",    "6",      "7",    "8",          "9",       "5,7", "0",   "255",   "256",
    "0x00", "0x0102", "0bAA", "0bQUJDRA==", "storage", "0x",  "0b=", k_proof, k_reflection,
};
constexpr size_t k_chap_value_count = sizeof(k_chap_values) / sizeof(k_chap_values[0]);

// No hash, but as good as one here: it depends on everything.
std::vector<uint8_t> digest_of(const hawser_chap_request& request) {
    uint32_t sum = 2166136261u ^ request.secret ^ static_cast<uint32_t>(request.identifier) << 8;
    for (uint32_t i = 0; i < request.challenge_length; i++)
        sum = (sum ^ request.challenge[i]) * 16777619u;
    std::vector<uint8_t> digest(hawser_chap_digest_bytes(request.algorithm));
    for (uint8_t& byte : digest) {
        sum = sum * 1664525u + 1013904223u;
        byte = static_cast<uint8_t>(sum >> 24);
    }
    return digest;
}

std::string hex_of(const std::vector<uint8_t>& bytes) {
    std::string text = "0x";
    for (const uint8_t byte : bytes)
        for (const int digit : {byte >> 4, byte & 15}) text += "0123456789abcdef"[digit];
    return text;
}

constexpr std::string_view k_values[] = {
    "Yes",
    "No",
    "None",
    "CRC32C",
    "CHAP",
    "Reject",
    "Irrelevant",
    "0",
    "1",
    "NotUnderstood",
    "2",
    "512",
    "8192",
    "65536",
    "16777215",
    "16777216",
    "0x200",
    "4294967296",
    "None,CHAP",
    "10.0.0.1,1",
    "RFC3720",
    "yes",
    "[::1]:99,65535",
    "",
};
constexpr size_t k_value_count = sizeof(k_values) / sizeof(k_values[0]);

// One login of one connection.
class Scene {
public:
    Scene(bool leading, void* memory, const hawser_options& parsed)
        : offer_(parsed.offer),
          algorithms_(parsed.chap_algorithms),
          chap_(parsed.chap_name[0] != 0),
          mutual_(parsed.chap_key_in[0] != 0),
          leading_(leading) {
        session_ = hawser_session_create(memory, &parsed, 1, 99);
        connection_ = hawser_session_connection(session_, 0);
        order_.kind = HAWSER_ORDER_CONNECT;
        order_.epoch = 1;
        order_.deadline_ms = 5000;
        order_.login.leading = leading;
        order_.login.isid[0] = 0x80;
        if (!leading) {
            order_.login.tsih = 0x77;
            order_.login.target_portal_group_tag = 1;
            order_.login.session_keys = parsed.offer;
            order_.login.session_keys.max_connections = 1;
            order_.login.session_keys.max_burst_length = 4096;
            order_.login.session_keys.first_burst_length = 2048;
        }
        note(hawser_connection_start_connect(connection_, &order_, 1000));
        note(hawser_connection_handle_connected(connection_, 1001));
    }

    void run(Input& input) {
        while (!input.empty() && !closing_ && !logged_in_) {
            transmit(1u + input.byte() * 97u);
            if (input.byte() % 8 == 7) {
                out_ = Bytes();
                const auto raw = input.take(input.byte());
                out_.assign(raw.begin(), raw.end());
            } else {
                answer(input);
            }
            deliver(1u + input.byte() * 33u);
            give_digests(input);
        }
        note(hawser_connection_abandon(connection_, 2000));
        note(hawser_connection_handle_closed(connection_, 2000));
        FUZZ_CHECK(closed_, "CLOSED is told at the end");
        FUZZ_CHECK(hawser_connection_poll_timeout(connection_) == HAWSER_NEVER,
                   "no deadline is left");
    }

private:
    void note(uint32_t wants) {
        if (wants & HAWSER_WANT_CLOSE) closing_ = true;
        hawser_report report{};
        while (hawser_connection_poll_report(connection_, &report)) {
            FUZZ_CHECK(!closed_, "nothing follows CLOSED");
            if (report.kind == HAWSER_REPORT_CLOSED) closed_ = true;
            if (report.kind == HAWSER_REPORT_LOST) lost_ = true;
            if (report.kind != HAWSER_REPORT_LOGGED_IN) continue;
            // What follows the last answer may be a breach: then both are told at once.
            FUZZ_CHECK(!logged_in_ && !lost_, "logged in once, and not after its loss");
            logged_in_ = true;
            check_agreement(report);
        }
    }

    // What the engine asks the host for; now and then the host has not got it.
    void give_digests(Input& input) {
        hawser_chap_request request{};
        for (int turns = 0; !closing_ && hawser_connection_poll_chap(connection_, &request);) {
            FUZZ_CHECK(++turns <= 2, "one digest at a time, and two of our own challenge");
            FUZZ_CHECK(chap_ && !logged_in_, "CHAP is configured, and comes before the end");
            FUZZ_CHECK(request.challenge_length >= 1 && request.challenge_length <= 1024,
                       "a challenge of 1 to 1024 bytes");
            FUZZ_CHECK(request.algorithm >= HAWSER_CHAP_MD5 &&
                           request.algorithm <= HAWSER_CHAP_SHA3_256 &&
                           algorithms_ & HAWSER_CHAP_BIT(request.algorithm),
                       "an algorithm that was offered");
            hawser_transmit next{};
            FUZZ_CHECK(!hawser_connection_poll_transmit(connection_, 65536, &next),
                       "nothing is sent before the digest is there");
            hawser_chap_answer answer{};
            std::vector<uint8_t> digest = digest_of(request);
            if (input.byte() == 0xff) digest.resize(input.byte() % 33);
            answer.digest_length = static_cast<uint8_t>(digest.size());
            for (size_t i = 0; i < digest.size(); i++) answer.digest[i] = digest[i];
            for (uint8_t& byte : answer.random) byte = random_++;
            responded_ |= request.secret == HAWSER_CHAP_OURS;
            if (!challenged_) {
                // What the engine will send: an identifier, and as many bytes as a digest has.
                challenged_ = true;
                algorithm_ = request.algorithm;
                ours_.assign(answer.random, answer.random + 1 + digest.size());
            }
            note(hawser_connection_handle_chap(connection_, &answer, 1004));
        }
    }

    std::string proof(uint8_t secret) const {
        if (ours_.size() < 2) return "0x00";
        hawser_chap_request request{};
        request.algorithm = algorithm_;
        request.identifier = ours_[0];
        request.secret = secret;
        request.challenge_length = static_cast<uint32_t>(ours_.size() - 1);
        request.challenge = ours_.data() + 1;
        return hex_of(digest_of(request));
    }

    void check_agreement(const hawser_report& report) {
        const hawser_keys& keys = report.keys;
        FUZZ_CHECK(!chap_ || responded_, "where CHAP is configured nobody gets in without it");
        FUZZ_CHECK(!mutual_ || proved_, "a target that proves nothing is left");
        FUZZ_CHECK(report.tsih != 0, "a session has a TSIH");
        FUZZ_CHECK(keys.max_recv_data_segment_length == offer_.max_recv_data_segment_length,
                   "what we declare holds");
        FUZZ_CHECK(keys.max_xmit_data_segment_length >= 512, "the target's declaration is legal");
        FUZZ_CHECK(keys.header_digest <= 1 && (offer_.header_digest >> keys.header_digest & 1),
                   "a digest that was offered");
        FUZZ_CHECK(keys.data_digest <= 1 && (offer_.data_digest >> keys.data_digest & 1),
                   "a digest that was offered");
        if (!leading_) {
            const hawser_keys& session = order_.login.session_keys;
            FUZZ_CHECK(keys.max_burst_length == session.max_burst_length &&
                           keys.first_burst_length == session.first_burst_length &&
                           keys.initial_r2t == session.initial_r2t &&
                           keys.immediate_data == session.immediate_data &&
                           keys.max_connections == session.max_connections &&
                           keys.error_recovery_level == session.error_recovery_level,
                       "a further connection changes nothing of the session's");
            FUZZ_CHECK(report.tsih == order_.login.tsih, "the session's TSIH");
            return;
        }
        FUZZ_CHECK(keys.max_burst_length >= 512 && keys.first_burst_length >= 512, "legal bursts");
        FUZZ_CHECK(keys.max_burst_length <= offer_.max_burst_length, "at most what was offered");
        FUZZ_CHECK(keys.first_burst_length <= keys.max_burst_length, "RFC 7143 13.14");
        FUZZ_CHECK(keys.initial_r2t >= offer_.initial_r2t, "InitialR2T is an OR");
        FUZZ_CHECK(keys.immediate_data <= offer_.immediate_data, "ImmediateData is an AND");
        FUZZ_CHECK(keys.max_connections >= 1 && keys.max_outstanding_r2t >= 1, "at least one");
        FUZZ_CHECK(keys.max_outstanding_r2t <= offer_.max_outstanding_r2t, "at most as offered");
        FUZZ_CHECK(keys.error_recovery_level <= offer_.error_recovery_level, "at most as offered");
        FUZZ_CHECK(keys.default_time2wait_s >= offer_.default_time2wait_s, "at least as offered");
    }

    void transmit(uint32_t limit) {
        hawser_transmit next{};
        for (uint32_t turns = 0; hawser_connection_poll_transmit(connection_, 65536, &next);) {
            FUZZ_CHECK(++turns < 100000, "sending comes to an end");
            if (logged_in_) return;
            FUZZ_CHECK(next.data_length == 0 && next.bytes_length != 0, "a login has no task");
            const uint32_t length = next.bytes_length < limit ? next.bytes_length : limit;
            requests_.insert(requests_.end(), next.bytes, next.bytes + length);
            note(hawser_connection_handle_transmitted(connection_, length, 1002));
        }
        take_requests();
    }

    void take_requests() {
        size_t begin = 0;
        uint32_t count = 0;
        while (requests_.size() - begin >= wire::k_bhs_bytes) {
            const auto& request =
                *reinterpret_cast<const wire::LoginRequest*>(requests_.data() + begin);
            const uint32_t length = request.data_segment_length.get();
            const size_t whole = wire::k_bhs_bytes + (length + 3) / 4 * 4;
            if (requests_.size() - begin < whole) break;
            const bool continues = request.flags & wire::LoginRequest::k_continue;
            const bool transit = request.flags & wire::LoginRequest::k_transit;
            FUZZ_CHECK(request.opcode == 0x43 && length <= 8192, "a Login Request");
            FUZZ_CHECK(!(continues && transit), "C excludes T");
            stage_ = request.flags >> 2 & 3;
            FUZZ_CHECK(stage_ <= 1, "a stage of the Login Phase");
            const auto text = requests_.begin() + static_cast<long>(begin + wire::k_bhs_bytes);
            text_.insert(text_.end(), text, text + length);
            if (!continues) check_text();
            begin += whole;
            count++;
        }
        FUZZ_CHECK(count <= 1, "one request is outstanding");
        requests_.erase(requests_.begin(), requests_.begin() + static_cast<long>(begin));
    }

    void check_text() {
        wire::TextReader reader(text_);
        while (reader.next()) continue;
        FUZZ_CHECK(reader.error() == wire::TextError::None, "our text is key=value pairs");
        text_.clear();
    }

    std::string text_of(Input& input) {
        std::string text;
        for (uint8_t count = input.byte() % 8; count != 0; count--) {
            const uint8_t which = input.byte();
            if (which == 255) {
                text += as_text(input.take(input.byte()));
                continue;
            }
            if (which >= 190 && which < 250) {
                text += k_chap_keys[which % 6];
                text += '=';
                const std::string_view value = k_chap_values[input.byte() % k_chap_value_count];
                proved_ |= value == k_proof && challenged_;
                text += value == k_proof        ? proof(HAWSER_CHAP_TARGET)
                        : value == k_reflection ? proof(HAWSER_CHAP_OURS)
                                                : std::string(value);
                text.push_back('\0');
                continue;
            }
            if (which >= 250) {
                const auto name = input.take(input.byte() % 70);
                text += as_text(name);
            } else {
                text += key_table::k_keys[which % k_key_count].name;
            }
            text += '=';
            const uint8_t value = input.byte();
            text +=
                value == 255 ? as_text(input.take(input.byte())) : k_values[value % k_value_count];
            text.push_back('\0');
        }
        return text;
    }

    void answer(Input& input) {
        wire::LoginResponse pdu;
        const uint8_t how = input.byte();
        const uint8_t granted = stage_ == 0 ? 1 : 3;
        pdu.flags = static_cast<uint8_t>(stage_ << 2);
        if ((how & 3) == 0) pdu.flags = input.byte();
        if ((how & 3) == 1) pdu.flags |= 0x80 | granted;
        if ((how & 3) == 2 && (how & 0x20)) pdu.flags |= 0x40;
        std::memcpy(pdu.isid, order_.login.isid, sizeof(pdu.isid));
        pdu.tsih = leading_ ? 5 : 0x77;
        pdu.initiator_task_tag = 0xf100u;
        pdu.stat_sn = stat_sn_++;
        pdu.exp_cmd_sn = 1;
        pdu.max_cmd_sn = 16;
        if ((how >> 2 & 7) == 7) {
            pdu.status_class = input.byte() % 5;
            pdu.status_detail = input.byte() % 16;
        }
        std::string text = text_of(input);
        // Now and then long enough to need several pieces, or to be too long.
        if (how >= 0xf8) text += "X-a=" + std::string(input.byte() * 64u, 'x') + '\0';
        pdu.data_segment_length = static_cast<uint32_t>(text.size());
        auto* bytes = reinterpret_cast<uint8_t*>(&pdu);
        for (uint8_t changes = input.byte() % 16; changes > 14; changes--) {
            const uint8_t at = input.byte() % wire::k_bhs_bytes;
            bytes[at] = input.byte();
        }
        out_.assign(bytes, bytes + sizeof(pdu));
        out_.insert(out_.end(), text.begin(), text.end());
        out_.resize(out_.size() + (4 - text.size() % 4) % 4);
    }

    void deliver(uint32_t step) {
        for (size_t begin = 0; begin < out_.size() && !logged_in_;) {
            const size_t end = begin + step < out_.size() ? begin + step : out_.size();
            const Bytes chunk(out_.begin() + static_cast<long>(begin),
                              out_.begin() + static_cast<long>(end));
            uint32_t wants = 0;
            const uint32_t eaten = hawser_connection_handle_received(
                connection_, chunk.data(), static_cast<uint32_t>(chunk.size()), 1003, &wants);
            note(wants);
            FUZZ_CHECK(eaten == chunk.size(), "a login eats all");
            begin = end;
        }
    }

    hawser_session* session_ = nullptr;
    hawser_connection* connection_ = nullptr;
    hawser_order order_{};
    hawser_keys offer_{};
    uint8_t algorithms_;
    bool chap_;
    bool mutual_;
    bool responded_ = false;   // the engine had a digest by our own secret
    bool challenged_ = false;  // and so has sent a challenge of its own
    bool proved_ = false;      // the target sent the right response to it
    uint8_t algorithm_ = 0;
    uint8_t random_ = 1;
    Bytes ours_;
    bool leading_;
    bool closing_ = false;
    bool lost_ = false;
    bool closed_ = false;
    bool logged_in_ = false;
    uint8_t stage_ = 0;
    uint32_t stat_sn_ = 0xfffffffe;
    Bytes requests_;
    Bytes text_;
    Bytes out_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    static hawser_options options[16];
    static uint8_t* memory = nullptr;
    static uint64_t memory_bytes = 0;
    if (memory == nullptr) {
        for (int i = 0; i < 16; i++) {
            const std::string line = std::string(
                                         "target=iqn.a:disk initiator=iqn.a:node "
                                         "portal=10.0.1.2 queue_depth=1 ") +
                                     k_options[i & 3] + k_chap_options[i >> 2];
            char reason[HAWSER_REASON_BYTES] = {};
            FUZZ_CHECK(hawser_options_parse(line.data(), static_cast<uint32_t>(line.size()),
                                            &options[i], reason) == HAWSER_ERROR_NONE,
                       reason);
        }
        // What the option line does not offer yet is negotiated all the same.
        for (int i = 1; i < 16; i += 4) {
            options[i].offer.header_digest = options[i].offer.data_digest = 3;
            options[i].offer.error_recovery_level = 2;
        }
        memory_bytes = hawser_session_bytes(&options[0]);
        memory = static_cast<uint8_t*>(std::aligned_alloc(64, (memory_bytes + 63) / 64 * 64));
    }
    std::memset(memory, 0, memory_bytes);
    Input input(bytes, size);
    const uint8_t mode = input.byte();
    Scene scene(mode & 4, memory, options[(mode & 3) | (mode >> 1 & 12)]);
    scene.run(input);
    return 0;
}
