// SPDX-License-Identifier: GPL-2.0-or-later
// Where the raw iBFT comes from, and how it is shown.
#include "user/ibft_source.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "user/files.h"
#include "user/table.h"

namespace hawser::user {
namespace {

const char* origin_name(uint8_t origin) {
    static constexpr const char* k_names[] = {"other", "manual", "well-known", "dhcp", "ra"};
    return origin < std::size(k_names) ? k_names[origin] : "unknown";
}

const char* chap_name(uint8_t type) {
    static constexpr const char* k_names[] = {"none", "one way", "mutual"};
    return type < std::size(k_names) ? k_names[type] : "unknown";
}

std::string flags_text(const IbftStructure& structure) {
    std::string text = (structure.flags & IbftStructure::k_valid) != 0 ? "valid" : "not valid";
    if (structure.is_boot_selected()) text += ", boot selected";
    return text;
}

std::string pci_text(uint16_t pci) {
    return fmt::format("{:02x}:{:02x}.{:x}", pci >> 8, pci >> 3 & 0x1f, pci & 7);
}

std::string secret_text(const IbftSecret& secret) {
    return secret.is_set() ? "(set)" : "";
}

void add_nic_rows(const IbftNic& nic, Table& table) {
    const std::string what = fmt::format("NIC {}", nic.index);
    table.add({what, nic.mac.to_string(), flags_text(nic)});
    if (nic.address) {
        table.add({"  address", fmt::format("{}/{}", nic.address->to_string(), nic.prefix_length),
                   origin_name(nic.origin)});
    }
    if (nic.gateway) table.add({"  gateway", nic.gateway->to_string()});
    for (const IpAddress& dns : nic.dns) table.add({"  DNS", dns.to_string()});
    if (nic.dhcp_server) table.add({"  DHCP server", nic.dhcp_server->to_string()});
    if (nic.vlan != 0) table.add({"  VLAN", std::to_string(nic.vlan)});
    if (!nic.host_name.empty()) table.add({"  host name", nic.host_name});
    table.add({"  PCI", pci_text(nic.pci)});
}

void add_target_rows(const IbftTarget& target, Table& table) {
    table.add({fmt::format("target {}", target.index), target.name, flags_text(target)});
    table.add({"  portal", Endpoint{*target.address, target.port}.to_string()});
    table.add({"  LUN", std::to_string(target.lun)});
    table.add({"  NIC", std::to_string(target.nic_association)});
    table.add({"  CHAP", chap_name(target.chap_type)});
    if (!target.chap_name.empty()) table.add({"  CHAP name", target.chap_name});
    if (target.chap_secret.is_set()) table.add({"  CHAP secret", "(set)"});
    if (!target.reverse_chap_name.empty()) {
        table.add({"  reverse CHAP name", target.reverse_chap_name});
    }
    if (target.reverse_chap_secret.is_set()) table.add({"  reverse CHAP secret", "(set)"});
}

nlohmann::json nic_json(const IbftNic& nic) {
    nlohmann::json json = {{"index", nic.index},         {"flags", nic.flags},
                           {"mac", nic.mac.to_string()}, {"origin", origin_name(nic.origin)},
                           {"vlan", nic.vlan},           {"pci", pci_text(nic.pci)},
                           {"host_name", nic.host_name}};
    if (nic.address) {
        json["address"] = nic.address->to_string();
        json["prefix_length"] = nic.prefix_length;
    }
    if (nic.gateway) json["gateway"] = nic.gateway->to_string();
    if (nic.dhcp_server) json["dhcp_server"] = nic.dhcp_server->to_string();
    json["dns"] = nlohmann::json::array();
    for (const IpAddress& dns : nic.dns) json["dns"].push_back(dns.to_string());
    return json;
}

nlohmann::json target_json(const IbftTarget& target) {
    return {{"index", target.index},
            {"flags", target.flags},
            {"name", target.name},
            {"address", target.address->to_string()},
            {"port", target.port},
            {"lun", target.lun},
            {"nic_association", target.nic_association},
            {"chap", chap_name(target.chap_type)},
            {"chap_name", target.chap_name},
            {"chap_secret", secret_text(target.chap_secret)},
            {"reverse_chap_name", target.reverse_chap_name},
            {"reverse_chap_secret", secret_text(target.reverse_chap_secret)}};
}

}  // namespace

std::optional<RawIbft> find_ibft(const std::string& file, const std::string& sysfs) {
    std::vector<std::string> paths;
    if (!file.empty()) {
        paths.push_back(file);
    } else {
        // Two tables of one name are iBFT1 and iBFT2.
        const std::string tables = sysfs + "/firmware/acpi/tables/";
        for (const std::string& name : list_folder(tables)) {
            if (name.starts_with("iBFT") || name.starts_with("IBFT")) {
                paths.push_back(tables + name);
            }
        }
        const std::string bios = sysfs + "/devices/hawser/ibft";
        if (read_file(bios, 1) || errno != ENOENT) paths.push_back(bios);
    }
    if (paths.empty()) return std::nullopt;
    auto bytes = read_file(paths.front(), k_ibft_bytes_max);
    if (!bytes) {
        throw Failure("cannot read the iBFT", paths.front(), std::strerror(errno));
    }
    return RawIbft{std::move(*bytes), paths.front(), {paths.begin() + 1, paths.end()}};
}

std::vector<Problem> defect_problems(const std::vector<IbftDefect>& defects) {
    std::vector<Problem> problems;
    for (const IbftDefect& defect : defects) {
        problems.push_back({fmt::format("broken iBFT ({})", to_string(defect.fault)),
                            fmt::format("{}: {}", defect.where, defect.detail),
                            "mend the firmware's settings, or boot with rd.iscsi.firmware=0"});
    }
    return problems;
}

Ibft read_ibft(const RawIbft& raw) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(raw.bytes.data());
    IbftResult result = parse_ibft({bytes, raw.bytes.size()});
    if (!result.table) throw Failure(defect_problems(result.defects));
    for (const std::string& other : raw.others) {
        result.table->notes.push_back(other + " is not read: " + raw.path + " goes first");
    }
    return std::move(*result.table);
}

std::string ibft_text(const Ibft& ibft) {
    Table table;
    table.add({"OEM", fmt::format("{} {}", ibft.oem_id, ibft.oem_table_id)});
    if (ibft.initiator) {
        table.add({"initiator", ibft.initiator->name, flags_text(*ibft.initiator)});
    }
    for (const IbftNic& nic : ibft.nics) add_nic_rows(nic, table);
    for (const IbftTarget& target : ibft.targets) add_target_rows(target, table);
    std::string text = table.to_string();
    for (const std::string& note : ibft.notes) text += "note: " + note + "\n";
    return text;
}

nlohmann::json ibft_json(const Ibft& ibft) {
    nlohmann::json json = {{"oem_id", ibft.oem_id}, {"oem_table_id", ibft.oem_table_id}};
    if (ibft.initiator) {
        json["initiator"] = {{"name", ibft.initiator->name}, {"flags", ibft.initiator->flags}};
    }
    json["nics"] = nlohmann::json::array();
    for (const IbftNic& nic : ibft.nics) json["nics"].push_back(nic_json(nic));
    json["targets"] = nlohmann::json::array();
    for (const IbftTarget& target : ibft.targets) json["targets"].push_back(target_json(target));
    json["notes"] = ibft.notes;
    return json;
}

}  // namespace hawser::user
