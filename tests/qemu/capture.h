// SPDX-License-Identifier: GPL-2.0-or-later
//
// What was on the wire, as tshark reads it: the judge of every scenario. tshark's field output (one
// line a frame, several values where a frame holds several PDUs) is turned into facts per
// connection.

#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hawser::qemu {

struct LoginRequest {
    double at;
    unsigned cid;
    unsigned tsih;
    std::string isid;
};

struct LoginResponse {
    double at;
    unsigned status;  // class << 8 | detail
    unsigned tsih;
    bool full_feature;  // T=1, NSG=3: the login is over
};

// One TCP connection to the target, from its first PDU on.
struct WireConnection {
    unsigned nic = 0;
    unsigned stream = 0;  // tshark's number of it in that NIC's pcap
    std::string source;   // the initiator's address and port
    std::string portal;   // the target's
    std::vector<LoginRequest> login_requests;
    std::vector<LoginResponse> login_responses;
    std::map<std::string, std::string> initiator_keys;  // login keys, as last said
    std::map<std::string, std::string> target_keys;
    uint64_t commands = 0;   // SCSI Command PDUs
    uint64_t bytes_in = 0;   // payload of Data-In
    uint64_t bytes_out = 0;  // immediate data and Data-Out
    std::optional<double> first_command_at;
    std::optional<double> last_command_at;
    std::vector<double> cache_syncs;  // SYNCHRONIZE CACHE (10) and (16) commands
    std::optional<double> logout_request_at;
    std::optional<unsigned> logout_reason;
    std::optional<double> logout_response_at;
    std::optional<unsigned> logout_response;
    std::optional<double> fin_from_initiator_at;
    std::optional<double> fin_from_target_at;
    std::optional<double> reset_at;

    bool logged_in() const;
    std::optional<double> logged_in_at() const;
    unsigned cid() const;
    unsigned tsih() const;  // the session's, as the target answered last
    std::string isid() const;
};

struct Capture {
    std::vector<WireConnection> connections;
    std::vector<std::string> malformed;  // frames of the initiator that tshark cannot read

    // Connections whose first Login Request came after `at` (the firmware's came before the
    // kernel's).
    Capture since(double at) const;
    Capture between(double from, double to) const;
    Capture logged_in() const;
    uint64_t commands() const;
    size_t login_requests_after(double at) const;
    std::optional<double> last_cache_sync() const;
    // How each attempt to log in ended, in order of time: the last answer on each connection.
    std::vector<LoginResponse> login_answers() const;
    // From the last command of a connection to the first one of any that logged in later, the
    // longest; for sessions that lose all their connections at once.
    double longest_gap() const;
};

// "0301 0301 0000"
std::string statuses(const std::vector<LoginResponse>& answers);

// The fields that parse_capture expects, in this order.
const std::vector<std::string>& capture_fields();

// Adds the facts of one NIC's frames. `epoch`: what is the zero of the times.
void parse_capture(std::istream& fields, unsigned nic, uint16_t target_port, double epoch,
                   Capture& capture);

// Runs tshark on one pcap.
void read_capture(const std::filesystem::path& pcap, unsigned nic, uint16_t target_port,
                  double epoch, Capture& capture);

}  // namespace hawser::qemu
