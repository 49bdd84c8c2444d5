// SPDX-License-Identifier: GPL-2.0-or-later
// The engine against LIO, which runs in a machine of its own (QEMU), the engine here: both sides'
// numbering, data and recovery meet without a kernel of ours in between. LIO is the one target of
// the field that has ErrorRecoveryLevel 1 and 2.
#include "interop.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

constexpr const char* k_digests = "HeaderDigest=CRC32C DataDigest=CRC32C noop_out_timeout=30";

void end(PosixHost& host) {
    REQUIRE(host.run_until([&] { return host.settled(); }, 30));
    host.logout();
    REQUIRE(host.run_until([&] { return host.ended(); }, 20));
    INFO(host.story());
    CHECK(host.end_error() == HAWSER_ERROR_NONE);
}

// Reads and writes under way on every connection, whole and right in the end, whatever `fault`
// does meanwhile.
void survive(PosixHost& host, uint64_t lun, const std::function<void()>& fault) {
    constexpr size_t k_bytes = 256 << 10;
    constexpr uint32_t k_count = 24;
    std::vector<std::vector<uint8_t>> out, in;
    std::vector<Request> writes, reads;
    for (uint32_t i = 0; i < k_count; i++) {
        out.push_back(pattern(k_bytes, i + 77));
        in.emplace_back(k_bytes);
    }
    for (uint32_t i = 0; i < k_count; i++) {
        writes.push_back(write10(i * 512, out[i], lun));
        reads.push_back(read10(i * 512, in[i], lun));
    }
    const auto all_done = [](std::vector<Request>& requests) {
        return std::all_of(requests.begin(), requests.end(),
                           [](const Request& request) { return request.result.done; });
    };
    for (Request& request : writes) host.submit(request);
    fault();
    REQUIRE(host.run_until([&] { return all_done(writes); }, 60));
    for (Request& request : writes)
        if (request.result.status != 0 || request.result.response != 0)
            REQUIRE(execute(host, request));
    for (Request& request : reads) host.submit(request);
    fault();
    REQUIRE(host.run_until([&] { return all_done(reads); }, 60));
    for (uint32_t i = 0; i < k_count; i++) {
        if (reads[i].result.status != 0 || reads[i].result.response != 0)
            REQUIRE(execute(host, reads[i]));
        REQUIRE(in[i] == out[i]);
    }
}

}  // namespace

TEST_CASE("LIO: four connections, data both ways, a broken connection, the end", "[interop][lio]") {
    Fixture fixture(8, hawser::qemu::make_lio);
    const uint64_t lun = fixture.target->lun();
    PosixHost host(fixture.line(4));
    REQUIRE(host.login(20));
    CHECK(host.snapshot().connections_granted == 4);
    check_round_trips(host, lun);
    std::vector<uint8_t> out = pattern(1 << 20, 11);
    std::vector<uint8_t> in(1 << 20);
    Request write = write10(0, out, lun);
    host.submit(write, 2);
    host.break_connection(2);
    const bool wrote = host.run_until([&] { return write.result.done; }, 30);
    INFO(host.story());
    REQUIRE(wrote);
    if (write.result.status != 0) REQUIRE(execute(host, write));
    Request read = read10(0, in, lun);
    REQUIRE(execute(host, read));
    CHECK(out == in);
    CHECK(host.snapshot().reinstatements == 1);
    REQUIRE(host.run_until([&] { return host.settled(); }, 20));
    host.logout();
    REQUIRE(host.run_until([&] { return host.ended(); }, 10));
    INFO(hawser_error_words(host.end_error()));
    CHECK(host.end_error() == HAWSER_ERROR_NONE);
}

TEST_CASE("LIO: ErrorRecoveryLevel 0, 1 and 2, with digests", "[interop][lio][rule-49]") {
    Fixture fixture(8, qemu::make_lio, {}, true, 2);
    const uint64_t lun = fixture.target->lun();
    for (uint32_t level : {0u, 1u, 2u}) {
        PosixHost host(fixture.line(4, fmt::format("{} ErrorRecoveryLevel={}", k_digests, level)));
        const bool logged_in = host.login(30);
        INFO("level " << level << "\n" << host.story());
        REQUIRE(logged_in);
        CHECK(host.snapshot().keys.error_recovery_level == level);
        CHECK(host.snapshot().keys.header_digest == 1);
        CHECK(host.snapshot().keys.data_digest == 1);
        check_round_trips(host, lun);
        const uint32_t before = host.snapshot().reinstatements;
        if (level >= 1) {
            // Damaged data, both ways: it comes again, and no connection is lost.
            survive(host, lun, [&] { host.spoil_received(3); });
            survive(host, lun, [&] { host.spoil_sent(1); });
            INFO(host.story());
            CHECK(host.snapshot().reinstatements == before);
            CHECK(host.snapshot().recoveries == 0);
        }
        bool once = true;
        survive(host, lun, [&] {
            if (once) host.break_connection(2);
            once = false;
        });
        INFO(host.story());
        CHECK(host.snapshot().reinstatements == before + (level == 2 ? 0 : 1));
        CHECK(host.snapshot().recoveries == (level == 2 ? 1 : 0));
        end(host);
    }
}
