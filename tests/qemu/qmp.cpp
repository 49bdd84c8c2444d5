// SPDX-License-Identifier: GPL-2.0-or-later
//
// Requests and events over QEMU's QMP socket.

#include "qmp.h"

#include <fmt/format.h>

#include <stdexcept>

namespace hawser::qemu {

Qmp::Qmp(const std::filesystem::path& socket_path, Deadline deadline)
    : stream_(socket_path, deadline) {
    if (!stream_.wait_for(std::regex("\"QMP\""), deadline)) {
        throw std::runtime_error("QEMU sent no QMP greeting");
    }
    execute("qmp_capabilities");
}

Json Qmp::execute(const std::string& command, const Json& arguments) {
    auto id = next_id_++;
    auto from = stream_.line_count();
    stream_.send(Json{{"execute", command}, {"arguments", arguments}, {"id", id}}.dump() + "\n");
    std::regex answer(fmt::format("\"id\": {}[,}}]", id));
    auto found = stream_.wait_for(answer, Deadline(Seconds(30)), from > 0 ? from - 1 : 0);
    if (!found) {
        throw std::runtime_error(fmt::format("QMP {}: no answer", command));
    }
    auto message = Json::parse(found->text);
    if (message.contains("error")) {
        throw std::runtime_error(fmt::format("QMP {}: {}", command, message["error"].dump()));
    }
    return message["return"];
}

std::optional<MachineEvent> Qmp::wait_for_event(const std::string& name, Deadline deadline,
                                                size_t mark) {
    auto found = stream_.wait_for(std::regex("\"event\": \"" + name + "\""), deadline, mark);
    if (!found) {
        return std::nullopt;
    }
    auto message = Json::parse(found->text);
    return MachineEvent{found->at, message.value("data", Json::object())};
}

}  // namespace hawser::qemu
