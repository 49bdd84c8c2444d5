// SPDX-License-Identifier: GPL-2.0-or-later
// Sessions as sysfs tells them.
#include "user/session_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "user/address.h"
#include "user/failure.h"
#include "user/files.h"
#include "user/table.h"

namespace hawser::user {
namespace {

constexpr const char* k_session_attributes[] = {
    "state",
    "target_name",
    "initiator_name",
    "isid",
    "tsih",
    "root",
    "target_portal_group_tag",
    "reinstatements",
    "fallback",
    "cmdsn_order",
    "own_mistakes",
    "held",
    "foreign",
    "cmd_sn",
    "exp_cmd_sn",
    "max_cmd_sn",
    "last_error",
    "connections_asked",
    "connections_granted",
};

constexpr const char* k_connection_attributes[] = {
    "state",    "cid",       "portal", "source", "nic",        "commands",
    "bytes_in", "bytes_out", "logins", "losses", "last_error",
};

constexpr const char* k_numbers[] = {
    "tsih",
    "root",
    "target_portal_group_tag",
    "reinstatements",
    "fallback",
    "own_mistakes",
    "held",
    "foreign",
    "cmd_sn",
    "exp_cmd_sn",
    "max_cmd_sn",
    "connections_asked",
    "cid",
    "commands",
    "bytes_in",
    "bytes_out",
    "connections_granted",
    "logins",
    "losses",
};

template <size_t N>
void read_attributes(const std::string& folder, const char* const (&names)[N], Attributes& into) {
    for (const char* name : names) {
        into.values[name] = printable(read_attribute(folder + "/" + name));
    }
    into.values["negotiated"] = read_file(folder + "/negotiated", 4096).value_or("");
}

// connection10 comes behind connection9.
bool by_number(const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
}

bool is_numbered(const std::string& name, std::string_view prefix) {
    return name.starts_with(prefix) && name.size() > prefix.size() &&
           parse_number(std::string_view(name).substr(prefix.size()), 0, UINT32_MAX);
}

std::vector<std::string> numbered(const std::string& folder, std::string_view prefix) {
    std::vector<std::string> names;
    for (std::string& name : list_folder(folder)) {
        if (is_numbered(name, prefix)) names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end(), by_number);
    return names;
}

Disk read_disk(const std::string& unit_folder, const std::string& unit, const std::string& name) {
    Disk disk;
    disk.name = name;
    disk.folder = unit_folder + "/block/" + name;
    disk.device_number = read_attribute(disk.folder + "/dev");
    disk.lun = unit.substr(unit.rfind(':') + 1);
    const std::string sectors = read_attribute(disk.folder + "/size");
    disk.bytes = parse_number(sectors, 0, UINT64_MAX / 512).value_or(0) * 512;
    disk.model = printable(read_attribute(unit_folder + "/model"));
    while (disk.model.ends_with(' ')) disk.model.pop_back();
    return disk;
}

Unit read_unit(const std::string& unit_folder, const std::string& name) {
    Unit unit;
    unit.lun = name.substr(name.rfind(':') + 1);
    unit.state = read_attribute(unit_folder + "/hawser/state");
    unit.identity = printable(read_attribute(unit_folder + "/hawser/identity"));
    unit.found = printable(read_attribute(unit_folder + "/hawser/found"));
    return unit;
}

// Of hawserN/hostM/[sessionK/]targetM:C:I/M:C:I:L/block/sdX: from below hostM or sessionK.
void read_units(const std::string& folder, SessionStatus& session) {
    for (const std::string& target : list_folder(folder)) {
        const std::string target_folder = folder + "/" + target;
        if (is_numbered(target, "session")) read_units(target_folder, session);
        if (!target.starts_with("target")) continue;
        for (const std::string& name : list_folder(target_folder)) {
            const std::string unit_folder = target_folder + "/" + name;
            Unit unit = read_unit(unit_folder, name);
            for (const std::string& disk : list_folder(unit_folder + "/block")) {
                session.disks.push_back(read_disk(unit_folder, name, disk));
                unit.disk = disk;
            }
            if (!unit.state.empty()) session.units.push_back(std::move(unit));
        }
    }
}

std::string bytes_text(uint64_t bytes) {
    static constexpr const char* k_units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double amount = static_cast<double>(bytes);
    size_t unit = 0;
    for (; amount >= 1024 && unit + 1 < std::size(k_units); ++unit) amount /= 1024;
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", amount, k_units[unit]);
}

std::string bytes_text(const std::string& number) {
    return bytes_text(std::strtoull(number.c_str(), nullptr, 10));
}

// "4 110 no answer to the TCP connect" (number, detail, words) as the words; "none" as nothing.
std::string error_text(const std::string& last_error) {
    if (last_error == "none") return "";
    std::string_view words = last_error;
    for (int number = 0; number < 2; ++number) {
        const size_t space = words.find(' ');
        if (space == std::string_view::npos) return last_error;
        if (!parse_number(words.substr(0, space), 0, UINT32_MAX)) return last_error;
        words.remove_prefix(space + 1);
    }
    return std::string(words);
}

nlohmann::json attributes_json(const Attributes& attributes) {
    nlohmann::json json;
    for (const auto& [name, value] : attributes.values) {
        if (name == "negotiated") continue;
        const bool number =
            std::find(std::begin(k_numbers), std::end(k_numbers), name) != std::end(k_numbers);
        const auto parsed = number ? parse_number(value, 0, UINT64_MAX) : std::nullopt;
        if (parsed) {
            json[name] = *parsed;
        } else if (number) {
            json[name] = nullptr;
        } else {
            json[name] = value;
        }
    }
    nlohmann::json negotiated = nlohmann::json::object();
    const std::string text = attributes.get("negotiated");
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = text.substr(at, end - at);
        const size_t equals = line.find('=');
        if (equals != std::string::npos) {
            negotiated[printable(line.substr(0, equals))] = printable(line.substr(equals + 1));
        }
        at = end + 1;
    }
    json["negotiated"] = std::move(negotiated);
    return json;
}

// Why there is one connection, whatever was asked for.
std::string one_connection(const SessionStatus& session) {
    if (session.get("fallback") == "1")
        return "target does not put commands of several connections into order";
    return session.get("cmdsn_order") == "connection" ? "cmdsn_order=connection" : "";
}

std::string session_text(const SessionStatus& session) {
    Table head;
    head.add({session.name, session.get("state") +
                                (session.get("root") == "1" ? ", carries the root disk" : "")});
    head.add({"  target", session.get("target_name")});
    head.add({"  initiator", session.get("initiator_name")});
    head.add(
        {"  ISID", session.get("isid") + ", TSIH " + session.get("tsih") + ", " + session.host});
    head.add({"  connections",
              fmt::format("{} logged in, {} asked, {} granted", session.connections_logged_in(),
                          session.get("connections_asked"), session.get("connections_granted"))});
    const std::string one_only = one_connection(session);
    if (!one_only.empty()) head.add({"  held to one", one_only});
    head.add({"  reinstated",
              session.get("reinstatements") + " times, " + session.get("held") + " commands held"});
    if (session.get("foreign") == "1")
        head.add({"  held because", "a LUN is another disk than before: `hawser lun list`"});
    for (const Disk& disk : session.disks) {
        head.add({"  LUN " + disk.lun,
                  fmt::format("/dev/{}, {}, {}", disk.name, bytes_text(disk.bytes), disk.model)});
    }
    for (const Unit& unit : session.units) {
        if (unit.state != "ready")
            head.add({"  LUN " + unit.lun, unit.state + ": its I/O is held"});
    }
    const std::string error = error_text(session.get("last_error"));
    if (!error.empty()) head.add({"  last error", error});
    Table rows;
    rows.add({"  CID", "state", "portal", "NIC", "source", "commands", "read", "written", "logins",
              "losses", "last error"});
    for (const ConnectionStatus& connection : session.connections) {
        // Room for one that may be added.
        if (connection.get("state") == "FREE" && connection.get("portal").empty()) continue;
        rows.add({"  " + connection.get("cid"), connection.get("state"), connection.get("portal"),
                  connection.get("nic"), connection.get("source"), connection.get("commands"),
                  bytes_text(connection.get("bytes_in")), bytes_text(connection.get("bytes_out")),
                  connection.get("logins"), connection.get("losses"),
                  error_text(connection.get("last_error"))});
    }
    return head.to_string() + rows.to_string();
}

}  // namespace

size_t SessionStatus::connections_logged_in() const {
    return static_cast<size_t>(
        std::count_if(connections.begin(), connections.end(),
                      [](const ConnectionStatus& one) { return one.get("state") == "LOGGED_IN"; }));
}

std::vector<SessionStatus> read_sessions(const std::string& sysfs) {
    std::vector<SessionStatus> sessions;
    const std::string bus = sysfs + "/bus/hawser/devices";
    for (const std::string& name : numbered(bus, "hawser")) {
        SessionStatus session;
        session.name = name;
        const std::string folder = bus + "/" + name;
        read_attributes(folder, k_session_attributes, session);
        for (const std::string& connection_name : numbered(folder, "connection")) {
            ConnectionStatus connection;
            connection.name = connection_name;
            read_attributes(folder + "/" + connection_name, k_connection_attributes, connection);
            session.connections.push_back(std::move(connection));
        }
        for (const std::string& host : numbered(folder, "host")) {
            session.host = host;
            read_units(folder + "/" + host, session);
        }
        std::sort(session.units.begin(), session.units.end(),
                  [](const Unit& a, const Unit& b) { return by_number(a.lun, b.lun); });
        sessions.push_back(std::move(session));
    }
    return sessions;
}

std::string status_text(const std::vector<SessionStatus>& sessions) {
    std::string text;
    for (const SessionStatus& session : sessions) {
        if (!text.empty()) text += "\n";
        text += session_text(session);
    }
    return text.empty() ? "no session\n" : text;
}

nlohmann::json status_json(const std::vector<SessionStatus>& sessions) {
    nlohmann::json list = nlohmann::json::array();
    for (const SessionStatus& session : sessions) {
        nlohmann::json json = attributes_json(session);
        json["name"] = session.name;
        json["host"] = session.host;
        json["connections"] = nlohmann::json::array();
        for (const ConnectionStatus& connection : session.connections) {
            nlohmann::json one = attributes_json(connection);
            one["name"] = connection.name;
            json["connections"].push_back(std::move(one));
        }
        json["disks"] = nlohmann::json::array();
        for (const Disk& disk : session.disks) {
            json["disks"].push_back({{"name", disk.name},
                                     {"device", disk.device_number},
                                     {"lun", disk.lun},
                                     {"bytes", disk.bytes},
                                     {"model", disk.model}});
        }
        list.push_back(std::move(json));
    }
    return {{"sessions", std::move(list)}};
}

std::string missing_connections(const SessionStatus& session) {
    const size_t asked = std::strtoul(session.get("connections_asked").c_str(), nullptr, 10);
    const size_t granted = std::strtoul(session.get("connections_granted").c_str(), nullptr, 10);
    const size_t logged_in = session.connections_logged_in();
    if (logged_in >= asked) return "";
    std::string text = fmt::format("{} of {} connections", logged_in, asked);
    const std::string one_only = one_connection(session);
    if (!one_only.empty()) return text + ": " + one_only;
    if (granted < asked) text += fmt::format(": target grants MaxConnections={}", granted);
    for (const ConnectionStatus& connection : session.connections) {
        const std::string error = error_text(connection.get("last_error"));
        if (connection.get("state") == "LOGGED_IN" || error.empty()) continue;
        text +=
            fmt::format(": {} by {}: {}", connection.get("portal"), connection.get("nic"), error);
    }
    return text;
}

}  // namespace hawser::user
