// SPDX-License-Identifier: GPL-2.0-or-later
//
// Commands into the guest, output and exit status out of it.

#include "shell.h"

#include <fmt/format.h>

#include <stdexcept>

namespace hawser::qemu {
namespace {

std::string base64(const std::string& bytes) {
    static const char k_digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        unsigned group = 0;
        for (size_t j = 0; j < 3; ++j) {
            group = group << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0);
        }
        for (size_t j = 0; j < 4; ++j) {
            text += i + j > bytes.size() ? '=' : k_digits[group >> (18 - 6 * j) & 63];
        }
    }
    return text;
}

// A terminal in canonical mode takes lines of at most 4095 bytes.
constexpr size_t k_longest_command = 2800;

}  // namespace

void Shell::wait_for_prompt(Deadline deadline) {
    // A prompt alone may be that of the shell before, printed just before it was killed.
    auto found = stream_.wait_for(std::regex("automatic login"), deadline, seen_);
    if (found) {
        found = stream_.wait_for(std::regex("[#] $"), deadline, found->line + 1);
    }
    if (!found) {
        throw std::runtime_error("no shell prompt on the guest's second console (ttyS1)");
    }
    seen_ = found->line + 1;
    run_checked("stty -echo cols 4096 2>/dev/null; export TERM=dumb PS1='# ' PS2='' LC_ALL=C");
}

void Shell::send_only(const std::string& command) {
    if (command.size() > k_longest_command) {
        throw std::runtime_error(fmt::format("command too long: {} bytes", command.size()));
    }
    stream_.send(fmt::format("eval \"$(echo {}|base64 -d)\"\n", base64(command)));
}

ShellResult Shell::run(const std::string& command, Seconds limit) {
    auto marker = fmt::format("{:04d}", next_marker_++);
    // The result's line starts with the marker even when the output does not end in a newline.
    send_only(
        fmt::format("printf '\\nHW%s\\n' BEGIN{0}\n{{ {1}\n}} </dev/null 2>&1\n"
                    "printf '\\nHW%s:%d\\n' END{0} $?",
                    marker, command));
    std::regex end(fmt::format("^HWEND{}:([0-9]+)$", marker));
    auto found = stream_.wait_for(end, Deadline(limit), seen_);
    if (!found) {
        std::string tail;
        for (const auto& line : stream_.lines(seen_)) {
            tail += "    " + line.text + "\n";
        }
        throw std::runtime_error(fmt::format("guest: no end of `{}` within {:.0f} s; it said:\n{}",
                                             command, limit.count(), tail));
    }
    ShellResult result{std::stoi(found->groups[1]), ""};
    bool inside = false;
    for (const auto& line : stream_.lines(seen_)) {
        if (line.text.starts_with("HWEND" + marker)) {
            break;
        }
        if (inside) {
            result.output += line.text + "\n";
        }
        inside = inside || line.text == "HWBEGIN" + marker;
    }
    // As $(...) does; one newline, that before the end marker, is ours anyway.
    while (result.output.ends_with("\n")) {
        result.output.pop_back();
    }
    seen_ = found->line + 1;
    return result;
}

std::string Shell::run_checked(const std::string& command, Seconds limit) {
    auto result = run(command, limit);
    if (result.status != 0) {
        throw std::runtime_error(
            fmt::format("guest: `{}`: exit status {}: {}", command, result.status, result.output));
    }
    return result.output;
}

}  // namespace hawser::qemu
