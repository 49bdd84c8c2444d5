// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a target says to SendTargets, as libiscsi hands it on: names and addresses of any bytes, one
// a line. What is taken is well-formed and reads itself; what is shown has no control character.

#include "input.h"
#include "user/discovery.h"

using namespace hawser::user;
using namespace hawser::fuzz;

namespace {

void check_text(const std::string& text) {
    for (const char c : text) {
        const auto byte = static_cast<uint8_t>(c);
        FUZZ_CHECK((byte >= 0x20 && byte != 0x7f) || c == '\n', "nothing shown is a control");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    Input input(bytes, size);
    std::string rest(as_text(input.rest()));
    std::vector<SentTarget> sent;
    // "=NAME" begins a target, any other line is an address of the last one.
    for (size_t at = 0; at < rest.size();) {
        const size_t end = std::min(rest.find('\n', at), rest.size());
        const std::string line = rest.substr(at, end - at);
        if (line.starts_with('=')) {
            sent.push_back({line.substr(1), {}});
        } else if (!sent.empty()) {
            sent.back().addresses.push_back(line);
        }
        at = end + 1;
    }
    DiscoveryResult result;
    add_sent_targets(sent, *Endpoint::parse("10.0.0.1"), result);
    FUZZ_CHECK(result.targets.size() <= sent.size(), "nothing is made up");
    for (const DiscoveredTarget& target : result.targets) {
        FUZZ_CHECK(!iscsi_name_fault(target.name), "a target has a name");
        for (const DiscoveredPortal& portal : target.portals) {
            FUZZ_CHECK(portal.port != 0, "a portal has a port");
            const auto again = DiscoveredPortal::parse(portal.to_string());
            FUZZ_CHECK(again && again->host == portal.host && again->port == portal.port,
                       "a portal reads itself");
        }
    }
    for (const std::string& note : result.notes) check_text(note);
    check_text(discovery_text(result));
    return 0;
}
