// SPDX-License-Identifier: GPL-2.0-or-later
// The standard connection state diagram for an initiator, RFC 7143 8.1.3.
//
// S5, S6 and S7 are the full feature phase. S8 means that the transport is gone while tasks are
// still considered busy; they come back parked (M-transitions of 8.2 are the session's business: at
// ErrorRecoveryLevel 0 the whole session is reinstated). T2, T7 and T13 lead to FREE at once,
// though the host still has a socket to close: that is not a state of the RFC's, and stands beside
// it.
#pragma once

#include "abi/engine.h"

#include <array>
#include <cstdint>
#include <optional>

namespace hawser {

enum class ConnectionState : uint8_t {
    Free = HAWSER_CONNECTION_FREE,
    XptWait = HAWSER_CONNECTION_XPT_WAIT,
    InLogin = HAWSER_CONNECTION_IN_LOGIN,
    LoggedIn = HAWSER_CONNECTION_LOGGED_IN,
    InLogout = HAWSER_CONNECTION_IN_LOGOUT,
    LogoutRequested = HAWSER_CONNECTION_LOGOUT_REQUESTED,
    CleanupWait = HAWSER_CONNECTION_CLEANUP_WAIT,
};

enum class ConnectionEvent : uint8_t {
    ConnectOrdered,   // T1
    Connected,        // T4
    LoginAccepted,    // T5
    LogoutSent,       // T9, T10
    LogoutRequested,  // T11, T12, T14
    LogoutAccepted,   // T13
    Lost,             // T2, T7, T15, T16, T17
    Closed,           // T8, T18, and the end of CLEANUP_WAIT (8.2.2 M1)
};

struct ConnectionTransition {
    const char* name;
    ConnectionState from;
    ConnectionEvent event;
    ConnectionState to;
};

inline constexpr std::array k_connection_transitions = {
    ConnectionTransition{"T1", ConnectionState::Free, ConnectionEvent::ConnectOrdered,
                         ConnectionState::XptWait},
    ConnectionTransition{"T2", ConnectionState::XptWait, ConnectionEvent::Lost,
                         ConnectionState::Free},
    ConnectionTransition{"T4", ConnectionState::XptWait, ConnectionEvent::Connected,
                         ConnectionState::InLogin},
    ConnectionTransition{"T5", ConnectionState::InLogin, ConnectionEvent::LoginAccepted,
                         ConnectionState::LoggedIn},
    ConnectionTransition{"T7", ConnectionState::InLogin, ConnectionEvent::Lost,
                         ConnectionState::Free},
    ConnectionTransition{"T8", ConnectionState::LoggedIn, ConnectionEvent::Closed,
                         ConnectionState::Free},
    ConnectionTransition{"T9", ConnectionState::LoggedIn, ConnectionEvent::LogoutSent,
                         ConnectionState::InLogout},
    ConnectionTransition{"T10", ConnectionState::LogoutRequested, ConnectionEvent::LogoutSent,
                         ConnectionState::InLogout},
    ConnectionTransition{"T11", ConnectionState::LoggedIn, ConnectionEvent::LogoutRequested,
                         ConnectionState::LogoutRequested},
    ConnectionTransition{"T12", ConnectionState::LogoutRequested, ConnectionEvent::LogoutRequested,
                         ConnectionState::LogoutRequested},
    ConnectionTransition{"T14", ConnectionState::InLogout, ConnectionEvent::LogoutRequested,
                         ConnectionState::InLogout},
    ConnectionTransition{"T13", ConnectionState::InLogout, ConnectionEvent::LogoutAccepted,
                         ConnectionState::Free},
    ConnectionTransition{"T15", ConnectionState::LoggedIn, ConnectionEvent::Lost,
                         ConnectionState::CleanupWait},
    ConnectionTransition{"T16", ConnectionState::LogoutRequested, ConnectionEvent::Lost,
                         ConnectionState::CleanupWait},
    ConnectionTransition{"T17", ConnectionState::InLogout, ConnectionEvent::Lost,
                         ConnectionState::CleanupWait},
    ConnectionTransition{"T18", ConnectionState::LogoutRequested, ConnectionEvent::Closed,
                         ConnectionState::Free},
    ConnectionTransition{"M1", ConnectionState::CleanupWait, ConnectionEvent::Closed,
                         ConnectionState::Free},
};

// Where `event` leads from `from`; nothing where the diagram has no such arrow.
constexpr std::optional<ConnectionState> next_state(ConnectionState from, ConnectionEvent event) {
    for (const ConnectionTransition& row : k_connection_transitions) {
        if (row.from == from && row.event == event) return row.to;
    }
    return std::nullopt;
}

}  // namespace hawser
