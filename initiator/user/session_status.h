// SPDX-License-Identifier: GPL-2.0-or-later
// Sessions as sysfs tells them: the kernel is the truth, and no daemon is asked.
#ifndef HAWSER_USER_SESSION_STATUS_H
#define HAWSER_USER_SESSION_STATUS_H

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace hawser::user {

struct Disk {
    std::string name;           // sda
    std::string device_number;  // 8:0
    std::string lun;
    uint64_t bytes = 0;
    std::string model;
    std::string folder;  // in sysfs
};

// A logical unit as the driver sees it, with or without a disk.
struct Unit {
    std::string lun;
    std::string state;     // ready, verifying, absent, foreign
    std::string identity;  // designators of VPD page 0x83, in hex
    std::string found;     // foreign: of the disk that is there instead
    std::string disk;      // sda
};

struct Attributes {
    std::map<std::string, std::string> values;

    std::string get(const std::string& name) const {
        const auto found = values.find(name);
        return found == values.end() ? "" : found->second;
    }
};

struct ConnectionStatus : Attributes {
    std::string name;  // connection0
};

struct SessionStatus : Attributes {
    std::string name;  // hawser0
    std::string host;  // host2
    std::vector<ConnectionStatus> connections;
    std::vector<Disk> disks;
    std::vector<Unit> units;

    size_t connections_logged_in() const;
};

std::vector<SessionStatus> read_sessions(const std::string& sysfs);

std::string status_text(const std::vector<SessionStatus>& sessions);
nlohmann::json status_json(const std::vector<SessionStatus>& sessions);

// "naa.6001405..., t10.IET 00010001": the designators as people write them; "none".
std::string identity_text(const std::string& hex);
std::string units_text(const SessionStatus& session);
nlohmann::json units_json(const SessionStatus& session);

// What keeps a session's disks busy, a line each: mounts, swap, holders (dm, md, loop).
std::vector<std::string> disk_uses(const SessionStatus& session, const std::string& proc);

// "2 of 4 connections: target grants MaxConnections=2", or nothing when all that were asked are
// logged in.
std::string missing_connections(const SessionStatus& session);

}  // namespace hawser::user

#endif
