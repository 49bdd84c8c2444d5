// SPDX-License-Identifier: GPL-2.0-or-later
//
// Logins as they went with real targets, from captures of tgt, LIO and istgt
// (tests/golden/login): our requests are the recorded ones byte for byte, and the recorded
// responses lead to the full feature phase.

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "engine/login.hpp"

using namespace hawser;

namespace {

struct Step {
    bool from_target = false;
    std::vector<uint8_t> bytes;

    template <typename T>
    T header() const {
        T pdu;
        REQUIRE(bytes.size() >= sizeof(pdu));
        std::memcpy(&pdu, bytes.data(), sizeof(pdu));
        return pdu;
    }
    std::vector<uint8_t> text() const {
        auto begin = bytes.begin() + wire::k_bhs_bytes;
        auto length = header<wire::Bhs>().data_segment_length.get();
        REQUIRE(bytes.size() >= wire::k_bhs_bytes + length);
        return {begin, begin + length};
    }
};

struct Trace {
    std::string options;
    std::vector<Step> steps;
};

Trace read_trace(const std::string& name) {
    Trace trace;
    std::ifstream file(std::filesystem::path(HAWSER_GOLDEN_DIR) / "login" / (name + ".hex"));
    REQUIRE(file);
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::string word;
        if (!(words >> word)) continue;
        if (word == "options") {
            trace.options += line.substr(8) + " ";
        } else if (word == "from") {
            words >> word;
            trace.steps.push_back({word == "target", {}});
        } else {
            do
                trace.steps.back().bytes.push_back(
                    static_cast<uint8_t>(std::stoul(word, nullptr, 16)));
            while (words >> word);
        }
    }
    REQUIRE(trace.steps.size() >= 4);
    return trace;
}

// The connection fills these; a trace has them as they were.
wire::LoginRequest without_connection_fields(wire::LoginRequest request) {
    request.initiator_task_tag = 0;
    request.cmd_sn = 0;
    request.exp_stat_sn = 0;
    return request;
}

std::unique_ptr<Login> begin(const Trace& trace, hawser_options& options) {
    char reason[HAWSER_REASON_BYTES];
    REQUIRE(hawser_options_parse(trace.options.data(), static_cast<uint32_t>(trace.options.size()),
                                 &options, reason) == HAWSER_ERROR_NONE);
    auto first = trace.steps.front().header<wire::LoginRequest>();
    hawser_login_order order = {};
    std::memcpy(order.isid, first.isid, 6);
    order.tsih = first.tsih.get();
    order.cid = first.cid.get();
    order.leading = order.tsih == 0;
    order.target_portal_group_tag = 1;
    order.session_keys = options.offer;
    auto login = std::make_unique<Login>();
    login->begin(options, order);
    return login;
}

void replay(const std::string& name, const hawser_keys& expected) {
    INFO(name);
    Trace trace = read_trace(name);
    hawser_options options;
    auto login = begin(trace, options);
    for (size_t i = 0; i < trace.steps.size(); i++) {
        INFO("step " << i);
        const Step& step = trace.steps[i];
        if (step.from_target) {
            REQUIRE(login->handle_response(step.header<wire::LoginResponse>(), step.text()) ==
                    HAWSER_ERROR_NONE);
            continue;
        }
        wire::LoginRequest request;
        std::span<const uint8_t> text;
        REQUIRE(login->poll_request(request, text));
        auto recorded = without_connection_fields(step.header<wire::LoginRequest>());
        CHECK(std::memcmp(&request, &recorded, sizeof(request)) == 0);
        CHECK(std::vector<uint8_t>(text.begin(), text.end()) == step.text());
    }
    CHECK(login->done());
    CHECK(login->tsih() == trace.steps.back().header<wire::LoginResponse>().tsih.get());
    CHECK(login->target_portal_group_tag() == 1);
    const hawser_keys& keys = login->keys();
    CHECK(keys.max_connections == expected.max_connections);
    CHECK(keys.max_xmit_data_segment_length == expected.max_xmit_data_segment_length);
    CHECK(keys.max_burst_length == expected.max_burst_length);
    CHECK(keys.first_burst_length == expected.first_burst_length);
    CHECK(keys.initial_r2t == expected.initial_r2t);
    CHECK(keys.immediate_data == 1);
    CHECK(keys.data_pdu_in_order == 1);
    CHECK(keys.data_sequence_in_order == 1);
    CHECK(keys.default_time2wait_s == expected.default_time2wait_s);
    CHECK(keys.error_recovery_level == 0);
}

// What the traces agreed; on a further connection the session's keys are our own offer here.
hawser_keys keys(uint32_t connections, uint32_t xmit, uint32_t max_burst, uint8_t initial_r2t,
                 uint16_t time2wait_s) {
    hawser_keys keys = {};
    keys.max_connections = connections;
    keys.max_xmit_data_segment_length = xmit;
    keys.max_burst_length = max_burst;
    keys.first_burst_length = 65536;
    keys.initial_r2t = initial_r2t;
    keys.default_time2wait_s = time2wait_s;
    return keys;
}

}  // namespace

TEST_CASE("tgt's logins, recorded", "[RFC 7143 6.3]") {
    // tgt declares no MaxRecvDataSegmentLength: the default holds.
    replay("tgt-leading", keys(2, 8192, 262144, 1, 2));
    replay("tgt-further", keys(2, 8192, 1048576, 0, 0));
}

TEST_CASE("LIO's logins, recorded", "[RFC 7143 6.3]") {
    replay("lio-leading", keys(4, 262144, 262144, 1, 2));
    replay("lio-further", keys(4, 262144, 1048576, 0, 0));
}

TEST_CASE("istgt's logins, recorded", "[RFC 7143 6.3]") {
    replay("istgt-leading", keys(4, 262144, 1048576, 1, 2));
    replay("istgt-further", keys(4, 262144, 1048576, 0, 0));
}
