// SPDX-License-Identifier: GPL-2.0-or-later
//
// The target, a script that makes it lie, and the judge, put together.

#pragma once

#include "judge.h"
#include "script.h"
#include "target.h"

namespace hawser::target {

class ScriptedTarget : public Filter, public Stage {
public:
    ScriptedTarget(Settings settings, std::vector<Rule> rules, std::span<uint8_t> memory);

    uint64_t poll_timeout() const;
    void handle_timeout(uint64_t now_ms);

    // Filter
    bool incoming(uint32_t connection, Pdu& pdu) override;
    bool outgoing(uint32_t connection, Pdu& pdu) override;

    // Stage
    void pass(uint32_t connection, Side side, const Pdu& pdu, Damage damage,
              uint32_t piece) override;
    void pass_bytes(uint32_t connection, Side side, const Bytes& bytes) override;
    void inject(uint32_t connection, Pdu pdu, bool counts, const Words& given) override;
    void close(uint32_t connection, bool reset) override;
    void silence(uint32_t connection, uint64_t until_ms) override;
    bool command(const std::string& verb, const Words& words) override;
    Digests digests_of(uint32_t connection) const override;

    Judge judge;
    Target target;
    Script script;
    std::vector<std::pair<uint32_t, Pdu>> heard;  // from the initiator, in order
    // Every PDU, in words.
    std::function<void(const std::string&)> log;

private:
    void tell(uint32_t connection, const char* arrow, const Pdu& pdu) const;
};

// A PDU in one line, for logs.
std::string describe(const Pdu& pdu);

// "erl=2" and its like, and RFC keys, put into settings; place: for what is said about a mistake.
void apply_setting(Settings& settings, const std::string& name, const std::string& value,
                   const std::string& place);

}  // namespace hawser::target
