// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rules that look at C and C++ code. They match braces and words, they do not parse: good enough
// for code that clang-format or checkpatch has laid out.

#include <array>
#include <cctype>
#include <optional>
#include <string>
#include <utility>

#include "rules.h"

namespace hawser::tidy {

namespace {

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool is_space(char c) {
    return std::isspace(static_cast<unsigned char>(c)) != 0;
}

bool has_word(std::string_view text, std::string_view word) {
    for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
        const bool starts = at == 0 || !is_word(text[at - 1]);
        const size_t end = at + word.size();
        if (starts && (end == text.size() || !is_word(text[end]))) return true;
    }
    return false;
}

// `name(...)` taken out wherever it stands: what looks like a call in a head but is none.
std::string without_call(std::string text, std::string_view name) {
    for (size_t at = text.find(name); at != text.npos; at = text.find(name, at)) {
        size_t end = text.find('(', at);
        int depth = 0;
        for (; end < text.size(); ++end) {
            depth += text[end] == '(' ? 1 : text[end] == ')' ? -1 : 0;
            if (depth == 0) break;
        }
        text.erase(at, end == text.npos ? text.npos : end - at + 1);
    }
    return text;
}

// What a brace opens, judged by the text since the last ';', '{' or '}'.
enum class Brace { Scope, Function, Other };

Brace brace_after(std::string_view head_view) {
    std::string head = without_call(std::string(head_view), "alignas");
    head = without_call(std::move(head), "__attribute__");
    const bool parameters = head.find(')') != head.npos;
    if (parameters) {
        const size_t equals = head.find('=');
        // `= {` and `= [](..) {` begin data; an operator's name, or a default argument, has a '('
        // around.
        const bool data =
            equals != head.npos && equals < head.find('(') && !has_word(head, "operator");
        return data ? Brace::Other : Brace::Function;
    }
    for (const char* word : {"namespace", "class", "struct", "union", "extern"}) {
        if (has_word(head, word) && head.find('=') == head.npos) return Brace::Scope;
    }
    return Brace::Other;
}

struct OpenBrace {
    Brace kind;
    size_t line;
    bool keeps_head;
};

// Walks the code once, and reports every function's first and last line.
class FunctionScanner {
public:
    explicit FunctionScanner(std::string_view code) : code_(code) {}

    template <typename Report>
    void run(Report report) {
        for (size_t at = 0; at < code_.size(); ++at) {
            const char c = code_[at];
            if (c == '{') {
                open(at);
            } else if (c == '}') {
                close(report);
            } else if (c == ';') {
                clear_head();
            } else if (c == '\n') {
                ++line_;
                head_ += ' ';
            } else {
                if (!is_space(c) && !head_line_) head_line_ = line_;
                head_ += c;
            }
        }
    }

private:
    void clear_head() {
        head_.clear();
        head_line_.reset();
    }

    bool inside_function() const {
        for (const OpenBrace& brace : stack_) {
            if (brace.kind != Brace::Scope) return true;
        }
        return false;
    }

    void open(size_t at) {
        const bool initializer = at > 0 && (is_word(code_[at - 1]) || code_[at - 1] == '>');
        if (inside_function() || initializer) {
            stack_.push_back({Brace::Other, line_, initializer});
            if (!initializer) clear_head();
            return;
        }
        stack_.push_back({brace_after(head_), head_line_.value_or(line_), false});
        clear_head();
    }

    template <typename Report>
    void close(Report& report) {
        if (stack_.empty()) return;
        const OpenBrace brace = stack_.back();
        stack_.pop_back();
        if (brace.kind == Brace::Function) report(brace.line, line_);
        if (!brace.keeps_head) clear_head();
    }

    std::string_view code_;
    std::vector<OpenBrace> stack_;
    std::string head_;
    std::optional<size_t> head_line_;
    size_t line_ = 1;
};

// The part of the tree that a path lies in, for the direction of includes.
enum class Part { Wire, Engine, Abi, Kernel, User, Elsewhere };

Part part_of(std::string_view path) {
    constexpr std::array<std::pair<std::string_view, Part>, 5> k_parts{{
        {"wire/", Part::Wire},
        {"engine/", Part::Engine},
        {"abi/", Part::Abi},
        {"kernel/", Part::Kernel},
        {"user/", Part::User},
    }};
    if (path.starts_with("initiator/")) path.remove_prefix(10);
    for (const auto& [prefix, part] : k_parts) {
        if (path.starts_with(prefix)) return part;
    }
    return Part::Elsewhere;
}

// wire <- engine <- abi <- {kernel, user, tests}. Tests and tools may look anywhere.
bool may_include(Part from, std::string_view path, Part what, std::string_view included) {
    const bool header = path.ends_with(".h");
    switch (from) {
        case Part::Wire:
            return what == Part::Wire;
        case Part::Engine:
            // abi's C headers are the words of the contract, and depend on nothing.
            return what == Part::Wire || what == Part::Engine ||
                   (what == Part::Abi && included.ends_with(".h"));
        case Part::Abi:
            // Its headers are what C hosts see: nothing of C++ behind them.
            return what == Part::Abi || (!header && (what == Part::Wire || what == Part::Engine));
        case Part::Kernel:
            // engine.c is the one translation unit in which Kbuild compiles the engine.
            return what == Part::Kernel || what == Part::Abi || path.ends_with("kernel/engine.c");
        case Part::User:
            return what == Part::User || what == Part::Abi;
        case Part::Elsewhere:
            return true;
    }
    return false;
}

// A quoted include as a path below initiator/: "wire/pdu.h", or relative to the file that includes.
std::string resolve(std::string_view path, std::string_view included) {
    std::string folder(path.substr(0, path.rfind('/') == path.npos ? 0 : path.rfind('/')));
    const bool relative = included.starts_with("../") || included.find('/') == included.npos;
    if (!relative) return std::string(included);
    while (included.starts_with("../")) {
        included.remove_prefix(3);
        folder.erase(folder.rfind('/') == folder.npos ? 0 : folder.rfind('/'));
    }
    return folder + "/" + std::string(included);
}

bool is_freestanding(std::string_view header) {
    for (const std::string_view known :
         {"cstdint", "cstddef", "atomic", "array", "span", "string_view", "optional", "type_traits",
          "bit", "limits", "concepts", "utility", "compare", "initializer_list", "new"}) {
        if (header == known) return true;
    }
    return false;
}

bool is_c_of_abi(std::string_view path, std::string_view header) {
    return part_of(path) == Part::Abi && path.ends_with(".h") &&
           (header == "stdint.h" || header == "stddef.h" || header == "stdbool.h" ||
            header == "linux/types.h" || header == "linux/ioctl.h");
}

}  // namespace

void check_functions(std::string_view path, std::string_view code, Findings& findings) {
    FunctionScanner(code).run([&](size_t first, size_t last) {
        const size_t length = last - first + 1;
        if (length <= k_max_function_lines) return;
        findings.push_back({std::string(path), first,
                            "a function of " + std::to_string(length) + " lines: at most " +
                                std::to_string(k_max_function_lines)});
    });
}

void check_names(std::string_view path, std::string_view code, Findings& findings) {
    // Kernel interfaces have these names, and the glue cannot choose.
    if (part_of(path) == Part::Kernel) return;
    const std::vector<std::string_view> lines = lines_of(code);
    for (size_t i = 0; i < lines.size(); ++i) {
        for (const auto& [bad, good] :
             std::initializer_list<std::pair<std::string_view, const char*>>{
                 {"conn", "connection"},
                 {"sess", "session"},
                 {"hdr", "header"},
                 {"ctx", "what it is"}}) {
            if (!has_word(lines[i], bad)) continue;
            findings.push_back({std::string(path), i + 1,
                                "name '" + std::string(bad) + "': write '" + good + "'"});
        }
    }
}

void check_includes(std::string_view path, std::string_view text, Findings& findings) {
    const Part part = part_of(path);
    const bool engine = part == Part::Wire || part == Part::Engine || part == Part::Abi;
    const std::vector<std::string_view> lines = lines_of(text);
    for (size_t i = 0; i < lines.size(); ++i) {
        std::string_view line = lines[i];
        if (!line.starts_with("#")) continue;
        const size_t word = line.find_first_not_of("# \t");
        if (word == line.npos || !line.substr(word).starts_with("include")) continue;
        const size_t open = line.find_first_of("<\"");
        if (open == line.npos) continue;
        const char end = line[open] == '<' ? '>' : '"';
        const std::string_view name =
            line.substr(open + 1, std::min(line.find(end, open + 1), line.size()) - open - 1);
        if (end == '"') {
            const Part what = part_of(resolve(path, name));
            if (what == Part::Elsewhere || may_include(part, path, what, name)) continue;
            findings.push_back(
                {std::string(path), i + 1,
                 "includes \"" + std::string(name) +
                     "\": the direction is wire <- engine <- abi <- {kernel, user, tests}"});
        } else if (engine && !is_freestanding(name) && !is_c_of_abi(path, name)) {
            findings.push_back(
                {std::string(path), i + 1,
                 "includes <" + std::string(name) + ">: the engine has freestanding headers only"});
        }
    }
}

}  // namespace hawser::tidy
