// SPDX-License-Identifier: GPL-2.0-or-later
//
// QEMU's machine protocol: one JSON message a line, answers matched by id, events waited for.

#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "byte_stream.h"

namespace hawser::qemu {

using Json = nlohmann::json;

struct MachineEvent {
    Clock::time_point at;
    Json data;
};

class Qmp {
public:
    Qmp(const std::filesystem::path& socket_path, Deadline deadline);

    // Throws when QEMU answers with an error.
    Json execute(const std::string& command, const Json& arguments = Json::object());

    // The first event of that name since `mark` (0: since the start).
    std::optional<MachineEvent> wait_for_event(const std::string& name, Deadline deadline,
                                               size_t mark = 0);
    size_t mark() const { return stream_.line_count(); }

private:
    ByteStream stream_;
    unsigned next_id_ = 1;
};

}  // namespace hawser::qemu
