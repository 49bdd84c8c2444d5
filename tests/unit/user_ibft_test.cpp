// SPDX-License-Identifier: GPL-2.0-or-later
// The iBFT's parser: tables that iPXE wrote (tests/golden/ibft), and tables broken in one place
// each.
#include "user/ibft.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "user/ibft_source.h"
#include "user_ibft_builder.h"

using namespace hawser::user;
using hawser_test::Bytes;
using hawser_test::IbftBuilder;

namespace {

// Annotated hex: bytes, and what follows `#` is for the reader.
Bytes golden(const std::string& name) {
    std::ifstream file(std::string(HAWSER_GOLDEN_DIR) + "/ibft/" + name);
    REQUIRE(file.good());
    Bytes bytes;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        for (std::string word; words >> word;) {
            bytes.push_back(static_cast<uint8_t>(std::stoul(word, nullptr, 16)));
        }
    }
    return bytes;
}

struct Good {
    IbftBuilder builder;
    size_t initiator = builder.initiator("iqn.2026-01.test:node");
    size_t nic = builder.nic(0, IbftBuilder::mapped(10, 0, 10, 15), 24, 1);
    size_t target = builder.target(0, IbftBuilder::mapped(10, 0, 10, 2), "iqn.2026-01.test:disk");
};

std::vector<IbftFault> faults(const Bytes& bytes) {
    const IbftResult result = parse_ibft(bytes);
    CHECK(result.table.has_value() == result.defects.empty());
    std::vector<IbftFault> found;
    for (const IbftDefect& defect : result.defects) {
        CHECK_FALSE(defect.where.empty());
        CHECK_FALSE(defect.detail.empty());
        found.push_back(defect.fault);
    }
    return found;
}

using Faults = std::vector<IbftFault>;

}  // namespace

TEST_CASE("iBFT: iPXE's table with one target", "[user][ibft]") {
    const IbftResult result = parse_ibft(golden("ipxe-one-target.hex"));
    REQUIRE(result.table);
    const Ibft& ibft = *result.table;
    CHECK(ibft.oem_id == "FENSYS");
    CHECK(ibft.oem_table_id == "iPXE");
    REQUIRE(ibft.initiator);
    CHECK(ibft.initiator->name == "iqn.2026-01.test.hawser:node1");
    REQUIRE(ibft.nics.size() == 1);
    const IbftNic& nic = ibft.nics[0];
    CHECK(nic.address == IpAddress::parse("10.0.10.15"));
    CHECK(nic.prefix_length == 24);
    CHECK(nic.is_from_dhcp());
    CHECK(nic.gateway == IpAddress::parse("10.0.10.2"));
    CHECK(nic.mac == MacAddress::parse("52:54:00:00:10:01"));
    CHECK(nic.pci == 3 << 3);
    REQUIRE(ibft.targets.size() == 1);
    const IbftTarget& target = ibft.targets[0];
    CHECK(target.name == "iqn.2026-01.test.hawser:disk");
    CHECK(target.address == IpAddress::parse("10.0.10.2"));
    CHECK(target.port == 13271);
    CHECK(target.lun == 1);
    CHECK(target.is_boot_selected());
    CHECK(ibft.notes.empty());
}

TEST_CASE("iBFT: every byte of iPXE's table changed alone is a bad checksum", "[user][ibft]") {
    const Bytes good = golden("ipxe-one-target.hex");
    for (size_t at = 9; at < good.size(); ++at) {
        Bytes bad = good;
        bad[at] ^= 0x40;
        const Faults found = faults(bad);
        REQUIRE(std::find(found.begin(), found.end(), IbftFault::checksum) != found.end());
    }
}

TEST_CASE("iBFT: cut short anywhere, it is refused", "[user][ibft]") {
    const Bytes good = golden("ipxe-one-target.hex");
    for (size_t length = 0; length < good.size(); ++length) {
        const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
        REQUIRE(faults(cut) == Faults{IbftFault::truncated});
    }
}

TEST_CASE("iBFT: any byte with its checksum mended is read within bounds", "[user][ibft]") {
    // The sanitizers are the judge; most of these tables are broken, some are merely different.
    const Bytes good = golden("ipxe-two-targets.hex");
    for (size_t at = 10; at < good.size(); ++at) {
        for (uint8_t value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
            Bytes bad = good;
            bad[at] = value;
            faults(IbftBuilder::checksummed(bad));
        }
    }
}

TEST_CASE("iBFT: secrets are found, and never shown", "[user][ibft]") {
    const Bytes bytes = golden("ipxe-two-targets.hex");
    const IbftResult result = parse_ibft(bytes);
    REQUIRE(result.table);
    REQUIRE(result.table->targets.size() == 2);
    const IbftTarget& target = result.table->targets[1];
    CHECK(target.name == "iqn.2026-01.test.hawser:chap");
    CHECK(target.chap_type == 1);
    CHECK(target.chap_name == "node1");
    REQUIRE(target.chap_secret.is_set());
    const std::string secret(bytes.begin() + target.chap_secret.offset,
                             bytes.begin() + target.chap_secret.offset + target.chap_secret.length);
    CHECK(secret == "notasecret12");
    CHECK(ibft_text(*result.table).find(secret) == std::string::npos);
    CHECK(ibft_json(*result.table).dump().find(secret) == std::string::npos);
    CHECK(ibft_text(*result.table).find("CHAP secret  (set)") != std::string::npos);
}

TEST_CASE("iBFT: as many targets as Control has offsets for", "[user][ibft]") {
    IbftBuilder builder(5);
    builder.initiator("iqn.2026-01.test:node");
    for (uint8_t i = 0; i < 5; ++i) {
        builder.nic(i, IbftBuilder::mapped(10, 0, i, 15), 24, i);
        builder.target(i, IbftBuilder::mapped(10, 0, i, 2), "iqn.2026-01.test:disk", i);
    }
    const IbftResult result = parse_ibft(builder.finish());
    REQUIRE(result.table);
    REQUIRE(result.table->targets.size() == 5);
    CHECK(result.table->targets[4].address == IpAddress::parse("10.0.4.2"));
    CHECK(result.table->nics[4].mac == MacAddress::parse("52:54:00:00:00:04"));
}

TEST_CASE("iBFT: header", "[user][ibft]") {
    Good good;
    const Bytes bytes = good.builder.finish();
    REQUIRE(faults(bytes).empty());

    Bytes bad = bytes;
    bad[0] = 'x';
    CHECK(faults(IbftBuilder::checksummed(bad)) == Faults{IbftFault::signature});
    bad = bytes;
    bad[8] = 2;
    CHECK(faults(IbftBuilder::checksummed(bad)) == Faults{IbftFault::revision});
    bad = bytes;
    bad[4] = 65;
    bad[5] = 0;
    CHECK(faults(bad) == Faults{IbftFault::length});
    bad = bytes;
    bad[4] = bad[5] = 0xff;  // 65535
    CHECK(faults(bad) == Faults{IbftFault::truncated});
    bad = bytes;
    bad[6] = bad[7] = 0xff;
    CHECK(faults(bad) == Faults{IbftFault::length});
    bad = bytes;
    bad.resize(bad.size() + 100, 0xaa);  // what lies behind is not ours
    CHECK(faults(bad).empty());
}

TEST_CASE("iBFT: prefix length", "[user][ibft]") {
    for (uint8_t prefix_length : {0, 33, 200}) {
        Good good;
        good.builder.bytes[good.nic + 22] = prefix_length;
        CHECK(faults(good.builder.finish()) == Faults{IbftFault::prefix_length});
    }
    Good without_address;
    without_address.builder.put(without_address.nic + 6, Bytes(16, 0));
    without_address.builder.bytes[without_address.nic + 22] = 0;
    CHECK(faults(without_address.builder.finish()).empty());
}

TEST_CASE("iBFT: offsets and lengths out of the table", "[user][ibft]") {
    struct Patch {
        const char* what;
        size_t Good::*structure;
        size_t at;
        uint16_t value;
        IbftFault fault;
    };
    const Patch patches[] = {
        {"initiator's length 65535", &Good::initiator, 2, 65535, IbftFault::offset},
        {"initiator's length 73", &Good::initiator, 2, 73, IbftFault::structure},
        {"target's length 0", &Good::target, 2, 0, IbftFault::structure},
        {"name's length 65535", &Good::target, 34, 65535, IbftFault::string_bounds},
        {"name's offset 65535", &Good::target, 36, 65535, IbftFault::string_bounds},
        {"name's offset in the header", &Good::target, 36, 10, IbftFault::string_bounds},
        {"name one byte longer", &Good::target, 34, 23, IbftFault::string_bounds},
        {"name empty", &Good::target, 34, 0, IbftFault::name},
        {"port 0", &Good::target, 22, 0, IbftFault::port},
        {"LUN on two levels", &Good::target, 26, 1, IbftFault::lun},
        {"VLAN 4095", &Good::nic, 88, 4095, IbftFault::vlan},
    };
    for (const Patch& patch : patches) {
        INFO(patch.what);
        Good good;
        good.builder.put16(good.*patch.structure + patch.at, patch.value);
        CHECK(faults(good.builder.finish()) == Faults{patch.fault});
    }
    for (uint16_t offset : {1, 47, 60000, 65535}) {
        Good good;
        good.builder.offset(2, offset);
        CHECK(faults(good.builder.finish()) == Faults{IbftFault::offset});
    }
    Good control;
    control.builder.put16(control.builder.control + 2, 17);
    CHECK(faults(control.builder.finish()) == Faults{IbftFault::structure});
    control.builder.put16(control.builder.control + 2, 65535);
    CHECK(faults(control.builder.finish()) == Faults{IbftFault::structure});
}

TEST_CASE("iBFT: names that are none", "[user][ibft]") {
    for (const char* name :
         {"iqn.2026-01.test:\x1b[2Jdisk", "iqn.2026-01.test:../../etc", "iqn.2026-01.test:\xc3\xa4",
          "disk", "iqn.2026-01.test:a b", "eui.12", "iqn."}) {
        INFO(name);
        IbftBuilder builder;
        builder.initiator("iqn.2026-01.test:node");
        builder.nic(0, IbftBuilder::mapped(10, 0, 10, 15), 24, 1);
        builder.target(0, IbftBuilder::mapped(10, 0, 10, 2), name);
        const Faults found = faults(builder.finish());
        REQUIRE(found.size() == 1);
        CHECK((found[0] == IbftFault::name || found[0] == IbftFault::text));
    }
}

TEST_CASE("iBFT: an 8000-byte secret, and a string without a NUL", "[user][ibft]") {
    Good good;
    good.builder.string(good.target + 42, std::string(8000, 'x'));
    CHECK(faults(good.builder.finish()) == Faults{IbftFault::string_bounds});
    Good no_nul;
    no_nul.builder.string(no_nul.initiator + 70, "iqn.2026-01.test:node", false);
    CHECK(faults(no_nul.builder.finish()) == Faults{IbftFault::string_bounds});
    Good counted;  // the NUL counted in
    counted.builder.string(counted.initiator + 70, std::string("iqn.2026-01.test:node") + '\0');
    const IbftResult result = parse_ibft(counted.builder.finish());
    REQUIRE(result.table);
    CHECK(result.table->initiator->name == "iqn.2026-01.test:node");
}

TEST_CASE("iBFT: flags", "[user][ibft]") {
    IbftBuilder builder;
    builder.initiator("iqn.2026-01.test:node", 2);  // some firmware sets only `boot selected`
    const size_t nic = builder.nic(0, IbftBuilder::mapped(10, 0, 10, 15), 24, 1, 0);
    builder.bytes[nic + 22] = 200;  // not valid, so not looked at
    builder.target(0, IbftBuilder::mapped(10, 0, 10, 2), "iqn.2026-01.test:disk", 0, 1);
    const IbftResult result = parse_ibft(builder.finish());
    REQUIRE(result.table);
    CHECK(result.table->initiator.has_value());
    CHECK(result.table->nics.empty());
    CHECK(result.table->targets.size() == 1);
    CHECK(result.table->notes.size() == 1);
}

TEST_CASE("iBFT: IPv6, and addresses of no host", "[user][ibft]") {
    Good good;
    const Bytes v6 = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x15};
    good.builder.put(good.nic + 6, v6);
    good.builder.bytes[good.nic + 22] = 64;
    good.builder.put(good.target + 6, v6);
    const IbftResult result = parse_ibft(good.builder.finish());
    REQUIRE(result.table);
    CHECK(result.table->nics[0].address->to_string() == "2001:db8::15");
    CHECK(result.table->targets[0].address->to_string() == "2001:db8::15");
    good.builder.put(good.target + 6, IbftBuilder::mapped(255, 255, 255, 255));
    CHECK(faults(good.builder.finish()) == Faults{IbftFault::address, IbftFault::missing});
    good.builder.put(good.target + 6, IbftBuilder::mapped(0, 0, 0, 0));
    CHECK(faults(good.builder.finish()) == Faults{IbftFault::missing});
}

TEST_CASE("iBFT: flat LUNs, and MACs of no NIC", "[user][ibft]") {
    Good good;
    good.builder.bytes[good.target + 24] = 0x41;
    CHECK(parse_ibft(good.builder.finish()).table->targets[0].lun == 0x101);
    for (const char* name : {"lun-0100.hex", "lun-4100.hex"}) {
        INFO(name);
        const IbftResult result = parse_ibft(golden(name));
        REQUIRE(result.table);
        CHECK(result.table->targets[0].lun == 256);
    }
    good.builder.put(good.nic + 90, Bytes(6, 0));
    CHECK(faults(good.builder.finish()) == Faults{IbftFault::mac});
}

TEST_CASE("iBFT: all defects are named at once", "[user][ibft]") {
    Good good;
    good.builder.bytes[good.nic + 22] = 33;
    good.builder.put16(good.target + 22, 0);
    const IbftResult result = parse_ibft(good.builder.finish());
    REQUIRE(result.defects.size() == 2);
    const auto problems = defect_problems(result.defects);
    CHECK(problems[0].line().find("hawser: broken iBFT (prefix length): NIC 0: prefix length: 33 "
                                  "for 10.0.10.15, not 1 to 32: ") == 0);
}

TEST_CASE("iBFT: a thousand structures end in time", "[user][ibft]") {
    IbftBuilder builder(500);
    const size_t at = builder.append(5, 6, 0, 1);
    for (size_t slot = 0; slot < 900; ++slot) builder.offset(slot, at + slot % 6);
    faults(builder.finish());
    for (size_t slot = 0; slot < 900; ++slot) builder.offset(slot, 60 + slot);
    CHECK_FALSE(faults(builder.finish()).empty());
}
