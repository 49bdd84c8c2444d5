// SPDX-License-Identifier: GPL-2.0-or-later
//
// tshark's fields to facts.
//
// Every PDU gives one iscsi.opcode and one iscsi.datasegmentlength, so these two lists run in step.
// A field of one kind of PDU (iscsi.cid, ...) is given only by PDUs of that kind, in their order.
// The SCSI dissector repeats a command's operation code where it also reads its data: so operation
// codes are only looked for, never counted (a SYNCHRONIZE CACHE carries no data, and is not
// repeated).

#include "capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "process.h"

namespace hawser::qemu {
namespace {

enum Field : size_t {
    TIME,
    STREAM,
    SOURCE,
    SOURCE_PORT,
    DESTINATION,
    DESTINATION_PORT,
    FIN,
    RESET,
    OPCODE,
    LENGTH,
    CID,
    ISID,
    TSIH,
    TRANSIT,
    NEXT_STAGE,
    STATUS,
    KEYS,
    SBC,
    SPC,
    LOGOUT_REASON,
    RESPONSE,
    MALFORMED,
    FIELD_COUNT
};

enum Opcode : unsigned {
    SCSI_COMMAND = 0x01,
    LOGIN_REQUEST = 0x03,
    DATA_OUT = 0x05,
    LOGOUT_REQUEST = 0x06,
    LOGIN_RESPONSE = 0x23,
    DATA_IN = 0x25,
    LOGOUT_RESPONSE = 0x26
};

constexpr unsigned k_synchronize_cache_10 = 0x35;
constexpr unsigned k_synchronize_cache_16 = 0x91;
constexpr unsigned k_full_feature_phase = 3;

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);) {
        parts.push_back(part);
    }
    return parts;
}

unsigned number(const std::string& text) {
    if (text == "True") {
        return 1;
    }
    return text.empty() || text == "False" ? 0
                                           : static_cast<unsigned>(std::stoul(text, nullptr, 0));
}

// One line of tshark's, taken apart.
struct Frame {
    std::array<std::string, FIELD_COUNT> text;

    explicit Frame(const std::string& line) {
        auto parts = split(line, '\t');
        std::copy_n(parts.begin(), std::min<size_t>(parts.size(), FIELD_COUNT), text.begin());
    }
    std::vector<std::string> list(Field field) const { return split(text[field], ';'); }
    // The n-th value; a field that came fewer times than its PDU did is an error of ours.
    std::string value(Field field, size_t n) const {
        auto values = list(field);
        if (n >= values.size()) {
            throw std::runtime_error(
                fmt::format("tshark: value {} of {} is missing", n, capture_fields()[field]));
        }
        return values[n];
    }
    std::string endpoint(Field address, Field port) const {
        return text[address] + ":" + text[port];
    }
};

void add_keys(const Frame& frame, std::map<std::string, std::string>& keys) {
    for (const auto& pair : frame.list(KEYS)) {
        if (auto equals = pair.find('='); equals != std::string::npos) {
            keys[pair.substr(0, equals)] = pair.substr(equals + 1);
        }
    }
}

void take_from_initiator(const Frame& frame, double at, WireConnection& connection) {
    auto opcodes = frame.list(OPCODE);
    auto lengths = frame.list(LENGTH);
    size_t logins = 0;
    for (size_t i = 0; i < opcodes.size(); ++i) {
        switch (number(opcodes[i])) {
            case LOGIN_REQUEST:
                connection.login_requests.push_back({at, number(frame.value(CID, logins)),
                                                     number(frame.value(TSIH, logins)),
                                                     frame.value(ISID, logins)});
                ++logins;
                add_keys(frame, connection.initiator_keys);
                break;
            case SCSI_COMMAND:
                ++connection.commands;
                connection.first_command_at = connection.first_command_at.value_or(at);
                connection.last_command_at = at;
                connection.bytes_out += number(lengths.at(i));
                break;
            case DATA_OUT:
                connection.bytes_out += number(lengths.at(i));
                break;
            case LOGOUT_REQUEST:
                connection.logout_request_at = at;
                connection.logout_reason = number(frame.value(LOGOUT_REASON, 0));
                break;
        }
    }
    for (Field field : {SBC, SPC}) {
        for (const auto& text : frame.list(field)) {
            auto code = number(text);
            if (code == k_synchronize_cache_10 || code == k_synchronize_cache_16) {
                connection.cache_syncs.push_back(at);
            }
        }
    }
}

void take_from_target(const Frame& frame, double at, WireConnection& connection) {
    auto opcodes = frame.list(OPCODE);
    auto lengths = frame.list(LENGTH);
    for (size_t i = 0; i < opcodes.size(); ++i) {
        switch (number(opcodes[i])) {
            case LOGIN_RESPONSE: {
                bool last = number(frame.value(TRANSIT, 0)) != 0 &&
                            number(frame.value(NEXT_STAGE, 0)) == k_full_feature_phase;
                connection.login_responses.push_back(
                    {at, number(frame.value(STATUS, 0)), number(frame.value(TSIH, 0)), last});
                add_keys(frame, connection.target_keys);
                break;
            }
            case DATA_IN:
                connection.bytes_in += number(lengths.at(i));
                break;
            case LOGOUT_RESPONSE:
                connection.logout_response_at = at;
                connection.logout_response = number(frame.value(RESPONSE, 0));
                break;
        }
    }
}

}  // namespace

std::vector<LoginResponse> Capture::login_answers() const {
    std::vector<LoginResponse> answers;
    for (const auto& connection : connections)
        if (!connection.login_responses.empty())
            answers.push_back(connection.login_responses.back());
    std::sort(answers.begin(), answers.end(),
              [](const auto& a, const auto& b) { return a.at < b.at; });
    return answers;
}

double Capture::longest_gap() const {
    double longest = 0;
    for (const auto& before : connections) {
        std::optional<double> next;
        for (const auto& after : connections) {
            if (!before.last_command_at || !after.first_command_at) continue;
            if (*after.first_command_at < *before.last_command_at) continue;
            if (!next || *after.first_command_at < *next) next = after.first_command_at;
        }
        if (next) longest = std::max(longest, *next - *before.last_command_at);
    }
    return longest;
}

std::string statuses(const std::vector<LoginResponse>& answers) {
    std::string text;
    for (const auto& answer : answers)
        text += fmt::format("{}{:04x}", text.empty() ? "" : " ", answer.status);
    return text;
}

const std::vector<std::string>& capture_fields() {
    static const std::vector<std::string> k_fields{"frame.time_epoch",
                                                   "tcp.stream",
                                                   "ip.src",
                                                   "tcp.srcport",
                                                   "ip.dst",
                                                   "tcp.dstport",
                                                   "tcp.flags.fin",
                                                   "tcp.flags.reset",
                                                   "iscsi.opcode",
                                                   "iscsi.datasegmentlength",
                                                   "iscsi.cid",
                                                   "iscsi.isid",
                                                   "iscsi.tsih",
                                                   "iscsi.login.T",
                                                   "iscsi.login.nsg",
                                                   "iscsi.login.status",
                                                   "iscsi.keyvalue",
                                                   "scsi_sbc.opcode",
                                                   "scsi.spc.opcode",
                                                   "iscsi.logout.reason",
                                                   "iscsi.logout.response",
                                                   "_ws.malformed"};
    return k_fields;
}

void parse_capture(std::istream& fields, unsigned nic, uint16_t target_port, double epoch,
                   Capture& capture) {
    std::map<unsigned, WireConnection> streams;
    for (std::string line; std::getline(fields, line);) {
        Frame frame(line);
        if (frame.text[STREAM].empty()) {
            continue;
        }
        bool from_initiator = number(frame.text[DESTINATION_PORT]) == target_port;
        if (!from_initiator && number(frame.text[SOURCE_PORT]) != target_port) {
            continue;
        }
        auto& connection = streams[number(frame.text[STREAM])];
        double at = std::stod(frame.text[TIME]) - epoch;
        connection.nic = nic;
        connection.stream = number(frame.text[STREAM]);
        auto near = frame.endpoint(SOURCE, SOURCE_PORT);
        auto far = frame.endpoint(DESTINATION, DESTINATION_PORT);
        connection.source = from_initiator ? near : far;
        connection.portal = from_initiator ? far : near;
        from_initiator ? take_from_initiator(frame, at, connection)
                       : take_from_target(frame, at, connection);
        if (number(frame.text[FIN]) != 0) {
            auto& fin =
                from_initiator ? connection.fin_from_initiator_at : connection.fin_from_target_at;
            fin = fin.value_or(at);
        }
        if (number(frame.text[RESET]) != 0) {
            connection.reset_at = connection.reset_at.value_or(at);
        }
        if (from_initiator && !frame.text[MALFORMED].empty()) {
            capture.malformed.push_back(fmt::format("net{} at {:.3f} s: {}", nic, at, line));
        }
    }
    for (auto& [stream, connection] : streams) {
        capture.connections.push_back(std::move(connection));
    }
}

void read_capture(const std::filesystem::path& pcap, unsigned nic, uint16_t target_port,
                  double epoch, Capture& capture) {
    Arguments line{"tshark",
                   "-n",
                   "-r",
                   pcap.string(),
                   "-d",
                   fmt::format("tcp.port=={},iscsi", target_port),
                   "-Y",
                   fmt::format("tcp.port=={} && (iscsi || tcp.flags.fin==1 || tcp.flags.reset==1)",
                               target_port),
                   "-T",
                   "fields",
                   "-E",
                   "occurrence=a",
                   "-E",
                   "aggregator=;",
                   "-E",
                   "separator=/t"};
    for (const auto& field : capture_fields()) {
        line.insert(line.end(), {"-e", field});
    }
    // A machine that was killed leaves its last packet cut short: tshark says so with status 2, and
    // what it could read stands.
    auto result = run(line, Seconds(600));
    if (result.status != 0 && result.errors.find("cut short") == std::string::npos) {
        throw std::runtime_error(
            fmt::format("{}: exit status {}: {}", quoted(line), result.status, result.errors));
    }
    std::istringstream fields(result.output);
    parse_capture(fields, nic, target_port, epoch, capture);
}

std::optional<double> WireConnection::logged_in_at() const {
    for (const auto& response : login_responses) {
        if (response.status == 0 && response.full_feature) {
            return response.at;
        }
    }
    return std::nullopt;
}

bool WireConnection::logged_in() const {
    return logged_in_at().has_value();
}

unsigned WireConnection::cid() const {
    return login_requests.empty() ? 0 : login_requests.front().cid;
}

unsigned WireConnection::tsih() const {
    return login_responses.empty() ? 0 : login_responses.back().tsih;
}

std::string WireConnection::isid() const {
    return login_requests.empty() ? "" : login_requests.front().isid;
}

Capture Capture::between(double from, double to) const {
    Capture within{{}, malformed};
    for (const auto& connection : connections) {
        if (connection.login_requests.empty()) {
            continue;
        }
        double at = connection.login_requests.front().at;
        if (at >= from && at < to) {
            within.connections.push_back(connection);
        }
    }
    return within;
}

Capture Capture::since(double at) const {
    return between(at, std::numeric_limits<double>::infinity());
}

Capture Capture::logged_in() const {
    Capture done{{}, malformed};
    std::copy_if(connections.begin(), connections.end(), std::back_inserter(done.connections),
                 [](const auto& connection) { return connection.logged_in(); });
    return done;
}

uint64_t Capture::commands() const {
    uint64_t sum = 0;
    for (const auto& connection : connections) {
        sum += connection.commands;
    }
    return sum;
}

size_t Capture::login_requests_after(double at) const {
    size_t count = 0;
    for (const auto& connection : connections) {
        for (const auto& request : connection.login_requests) {
            count += request.at > at;
        }
    }
    return count;
}

std::optional<double> Capture::last_cache_sync() const {
    std::optional<double> last;
    for (const auto& connection : connections) {
        for (double at : connection.cache_syncs) {
            last = std::max(last.value_or(at), at);
        }
    }
    return last;
}

}  // namespace hawser::qemu
