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
#include "scenario.h"

namespace hawser::qemu {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t k_written_bytes = 64 << 20;

std::string at(const std::optional<double>& time) {
    return time ? fmt::format("{:.3f} s", *time) : "never";
}

std::string describe(const WireConnection& connection) {
    return fmt::format("CID {} ({} by net{})", connection.cid(), connection.portal, connection.nic);
}

// The connections that live at the end: those of the last session, when it was reinstated.
std::vector<const WireConnection*> open_at_end(const Capture& capture) {
    std::vector<const WireConnection*> open;
    for (const auto& connection : capture.connections) {
        bool newest = std::none_of(capture.connections.begin(), capture.connections.end(),
                                   [&](const auto& other) {
                                       return other.cid() == connection.cid() &&
                                              other.logged_in_at() > connection.logged_in_at();
                                   });
        if (newest) {
            open.push_back(&connection);
        }
    }
    return open;
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
    auto open = open_at_end(session);
    std::optional<double> first_logout, last_sync, last_command;
    bool session_closed = false;  // Logout reason 0 closes all connections of the session
    for (const auto* connection : open) {
        if (connection->logout_request_at) {
            first_logout = std::min(first_logout.value_or(1e9), *connection->logout_request_at);
        }
        session_closed = session_closed ||
                         (connection->logout_reason == 0u && connection->logout_response == 0u);
        for (double sync : connection->cache_syncs) {
            last_sync = std::max(last_sync.value_or(0), sync);
        }
        last_command = std::max(last_command.value_or(0), connection->last_command_at.value_or(0));
    }
    auto asked = report_.phase_at("power-off asked");
    asked = asked ? asked : report_.phase_at("reboot -ff");
    report_.check("SYNCHRONIZE CACHE after the end was asked for, and before Logout",
                  asked && last_sync && first_logout && *last_sync > *asked - 1 &&
                      *last_sync <= *first_logout,
                  fmt::format("asked at {}, last sync {}, first Logout {}", at(asked),
                              at(last_sync), at(first_logout)));
    report_.check(
        "no SCSI command after the first Logout",
        first_logout && last_command && *last_command <= *first_logout,
        fmt::format("last command {}, first Logout {}", at(last_command), at(first_logout)));
    report_.check("there is a session to end", !open.empty());
    for (const auto* connection : open) {
        bool own = connection->logout_request_at && connection->logout_response == 0u;
        report_.check("Logout, answered with success: " + describe(*connection),
                      own || session_closed,
                      fmt::format("Logout {}, response {}", at(connection->logout_request_at),
                                  at(connection->logout_response_at)));
        report_.check("closed with FIN, not by reset: " + describe(*connection),
                      connection->fin_from_initiator_at && !connection->reset_at,
                      fmt::format("FIN {}, RST {}", at(connection->fin_from_initiator_at),
                                  at(connection->reset_at)));
    }
    if (last_sync) {
        report_.phase("last SYNCHRONIZE CACHE", *last_sync);
    }
    if (first_logout) {
        report_.phase("Logout", *first_logout);
    }
}

void Scenario::judge_disk(bool unmounted) {
    target_->stop();
    auto state = inspect_file_system(image());
    if (unmounted) {
        report_.check("e2fsck -n finds a clean file system", state.clean, state.report);
        report_.check("no journal to replay", !state.needs_recovery);
    } else {
        replay_journal(image());
        report_.check("the journal's replay leaves a clean file system", true);
    }
    if (!sum_.empty()) {
        auto seen = sha256_inside(image(), "/root/hawser-64MiB");
        report_.check("the 64 MiB are on the disk, read out of the image on the host", seen == sum_,
                      seen);
    }
}

void Scenario::finish() {
    if (!plan_.on_terminal) {
        auto complaints = kernel_complaints(machine_->serial().lines());
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
