// SPDX-License-Identifier: GPL-2.0-or-later
// The Login Phase of one connection, RFC 7143 6.3: the stages and their text. No I/O, no memory but
// its own. One Login Request is outstanding at any time (6.3): poll_request gives it once, and the
// next one only after handle_response took its answer.
#pragma once

#include "abi/engine.h"
#include "engine/chap.hpp"
#include "engine/negotiation.hpp"
#include "wire/bhs.hpp"
#include "wire/text.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace hawser {

// RFC 7143 6.2 asks for at least six exchanges; CHAP in both directions and text that arrives in
// pieces fit well into these.
inline constexpr uint32_t k_login_rounds_max = 32;
// RFC 7143 6.1: at least 8192 bytes of key=value data are accepted in a negotiation sequence.
inline constexpr size_t k_login_text_bytes_max = 8192;
// What we may have to say in one go: names, keys, and NotUnderstood for each of a target's keys.
inline constexpr size_t k_login_request_bytes_max = 12288;
// The default MaxRecvDataSegmentLength holds for both sides during login, RFC 7143 6.3.
inline constexpr size_t k_login_segment_bytes_max = 8192;
// Pairs in one logical text data segment.
inline constexpr size_t k_login_pairs_max = 128;

enum class LoginState : uint8_t {
    Idle,         // begin() was not called
    Security,     // SecurityNegotiation, CSG 0
    Operational,  // LoginOperationalNegotiation, CSG 1
    FullFeature,  // FullFeaturePhase, 3
    Failed,
};

class Login {
public:
    // options outlive the login.
    void begin(const hawser_options& options, const hawser_login_order& order);

    // The next Login Request: everything in the header but ITT, CmdSN and ExpStatSN, which the
    // connection fills. False when nothing is to be sent now. text is valid until the next
    // handle_response.
    bool poll_request(wire::LoginRequest& header, std::span<const uint8_t>& text);

    // One whole Login Response, of which the connection has checked opcode, ITT and StatSN (the
    // latter only with Status-Class 0: RFC 7143 11.13.4). Returns enum hawser_error.
    uint32_t handle_response(const wire::LoginResponse& header, std::span<const uint8_t> text);

    // A digest that the host is to compute: until it is here, poll_request has nothing.
    bool poll_chap(hawser_chap_request& request) const { return m_chap.poll(request); }
    uint32_t handle_chap(const hawser_chap_answer& answer);
    // What goes on a login that is not done.
    uint32_t wants() const { return m_chap.is_waiting() ? HAWSER_WANT_CHAP : HAWSER_WANT_TRANSMIT; }

    bool done() const { return m_state == LoginState::FullFeature; }
    LoginState state() const { return m_state; }
    // Status-Class << 8 | Status-Detail of the failing response; 0 when it is no status that
    // failed.
    uint32_t detail() const { return m_detail; }
    // Once done: what was agreed. On a further connection the session-wide keys are the session's.
    const hawser_keys& keys() const { return m_negotiation.keys(); }
    uint16_t tsih() const { return m_tsih; }
    uint16_t target_portal_group_tag() const { return m_portal_group_tag; }
    // With LOGIN_REDIRECTED: where to. Family 0: the target named a host, which cannot be looked up
    // here, or nothing that is an address.
    const hawser_address& redirect() const { return m_redirect; }
    uint16_t redirect_port() const { return m_redirect_port; }

private:
    uint32_t fail(uint32_t error);
    uint32_t reply(const wire::LoginResponse& header, std::span<const uint8_t> text);
    void enter(LoginState state);
    void declare_names(const hawser_options& options);
    uint32_t handle_status(const wire::LoginResponse& header, std::span<const uint8_t> text);
    uint32_t check_fields(const wire::LoginResponse& header, bool final) const;
    uint32_t gather(std::span<const uint8_t> text);
    uint32_t handle_text(bool transit);
    uint32_t handle_pair(const wire::TextPair& pair, bool& answer_wanted);
    uint32_t check_portal_group();
    uint32_t leave_stage(const wire::LoginResponse& header, LoginState to);
    void take_redirect(std::span<const uint8_t> text);

    KeyStage key_stage() const {
        return m_state == LoginState::Security ? KeyStage::Security : KeyStage::Operational;
    }

    Negotiation m_negotiation;
    Chap m_chap;
    LoginState m_state = LoginState::Idle;
    bool m_leading = true;
    bool m_request_ready = false;     // poll_request has something
    bool m_asked_transit = false;     // the outstanding request had T
    bool m_asked_continue = false;    // the outstanding request had C: our text goes on
    bool m_target_continues = false;  // the last response had C: the target's text goes on
    uint8_t m_isid[6] = {};
    uint16_t m_cid = 0;
    uint16_t m_tsih = 0;
    uint16_t m_expected_portal_group_tag = 0;
    uint16_t m_portal_group_tag = 0;
    uint16_t m_redirect_port = 0;
    hawser_address m_redirect = {};
    uint32_t m_detail = 0;
    uint32_t m_rounds = 0;
    wire::TextWriter m_writer;
    size_t m_sent = 0;      // bytes of what m_writer wrote that requests have carried
    size_t m_received = 0;  // bytes of the logical text data segment that is coming in
    uint8_t m_request_text[k_login_request_bytes_max] = {};
    uint8_t m_response_text[k_login_text_bytes_max] = {};
};

}  // namespace hawser
