// SPDX-License-Identifier: GPL-2.0-or-later
// /dev/hawser: one write is one request, the read behind it its answer.
#ifndef HAWSER_USER_CONTROL_DEVICE_H
#define HAWSER_USER_CONTROL_DEVICE_H

#include <string>

#include "user/failure.h"

namespace hawser::user {

constexpr const char* k_control_device = "/dev/hawser";

// modprobe, unless the device is there. Throws Failure when it is not there then either.
void load_module(const std::string& device = k_control_device);

// The answer (`session hawser0`). Throws Failure that names the cause.
std::string ask_module(const std::string& line, const std::string& device = k_control_device);

// A refused request as a cause, by its errno and the module's reason (pure).
Problem request_problem(int error, const std::string& reason);

}  // namespace hawser::user

#endif
