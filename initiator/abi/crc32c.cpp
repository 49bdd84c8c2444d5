// SPDX-License-Identifier: GPL-2.0-or-later
// CRC32C for hosts that have none of their own. The module has the kernel's, which uses the CPU's
// instruction (kernel/digest.c).
#include "wire/crc32c.hpp"

#include "abi/engine.h"

extern "C" uint32_t hawser_crc32c(uint32_t before, const uint8_t* bytes, uint32_t length) {
    return hawser::wire::crc32c({bytes, length}, before);
}
