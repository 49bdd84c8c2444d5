// SPDX-License-Identifier: GPL-2.0-or-later
// The parameters of the kernel command line, one small reader per parameter in one table.
#include "user/boot_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "user/connect_request.h"

namespace hawser::user {
namespace {

constexpr uint64_t k_lun_max = 16383;
constexpr unsigned k_connections_max = 16;
constexpr unsigned k_timeout_max_s = 86400;
constexpr const char* k_readable =
    "anybody on this machine can read a secret of the command line; the iBFT keeps one better";

class ParameterReader {
public:
    BootParametersResult run(const std::vector<KernelParameter>& command_line);

private:
    using Read = void (ParameterReader::*)(const std::string& key, const std::string& value);
    struct Row {
        const char* key;
        Read read;
    };
    static const Row k_rows[];

    void bad(const std::string& key, const std::string& value, const std::string& advice) {
        result_.problems.push_back({"bad kernel parameter", key + "=" + printable(value), advice});
    }
    void note(std::string text) { parameters().notes.push_back(std::move(text)); }
    BootParameters& parameters() { return result_.parameters; }

    std::optional<std::string> name(const std::string& key, const std::string& value);
    std::optional<uint64_t> number(const std::string& key, const std::string& value, uint64_t min,
                                   uint64_t max);

    void hawser(const std::string& key, const std::string& value);
    void portal(const std::string& key, const std::string& value);
    void connections(const std::string& key, const std::string& value);
    void lun(const std::string& key, const std::string& value);
    void target(const std::string& key, const std::string& value);
    void initiator(const std::string& key, const std::string& value);
    void timeout(const std::string& key, const std::string& value);
    void onfail(const std::string& key, const std::string& value);
    void option(const std::string& key, const std::string& value);
    void root(const std::string& key, const std::string& value);
    void iscsi_initiator(const std::string& key, const std::string& value);
    void iscsi_target_name(const std::string& key, const std::string& value);
    void iscsi_target_ip(const std::string& key, const std::string& value);
    void iscsi_target_port(const std::string& key, const std::string& value);
    void iscsi_firmware(const std::string& key, const std::string& value);
    void credentials(const std::string& key, const std::string& value);
    void unused(const std::string& key, const std::string& value);
    void ip(const std::string& key, const std::string& value);
    void ifname(const std::string& key, const std::string& value);

    BootParametersResult result_;
    std::vector<Netroot> root_, netroot_;
};

const ParameterReader::Row ParameterReader::k_rows[] = {
    {"rd.hawser", &ParameterReader::hawser},
    {"rd.hawser.portal", &ParameterReader::portal},
    {"rd.hawser.connections", &ParameterReader::connections},
    {"rd.hawser.lun", &ParameterReader::lun},
    {"rd.hawser.target", &ParameterReader::target},
    {"rd.hawser.initiator", &ParameterReader::initiator},
    {"rd.hawser.timeout", &ParameterReader::timeout},
    {"rd.hawser.onfail", &ParameterReader::onfail},
    {"rd.hawser.option", &ParameterReader::option},
    {"root", &ParameterReader::root},
    {"netroot", &ParameterReader::root},
    {"rd.iscsi.initiator", &ParameterReader::iscsi_initiator},
    {"rd.iscsi.target.name", &ParameterReader::iscsi_target_name},
    {"rd.iscsi.target.ip", &ParameterReader::iscsi_target_ip},
    {"rd.iscsi.target.port", &ParameterReader::iscsi_target_port},
    {"rd.iscsi.firmware", &ParameterReader::iscsi_firmware},
    {"rd.iscsi.ibft", &ParameterReader::iscsi_firmware},
    {"rd.iscsi.username", &ParameterReader::credentials},
    {"rd.iscsi.password", &ParameterReader::credentials},
    {"rd.iscsi.in.username", &ParameterReader::credentials},
    {"rd.iscsi.in.password", &ParameterReader::credentials},
    {"rd.iscsi.target.group", &ParameterReader::unused},
    {"rd.iscsi.param", &ParameterReader::unused},
    {"rd.iscsi.login_retry_max", &ParameterReader::unused},
    {"rd.iscsi.waitnet", &ParameterReader::unused},
    {"rd.iscsi.testroute", &ParameterReader::unused},
    {"ip", &ParameterReader::ip},
    {"ifname", &ParameterReader::ifname},
};

BootParametersResult ParameterReader::run(const std::vector<KernelParameter>& command_line) {
    for (const KernelParameter& parameter : command_line) {
        const auto row = std::find_if(std::begin(k_rows), std::end(k_rows),
                                      [&](const Row& known) { return parameter.key == known.key; });
        if (row != std::end(k_rows)) {
            (this->*row->read)(parameter.key, parameter.value.value_or(""));
        } else if (parameter.key.starts_with("rd.hawser.")) {
            note(printable(parameter.key) + "= is unknown: ignored");
        }
    }
    // dracut: root=iscsi: takes precedence over netroot=.
    if (!root_.empty() && !netroot_.empty()) note("netroot= ignored: root=iscsi: goes before it");
    parameters().netroots = root_.empty() ? netroot_ : root_;
    return std::move(result_);
}

std::optional<std::string> ParameterReader::name(const std::string& key, const std::string& value) {
    if (const auto fault = iscsi_name_fault(value)) {
        bad(key, value, fmt::format("the name {}; give an iSCSI name", *fault));
        return std::nullopt;
    }
    return value;
}

std::optional<uint64_t> ParameterReader::number(const std::string& key, const std::string& value,
                                                uint64_t min, uint64_t max) {
    const auto number = parse_number(value, min, max);
    if (!number) bad(key, value, fmt::format("give a number from {} to {}", min, max));
    return number;
}

void ParameterReader::hawser(const std::string& key, const std::string& value) {
    if (value == "0" || value == "no") {
        parameters().disabled = true;
    } else if (value == "1" || value == "yes" || value.empty()) {
        parameters().disabled = false;
    } else {
        bad(key, value, "give 0 or 1");
    }
}

void ParameterReader::portal(const std::string& key, const std::string& value) {
    std::string fault;
    const auto portal = parse_portal(value, &fault);
    if (!portal) return bad(key, value, fault);
    parameters().portals.push_back(*portal);
}

void ParameterReader::connections(const std::string& key, const std::string& value) {
    if (const auto n = number(key, value, 1, k_connections_max)) {
        parameters().connections = static_cast<unsigned>(*n);
    }
}

void ParameterReader::lun(const std::string& key, const std::string& value) {
    if (const auto n = number(key, value, 0, k_lun_max)) parameters().luns.push_back(*n);
}

void ParameterReader::target(const std::string& key, const std::string& value) {
    if (auto found = name(key, value)) parameters().target = found;
}

void ParameterReader::initiator(const std::string& key, const std::string& value) {
    if (auto found = name(key, value)) parameters().initiator = found;
}

void ParameterReader::timeout(const std::string& key, const std::string& value) {
    if (const auto n = number(key, value, 1, k_timeout_max_s)) {
        parameters().timeout_s = static_cast<unsigned>(*n);
    }
}

void ParameterReader::onfail(const std::string& key, const std::string& value) {
    if (value == "shell") {
        parameters().onfail = OnFail::shell;
    } else if (value == "reboot") {
        parameters().onfail = OnFail::reboot;
    } else {
        bad(key, value, "give shell or reboot");
    }
}

void ParameterReader::option(const std::string& key, const std::string& value) {
    const size_t equals = value.find('=');
    if (equals == std::string::npos || equals == 0) {
        return bad(key, value, "give KEY=VALUE, a key of `hawser connect`");
    }
    const std::string option = value.substr(0, equals);
    if (const auto fault = boot_option_fault(option)) return bad(key, value, *fault);
    if (!is_one_word(value)) return bad(key, value, "a value is printable and has no space");
    parameters().options.emplace_back(option, value.substr(equals + 1));
}

void ParameterReader::root(const std::string& key, const std::string& value) {
    const std::string_view prefix = "iscsi:";
    if (!value.starts_with(prefix)) return;
    auto parsed = parse_netroot(std::string_view(value).substr(prefix.size()));
    if (const auto* fault = std::get_if<std::string>(&parsed)) {
        return bad(key, without_credentials(value),
                   *fault + "; write iscsi:SERVER::PORT:LUN:TARGET");
    }
    auto& netroot = std::get<Netroot>(parsed);
    if (netroot.chap.is_set()) note(key + "=: " + k_readable);
    if (netroot.target.empty()) return;  // `iscsi:` alone: everything is in the firmware
    (key == "root" ? root_ : netroot_).push_back(netroot);
}

void ParameterReader::iscsi_initiator(const std::string& key, const std::string& value) {
    if (auto found = name(key, value)) parameters().iscsi_initiator = found;
}

void ParameterReader::iscsi_target_name(const std::string& key, const std::string& value) {
    if (auto found = name(key, value)) parameters().iscsi_target_name = found;
}

void ParameterReader::iscsi_target_ip(const std::string& key, const std::string& value) {
    std::string_view text = value;
    if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
    const auto address = IpAddress::parse(text);
    if (!address) return bad(key, value, "give an IP address");
    parameters().iscsi_target_address = address;
}

void ParameterReader::iscsi_target_port(const std::string& key, const std::string& value) {
    if (const auto n = number(key, value, 1, 65535)) {
        parameters().iscsi_target_port = static_cast<uint16_t>(*n);
    }
}

void ParameterReader::iscsi_firmware(const std::string& key, const std::string& value) {
    if (value == "0" || value == "no" || value == "off") {
        parameters().firmware = false;
    } else if (value.empty() || value == "1" || value == "yes" || value == "on") {
        parameters().firmware = true;
    } else {
        bad(key, value, "give 0 or 1");
    }
}

void ParameterReader::credentials(const std::string& key, const std::string& value) {
    ChapCredentials& chap = parameters().iscsi_chap;
    if (key == "rd.iscsi.username") chap.name = value;
    if (key == "rd.iscsi.in.username") chap.name_in = value;
    if (key == "rd.iscsi.password") chap.secret = Secret(value);
    if (key == "rd.iscsi.in.password") chap.secret_in = Secret(value);
    if (key.ends_with("password")) note(key + "=: " + k_readable);
}

void ParameterReader::unused(const std::string& key, const std::string&) {
    note(key + "= ignored: it means nothing here");
}

void ParameterReader::ip(const std::string& key, const std::string& value) {
    auto parsed = parse_ip_parameter(value);
    if (const auto* fault = std::get_if<std::string>(&parsed)) {
        return bad(key, value,
                   *fault + "; write CLIENT::GATEWAY:NETMASK:HOST:NIC:none or NIC:dhcp");
    }
    if (auto& ip = std::get<0>(parsed)) parameters().ip.push_back(std::move(*ip));
}

void ParameterReader::ifname(const std::string& key, const std::string& value) {
    const size_t colon = value.find(':');
    const auto mac = colon == std::string::npos
                         ? std::nullopt
                         : MacAddress::parse(std::string_view(value).substr(colon + 1));
    if (!mac || !is_interface_name(std::string_view(value).substr(0, colon))) {
        return bad(key, value, "write ifname=NAME:MAC");
    }
    parameters().nic_names.push_back({value.substr(0, colon), *mac});
}

}  // namespace

std::optional<NicSelector> NicSelector::parse(std::string_view text) {
    if (auto mac = MacAddress::parse(text)) return NicSelector{"", mac};
    if (is_interface_name(text)) return NicSelector{std::string(text), std::nullopt};
    return std::nullopt;
}

BootParametersResult read_boot_parameters(const std::vector<KernelParameter>& command_line) {
    return ParameterReader().run(command_line);
}

}  // namespace hawser::user
