// SPDX-License-Identifier: GPL-2.0-or-later
//
// IP addresses and portals as text, held against the C library's own reading.

#include "engine/address.hpp"

#include <arpa/inet.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>

using namespace hawser;

namespace {

std::string formatted(const hawser_address& address, uint16_t port) {
    char out[64];
    std::memset(out, 'x', sizeof(out));
    hawser_portal_format(&address, port, out);
    return out;
}

void agrees_with_libc(const std::string& text) {
    INFO(text);
    uint8_t expected[16] = {};
    auto address = parse_address(text);
    if (inet_pton(AF_INET, text.c_str(), expected) == 1) {
        REQUIRE(address);
        CHECK(address->family == 4);
        CHECK(std::memcmp(address->bytes, expected, 4) == 0);
    } else if (inet_pton(AF_INET6, text.c_str(), expected) == 1) {
        REQUIRE(address);
        CHECK(address->family == 6);
        CHECK(std::memcmp(address->bytes, expected, 16) == 0);
    } else {
        CHECK_FALSE(address);
    }
}

}  // namespace

TEST_CASE("addresses are read as the C library reads them") {
    for (const char* text : {"10.0.10.2",
                             "0.0.0.0",
                             "255.255.255.255",
                             "256.0.0.1",
                             "1.2.3",
                             "1.2.3.4.5",
                             "1.2.3.04",
                             "1..2.3",
                             "",
                             ".",
                             "a.b.c.d",
                             "::",
                             "::1",
                             "fe80::1",
                             "1::",
                             "1:2:3:4:5:6:7:8",
                             "1:2:3:4:5:6:7",
                             "1:2:3:4:5:6:7:8:9",
                             "1::8",
                             "1:2:3:4:5:6::8",
                             "::ffff:10.0.0.1",
                             "1:2:3:4:5:6:10.0.0.1",
                             "10.0.0.1::1",
                             "1:2:3:4:5:6:7:10.0.0.1",
                             ":1",
                             "1:",
                             ":::",
                             "1::2::3",
                             "12345::",
                             "g::",
                             "1:2:3:4:5:6:7::",
                             "::2:3:4:5:6:7:8",
                             "::1:2:3:4:5:6:7:8",
                             "1:2:3:4::5:6:7:8",
                             "fe80::1%eth0",
                             "[::1]",
                             "::10.0.0.256",
                             "1.2.3.4 "})
        agrees_with_libc(text);
}

TEST_CASE("random IPv6 addresses survive writing and reading, as short as the C library's") {
    std::mt19937 random(1);
    for (int round = 0; round < 2000; round++) {
        hawser_address address = {};
        address.family = 6;
        for (size_t i = 0; i < 8; i++) {
            if (random() % 2) continue;
            address.bytes[2 * i] = static_cast<uint8_t>(random() % 3 ? 0 : random());
            address.bytes[2 * i + 1] = static_cast<uint8_t>(random());
        }
        std::string text = formatted(address, 3260);
        auto portal = parse_portal(text);
        REQUIRE(portal);
        CHECK(std::memcmp(portal->address.bytes, address.bytes, 16) == 0);
        char expected[INET6_ADDRSTRLEN];
        inet_ntop(AF_INET6, address.bytes, expected, sizeof(expected));
        // The C library writes ::10.0.0.1 with dots; we do not.
        if (!std::strchr(expected, '.')) CHECK(text == "[" + std::string(expected) + "]:3260");
    }
}

TEST_CASE("portals", "[RFC 7143 13.8]") {
    auto portal = parse_portal("10.0.0.1:5003");
    REQUIRE(portal);
    CHECK(portal->port == 5003);
    CHECK(formatted(portal->address, portal->port) == "10.0.0.1:5003");
    portal = parse_portal("[1080::8:800:200C:417A]");
    REQUIRE(portal);
    CHECK(formatted(portal->address, portal->port) == "[1080::8:800:200c:417a]:3260");
    for (const char* bad :
         {"", ":3260", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:x", "::1", "[::1",
          "::1]:3260", "[10.0.0.1]:3260", "[::1]3260", "host.example.com:3260", "10.0.0.1:3260,1"})
        CHECK_FALSE(parse_portal(bad));
}
