// SPDX-License-Identifier: GPL-2.0-or-later
// Sessions read from a sysfs tree, what uses their disks, and the files that commands write and
// read.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "user/commands.h"
#include "user/files.h"
#include "user/ibft_source.h"
#include "user/session_status.h"
#include "user_fixture.h"
#include "user_ibft_builder.h"

using namespace hawser::user;
using hawser_test::Fixture;

namespace {

// As the module and the SCSI layer lay it out; connection 1 has not logged in.
void lay_session(const Fixture& fixture) {
    fixture.link("bus/hawser/devices/hawser0", "../../../devices/hawser/hawser0");
    const std::string session = "devices/hawser/hawser0/";
    fixture.put(session + "state", "LOGGED_IN\n");
    fixture.put(session + "target_name", "iqn.2026-01.test:disk\n");
    fixture.put(session + "initiator_name", "iqn.2026-01.test:node\n");
    fixture.put(session + "isid", "80a1b2c3d4e5\n");
    fixture.put(session + "tsih", "7\n");
    fixture.put(session + "root", "1\n");
    fixture.put(session + "last_error", "none\n");
    fixture.put(session + "connections_asked", "4\n");
    fixture.put(session + "connections_granted", "2\n");
    fixture.put(session + "negotiated", "MaxBurstLength=262144\nImmediateData=Yes\n");
    for (int cid : {10, 0, 1}) {
        const std::string connection = session + "connection" + std::to_string(cid) + "/";
        fixture.put(connection + "state", cid == 1 ? "FREE\n" : "LOGGED_IN\n");
        fixture.put(connection + "cid", std::to_string(cid) + "\n");
        fixture.put(connection + "portal", "10.0.10.2:3260\n");
        fixture.put(connection + "nic", "eth0\n");
        fixture.put(connection + "commands", "123\n");
        fixture.put(connection + "bytes_in", "1048576\n");
        fixture.put(connection + "bytes_out", "512\n");
        fixture.put(connection + "last_error",
                    cid == 1 ? "27 0 target allows no further connection (0206)\n" : "none\n");
    }
    fixture.put(session + "connection11/state", "FREE\n");
    fixture.put(session + "connection11/cid", "11\n");
    fixture.put(session + "connection11/portal", "\n");
    fixture.put(session + "connection11/last_error", "none\n");
    const std::string unit = session + "host2/session1/target2:0:0/2:0:0:1/";
    fixture.put(unit + "model", "VIRTUAL-DISK    \n");
    fixture.put(unit + "block/sda/dev", "8:0\n");
    fixture.put(unit + "block/sda/size", "131072\n");
    fixture.put(unit + "block/sda/sda1/partition", "1\n");
    fixture.put(unit + "block/sda/sda1/dev", "8:1\n");
    fixture.put(unit + "block/sda/queue/scheduler", "none\n");
}

const char* const k_no_mount =
    "22 1 253:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "23 22 8:16 / /mnt rw shared:1 master:2 - ext4 /dev/sdb rw\n";

}  // namespace

TEST_CASE("status: a session as sysfs tells it", "[user][status]") {
    Fixture sys;
    lay_session(sys);
    const auto sessions = read_sessions(sys.path());
    REQUIRE(sessions.size() == 1);
    const SessionStatus& session = sessions[0];
    CHECK(session.name == "hawser0");
    CHECK(session.host == "host2");
    REQUIRE(session.connections.size() == 4);
    CHECK(session.connections[2].name == "connection10");
    CHECK(session.connections_logged_in() == 2);
    REQUIRE(session.disks.size() == 1);
    CHECK(session.disks[0].name == "sda");
    CHECK(session.disks[0].lun == "1");
    CHECK(session.disks[0].bytes == 64 << 20);
    CHECK(session.disks[0].model == "VIRTUAL-DISK");
    CHECK(missing_connections(session) ==
          "2 of 4 connections: target grants MaxConnections=2: 10.0.10.2:3260 by eth0: target "
          "allows no further connection (0206)");

    const std::string text = status_text(sessions);
    for (const char* part : {"hawser0", "LOGGED_IN, carries the root disk", "/dev/sda, 64.0 MiB",
                             "2 logged in, 4 asked, 2 granted", "1.0 MiB", "512 B", "0206"}) {
        INFO(part);
        CHECK(text.find(part) != std::string::npos);
    }
    CHECK(text.find("\n  11 ") == std::string::npos);  // room only
    CHECK(text.find("\n  10 ") != std::string::npos);
    const nlohmann::json json = status_json(sessions);
    CHECK(json["sessions"][0]["tsih"] == 7);
    CHECK(json["sessions"][0]["negotiated"]["MaxBurstLength"] == "262144");
    CHECK(json["sessions"][0]["connections"][0]["bytes_in"] == 1048576);
    CHECK(json["sessions"][0]["connections"][0]["source"] == "");
    CHECK(json["sessions"][0]["reinstatements"].is_null());
    CHECK(json["sessions"][0]["connections"].size() == 4);
    CHECK(json["sessions"][0]["connections"][3]["state"] == "FREE");
}

TEST_CASE("status: why there is one connection", "[user][status]") {
    Fixture sys;
    lay_session(sys);
    const std::string session = "devices/hawser/hawser0/";
    sys.put(session + "fallback", "1\n");
    sys.put(session + "cmdsn_order", "auto\n");
    sys.put(session + "own_mistakes", "0\n");
    const std::string why = "target does not put commands of several connections into order";
    const auto fallen = read_sessions(sys.path());
    CHECK(status_text(fallen).find("held to one  " + why) != std::string::npos);
    CHECK(status_json(fallen)["sessions"][0]["fallback"] == 1);
    CHECK(status_json(fallen)["sessions"][0]["own_mistakes"] == 0);
    CHECK(missing_connections(fallen[0]) == "2 of 4 connections: " + why);
    sys.put(session + "fallback", "0\n");
    CHECK(status_text(read_sessions(sys.path())).find("held to one") == std::string::npos);
    sys.put(session + "cmdsn_order", "connection\n");
    CHECK(status_text(read_sessions(sys.path())).find("held to one  cmdsn_order=connection") !=
          std::string::npos);
}

TEST_CASE("status: no module, no session", "[user][status]") {
    Fixture sys;
    CHECK(read_sessions(sys.path()).empty());
    CHECK(status_text({}) == "no session\n");
    CHECK(status_json({}).dump() == "{\"sessions\":[]}");
}

TEST_CASE("disconnect: mounts, swap and holders keep a session", "[user][status]") {
    Fixture sys, proc;
    lay_session(sys);
    proc.put("swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/sdb1 partition 1 0 -2\n");
    proc.put("self/mountinfo", k_no_mount);
    const SessionStatus session = read_sessions(sys.path()).at(0);
    CHECK(disk_uses(session, proc.path()).empty());

    proc.put("self/mountinfo", std::string(k_no_mount) +
                                   "24 22 8:1 / /srv/a\\040b rw - ext4 /dev/disk/by-label/x rw\n"
                                   "25 22 0:33 /@ /data rw,noatime - btrfs /dev/sda rw\n");
    proc.put("swaps", "Filename\tType\tSize\n/dev/sda1                partition 1 0 -2\n");
    sys.link(
        "devices/hawser/hawser0/host2/session1/target2:0:0/2:0:0:1/block/sda/sda1/holders/dm-0",
        "/nowhere");
    CHECK(disk_uses(session, proc.path()) ==
          std::vector<std::string>{"sda is mounted on /data", "sda1 is mounted on /srv/a\\040b",
                                   "sda1 is swap", "sda1 is held by dm-0"});

    Places places;
    places.sysfs = sys.path();
    places.proc = proc.path();
    places.device = "/nowhere";  // it must not come so far
    try {
        run_disconnect("hawser0", places);
        FAIL("not refused");
    } catch (const Failure& failure) {
        CHECK(failure.problems().size() == 4);
        CHECK(failure.problems()[0].line() ==
              "hawser: session is in use: sda is mounted on /data: release it first");
        CHECK(failure.status() == ExitStatus::failed);
    }
    CHECK_THROWS_WITH(run_disconnect("hawser1", places),
                      "hawser: no such session: hawser1: there are: hawser0");
}

TEST_CASE("disconnect: without /proc nothing is taken for unused", "[user][status]") {
    Fixture sys, proc;
    lay_session(sys);
    CHECK_THROWS_AS(disk_uses(read_sessions(sys.path()).at(0), proc.path()), Failure);
}

TEST_CASE("iBFT: found in ACPI first, then where the module shows BIOS memory", "[user][ibft]") {
    Fixture sys;
    CHECK_FALSE(find_ibft("", sys.path()));
    hawser_test::IbftBuilder builder;
    builder.initiator("iqn.2026-01.test:node");
    const hawser_test::Bytes bytes = builder.finish();
    const std::string table(bytes.begin(), bytes.end());
    sys.put("devices/hawser/ibft", table);
    CHECK(find_ibft("", sys.path())->path == sys.path() + "/devices/hawser/ibft");
    sys.put("firmware/acpi/tables/IBFT", table);
    const auto raw = find_ibft("", sys.path());
    REQUIRE(raw);
    CHECK(raw->path == sys.path() + "/firmware/acpi/tables/IBFT");
    REQUIRE(raw->others.size() == 1);
    CHECK(read_ibft(*raw).notes.size() == 1);
    CHECK_THROWS_WITH(find_ibft("/nowhere", sys.path()),
                      "hawser: cannot read the iBFT: /nowhere: No such file or directory");
    try {
        read_ibft({"not a table, but long enough for its header", "x", {}});
        FAIL("not refused");
    } catch (const Failure& failure) {
        CHECK(std::string(failure.what()).find("hawser: broken iBFT (signature): ") == 0);
    }
}

TEST_CASE("files: written whole, with their mode, in folders that are made", "[user]") {
    Fixture fixture;
    const std::string path = fixture.path() + "/a/b/boot.json";
    write_file(path, "one", 0600);
    write_file(path, "two", 0600);
    CHECK(read_file(path) == "two");
    struct stat found;
    REQUIRE(stat(path.c_str(), &found) == 0);
    CHECK((found.st_mode & 07777) == 0600);
    CHECK(list_folder(fixture.path() + "/a/b") == std::vector<std::string>{"boot.json"});
    CHECK_FALSE(read_file(fixture.path() + "/none"));
    CHECK_THROWS_AS(write_file("/proc/none/x", "", 0600), Failure);
}
