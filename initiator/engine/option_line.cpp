// SPDX-License-Identifier: GPL-2.0-or-later
// The line of options that makes a session: see option_line.hpp.
#include "engine/option_line.hpp"

#include "engine/address.hpp"
#include "engine/option_reason.hpp"
#include "engine/task.hpp"
#include "wire/text.hpp"

#include <cstddef>
#include <optional>

namespace hawser {

namespace option_detail {

using wire::find;
using wire::slice;

constexpr uint32_t k_lun_max = 16383;  // flat space addressing, SAM-5 4.7.7.3
constexpr uint32_t k_length_max = (1u << 24) - 1;

// ErrorRecoveryLevel and the digests are offered only as far as the engine can keep the promise.
constexpr Option k_options[] = {
    {OptionId::Target, "target", OptionType::Name, 0, 0, false},
    {OptionId::Portal, "portal", OptionType::Portal, 0, 0, true},
    {OptionId::Connections, "connections", OptionType::Number, 1, HAWSER_CONNECTIONS_MAX, false},
    {OptionId::ConnectionsMax, "connections_max", OptionType::Number, 1, HAWSER_CONNECTIONS_MAX,
     false},
    {OptionId::Portals, "portals", OptionType::AllOrGiven, 0, 0, false},
    {OptionId::Initiator, "initiator", OptionType::Name, 0, 0, false},
    {OptionId::Alias, "alias", OptionType::Text, 0, 0, false},
    {OptionId::Lun, "lun", OptionType::Number, 0, k_lun_max, true},
    {OptionId::Root, "root", OptionType::YesNo, 0, 0, false},
    {OptionId::Timeout, "timeout", OptionType::Seconds, 1, 86400, false,
     &hawser_options::timeout_ms},
    {OptionId::ConnectTimeout, "connect_timeout", OptionType::Seconds, 1, 600, false,
     &hawser_options::connect_timeout_ms},
    {OptionId::LoginTimeout, "login_timeout", OptionType::Seconds, 1, 600, false,
     &hawser_options::login_timeout_ms},
    {OptionId::LogoutTimeout, "logout_timeout", OptionType::Seconds, 1, 600, false,
     &hawser_options::logout_timeout_ms},
    {OptionId::AbortTimeout, "abort_timeout", OptionType::Seconds, 1, 600, false,
     &hawser_options::abort_timeout_ms},
    {OptionId::LuResetTimeout, "lu_reset_timeout", OptionType::Seconds, 1, 600, false,
     &hawser_options::lu_reset_timeout_ms},
    {OptionId::TgtResetTimeout, "tgt_reset_timeout", OptionType::Seconds, 1, 600, false,
     &hawser_options::tgt_reset_timeout_ms},
    {OptionId::NoopOutInterval, "noop_out_interval", OptionType::Seconds, 0, 3600, false,
     &hawser_options::noop_out_interval_ms},
    {OptionId::NoopOutTimeout, "noop_out_timeout", OptionType::Seconds, 0, 3600, false,
     &hawser_options::noop_out_timeout_ms},
    {OptionId::Grace, "grace", OptionType::Seconds, 1, 3600, false, &hawser_options::grace_ms},
    {OptionId::FailAfter, "fail_after", OptionType::Seconds, 0, 86400, false,
     &hawser_options::fail_after_ms},
    {OptionId::LuResetAfterLoss, "lu_reset_after_loss", OptionType::YesNo, 0, 0, false},
    {OptionId::CmdSnOrder, "cmdsn_order", OptionType::CmdSnOrder, 0, 0, false},
    {OptionId::QueueDepth, "queue_depth", OptionType::Number, 1, HAWSER_QUEUE_DEPTH_MAX, false},
    {OptionId::Cpus, "cpus", OptionType::CpuList, 0, 0, false},
    {OptionId::InitialR2T, "InitialR2T", OptionType::Boolean, 0, 0, false},
    {OptionId::ImmediateData, "ImmediateData", OptionType::Boolean, 0, 0, false},
    {OptionId::FirstBurstLength, "FirstBurstLength", OptionType::Number, 512, k_length_max, false},
    {OptionId::MaxBurstLength, "MaxBurstLength", OptionType::Number, 512, k_length_max, false},
    {OptionId::MaxRecvDataSegmentLength, "MaxRecvDataSegmentLength", OptionType::Number, 512,
     k_length_max, false},
    {OptionId::MaxOutstandingR2T, "MaxOutstandingR2T", OptionType::Number, 1, k_outstanding_r2t_max,
     false},
    {OptionId::DefaultTime2Wait, "DefaultTime2Wait", OptionType::Number, 0, 3600, false},
    {OptionId::DefaultTime2Retain, "DefaultTime2Retain", OptionType::Number, 0, 3600, false},
    {OptionId::ErrorRecoveryLevel, "ErrorRecoveryLevel", OptionType::Number, 0, 2, false},
    {OptionId::HeaderDigest, "HeaderDigest", OptionType::Digest, 0, 0, false},
    {OptionId::DataDigest, "DataDigest", OptionType::Digest, 0, 0, false},
    {OptionId::ChapName, "chap_name", OptionType::Text, 0, 0, false},
    {OptionId::ChapNameIn, "chap_name_in", OptionType::Text, 0, 0, false},
    {OptionId::ChapKey, "chap_key", OptionType::Text, 0, 0, false},
    {OptionId::ChapKeyIn, "chap_key_in", OptionType::Text, 0, 0, false},
    {OptionId::ChapAlgs, "chap_algs", OptionType::ChapAlgorithms, 0, 0, false},
};

const Option* find_option(std::string_view name) {
    for (const Option& option : k_options)
        if (option.name == name) return &option;
    return nullptr;
}

template <size_t N>
bool copy_text(std::string_view text, char (&out)[N]) {
    if (text.size() >= N) return false;
    for (size_t i = 0; i < text.size(); i++) out[i] = text[i];
    out[text.size()] = '\0';
    return true;
}

void set_defaults(hawser_options& options) {
    options = {};
    options.queue_depth = 256;
    options.first_cmd_sn = 1;
    options.timeout_ms = 60000;
    options.connect_timeout_ms = 3000;
    options.login_timeout_ms = 15000;
    options.abort_timeout_ms = 15000;
    options.lu_reset_timeout_ms = 30000;
    options.tgt_reset_timeout_ms = 30000;
    options.noop_out_interval_ms = 5000;
    options.noop_out_timeout_ms = 5000;
    options.logout_timeout_ms = 5000;
    options.grace_ms = 60000;
    options.lu_reset_after_loss = 1;
    hawser_keys& offer = options.offer;
    offer.initial_r2t = 0;
    offer.immediate_data = 1;
    offer.first_burst_length = 65536;
    offer.max_burst_length = 1048576;
    offer.max_recv_data_segment_length = 262144;
    offer.max_outstanding_r2t = 1;
    offer.default_time2wait_s = 0;
    offer.default_time2retain_s = 20;
    offer.data_pdu_in_order = 1;
    offer.data_sequence_in_order = 1;
    offer.header_digest = 1;
    offer.data_digest = 1;
    options.chap_algorithms = HAWSER_CHAP_ALL;
}

// A NIC's name as Linux takes it: dev_valid_name().
bool is_nic_name(std::string_view name) {
    if (name.empty() || name.size() > 15 || name == "." || name == "..") return false;
    for (char c : name)
        if (c == '/' || c == ':' || c <= ' ' || c > '~') return false;
    return true;
}

std::optional<hawser_address> parse_source(std::string_view text) {
    if (!text.empty() && text[0] == '[' && text[text.size() - 1] == ']')
        text = slice(text, 1, text.size() - 1);
    return parse_address(text);
}

bool parse_portal_attribute(std::string_view item, hawser_portal& portal, Reason& reason,
                            std::string_view value) {
    size_t equal_sign = find(item, '=');
    std::string_view key = slice(item, 0, equal_sign);
    std::string_view word = slice(item, equal_sign + 1);
    if (key == "source") {
        auto source = parse_source(word);
        if (!source || !is_unicast(*source))
            return reason("portal", value, "source= is not an IPv4 or IPv6 address");
        if (portal.source.family) return reason("portal", value, "source= is given twice");
        portal.source = *source;
        return true;
    }
    if (key == "nic") {
        if (portal.nic[0]) return reason("portal", value, "nic= is given twice");
        if (!is_nic_name(word) || !copy_text(word, portal.nic))
            return reason("portal", value, "nic= is not the name of a NIC (1 to 15 characters)");
        return true;
    }
    return reason("portal", value, "after the address only source=ADDRESS and nic=NAME are known");
}

bool read_portal(std::string_view value, hawser_portal& portal, Reason& reason) {
    wire::ListReader items(value);
    std::string_view item;
    items.next(item);
    auto where = parse_portal(item);
    if (!where || !is_unicast(where->address))
        return reason("portal", value,
                      "not ADDRESS[:PORT][,source=ADDRESS][,nic=NAME]; IPv6 as [::1]:3260");
    portal = {};
    portal.address = where->address;
    portal.port = where->port;
    while (items.next(item))
        if (!parse_portal_attribute(item, portal, reason, value)) return false;
    if (portal.source.family && portal.source.family != portal.address.family)
        return reason("portal", value, "source= is of another IP version than the portal");
    if (is_link_local(portal.address) && !portal.nic[0])
        return reason("portal", value, "a link-local address needs nic=NAME");
    return true;
}

bool take_portal(const Option& option, std::string_view value, hawser_options& options,
                 Reason& reason) {
    if (options.portal_count == HAWSER_PORTALS_MAX)
        return reason.too_many(option, value, HAWSER_PORTALS_MAX);
    if (!read_portal(value, options.portals[options.portal_count], reason)) return false;
    options.portal_count++;
    return true;
}

// "0-3,8": numbers and rising ranges, as the kernel takes them.
bool is_cpu_list(std::string_view value) {
    wire::ListReader items(value);
    for (std::string_view item; items.next(item);) {
        size_t dash = find(item, '-');
        auto first = wire::parse_decimal(slice(item, 0, dash));
        if (!first || *first > 8191) return false;
        if (dash == item.size()) continue;
        auto last = wire::parse_decimal(slice(item, dash + 1));
        if (!last || *last > 8191 || *last < *first) return false;
    }
    return true;
}

bool take_lun(const Option& option, std::string_view value, uint32_t lun, hawser_options& options,
              Reason& reason) {
    for (uint32_t i = 0; i < options.lun_count; i++)
        if (options.luns[i] == lun) return reason(option.name, value, "given twice");
    if (options.lun_count == HAWSER_LUNS_MAX)
        return reason.too_many(option, value, HAWSER_LUNS_MAX);
    options.luns[options.lun_count++] = lun;
    return true;
}

// Numbers and booleans: where each one goes.
void store_number(OptionId id, uint32_t number, hawser_options& options) {
    hawser_keys& offer = options.offer;
    switch (id) {
        case OptionId::Connections:
            options.connection_start = number;
            break;
        case OptionId::ConnectionsMax:
            options.connection_count = number;
            break;
        case OptionId::Root:
            options.root = static_cast<uint8_t>(number);
            break;
        case OptionId::LuResetAfterLoss:
            options.lu_reset_after_loss = static_cast<uint8_t>(number);
            break;
        case OptionId::QueueDepth:
            options.queue_depth = number;
            break;
        case OptionId::InitialR2T:
            offer.initial_r2t = static_cast<uint8_t>(number);
            break;
        case OptionId::ImmediateData:
            offer.immediate_data = static_cast<uint8_t>(number);
            break;
        case OptionId::FirstBurstLength:
            offer.first_burst_length = number;
            break;
        case OptionId::MaxBurstLength:
            offer.max_burst_length = number;
            break;
        case OptionId::MaxRecvDataSegmentLength:
            offer.max_recv_data_segment_length = number;
            break;
        case OptionId::MaxOutstandingR2T:
            offer.max_outstanding_r2t = number;
            break;
        case OptionId::DefaultTime2Wait:
            offer.default_time2wait_s = static_cast<uint16_t>(number);
            break;
        case OptionId::DefaultTime2Retain:
            offer.default_time2retain_s = static_cast<uint16_t>(number);
            break;
        case OptionId::ErrorRecoveryLevel:
            offer.error_recovery_level = static_cast<uint8_t>(number);
            break;
        default:
            break;
    }
}

bool take_number(const Option& option, std::string_view value, hawser_options& options,
                 Reason& reason) {
    auto number = wire::parse_decimal(value);
    if (!number || *number < option.minimum || *number > option.maximum)
        return reason.range(option, value);
    if (option.type == OptionType::Seconds) {
        options.*option.milliseconds = static_cast<uint32_t>(*number) * 1000;
        return true;
    }
    if (option.id == OptionId::Lun)
        return take_lun(option, value, static_cast<uint32_t>(*number), options, reason);
    store_number(option.id, static_cast<uint32_t>(*number), options);
    return true;
}

template <size_t N>
bool take_bounded(const Option& option, std::string_view value, char (&out)[N], Reason& reason) {
    return copy_text(value, out) || reason.too_long(option, value, N - 1);
}

bool take_free_text(const Option& option, std::string_view value, hawser_options& options,
                    Reason& reason) {
    switch (option.id) {
        case OptionId::ChapName:
            return take_bounded(option, value, options.chap_name, reason);
        case OptionId::ChapNameIn:
            return take_bounded(option, value, options.chap_name_in, reason);
        case OptionId::ChapKey:
            return take_bounded(option, value, options.chap_key, reason);
        case OptionId::ChapKeyIn:
            return take_bounded(option, value, options.chap_key_in, reason);
        default:
            return take_bounded(option, value, options.alias, reason);
    }
}

bool take_chap_algorithms(const Option& option, std::string_view value, hawser_options& options,
                          Reason& reason) {
    wire::ListReader items(value);
    options.chap_algorithms = 0;
    for (std::string_view item; items.next(item);) {
        auto number = wire::parse_decimal(item);
        if (!number || *number < HAWSER_CHAP_MD5 || *number > HAWSER_CHAP_SHA3_256)
            return reason(option.name, value,
                          "not a list of 8 (SHA3-256), 7 (SHA-256), 6 (SHA1), 5 (MD5)");
        options.chap_algorithms |= static_cast<uint8_t>(HAWSER_CHAP_BIT(*number));
    }
    return true;
}

// A secret without a name, or the target's without ours, is a line that was meant otherwise.
bool check_chap(const hawser_options& options, Reason& reason) {
    if (!options.chap_name[0] != !options.chap_key[0])
        return reason("chap_name", "", "chap_name= and chap_key= go together");
    if (options.chap_name_in[0] && !options.chap_key_in[0])
        return reason("chap_name_in", "", "needs chap_key_in=");
    if (options.chap_key_in[0] && !options.chap_key[0])
        return reason("chap_key_in", "", "needs chap_name= and chap_key=");
    return true;
}

// A mask of the offered values; the strongest is offered first, whatever the order here.
bool take_digest(const Option& option, std::string_view value, hawser_options& options,
                 Reason& reason) {
    uint8_t mask = 0;
    wire::ListReader values(value);
    for (std::string_view item; values.next(item);) {
        if (item == "CRC32C")
            mask |= 2;
        else if (item == "None")
            mask |= 1;
        else
            return reason(option.name, value, "neither None nor CRC32C nor both, with a comma");
    }
    (option.id == OptionId::HeaderDigest ? options.offer.header_digest
                                         : options.offer.data_digest) = mask;
    return true;
}

bool read_cmd_sn_order(std::string_view value, uint8_t& order) {
    order = value == "session"      ? HAWSER_CMD_SN_ORDER_SESSION
            : value == "connection" ? HAWSER_CMD_SN_ORDER_CONNECTION
                                    : HAWSER_CMD_SN_ORDER_AUTO;
    return order != HAWSER_CMD_SN_ORDER_AUTO || value == "auto";
}

bool take_text(const Option& option, std::string_view value, hawser_options& options,
               Reason& reason) {
    switch (option.type) {
        case OptionType::Name:
            if (!wire::is_iscsi_name(value))
                return reason(option.name, value,
                              "not an iSCSI name (iqn., eui. or naa., at most 223 "
                              "bytes of letters, digits, '-', '.', ':')");
            return copy_text(value, option.id == OptionId::Target ? options.target_name
                                                                  : options.initiator_name);
        case OptionType::Text:
            return take_free_text(option, value, options, reason);
        case OptionType::ChapAlgorithms:
            return take_chap_algorithms(option, value, options, reason);
        case OptionType::AllOrGiven:
            options.portals_all = value == "all";
            return value == "all" || value == "given" ||
                   reason(option.name, value, "neither all nor given");
        case OptionType::CmdSnOrder:
            return read_cmd_sn_order(value, options.cmd_sn_order) ||
                   reason(option.name, value, "neither auto nor session nor connection");
        case OptionType::CpuList:
            if (value == "auto") return true;
            if (!is_cpu_list(value) || !copy_text(value, options.cpus))
                return reason(option.name, value, "neither auto nor a CPU list like 0-3,8");
            options.cpus_given = 1;
            return true;
        default:
            return take_digest(option, value, options, reason);
    }
}

bool take_word(const Option& option, std::string_view value, hawser_options& options,
               Reason& reason) {
    if (option.type == OptionType::Portal) return take_portal(option, value, options, reason);
    if (option.type == OptionType::Number || option.type == OptionType::Seconds)
        return take_number(option, value, options, reason);
    if (option.type == OptionType::YesNo) {
        if (value != "yes" && value != "no") return reason(option.name, value, "not yes or no");
        store_number(option.id, value == "yes", options);
        return true;
    }
    if (option.type == OptionType::Boolean) {
        auto boolean = wire::parse_boolean(value);
        if (!boolean) return reason(option.name, value, "not Yes or No");
        store_number(option.id, *boolean, options);
        return true;
    }
    return take_text(option, value, options, reason);
}

// What follows from the keys together.
bool complete(uint64_t given, hawser_options& options, Reason& reason) {
    if (!options.target_name[0]) return reason("target", "", "missing: give target=NAME");
    if (!options.initiator_name[0]) return reason("initiator", "", "missing: give initiator=NAME");
    if (!options.portal_count) return reason("portal", "", "missing: give portal=ADDRESS[:PORT]");
    if (!check_chap(options, reason)) return false;
    if (!options.connection_start) options.connection_start = options.portal_count;
    if (!options.connection_count) options.connection_count = options.connection_start;
    if (options.connection_count < options.connection_start)
        return reason("connections_max", "", "must not be less than connections");
    options.offer.max_connections = options.connection_count;
    if (options.root && options.fail_after_ms)
        return reason("fail_after", "", "must be 0 with root=yes: a root disk never fails");
    // Either of the two switches it off.
    if (!options.noop_out_timeout_ms) options.noop_out_interval_ms = 0;
    // RFC 7143 13.19: above ErrorRecoveryLevel 0 data in order has one R2T at a time.
    if (options.offer.error_recovery_level && options.offer.max_outstanding_r2t != 1)
        return reason("MaxOutstandingR2T", "", "must be 1 with ErrorRecoveryLevel above 0");
    // A connection is recovered only within this time; the RFC's default, where none was asked for.
    bool retain_asked = given >> static_cast<uint32_t>(OptionId::DefaultTime2Retain) & 1;
    if (options.offer.error_recovery_level == 2 && !retain_asked)
        options.offer.default_time2retain_s = 20;
    if (options.offer.first_burst_length <= options.offer.max_burst_length) return true;
    // RFC 7143 13.14. The default gives way to a MaxBurstLength that was asked for.
    bool asked = given >> static_cast<uint32_t>(OptionId::FirstBurstLength) & 1;
    if (asked) return reason("FirstBurstLength", "", "must not exceed MaxBurstLength");
    options.offer.first_burst_length = options.offer.max_burst_length;
    return true;
}

bool is_printable(std::string_view line) {
    for (char c : line)
        if (c < ' ' || c > '~') return false;
    return true;
}

}  // namespace option_detail

bool parse_portal_option(std::string_view value, hawser_portal& portal,
                         std::span<char> reason_out) {
    option_detail::Reason reason(reason_out);
    return option_detail::read_portal(value, portal, reason);
}

bool parse_option_line(std::string_view line, hawser_options& options, std::span<char> reason_out) {
    using namespace option_detail;
    Reason reason(reason_out);
    set_defaults(options);
    if (!line.empty() && line[line.size() - 1] == '\n') line = slice(line, 0, line.size() - 1);
    if (line.size() >= HAWSER_LINE_MAX) return reason("line", "", "longer than 8191 bytes");
    if (!is_printable(line)) return reason("line", "", "a byte that is not printable ASCII");

    static_assert(sizeof(k_options) / sizeof(k_options[0]) <= 64);
    uint64_t given = 0;
    wire::ListReader words(line, ' ');
    for (std::string_view word; words.next(word);) {
        if (word.empty()) continue;
        size_t equal_sign = find(word, '=');
        std::string_view key = slice(word, 0, equal_sign);
        std::string_view value = slice(word, equal_sign + 1);
        const Option* option = find_option(key);
        if (equal_sign == word.size()) return reason(key, "", "a word without '='");
        if (!option) return reason(key, value, "unknown key");
        if (value.empty()) return reason(key, "", "empty value");
        uint64_t bit = uint64_t{1} << static_cast<uint32_t>(option->id);
        if (given & bit && !option->repeatable) return reason(key, value, "given twice");
        given |= bit;
        if (!take_word(*option, value, options, reason)) return false;
    }
    return complete(given, options, reason);
}

}  // namespace hawser
