// SPDX-License-Identifier: GPL-2.0-or-later
// The line that /dev/hawser takes: `connect KEY=VALUE ...`, its keys and its portals.
#ifndef HAWSER_USER_CONNECT_REQUEST_H
#define HAWSER_USER_CONNECT_REQUEST_H

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "user/boot_parameters.h"

namespace hawser::user {

struct ConnectKey {
    const char* name;
    const char* value;  // what it takes, for --help
    const char* help;
    bool is_list = false;
    bool from_plan = false;  // `hawser boot` sets it from other parameters
};

std::span<const ConnectKey> connect_keys();

// ADDRESS[:PORT][,nic=NAME-or-MAC][,source=ADDRESS]; *fault says what to write instead.
std::optional<PortalParameter> parse_portal(std::string_view text, std::string* fault);

// Why rd.hawser.option= may not carry this key, or nothing.
std::optional<std::string> boot_option_fault(std::string_view key);

// Printable ASCII without a space: what one value of the line may be.
bool is_one_word(std::string_view text);

using KeyValues = std::vector<std::pair<std::string, std::string>>;

// Throws Failure when a value is no word or the line is too long.
std::string connect_line(const KeyValues& values);

}  // namespace hawser::user

#endif
