// SPDX-License-Identifier: GPL-2.0-or-later
//
// ExpStatSN over responses that come in order, late, twice, or with data missing.

#include "engine/status_window.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <set>

using namespace hawser;
using wire::StatSn;
using Arrival = StatusWindow::Arrival;

namespace {

struct Window : StatusWindow {
    explicit Window(uint32_t first) { reset(StatSn(first)); }
    Arrival take(uint32_t number, bool held = false) { return arrive(StatSn(number), held, hole); }
    uint32_t at() const { return expected().value(); }
    StatusRun hole;
};

}  // namespace

TEST_CASE("responses in order are acknowledged at once", "[RFC 7143 4.2.2.2]") {
    Window window(0xfffffffe);
    for (uint32_t i = 0; i < 5000; i++) {
        CHECK(window.take(0xfffffffe + i) == Arrival::InOrder);
        CHECK(window.at() == 0xfffffffe + i + 1);
        CHECK(window.hole.length == 0);
    }
}

TEST_CASE("a hole is told once, and is not acknowledged until it is filled",
          "[RFC 7143 7.9][rule-6]") {
    Window window(10);
    CHECK(window.take(12) == Arrival::LeavesHole);
    CHECK(window.hole.begin == StatSn(10));
    CHECK(window.hole.length == 2);
    CHECK(window.take(13) == Arrival::InOrder);
    CHECK(window.take(16) == Arrival::LeavesHole);
    CHECK(window.hole.begin == StatSn(14));
    CHECK(window.hole.length == 2);
    CHECK(window.at() == 10);
    CHECK(window.first_hole().begin == StatSn(10));
    CHECK(window.first_hole().length == 2);
    CHECK(window.take(11) == Arrival::FillsHole);
    CHECK(window.at() == 10);
    CHECK(window.take(10) == Arrival::FillsHole);
    CHECK(window.at() == 14);
    CHECK(window.take(12) == Arrival::Duplicate);
    CHECK(window.take(16) == Arrival::Duplicate);
    CHECK(window.first_hole().begin == StatSn(14));
    CHECK(window.take(15) == Arrival::FillsHole);
    CHECK(window.take(14) == Arrival::FillsHole);
    CHECK(window.at() == 17);
    CHECK(window.first_hole().length == 0);
}

TEST_CASE("a large gap is no hole", "[RFC 7143 4.2.2.2][rule-5]") {
    Window window(10);
    CHECK(window.take(10 + StatusWindow::k_size) == Arrival::TooFar);
    CHECK(window.take(10 + StatusWindow::k_size - 1) == Arrival::LeavesHole);
    CHECK(window.hole.length == StatusWindow::k_size - 1);
    CHECK(window.reveal(StatSn(10 + StatusWindow::k_size)).length == 0);
}

TEST_CASE("what is held is not acknowledged", "[RFC 7143 11.16.1][rule-52]") {
    Window window(10);
    CHECK(window.take(10, true) == Arrival::InOrder);
    CHECK(window.take(11) == Arrival::InOrder);
    CHECK(window.at() == 10);
    CHECK(window.take(10) == Arrival::Duplicate);
    CHECK(window.first_hole().length == 0);
    window.release(StatSn(10));
    CHECK(window.at() == 12);
}

TEST_CASE("a number that is about to be given reveals what is missing", "[RFC 7143 7.9]") {
    Window window(10);
    CHECK(window.reveal(StatSn(10)).length == 0);
    CHECK(window.reveal(StatSn(9)).length == 0);
    StatusRun run = window.reveal(StatSn(13));
    CHECK(run.begin == StatSn(10));
    CHECK(run.length == 3);
    CHECK(window.reveal(StatSn(13)).length == 0);
    CHECK(window.take(13) == Arrival::InOrder);
    CHECK(window.take(11) == Arrival::FillsHole);
    CHECK(window.at() == 10);
    CHECK(window.take(10) == Arrival::FillsHole);
    CHECK(window.at() == 12);
}

TEST_CASE("any order ends with all acknowledged, over the wrap") {
    std::mt19937 random(7);
    for (int round = 0; round < 200; round++) {
        const uint32_t first = static_cast<uint32_t>(random());
        Window window(first);
        std::vector<uint32_t> numbers(300);
        for (uint32_t i = 0; i < numbers.size(); i++) numbers[i] = i;
        std::shuffle(numbers.begin(), numbers.end(), random);
        std::set<uint32_t> seen, held;
        for (uint32_t number : numbers) {
            const bool hold = random() % 8 == 0;
            const Arrival arrival = window.take(first + number, hold);
            CHECK((arrival == Arrival::InOrder || arrival == Arrival::FillsHole ||
                   arrival == Arrival::LeavesHole));
            CHECK(window.take(first + number) == Arrival::Duplicate);
            seen.insert(number);
            if (hold) held.insert(number);
            uint32_t expected = 0;
            while (seen.count(expected) && !held.count(expected)) expected++;
            CHECK(window.at() == first + expected);
        }
        for (uint32_t number : held) window.release(StatSn(first + number));
        CHECK(window.at() == first + 300);
    }
}
