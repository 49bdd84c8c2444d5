// SPDX-License-Identifier: GPL-2.0-or-later
//
// What every fuzzer is made of: the input as a source of choices, and the check that stops it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

// Ends the process with the rule that does not hold: libFuzzer keeps the input.
#define FUZZ_CHECK(condition, rule)                                                        \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, rule); \
            std::abort();                                                                  \
        }                                                                                  \
    } while (0)

namespace hawser::fuzz {

// Reads choices off the front of the input; at its end every choice is zero.
class Input {
public:
    Input(const uint8_t* bytes, size_t size) : rest_(bytes, size) {}

    bool empty() const { return rest_.empty(); }
    uint8_t byte() {
        if (rest_.empty()) return 0;
        const uint8_t value = rest_[0];
        rest_ = rest_.subspan(1);
        return value;
    }
    uint32_t word() {
        uint32_t value = 0;
        for (int i = 0; i < 4; i++) value = value << 8 | byte();
        return value;
    }
    std::span<const uint8_t> take(size_t length) {
        if (length > rest_.size()) length = rest_.size();
        const auto taken = rest_.first(length);
        rest_ = rest_.subspan(length);
        return taken;
    }
    std::span<const uint8_t> rest() { return take(rest_.size()); }

private:
    std::span<const uint8_t> rest_;
};

inline std::string_view as_text(std::span<const uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace hawser::fuzz
