// SPDX-License-Identifier: GPL-2.0-or-later
//
// The dice of a scenario.

#include "scenario.h"

#include <fmt/format.h>

#include <algorithm>

namespace hawser::sim {

Canary canary_of(const std::string& name) {
    constexpr Canary k_values[] = {
        Canary::LateWrite,    Canary::LostWrite,     Canary::ForgottenTask, Canary::StaleWindow,
        Canary::EarlyLogin,   Canary::Deaf,          Canary::WrongPlace,    Canary::ForgottenNexus,
        Canary::UnheardSnack, Canary::EagerStatus,   Canary::HastyReassign, Canary::HastyWait,
        Canary::HiddenDamage, Canary::WrongSecret,   Canary::PlainNumbers,  Canary::AbortedDone,
        Canary::LateAbort,    Canary::NoLadder,      Canary::LongAbort,     Canary::EndlessResend,
        Canary::BusyDone,     Canary::AttentionDone, Canary::GoneDone,      Canary::UnseenDisk,
        Canary::LyingTcp,     Canary::BlindToOrder};
    for (size_t i = 0; i < std::size(k_canaries); i++) {
        if (name == k_canaries[i]) return k_values[i];
    }
    if (!name.empty()) throw std::invalid_argument(name + " is no canary");
    return Canary::None;
}

Scenario::Scenario(Random& random) {
    constexpr uint32_t k_connections[] = {1, 2, 4, 4, 8};
    constexpr uint32_t k_windows[] = {1, 2, 4, 16, 64};
    constexpr uint32_t k_segments[] = {512, 1024, 4096, 8192, 65536};
    constexpr uint32_t k_bursts[] = {512, 4096, 16384, 262144};
    manners = random.chance(50) ? Manners::Tgt : Manners::Lio;
    connections = random.pick(k_connections);
    portals = static_cast<uint32_t>(random.between(1, connections));
    granted =
        random.chance(70) ? connections : static_cast<uint32_t>(random.between(1, connections));
    queue_depth = static_cast<uint32_t>(random.between(1, 32));
    window = random.pick(k_windows);
    time2wait_s = random.chance(30) ? 0 : static_cast<uint32_t>(random.between(1, 3));
    target_segment = random.pick(k_segments);
    initiator_segment = random.pick(k_segments);
    max_burst = random.pick(k_bursts);
    first_burst = std::min(max_burst, random.pick(k_bursts));
    max_outstanding_r2t = static_cast<uint32_t>(random.between(1, 4));
    initial_r2t = random.chance(50);
    immediate_data = random.chance(60);
    extra_login_round = random.chance(30);
    status_in_data_in = random.chance(50);
    backend_us = random.between(50, 2000);
    slow_backend_us = random.chance(50) ? random.between(100000, 3000000) : 20000;
    linger_us = time2wait_s == 0 ? 0 : time2wait_s * uint64_t{1000000} - 400000;
    fault_every_us = random.chance(10) ? 0 : random.between(1500000, 20000000);
    pings = fault_every_us != 0 || random.chance(20);
    busy_us = random.between(30, 120) * 1000000;
    blocks = static_cast<uint32_t>(random.between(8, 64));
    choose_recovery(random);
    choose_more(random);
    choose_strange(random);
    choose_slow_path(random);
}

// Where one level has to mend all by itself, the target is not strange beside.
void Scenario::choose_strange(Random& random) {
    constexpr uint32_t k_timeouts_ms[] = {3000, 8000, 30000};
    constexpr Forgetting k_forgetting[] = {Forgetting::Answered, Forgetting::Refused,
                                           Forgetting::Silent};
    if (diet != Diet::Everything) return;
    attends = random.chance(40);
    if (random.chance(40)) {
        forgets = static_cast<uint32_t>(random.between(1, 20));
        forgetting = random.pick(k_forgetting);
        timeout_ms = random.pick(k_timeouts_ms);
        calm = random.chance(40);
    }
    if (calm) {
        // No command takes as long as that otherwise.
        timeout_ms = std::max(timeout_ms, uint32_t{8000});
        fault_every_us = manage_every_us = 0;
        defect = Defect::None;
        time2retain_s = 60;
        // The bound knows the two seconds that targets ask for; at level 2 they come twice.
        time2wait_s = std::min(time2wait_s, 2u);
        linger_us = std::min(linger_us, uint64_t{600000} * time2wait_s);
        return;
    }
    rejects = random.chance(20) ? static_cast<uint32_t>(random.between(1, 5)) : 0;
    poisons = random.chance(15);
    lun_goes = random.chance(30);
    disk_changes = random.chance(30);
}

// A deep queue of long writes on a path that is slow, in peace, and a target that waits for its
// data as LIO does: no connection may be lost.
void Scenario::choose_slow_path(Random& random) {
    path_bytes_per_ms = 0;
    data_out_us = 0;
    if (!random.chance(4)) return;
    path_bytes_per_ms = static_cast<uint32_t>(random.between(500, 1500));
    data_out_us = 3000000;
    connections = granted = portals = static_cast<uint32_t>(random.between(1, 2));
    queue_depth = window = 128;
    offered_level = level = 0;
    defect = Defect::None;
    diet = Diet::Everything;
    max_burst = 262144;
    first_burst = 65536;
    target_segment = 8192;
    slow_backend_us = 20000;
    fault_every_us = manage_every_us = 0;
    forgets = rejects = 0;
    calm = poisons = attends = lun_goes = disk_changes = false;
    timeout_ms = 8000;  // to wait here is no silence of the target
    busy_us = 20000000;
    blocks = 32768;
}

void Scenario::choose_more(Random& random) {
    chap = random.chance(30);
    mutual = chap && random.chance(50);
    before_wrap = random.chance(25) ? static_cast<uint32_t>(random.between(1, 300)) : 0;
    manage_every_us = random.chance(40) ? random.between(200000, 10000000) : 0;
    // A response that a second function overtakes costs the connection: one slot keeps one tag.
    if (manage_every_us != 0 && diet == Diet::NoiseOnly) manage_every_us += 2000000;
}

void Scenario::choose_recovery(Random& random) {
    constexpr uint32_t k_levels[] = {0, 0, 1, 2, 2, 2};
    constexpr uint32_t k_retains[] = {1, 5, 20, 20, 60};
    constexpr Defect k_defects[] = {
        Defect::NoReassign,      Defect::Forgetful,   Defect::SlowRelease, Defect::LogoutUnanswered,
        Defect::RecoveryRefused, Defect::CidNotFound, Defect::NoTime2Wait};
    level = random.pick(k_levels);
    offered_level = random.chance(85) ? 2 : static_cast<uint32_t>(random.between(0, 2));
    time2retain_s = random.pick(k_retains);
    header_digest = random.chance(40);
    data_digest = random.chance(50);
    acknowledge = random.chance(50);
    defect = Defect::None;
    diet = Diet::Everything;
    const uint32_t agreed = std::min(level, offered_level);
    if (agreed == 2 && random.chance(35)) defect = random.pick(k_defects);
    if (agreed == 0 && random.chance(15)) defect = Defect::NoOrder;
    if (agreed == 0 && random.chance(15)) defect = Defect::RefusesLower;
    if (agreed == 0 || fault_every_us == 0 || !random.chance(30)) return;
    diet = agreed == 2 && random.chance(50) ? Diet::ResetsOnly : Diet::NoiseOnly;
    if (diet == Diet::NoiseOnly) return;
    // Mended without a new session: a correct target, and time enough.
    defect = Defect::None;
    time2retain_s = 60;
}

std::string Scenario::option_line() const {
    std::string line = "target=iqn.a:disk initiator=iqn.a:node timeout=3600";
    for (uint32_t i = 0; i < portals; i++) line += fmt::format(" portal=10.0.{}.2", i + 1);
    line += fmt::format(" connections={} queue_depth={} MaxRecvDataSegmentLength={}", connections,
                        queue_depth + 1, initiator_segment);  // one is for who the disk is
    line += fmt::format(" MaxOutstandingR2T={}", offered_level != 0 ? 1 : max_outstanding_r2t);
    line += fmt::format(" ErrorRecoveryLevel={} DefaultTime2Retain=60", offered_level);
    if (header_digest) line += " HeaderDigest=CRC32C,None";
    if (data_digest) line += " DataDigest=CRC32C,None";
    if (canary == Canary::BlindToOrder) line += " cmdsn_order=session";
    if (chap) line += " chap_name=node chap_key=ours";
    if (mutual) line += " chap_name_in=disk chap_key_in=theirs";
    if (!pings) line += " noop_out_interval=0";
    return line;
}

}  // namespace hawser::sim
