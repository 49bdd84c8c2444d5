// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every error has a number and words of its own.

#include "abi/engine.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>

TEST_CASE("errors have distinct numbers and words") {
    std::set<uint32_t> numbers;
    std::set<std::string> words;
    size_t count = 0;
#define HAWSER_ERROR_COUNT(name, number, text) \
    count++;                                   \
    numbers.insert(HAWSER_ERROR_##name);       \
    words.insert(hawser_error_words(number));  \
    CHECK(std::string(hawser_error_words(number)) == text);
    HAWSER_ERRORS(HAWSER_ERROR_COUNT)
#undef HAWSER_ERROR_COUNT
    CHECK(numbers.size() == count);
    CHECK(words.size() == count);
    CHECK(std::string(hawser_error_words(9999)) == "unknown error");
}

TEST_CASE("after Status-Class 2 nothing is tried again, after 3 it is", "[RFC 7143 11.13.5]") {
    for (uint32_t error = HAWSER_ERROR_LOGIN_INITIATOR_ERROR;
         error <= HAWSER_ERROR_LOGIN_INVALID_DURING_LOGIN; error++)
        CHECK(hawser_error_is_final(error));
    for (uint32_t error : {HAWSER_ERROR_LOGIN_TARGET_ERROR, HAWSER_ERROR_LOGIN_SERVICE_UNAVAILABLE,
                           HAWSER_ERROR_LOGIN_OUT_OF_RESOURCES, HAWSER_ERROR_CONNECT_FAILED,
                           HAWSER_ERROR_LOGIN_TIMEOUT, HAWSER_ERROR_LOGIN_REDIRECTED})
        CHECK_FALSE(hawser_error_is_final(error));
}
