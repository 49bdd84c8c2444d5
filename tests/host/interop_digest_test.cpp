// SPDX-License-Identifier: GPL-2.0-or-later
// Header and data digests against tgt and istgt: each alone and both, data of every size on every
// connection and over a reinstatement. What the target took with a digest of ours, and what tshark
// reads of it, is right.
#include "capture.h"
#include "interop.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

void check_digests(MakeTarget make, bool header, bool data) {
    Fixture fixture(8, make);
    const uint64_t lun = fixture.target->lun();
    const std::string header_value = header ? "CRC32C" : "None";
    const std::string data_value = data ? "CRC32C" : "None";
    INFO(fixture.target->kind() << ": HeaderDigest=" << header_value
                                << " DataDigest=" << data_value);
    PosixHost host(
        fixture.line(3, fmt::format("HeaderDigest={} DataDigest={}", header_value, data_value)));
    WireTap tap(fixture.target->port());
    host.attach(tap);
    const bool logged_in = host.login(10);
    INFO(host.story());
    REQUIRE(logged_in);
    CHECK(host.snapshot().keys.header_digest == header);
    CHECK(host.snapshot().keys.data_digest == data);
    check_round_trips(host, lun);
    host.break_connection(2);
    REQUIRE(host.run_until([&] { return host.snapshot().reinstatements == 1; }, 10));
    REQUIRE(host.run_until([&] { return host.snapshot().state == HAWSER_SESSION_LOGGED_IN; }, 20));
    REQUIRE(host.run_until([&] { return host.settled(); }, 20));
    check_round_trips(host, lun);
    CHECK(host.snapshot().reinstatements == 1);  // no digest was ever wrong
    host.logout();
    REQUIRE(host.run_until([&] { return host.ended(); }, 10));
    CHECK(host.end_error() == HAWSER_ERROR_NONE);
    const auto pcap = fixture.directory / "session.pcap";
    tap.save(pcap);
    qemu::Capture capture;
    qemu::read_capture(pcap, 0, fixture.target->port(), 0, capture);
    for (const auto& line : capture.malformed) UNSCOPED_INFO(line);
    CHECK(capture.malformed.empty());
    REQUIRE(capture.logged_in().connections.size() == 6);
    for (const auto& connection : capture.logged_in().connections) {
        CHECK(connection.initiator_keys.at("HeaderDigest") == header_value);
        CHECK(connection.initiator_keys.at("DataDigest") == data_value);
        CHECK(connection.commands > 0);
    }
}

}  // namespace

TEST_CASE("digests: tgt takes and gives them", "[interop][digest][tgt][rule-49]") {
    check_digests(qemu::make_tgt, true, true);
    check_digests(qemu::make_tgt, true, false);
    check_digests(qemu::make_tgt, false, true);
}

TEST_CASE("digests: istgt takes and gives them", "[interop][digest][istgt][rule-49]") {
    check_digests(qemu::make_istgt, true, true);
    check_digests(qemu::make_istgt, true, false);
    check_digests(qemu::make_istgt, false, true);
}

TEST_CASE("digests: tgt without them is refused at once, by the cause's name",
          "[interop][digest][tgt]") {
    Fixture fixture(8, qemu::make_tgt, {}, false);
    PosixHost host(fixture.line(3, "HeaderDigest=CRC32C"));
    WireTap tap(fixture.target->port());
    host.attach(tap);
    CHECK_FALSE(host.login(20));
    INFO(host.story());
    CHECK(host.end_error() == HAWSER_ERROR_LOGIN_DIGEST_REFUSED);
    const auto pcap = fixture.directory / "session.pcap";
    tap.save(pcap);
    qemu::Capture capture;
    qemu::read_capture(pcap, 0, fixture.target->port(), 0, capture);
    CHECK(capture.connections.size() == 1);
}
