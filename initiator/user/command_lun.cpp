// SPDX-License-Identifier: GPL-2.0-or-later
// lun: what the driver knows of each LUN, and the administrator's word for one that is another.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "abi/uapi.h"
#include "user/commands.h"
#include "user/control_device.h"
#include "user/failure.h"
#include "user/session_status.h"
#include "user/table.h"

namespace hawser::user {
namespace {

// SPC-4 7.8.6.1: code set, type, reserved, length; then the designator.
constexpr size_t k_designator_header = 4;

std::string bytes_of(const std::string& hex) {
    std::string bytes;
    for (size_t at = 0; at + 1 < hex.size(); at += 2) {
        unsigned byte = 0;
        for (const char digit : {hex[at], hex[at + 1]}) {
            const char* const digits = "0123456789abcdef";
            const char* const found = std::find(digits, digits + 16, digit);
            if (found == digits + 16) return "";
            byte = byte << 4 | static_cast<unsigned>(found - digits);
        }
        bytes += static_cast<char>(byte);
    }
    return bytes;
}

std::string designator_text(uint8_t code_set, uint8_t type, const std::string& bytes) {
    static constexpr const char* k_types[] = {"vendor.", "t10.", "eui.", "naa."};
    std::string text = type < std::size(k_types) ? k_types[type] : type == 8 ? "" : "other.";
    if (code_set != 1) {
        std::string words = bytes.substr(0, bytes.find('\0'));
        while (words.ends_with(' ')) words.pop_back();
        return text + printable(words);
    }
    for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<uint8_t>(byte));
    return text;
}

}  // namespace

std::string identity_text(const std::string& hex) {
    const std::string bytes = bytes_of(hex);
    std::string text;
    for (size_t at = 0; at + k_designator_header <= bytes.size();) {
        const size_t length = static_cast<uint8_t>(bytes[at + 3]);
        text += (text.empty() ? "" : ", ") +
                designator_text(bytes[at] & 0xf, bytes[at + 1] & 0xf,
                                bytes.substr(at + k_designator_header, length));
        at += k_designator_header + length;
    }
    return text.empty() ? "none" : text;
}

std::string units_text(const SessionStatus& session) {
    Table rows;
    rows.add({"LUN", "state", "disk", "identity"});
    for (const Unit& unit : session.units) {
        rows.add({unit.lun, unit.state, unit.disk.empty() ? "-" : "/dev/" + unit.disk,
                  identity_text(unit.identity)});
        if (unit.state == "foreign")
            rows.add({"", "", "found", identity_text(unit.found) + ": another disk"});
    }
    return rows.to_string();
}

nlohmann::json units_json(const SessionStatus& session) {
    nlohmann::json list = nlohmann::json::array();
    for (const Unit& unit : session.units) {
        list.push_back({{"lun", unit.lun},
                        {"state", unit.state},
                        {"disk", unit.disk},
                        {"identity", unit.identity},
                        {"identity_text", identity_text(unit.identity)},
                        {"found", unit.found}});
    }
    return {{"luns", std::move(list)}};
}

ExitStatus run_lun_list(const std::string& name, bool json, const Places& places) {
    const SessionStatus session = find_session(name, places);
    if (json) {
        fmt::print("{}\n", units_json(session).dump(2));
    } else {
        fmt::print("{}", units_text(session));
    }
    return ExitStatus::done;
}

// Which disk is meant is told to the driver by its identity: what is there may change meanwhile.
ExitStatus run_lun_accept(const std::string& name, const std::string& lun, const Places& places) {
    const SessionStatus session = find_session(name, places);
    const auto unit = std::find_if(session.units.begin(), session.units.end(),
                                   [&](const Unit& one) { return one.lun == lun; });
    if (unit == session.units.end())
        throw Failure("no such LUN", printable(lun), "see `hawser lun list " + name + "`");
    if (unit->state != "foreign")
        throw Failure("nothing to accept", "LUN " + lun + " is " + unit->state,
                      "only another disk in its place can be accepted");
    fmt::print("LUN {} was {}\nLUN {} is  {}\n", lun, identity_text(unit->identity), lun,
               identity_text(unit->found));
    std::fflush(stdout);
    const std::string line = fmt::format("{} session={} lun={} identity={}", HAWSER_REQUEST_ACCEPT,
                                         name, lun, unit->found.empty() ? "none" : unit->found);
    fmt::print("{}\n", ask_module(line, places.device));
    return ExitStatus::done;
}

}  // namespace hawser::user
