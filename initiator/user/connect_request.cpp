// SPDX-License-Identifier: GPL-2.0-or-later
// The line that /dev/hawser takes. The kernel checks ranges; here a line is only made well-formed.
#include "user/connect_request.h"

#include <fmt/format.h>

#include <algorithm>

#include "abi/uapi.h"

namespace hawser::user {
namespace {

constexpr ConnectKey k_keys[] = {
    {"target", "NAME", "the target's iSCSI name", false, true},
    {"portal", "ADDRESS[:PORT][,source=ADDRESS][,nic=NAME]", "a portal of the target; repeat it",
     true, true},
    {"connections", "1..16", "connections to open (default: one for each portal)", false, true},
    {"connections_max", "1..16", "room for so many (default: as many as connections)"},
    {"portals", "all|given", "whether to ask the target for its other portals"},
    {"initiator", "NAME", "our iSCSI name", false, true},
    {"alias", "TEXT", "our alias, as the target may show it"},
    {"lun", "NUMBER", "show only this LUN; repeat it (default: all)", true, true},
    {"root", "yes|no", "root policy: no error ever reaches the file system", false, true},
    {"timeout", "SECONDS", "until a first login is given up", false, true},
    {"login_timeout", "SECONDS", "for one login of one connection"},
    {"connect_timeout", "SECONDS", "for TCP, where another portal can be tried"},
    {"logout_timeout", "SECONDS", "for the answer to a Logout"},
    {"abort_timeout", "SECONDS", "for the answer to ABORT TASK and its like"},
    {"lu_reset_timeout", "SECONDS", "for the answer to LOGICAL UNIT RESET"},
    {"tgt_reset_timeout", "SECONDS", "for the answer to TARGET WARM RESET"},
    {"noop_out_interval", "SECONDS", "between two pings of an idle connection; 0: none"},
    {"noop_out_timeout", "SECONDS", "until an unanswered ping is a loss"},
    {"grace", "SECONDS", "that a shutdown may wait for the target"},
    {"fail_after", "SECONDS", "without a session for so long commands fail; 0: never"},
    {"lu_reset_after_loss", "yes|no", "reset a LUN before writes are sent in a new session"},
    {"cmdsn_order", "auto|session|connection",
     "how far the target orders commands; connection: one only"},
    {"queue_depth", "1..1024", "commands in flight in the session"},
    {"chap_name", "NAME", "CHAP: the name that we authenticate ourselves by", false, true},
    {"chap_key", "KEY", "description of the key that holds our secret", false, true},
    {"chap_name_in", "NAME", "mutual CHAP: the target's name", false, true},
    {"chap_key_in", "KEY", "description of the key that holds the target's secret", false, true},
    {"chap_algs", "LIST", "of 8 (SHA3-256), 7 (SHA-256), 6 (SHA1), 5 (MD5)"},
    {"cpus", "auto|LIST", "CPUs of the connections' threads"},
    {"InitialR2T", "Yes|No", "what to offer (RFC 7143, section 13)"},
    {"ImmediateData", "Yes|No", "what to offer"},
    {"FirstBurstLength", "BYTES", "what to offer"},
    {"MaxBurstLength", "BYTES", "what to offer"},
    {"MaxRecvDataSegmentLength", "BYTES", "what to declare"},
    {"MaxOutstandingR2T", "NUMBER", "what to offer"},
    {"DefaultTime2Wait", "SECONDS", "what to offer"},
    {"DefaultTime2Retain", "SECONDS", "what to offer"},
    {"ErrorRecoveryLevel", "0|1|2", "what to offer"},
    {"HeaderDigest", "None|CRC32C", "what to offer"},
    {"DataDigest", "None|CRC32C", "what to offer"},
};

}  // namespace

std::span<const ConnectKey> connect_keys() {
    return k_keys;
}

std::optional<PortalParameter> parse_portal(std::string_view text, std::string* fault) {
    PortalParameter portal;
    const size_t comma = text.find(',');
    const auto endpoint = Endpoint::parse(text.substr(0, comma));
    if (!endpoint || endpoint->address.is_unspecified() || endpoint->address.is_multicast()) {
        *fault = "write ADDRESS[:PORT], IPv6 as [ADDRESS]:PORT";
        return std::nullopt;
    }
    portal.endpoint = *endpoint;
    std::string_view rest = comma == std::string_view::npos ? "" : text.substr(comma + 1);
    bool more = comma != std::string_view::npos;
    while (more) {
        const size_t end = rest.find(',');
        const std::string_view part = rest.substr(0, end);
        more = end != std::string_view::npos;
        rest = more ? rest.substr(end + 1) : "";
        if (part.starts_with("nic=")) {
            const auto nic = NicSelector::parse(part.substr(4));
            if (nic && !portal.nic.is_set()) {
                portal.nic = *nic;
                continue;
            }
        } else if (part.starts_with("source=")) {
            const auto source = IpAddress::parse(part.substr(7));
            if (source && !portal.source && source->family() == endpoint->address.family()) {
                portal.source = source;
                continue;
            }
        }
        *fault = "behind the address stand ,nic=NAME-or-MAC and ,source=ADDRESS, each once";
        return std::nullopt;
    }
    return portal;
}

std::optional<std::string> boot_option_fault(std::string_view key) {
    const auto known = std::find_if(std::begin(k_keys), std::end(k_keys),
                                    [&](const ConnectKey& row) { return key == row.name; });
    if (known == std::end(k_keys)) return "unknown key; `hawser connect --help` lists them";
    if (!known->from_plan) return std::nullopt;
    if (key.starts_with("chap_")) return "give rd.iscsi.username= and rd.iscsi.password= instead";
    if (key == "root") return "the root policy is always on at boot";
    return fmt::format("write rd.hawser.{}= instead", key);
}

bool is_one_word(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(),
                                        [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

std::string connect_line(const KeyValues& values) {
    std::string line = HAWSER_REQUEST_CONNECT;
    for (const auto& [key, value] : values) {
        if (!is_one_word(value)) {
            throw Failure("bad value", fmt::format("{}={}", key, printable(value)),
                          "give printable text without spaces");
        }
        line += fmt::format(" {}={}", key, value);
    }
    if (line.size() > HAWSER_REQUEST_BYTES_MAX) {
        throw Failure("request too long", fmt::format("{} bytes", line.size()),
                      fmt::format("{} is the most; give fewer portals", HAWSER_REQUEST_BYTES_MAX));
    }
    return line;
}

}  // namespace hawser::user
