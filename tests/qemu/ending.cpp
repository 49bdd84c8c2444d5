// SPDX-License-Identifier: GPL-2.0-or-later
//
// The end of a session, judged from packets.

#include "ending.h"

#include <fmt/format.h>

#include <algorithm>

namespace hawser::qemu {
namespace {

std::string at(const std::optional<double>& time) {
    return time ? fmt::format("{:.3f} s", *time) : "never";
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

struct Flush {
    std::optional<double> last_sync, last_command;
    bool session_closed = false;  // Logout reason 0 closes all connections of the session
};

Flush flush_of(const std::vector<const WireConnection*>& open) {
    Flush flush;
    for (const auto* connection : open) {
        flush.session_closed |=
            connection->logout_reason == 0u && connection->logout_response == 0u;
        for (double sync : connection->cache_syncs) {
            flush.last_sync = std::max(flush.last_sync.value_or(0), sync);
        }
        flush.last_command =
            std::max(flush.last_command.value_or(0), connection->last_command_at.value_or(0));
    }
    return flush;
}

void judge_connections(Report& report, const std::vector<const WireConnection*>& open,
                       bool session_closed, const std::string& label) {
    for (const auto* connection : open) {
        bool own = connection->logout_request_at && connection->logout_response == 0u;
        report.check("Logout, answered with success: " + describe(*connection) + label,
                     own || session_closed,
                     fmt::format("Logout {}, response {}", at(connection->logout_request_at),
                                 at(connection->logout_response_at)));
        report.check("closed with FIN, not by reset: " + describe(*connection) + label,
                     connection->fin_from_initiator_at && !connection->reset_at,
                     fmt::format("FIN {}, RST {}", at(connection->fin_from_initiator_at),
                                 at(connection->reset_at)));
    }
}

}  // namespace

std::string describe(const WireConnection& connection) {
    return fmt::format("CID {} ({} by net{})", connection.cid(), connection.portal, connection.nic);
}

SessionEnd session_end(const Capture& session) {
    SessionEnd end;
    for (const auto* connection : open_at_end(session)) {
        if (connection->logout_request_at) {
            end.first_logout =
                std::min(end.first_logout.value_or(1e9), *connection->logout_request_at);
        }
        if (connection->fin_from_initiator_at) {
            end.last_fin = std::max(end.last_fin.value_or(0), *connection->fin_from_initiator_at);
        }
    }
    return end;
}

void judge_session_end(Report& report, const Capture& session, std::optional<double> asked,
                       const std::string& label) {
    auto open = open_at_end(session);
    auto flush = flush_of(open);
    auto first_logout = session_end(session).first_logout;
    report.check("SYNCHRONIZE CACHE after the end was asked for, and before Logout" + label,
                 asked && flush.last_sync && first_logout && *flush.last_sync > *asked - 1 &&
                     *flush.last_sync <= *first_logout,
                 fmt::format("asked at {}, last sync {}, first Logout {}", at(asked),
                             at(flush.last_sync), at(first_logout)));
    report.check(
        "no SCSI command after the first Logout" + label,
        first_logout && flush.last_command && *flush.last_command <= *first_logout,
        fmt::format("last command {}, first Logout {}", at(flush.last_command), at(first_logout)));
    report.check("there is a session to end" + label, !open.empty());
    judge_connections(report, open, flush.session_closed, label);
    if (flush.last_sync) {
        report.phase("last SYNCHRONIZE CACHE" + label, *flush.last_sync);
    }
    if (first_logout) {
        report.phase("Logout" + label, *first_logout);
    }
}

}  // namespace hawser::qemu
