// SPDX-License-Identifier: GPL-2.0-or-later
// The C ABI of the option line and of portals as text.
#include "abi/engine.h"
#include "engine/address.hpp"
#include "engine/option_line.hpp"
#include "wire/text.hpp"

extern "C" uint32_t hawser_options_parse(const char* line, uint32_t length,
                                         struct hawser_options* options,
                                         char reason[HAWSER_REASON_BYTES]) {
    bool good = hawser::parse_option_line({line, length}, *options, {reason, HAWSER_REASON_BYTES});
    return good ? HAWSER_ERROR_NONE : HAWSER_ERROR_BAD_OPTION;
}

extern "C" uint32_t hawser_portal_parse(const char* value, uint32_t length,
                                        struct hawser_portal* portal,
                                        char reason[HAWSER_REASON_BYTES]) {
    bool good =
        hawser::parse_portal_option({value, length}, *portal, {reason, HAWSER_REASON_BYTES});
    return good ? HAWSER_ERROR_NONE : HAWSER_ERROR_BAD_OPTION;
}

extern "C" void hawser_portal_format(const struct hawser_address* address, uint16_t port,
                                     char out[64]) {
    hawser::wire::TextWriter writer({reinterpret_cast<uint8_t*>(out), 63});
    if (address->family == 6) writer.text("[");
    hawser::format_address(*address, writer);
    if (address->family == 6) writer.text("]");
    writer.text(":");
    writer.number(port);
    out[writer.length()] = '\0';
}
