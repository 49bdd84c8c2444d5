// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the model target does that an initiator has no right to complain of, or
// none that helps it: it forgets tasks, rejects commands, is busy, loses its
// LUN, and is another disk for a while.

#include <fmt/format.h>

#include "target.h"

namespace hawser::sim {

namespace {

constexpr uint8_t k_poison = 0xc1;
constexpr uint8_t k_function_not_supported = 5;
constexpr uint32_t k_reset_occurred = 0x062900;
constexpr uint32_t k_no_such_lun = 0x052500;

// What the host put there; nobody reads a ten byte CDB so far.
uint32_t id_of(const TargetTask& task) {
    const uint8_t* at = task.command.cdb + 12;
    return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

}  // namespace

// A command is forgotten once: what is sent anew has its chance. Where the
// bound is held, it is that of one command: those that wait for an INQUIRY
// which is forgotten as well have it twice.
Forgets Target::choose_forgetting(const TargetTask& task) {
    constexpr Forgets k_moments[] = {Forgets::AtOnce, Forgets::WithData, Forgets::Done};
    const bool first = task.command.cdb[6] == 1;
    if (!strange || !first || (scenario.calm && task.is_inquiry()) ||
        world.random.next() % 1000 >= scenario.forgets)
        return Forgets::Never;
    return world.random.pick(k_moments);
}

bool Target::forget(TargetTask& task, Forgets when) {
    if (task.forgets != when) return task.forgotten;
    if (task.forgotten) return true;
    task.forgotten = true;
    world.counts["strange: tasks forgotten"]++;
    world.log(fmt::format("target forgets task {:x}", task.itt()));
    forgot(id_of(task));
    return true;
}

// Another initiator's reset ended it, without a status for us; or something is
// out of order.
void TargetConnection::abort_forgotten(const std::shared_ptr<TargetTask>& task,
                                       uint32_t function_itt) {
    switch (target.scenario.forgetting) {
        case Forgetting::Silent:
            return;
        case Forgetting::Refused:
            return answer_management(function_itt, k_function_not_supported);
        case Forgetting::Answered:
            abort(task);
            answer_management(function_itt, target.world.random.chance(50) ? 0 : 1);
    }
}

// RFC 7143 11.17.1: it is as though it had not come.
bool TargetConnection::rejects_command(const Pdu& pdu) {
    constexpr uint8_t k_reasons[] = {4, 5, 9};
    World& world = target.world;
    const bool poison = pdu.as<wire::ScsiCommand>().cdb[0] == k_poison;
    const uint32_t rejects = target.strange ? target.scenario.rejects : 0;
    if (!poison && (rejects == 0 || world.random.next() % 1000 >= rejects)) return false;
    world.counts["strange: commands rejected"]++;
    reject(pdu, world.random.pick(k_reasons));
    return true;
}

// It has too much to do, or the wrong moment, or no such LUN.
bool Target::refuses(TargetTask& task) {
    Random& random = world.random;
    if (lun_gone || world.now_us() < attention_us) {
        task.status = 2;
        task.sense = lun_gone ? k_no_such_lun : k_reset_occurred;
        world.counts[lun_gone ? "strange: no such LUN" : "strange: the LUN is back"]++;
        return true;
    }
    if (random.chance(1)) {
        task.status = random.chance(50) ? 0x08 : 0x28;
        return true;
    }
    if (scenario.attends && strange && random.chance(1)) {
        world.counts["strange: UNIT ATTENTION"]++;
        task.status = 2;
        task.sense = k_reset_occurred;
        return true;
    }
    world.require(!foreign || task.is_inquiry(), "no command reaches a disk that is not ours");
    return false;
}

}  // namespace hawser::sim
