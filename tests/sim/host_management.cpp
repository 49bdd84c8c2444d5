// SPDX-License-Identifier: GPL-2.0-or-later
//
// The simulated host's CHAP and its task management: what the module's glue and the SCSI error
// handler do. What was aborted is begun anew, as the error handler would, so that a write that was
// aborted has no other end than to be acknowledged.

#include <fmt/format.h>

#include "chap_digest.h"
#include "chap_turn.h"
#include "host.h"

namespace hawser::sim {

namespace {

constexpr uint64_t k_escalation_us = 100000;

}  // namespace

void Host::answer_chap(Port& port) {
    hawser_chap_request request{};
    if (!hawser_connection_poll_chap(port.connection, &request)) return;
    std::vector<uint8_t> random(HAWSER_CHAP_RANDOM_BYTES);
    for (uint8_t& byte : random) byte = static_cast<uint8_t>(m_world.random.next());
    const bool wrong = m_scenario.canary == Canary::WrongSecret && m_world.random.chance(20);
    const auto answer = test::chap_answer(request, wrong ? "not-the-secret" : k_our_secret,
                                          k_target_secret, random);
    after(port, hawser_connection_handle_chap(port.connection, &answer, m_world.now_ms()));
}

void Host::manage() {
    if (m_managing != 0 || m_logout) return;
    m_world.random.chance(80) ? abort_one() : reset_unit();
}

void Host::abort_one() {
    std::vector<uint32_t> tags;
    for (uint32_t tag = 0; tag < m_tags.size(); tag++)
        if (m_tags[tag] != nullptr && !m_tags[tag]->parked) tags.push_back(tag);
    if (tags.empty()) return;
    hawser_task_management request{};
    request.function = HAWSER_FUNCTION_ABORT_TASK;
    request.tag = tags[m_world.random.next() % tags.size()];
    m_managing = request.function;
    m_tags[request.tag]->doomed = true;
    Port& port = *m_ports[m_tags[request.tag]->home];
    m_world.log(fmt::format("abort tag {} on connection {}", request.tag, port.index));
    m_world.counts["task management: ABORT TASK"]++;
    after(port, hawser_connection_manage(port.connection, &request, m_world.now_ms()));
}

// No command is begun until it is answered.
void Host::reset_unit() {
    Port* port = any_port();
    if (port == nullptr) return;
    hawser_task_management request{};
    request.function = HAWSER_FUNCTION_LOGICAL_UNIT_RESET;
    m_managing = request.function;
    for (const auto& operation : m_tags)
        if (operation != nullptr) operation->doomed = true;
    m_world.log(fmt::format("reset by connection {}", port->index));
    m_world.counts["task management: LOGICAL UNIT RESET"]++;
    after(*port, hawser_connection_manage(port->connection, &request, m_world.now_ms()));
}

void Host::take_managed(Port& port) {
    hawser_managed managed{};
    if (!hawser_connection_poll_managed(port.connection, &managed)) return;
    m_world.log(fmt::format("function {} of connection {}: {} response {}", managed.function,
                            port.index, hawser_error_words(managed.error), managed.response));
    m_world.require(m_managing == managed.function, "a result is of what was asked for");
    if (managed.error != 0) {
        m_world.counts[fmt::format("task management: {}", hawser_error_words(managed.error))]++;
        m_escalates = true;
        m_world.after(k_escalation_us, [this] { escalate(); });
    }
    if (managed.function == HAWSER_FUNCTION_LOGICAL_UNIT_RESET) m_unit_reset_us = m_world.now_us();
    m_managing = 0;
    m_world.after(1, [this] {
        dispatch_parked();
        dispatch();
    });
}

// What an unanswered function ended at the target nobody knows: tasks of siblings may wait for ever
// for an answer. The SCSI error handler goes on to a wider function then, until one is answered.
void Host::escalate() {
    if (m_ended || m_logout) m_escalates = false;
    if (!m_escalates) return;
    if (m_managing == 0 && any_port() != nullptr) {
        m_escalates = false;
        return reset_unit();
    }
    m_world.after(k_escalation_us, [this] { escalate(); });
}

void Host::take_aborted(std::unique_ptr<Operation> operation) {
    // Siblings hear of a reset by way of the session; what was given to them before that, and had
    // not gone out yet, may be hit too.
    constexpr uint64_t k_way_us = 2000;
    const bool hit = m_unit_reset_us != 0 && m_world.now_us() <= m_unit_reset_us + k_way_us;
    m_world.require(operation->doomed || hit, "only what was asked for is aborted");
    operation->doomed = false;
    m_world.counts["task management: commands aborted"]++;
    if (m_scenario.canary == Canary::AbortedDone && operation->kind == Operation::Kind::Write)
        return m_workload.succeed(*operation);
    if (operation->kind == Operation::Kind::Inquire) return look_again();
    m_waiting.push_back(std::move(operation));
}

}  // namespace hawser::sim
