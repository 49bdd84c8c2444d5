// SPDX-License-Identifier: GPL-2.0-or-later
// Text keys on the wire: see text.hpp.
#include "wire/text.hpp"

namespace hawser::wire {

namespace text_detail {

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
constexpr bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
constexpr bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

// -1: not a hex digit.
constexpr int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// -1: not a base64 digit, RFC 4648 4.
constexpr int base64_digit(char c) {
    if (is_upper(c)) return c - 'A';
    if (is_lower(c)) return c - 'a' + 26;
    if (is_digit(c)) return c - '0' + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return -1;
}

constexpr bool has_prefix(std::string_view value, char letter) {
    return value.size() >= 2 && value[0] == '0' && (value[1] | 0x20) == letter;
}

std::optional<uint64_t> parse_hex_number(std::string_view digits) {
    if (digits.empty()) return {};
    uint64_t number = 0;
    for (char c : digits) {
        int digit = hex_digit(c);
        if (digit < 0 || number >> 60) return {};
        number = number << 4 | static_cast<uint64_t>(digit);
    }
    return number;
}

std::optional<size_t> parse_hex_bytes(std::string_view digits, std::span<uint8_t> out) {
    if (digits.empty() || digits.size() % 2 || digits.size() / 2 > out.size()) return {};
    for (size_t i = 0; i < digits.size(); i += 2) {
        int high = hex_digit(digits[i]);
        int low = hex_digit(digits[i + 1]);
        if (high < 0 || low < 0) return {};
        out[i / 2] = static_cast<uint8_t>(high << 4 | low);
    }
    return digits.size() / 2;
}

// RFC 4648 4, with its padding; the bits that padding leaves over must be zero (3.5), so that a
// value has one encoding.
std::optional<size_t> parse_base64_bytes(std::string_view digits, std::span<uint8_t> out) {
    if (digits.empty() || digits.size() % 4) return {};
    size_t padding = 0;
    while (padding < 2 && digits[digits.size() - 1 - padding] == '=') padding++;
    size_t length = digits.size() / 4 * 3 - padding;
    if (length > out.size()) return {};
    uint32_t bits = 0;
    uint32_t bit_count = 0;
    size_t written = 0;
    for (size_t i = 0; i < digits.size() - padding; i++) {
        int digit = base64_digit(digits[i]);
        if (digit < 0) return {};
        bits = bits << 6 | static_cast<uint32_t>(digit);
        bit_count += 6;
        if (bit_count < 8) continue;
        bit_count -= 8;
        out[written++] = static_cast<uint8_t>(bits >> bit_count);
        bits &= (1u << bit_count) - 1;
    }
    if (bits) return {};
    return written;
}

std::string_view as_text(std::span<const uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace text_detail

std::optional<TextPair> TextReader::next() {
    // Targets exist that count the padding as text: a NUL where a key should begin is no pair.
    while (!m_rest.empty() && m_rest[0] == 0) m_rest = m_rest.subspan(1);
    if (m_rest.empty() || m_error != TextError::None) return {};
    std::string_view rest = text_detail::as_text(m_rest);
    size_t nul = find(rest, '\0');
    if (nul == rest.size()) {
        m_error = TextError::NoNul;
        return {};
    }
    std::string_view pair = slice(rest, 0, nul);
    size_t equal_sign = find(pair, '=');
    if (equal_sign == pair.size()) {
        m_error = TextError::NoEqualSign;
        return {};
    }
    std::string_view key = slice(pair, 0, equal_sign);
    if (!is_key_name(key)) {
        m_error = TextError::BadKeyName;
        return {};
    }
    m_rest = m_rest.subspan(nul + 1);
    return TextPair{key, slice(pair, equal_sign + 1)};
}

bool has_duplicate_key(std::span<const uint8_t> text, std::string_view repeatable, size_t limit) {
    TextReader later(text);
    for (size_t count = 0; auto pair = later.next(); count++) {
        if (count >= limit) return true;
        if (pair->key == repeatable) continue;
        TextReader earlier(text);
        for (size_t i = 0; i < count; i++)
            if (earlier.next()->key == pair->key) return true;
    }
    return false;
}

bool TextWriter::has_room(size_t length) {
    if (length <= m_buffer.size() - m_length) return true;
    m_overflowed = true;
    return false;
}

void TextWriter::append(std::string_view piece) {
    if (piece.empty()) return;
    __builtin_memcpy(m_buffer.data() + m_length, piece.data(), piece.size());
    m_length += piece.size();
}

void TextWriter::pair(std::string_view key, std::string_view value) {
    if (!has_room(key.size() + value.size() + 2)) return;
    append(key);
    append("=");
    append(value);
    append({"", 1});
}

void TextWriter::pair(std::string_view key, uint64_t value) {
    uint8_t digits[20] = {};
    TextWriter writer(digits);
    writer.number(value);
    pair(key, writer.view());
}

void TextWriter::text(std::string_view piece) {
    if (has_room(piece.size())) append(piece);
}

void TextWriter::number(uint64_t value) {
    char digits[20] = {};
    size_t first = sizeof(digits);
    do {
        digits[--first] = static_cast<char>('0' + value % 10);
        value /= 10;
    } while (value);
    text({digits + first, sizeof(digits) - first});
}

void TextWriter::hex(uint64_t value) {
    char digits[16] = {};
    size_t first = sizeof(digits);
    do {
        digits[--first] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    text({digits + first, sizeof(digits) - first});
}

bool ListReader::next(std::string_view& item) {
    if (m_done) return false;
    size_t end = find(m_rest, m_separator);
    item = slice(m_rest, 0, end);
    m_done = end == m_rest.size();
    if (!m_done) m_rest = slice(m_rest, end + 1);
    return true;
}

std::optional<uint64_t> parse_decimal(std::string_view value) {
    if (value.empty() || (value.size() > 1 && value[0] == '0')) return {};
    uint64_t number = 0;
    for (char c : value) {
        if (!text_detail::is_digit(c)) return {};
        uint64_t digit = static_cast<uint64_t>(c - '0');
        if (__builtin_mul_overflow(number, 10, &number)) return {};
        if (__builtin_add_overflow(number, digit, &number)) return {};
    }
    return number;
}

std::optional<uint64_t> parse_number(std::string_view value) {
    if (text_detail::has_prefix(value, 'x')) return text_detail::parse_hex_number(slice(value, 2));
    return parse_decimal(value);
}

std::optional<bool> parse_boolean(std::string_view value) {
    if (value == "Yes") return true;
    if (value == "No") return false;
    return {};
}

std::optional<size_t> parse_binary(std::string_view value, std::span<uint8_t> out) {
    if (text_detail::has_prefix(value, 'x'))
        return text_detail::parse_hex_bytes(slice(value, 2), out);
    if (text_detail::has_prefix(value, 'b'))
        return text_detail::parse_base64_bytes(slice(value, 2), out);
    return {};
}

bool is_key_name(std::string_view name) {
    if (name.empty() || name.size() > k_key_name_bytes) return false;
    for (char c : name) {
        bool allowed = text_detail::is_lower(c) || text_detail::is_upper(c) ||
                       text_detail::is_digit(c) || c == '.' || c == '-' || c == '+' || c == '@' ||
                       c == '_' || c == '#';
        if (!allowed) return false;
    }
    // 6.1 wants a capital letter first; the RFC's own iSCSIProtocolLevel has none.
    return text_detail::is_upper(name[0]) || text_detail::is_lower(name[0]);
}

bool is_iscsi_name(std::string_view name) {
    if (name.size() > k_iscsi_name_bytes || name.size() < 5) return false;
    std::string_view type = slice(name, 0, 4);
    std::string_view rest = slice(name, 4);
    if (type == "eui." || type == "naa.") {
        bool length_ok = rest.size() == 16 || (type == "naa." && rest.size() == 32);
        for (char c : rest) length_ok = length_ok && text_detail::hex_digit(c) >= 0;
        return length_ok;
    }
    if (type != "iqn.") return false;
    for (char c : rest) {
        bool allowed = text_detail::is_lower(c) || text_detail::is_upper(c) ||
                       text_detail::is_digit(c) || c == '-' || c == '.' || c == ':' ||
                       static_cast<unsigned char>(c) >= 0x80;
        if (!allowed) return false;
    }
    return true;
}

}  // namespace hawser::wire
