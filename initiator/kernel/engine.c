// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine as one C++ unit; Kbuild compiles this file as C++20. Every source of wire, engine and
 * abi is named here: one that is forgotten leaves its functions undefined, and modpost fails.
 */
#include "../wire/text.cpp"

#include "../engine/address.cpp"
#include "../engine/chap.cpp"
#include "../engine/connection.cpp"
#include "../engine/connection_control.cpp"
#include "../engine/connection_overdue.cpp"
#include "../engine/connection_pace.cpp"
#include "../engine/connection_receive.cpp"
#include "../engine/connection_text.cpp"
#include "../engine/connection_transmit.cpp"
#include "../engine/connection_stall.cpp"
#include "../engine/data_transfer.cpp"
#include "../engine/login.cpp"
#include "../engine/negotiation.cpp"
#include "../engine/option_line.cpp"
#include "../engine/order_trial.cpp"
#include "../engine/reassignment.cpp"
#include "../engine/retransmission.cpp"
#include "../engine/session.cpp"
#include "../engine/session_connection_recovery.cpp"
#include "../engine/session_connections.cpp"
#include "../engine/session_order.cpp"
#include "../engine/session_portals.cpp"
#include "../engine/session_recovery.cpp"
#include "../engine/task_management.cpp"
#include "../engine/text_exchange.cpp"

#include "../abi/engine.cpp"
#include "../abi/error.cpp"
#include "../abi/options.cpp"

/*
 * What the C++ library calls where it would throw: our own mistake, never a peer's. From GCC 13 on
 * its freestanding half brings these itself.
 */
#if __GNUC__ < 13
namespace std {
void __throw_out_of_range_fmt(const char*, ...) {
    __builtin_trap();
}
void __throw_length_error(const char*) {
    __builtin_trap();
}
void __throw_logic_error(const char*) {
    __builtin_trap();
}
}  // namespace std
#endif
