// SPDX-License-Identifier: GPL-2.0-or-later
// A text negotiation of the full feature phase: see text_exchange.hpp.
//
// Theory. F of a request says "this is all that I have", F of a response ends the exchange. A
// response without F has a Target Transfer Tag, which the next request copies, with the LUN, under
// the same Initiator Task Tag (11.10.3, 11.11.4). C says that the text goes on in the next PDU, and
// is answered by an empty one, in both directions (6.2). Without C but also without F a set of
// pairs is whole, and what of it wants an answer gets one. Targets differ in whether they set C on
// the pieces of a long list; a list is therefore read at the end, in one.
#include "engine/text_exchange.hpp"

#include "engine/key_table.hpp"

namespace hawser {

void TextExchange::begin(Purpose purpose) {
    m_state = State::Ready;
    m_purpose = purpose;
    m_asked_continue = false;
    m_name_matches = false;
    m_rounds = 0;
    m_target_transfer_tag = wire::k_reserved_tag;
    m_declared_length = 0;
    for (uint8_t& byte : m_lun) byte = 0;
    m_sent = 0;
    m_received = 0;
    m_writer = wire::TextWriter(m_request_text);
    // Appendix C: in a normal session an empty value means the session's own target.
    if (purpose == Purpose::SendTargets) m_writer.pair("SendTargets", std::string_view());
}

void TextExchange::take_request(wire::TextRequest& header, std::span<const uint8_t>& text) {
    const size_t left = m_writer.length() - m_sent;
    const size_t length = left < k_text_piece_bytes ? left : k_text_piece_bytes;
    m_asked_continue = length < left;
    text = m_writer.written().subspan(m_sent, length);
    m_sent += length;
    header.flags = m_asked_continue ? wire::TextRequest::k_continue : wire::k_final;
    header.target_transfer_tag = m_target_transfer_tag;
    for (size_t i = 0; i < sizeof(m_lun); i++) header.lun[i] = m_lun[i];
    header.data_segment_length = static_cast<uint32_t>(length);
    m_state = State::Waiting;
}

uint32_t TextExchange::handle_response(const wire::TextResponse& header,
                                       std::span<const uint8_t> text) {
    if (m_state != State::Waiting) return HAWSER_ERROR_BAD_TEXT;
    const bool final = (header.flags & wire::k_final) != 0;
    const bool more = (header.flags & wire::TextRequest::k_continue) != 0;
    const uint32_t ttt = header.target_transfer_tag.get();
    // 11.11.1, 11.11.2: what the bits must not be together.
    if ((final && (more || m_asked_continue)) || (!final && ttt == wire::k_reserved_tag))
        return HAWSER_ERROR_BAD_TEXT;
    if (++m_rounds > k_text_rounds_max) return HAWSER_ERROR_TEXT_TOO_LONG;
    m_target_transfer_tag = ttt;
    for (size_t i = 0; i < sizeof(m_lun); i++) m_lun[i] = header.lun[i];
    m_state = State::Ready;
    if (m_asked_continue)  // 6.2: empty, then the rest of ours goes out
        return text.empty() && !more ? HAWSER_ERROR_NONE : HAWSER_ERROR_BAD_TEXT;
    m_writer = wire::TextWriter(m_request_text);
    m_sent = 0;
    uint32_t error = gather(text);
    if (error != HAWSER_ERROR_NONE || more) return error;
    if (m_purpose == Purpose::Negotiate || final) error = answer();
    if (error != HAWSER_ERROR_NONE || !final) return error;
    m_state = State::Done;
    m_reader = wire::TextReader({m_response_text, m_received});
    return HAWSER_ERROR_NONE;
}

uint32_t TextExchange::gather(std::span<const uint8_t> text) {
    if (text.size() > sizeof(m_response_text) - m_received) return HAWSER_ERROR_TEXT_TOO_LONG;
    if (!text.empty()) __builtin_memcpy(m_response_text + m_received, text.data(), text.size());
    m_received += text.size();
    return HAWSER_ERROR_NONE;
}

// A whole set of pairs is here. In a negotiation each that is not just declared gets an answer:
// nothing of RFC 7143 but MaxRecvDataSegmentLength can be agreed anew in this phase, and what is
// not the RFC's is not understood (6.2).
uint32_t TextExchange::answer() {
    const std::span<const uint8_t> text(m_response_text, m_received);
    if (m_purpose == Purpose::Negotiate &&
        wire::has_duplicate_key(text, k_repeatable_key, k_text_pairs_max))
        return HAWSER_ERROR_BAD_TEXT;
    wire::TextReader reader(text);
    while (auto pair = reader.next()) {
        if (m_purpose == Purpose::SendTargets) continue;
        const Key* key = find_key(pair->key);
        if (key == nullptr) {
            m_writer.pair(pair->key, std::string_view("NotUnderstood"));
        } else if (id_of(*key) == KeyId::MaxRecvDataSegmentLength) {
            const auto length = wire::parse_number(pair->value);
            if (!length || *length < key->minimum || *length > key->maximum || m_declared_length)
                return HAWSER_ERROR_BAD_TEXT;
            m_declared_length = static_cast<uint32_t>(*length);
        } else if (key->result != KeyResult::Declared) {
            m_writer.pair(pair->key, std::string_view("Reject"));
        }
    }
    if (reader.error() != wire::TextError::None) return HAWSER_ERROR_BAD_TEXT;
    if (m_purpose == Purpose::Negotiate) m_received = 0;
    return m_writer.overflowed() ? HAWSER_ERROR_TEXT_TOO_LONG : HAWSER_ERROR_NONE;
}

// Appendix C: a TargetName, then its addresses as ADDRESS[:PORT],PORTAL-GROUP-TAG.
std::optional<TargetPortal> TextExchange::next_portal(std::string_view target_name) {
    while (auto pair = m_reader.next()) {
        if (pair->key == "TargetName") m_name_matches = pair->value == target_name;
        if (pair->key != "TargetAddress" || !m_name_matches) continue;
        const size_t comma = wire::find(pair->value, ',');
        const auto where = parse_portal(wire::slice(pair->value, 0, comma));
        const auto tag = wire::parse_number(wire::slice(pair->value, comma + 1));
        if (where && tag && *tag <= 0xffff)
            return TargetPortal{*where, static_cast<uint16_t>(*tag)};
    }
    return std::nullopt;
}

}  // namespace hawser
