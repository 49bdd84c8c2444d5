// SPDX-License-Identifier: GPL-2.0-or-later
// Text keys on the wire, RFC 7143 6.1: key=value pairs, each ended by a NUL, that together form a
// logical text data segment. Reading copies nothing: keys and values are views of the segment, and
// what reads them is bounded by it. Writing fills a buffer of fixed size and remembers when it did
// not suffice, so that a caller checks once, at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace hawser::wire {

// RFC 7143 6.1: a key-name is a standard-label, which has at most 63 characters.
inline constexpr size_t k_key_name_bytes = 63;
// RFC 7143 4.2.7.1
inline constexpr size_t k_iscsi_name_bytes = 223;
// RFC 7143 6.1: a simple-value, not its encoding, has at most 255 bytes.
inline constexpr size_t k_simple_value_bytes = 255;

enum class TextError : uint8_t {
    None,
    NoNul,        // the segment does not end with the NUL of its last pair
    NoEqualSign,  // a pair without '='
    BadKeyName,   // not a standard-label
};

struct TextPair {
    std::string_view key;
    std::string_view value;
};

// Walks the pairs of a logical text data segment.
class TextReader {
public:
    explicit TextReader(std::span<const uint8_t> text) : m_rest(text) {}

    // The next pair; empty at the end of the segment or at an error, which error() then names.
    std::optional<TextPair> next();
    TextError error() const { return m_error; }

private:
    std::span<const uint8_t> m_rest;
    TextError m_error = TextError::None;
};

// Whether a key occurs twice in the segment (RFC 7143 6.3: nothing is declared or negotiated
// twice), `repeatable` apart. Also true when there are more than `limit` pairs: what is too much to
// be compared is not trusted.
bool has_duplicate_key(std::span<const uint8_t> text, std::string_view repeatable, size_t limit);

// Appends to a buffer of the caller's. What does not fit is left out whole, and overflowed() says
// so.
class TextWriter {
public:
    TextWriter() = default;
    explicit TextWriter(std::span<uint8_t> buffer) : m_buffer(buffer) {}

    void pair(std::string_view key, std::string_view value);
    void pair(std::string_view key, uint64_t value);
    // Pieces without a NUL, for lines that are not key=value text.
    void text(std::string_view piece);
    void number(uint64_t value);
    void hex(uint64_t value);

    size_t length() const { return m_length; }
    bool overflowed() const { return m_overflowed; }
    std::span<const uint8_t> written() const { return m_buffer.first(m_length); }
    std::string_view view() const {
        return {reinterpret_cast<const char*>(m_buffer.data()), m_length};
    }

private:
    bool has_room(size_t length);
    void append(std::string_view piece);

    std::span<uint8_t> m_buffer;
    size_t m_length = 0;
    bool m_overflowed = false;
};

// std::string_view::substr may throw; this may not: what is beyond the end is empty.
constexpr std::string_view slice(std::string_view text, size_t begin, size_t end = SIZE_MAX) {
    if (end > text.size()) end = text.size();
    if (begin > end) begin = end;
    return {text.data() + begin, end - begin};
}

// Where c stands in text, or its size.
constexpr size_t find(std::string_view text, char c) {
    size_t i = 0;
    while (i < text.size() && text[i] != c) i++;
    return i;
}

// An array that holds a C string, of which the NUL may be missing.
template <size_t N>
constexpr std::string_view text_of(const char (&text)[N]) {
    return slice({text, N}, 0, find({text, N}, '\0'));
}

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) {
    auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); i++)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

// A value up to the next `separator`, which is taken off the front of rest. Empty pieces count:
// "a,,b" has three. False when rest has been used up; done starts as false.
class ListReader {
public:
    explicit ListReader(std::string_view list, char separator = ',')
        : m_rest(list), m_separator(separator) {}
    bool next(std::string_view& item);

private:
    std::string_view m_rest;
    char m_separator;
    bool m_done = false;
};

// decimal-constant: no sign, no leading zero, below 2^64.
std::optional<uint64_t> parse_decimal(std::string_view value);
// numerical-value: decimal-constant or hex-constant (0x..), below 2^64.
std::optional<uint64_t> parse_number(std::string_view value);
// boolean-value: exactly "Yes" or "No".
std::optional<bool> parse_boolean(std::string_view value);
// binary-value in hex ("0x..") or base64 ("0b..."): how many bytes were written to out. Refused
// when empty, of an odd number of digits, not hex or base64, or longer than out: where a value's
// length matters (CHAP) every one of these has been a hole in somebody's login.
std::optional<size_t> parse_binary(std::string_view value, std::span<uint8_t> out);

// standard-label, RFC 7143 6.1, and the private "X#" names, which are on the wire too.
bool is_key_name(std::string_view name);
// An iSCSI name as it may stand on the wire: "iqn.", "eui." or "naa.", then what RFC 3722 lets out:
// lower case letters, digits, '-', '.', ':' and UTF-8 beyond ASCII; at most 223 bytes. Upper case
// is accepted in the hex digits of eui. and naa. names (RFC 7143 4.2.7.5) and elsewhere as given,
// since targets exist whose configured names have it and who compare byte for byte.
bool is_iscsi_name(std::string_view name);

}  // namespace hawser::wire
