// SPDX-License-Identifier: GPL-2.0-or-later
//
// A root shell in the guest, on its second console (ttyS1). Each command goes over as base64, so
// that neither the terminal nor the shell's quoting changes it, and its output comes back between
// two markers. The markers are unique, and written so that their echo on the terminal does not
// match.

#pragma once

#include <filesystem>
#include <string>

#include "byte_stream.h"

namespace hawser::qemu {

struct ShellResult {
    int status;
    std::string output;
};

class Shell {
public:
    Shell(const std::filesystem::path& socket_path, Deadline deadline)
        : stream_(socket_path, deadline) {}

    // A prompt of a shell that was not there before; after kill -9 -1 that is the next login's.
    void wait_for_prompt(Deadline deadline);

    ShellResult run(const std::string& command, Seconds limit = Seconds(60));
    // A status other than 0 is an error that quotes the output.
    std::string run_checked(const std::string& command, Seconds limit = Seconds(60));
    // For commands after which nobody answers: reboot, kill -9 -1.
    void send_only(const std::string& command);
    // Bytes as they are, for a guest that reads its console without a shell.
    void stream_send(std::string_view bytes) { stream_.send(bytes); }

    const ByteStream& stream() const { return stream_; }

private:
    ByteStream stream_;
    size_t seen_ = 0;  // lines before this belong to earlier commands
    unsigned next_marker_ = 1;
};

}  // namespace hawser::qemu
