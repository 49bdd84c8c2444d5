// SPDX-License-Identifier: GPL-2.0-or-later
//
// A network namespace of our own, with loopback alone. QEMU's user networking passes on to the
// outside what a guest sends to an address that is not its host's: in here there is no outside.

#pragma once

namespace hawser::qemu {

// From here on for this process and all that it starts; a program's first step, since a user
// namespace, which it takes without privileges, is not given to a process with threads. Throws when
// the kernel refuses: nothing may then be started.
void enter_own_network();

}  // namespace hawser::qemu
