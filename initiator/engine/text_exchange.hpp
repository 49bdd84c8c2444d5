// SPDX-License-Identifier: GPL-2.0-or-later
// A text negotiation of the full feature phase, RFC 7143 11.10 and 11.11: no I/O, no memory but its
// own. One on a connection at a time (6.2), and in it one Text Request at a time: poll_request
// gives it once, and the next one only after handle_response took its answer.
//
// Two things are asked for: SendTargets, whose answer is a list that may come in pieces; and
// nothing (an empty request), with which a target that asked for a negotiation (11.9.1, event 4)
// gets the word. Of what may be said then only MaxRecvDataSegmentLength changes anything (13.12).
#pragma once

#include "abi/engine.h"
#include "engine/address.hpp"
#include "wire/bhs.hpp"
#include "wire/text.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace hawser {

// RFC 7143 6.1: at least 8192 bytes are accepted in a negotiation sequence.
inline constexpr size_t k_text_bytes_max = 8192;
inline constexpr size_t k_text_answer_bytes_max = 1024;
// Every target takes a segment of this length: the least MaxRecvDataSegmentLength, 13.12.
inline constexpr size_t k_text_piece_bytes = 512;
inline constexpr uint32_t k_text_rounds_max = 64;
inline constexpr size_t k_text_pairs_max = 128;  // of one set in a negotiation

struct TargetPortal {
    AddressAndPort where;
    uint16_t group_tag;
};

class TextExchange {
public:
    enum class Purpose : uint8_t { SendTargets, Negotiate };

    void begin(Purpose purpose);
    void abandon() { m_state = State::Idle; }
    bool active() const { return m_state == State::Ready || m_state == State::Waiting; }
    bool ready() const { return m_state == State::Ready; }
    bool done() const { return m_state == State::Done; }
    Purpose purpose() const { return m_purpose; }

    // The next Text Request: flags, TTT, LUN and length; the rest of the header is the
    // connection's. text is valid until handle_response.
    void take_request(wire::TextRequest& header, std::span<const uint8_t>& text);
    // One whole Text Response whose ITT and StatSN were checked. Returns enum hawser_error.
    uint32_t handle_response(const wire::TextResponse& header, std::span<const uint8_t> text);

    // Once done: what the target declared anew, 0: nothing.
    uint32_t declared_length() const { return m_declared_length; }
    // Once done with SendTargets: the portals of that target, one at a time; host names are passed
    // over, nobody here can look them up.
    std::optional<TargetPortal> next_portal(std::string_view target_name);

private:
    enum class State : uint8_t { Idle, Ready, Waiting, Done };
    uint32_t gather(std::span<const uint8_t> text);
    uint32_t answer();

    State m_state = State::Idle;
    Purpose m_purpose = Purpose::SendTargets;
    bool m_asked_continue = false;
    bool m_name_matches = false;
    uint32_t m_rounds = 0;
    uint32_t m_target_transfer_tag = wire::k_reserved_tag;
    uint32_t m_declared_length = 0;
    uint8_t m_lun[8] = {};
    wire::TextWriter m_writer;
    size_t m_sent = 0;
    size_t m_received = 0;
    wire::TextReader m_reader{{}};
    uint8_t m_request_text[k_text_answer_bytes_max] = {};
    uint8_t m_response_text[k_text_bytes_max] = {};
};

}  // namespace hawser
