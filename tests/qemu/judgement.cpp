// SPDX-License-Identifier: GPL-2.0-or-later
//
// The judgement of a run: from packets, from the disk image, from the console. Nothing here asks
// what our own code says of itself.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "disk.h"
#include "ending.h"
#include "scenario.h"

namespace hawser::qemu {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t k_written_bytes = 64 << 20;

std::string at(const std::optional<double>& time) {
    return time ? fmt::format("{:.3f} s", *time) : "never";
}

}  // namespace

const Capture& Scenario::wire() {
    if (!wire_) {
        wire_.emplace();
        for (unsigned nic = 0; nic < plan_.nics; ++nic) {
            read_capture(machine_->pcap(nic), nic, target_->port(),
                         static_cast<double>(machine_->pcap_epoch()), *wire_);
        }
    }
    return *wire_;
}

// The firmware's last login comes milliseconds before the kernel's first line, the kernel's own
// cannot come within its first half second.
Capture Scenario::kernel_wire() {
    return wire().since(report_.phase_at("kernel start").value_or(0) + 0.5).logged_in();
}

void Scenario::judge_wire(unsigned connections) {
    auto session = kernel_wire();
    report_.set_connections(session);
    std::set<unsigned> cids, tsihs, nics;
    double first_login = 1e9, last_login = 0;
    for (const auto& connection : session.connections) {
        cids.insert(connection.cid());
        tsihs.insert(connection.tsih());
        nics.insert(connection.nic);
        first_login = std::min(first_login, *connection.logged_in_at());
        last_login = std::max(last_login, *connection.logged_in_at());
        report_.check("carries SCSI commands: " + describe(connection), connection.commands > 0);
    }
    if (!session.connections.empty()) {
        report_.phase("first login", first_login);
        report_.phase("last login", last_login);
    }
    report_.check(fmt::format("{} connections logged in, each with a CID of its own", connections),
                  session.connections.size() == connections && cids.size() == connections,
                  fmt::format("{} connections, CIDs {}", session.connections.size(), cids));
    report_.check("they are one session: one TSIH, not 0", tsihs.size() == 1 && !tsihs.contains(0),
                  fmt::format("TSIHs {}", tsihs));
    unsigned expected_nics = std::min(connections, plan_.portals);
    report_.check(fmt::format("they use {} NICs", expected_nics), nics.size() == expected_nics,
                  fmt::format("NICs {}", nics));
    auto pivot = report_.phase_at("switch_root");
    auto late = wire().login_requests_after(pivot.value_or(0));
    report_.check("no Login Request after switch_root", pivot && late == 0,
                  fmt::format("{} after {}", late, at(pivot)));
    report_.check("tshark finds no malformed PDU of ours", wire().malformed.empty(),
                  fmt::format("{}", fmt::join(wire().malformed, "\n")));
    uint64_t in = 0, out = 0;
    for (const auto& connection : session.connections) {
        in += connection.bytes_in;
        out += connection.bytes_out;
    }
    report_.check("64 MiB went over the wire in each direction",
                  in >= k_written_bytes && out >= k_written_bytes,
                  fmt::format("{} bytes read, {} written", in, out));
}

void Scenario::judge_clean_end() {
    auto session = kernel_wire();
    report_.set_connections(session);
    auto asked = report_.phase_at("power-off asked");
    judge_session_end(report_, session, asked ? asked : report_.phase_at("reboot asked"));
}

// Every life of the machine: its session, from its kernel's start to its end.
void Scenario::judge_lives() {
    for (size_t i = 0; i < lives_.size(); ++i) {
        const auto& life = lives_[i];
        auto session = wire().between(life.kernel_start + 0.5, life.ended).logged_in();
        auto label = fmt::format(" (life {}: {})", i + 1, life.end);
        report_.check(fmt::format("{} connections logged in{}", plan_.portals, label),
                      session.connections.size() == plan_.portals,
                      std::to_string(session.connections.size()));
        judge_session_end(report_, session, life.asked, label);
    }
    report_.set_connections(wire().logged_in());
    report_.check("tshark finds no malformed PDU of ours", wire().malformed.empty(),
                  fmt::format("{}", fmt::join(wire().malformed, "\n")));
}

void Scenario::inspect_disk(const std::string& label) {
    auto state = inspect_file_system(image());
    report_.check("e2fsck -n finds a clean file system" + label, state.clean, state.report);
    report_.check("no journal to replay" + label, !state.needs_recovery);
    judge_noise(label);
}

void Scenario::judge_noise(const std::string& label) {
    if (!sum_.empty()) {
        auto seen = sha256_inside(image(), "/root/hawser-64MiB");
        report_.check("the 64 MiB are on the disk, read out of the image on the host" + label,
                      seen == sum_, seen);
    }
}

void Scenario::judge_disk(bool unmounted) {
    target_->stop();
    if (unmounted) {
        inspect_disk("");
        return;
    }
    replay_journal(image());
    report_.check("the journal's replay leaves a clean file system", true);
    judge_noise("");
}

void Scenario::finish(const std::string& expected) {
    if (!plan_.on_terminal) {
        auto complaints = kernel_complaints(machine_->serial().lines(), expected);
        report_.check("the kernel has nothing to complain about", complaints.empty(),
                      fmt::format("{}", fmt::join(complaints, "\n")));
    }
    report_.write(directory_ / "report.json");
    // Evidence stays, a copy of the root disk does not: it is as large as all the rest.
    if (report_.passed()) {
        target_->stop();
        fs::remove(image());
    }
}

}  // namespace hawser::qemu
