// SPDX-License-Identifier: GPL-2.0-or-later
//
// Text keys on the wire: RFC 7143 6.1, and the ways in which others' parsers have gone wrong.

#include "wire/text.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

using namespace hawser::wire;

namespace {

// An exact-size heap copy, so that the address sanitizer sees a read past the end.
std::vector<uint8_t> bytes(std::string_view text) {
    return {text.begin(), text.end()};
}

std::vector<std::pair<std::string, std::string>> pairs_of(std::string_view text, TextError& error) {
    auto copy = bytes(text);
    TextReader reader(copy);
    std::vector<std::pair<std::string, std::string>> pairs;
    while (auto pair = reader.next()) pairs.emplace_back(pair->key, pair->value);
    error = reader.error();
    return pairs;
}

using namespace std::string_view_literals;

}  // namespace

TEST_CASE("pairs are split at the first '=' and end with a NUL", "[RFC 7143 6.1]") {
    TextError error;
    auto pairs = pairs_of("InitiatorName=iqn.a:b\0X-com.x.y=a=b\0TargetAlias=\0"sv, error);
    REQUIRE(error == TextError::None);
    REQUIRE(pairs.size() == 3);
    CHECK(pairs[0] == std::pair<std::string, std::string>("InitiatorName", "iqn.a:b"));
    CHECK(pairs[1] == std::pair<std::string, std::string>("X-com.x.y", "a=b"));
    CHECK(pairs[2] == std::pair<std::string, std::string>("TargetAlias", ""));
}

TEST_CASE("nothing is an empty list of pairs", "[RFC 7143 6.1]") {
    TextError error;
    CHECK(pairs_of("", error).empty());
    CHECK(error == TextError::None);
}

TEST_CASE("padding that a target counted as text is no pair") {
    TextError error;
    CHECK(pairs_of("A=1\0\0\0B=2\0\0"sv, error).size() == 2);
    CHECK(error == TextError::None);
}

TEST_CASE("malformed text is named, and what came before it is kept", "[RFC 7143 6.1][rule-38]") {
    TextError error;
    CHECK(pairs_of("A=1\0B=2"sv, error).size() == 1);
    CHECK(error == TextError::NoNul);
    CHECK(pairs_of("A=1\0B\0"sv, error).size() == 1);
    CHECK(error == TextError::NoEqualSign);
    CHECK(pairs_of("=1\0"sv, error).empty());
    CHECK(error == TextError::BadKeyName);
    CHECK(pairs_of("A B=1\0"sv, error).empty());
    CHECK(error == TextError::BadKeyName);
    CHECK(pairs_of("\xff=1\0"sv, error).empty());
    CHECK(error == TextError::BadKeyName);
    CHECK(pairs_of(std::string(64, 'K') + "=1" + '\0', error).empty());
    CHECK(error == TextError::BadKeyName);
    CHECK(pairs_of(std::string(63, 'K') + "=1" + '\0', error).size() == 1);
    CHECK(error == TextError::None);
    CHECK(pairs_of(std::string(8192, 'A'), error).empty());
    CHECK(error == TextError::NoNul);
}

TEST_CASE("a key that comes twice is found", "[RFC 7143 6.3][rule-37]") {
    auto twice = bytes("A=1\0B=2\0A=3\0"sv);
    auto address = bytes("TargetAddress=1\0TargetAddress=2\0"sv);
    CHECK(has_duplicate_key(twice, "TargetAddress", 10));
    CHECK_FALSE(has_duplicate_key(address, "TargetAddress", 10));
    CHECK(has_duplicate_key(address, "", 10));
    auto many = bytes("A=1\0B=2\0C=3\0"sv);
    CHECK_FALSE(has_duplicate_key(many, "", 3));
    CHECK(has_duplicate_key(many, "", 2));
}

TEST_CASE("a writer writes pairs, and leaves out whole what does not fit") {
    std::array<uint8_t, 16> buffer{};
    TextWriter writer(buffer);
    writer.pair("A", "Yes");
    writer.pair("B", uint64_t{65536});
    CHECK(writer.view() == "A=Yes\0B=65536\0"sv);
    CHECK_FALSE(writer.overflowed());
    writer.pair("C", "");
    CHECK(writer.overflowed());
    CHECK(writer.length() == 14);
}

TEST_CASE("a writer fills its buffer to the last byte") {
    std::array<uint8_t, 4> buffer{};
    TextWriter writer(buffer);
    writer.pair("A", "1");
    CHECK(writer.view() == "A=1\0"sv);
    CHECK_FALSE(writer.overflowed());
}

TEST_CASE("numbers in text") {
    std::array<uint8_t, 64> buffer{};
    TextWriter writer(buffer);
    writer.number(0);
    writer.text(" ");
    writer.number(UINT64_MAX);
    writer.text(" ");
    writer.hex(0xfe80);
    CHECK(writer.view() == "0 18446744073709551615 fe80");
}

TEST_CASE("decimal and hex numbers", "[RFC 7143 6.1]") {
    CHECK(parse_number("0") == 0u);
    CHECK(parse_number("262144") == 262144u);
    CHECK(parse_number("0x10") == 16u);
    CHECK(parse_number("0XfF") == 255u);
    CHECK(parse_number("18446744073709551615") == UINT64_MAX);
    CHECK(parse_number("0xffffffffffffffff") == UINT64_MAX);
    for (const char* bad :
         {"", "-1", "+1", " 1", "1 ", "01", "00", "0x", "0xg", "1a", "18446744073709551616",
          "99999999999999999999", "0x10000000000000000", "1~2", "1,2", "0b00"})
        CHECK_FALSE(parse_number(bad));
    CHECK_FALSE(parse_decimal("0x10"));
}

TEST_CASE("booleans are Yes and No and nothing else", "[RFC 7143 6.1]") {
    CHECK(parse_boolean("Yes") == true);
    CHECK(parse_boolean("No") == false);
    for (const char* bad : {"", "yes", "NO", "Y", "1", "Yes ", "Yes,No"})
        CHECK_FALSE(parse_boolean(bad));
}

TEST_CASE("lists keep their empty items") {
    ListReader list("a,,b,");
    std::vector<std::string> items;
    for (std::string_view item; list.next(item);) items.emplace_back(item);
    CHECK(items == std::vector<std::string>{"a", "", "b", ""});
    ListReader empty("");
    std::string_view item = "x";
    CHECK(empty.next(item));
    CHECK(item.empty());
    CHECK_FALSE(empty.next(item));
}

TEST_CASE("binary values in hex and base64", "[RFC 7143 6.1][rule-44]") {
    std::array<uint8_t, 4> out{};
    REQUIRE(parse_binary("0xdeadBEEF", out) == 4u);
    CHECK(out == std::array<uint8_t, 4>{0xde, 0xad, 0xbe, 0xef});
    REQUIRE(parse_binary("0b3q2+7w==", out) == 4u);
    CHECK(out == std::array<uint8_t, 4>{0xde, 0xad, 0xbe, 0xef});
    REQUIRE(parse_binary("0B3q2+", out) == 3u);
    // Empty, odd, not hex, no prefix, too long, base64 cut short, with stray bits, with '=' inside:
    // each has been a hole in somebody's login.
    for (const char* bad :
         {"", "0x", "0x123", "0xzz", "55", "0xdeadbeef00", "0b", "0b3q2", "0b3q=2", "0b3q2+7w",
          "0b3q3=", "0b====", "0b3q2+7wAA", "0b3q2+7wA=", "deadbeef"})
        CHECK_FALSE(parse_binary(bad, out));
    // 127 base64 characters into a small buffer.
    CHECK_FALSE(parse_binary("0b" + std::string(127, 'A'), out));
    CHECK_FALSE(parse_binary("0b" + std::string(128, 'A'), out));
    CHECK_FALSE(parse_binary("0x" + std::string(127, 'A'), out));
}

TEST_CASE("iSCSI names", "[RFC 7143 4.2.7]") {
    for (const char* good :
         {"iqn.2001-04.com.example:storage:diskarrays-sn-a8675309", "iqn.2001-04.com.example",
          "eui.02004567A425678D", "naa.52004567BA64678D", "naa.62004567BA64678D0123456789ABCDEF",
          "iqn.2003-01.org.linux-iscsi.host.x8664:sn.Upper"})
        CHECK(is_iscsi_name(good));
    for (const char* bad :
         {"", "iqn.", "iqn", "disk", "IQN.2001-04.com.example", "iqn.a b", "iqn.a/b", "iqn.a\nb",
          "iqn.a=b", "iqn.a,b", "eui.02004567A425678", "eui.02004567A425678G", "naa.5", "iqn.a_b"})
        CHECK_FALSE(is_iscsi_name(bad));
    CHECK(is_iscsi_name("iqn." + std::string(219, 'a')));
    CHECK_FALSE(is_iscsi_name("iqn." + std::string(220, 'a')));
    CHECK_FALSE(is_iscsi_name("iqn.a\0b"sv));
}
