// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a script makes of PDUs on their way, in either direction. The same lines drive the scripted
// target and the fault proxy.
//
//   on PDU [after S] [number N[..M]] [connection C] [where FIELD=VALUE]... [with KEY[=VALUE]]...
//       do ACTION [then ACTION]...
//   on any [toward initiator|target] ... do ACTION ...
//   at MS [connection C] do ACTION [then ACTION]...
//   signal S [connection C] do ACTION [then ACTION]...
//   byte N toward initiator|target [connection C] do ACTION ...    (the proxy alone)
//
// number counts the PDUs that fulfil all the rest; a number alone means that one, N..M a range,
// none every one. The program is told by SIGUSR1 that the next part of a story begins: `signal S`
// is carried out at the S-th, and `after S` sees no PDU before it. The actions, in their order:
//
//   drop                      it does not arrive
//   pass                      it goes now, and what follows comes after it
//   hang, wake                a command is taken, and begins only when a later line wakes it
//   delay MS                  it arrives later; what follows it does not wait
//   hold, release [reversed]  it waits, until a later line lets all go that wait
//   reorder                   it arrives after the next one of its direction and connection
//   duplicate [N]             N more of it (1)
//   split N                   its bytes come in pieces of N
//   set FIELD=VALUE...        VALUE: a number, +N or -N (relative), $FIELD of this PDU
//   corrupt header|data       after its digest was made
//   inject BYTES              so many stray bytes before it
//   truncate N                only N of its bytes, and then nothing
//   replace KEY=VALUE...      in its text, $KEY: the value last heard from the other side
//   omit KEY..., add KEY=VALUE...
//   text VALUE                the text as it stands, '|' for a NUL
//   reject REASON             it does not arrive, and is answered with a Reject
//   answer PDU FIELD=VALUE... it does not arrive, and is answered so
//   send PDU FIELD=VALUE...   a PDU of the target's, with the right numbers where none are given
//   close, reset              the connection; without and with a loss of what is on its way
//   silence [MS]              nothing is taken or given any more (for so long)
//   window N                  what the target grants from here on
//   trickle N MS              from here on N bytes each MS, in this direction (the proxy alone)
//   mutate                    (byte) one bit of it; as it stands, no digest is made anew
//   restart                   the target forgets all but its disk
//   resize MIB                the disk is so large, at most as it was made; UNIT ATTENTION tells it
//   keys KEY=VALUE...         what the target wishes from here on

#pragma once

#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "pdu.h"

namespace hawser::target {

using Words = std::vector<std::string>;

// A script that cannot be understood: "FILE:LINE: what is wrong".
struct ScriptError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Condition {
    std::string field;  // or a key
    std::optional<std::string> value;
};

struct Action {
    std::string verb;
    Words words;
};

enum class Side : uint8_t { ToInitiator, ToTarget };

struct Rule {
    enum class Kind : uint8_t { Pdu, Any, Time, Byte, Signal };
    Kind kind = Kind::Pdu;
    std::optional<wire::Opcode> opcode;
    std::optional<Side> toward;
    uint64_t at = 0;     // ms, which byte, or which signal
    uint64_t after = 0;  // how many signals must have come
    uint64_t first = 1;
    uint64_t last = UINT64_MAX;
    std::optional<uint32_t> connection;
    std::vector<Condition> where;
    std::vector<Condition> with;
    std::vector<Action> actions;
    std::string place;  // FILE:LINE
    uint64_t seen = 0;
    bool used = false;
};

// Words of a line, without its comment; "..." is one word.
Words split_words(const std::string& line);
// A line that begins with `on` or `at`. Throws ScriptError.
Rule parse_rule(const Words& words, const std::string& place);
// "KEY=VALUE" in two; throws when there is no '='.
std::pair<std::string, std::string> split_pair(const std::string& word, const std::string& place);

// Where the actions act.
class Stage {
public:
    virtual ~Stage() = default;
    // Onto its way, past all scripts.
    virtual void pass(uint32_t connection, Side side, const Pdu& pdu, Damage damage,
                      uint32_t piece) = 0;
    // Bytes that are no PDU.
    virtual void pass_bytes(uint32_t connection, Side side, const Bytes& bytes) = 0;
    // A PDU of the target's that it did not mean to send; given: fields that stay as they are.
    virtual void inject(uint32_t connection, Pdu pdu, bool counts, const Words& given) = 0;
    virtual void close(uint32_t connection, bool reset) = 0;
    virtual void silence(uint32_t connection, uint64_t until_ms) = 0;
    // What only a target can do: false where there is none.
    virtual bool command(const std::string& verb, const Words& words) = 0;
    // False where the way cannot be slowed.
    virtual bool trickle(uint32_t, Side, uint32_t /*bytes*/, uint64_t /*ms*/) { return false; }
    virtual Digests digests_of(uint32_t connection) const = 0;
};

// Whether the PDU fulfils a `where` and `with` list.
bool fulfils(const Pdu& pdu, const std::vector<Condition>& where,
             const std::vector<Condition>& with);

class Script {
public:
    Script(std::vector<Rule> rules, Stage& stage) : m_rules(std::move(rules)), m_stage(stage) {}

    // True: the script has dealt with the PDU, it must not go on by itself.
    bool handle(uint32_t connection, Side side, Pdu& pdu, uint64_t now_ms);
    // Bytes that go onto the wire, `before` of them having gone; changes them, as `byte` lines say.
    void handle_bytes(uint32_t connection, Side side, Bytes& bytes, uint64_t before,
                      uint64_t now_ms);
    uint64_t poll_timeout() const;
    void handle_timeout(uint64_t now_ms);
    void handle_signal(uint64_t now_ms);
    // Lines that never came to pass: a case that does not do what it says.
    std::vector<std::string> unused() const;

private:
    struct Waiting {
        uint64_t due_ms;
        uint32_t connection;
        Side side;
        Pdu pdu;
        Damage damage;
        uint32_t piece;
    };
    // A PDU while actions are carried out on it.
    struct Play {
        uint32_t connection;
        Side side;
        Pdu pdu;
        Damage damage;
        uint32_t piece = 0;
        bool gone = false;
        const Rule* rule;
    };
    void play_alone(Rule& rule);
    bool matches(Rule& rule, uint32_t connection, Side side, const Pdu& pdu) const;
    void act_on_byte(Play& play, const Action& action, Bytes& bytes, size_t at, uint64_t now_ms);
    void act(Play& play, const Action& action, uint64_t now_ms);
    bool act_on_way(Play& play, const Action& action, uint64_t now_ms);
    bool act_on_content(Play& play, const Action& action);
    bool act_on_connection(Play& play, const Action& action, uint64_t now_ms);
    void pass(const Play& play);
    void set_fields(const Play& play, Pdu& pdu, const Words& words, size_t from);
    void edit_text(Play& play, const Action& action);
    void send(Play& play, const Words& words);
    void reject(Play& play, const Words& words);
    uint64_t number_of(const Play& play, const Action& action, size_t index, uint64_t fallback);
    [[noreturn]] void complain(const Play& play, const std::string& what) const;

    std::vector<Rule> m_rules;
    Stage& m_stage;
    std::vector<Waiting> m_waiting;  // for their time
    std::vector<Waiting> m_held;     // for a release
    std::vector<Waiting> m_after;    // for the next PDU
    std::map<std::pair<uint32_t, Side>, std::map<std::string, std::string>> m_heard;
    uint64_t m_now_ms = 0;
    uint64_t m_signals = 0;
};

}  // namespace hawser::target
