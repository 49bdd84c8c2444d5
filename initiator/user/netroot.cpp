// SPDX-License-Identifier: GPL-2.0-or-later
// netroot=iscsi:..., the parser.
#include "user/netroot.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "user/failure.h"

namespace hawser::user {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const size_t at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + 1);
    }
}

// Where the target's name begins (its colon); it may hold colons and an `@` itself.
size_t name_start(std::string_view text) {
    size_t start = std::string_view::npos;
    for (std::string_view prefix : {":iqn.", ":eui.", ":naa."}) {
        start = std::min(start, text.find(prefix));
    }
    return start;
}

// The last `@` before the name ends the credentials: a password with an `@` is hidden whole.
size_t credentials_end(std::string_view text) {
    const size_t at = text.substr(0, name_start(text)).rfind('@');
    return at == std::string_view::npos ? 0 : at + 1;
}

// user:pass[:ruser:rpass], ours first. A password holds no colon here.
std::optional<std::string> read_credentials(std::string_view text, ChapCredentials& chap) {
    if (text.empty()) return std::nullopt;
    const std::vector<std::string_view> parts = split(text, ':');
    if (parts.size() != 2 && parts.size() != 4) {
        return fmt::format("has {} fields of credentials, not 2 or 4", parts.size());
    }
    chap.name = parts[0];
    chap.secret = Secret(parts[1]);
    if (parts.size() == 2) return std::nullopt;
    chap.name_in = parts[2];
    chap.secret_in = Secret(parts[3]);
    return std::nullopt;
}

// [proto]:[port][:[iface]:[netdev]]:[LUN]
std::optional<std::string> read_middle(std::string_view text, Netroot& netroot) {
    const std::vector<std::string_view> parts = split(text, ':');
    if (parts.size() != 3 && parts.size() != 5) {
        return fmt::format("has {} fields between server and target, not 3 or 5", parts.size());
    }
    if (!parts[0].empty() && parts[0] != "6") {
        return fmt::format("protocol {}, not 6 (TCP)", printable(parts[0]));
    }
    if (!parts[1].empty()) {
        const auto port = parse_number(parts[1], 1, 65535);
        if (!port) return fmt::format("port {}, not 1 to 65535", printable(parts[1]));
        netroot.port = static_cast<uint16_t>(*port);
    }
    // [iface] names a record of open-iscsi's, which means nothing here.
    if (parts.size() == 5) netroot.nic = parts[3];
    if (!netroot.nic.empty() && !is_interface_name(netroot.nic) &&
        !MacAddress::parse(netroot.nic)) {
        return fmt::format("network device {}, neither a name nor a MAC", printable(netroot.nic));
    }
    if (!parts.back().empty()) {
        const auto lun = parse_number(parts.back(), 0, 16383);
        if (!lun) return fmt::format("LUN {}, not 0 to 16383", printable(parts.back()));
        netroot.lun = *lun;
    }
    return std::nullopt;
}

}  // namespace

std::variant<Netroot, std::string> parse_netroot(std::string_view text) {
    Netroot netroot;
    if (text.empty()) return netroot;
    if (const size_t end = credentials_end(text)) {
        if (auto fault = read_credentials(text.substr(0, end - 1), netroot.chap)) return *fault;
        text.remove_prefix(end);
    }
    // The server, up to its colon; an IPv6 address stands in brackets.
    size_t server_end = text.find(':');
    std::string_view server = text.substr(0, server_end);
    if (text.starts_with('[')) {
        const size_t close = text.find(']');
        if (close == std::string_view::npos || text.substr(close + 1, 1) != ":") {
            return std::string("has a '[' without its ']:'");
        }
        server = text.substr(1, close - 1);
        server_end = close + 1;
    }
    if (server_end == std::string_view::npos) return std::string("has no fields behind the server");
    if (!server.empty()) {
        netroot.server = IpAddress::parse(server);
        if (!netroot.server) {
            return fmt::format("server {} is no IP address", printable(server));
        }
    }
    text.remove_prefix(server_end + 1);
    const size_t name_at = name_start(text);
    if (name_at == std::string_view::npos) return std::string("has no target name at its end");
    netroot.target = text.substr(name_at + 1);
    if (const auto fault = iscsi_name_fault(netroot.target)) {
        return fmt::format("target \"{}\" {}", printable(netroot.target), *fault);
    }
    if (auto fault = read_middle(text.substr(0, name_at), netroot)) return *fault;
    return netroot;
}

std::string without_credentials(std::string_view text) {
    const std::string_view prefix = "iscsi:";
    if (!text.starts_with(prefix)) return printable(text);
    const std::string_view rest = text.substr(prefix.size());
    const size_t end = credentials_end(rest);
    if (end <= 1) return printable(text);
    return fmt::format("{}(hidden)@{}", prefix, printable(rest.substr(end)));
}

}  // namespace hawser::user
