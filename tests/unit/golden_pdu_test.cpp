// SPDX-License-Identifier: GPL-2.0-or-later
//
// The wire structs against the golden PDUs, byte for byte and both ways: a struct that is filled as
// the annotation says is the golden header, and every field reads back from it. golden_tshark_test
// holds the same files against an independent reading.

#include <catch2/catch.hpp>
#include <cstring>

#include "golden.h"
#include "wire/bhs.hpp"

using namespace hawser;
using namespace hawser::wire;

namespace {

constexpr uint8_t k_lun3[8] = {0, 3};
constexpr uint32_t k_itt = 0x00050007;
constexpr uint32_t k_ttt = 0x00112233;
constexpr uint32_t k_cmd_sn = 0x41424344;
constexpr uint32_t k_exp_stat_sn = 0x51525354;

template <typename Pdu>
void set_lun(Pdu& pdu) {
    std::memcpy(pdu.lun, k_lun3, 8);
}

template <typename Pdu>
void set_numbering(Pdu& pdu) {
    pdu.stat_sn = 0x11223344;
    pdu.exp_cmd_sn = 0x21222324;
    pdu.max_cmd_sn = 0x31323334;
}

template <typename Pdu>
void set_request(Pdu& pdu) {
    pdu.initiator_task_tag = k_itt;
    pdu.cmd_sn = k_cmd_sn;
    pdu.exp_stat_sn = k_exp_stat_sn;
}

template <typename Pdu>
void is_golden(const std::string& name, const Pdu& pdu) {
    INFO(name);
    golden::Pdu expected = golden::read(name);
    REQUIRE(expected.bytes.size() >= sizeof(pdu));
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(&pdu);
    CHECK(std::vector<uint8_t>(bytes, bytes + sizeof(pdu)) ==
          std::vector<uint8_t>(expected.bytes.begin(), expected.bytes.begin() + sizeof(pdu)));
    // The length of the whole follows from the header: 48, AHS, data, padding.
    const Bhs& header = reinterpret_cast<const Bhs&>(pdu);
    uint32_t data = header.data_segment_length.get();
    CHECK(expected.bytes.size() == 48 + header.total_ahs_length * 4 + (data + 3) / 4 * 4);
    CHECK((header.kind() == static_cast<Opcode>(expected.bytes[0] & 0x3f)));
    if (expected.from_target) {
        const auto& numbering = reinterpret_cast<const TargetNumbering&>(pdu);
        CHECK(numbering.stat_sn.get() == 0x11223344);
        CHECK(numbering.exp_cmd_sn.get() == 0x21222324);
        CHECK(numbering.max_cmd_sn.get() == 0x31323334);
    }
}

template <typename Pdu>
Pdu decoded(const std::string& name) {
    Pdu pdu;
    golden::Pdu golden = golden::read(name);
    REQUIRE(golden.bytes.size() >= sizeof(pdu));
    std::memcpy(&pdu, golden.bytes.data(), sizeof(pdu));
    return pdu;
}

}  // namespace

TEST_CASE("golden NOP-Out and NOP-In", "[RFC 7143 11.18][RFC 7143 11.19]") {
    NopOut ping;
    ping.opcode |= k_immediate;
    ping.data_segment_length = 4;
    set_lun(ping);
    set_request(ping);
    is_golden("nop_out", ping);

    NopIn question;
    set_lun(question);
    question.initiator_task_tag = k_reserved_tag;
    question.target_transfer_tag = k_ttt;
    set_numbering(question);
    is_golden("nop_in", question);
    CHECK(decoded<NopIn>("nop_in").target_transfer_tag.get() == k_ttt);
}

TEST_CASE("golden SCSI Commands", "[RFC 7143 11.3]") {
    ScsiCommand read;
    read.flags = k_final | ScsiCommand::k_read | 1;
    set_lun(read);
    set_request(read);
    read.expected_data_transfer_length = 4096;
    const uint8_t read10[16] = {0x28, 0, 0, 0, 8, 0, 0, 0, 8};
    std::memcpy(read.cdb, read10, 16);
    is_golden("scsi_command_read", read);

    ScsiCommand write;
    write.flags = ScsiCommand::k_write | 2;
    write.data_segment_length = 6;
    set_lun(write);
    set_request(write);
    write.expected_data_transfer_length = 512;
    const uint8_t write16[16] = {0x8a, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 1};
    std::memcpy(write.cdb, write16, 16);
    is_golden("scsi_command_write", write);
}

TEST_CASE("golden SCSI Command with an Extended CDB", "[RFC 7143 11.2.2.3]") {
    golden::Pdu golden = golden::read("scsi_command_extended_cdb");
    ScsiCommand command;
    command.flags = k_final | ScsiCommand::k_read;
    command.total_ahs_length = sizeof(ExtendedCdb) / 4;
    set_lun(command);
    set_request(command);
    command.expected_data_transfer_length = 4096;
    const uint8_t cdb[32] = {0x7f, 0, 0, 0, 0, 0, 0, 0x18, 0, 9, 0, 0, 0, 0, 0, 0,
                             0,    0, 8, 0, 0, 0, 8, 0,    0, 0, 0, 0, 0, 0, 0, 8};
    std::memcpy(command.cdb, cdb, 16);
    is_golden("scsi_command_extended_cdb", command);
    ExtendedCdb rest;
    rest.ahs_length = 17;
    std::memcpy(rest.cdb, cdb + 16, 16);
    REQUIRE(golden.bytes.size() == 48 + sizeof(rest));
    CHECK(std::memcmp(golden.bytes.data() + 48, &rest, sizeof(rest)) == 0);
}

TEST_CASE("golden SCSI Response", "[RFC 7143 11.4]") {
    ScsiResponse response;
    response.flags |= ScsiResponse::k_underflow;
    response.status = 2;
    response.data_segment_length = 20;
    response.initiator_task_tag = k_itt;
    set_numbering(response);
    response.exp_data_sn = 97;
    response.residual_count = 512;
    is_golden("scsi_response", response);
    CHECK(decoded<ScsiResponse>("scsi_response").residual_count.get() == 512);
}

TEST_CASE("golden task management", "[RFC 7143 11.5][RFC 7143 11.6]") {
    TaskManagementRequest request;
    request.opcode |= k_immediate;
    request.function |= 1;
    set_lun(request);
    set_request(request);
    request.referenced_task_tag = 0x00060008;
    request.ref_cmd_sn = 0x71727374;
    request.exp_data_sn = 129;
    is_golden("task_management_request", request);

    TaskManagementResponse response;
    response.response = 1;
    response.initiator_task_tag = k_itt;
    set_numbering(response);
    is_golden("task_management_response", response);
}

TEST_CASE("golden Data-Out, Data-In and R2T", "[RFC 7143 11.7][RFC 7143 11.8]") {
    DataOut out;
    out.flags = k_final;
    out.data_segment_length = 5;
    set_lun(out);
    out.initiator_task_tag = k_itt;
    out.target_transfer_tag = k_ttt;
    out.exp_stat_sn = k_exp_stat_sn;
    out.data_sn = 2;
    out.buffer_offset = 8192;
    is_golden("data_out", out);

    DataIn in;
    in.flags = k_final | DataIn::k_underflow | DataIn::k_status;
    in.data_segment_length = 4;
    set_lun(in);
    in.initiator_task_tag = k_itt;
    in.target_transfer_tag = k_reserved_tag;
    set_numbering(in);
    in.data_sn = 3;
    in.buffer_offset = 12288;
    in.residual_count = 508;
    is_golden("data_in", in);
    CHECK(decoded<DataIn>("data_in").buffer_offset.get() == 12288);

    R2t r2t;
    set_lun(r2t);
    r2t.initiator_task_tag = k_itt;
    r2t.target_transfer_tag = k_ttt;
    set_numbering(r2t);
    r2t.r2t_sn = 1;
    r2t.buffer_offset = 65536;
    r2t.desired_data_transfer_length = 262144;
    is_golden("r2t", r2t);
    CHECK(decoded<R2t>("r2t").desired_data_transfer_length.get() == 262144);
}

TEST_CASE("golden Asynchronous Message and Reject", "[RFC 7143 11.9][RFC 7143 11.17]") {
    AsyncMessage message;
    set_numbering(message);
    message.async_event = 2;
    message.parameter1 = 3;
    message.parameter2 = 2;
    message.parameter3 = 20;
    is_golden("async_message", message);
    CHECK(decoded<AsyncMessage>("async_message").parameter3.get() == 20);

    Reject reject;
    reject.reason = 4;
    reject.data_segment_length = 48;
    set_numbering(reject);
    reject.data_sn = 7;
    is_golden("reject", reject);
}

TEST_CASE("golden Text Request and Response", "[RFC 7143 11.10][RFC 7143 11.11]") {
    TextRequest request;
    request.flags = k_final;
    request.data_segment_length = 16;
    set_request(request);
    is_golden("text_request", request);

    TextResponse response;
    response.flags = TextRequest::k_continue;
    response.data_segment_length = 19;
    set_lun(response);
    response.initiator_task_tag = k_itt;
    response.target_transfer_tag = k_ttt;
    set_numbering(response);
    is_golden("text_response", response);
}

TEST_CASE("golden Login Request and Response", "[RFC 7143 11.12][RFC 7143 11.13]") {
    const uint8_t isid[6] = {0x80, 0xa1, 0xb2, 0xc3, 0xd4, 0xe5};
    LoginRequest request;
    request.flags = LoginRequest::k_transit | 1;
    request.data_segment_length = static_cast<uint32_t>(
        sizeof("InitiatorName=iqn.a:node\0TargetName=iqn.a:disk\0AuthMethod=None"));
    std::memcpy(request.isid, isid, 6);
    set_request(request);
    request.cid = 1;
    is_golden("login_request", request);

    LoginResponse response;
    response.flags = LoginResponse::k_transit | 1 << 2 | 3;
    response.data_segment_length = 32;
    std::memcpy(response.isid, isid, 6);
    response.tsih = 0x1234;
    response.initiator_task_tag = k_itt;
    set_numbering(response);
    is_golden("login_response", response);
    CHECK(decoded<LoginResponse>("login_response").tsih.get() == 0x1234);
}

TEST_CASE("golden Logout Request and Response", "[RFC 7143 11.14][RFC 7143 11.15]") {
    LogoutRequest request;
    request.reason |= LogoutRequest::k_close_connection;
    set_request(request);
    request.cid = 2;
    is_golden("logout_request", request);

    LogoutResponse response;
    response.response = 3;
    response.initiator_task_tag = k_itt;
    set_numbering(response);
    response.time2wait = 2;
    response.time2retain = 20;
    is_golden("logout_response", response);
    CHECK(decoded<LogoutResponse>("logout_response").time2wait.get() == 2);
}

TEST_CASE("golden SNACK Request", "[RFC 7143 11.16]") {
    Snack snack;
    set_lun(snack);
    snack.initiator_task_tag = k_itt;
    snack.target_transfer_tag = k_reserved_tag;
    snack.exp_stat_sn = k_exp_stat_sn;
    snack.beg_run = 5;
    snack.run_length = 3;
    is_golden("snack_request", snack);
}
