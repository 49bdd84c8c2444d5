// SPDX-License-Identifier: GPL-2.0-or-later
// ibft, connect, disconnect, status: the short commands. boot and discover have files of their own.
#include "user/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "abi/uapi.h"
#include "user/chap.h"
#include "user/control_device.h"
#include "user/files.h"
#include "user/ibft_source.h"
#include "user/session_status.h"

namespace hawser::user {
namespace {

bool has(const KeyValues& values, std::string_view key) {
    return std::any_of(values.begin(), values.end(),
                       [&](const auto& one) { return one.first == key; });
}

void check_connect_values(KeyValues& values) {
    for (auto& [key, value] : values) {
        if (key == "target" || key == "initiator") {
            if (const auto fault = iscsi_name_fault(value)) {
                throw Failure("bad " + key, printable(value), "the name " + *fault);
            }
        } else if (key == "portal") {
            std::string fault;
            const auto portal = parse_portal(value, &fault);
            if (!portal) throw Failure("bad portal", printable(value), fault);
            if (portal->nic.mac) {
                throw Failure("bad portal", value, "name the NIC here, not its MAC");
            }
            value = ReadyPortal{portal->endpoint, portal->nic.name, portal->source}.to_string();
        }
    }
}

std::string take(KeyValues& values, std::string_view key) {
    const auto found = std::find_if(values.begin(), values.end(),
                                    [&](const auto& one) { return one.first == key; });
    if (found == values.end()) return "";
    std::string value = std::move(found->second);
    values.erase(found);
    return value;
}

// Names and secret files become names and keys. Without a file the keys are the caller's own.
ChapCredentials take_chap(KeyValues& values, const SecretFiles& files) {
    ChapCredentials chap;
    if (files.secret.empty() && files.secret_in.empty()) return chap;
    if (has(values, "chap_key") || has(values, "chap_key_in")) {
        throw Failure("two places for a secret", "--chap-key and --chap-secret-file", "give one");
    }
    chap.name = take(values, "chap_name");
    chap.name_in = take(values, "chap_name_in");
    if (!files.secret.empty()) chap.secret = read_secret_file(files.secret);
    if (!files.secret_in.empty()) chap.secret_in = read_secret_file(files.secret_in);
    std::vector<Problem> problems = chap_problems(chap, "--chap-name, --chap-secret-file");
    if (!problems.empty()) throw Failure(std::move(problems));
    if (const auto warning = chap_warning(chap)) fmt::print(stderr, "hawser: {}\n", *warning);
    add_chap_values(chap, values);
    return chap;
}

}  // namespace

SessionStatus find_session(const std::string& name, const Places& places) {
    const std::vector<SessionStatus> sessions = read_sessions(places.sysfs);
    const auto session = std::find_if(sessions.begin(), sessions.end(),
                                      [&](const auto& known) { return known.name == name; });
    if (session != sessions.end()) return *session;
    std::string names;
    for (const auto& known : sessions) names += (names.empty() ? "" : ", ") + known.name;
    throw Failure("no such session", printable(name),
                  names.empty() ? "there is none" : "there are: " + names);
}

// `InitiatorName=iqn...` on a line of its own.
std::string initiator_name_of_machine() {
    const std::string text = read_file(k_initiator_name_file).value_or("");
    const std::string key = "InitiatorName=";
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = text.substr(at, end - at);
        if (line.starts_with(key)) return line.substr(key.size());
        at = end + 1;
    }
    return "";
}

ExitStatus run_ibft(const IbftOptions& options, const Places& places) {
    const auto raw = find_ibft(options.file, places.sysfs);
    if (!raw) {
        throw Failure(
            "no iBFT", "neither in ACPI nor in BIOS memory",
            "the firmware leaves one when it boots by iSCSI (BIOS: load the module first)",
            ExitStatus::nothing_to_do);
    }
    const Ibft ibft = read_ibft(*raw);
    if (options.json) {
        nlohmann::json json = ibft_json(ibft);
        json["path"] = raw->path;
        fmt::print("{}\n", json.dump(2));
    } else {
        fmt::print("{}\n{}", raw->path, ibft_text(ibft));
    }
    return ExitStatus::done;
}

ExitStatus run_connect(KeyValues values, const SecretFiles& files, const Places& places) {
    if (!has(values, "initiator")) {
        const std::string name = initiator_name_of_machine();
        if (name.empty()) {
            throw Failure("no initiator name", k_initiator_name_file,
                          "give --initiator, or put InitiatorName=IQN there");
        }
        values.emplace_back("initiator", name);
    }
    check_connect_values(values);
    const ChapCredentials chap = take_chap(values, files);
    const std::string line = connect_line(values);
    load_module(places.device);
    keep_chap_keys(chap);
    const std::string answer = ask_module(line, places.device);
    fmt::print("{}\n", answer);
    for (const SessionStatus& session : read_sessions(places.sysfs)) {
        if (answer != "session " + session.name) continue;
        for (const Disk& disk : session.disks)
            fmt::print("LUN {} is /dev/{}\n", disk.lun, disk.name);
        const std::string missing = missing_connections(session);
        if (!missing.empty()) fmt::print("{}\n", missing);
    }
    return ExitStatus::done;
}

ExitStatus run_disconnect(const std::string& name, const Places& places) {
    const SessionStatus session = find_session(name, places);
    std::vector<Problem> problems;
    for (const std::string& use : disk_uses(session, places.proc)) {
        problems.push_back({"session is in use", use, "release it first"});
    }
    if (!problems.empty()) throw Failure(std::move(problems));
    const std::string line = std::string(HAWSER_REQUEST_DISCONNECT) + " session=" + name;
    fmt::print("{}\n", ask_module(line, places.device));
    return ExitStatus::done;
}

ExitStatus run_connection_add(const std::string& session, const std::string& portal,
                              const Places& places) {
    find_session(session, places);
    KeyValues values;
    if (!portal.empty()) values.emplace_back("portal", portal);
    check_connect_values(values);
    std::string line = std::string(HAWSER_REQUEST_ADD) + " session=" + session;
    if (!values.empty()) line += " portal=" + values[0].second;
    fmt::print("{}\n", ask_module(line, places.device));
    return ExitStatus::done;
}

ExitStatus run_connection_drop(const std::string& session, unsigned connection,
                               const Places& places) {
    find_session(session, places);
    const std::string line =
        fmt::format("{} session={} connection={}", HAWSER_REQUEST_DROP, session, connection);
    fmt::print("{}\n", ask_module(line, places.device));
    return ExitStatus::done;
}

ExitStatus run_connection_order(const std::string& session, const std::string& order,
                                const Places& places) {
    find_session(session, places);
    const std::string line =
        fmt::format("{} session={} {}", HAWSER_REQUEST_CMDSN_ORDER, session, order);
    fmt::print("{}\n", ask_module(line, places.device));
    return ExitStatus::done;
}

ExitStatus run_status(bool json, const Places& places) {
    const std::vector<SessionStatus> sessions = read_sessions(places.sysfs);
    if (json) {
        fmt::print("{}\n", status_json(sessions).dump(2));
    } else {
        fmt::print("{}", status_text(sessions));
    }
    return ExitStatus::done;
}

}  // namespace hawser::user
