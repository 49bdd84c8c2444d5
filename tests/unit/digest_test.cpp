// SPDX-License-Identifier: GPL-2.0-or-later
//
// Header and data digests, both ways: agreed, kept, and wrong.

#include <catch2/catch.hpp>

#include "scene.h"

using namespace hawser;
using namespace hawser::test;
using wire::Opcode;

TEST_CASE("every PDU after the login has the digests that were agreed",
          "[RFC 7143 13.1][rule-49]") {
    for (const char* header : {"None", "CRC32C", "None,CRC32C"}) {
        for (const char* data : {"None", "CRC32C"}) {
            for (uint32_t seed = 1; seed <= 6; seed++) {
                Host host(std::string("HeaderDigest=") + header + " DataDigest=" + data, 2, seed);
                host.chunk_max = 1 + seed * 131 % 600;
                host.target.data_in_bytes = 1000 + seed;
                host.start();
                INFO(header << " " << data);
                REQUIRE(logged_in(host) == 2);
                CHECK(host.target.peers[0].header_digest == (std::string(header) != "None"));
                CHECK(host.target.peers[1].data_digest == (std::string(data) == "CRC32C"));
                auto tags = submit_many(host, 40);
                host.submit(0, HAWSER_DATA_NONE, 0, 0, 32);  // with an AHS
                host.run();
                for (auto [tag, block] : tags) {
                    CHECK(host.done_of(tag).completion.status == 0);
                    CHECK(std::equal(host.buffers[tag].begin(), host.buffers[tag].end(),
                                     host.target.disk.begin() + static_cast<long>(block) * 512));
                }
                host.pass(6000);  // NOPs
                host.logout();
                CHECK(host.count_orders(HAWSER_ORDER_ENDED) == 1);
                CHECK(host.orders.back().error == HAWSER_ERROR_NONE);
                for (const Peer& peer : host.target.peers) CHECK(peer.digests_wrong == 0);
            }
        }
    }
}

TEST_CASE("a wrong header digest ends the connection", "[RFC 7143 7.8][rule-50]") {
    Scene scene("HeaderDigest=CRC32C DataDigest=CRC32C");
    scene.login();
    scene.target.peers[0].corrupt_header = true;
    scene.submit(0, HAWSER_DATA_READ, 4096, 8);
    scene.run();
    CHECK(scene.lost_with(0) == HAWSER_ERROR_HEADER_DIGEST);
}

TEST_CASE("a wrong data digest at ErrorRecoveryLevel 0 ends the connection",
          "[RFC 7143 7.8][rule-50]") {
    Scene scene("DataDigest=CRC32C");
    scene.login();
    scene.target.peers[0].corrupt_data = true;
    uint32_t tag = scene.submit(0, HAWSER_DATA_READ, 4096, 8);
    scene.run();
    CHECK(scene.lost_with(0) == HAWSER_ERROR_DATA_DIGEST);
    scene.pass(10000);
    CHECK(scene.target.sessions == 2);
    scene.good(tag);  // sent again in a new session
    scene.disk_is_buffer(tag, 8);
}

TEST_CASE("a digest that is insisted on and refused has an error of its own", "[RFC 7143 6.2]") {
    for (const char* answer : {"None", "Reject"}) {
        Host host("HeaderDigest=CRC32C timeout=60");
        host.target.answers["HeaderDigest"] = answer;
        host.start();
        CHECK(host.lost_with(0) == HAWSER_ERROR_LOGIN_DIGEST_REFUSED);
        REQUIRE(host.count_orders(HAWSER_ORDER_ENDED) == 1);  // at once: it will not change
        CHECK(host.orders.back().error == HAWSER_ERROR_LOGIN_DIGEST_REFUSED);
        CHECK(host.sides[0].connects == 1);
    }
}
