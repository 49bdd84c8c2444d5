// SPDX-License-Identifier: GPL-2.0-or-later
//
// The option line of docs/contracts.md: what it means, what it defaults to, and that every bad line
// is refused with one line that names key, value and range.

#include "abi/engine.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace {

const std::string k_least =
    "target=iqn.2026-01.org.example:disk initiator=iqn.2026-01.org.example:node portal=10.0.10.2";

struct Parsed {
    uint32_t error;
    hawser_options options;
    std::string reason;
};

Parsed parse(const std::string& line) {
    Parsed parsed;
    // Exactly as long as the line, on the heap: a read past its end is seen.
    std::vector<char> copy(line.begin(), line.end());
    char reason[HAWSER_REASON_BYTES];
    std::memset(reason, 'x', sizeof(reason));
    std::memset(&parsed.options, 0xa5, sizeof(parsed.options));
    parsed.error = hawser_options_parse(copy.data(), static_cast<uint32_t>(copy.size()),
                                        &parsed.options, reason);
    parsed.reason = std::string(reason, strnlen(reason, sizeof(reason)));
    CHECK(parsed.reason.size() < HAWSER_REASON_BYTES);
    return parsed;
}

hawser_options good(const std::string& more) {
    Parsed parsed = parse(k_least + " " + more);
    INFO(more << " -> " << parsed.reason);
    REQUIRE(parsed.error == HAWSER_ERROR_NONE);
    return parsed.options;
}

void refused(const std::string& line, const std::string& reason) {
    Parsed parsed = parse(line);
    INFO(line);
    CHECK(parsed.error == HAWSER_ERROR_BAD_OPTION);
    CHECK(parsed.reason == reason);
}

std::string portal_of(const hawser_options& options, size_t index) {
    char out[64];
    hawser_portal_format(&options.portals[index].address, options.portals[index].port, out);
    return out;
}

}  // namespace

TEST_CASE("the least line gets the defaults of the contract") {
    hawser_options options = good("");
    CHECK(std::string(options.target_name) == "iqn.2026-01.org.example:disk");
    CHECK(std::string(options.initiator_name) == "iqn.2026-01.org.example:node");
    CHECK(options.portal_count == 1);
    CHECK(portal_of(options, 0) == "10.0.10.2:3260");
    CHECK(options.portals[0].source.family == 0);
    CHECK(options.portals[0].nic[0] == 0);
    CHECK(options.connection_count == 1);
    CHECK(options.lun_count == 0);
    CHECK(options.alias[0] == 0);
    CHECK(options.root == 0);
    CHECK(options.cpus_given == 0);
    CHECK(options.queue_depth == 256);
    CHECK(options.timeout_ms == 60000);
    CHECK(options.login_timeout_ms == 15000);
    CHECK(options.noop_out_interval_ms == 5000);
    CHECK(options.noop_out_timeout_ms == 5000);
    CHECK(options.logout_timeout_ms > 0);
    CHECK(options.grace_ms == 60000);
    CHECK(options.offer.initial_r2t == 0);
    CHECK(options.offer.immediate_data == 1);
    CHECK(options.offer.first_burst_length == 65536);
    CHECK(options.offer.max_burst_length == 1048576);
    CHECK(options.offer.max_recv_data_segment_length == 262144);
    CHECK(options.offer.max_outstanding_r2t == 1);
    CHECK(options.offer.default_time2wait_s == 0);
    CHECK(options.offer.default_time2retain_s == 20);
    CHECK(options.offer.error_recovery_level == 0);
    CHECK(options.offer.header_digest == 1);
    CHECK(options.offer.data_digest == 1);
    CHECK(options.offer.data_pdu_in_order == 1);
    CHECK(options.offer.data_sequence_in_order == 1);
    CHECK(options.offer.max_connections == 1);
}

TEST_CASE("every key is stored") {
    hawser_options options = good(
        "portal=[fe80::2]:5003,nic=eth1 portal=10.0.30.2,source=10.0.30.15,nic=ens3 connections=4 "
        "alias=node-7 lun=1 lun=16383 root=yes timeout=90 login_timeout=7 noop_out_interval=0 "
        "noop_out_timeout=9 grace=30 queue_depth=1024 cpus=0-3,8 InitialR2T=Yes ImmediateData=No "
        "FirstBurstLength=512 MaxBurstLength=16777215 MaxRecvDataSegmentLength=8192 "
        "MaxOutstandingR2T=4 DefaultTime2Wait=3 DefaultTime2Retain=0 ErrorRecoveryLevel=0 "
        "HeaderDigest=None DataDigest=None\n");
    CHECK(options.portal_count == 3);
    CHECK(portal_of(options, 1) == "[fe80::2]:5003");
    CHECK(std::string(options.portals[1].nic) == "eth1");
    CHECK(options.portals[2].source.family == 4);
    CHECK(options.portals[2].source.bytes[3] == 15);
    CHECK(options.connection_count == 4);
    CHECK(options.offer.max_connections == 4);
    CHECK(std::string(options.alias) == "node-7");
    CHECK(options.lun_count == 2);
    CHECK(options.luns[1] == 16383);
    CHECK(options.root == 1);
    CHECK(options.timeout_ms == 90000);
    CHECK(options.login_timeout_ms == 7000);
    CHECK(options.noop_out_interval_ms == 0);
    CHECK(options.grace_ms == 30000);
    CHECK(options.queue_depth == 1024);
    CHECK(options.cpus_given == 1);
    CHECK(std::string(options.cpus) == "0-3,8");
    CHECK(options.offer.initial_r2t == 1);
    CHECK(options.offer.immediate_data == 0);
    CHECK(options.offer.first_burst_length == 512);
    CHECK(options.offer.max_burst_length == 16777215);
    CHECK(options.offer.max_recv_data_segment_length == 8192);
    CHECK(options.offer.max_outstanding_r2t == 4);
    CHECK(options.offer.default_time2wait_s == 3);
    CHECK(options.offer.default_time2retain_s == 0);
}

TEST_CASE("every timer has a key of its own") {
    hawser_options usual = good("");
    CHECK(usual.connect_timeout_ms == 3000);
    CHECK(usual.abort_timeout_ms == 15000);
    CHECK(usual.lu_reset_timeout_ms == 30000);
    CHECK(usual.tgt_reset_timeout_ms == 30000);
    hawser_options options = good(
        "timeout=1 connect_timeout=2 login_timeout=3 logout_timeout=4 abort_timeout=5 "
        "lu_reset_timeout=6 tgt_reset_timeout=7 noop_out_interval=8 noop_out_timeout=9 grace=10");
    CHECK(options.timeout_ms == 1000);
    CHECK(options.connect_timeout_ms == 2000);
    CHECK(options.login_timeout_ms == 3000);
    CHECK(options.logout_timeout_ms == 4000);
    CHECK(options.abort_timeout_ms == 5000);
    CHECK(options.lu_reset_timeout_ms == 6000);
    CHECK(options.tgt_reset_timeout_ms == 7000);
    CHECK(options.noop_out_interval_ms == 8000);
    CHECK(options.noop_out_timeout_ms == 9000);
    CHECK(options.grace_ms == 10000);
    refused(k_least + " abort_timeout=0", "abort_timeout: 0: not a number from 1 to 600");
}

TEST_CASE("room for connections is as much as is asked for, or more") {
    CHECK(good("connections=3").connection_start == 3);
    CHECK(good("connections=3").connection_count == 3);
    hawser_options options = good("connections=2 connections_max=8");
    CHECK(options.connection_start == 2);
    CHECK(options.connection_count == 8);
    CHECK(options.offer.max_connections == 8);
    refused(k_least + " connections=3 connections_max=2",
            "connections_max: must not be less than connections");
}

TEST_CASE("portals are those given, or all") {
    CHECK(good("").portals_all == 0);
    CHECK(good("portals=given").portals_all == 0);
    CHECK(good("portals=all").portals_all == 1);
    refused(k_least + " portals=some", "portals: some: neither all nor given");
}

TEST_CASE("CmdSN's order is seen, or told") {
    CHECK(good("").cmd_sn_order == HAWSER_CMD_SN_ORDER_AUTO);
    CHECK(good("cmdsn_order=auto").cmd_sn_order == HAWSER_CMD_SN_ORDER_AUTO);
    CHECK(good("cmdsn_order=session").cmd_sn_order == HAWSER_CMD_SN_ORDER_SESSION);
    CHECK(good("cmdsn_order=connection").cmd_sn_order == HAWSER_CMD_SN_ORDER_CONNECTION);
    refused(k_least + " cmdsn_order=no",
            "cmdsn_order: no: neither auto nor session nor connection");
}

TEST_CASE("connections default to the number of portals") {
    CHECK(good("portal=10.0.20.2 portal=10.0.30.2 portal=10.0.40.2").connection_count == 4);
    CHECK(good("portal=10.0.20.2 connections=1").connection_count == 1);
}

TEST_CASE("a timeout of 0 switches pings off") {
    CHECK(good("noop_out_timeout=0").noop_out_interval_ms == 0);
}

TEST_CASE("a small MaxBurstLength takes the default FirstBurstLength down", "[RFC 7143 13.14]") {
    CHECK(good("MaxBurstLength=4096").offer.first_burst_length == 4096);
    refused(k_least + " MaxBurstLength=4096 FirstBurstLength=8192",
            "FirstBurstLength: must not exceed MaxBurstLength");
}

TEST_CASE("what is missing is named") {
    refused("", "target: missing: give target=NAME");
    refused("target=iqn.a.b", "initiator: missing: give initiator=NAME");
    refused("target=iqn.a.b initiator=iqn.a.c", "portal: missing: give portal=ADDRESS[:PORT]");
}

TEST_CASE("a bad word is refused with key, value and what is allowed") {
    auto more = [](const std::string& word, const std::string& reason) {
        refused(k_least + " " + word, reason);
    };
    more("lun", "lun: a word without '='");
    more("lun=", "lun: empty value");
    more("colour=blue", "colour: blue: unknown key");
    more("queuedepth=4", "queuedepth: 4: unknown key");
    more("initialr2t=No", "initialr2t: No: unknown key");
    more("=x", ": x: unknown key");
    more("target=iqn.a.b", "target: iqn.a.b: given twice");
    more("root=yes root=yes", "root: yes: given twice");
    more("lun=3 lun=3", "lun: 3: given twice");
    more("lun=16384", "lun: 16384: not a number from 0 to 16383");
    more("lun=-1", "lun: -1: not a number from 0 to 16383");
    more("lun=0x1", "lun: 0x1: not a number from 0 to 16383");
    more("lun=01", "lun: 01: not a number from 0 to 16383");
    more("lun=99999999999999999999999",
         "lun: 99999999999999999999999: not a number from 0 to 16383");
    more("connections=0", "connections: 0: not a number from 1 to 16");
    more("connections=17", "connections: 17: not a number from 1 to 16");
    more("queue_depth=1025", "queue_depth: 1025: not a number from 1 to 1024");
    more("timeout=0", "timeout: 0: not a number from 1 to 86400");
    more("root=Yes", "root: Yes: not yes or no");
    more("InitialR2T=yes", "InitialR2T: yes: not Yes or No");
    more("MaxBurstLength=511", "MaxBurstLength: 511: not a number from 512 to 16777215");
    more("MaxBurstLength=16777216", "MaxBurstLength: 16777216: not a number from 512 to 16777215");
    more("DefaultTime2Wait=3601", "DefaultTime2Wait: 3601: not a number from 0 to 3600");
    more("ErrorRecoveryLevel=3", "ErrorRecoveryLevel: 3: not a number from 0 to 2");
    more("ErrorRecoveryLevel=1 MaxOutstandingR2T=2",
         "MaxOutstandingR2T: must be 1 with ErrorRecoveryLevel above 0");
    more("HeaderDigest=MD5", "HeaderDigest: MD5: neither None nor CRC32C nor both, with a comma");
    more("DataDigest=CRC32C,",
         "DataDigest: CRC32C,: neither None nor CRC32C nor both, with a comma");
    more("cpus=3-1", "cpus: 3-1: neither auto nor a CPU list like 0-3,8");
    more("cpus=1,", "cpus: 1,: neither auto nor a CPU list like 0-3,8");
    more("alias=" + std::string(64, 'a'),
         "alias: " + std::string(64, 'a') + ": longer than 63 characters");
}

TEST_CASE("a bad name is refused", "[RFC 7143 4.2.7]") {
    const std::string why =
        ": not an iSCSI name (iqn., eui. or naa., at most 223 bytes of letters, digits, '-', '.', "
        "':')";
    refused("target=disk", "target: disk" + why);
    refused("initiator=iqn.a/b", "initiator: iqn.a/b" + why);
    // A long value is cut, so that the reason always says what is allowed.
    refused("target=iqn." + std::string(220, 'a'),
            "target: iqn." + std::string(96, 'a') + "..." + why);
    CHECK(parse("target=iqn." + std::string(219, 'a')).reason ==
          "initiator: missing: give initiator=NAME");
}

TEST_CASE("a bad portal is refused") {
    auto portal = [](const std::string& value, const std::string& why) {
        refused(k_least + " portal=" + value, "portal: " + value + ": " + why);
    };
    const std::string form = "not ADDRESS[:PORT][,source=ADDRESS][,nic=NAME]; IPv6 as [::1]:3260";
    for (const char* value : {"ibft", "10.0.0.256", "10.0.0.1:0", "10.0.0.1:65536", "fe80::1",
                              "[::1", "0.0.0.0", "224.0.0.1", "[::]", "[ff02::1]", ",nic=eth0"})
        portal(value, form);
    portal("10.0.0.1,source=x", "source= is not an IPv4 or IPv6 address");
    portal("10.0.0.1,source=0.0.0.0", "source= is not an IPv4 or IPv6 address");
    portal("10.0.0.1,source=10.0.0.2,source=10.0.0.3", "source= is given twice");
    portal("10.0.0.1,source=::1", "source= is of another IP version than the portal");
    portal("10.0.0.1,nic=", "nic= is not the name of a NIC (1 to 15 characters)");
    portal("10.0.0.1,nic=../x", "nic= is not the name of a NIC (1 to 15 characters)");
    portal("10.0.0.1,nic=sixteencharacter", "nic= is not the name of a NIC (1 to 15 characters)");
    portal("10.0.0.1,nic=a,nic=b", "nic= is given twice");
    portal("10.0.0.1,", "after the address only source=ADDRESS and nic=NAME are known");
    portal("10.0.0.1,mtu=9000", "after the address only source=ADDRESS and nic=NAME are known");
    portal("[fe80::1]", "a link-local address needs nic=NAME");
}

TEST_CASE("lists have their limits") {
    std::string portals = "target=iqn.a.b initiator=iqn.a.c";
    for (int i = 1; i <= 16; i++) portals += " portal=10.0.0." + std::to_string(i);
    CHECK(parse(portals).options.connection_count == 16);
    refused(portals + " portal=10.0.0.17", "portal: 10.0.0.17: more than 16");
    std::string luns = k_least;
    for (int i = 0; i < 16; i++) luns += " lun=" + std::to_string(i);
    CHECK(parse(luns).error == HAWSER_ERROR_NONE);
    refused(luns + " lun=16", "lun: 16: more than 16");
}

TEST_CASE("a line that is no line is refused") {
    refused(k_least + "\tlun=1", "line: a byte that is not printable ASCII");
    refused(k_least + std::string(" lun=1\0", 7), "line: a byte that is not printable ASCII");
    refused(k_least + "\n\n", "line: a byte that is not printable ASCII");
    refused(k_least + " alias=\xc3\xa9", "line: a byte that is not printable ASCII");
    refused(std::string(8192, ' '), "line: longer than 8191 bytes");
    refused(std::string(8191, ' '), "target: missing: give target=NAME");
}

TEST_CASE("mutated lines never hurt, and always get a reason") {
    std::mt19937 random(7);
    const std::string line = k_least +
                             " portal=[fe80::2]:5003,nic=eth1,source=fe80::3 cpus=0-3 "
                             "lun=1 MaxBurstLength=4096 alias=a";
    for (int round = 0; round < 20000; round++) {
        std::string mutated = line;
        for (uint32_t i = random() % 4 + 1; i > 0; i--) {
            size_t at = random() % mutated.size();
            switch (random() % 3) {
                case 0:
                    mutated[at] = static_cast<char>(random());
                    break;
                case 1:
                    mutated.erase(at, random() % 8 + 1);
                    break;
                default:
                    mutated.insert(at, mutated.substr(random() % mutated.size(), 5));
                    break;
            }
            if (mutated.empty()) mutated = "x";
        }
        Parsed parsed = parse(mutated);
        CHECK(parsed.reason.empty() == (parsed.error == HAWSER_ERROR_NONE));
    }
}

TEST_CASE("CHAP's options go together, and its algorithms are known ones", "[RFC 7143 12.1.3]") {
    const auto why = [](const std::string& more) {
        const std::string line = "target=iqn.a:disk initiator=iqn.a:node portal=10.0.0.1 " + more;
        hawser_options options;
        char reason[HAWSER_REASON_BYTES] = {};
        const uint32_t error =
            hawser_options_parse(line.data(), static_cast<uint32_t>(line.size()), &options, reason);
        return error == HAWSER_ERROR_NONE ? std::string("taken") : std::string(reason);
    };
    CHECK(why("chap_name=a chap_key=k") == "taken");
    CHECK(why("chap_name=a chap_key=k chap_key_in=l chap_name_in=b") == "taken");
    CHECK(why("chap_name=a").find("go together") != std::string::npos);
    CHECK(why("chap_key=k").find("go together") != std::string::npos);
    CHECK(why("chap_name=a chap_key=k chap_name_in=b").find("chap_key_in") != std::string::npos);
    CHECK(why("chap_key_in=l").find("chap_key_in") != std::string::npos);
    for (const char* list : {"", "4", "9", "5,", "MD5", "5 6"})
        CHECK(why(std::string("chap_name=a chap_key=k chap_algs=") + list) != "taken");
    CHECK(why("chap_name=a chap_key=k chap_algs=7,5") == "taken");
    CHECK(why("portal=[fd00::2]:3260,source=[fd00::1]") == "taken");
    CHECK(why("portal=[fd00::2]:3260,source=[fd00::1") != "taken");
    CHECK(why("portal=[fd00::2]:3260,source=") != "taken");
}
