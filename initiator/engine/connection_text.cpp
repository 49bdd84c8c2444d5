// SPDX-License-Identifier: GPL-2.0-or-later
// Text Requests of a connection in full feature phase: who asks, when they go out, what became of
// them. text_exchange.cpp has what is said.
//
// They are immediate, so they take no CmdSN and pass a closed window. A text that breaks the rules,
// is rejected or not answered ends the exchange and nothing else: what was agreed before goes on to
// hold (RFC 7143 7.12 b).
#include "engine/connection.hpp"

namespace hawser {

uint32_t Connection::send_targets(uint32_t epoch, uint64_t now_ms) {
    if (!accepts() || m_closing || epoch != m_epoch) return 0;
    m_text.targets_wanted = true;
    m_text.deadline_ms = now_ms + m_shared->options.login_timeout_ms;
    return HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
}

// The target asks for a negotiation, RFC 7143 11.9.1: a request that is pending will do.
uint32_t Connection::negotiate(uint64_t now_ms) {
    if (m_text.targets_wanted || m_text.exchange.active()) return 0;
    m_text.negotiation_wanted = true;
    m_text.deadline_ms = now_ms + m_shared->options.login_timeout_ms;
    return HAWSER_WANT_TRANSMIT | HAWSER_WANT_TIMEOUT;
}

bool Connection::text_is_due() const {
    if (m_text.exchange.active()) return m_text.exchange.ready();
    return (m_text.targets_wanted || m_text.negotiation_wanted) && !m_text.report_due;
}

// The header; the text goes out behind it as a login's does.
void Connection::append_text() {
    if (!m_text.exchange.active()) {
        m_text.exchange.begin(m_text.targets_wanted ? TextExchange::Purpose::SendTargets
                                                    : TextExchange::Purpose::Negotiate);
        m_text.targets_wanted = false;
        m_text.negotiation_wanted = false;
        m_text.generation++;
    }
    wire::TextRequest request;
    std::span<const uint8_t> text;
    m_text.exchange.take_request(request, text);
    request.opcode |= wire::k_immediate;
    request.initiator_task_tag = uint32_t{m_text.generation} << 16 | k_text_tag | m_index;
    request.cmd_sn = m_shared->window.current().value();
    request.exp_stat_sn = m_statuses.expected().value();
    append_header(request);
    attach_text(text);
}

// Whether this is the exchange's tag, and an answer is owed: not before the request has gone, whose
// text an answer replaces.
bool Connection::awaits_text(uint32_t initiator_task_tag) const {
    const uint32_t ours = uint32_t{m_text.generation} << 16 | k_text_tag | m_index;
    return initiator_task_tag == ours && m_text.exchange.active() && !m_text.exchange.ready() &&
           m_own_text.empty();
}

uint32_t Connection::handle_text_response() {
    const auto& response = header_as<wire::TextResponse>();
    const uint32_t itt = response.initiator_task_tag.get();
    const bool awaited = awaits_text(itt);
    const bool late = m_text.overdue != 0 && (itt & 0xffff) == (k_text_tag | m_index);
    if (!awaited && !late) return fail(HAWSER_ERROR_UNEXPECTED_OPCODE, response.opcode);
    const uint32_t wants = take_window();
    if (!awaited) {
        m_text.overdue--;
        return wants;
    }
    TextExchange& exchange = m_text.exchange;
    uint32_t error = HAWSER_ERROR_TEXT_TOO_LONG;  // more than a segment that is kept
    if (response.data_segment_length.get() == m_segment_filled)
        error = exchange.handle_response(response, {m_segment.data(), m_segment_filled});
    if (error != HAWSER_ERROR_NONE) return wants | end_text(error);
    if (!exchange.done()) return wants | HAWSER_WANT_TRANSMIT;
    if (exchange.declared_length() != 0)
        m_keys.max_xmit_data_segment_length = exchange.declared_length();
    return wants | end_text(HAWSER_ERROR_NONE);
}

// However it ended: whoever wanted portals is told.
uint32_t Connection::end_text(uint32_t error) {
    TextExchange& exchange = m_text.exchange;
    const bool began = exchange.active() || exchange.done();
    const bool targets =
        began ? exchange.purpose() == TextExchange::Purpose::SendTargets : m_text.targets_wanted;
    if (!exchange.done() || !targets) exchange.abandon();
    if (!began) m_text.targets_wanted = m_text.negotiation_wanted = false;
    m_text.error = error;
    m_text.report_due = targets;
    if (!m_text.targets_wanted) m_text.deadline_ms = HAWSER_NEVER;
    return HAWSER_WANT_TIMEOUT | HAWSER_WANT_TRANSMIT | (targets ? HAWSER_WANT_REPORT : 0);
}

bool Connection::poll_text_report(hawser_report& report) {
    if (!m_text.report_due) return false;
    if (m_text.exchange.done()) {
        const auto portal =
            m_text.exchange.next_portal(wire::text_of(m_shared->options.target_name));
        if (portal.has_value()) {
            report = make_report(HAWSER_REPORT_PORTAL);
            report.redirect = portal->where.address;
            report.redirect_port = portal->where.port;
            report.target_portal_group_tag = portal->group_tag;
            return true;
        }
        m_text.exchange.abandon();
    }
    m_text.report_due = false;
    report = make_report(HAWSER_REPORT_PORTALS_TOLD);
    report.error = m_text.error;
    return true;
}

}  // namespace hawser
