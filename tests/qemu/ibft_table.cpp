// SPDX-License-Identifier: GPL-2.0-or-later
//
// The writer of iBFTs (version 1.03), and the ways to lay one into a machine.

#include "ibft_table.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <numeric>
#include <stdexcept>

namespace hawser::qemu {
namespace {

constexpr size_t k_acpi_header_size = 36;
constexpr size_t k_control = 0x30;
constexpr size_t k_initiator = 0x48;
constexpr size_t k_nic = 0x98;
constexpr size_t k_target = 0x100;
constexpr size_t k_strings = 0x138;
constexpr uint8_t k_valid_and_boot_selected = 3;

class Writer {
public:
    explicit Writer(std::vector<uint8_t>& table) : table_(table) {}

    void u8(size_t at, uint8_t value) { table_.at(at) = value; }
    void u16(size_t at, uint16_t value) {
        u8(at, value & 0xff);
        u8(at + 1, static_cast<uint8_t>(value >> 8));
    }
    void text(size_t at, const std::string& value) {
        for (size_t i = 0; i < value.size(); ++i) {
            u8(at + i, static_cast<uint8_t>(value[i]));
        }
    }
    void header(size_t at, uint8_t id, uint16_t length, uint8_t flags) {
        u8(at, id);
        u8(at + 1, 1);
        u16(at + 2, length);
        u8(at + 5, flags);
    }
    // IPv4 addresses stand as ::ffff:a.b.c.d.
    void address(size_t at, const std::string& value) {
        in_addr parsed{};
        if (::inet_pton(AF_INET, value.c_str(), &parsed) != 1) {
            throw std::runtime_error("no IPv4 address: " + value);
        }
        u8(at + 10, 0xff);
        u8(at + 11, 0xff);
        const auto* bytes = reinterpret_cast<const uint8_t*>(&parsed.s_addr);
        for (size_t i = 0; i < 4; ++i) {
            u8(at + 12 + i, bytes[i]);
        }
    }
    // A string at the table's end, NUL-terminated, with its length and offset at `at`.
    void string(size_t at, const std::string& value) {
        u16(at, static_cast<uint16_t>(value.size()));
        u16(at + 2, static_cast<uint16_t>(table_.size()));
        table_.insert(table_.end(), value.begin(), value.end());
        table_.push_back(0);
    }

private:
    std::vector<uint8_t>& table_;
};

std::vector<uint8_t> parsed_mac(const std::string& text) {
    std::vector<uint8_t> mac(6);
    if (std::sscanf(text.c_str(), "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2],
                    &mac[3], &mac[4], &mac[5]) != 6) {
        throw std::runtime_error("no MAC: " + text);
    }
    return mac;
}

void write_nic(Writer& writer, const IbftTable& table) {
    writer.header(k_nic, 3, 102, k_valid_and_boot_selected);
    writer.address(k_nic + 6, table.nic_address);
    writer.u8(k_nic + 22, 24);  // prefix length
    writer.address(k_nic + 24, table.gateway);
    auto mac = parsed_mac(table.mac);
    for (size_t i = 0; i < mac.size(); ++i) {
        writer.u8(k_nic + 90 + i, mac[i]);
    }
    writer.u16(k_nic + 96, 0x10 << 3);  // bus 0, device 0x10: where machine.cpp puts NIC 0
}

void write_target(Writer& writer, const IbftTable& table) {
    writer.header(k_target, 4, 54, k_valid_and_boot_selected);
    writer.address(k_target + 6, table.target_address);
    writer.u16(k_target + 22, table.target_port);
    writer.u8(k_target + 25, static_cast<uint8_t>(table.lun));
    writer.string(k_target + 34, table.target);
    const TargetChap& chap = table.chap;
    if (chap.name.empty()) return;
    writer.u8(k_target + 32, chap.secret_in.empty() ? 1 : 2);
    writer.string(k_target + 38, chap.name);
    writer.string(k_target + 42, chap.secret);
    if (chap.secret_in.empty()) return;
    writer.string(k_target + 46, chap.name_in);
    writer.string(k_target + 50, chap.secret_in);
}

void write_file(const std::vector<uint8_t>& bytes, size_t from, const std::filesystem::path& file) {
    std::ofstream out(file, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()) + from,
              static_cast<std::streamsize>(bytes.size() - from));
    if (!out.flush()) {
        throw std::runtime_error(file.string() + ": cannot be written");
    }
}

}  // namespace

std::vector<uint8_t> IbftTable::bytes() const {
    std::vector<uint8_t> table(k_strings, 0);
    Writer writer(table);
    writer.text(0, "iBFT");
    writer.u8(8, 1);
    writer.text(10, "HAWSER");
    writer.text(16, "TESTIBFT");
    writer.header(k_control, 1, 18, 0);
    writer.u16(k_control + 8, k_initiator);
    writer.u16(k_control + 10, k_nic);
    writer.u16(k_control + 12, k_target);
    writer.header(k_initiator, 2, 74, k_valid_and_boot_selected);
    writer.string(k_initiator + 70, initiator);
    write_nic(writer, *this);
    write_target(writer, *this);
    writer.u16(4, static_cast<uint16_t>(table.size()));
    mend_checksum(table);
    return table;
}

void mend_checksum(std::vector<uint8_t>& table) {
    table.at(k_ibft_checksum_offset) = 0;
    auto sum = std::accumulate(table.begin(), table.end(), 0u);
    table[k_ibft_checksum_offset] = static_cast<uint8_t>(-sum);
}

std::vector<std::string> ibft_by_acpi(const std::vector<uint8_t>& table,
                                      const std::filesystem::path& file) {
    write_file(table, k_acpi_header_size, file);
    return {"-acpitable", fmt::format("sig=iBFT,rev=1,oem_id=HAWSER,oem_table_id=TESTIBFT,data={}",
                                      file.string())};
}

std::vector<std::string> ibft_in_memory(const std::vector<uint8_t>& table,
                                        const std::filesystem::path& file) {
    write_file(table, 0, file);
    // SeaBIOS clears everything below 0x90000 before it starts the kernel.
    return {"-device", fmt::format("loader,file={},addr=0x98000,force-raw=on", file.string())};
}

}  // namespace hawser::qemu
