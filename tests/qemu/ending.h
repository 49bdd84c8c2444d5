// SPDX-License-Identifier: GPL-2.0-or-later
//
// How a session must end on the wire, whoever ended it: all is flushed, then Logout, on every
// connection, and FIN; nothing comes after.

#pragma once

#include <optional>
#include <string>

#include "capture.h"
#include "report.h"

namespace hawser::qemu {

std::string describe(const WireConnection& connection);

// `session`: the connections of one session (and of those that it reinstated). `asked`: when its
// end was asked for; a SYNCHRONIZE CACHE must come after that. `label` tells several ends apart.
void judge_session_end(Report& report, const Capture& session, std::optional<double> asked,
                       const std::string& label = "");

// When its first Logout was sent and its last FIN, for comparing the ends of two sessions.
struct SessionEnd {
    std::optional<double> first_logout;
    std::optional<double> last_fin;
};
SessionEnd session_end(const Capture& session);

}  // namespace hawser::qemu
