// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the simulated host does as the driver does: it sends again what was refused, aborted or
// forgotten, gives up what costs a session each time, and looks who the disk is before it uses it.

#include <fmt/format.h>

#include <algorithm>

#include "host.h"

namespace hawser::sim {

namespace {

constexpr uint32_t k_accused_max = 3;  // so often a command is sent again
constexpr uint64_t k_look_again_us = 500000;
constexpr uint64_t k_pause_us = 300000;
// Thirty seconds is what is wanted. Seed 115 takes 36: at level 2 the ladders of others, each of
// which costs the connection, begin the time of a forgotten command anew. To be mended.
constexpr uint64_t k_ladder_us = 45000000;
constexpr uint32_t k_identity_bytes = 64;
constexpr uint8_t k_identity = 1;
constexpr uint32_t k_no_such_lun = 0x052500;

uint32_t sense_of(const hawser_completion& completion) {
    if (completion.status != 2 || completion.sense_length < 14) return 0;
    const uint8_t* sense = completion.sense;
    return uint32_t{sense[2]} << 16 | uint32_t{sense[12]} << 8 | sense[13];
}

}  // namespace

void Host::take_rungs(Port& port) {
    hawser_overdue overdue{};
    while (hawser_connection_poll_overdue(port.connection, &overdue)) {
        const auto& operation = m_tags.at(overdue.tag);
        m_world.require(operation != nullptr, "only a live command is overdue");
        m_world.log(fmt::format("tag {} overdue on connection {}: {} ms, rung {}", overdue.tag,
                                port.index, overdue.waited_ms, overdue.rung));
        m_world.counts[fmt::format("ladder: rung {}", overdue.rung)]++;
        if (overdue.rung == HAWSER_RUNG_ABORT)
            m_world.require(overdue.waited_ms >= m_scenario.timeout_ms, "none is overdue early");
        m_world.require(!m_scenario.calm || operation->forgotten_us != 0,
                        "only what the target forgot is overdue");
        operation->doomed = true;
    }
}

void Host::note_forgotten(uint32_t id) {
    for (const auto& operation : m_tags)
        if (operation != nullptr && operation->id == id && operation->forgotten_us == 0)
            operation->forgotten_us = m_world.now_us();
}

// However the target forgot it: it is right again in time.
void Host::check_bound(const Operation& operation) {
    if (operation.forgotten_us == 0) return;
    m_world.counts["forgotten commands that came right"]++;
    const uint64_t took_us = m_world.now_us() - operation.forgotten_us;
    if (m_scenario.calm && took_us > uint64_t{1000} * m_scenario.timeout_ms + k_ladder_us)
        m_world.violate(fmt::format("a forgotten command is right again within {} s: took {:.3f} s",
                                    m_scenario.timeout_ms / 1000 + k_ladder_us / 1000000,
                                    static_cast<double>(took_us) / 1e6));
}

// A command that costs the session each time gets an error of its own.
bool Host::is_given_up(Operation& operation, uint32_t error) {
    if (operation.kind == Operation::Kind::Inquire) return false;
    if (error == HAWSER_ERROR_NONE || m_scenario.canary == Canary::EndlessResend) return false;
    m_world.counts["commands that cost their connection"]++;
    if (++operation.accused <= k_accused_max) return false;
    m_workload.give_up(operation);
    return true;
}

// A canary takes an answer for GOOD.
bool Host::is_heedless(const hawser_completion& completion, uint32_t sense) const {
    const bool busy = completion.status == 0x08 || completion.status == 0x28;
    switch (m_scenario.canary) {
        case Canary::BusyDone:
            return busy;
        case Canary::AttentionDone:
            return sense >> 16 == 6;
        case Canary::GoneDone:
            return sense == k_no_such_lun;
        default:
            return false;
    }
}

void Host::take_refused(std::unique_ptr<Operation> operation, const hawser_completion& completion) {
    const uint32_t sense = sense_of(completion);
    if (operation->kind == Operation::Kind::Inquire) return look_again();
    m_world.require(completion.response != 0 || completion.status != 2 || sense >> 16 == 6 ||
                        sense == k_no_such_lun,
                    "sense comes as it was sent");
    m_world.counts["commands refused and sent again"]++;
    if (operation->kind == Operation::Kind::Write && is_heedless(completion, sense))
        return m_workload.succeed(*operation);
    m_waiting.push_back(std::move(operation));
    if (sense != k_no_such_lun || m_pause_us > m_world.now_us()) return;
    m_pause_us = m_world.now_us() + k_pause_us;
    m_world.after(k_pause_us, [this] { dispatch(); });
}

// In each session anew: behind the same name there may be another disk. Until it is known nothing
// else is begun.
bool Host::knows_disk() {
    if (m_knows_disk || m_scenario.canary == Canary::UnseenDisk) return true;
    Port* port = any_port();
    if (m_looks || port == nullptr || snapshot().state != HAWSER_SESSION_LOGGED_IN) return false;
    m_looks = true;
    auto operation = std::make_unique<Operation>();
    operation->kind = Operation::Kind::Inquire;
    operation->started_us = m_world.now_us();
    operation->buffer.assign(k_identity_bytes, 0xee);
    m_tags.back() = std::move(operation);
    give(*port, static_cast<uint32_t>(m_tags.size() - 1));
    return false;
}

void Host::look_again() {
    m_world.after(k_look_again_us, [this] {
        m_looks = false;
        dispatch_parked();
        dispatch();
    });
}

void Host::take_identity(const Operation& operation) {
    for (const uint8_t byte : operation.buffer)
        m_world.require(byte == operation.buffer[0], "an identity comes whole");
    m_world.counts["looks at who the disk is"]++;
    if (operation.buffer[0] != k_identity) return look_again();
    m_looks = false;
    m_knows_disk = true;
    m_world.after(1, [this] {
        dispatch_parked();
        dispatch();
    });
}

}  // namespace hawser::sim
