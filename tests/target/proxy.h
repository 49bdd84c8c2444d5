// SPDX-License-Identifier: GPL-2.0-or-later
//
// The fault proxy without I/O: between an initiator and a target, any number of connections, it
// passes PDUs on and makes of them what a script says. script.h has the language.
//
// Theory. Each direction of a connection is read PDU by PDU, and written anew, digests included, so
// that a changed PDU is still a good one unless the script wants it damaged. A stream that cannot
// be read any more (a header digest that does not match, a mutated length) goes through as bytes.
// Below that lie faults by the byte, which see only how many went by.

#pragma once

#include <deque>
#include <map>
#include <optional>

#include "negotiation.h"
#include "order_guard.h"
#include "script.h"

namespace hawser::target {

class Proxy : public Stage {
public:
    explicit Proxy(std::vector<Rule> rules) : script(std::move(rules), *this) {}

    // A new pair of connections; its number.
    uint32_t open(uint64_t now_ms);
    // side: where the bytes are going to.
    void handle_received(uint32_t pair, Side side, const Bytes& bytes, uint64_t now_ms);
    Bytes take_output(uint32_t pair, Side side);
    // The initiator or the target ended its connection: the other's ends when all has gone.
    void handle_closed(uint32_t pair, uint64_t now_ms);
    bool wants_close(uint32_t pair) const;
    bool wants_reset(uint32_t pair) const;
    uint64_t poll_timeout() const;
    void handle_timeout(uint64_t now_ms);

    // Stage
    void pass(uint32_t pair, Side side, const Pdu& pdu, Damage damage, uint32_t piece) override;
    void pass_bytes(uint32_t pair, Side side, const Bytes& bytes) override;
    void inject(uint32_t pair, Pdu pdu, bool counts, const Words& given) override;
    void close(uint32_t pair, bool reset) override;
    void silence(uint32_t pair, uint64_t until_ms) override;
    bool command(const std::string&, const Words&) override { return false; }
    bool trickle(uint32_t pair, Side side, uint32_t bytes, uint64_t ms) override;
    Digests digests_of(uint32_t pair) const override;

    Script script;
    uint64_t pdus = 0;
    std::optional<OrderGuard> order;  // what it refuses never reaches the target
    std::function<void(uint32_t, Side, const Pdu&)> on_pdu;

private:
    struct Way {
        PduReader reader;
        bool raw = false;  // the stream cannot be read any more
        std::deque<Bytes> out;
        uint64_t passed = 0;
        uint32_t trickle_bytes = 0;
        uint64_t trickle_ms = 0;
        uint64_t next_ms = 0;
    };
    struct Pair {
        Way ways[2];
        Digests digests;
        KeyValues proposed;  // by the initiator
        Keys keys;
        uint32_t stat_sn = 0;  // the next one of the target
        uint32_t exp_cmd_sn = 0;
        uint32_t max_cmd_sn = 0;
        uint64_t silent_until_ms = 0;
        bool closing = false;
        bool resetting = false;
    };
    void note(Pair& pair, Side side, const Pdu& pdu);
    void push(uint32_t pair, Side side, Bytes bytes);
    bool is_empty(const Pair& pair) const;
    static Way& way_of(Pair& pair, Side side) { return pair.ways[static_cast<size_t>(side)]; }

    std::map<uint32_t, Pair> m_pairs;
    uint32_t m_next = 0;
    uint64_t m_now_ms = 0;
};

// The lines of a script made of a seed: `faults` of them, spread over the first `pdus` PDUs.
std::vector<std::string> random_script(uint32_t seed, uint32_t faults, uint32_t pdus);

}  // namespace hawser::target
