// SPDX-License-Identifier: GPL-2.0-or-later
//
// The style checker checked: every rule of tools/tidy must fire on what breaks it, and stay silent
// on what does not. A rule without a test here is a rule that may never have worked.

#include <catch2/catch.hpp>
#include <string>

#include "rules.h"
#include "source.h"

using namespace hawser::tidy;

namespace {

const std::string k_header =
    "// SPDX-License-Identifier: GPL-2.0-or-later\n//\n// What this file is.\n\n";

// How many findings mention `what`.
size_t count(const Findings& findings, std::string_view what) {
    size_t found = 0;
    for (const Finding& finding : findings) {
        found += finding.what.find(what) != std::string::npos ? 1 : 0;
    }
    return found;
}

std::string repeated(const std::string& line, size_t times) {
    std::string text;
    for (size_t i = 0; i < times; ++i) text += line;
    return text;
}

std::string function_of(size_t lines) {
    return "int f(int a)\n{\n" + repeated("    a += 1;\n", lines - 3) + "}\n";
}

}  // namespace

TEST_CASE("tidy is silent on a clean file", "[tidy]") {
    const std::string text = k_header +
                             "#include <cstdint>\n\nnamespace hawser {\n\n"
                             "struct Pdu {\n    int itt = 0;\n};\n\n"
                             "int f(int a) { return a; }\n\n}  // namespace hawser\n";
    CHECK(check_file("initiator/engine/pdu.cpp", text).empty());
}

TEST_CASE("tidy asks for the licence line", "[tidy]") {
    CHECK(count(check_file("a.cpp", "// What this is.\nint a;\n"), "licence") == 1);
    CHECK(count(check_file("a.cpp", k_header), "licence") == 0);
    const std::string script =
        "#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0-or-later\n#\n# What.\n";
    CHECK(check_file("boot/x", script).empty());
    CHECK(count(check_file("boot/x", "#!/bin/sh\n# What.\n"), "licence") == 1);
}

TEST_CASE("tidy asks for a header comment", "[tidy]") {
    const std::string licence = "// SPDX-License-Identifier: GPL-2.0-or-later\n";
    CHECK(count(check_file("a.cpp", licence + "\nint a;\n"), "header comment") == 1);
    CHECK(count(check_file("a.h", licence + "#pragma once\n#include <new>\n"), "header comment") ==
          1);
    CHECK(count(check_file("a.c", licence + "/*\n * What this is.\n */\n"), "header comment") == 0);
}

TEST_CASE("tidy bounds files, lines and functions", "[tidy]") {
    const size_t header_lines = lines_of(k_header).size();
    const auto file_of = [&](size_t lines) {
        return k_header + repeated("int a;\n", lines - header_lines);
    };
    CHECK(check_file("a.cpp", file_of(499)).empty());
    CHECK(count(check_file("a.cpp", file_of(500)), "500 lines long") == 1);

    CHECK(check_file("a.cpp", k_header + "// " + std::string(97, 'x') + "\n").empty());
    CHECK(count(check_file("a.cpp", k_header + "// " + std::string(98, 'x') + "\n"), "101 col") ==
          1);
    CHECK(count(check_file("a.c", k_header + repeated("\t", 13) + "a;\n"), "106 columns") == 1);

    const std::string ipxe = "#!ipxe\n# SPDX-License-Identifier: GPL-2.0-or-later\n# What.\n";
    CHECK(check_file("a.ipxe", ipxe + "echo " + std::string(200, 'x') + "\n").empty());
    CHECK(count(check_file("a.ipxe", ipxe + "# " + std::string(200, 'x') + "\n"), "columns") == 1);

    CHECK(check_file("a.cpp", k_header + function_of(69)).empty());
    CHECK(count(check_file("a.cpp", k_header + function_of(70)), "function of 70 lines") == 1);
}

TEST_CASE("tidy finds a long function wherever it stands", "[tidy]") {
    const std::string body = repeated("        a();\n", 80);
    const char* heads[] = {
        "namespace x {\nvoid f() {\n",
        "class alignas(64) X : public Y {\n  public:\n    void f() const {\n",
        "extern \"C\" {\nstatic int __attribute__((cold)) f(int a = 0) {\n",
        "struct X {\n    X() : a_{1}, b_{2} {\n",
        "struct X {\n    bool operator==(const X& other) const {\n",
        "namespace x {\ntemplate <typename T>\nauto f(T t) -> int {\n",
    };
    for (const char* head : heads) {
        INFO(head);
        CHECK(count(check_file("a.cpp", k_header + head + body + "    }\n}\n"), "a function of") ==
              1);
    }
    const std::string table =
        "constexpr Row k_rows[] = {\n" + repeated("    {f(1), 2},\n", 80) + "};\n";
    CHECK(check_file("a.cpp", k_header + table).empty());
    const std::string type = "struct X {\n" + repeated("    void f();\n", 80) + "};\n";
    CHECK(check_file("a.cpp", k_header + type).empty());
}

TEST_CASE("tidy finds white space at line ends, carriage returns, a missing newline", "[tidy]") {
    CHECK(count(check_file("a.cpp", k_header + "int a; \n"), "white space") == 1);
    CHECK(count(check_file("a.cpp", k_header + "int a;\r\n"), "white space") == 1);
    CHECK(count(check_file("README.md", "text \n"), "white space") == 1);
    CHECK(count(check_file("a.cpp", k_header + "int a;"), "no newline") == 1);
}

TEST_CASE("tidy keeps the direction of includes", "[tidy]") {
    const auto findings_of = [](const char* path, const char* line) {
        return count(check_file(path, k_header + line + "\n"), "includes ");
    };
    CHECK(findings_of("initiator/wire/a.h", "#include \"engine/session.h\"") == 1);
    CHECK(findings_of("initiator/wire/a.h", "#include \"../engine/session.h\"") == 1);
    CHECK(findings_of("initiator/engine/a.h", "#include \"wire/pdu.h\"") == 0);
    CHECK(findings_of("initiator/engine/a.h", "#include \"abi/engine.h\"") == 0);
    CHECK(findings_of("initiator/engine/a.h", "#include \"abi/engine.hpp\"") == 1);
    CHECK(findings_of("initiator/wire/a.h", "#include \"abi/engine.h\"") == 1);
    CHECK(findings_of("initiator/engine/a.h", "#include \"kernel/glue.h\"") == 1);
    CHECK(findings_of("initiator/abi/engine.cpp", "#include \"engine/session.h\"") == 0);
    CHECK(findings_of("initiator/abi/engine.h", "#include \"engine/session.h\"") == 1);
    CHECK(findings_of("initiator/kernel/socket.c", "#include \"../engine/session.h\"") == 1);
    CHECK(findings_of("initiator/kernel/socket.c", "#include \"../wire/pdu.h\"") == 1);
    CHECK(findings_of("initiator/kernel/socket.c", "#include \"../abi/engine.h\"") == 0);
    CHECK(findings_of("initiator/kernel/socket.c", "#include \"../user/plan.h\"") == 1);
    CHECK(findings_of("initiator/kernel/engine.c", "#include \"../engine/session.cpp\"") == 0);
    CHECK(findings_of("initiator/user/plan.cpp", "#include \"engine/session.h\"") == 1);
    CHECK(findings_of("initiator/user/plan.cpp", "#include \"abi/uapi.h\"") == 0);
    CHECK(findings_of("tests/unit/a_test.cpp", "#include \"engine/session.h\"") == 0);
}

TEST_CASE("tidy lets only freestanding headers into the engine", "[tidy]") {
    const auto findings_of = [](const char* path, const char* line) {
        return count(check_file(path, k_header + line + "\n"), "freestanding");
    };
    CHECK(findings_of("initiator/engine/a.cpp", "#include <cstdint>") == 0);
    CHECK(findings_of("initiator/engine/a.cpp", "#include <string>") == 1);
    CHECK(findings_of("initiator/wire/a.h", "#  include <vector>") == 1);
    CHECK(findings_of("initiator/wire/a.h", "// #include <vector>") == 0);
    CHECK(findings_of("initiator/abi/engine.h", "#include <stdint.h>") == 0);
    CHECK(findings_of("initiator/abi/engine.cpp", "#include <stdlib.h>") == 1);
    CHECK(findings_of("initiator/user/a.cpp", "#include <string>") == 0);
}

TEST_CASE("tidy knows the names that the project does not use", "[tidy]") {
    const auto findings_of = [](const char* path, const char* line) {
        return count(check_file(path, k_header + line + "\n"), "name '");
    };
    for (const char* line : {"int conn;", "auto* sess = f();", "f(hdr);", "Context& ctx;"}) {
        INFO(line);
        CHECK(findings_of("initiator/engine/a.cpp", line) == 1);
        CHECK(findings_of("initiator/kernel/a.c", line) == 0);
    }
    CHECK(findings_of("initiator/engine/a.cpp", "int connection; // not conn") == 0);
    CHECK(findings_of("initiator/engine/a.cpp", "auto a = \"conn\";") == 0);
    CHECK(findings_of("initiator/engine/a.cpp", "int conn_a, a_conn;") == 0);
}

TEST_CASE("tidy sees code without comments, literals and directives", "[tidy]") {
    CHECK(code_only("a(\"{\"); // }\nb") == "a(   );     \nb");
    CHECK(code_only("/* {\n} */ c") == "    \n     c");
    CHECK(code_only("#define X { \\\n  {\nd") == std::string(13, ' ') + "\n   \nd");
    CHECK(code_only("R\"(\"{)\" e") == std::string(8, ' ') + "e");
    CHECK(code_only("1'000 + '{' + '\\'' f") == "1'000 +     +      f");
}

TEST_CASE("tidy refuses symbols that cannot work in the kernel", "[tidy]") {
    const auto findings_of = [](const std::string& nm) {
        return check_symbols("engine.o", nm + "\n", "").size();
    };
    CHECK(findings_of("                 U _Znwm") == 1);
    CHECK(findings_of("                 U _ZdlPvm") == 1);
    CHECK(findings_of("                 U __cxa_atexit") == 1);
    CHECK(findings_of("0000000000000000 t _GLOBAL__sub_I_session") == 1);
    CHECK(findings_of("                 U _Unwind_Resume") == 1);
    CHECK(findings_of("                 U __gxx_personality_v0") == 1);
    CHECK(findings_of("                 U _ZSt20__throw_out_of_rangePKc") == 1);
    CHECK(findings_of("0000000000000000 T _ZSt20__throw_out_of_rangePKc") == 0);
    CHECK(findings_of("0000000000000000 T __cxa_pure_virtual") == 0);
    CHECK(findings_of("0000000000000000 T hawser_engine_create\n                 U memcpy") == 0);
    CHECK(check_symbols("engine.o", "", "  [12] .init_array INIT_ARRAY").size() == 1);
    CHECK(check_symbols("engine.o", "", "  [12] .text PROGBITS").empty());
}

TEST_CASE("tidy bounds the engine's code", "[tidy]") {
    const std::string size =
        "   text\t   data\t    bss\t    dec\t    hex\tfilename\n"
        "  75569\t    272\t      0\t  75841\t  12841\tengine.o\n";
    CHECK(check_text_size("engine.o", size, 75569).empty());
    CHECK(count(check_text_size("engine.o", size, 75568), "75569 bytes of code") == 1);
    CHECK(count(check_text_size("engine.o", "size: no such file\n", 1 << 20), "no size") == 1);
}
