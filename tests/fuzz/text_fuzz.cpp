// SPDX-License-Identifier: GPL-2.0-or-later
//
// Text keys: any bytes as a text data segment, and each value as a number, a boolean, binary. What
// is read and written again must be the same.

#include <string>
#include <vector>

#include "input.h"
#include "wire/text.hpp"

using namespace hawser::wire;
using namespace hawser::fuzz;

namespace {

void check_value(std::string_view value) {
    if (const auto number = parse_decimal(value)) {
        FUZZ_CHECK(std::to_string(*number) == value, "a decimal has one spelling");
        FUZZ_CHECK(parse_number(value) == number, "a decimal is a number");
    }
    parse_number(value);
    if (const auto boolean = parse_boolean(value))
        FUZZ_CHECK(value == (*boolean ? "Yes" : "No"), "a boolean has one spelling");
    std::vector<uint8_t> room(value.size() % 67);
    if (const auto length = parse_binary(value, room)) {
        FUZZ_CHECK(*length != 0 && *length <= room.size(), "binary fits its room");
        // One byte less must not suffice.
        std::vector<uint8_t> less(*length - 1);
        FUZZ_CHECK(!parse_binary(value, less), "binary needs its room");
    }
    if (is_iscsi_name(value)) FUZZ_CHECK(value.size() <= k_iscsi_name_bytes, "a name is bounded");
    ListReader list(value);
    size_t sum = 0;
    size_t count = 0;
    for (std::string_view item; list.next(item); count++) sum += item.size();
    FUZZ_CHECK(count != 0 && sum + count - 1 == value.size(), "a list is its items and commas");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    // An exact copy, and a writer that just suffices.
    const std::vector<uint8_t> text(bytes, bytes + size);
    std::vector<uint8_t> again(size);
    TextWriter writer(again);
    TextReader reader(text);
    size_t pairs = 0;
    while (const auto pair = reader.next()) {
        FUZZ_CHECK(is_key_name(pair->key), "a key is a standard-label");
        FUZZ_CHECK(pair->value.find('\0') == pair->value.npos, "a value ends at its NUL");
        writer.pair(pair->key, pair->value);
        check_value(pair->value);
        pairs++;
    }
    FUZZ_CHECK(!writer.overflowed(), "what was read fits where it came from");
    TextReader second(writer.written());
    for (size_t i = 0; i < pairs; i++) FUZZ_CHECK(second.next(), "what was written is read");
    FUZZ_CHECK(!second.next() && second.error() == TextError::None, "and no more");
    if (pairs < 40 && reader.error() == TextError::None)
        has_duplicate_key(text, "TargetAddress", 32);
    check_value(as_text(text));
    return 0;
}
