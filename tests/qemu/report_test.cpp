// SPDX-License-Identifier: GPL-2.0-or-later
//
// The verdict, and what report.json holds.

#include "report.h"

#include <catch2/catch.hpp>

using namespace hawser::qemu;

TEST_CASE("A run that checked nothing has not passed") {
    Report report("empty");
    CHECK_FALSE(report.passed());
    CHECK(report.to_json()["verdict"] == "failed");
    CHECK(report.failures() == "nothing was checked\n");
}

TEST_CASE("One check that does not hold fails the run, and is named with what was seen") {
    Report report("mixed");
    CHECK(report.check("four connections", true, "not shown when it holds"));
    CHECK(report.passed());
    CHECK_FALSE(report.check("one TSIH", false, "1, 2"));
    CHECK_FALSE(report.passed());
    CHECK(report.failures() == "does not hold: one TSIH: 1, 2\n");
    CHECK(report.to_json()["checks"].size() == 2);
    CHECK_FALSE(report.to_json()["checks"][0].contains("detail"));
}

TEST_CASE("Phases come in the order of their times") {
    Report report("phases");
    report.phase("root mounted", 9);
    report.phase("kernel start", 3);
    REQUIRE(report.phases().size() == 2);
    CHECK(report.phases()[0].name == "kernel start");
    CHECK(report.phase_at("root mounted") == 9.0);
    CHECK_FALSE(report.phase_at("power-off"));
}

TEST_CASE("The table has a row per connection, by CID") {
    Capture capture;
    for (unsigned cid : {1u, 0u}) {
        WireConnection connection;
        connection.nic = cid;
        connection.portal = "10.0.1" + std::to_string(cid) + ".2:3260";
        connection.commands = 10 + cid;
        connection.bytes_in = 4096;
        connection.login_requests.push_back({1, cid, 0, "80"});
        capture.connections.push_back(connection);
    }
    Report report("table");
    report.set_connections(capture);
    REQUIRE(report.connections().size() == 2);
    CHECK(report.connections()[0]["cid"] == 0);
    CHECK(report.connections()[1]["nic"] == "net1");
    CHECK(report.connections()[1]["commands"] == 11);
    auto table = connection_table(report.connections());
    CHECK(std::count(table.begin(), table.end(), '\n') == 3);
    CHECK(table.find("10.0.11.2:3260") != std::string::npos);
}
