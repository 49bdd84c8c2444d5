// SPDX-License-Identifier: GPL-2.0-or-later
//
// The first serial console: firmware, kernel, systemd. Read live for waiting, kept whole in
// serial.log by QEMU itself.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "byte_stream.h"

namespace hawser::qemu {

// Lines by which a kernel says that it is broken. Such a line fails every scenario, except where
// the scenario expects it by name.
std::vector<std::string> kernel_complaints(const std::vector<Line>& lines,
                                           const std::string& expected = "");

class SerialLog {
public:
    SerialLog(const std::filesystem::path& socket_path, Deadline deadline)
        : stream_(socket_path, deadline) {}

    // Throws with the end of the log when the line does not come.
    Match expect(const std::string& expression, Seconds limit, size_t from_line = 0);
    std::optional<Match> find(const std::string& expression, size_t from_line = 0);

    std::vector<Line> lines(size_t from_line = 0) const { return stream_.lines(from_line); }
    size_t mark() const { return stream_.line_count(); }
    void send(std::string_view bytes) { stream_.send(bytes); }

    // After the machine has ended: nothing more will come.
    void wait_for_end(Deadline deadline) { stream_.wait_for_end(deadline); }

private:
    ByteStream stream_;
};

}  // namespace hawser::qemu
