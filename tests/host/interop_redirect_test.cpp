// SPDX-License-Identifier: GPL-2.0-or-later
// Redirects of a login (RFC 7143 11.13.5) by tgt: one daemon sends every login on to another, with
// 0101 or 0102. What follows is judged by the two daemons' own lists of connections, by their disk
// images, and by tshark's reading of the login answers.
//
// tgt lets in whom it would send to his own address (target_redirected() compares with the
// initiator's), and every loopback connection comes from 127.0.0.1. So the places that are sent to
// have other addresses of the loopback net. istgt cannot redirect: its program lacks the very word.
#include "capture.h"
#include "interop.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

// Two tgts, each with an image of its own.
struct Pair {
    fs::path directory = fs::temp_directory_path() / fmt::format("hawser-redirect-{}", ::getpid());
    fs::path first_image = directory / "first.img";
    fs::path second_image = directory / "second.img";
    std::unique_ptr<qemu::Target> first;   // on 127.0.0.3: who may be sent to, may send
    std::unique_ptr<qemu::Target> second;  // on 127.0.0.2

    Pair() {
        first = make("first", first_image, "127.0.0.3");
        second = make("second", second_image, "127.0.0.2");
    }
    ~Pair() {
        first.reset();
        second.reset();
        if (std::getenv("HAWSER_KEEP") == nullptr) fs::remove_all(directory);
    }
    qemu::Redirect to_first(bool permanent) const {
        return {"127.0.0.3", first->port(), permanent};
    }
    qemu::Redirect to_second(bool permanent) const {
        return {"127.0.0.2", second->port(), permanent};
    }
    std::string line(unsigned connections, const std::string& more = "") const {
        return fmt::format(
            "target={} initiator=iqn.2026-11.hawser:test portal=127.0.0.3:{} connections={} {}",
            first->name(), first->port(), connections, more);
    }

private:
    std::unique_ptr<qemu::Target> make(const char* name, const fs::path& image,
                                       const char* address) const {
        fs::create_directories(directory / name);
        std::ofstream(image).close();
        fs::resize_file(image, k_image_bytes);
        qemu::TargetOptions options;
        options.directory = directory / name;
        options.image = image;
        options.address = address;
        return qemu::make_tgt(options);
    }
};

// Every answer to a login that was a redirect, as tshark reads them.
std::vector<unsigned> redirects(const Pair& pair, const WireTap& tap) {
    const auto pcap = pair.directory / "session.pcap";
    tap.save(pcap);
    qemu::Capture capture;
    qemu::read_capture(pcap, 0, pair.first->port(), 0, capture);
    for (const auto& line : capture.malformed) UNSCOPED_INFO(line);
    CHECK(capture.malformed.empty());
    std::vector<unsigned> statuses;
    for (const auto& connection : capture.connections)
        for (const auto& answer : connection.login_responses)
            if (answer.status >> 8 == 1) statuses.push_back(answer.status);
    return statuses;
}

std::vector<uint8_t> bytes_of(const fs::path& image, size_t offset, size_t length) {
    std::vector<uint8_t> bytes(length);
    std::ifstream stream(image, std::ios::binary);
    stream.seekg(std::streamoff(offset));
    stream.read(reinterpret_cast<char*>(bytes.data()), std::streamsize(length));
    REQUIRE(stream);
    return bytes;
}

}  // namespace

TEST_CASE("redirect: tgt sends a session on, for a time and for good",
          "[interop][redirect][tgt][rule-41]") {
    const bool permanent = GENERATE(false, true);
    const unsigned status = permanent ? 0x0102 : 0x0101;
    INFO("status " << status);
    Pair pair;
    pair.first->redirect(pair.to_second(permanent));
    PosixHost host(pair.line(3));
    WireTap tap(pair.first->port());
    host.attach(tap);
    const bool logged_in = host.login(20);
    INFO(host.story());
    REQUIRE(logged_in);
    CHECK(pair.first->connections() == 0);
    CHECK(pair.second->connections() == 3);
    check_round_trips(host);
    std::vector<uint8_t> out = pattern(65536, status);
    Request write = write10(60000, out);
    REQUIRE(execute(host, write));
    CHECK(bytes_of(pair.second_image, 60000 * k_block, out.size()) == out);
    // The further connections were sent on by their own portal, unless it had moved for good.
    const size_t at_login = permanent ? 1 : 3;
    CHECK(redirects(pair, tap) == std::vector<unsigned>(at_login, status));
    // A session that begins anew asks the old place again, unless it had moved for good.
    host.break_connection(1);
    REQUIRE(host.run_until([&] { return host.snapshot().reinstatements == 1; }, 20));
    REQUIRE(host.run_until([&] { return host.snapshot().state == HAWSER_SESSION_LOGGED_IN; }, 20));
    REQUIRE(host.run_until([&] { return host.settled(); }, 20));
    CHECK(pair.first->connections() == 0);
    CHECK(pair.second->connections() == 3);
    check_round_trips(host);
    CHECK(redirects(pair, tap) == std::vector<unsigned>(permanent ? 1 : 6, status));
    host.logout();
    REQUIRE(host.run_until([&] { return host.ended(); }, 10));
    CHECK(host.end_error() == HAWSER_ERROR_NONE);
    pair.first->stop();
    pair.second->stop();
    const auto untouched = bytes_of(pair.first_image, 0, k_image_bytes);
    CHECK(std::all_of(untouched.begin(), untouched.end(), [](uint8_t byte) { return byte == 0; }));
}

TEST_CASE("redirect: two tgts that send to each other are an error, after a few logins",
          "[interop][redirect][tgt][rule-41]") {
    const bool permanent = GENERATE(false, true);
    INFO("permanent " << permanent);
    Pair pair;
    pair.first->redirect(pair.to_second(permanent));
    pair.second->redirect(pair.to_first(permanent));
    PosixHost host(pair.line(1, "timeout=5"));
    WireTap tap(pair.first->port());
    host.attach(tap);
    CHECK_FALSE(host.login(60));
    INFO(host.story());
    REQUIRE(host.ended());
    CHECK(host.end_error() == HAWSER_ERROR_REDIRECTED_TOO_OFTEN);
    CHECK(host.snapshot().last_error == HAWSER_ERROR_REDIRECTED_TOO_OFTEN);
    // Some rounds of nine in five seconds: no storm.
    const auto seen = redirects(pair, tap);
    CHECK(seen.size() >= 9);
    CHECK(seen.size() <= 9 * 8);
}

TEST_CASE("redirect: a tgt that is dead where it sends to is named, and taken when it is back",
          "[interop][redirect][tgt][rule-41]") {
    Pair pair;
    pair.first->redirect(pair.to_second(false));
    pair.second->stop();
    {
        PosixHost host(pair.line(1, "timeout=2"));
        CHECK_FALSE(host.login(30));
        CHECK(host.end_error() == HAWSER_ERROR_CONNECT_FAILED);
        CHECK(host.end_detail() == ECONNREFUSED);
    }
    PosixHost host(pair.line(1, "timeout=30"));
    host.start();
    REQUIRE_FALSE(host.run_until([&] { return host.settled(); }, 2));
    REQUIRE_FALSE(host.ended());
    pair.second->kill_and_restart();
    const bool logged_in = host.run_until([&] { return host.settled() || host.ended(); }, 30);
    INFO(host.story());
    REQUIRE(logged_in);
    REQUIRE_FALSE(host.ended());
    CHECK(pair.second->connections() == 1);
    check_round_trips(host);
}
