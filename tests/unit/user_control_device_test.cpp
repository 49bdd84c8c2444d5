// SPDX-License-Identifier: GPL-2.0-or-later
// Requests to the module: what a refusal is called, and that a good answer is read from the
// descriptor that the request was written to.
#include "user/control_device.h"

#include <fcntl.h>
#include <pty.h>
#include <termios.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>

using namespace hawser::user;

TEST_CASE("module: every refusal has a cause of its own", "[user]") {
    const auto cause = [](int error, const char* reason) {
        const Problem problem = request_problem(error, reason);
        CHECK_FALSE(problem.value.empty());
        CHECK_FALSE(problem.advice.empty());
        return problem.cause;
    };
    const std::string before = "no portal logged in within 60 s: 10.0.10.2:3260 on eth0: ";
    const auto timed_out = [&](const std::string& error) {
        return cause(ETIMEDOUT, (before + error).c_str());
    };
    CHECK(timed_out("TCP connect failed (ECONNREFUSED)") == "target refused the connection");
    CHECK(timed_out("TCP connect failed (EHOSTUNREACH)") == "target unreachable");
    CHECK(timed_out("TCP connect failed (ENETUNREACH)") == "target unreachable");
    CHECK(timed_out("TCP connect failed (ETIMEDOUT)") == "target unreachable");
    CHECK(timed_out("no answer to the TCP connect") == "target unreachable");
    CHECK(timed_out("target is busy or not operational (0301)") == "target busy");
    CHECK(timed_out("no answer to the Login") == "no login in time");
    CHECK(cause(ENOENT, "target is not known there (0203)") == "target unknown");
    CHECK(cause(EPERM, "not allowed (0202)") == "target forbids this initiator");
    CHECK(cause(EACCES, "(0201)") == "authentication failed");
    CHECK(cause(ENOKEY, "chap_key=a:b") == "no such key");
    CHECK(cause(ENODEV, "logged in to x, but it shows no LUN") == "no LUN");
    CHECK(cause(ENODEV, "session=hawser7: there is no such session") == "no such session");
    CHECK(cause(ENODEV, "session=hawser7: session has no such connection") == "no such connection");
    CHECK(cause(EBUSY, "session=hawser7: session has no other connection that is logged in") ==
          "the last connection");
    CHECK(cause(ENOBUFS, "x") == "no room for a connection");
    CHECK(cause(ENOTCONN, "x") == "session has no target just now");
    CHECK(cause(EEXIST, "x") == "session exists");
    CHECK(cause(EBUSY, "x") == "session is in use");
    CHECK(cause(EINVAL, "x") == "request refused");
    CHECK(cause(EPROTO, "x") == "login refused");
    CHECK(cause(ENOMEM, "") == "request failed");
}

TEST_CASE("module: the answer comes from the request's descriptor", "[user]") {
    int master, slave;
    char name[64];
    REQUIRE(openpty(&master, &slave, name, nullptr, nullptr) == 0);
    termios raw;
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    std::thread module([&] {
        char line[64];
        const ssize_t got = read(master, line, sizeof(line));
        const std::string answer = std::string(line, static_cast<size_t>(got)) == "connect a=b"
                                       ? "session hawser0\n"
                                       : "?";
        if (write(master, answer.data(), answer.size()) < 0) std::abort();
    });
    CHECK(ask_module("connect a=b", name) == "session hawser0");
    module.join();
    close(slave);
    close(master);
}

TEST_CASE("module: a device that is not there, or refuses", "[user]") {
    CHECK_THROWS_WITH(ask_module("connect", "/nowhere"),
                      "hawser: cannot open: /nowhere (No such file or directory): load the module: "
                      "modprobe hawser");
    CHECK_THROWS_WITH(ask_module("connect", "/dev/full"),
                      Catch::Contains("hawser: request failed: "));
}
