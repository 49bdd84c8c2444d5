// SPDX-License-Identifier: GPL-2.0-or-later
// What an option of the line is, and how a refusal of one is said.
#pragma once

#include "abi/engine.h"
#include "wire/text.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hawser::option_detail {

using wire::slice;

enum class OptionId : uint8_t {
    Target,
    Portal,
    Connections,
    ConnectionsMax,
    Portals,
    Initiator,
    Alias,
    Lun,
    Root,
    Timeout,
    ConnectTimeout,
    LoginTimeout,
    LogoutTimeout,
    AbortTimeout,
    LuResetTimeout,
    TgtResetTimeout,
    NoopOutInterval,
    NoopOutTimeout,
    Grace,
    FailAfter,
    LuResetAfterLoss,
    CmdSnOrder,
    QueueDepth,
    Cpus,
    InitialR2T,
    ImmediateData,
    FirstBurstLength,
    MaxBurstLength,
    MaxRecvDataSegmentLength,
    MaxOutstandingR2T,
    DefaultTime2Wait,
    DefaultTime2Retain,
    ErrorRecoveryLevel,
    HeaderDigest,
    DataDigest,
    ChapName,
    ChapNameIn,
    ChapKey,
    ChapKeyIn,
    ChapAlgs,
};

enum class OptionType : uint8_t {
    Number,
    Seconds,
    YesNo,
    Boolean,
    Name,
    Text,
    Portal,
    CpuList,
    AllOrGiven,
    CmdSnOrder,
    Digest,
    ChapAlgorithms
};

struct Option {
    OptionId id;
    std::string_view name;
    OptionType type;
    uint32_t minimum;
    uint32_t maximum;
    bool repeatable;
    uint32_t hawser_options::*milliseconds = nullptr;  // Seconds: where they go
};

// Writes the reason, once: "KEY: VALUE: what is allowed".
class Reason {
public:
    explicit Reason(std::span<char> out)
        : m_out(out),
          m_writer({reinterpret_cast<uint8_t*>(out.data()), out.empty() ? 0 : out.size() - 1}) {
        if (!out.empty()) out[0] = '\0';
    }

    // Always false, so that a parser can return it.
    bool operator()(std::string_view key, std::string_view value, std::string_view allowed) {
        start(key, value);
        m_writer.text(allowed);
        return finish();
    }

    bool range(const Option& option, std::string_view value) {
        if (option.minimum == option.maximum) return only(option, value);
        start(option.name, value);
        m_writer.text("not a number from ");
        m_writer.number(option.minimum);
        m_writer.text(" to ");
        m_writer.number(option.maximum);
        return finish();
    }

    bool only(const Option& option, std::string_view value) {
        start(option.name, value);
        m_writer.text("only ");
        m_writer.number(option.minimum);
        m_writer.text(" is supported");
        return finish();
    }

    bool too_long(const Option& option, std::string_view value, size_t limit) {
        start(option.name, value);
        m_writer.text("longer than ");
        m_writer.number(limit);
        m_writer.text(" characters");
        return finish();
    }

    bool too_many(const Option& option, std::string_view value, uint32_t limit) {
        start(option.name, value);
        m_writer.text("more than ");
        m_writer.number(limit);
        return finish();
    }

private:
    void start(std::string_view key, std::string_view value) {
        piece(key, 40);
        m_writer.text(": ");
        if (value.empty()) return;
        piece(value, 100);
        m_writer.text(": ");
    }

    void piece(std::string_view text, size_t limit) {
        m_writer.text(slice(text, 0, limit));
        if (text.size() > limit) m_writer.text("...");
    }

    bool finish() {
        if (!m_out.empty()) m_out[m_writer.length()] = '\0';
        return false;
    }

    std::span<char> m_out;
    wire::TextWriter m_writer;
};

}  // namespace hawser::option_detail
