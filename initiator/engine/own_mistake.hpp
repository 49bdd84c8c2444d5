// SPDX-License-Identifier: GPL-2.0-or-later
// Assertions: what can only be a mistake of the engine's or of its host's. No byte of a peer's
// leads to one (tests/fuzz). The machine goes on: the connection is dropped, or the session is
// started anew, as though a peer had made the mistake, and the host is told the number
// (OWN_MISTAKE, snapshot.own_mistakes). Numbers are stable: people send them to us.
#pragma once

#include <cstdint>

namespace hawser {

enum class OwnMistake : uint32_t {
    None,
    ReportRingFull,  // connection.cpp: more reports in an episode than there can be
    OrderRingFull,   // session.cpp: more orders than a mutation gives
    OpenedTwice,     // CONNECT for a connection whose socket is not closed yet
    NotAccepting,    // a command for a connection that takes none
    BadTag,          // a command beyond queue_depth
    TooMuchSent,     // more transmitted than was polled
    TooMuchPlaced,   // more placed than the placement was long
    UnknownReport,   // of no kind, or of no connection
};

}  // namespace hawser
