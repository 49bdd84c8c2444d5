// SPDX-License-Identifier: GPL-2.0-or-later
//
// The option line of /dev/hawser: any bytes. What is taken must be within all limits that the
// engine sizes its memory by; what is refused must have a reason of one line.

#include <cstring>
#include <string>
#include <vector>

#include "abi/engine.h"
#include "input.h"

using namespace hawser::fuzz;

namespace {

template <size_t N>
bool is_ended(const char (&text)[N]) {
    return std::memchr(text, 0, N) != nullptr;
}

void check_taken(const hawser_options& options) {
    FUZZ_CHECK(is_ended(options.target_name) && is_ended(options.initiator_name), "names end");
    FUZZ_CHECK(is_ended(options.alias) && is_ended(options.cpus), "texts end");
    FUZZ_CHECK(options.target_name[0] != 0 && options.initiator_name[0] != 0, "names are given");
    FUZZ_CHECK(options.portal_count >= 1 && options.portal_count <= HAWSER_PORTALS_MAX, "portals");
    FUZZ_CHECK(options.connection_count >= 1 && options.connection_count <= HAWSER_CONNECTIONS_MAX,
               "connections");
    FUZZ_CHECK(options.lun_count <= HAWSER_LUNS_MAX, "LUNs");
    FUZZ_CHECK(options.queue_depth >= 1 && options.queue_depth <= HAWSER_QUEUE_DEPTH_MAX, "depth");
    FUZZ_CHECK(hawser_session_bytes(&options) < 16u << 20, "a session's memory is bounded");
    for (uint32_t i = 0; i < options.portal_count; i++) {
        const hawser_portal& portal = options.portals[i];
        FUZZ_CHECK(is_ended(portal.nic) && portal.port != 0, "a portal has a port");
        FUZZ_CHECK(portal.address.family == 4 || portal.address.family == 6, "and an address");
        char text[64];
        hawser_portal_format(&portal.address, portal.port, text);
        FUZZ_CHECK(is_ended(text), "an address can be shown");
    }
    const hawser_keys& offer = options.offer;
    FUZZ_CHECK(
        offer.max_recv_data_segment_length >= 512 && offer.max_recv_data_segment_length < 1u << 24,
        "MaxRecvDataSegmentLength");
    FUZZ_CHECK(offer.max_burst_length >= 512 && offer.max_burst_length < 1u << 24,
               "MaxBurstLength");
    FUZZ_CHECK(
        offer.first_burst_length >= 512 && offer.first_burst_length <= offer.max_burst_length,
        "FirstBurstLength, RFC 7143 13.14");
    FUZZ_CHECK(offer.max_outstanding_r2t >= 1 && offer.max_connections >= 1, "at least one");
    FUZZ_CHECK(
        offer.error_recovery_level <= 2 && offer.header_digest != 0 && offer.data_digest != 0,
        "levels and digests");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    const std::vector<char> line(bytes, bytes + size);
    hawser_options options;
    char reason[HAWSER_REASON_BYTES];
    std::memset(&options, 0xa5, sizeof(options));
    std::memset(reason, 0xa5, sizeof(reason));
    const uint32_t error =
        hawser_options_parse(line.data(), static_cast<uint32_t>(line.size()), &options, reason);
    if (error == HAWSER_ERROR_NONE) {
        check_taken(options);
        return 0;
    }
    FUZZ_CHECK(error == HAWSER_ERROR_BAD_OPTION, "one error for all");
    FUZZ_CHECK(is_ended(reason) && reason[0] != 0, "there is a reason");
    for (const char* c = reason; *c != 0; c++)
        FUZZ_CHECK(static_cast<uint8_t>(*c) >= 0x20 && static_cast<uint8_t>(*c) < 0x7f,
                   "a reason is one line of printable text");
    return 0;
}
