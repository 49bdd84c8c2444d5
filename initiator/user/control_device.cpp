// SPDX-License-Identifier: GPL-2.0-or-later
// /dev/hawser.
#include "user/control_device.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "abi/uapi.h"
#include "user/process.h"

namespace hawser::user {
namespace {

// Only modprobe waits for the module's init; it has no way to hang but a broken one.
constexpr std::chrono::seconds k_modprobe_limit{30};

std::string read_answer(int fd) {
    char buffer[HAWSER_ANSWER_BYTES_MAX];
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    std::string answer(buffer, got > 0 ? static_cast<size_t>(got) : 0);
    answer.resize(std::min(answer.find('\n'), answer.size()));
    return printable(answer, sizeof(buffer));
}

// The module names each portal's last error in its reason; the most telling one is the cause.
const char* timeout_cause(const std::string& reason) {
    const auto says = [&](const char* words) { return reason.find(words) != std::string::npos; };
    if (says("ECONNREFUSED")) return "target refused the connection";
    if (says("UNREACH") || says("no answer to the TCP connect") ||
        says("TCP connect failed (ETIMEDOUT)"))
        return "target unreachable";
    if (says("0301") || says("0302")) return "target busy";
    return "no login in time";
}

}  // namespace

void load_module(const std::string& device) {
    if (access(device.c_str(), F_OK) == 0) return;
    const auto modprobe = find_program("modprobe");
    if (modprobe) run_programs({{*modprobe, "-q", "hawser"}}, k_modprobe_limit);
    if (access(device.c_str(), F_OK) == 0) return;
    throw Failure("module not loaded", "hawser",
                  modprobe ? "is hawser.ko in /lib/modules, for this kernel? see `dmesg`"
                           : "there is no modprobe to load it with");
}

Problem request_problem(int error, const std::string& reason) {
    const std::string value = reason.empty() ? std::strerror(error) : reason;
    switch (error) {
        case ETIMEDOUT:
            return {timeout_cause(value), value, "check target, portals, cables and routes"};
        case EACCES:
            return {"authentication failed", value,
                    "check names and secrets, here and on the target"};
        case ENOKEY:
            return {"no such key", value, "`keyctl show` lists them"};
        case ENOENT:
            return {"target unknown", value, "check the target's name on the target"};
        case EPERM:
            return {"target forbids this initiator", value,
                    "allow the initiator's name on the target"};
        case ENODEV:
            if (value.ends_with("such connection")) {
                return {"no such connection", value, "`hawser status` lists them"};
            }
            if (value.starts_with("session=")) {
                return {"no such session", value, "`hawser status` lists them"};
            }
            return {"no LUN", value, "check the LUN's number, and its mapping on the target"};
        case EEXIST:
            return {"session exists", value, "`hawser status` shows it"};
        case ENOTCONN:
            return {"session has no target just now", value, "`hawser status` says why"};
        case ENOBUFS:
            return {"no room for a connection", value, "see connections_max, and what was granted"};
        case EBUSY:
            if (value.ends_with("that is logged in")) {
                return {"the last connection", value, "disconnect the session instead"};
            }
            return {"session is in use", value, "unmount its disks first"};
        case EINVAL:
            return {"request refused", value, "see docs/contracts.md for keys and ranges"};
        case EPROTO:
            return {"login refused", value, "see the target's log"};
        case EINTR:
            return {"interrupted", value, "nothing of the session is left"};
        default:
            return {"request failed", value, "see `dmesg`"};
    }
}

std::string ask_module(const std::string& line, const std::string& device) {
    const int fd = open(device.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        const bool missing = errno == ENOENT || errno == ENODEV || errno == ENXIO;
        throw Failure("cannot open", device + " (" + std::strerror(errno) + ")",
                      missing ? "load the module: modprobe hawser" : "root may; try sudo");
    }
    const ssize_t put = write(fd, line.data(), line.size());
    const int error = put < 0 ? errno : 0;
    const std::string answer = read_answer(fd);
    close(fd);
    if (put < 0) throw Failure(std::vector<Problem>{request_problem(error, answer)});
    return answer;
}

}  // namespace hawser::user
