// SPDX-License-Identifier: GPL-2.0-or-later
//
// The judge sees: each breach below is one PDU or one silence away from a correct session.

#include "judge.h"

#include <catch2/catch.hpp>

#include "fields.h"

namespace hawser::target {

namespace {

// A session of one connection, logged in correctly, and what the judge says of what follows.
struct Court {
    explicit Court(Pairs keys = {}) {
        judge.opened(0, 1000);
        login(0, 0, keys);
    }

    void login(uint32_t connection, uint16_t tsih, const Pairs& keys) {
        wire::LoginRequest request;
        request.flags = 0x87;
        request.tsih = tsih;
        request.cid = static_cast<uint16_t>(connection);
        request.cmd_sn = 1;
        Pairs text = {{"InitiatorName", "iqn.a:node"}, {"TargetName", "iqn.a:disk"}};
        if (tsih == 0) text.insert(text.end(), keys.begin(), keys.end());
        judge.from_initiator(connection, make_pdu(request, write_text(text)), now_ms);
        wire::LoginResponse response;
        response.flags = 0x87;
        response.tsih = 1;
        response.stat_sn = 9;
        response.exp_cmd_sn = 1;
        response.max_cmd_sn = 8;
        judge.to_initiator(connection, make_pdu(response, write_text(tsih == 0 ? keys : Pairs{})),
                           now_ms);
    }
    // A PDU of ours with fields as a script sets them.
    static Pdu made(wire::Opcode opcode,
                    std::initializer_list<std::pair<const char*, uint64_t>> set, size_t data = 0) {
        Pdu pdu;
        pdu.header[0] = static_cast<uint8_t>(opcode);
        pdu.header[1] = wire::k_final;
        pdu.data.resize(data);
        pdu.as<wire::Bhs>().data_segment_length = static_cast<uint32_t>(data);
        for (const auto& [name, value] : set) {
            const Field* field = find_field(opcode, name);
            REQUIRE(field != nullptr);
            write_field(pdu, *field, value);
        }
        return pdu;
    }
    void say(const Pdu& pdu, uint32_t connection = 0) {
        judge.from_initiator(connection, pdu, now_ms);
    }
    void hear(const Pdu& pdu, uint32_t connection = 0) {
        judge.to_initiator(connection, pdu, now_ms);
    }
    void write(uint32_t itt, uint32_t cmd_sn, uint32_t length, size_t immediate = 0,
               bool final = true) {
        say(made(wire::Opcode::ScsiCommand,
                 {{"itt", itt},
                  {"cmd_sn", cmd_sn},
                  {"exp_stat_sn", 10},
                  {"write", 1},
                  {"expected_length", length},
                  {"final", final},
                  {"cdb", 0x2a}},
                 immediate));
    }
    void r2t(uint32_t itt, uint32_t ttt, uint32_t offset, uint32_t length, uint32_t sn = 0) {
        hear(made(wire::Opcode::R2t, {{"itt", itt},
                                      {"ttt", ttt},
                                      {"buffer_offset", offset},
                                      {"length", length},
                                      {"r2t_sn", sn},
                                      {"max_cmd_sn", 8}}));
    }
    Pdu data_out(uint32_t itt, uint32_t ttt, uint32_t offset, size_t length, uint32_t sn = 0,
                 bool final = true) {
        return made(wire::Opcode::DataOut,
                    {{"itt", itt},
                     {"ttt", ttt},
                     {"buffer_offset", offset},
                     {"data_sn", sn},
                     {"final", final},
                     {"exp_stat_sn", 10}},
                    length);
    }
    std::vector<uint32_t> rules() {
        judge.finish(now_ms);
        std::vector<uint32_t> found;
        for (const Breach& breach : judge.breaches()) found.push_back(breach.rule);
        return found;
    }

    Judge judge;
    uint64_t now_ms = 1000;
};

using Rules = std::vector<uint32_t>;
using wire::Opcode;

const Pairs k_unsolicited = {{"InitialR2T", "No"}, {"FirstBurstLength", "4096"}};
const Pairs k_level_one = {{"ErrorRecoveryLevel", "1"}};

}  // namespace

TEST_CASE("a correct session gives the judge nothing to say", "[target][judge]") {
    Court court(k_unsolicited);
    court.write(1, 1, 8192, 1024, false);
    court.say(court.data_out(1, wire::k_reserved_tag, 1024, 1024, 0, false));
    court.say(court.data_out(1, wire::k_reserved_tag, 2048, 2048, 1));
    court.r2t(1, 7, 4096, 4096);
    court.say(court.data_out(1, 7, 4096, 4096));
    court.hear(Court::made(Opcode::ScsiResponse, {{"itt", 1}, {"stat_sn", 10}, {"max_cmd_sn", 9}}));
    court.say(Court::made(Opcode::LogoutRequest,
                          {{"itt", 2}, {"immediate", 1}, {"cmd_sn", 2}, {"exp_stat_sn", 11}}));
    CHECK(court.rules().empty());
}

TEST_CASE("the judge sees breaches of numbering", "[target][judge]") {
    const auto nop = [](std::initializer_list<std::pair<const char*, uint64_t>> set) {
        Court court;
        Pdu pdu = Court::made(Opcode::NopOut, {{"itt", 5},
                                               {"ttt", 0xffffffff},
                                               {"cmd_sn", 1},
                                               {"exp_stat_sn", 10},
                                               {"immediate", 1}});
        for (const auto& [name, value] : set)
            write_field(pdu, *find_field(Opcode::NopOut, name), value);
        court.say(pdu);
        return court.rules();
    };
    CHECK(nop({}).empty());
    CHECK(nop({{"cmd_sn", 2}}) == Rules{1});
    CHECK(nop({{"immediate", 0}, {"cmd_sn", 2}}) == Rules{1});
    CHECK(nop({{"immediate", 0}, {"cmd_sn", 9}}) == Rules{3, 1});
    CHECK(nop({{"exp_stat_sn", 11}}) == Rules{6});
    CHECK(nop({{"exp_stat_sn", 8}}) == Rules{6});
    CHECK(nop({{"ttt", 3}}) == Rules{26, 26});
    CHECK(nop({{"itt", 0xffffffff}, {"immediate", 0}}) == Rules{27});
    CHECK(nop({{"byte33", 1}}) == Rules{25});
    CHECK(nop({{"final", 0}}) == Rules{25});
    Court twice;
    twice.write(1, 1, 0);
    twice.write(2, 1, 0);
    CHECK(twice.rules() == Rules{1});
    Court tag;
    tag.write(1, 1, 0);
    tag.write(1, 2, 0);
    CHECK(tag.rules()[0] == 10);
    Court reserved;
    reserved.write(wire::k_reserved_tag, 1, 0);
    CHECK(reserved.rules() == Rules{10});
}

TEST_CASE("the judge sees breaches of data transfer", "[target][judge]") {
    const auto write = [](const Pairs& keys, uint32_t length, size_t immediate, bool final) {
        Court court(keys);
        court.write(1, 1, length, immediate, final);
        court.hear(Court::made(Opcode::ScsiResponse, {{"itt", 1}, {"stat_sn", 10}}));
        return court.rules();
    };
    CHECK(write({}, 8192, 8192, true).empty());
    CHECK(write({}, 8192, 512, false) == Rules{17});
    CHECK(write({{"ImmediateData", "No"}}, 8192, 512, true) == Rules{17});
    CHECK(write({}, 16384, 8193, true) == Rules{17});
    CHECK(write(k_unsolicited, 512, 512, false) == Rules{15});
    CHECK(write(k_unsolicited, 8192, 4097, true) == Rules{17});

    const auto data = [](const std::function<void(Court&)>& say) {
        Court court(k_unsolicited);
        court.write(1, 1, 12288);
        court.r2t(1, 7, 0, 4096);
        court.r2t(1, 8, 4096, 4096, 1);
        say(court);
        return court.rules();
    };
    const auto rest = [](Court& court) { court.say(court.data_out(1, 8, 4096, 4096)); };
    CHECK(data([&](Court& c) { c.say(c.data_out(1, 7, 0, 4096)), rest(c); }).empty());
    CHECK(data([&](Court&) {}) == Rules{13, 13});
    CHECK(data([&](Court& c) { rest(c), c.say(c.data_out(1, 7, 0, 4096)); }) == Rules{20});
    CHECK(data([&](Court& c) { c.say(c.data_out(1, 7, 0, 4096, 1)), rest(c); }) == Rules{22});
    CHECK(data([&](Court& c) { c.say(c.data_out(1, 7, 0, 512)), rest(c); }) == Rules{19});
    CHECK(data([&](Court& c) { c.say(c.data_out(1, 7, 4, 4096)), rest(c); }) == Rules{19, 19});
    CHECK(data([&](Court& c) { c.say(c.data_out(1, 7, 0, 4096, 0, false)), rest(c); }) ==
          Rules{19});
    CHECK(data([&](Court& c) {
              c.say(c.data_out(1, 9, 0, 4096));
              c.say(c.data_out(1, 7, 0, 4096));
              rest(c);
          }) == Rules{19});
    CHECK(data([&](Court& c) {
              Pdu pdu = c.data_out(1, 7, 0, 4096);
              pdu.header[9] = 1;
              c.say(pdu);
              rest(c);
          }) == Rules{9});
}

TEST_CASE("the judge sees unsolicited data out of turn, and too little of it", "[target][judge]") {
    Court turn(k_unsolicited);
    turn.write(1, 1, 4096, 0, false);
    turn.write(2, 2, 4096, 0, false);
    turn.say(turn.data_out(2, wire::k_reserved_tag, 0, 4096));
    turn.say(turn.data_out(1, wire::k_reserved_tag, 0, 4096));
    CHECK(turn.rules() == Rules{12});
    Court little(k_unsolicited);
    little.write(1, 1, 8192, 0, false);
    little.say(little.data_out(1, wire::k_reserved_tag, 0, 2048));
    CHECK(little.rules() == Rules{11});
    Court unknown;
    unknown.say(unknown.data_out(5, 7, 0, 512));
    CHECK(unknown.rules() == Rules{9});
}

TEST_CASE("the judge sees breaches of recovery", "[target][judge]") {
    const auto snack = [](const Pairs& keys,
                          std::initializer_list<std::pair<const char*, uint64_t>> set) {
        Court court(keys);
        court.write(1, 1, 0);
        court.say(Court::made(Opcode::Snack, set));
        return court.rules();
    };
    const uint64_t none = 0xffffffff;
    CHECK(snack({}, {{"type", 1}, {"itt", none}, {"ttt", none}, {"exp_stat_sn", 10}}) == Rules{51});
    CHECK(snack({}, {{"type", 2}, {"itt", none}, {"exp_stat_sn", 10}}) == Rules{53});
    CHECK(snack(k_level_one,
                {{"type", 1}, {"itt", none}, {"ttt", none}, {"beg_run", 10}, {"exp_stat_sn", 10}})
              .empty());
    CHECK(snack(k_level_one,
                {{"type", 1}, {"itt", none}, {"ttt", none}, {"beg_run", 9}, {"exp_stat_sn", 10}}) ==
          Rules{52});
    CHECK(snack(k_level_one, {{"type", 0}, {"itt", 1}, {"ttt", 3}, {"exp_stat_sn", 10}}) ==
          Rules{52});
    CHECK(snack(k_level_one, {{"type", 3}, {"itt", 1}, {"ttt", 0}, {"exp_stat_sn", 10}}) ==
          Rules{52});
    Court logout;
    logout.say(Court::made(
        Opcode::LogoutRequest,
        {{"itt", 2}, {"immediate", 1}, {"cmd_sn", 1}, {"exp_stat_sn", 10}, {"reason", 2}}));
    CHECK(logout.rules() == Rules{55});
    Court reassign;
    reassign.write(1, 1, 0);
    reassign.say(Court::made(Opcode::TaskManagementRequest, {{"itt", 2},
                                                             {"immediate", 1},
                                                             {"cmd_sn", 2},
                                                             {"exp_stat_sn", 10},
                                                             {"function", 8},
                                                             {"referenced_task_tag", 1}}));
    CHECK(reassign.rules() == Rules{55, 55});
    // Two seconds, the default, after 1000.
    const auto login_at = [](uint64_t ms, uint64_t leeway_ms) {
        Court court;
        court.judge.leeway_ms = leeway_ms;
        court.write(1, 1, 0);
        court.judge.closed(0, false, 1000);
        court.now_ms = ms;
        court.judge.opened(1, ms);
        court.login(1, 0, {});
        return court.rules();
    };
    CHECK(login_at(2999, 0) == Rules{56});
    CHECK(login_at(3000, 0).empty());
    CHECK(login_at(2749, 250) == Rules{56});
    CHECK(login_at(2750, 250).empty());
}

// A command that was lost with its connection is seen by the target for the first time on another.
TEST_CASE("the judge lets a command be sent again after a connection was lost", "[target][judge]") {
    const auto late = [](const Pairs& keys, bool lost) {
        Court court(keys);
        court.judge.opened(1, court.now_ms);
        court.login(1, 1, {});
        const auto write = [&](uint32_t cmd_sn) {
            court.say(
                Court::made(
                    Opcode::ScsiCommand,
                    {{"itt", cmd_sn}, {"cmd_sn", cmd_sn}, {"exp_stat_sn", 10}, {"cdb", 0x35}}),
                1);
        };
        court.write(1, 1, 0);
        write(3);
        if (lost) court.judge.closed(0, false, court.now_ms);
        write(2);
        return court.rules();
    };
    const Pairs two = {{"ErrorRecoveryLevel", "2"}, {"MaxConnections", "2"}};
    CHECK(late(two, true).empty());
    CHECK(late(two, false) == Rules{2});
    CHECK(late({{"ErrorRecoveryLevel", "1"}, {"MaxConnections", "2"}}, true) == Rules{2});
}

TEST_CASE("the judge sees what is owed: pings, Logouts, acknowledgements", "[target][judge]") {
    Court ping;
    ping.hear(Court::made(Opcode::NopIn, {{"itt", 0xffffffff}, {"ttt", 4}, {"max_cmd_sn", 8}}));
    CHECK(ping.rules() == Rules{26});
    Court logout;
    logout.hear(
        Court::made(Opcode::AsyncMessage,
                    {{"itt", 0xffffffff}, {"event", 1}, {"parameter3", 2}, {"stat_sn", 10}}));
    logout.now_ms += 2000;
    CHECK(logout.rules() == Rules{28});
    Court negotiation;
    negotiation.hear(
        Court::made(Opcode::AsyncMessage,
                    {{"itt", 0xffffffff}, {"event", 4}, {"parameter3", 2}, {"stat_sn", 10}}));
    negotiation.judge.closed(0, true, 1500);
    CHECK(negotiation.rules() == Rules{30});
    Court acknowledge(k_level_one);
    acknowledge.say(Court::made(Opcode::ScsiCommand, {{"itt", 1},
                                                      {"cmd_sn", 1},
                                                      {"exp_stat_sn", 10},
                                                      {"read", 1},
                                                      {"expected_length", 512},
                                                      {"cdb", 0x28}}));
    acknowledge.hear(
        Court::made(Opcode::DataIn, {{"itt", 1}, {"ttt", 6}, {"acknowledge", 1}}, 512));
    CHECK(acknowledge.rules() == Rules{53});
    Court after;
    after.say(Court::made(Opcode::LogoutRequest,
                          {{"itt", 2}, {"immediate", 1}, {"cmd_sn", 1}, {"exp_stat_sn", 10}}));
    after.write(3, 1, 0);
    CHECK(after.rules() == Rules{63});
    Court abort;
    abort.write(1, 1, 0);
    abort.say(Court::made(Opcode::TaskManagementRequest, {{"itt", 2},
                                                          {"immediate", 1},
                                                          {"cmd_sn", 2},
                                                          {"exp_stat_sn", 10},
                                                          {"function", 1},
                                                          {"referenced_task_tag", 1},
                                                          {"ref_cmd_sn", 7}}));
    CHECK(abort.rules() == Rules{61});
}

TEST_CASE("the judge sees breaches of the login", "[target][judge]") {
    const auto login = [](uint8_t flags, const Bytes& text,
                          std::initializer_list<std::pair<const char*, uint64_t>> set = {}) {
        Judge judge;
        judge.opened(0, 1000);
        wire::LoginRequest request;
        request.flags = flags;
        Pdu pdu = make_pdu(request, text);
        for (const auto& [name, value] : set)
            write_field(pdu, *find_field(Opcode::LoginRequest, name), value);
        judge.from_initiator(0, pdu, 1000);
        std::vector<uint32_t> found;
        for (const Breach& breach : judge.breaches()) found.push_back(breach.rule);
        return found;
    };
    const Pairs names = {{"InitiatorName", "iqn.a:node"}, {"TargetName", "iqn.a:disk"}};
    const auto with = [&](std::initializer_list<std::pair<std::string, std::string>> more) {
        Pairs pairs = names;
        pairs.insert(pairs.end(), more.begin(), more.end());
        return write_text(pairs);
    };
    CHECK(login(0x81, with({})).empty());
    CHECK(login(0x81, write_text({{"InitiatorName", "iqn.a:node"}})) == Rules{34});
    CHECK(login(0x81, write_text({{"TargetName", "iqn.a:disk"}})) == Rules{34});
    CHECK(login(0xc1, with({})) == Rules{36});
    CHECK(login(0x81, with({{"MaxBurstLength", "8192"}})) == Rules{35});
    CHECK(login(0x87, with({{"AuthMethod", "None"}})) == Rules{35});
    CHECK(login(0x87, with({{"MaxBurstLength", "511"}})) == Rules{39});
    CHECK(login(0x87, with({{"X-what.ever", "1"}})) == Rules{38});
    CHECK(login(0x87, with({{"InitialR2T", "No"}, {"InitialR2T", "No"}})) == Rules{37});
    CHECK(login(0x87, with({{"TargetAlias", "me"}})) == Rules{34});
    CHECK(login(0x81, with({{"CHAP_A", "7,6"}})) == Rules{43});
    CHECK(login(0x81, with({{"CHAP_A", "5,7"}})) == Rules{43});
    CHECK(login(0x81, with({{"CHAP_N", "me"}, {"CHAP_R", "0x1234"}})) == Rules{44});
    CHECK(login(0x81, with({}), {{"version_max", 1}}) == Rules{40});
    CHECK(login(0x81, with({}), {{"tsih", 4}}) == Rules{57});
    CHECK(login(0x01, with({})) == Rules{25});
    Bytes open = with({});
    open.pop_back();
    CHECK(login(0x81, open) == Rules{38});
}

}  // namespace hawser::target
