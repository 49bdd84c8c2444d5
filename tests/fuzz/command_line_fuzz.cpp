// SPDX-License-Identifier: GPL-2.0-or-later
//
// The kernel command line as `hawser boot` reads it: any bytes. What is refused must be said in
// printable words, and no password of a netroot= may be among them.

#include <string>

#include "input.h"
#include "user/boot_parameters.h"

using namespace hawser::user;
using namespace hawser::fuzz;

namespace {

void check_text(const std::string& text, bool secret) {
    for (const char c : text) {
        const auto byte = static_cast<uint8_t>(c);
        FUZZ_CHECK(byte >= 0x20 && byte != 0x7f, "what is shown has no control character");
    }
    FUZZ_CHECK(!secret || text.find("S3cret") == text.npos, "a password is not shown");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    Input input(bytes, size);
    // Half of the inputs are the inside of a netroot= with credentials.
    bool secret = input.byte() & 1;
    std::string line(as_text(input.rest()));
    // An address is shown without its brackets: so must not hide the word from us here.
    std::string bare = line;
    std::erase_if(bare, [](char c) { return c == '[' || c == ']'; });
    secret = secret && bare.find("S3cret") == bare.npos;
    if (secret) line = "netroot=iscsi:user:S3cret@" + line.substr(0, line.find_first_of(" \"\n@"));
    const auto words = split_kernel_command_line(line);
    for (const KernelParameter& word : words)
        FUZZ_CHECK(word.key.size() <= line.size(), "a word is a piece of the line");
    const BootParametersResult result = read_boot_parameters(words);
    for (const Problem& problem : result.problems) {
        check_text(problem.cause, secret);
        check_text(problem.value, secret);
        check_text(problem.advice, secret);
    }
    for (const std::string& note : result.parameters.notes) check_text(note, secret);
    for (const PortalParameter& portal : result.parameters.portals)
        FUZZ_CHECK(portal.endpoint.port != 0, "a portal has a port");
    for (const IpParameter& ip : result.parameters.ip)
        FUZZ_CHECK(ip.prefix_length <= 128, "a prefix fits an address");
    return 0;
}
