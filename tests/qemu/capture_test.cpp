// SPDX-License-Identifier: GPL-2.0-or-later
//
// The reading of tshark's lines, on lines that tshark printed.

#include "capture.h"

#include <catch2/catch.hpp>
#include <sstream>

using namespace hawser::qemu;

namespace {

// Fields in capture_fields()' order; '|' stands for the tab.
std::string lines(std::string text) {
    std::replace(text.begin(), text.end(), '|', '\t');
    return text;
}

Capture parse(const std::string& text) {
    Capture capture;
    std::istringstream stream(lines(text));
    parse_capture(stream, 2, 3260, 1000.0, capture);
    return capture;
}

const std::string k_login =
    "1000.25|0|10.0.12.15|59534|10.0.12.2|3260|0|0|0x03|441|0x0001|806c4b570000|0x0000|1|0x03||"
    "InitiatorName=iqn.a;MaxConnections=4;HeaderDigest=CRC32C,None|||||\n"
    "1000.50|0|10.0.12.2|3260|10.0.12.15|59534|0|0|0x23|312||806c4b570000|0x0007|1|0x03|0x0000|"
    "MaxConnections=2;HeaderDigest=None|||||\n";

}  // namespace

TEST_CASE("A login exchange gives CID, TSIH, keys and the time it was done") {
    auto capture = parse(k_login);
    REQUIRE(capture.connections.size() == 1);
    const auto& connection = capture.connections[0];
    CHECK(connection.nic == 2);
    CHECK(connection.source == "10.0.12.15:59534");
    CHECK(connection.portal == "10.0.12.2:3260");
    CHECK(connection.cid() == 1);
    CHECK(connection.tsih() == 7);
    CHECK(connection.isid() == "806c4b570000");
    CHECK(connection.logged_in_at() == 0.5);
    CHECK(connection.initiator_keys.at("HeaderDigest") == "CRC32C,None");
    CHECK(connection.target_keys.at("MaxConnections") == "2");
}

TEST_CASE("A login that was refused or is not over is no login") {
    auto refused =
        parse("1001|0|10.0.12.2|3260|10.0.12.15|5|0|0|0x23|0||80|0x0000|0|0x00|0x0203||||||\n");
    CHECK_FALSE(refused.connections[0].logged_in());
    auto half =
        parse("1001|0|10.0.12.2|3260|10.0.12.15|5|0|0|0x23|0||80|0x0000|1|0x01|0x0000||||||\n");
    CHECK_FALSE(half.connections[0].logged_in());
    CHECK(half.logged_in().connections.empty());
}

TEST_CASE("Several PDUs in one frame are counted, operation codes repeated by data are not") {
    // Two writes with immediate data, a Data-Out; tshark repeats 0x2a for the data.
    auto capture = parse(k_login +
                         "1002|0|10.0.12.15|59534|10.0.12.2|3260|0|0|0x01;0x01;0x05|4096;512;8192|"
                         "||||||| 0x2a;0x2a;0x2a;0x2a;0x2a|||||\n"
                         "1003|0|10.0.12.2|3260|10.0.12.15|59534|0|0|0x25;0x21;0x25|100;0;11|"
                         "||||||| 0x28;0x28|||||\n");
    const auto& connection = capture.connections[0];
    CHECK(connection.commands == 2);
    CHECK(connection.bytes_out == 4096 + 512 + 8192);
    CHECK(connection.bytes_in == 111);
    CHECK(connection.last_command_at == 2.0);
    CHECK(connection.cache_syncs.empty());
}

TEST_CASE("The end: SYNCHRONIZE CACHE, Logout, its response, FIN") {
    auto capture = parse(k_login +
                         "1004|0|10.0.12.15|59534|10.0.12.2|3260|0|0|0x01|0||||||||0x35|||||\n"
                         "1005|0|10.0.12.15|59534|10.0.12.2|3260|0|0|0x06|0|0x0001|||||||||0x00||\n"
                         "1006|0|10.0.12.2|3260|10.0.12.15|59534|0|0|0x26|0|||||||||||0x00|\n"
                         "1007|0|10.0.12.15|59534|10.0.12.2|3260|1|0||||||||||||||\n"
                         "1008|0|10.0.12.2|3260|10.0.12.15|59534|1|0||||||||||||||\n");
    const auto& connection = capture.connections[0];
    CHECK(capture.last_cache_sync() == 4.0);
    CHECK(connection.logout_request_at == 5.0);
    CHECK(connection.logout_reason == 0u);
    CHECK(connection.logout_response_at == 6.0);
    CHECK(connection.logout_response == 0u);
    CHECK(connection.fin_from_initiator_at == 7.0);
    CHECK(connection.fin_from_target_at == 8.0);
    CHECK_FALSE(connection.reset_at);
}

TEST_CASE("Logins are told apart by time, and a second one on the same connection is seen") {
    auto capture = parse(k_login +
                         "1020|0|10.0.12.15|59534|10.0.12.2|3260|0|0|0x03|441|0x0001|806c4b570000|"
                         "0x0007|1|0x03||||||||\n");
    CHECK(capture.login_requests_after(10.0) == 1);
    CHECK(capture.login_requests_after(20.0) == 0);
    CHECK(capture.since(0.0).connections.size() == 1);
    CHECK(capture.since(10.0).connections.empty());
}

TEST_CASE("Frames of other ports are no facts; a malformed frame of the initiator is one") {
    auto capture = parse("1001|0|10.0.12.15|59534|10.0.12.2|80|1|0|||||||||||||||\n" + k_login +
                         "1002|0|10.0.12.15|59534|10.0.12.2|3260|0|0||||||||||||||_ws.malformed\n");
    CHECK(capture.connections.size() == 1);
    CHECK_FALSE(capture.connections[0].fin_from_initiator_at);
    REQUIRE(capture.malformed.size() == 1);
}
