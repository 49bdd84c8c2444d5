// SPDX-License-Identifier: GPL-2.0-or-later
//
// A scanner for the little of C++ lexing that matters here: where comments and literals begin and
// end.

#include "source.h"

#include <cctype>

namespace hawser::tidy {

namespace {

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

class Blanker {
public:
    explicit Blanker(std::string_view text) : text_(text), out_(text) {}

    std::string run() {
        bool line_start = true;
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (c == '\n') {
                line_start = true;
                ++at_;
            } else if (line_start && c == '#') {
                blank_directive();
            } else if (starts("//")) {
                blank_until("\n", false);
            } else if (starts("/*")) {
                blank_until("*/", true);
            } else if (starts("R\"") && !after_word()) {
                blank_raw_string();
            } else if (c == '"' || (c == '\'' && !after_word())) {
                blank_literal(c);
            } else {
                line_start = line_start && std::isspace(static_cast<unsigned char>(c)) != 0;
                ++at_;
            }
        }
        return std::move(out_);
    }

private:
    bool starts(std::string_view what) const { return text_.substr(at_, what.size()) == what; }
    // 1'000 and u8"" alike: a quote after a word character separates digits, or ends a prefix.
    bool after_word() const { return at_ > 0 && is_word(text_[at_ - 1]); }

    void blank() {
        if (out_[at_] != '\n') out_[at_] = ' ';
        ++at_;
    }
    void blank_many(size_t count) {
        while (count-- > 0 && at_ < text_.size()) blank();
    }
    void blank_until(std::string_view end, bool with_end) {
        blank_many(2);
        while (at_ < text_.size() && !starts(end)) blank();
        if (with_end) blank_many(end.size());
    }
    void blank_directive() {
        while (at_ < text_.size() && text_[at_] != '\n') {
            if (starts("/*")) {
                blank_until("*/", true);
            } else {
                blank_many(starts("\\\n") ? 2 : 1);
            }
        }
    }
    void blank_raw_string() {
        const size_t open = text_.find('(', at_);
        const std::string end =
            ")" + std::string(text_.substr(at_ + 2, open == text_.npos ? 0 : open - at_ - 2)) +
            "\"";
        blank_until(end, true);
    }
    void blank_literal(char quote) {
        blank();
        while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n') {
            blank_many(text_[at_] == '\\' ? 2 : 1);
        }
        blank_many(1);
    }

    std::string_view text_;
    std::string out_;
    size_t at_ = 0;
};

}  // namespace

std::string code_only(std::string_view text) {
    return Blanker(text).run();
}

}  // namespace hawser::tidy
