// SPDX-License-Identifier: GPL-2.0-or-later
//
// What must not be in the engine's object inside hawser.ko. A static constructor never runs there,
// and there is neither heap nor exception: each would link, or fail, far from its cause.

#include <charconv>
#include <initializer_list>
#include <utility>

#include "rules.h"

namespace hawser::tidy {

namespace {

// Why a symbol may not be there, or nothing.
const char* objection(std::string_view symbol, char type) {
    if (symbol == "__cxa_pure_virtual") return nullptr;  // the engine defines it, as a trap
    for (const auto& [prefix, why] :
         std::initializer_list<std::pair<std::string_view, const char*>>{
             {"_GLOBAL__sub_I", "a static constructor, which never runs in the kernel"},
             {"__cxa_", "run-time support of C++ that the kernel does not have"},
             {"_Unwind", "exceptions"},
             {"__gxx", "exceptions"},
             {"_Znw", "operator new"},
             {"_Zna", "operator new[]"},
             {"_Zdl", "operator delete"},
             {"_Zda", "operator delete[]"}}) {
        if (symbol.starts_with(prefix)) return why;
    }
    // std::__throw_out_of_range and the like: _ZSt20__throw_out_of_range... A trap of our own may
    // define it.
    if (type == 'U' && symbol.starts_with("_ZSt") && symbol.find("__throw") != symbol.npos) {
        return "exceptions";
    }
    return nullptr;
}

}  // namespace

Findings check_symbols(std::string_view path, std::string_view nm, std::string_view sections) {
    Findings findings;
    for (const std::string_view line : lines_of(nm)) {
        // "0000000000000010 T name" or "                 U name"
        const size_t space = line.rfind(' ');
        if (space == line.npos || space == 0) continue;
        const std::string_view symbol = line.substr(space + 1);
        if (const char* why = objection(symbol, line[space - 1])) {
            findings.push_back(
                {std::string(path), 0, "symbol " + std::string(symbol) + ": " + why});
        }
    }
    for (const std::string_view name : {".init_array", ".ctors", ".gcc_except_table"}) {
        if (sections.find(name) == sections.npos) continue;
        findings.push_back({std::string(path), 0,
                            "section " + std::string(name) +
                                ": static constructors and exceptions do not work in the kernel"});
    }
    return findings;
}

Findings check_text_size(std::string_view path, std::string_view size, size_t limit) {
    const auto lines = lines_of(size);
    size_t bytes = 0;
    if (lines.size() == 2) {
        const size_t digit = lines[1].find_first_of("0123456789");
        const std::string_view number = lines[1].substr(digit == lines[1].npos ? 0 : digit);
        std::from_chars(number.data(), number.data() + number.size(), bytes);
    }
    if (bytes == 0) return {{std::string(path), 0, "its code has no size: see `size`"}};
    if (bytes <= limit) return {};
    return {{std::string(path), 0,
             std::to_string(bytes) + " bytes of code: at most " + std::to_string(limit) +
                 "; if that growth is meant, raise k_max_engine_text_bytes"}};
}

}  // namespace hawser::tidy
