// SPDX-License-Identifier: GPL-2.0-or-later
//
// The judge: sees every PDU that crosses the wire, and holds the initiator to the rules of RFC
// 7143. It serves the target and the proxy alike, because it trusts neither side's words about
// itself.
//
// Theory. What an initiator sends is judged at once, against what it was told until then. What it
// owes (an answer to an R2T, to a ping, a Logout that was asked for) is an obligation, and judged
// when its time is over or when the run ends. A PDU that never reached the initiator, or not whole,
// is not told to the judge, and so obliges to nothing.
//
// Each rule has the number of the project's list of 65; the section says where the RFC has it.
//
// The rooms: judge.cpp (who is who, obligations), judge_numbers.cpp (CmdSN, StatSN, tags, reserved
// bits), judge_login.cpp, judge_data.cpp (SCSI), judge_control.cpp (the rest).

#pragma once

#include <functional>
#include <map>
#include <set>

#include "target.h"

namespace hawser::target {

struct Breach {
    uint32_t rule = 0;
    std::string section;
    uint32_t connection = 0;
    std::string words;
};

class Judge : public Observer {
public:
    void opened(uint32_t connection, uint64_t now_ms) override;
    void from_initiator(uint32_t connection, const Pdu& pdu, uint64_t now_ms) override;
    void to_initiator(uint32_t connection, const Pdu& pdu, uint64_t now_ms) override;
    void damaged_stream(uint32_t connection, const std::string& how) override;
    void closed(uint32_t connection, bool by_initiator, uint64_t now_ms) override;
    // Nothing moves any more: what is still owed will not come.
    void finish(uint64_t now_ms);

    const std::vector<Breach>& breaches() const { return m_breaches; }
    std::function<void(const Breach&)> on_breach = [](const Breach&) {};
    // So much the clocks of two machines may lie apart: the initiator waits from when it lost a
    // connection, and here its end is seen later. 0 where both have the same clock.
    uint64_t leeway_ms = 0;

    // A run of Data-Out that the initiator owes, or may send unasked.
    struct Owed {
        uint32_t itt;
        uint32_t ttt;
        uint32_t offset;
        uint32_t end;
        uint32_t data_sn;
        uint32_t r2t_sn = 0;
    };
    struct Command {
        wire::ScsiCommand header;
        Bytes cdb;
        uint32_t connection = 0;
        bool immediate = false;
        bool answered = false;  // its status was sent
        bool aborted = false;
        uint32_t stat_sn = 0;
        std::set<uint32_t> data_sns;  // Data-In that was sent
        uint32_t data_acknowledged = 0;
        std::map<uint32_t, uint32_t> acknowledge_due;  // TTT of an A bit: the DataSN after it
        uint32_t r2ts = 0;
    };
    struct Session {
        std::string isid;
        std::string initiator;
        bool discovery = false;
        uint16_t tsih = 0;
        Keys keys;
        bool known = false;
        uint32_t next_cmd_sn = 0;
        uint32_t max_cmd_sn = 0;
        std::map<uint32_t, uint32_t> cmd_sns;  // CmdSN: ITT
        std::map<uint32_t, Command> commands;  // by ITT
        std::set<uint32_t> tags;               // ITTs of other requests that wait for an answer
        uint32_t connections = 0;
        uint32_t connections_ever = 0;
        bool logged_out = false;
        std::set<uint16_t> removed;  // CIDs logged out for recovery
        uint64_t wait_until_ms = 0;  // Time2Wait
        bool lost = false;  // a connection, and with it commands up to lost_cmd_sn, perhaps unseen
        uint32_t lost_cmd_sn = 0;
    };
    struct Connection {
        uint32_t id = 0;
        bool open = false;
        bool full_feature = false;
        bool entered = false;  // the initiator has sent something in it
        Session* session = nullptr;
        Keys keys;
        // login
        uint32_t requests = 0;
        bool login_outstanding = false;
        bool refused = false;
        bool target_continues = false;
        wire::LoginRequest first;
        uint8_t stage = 0;
        Bytes text;          // of a request in pieces
        Bytes target_text;   // of a response in pieces
        KeyValues proposed;  // by the initiator
        KeyValues asked;     // by the target, and not yet answered
        std::set<std::string> said;
        std::set<std::string> challenges;  // the target's, 9.2.1
        bool challenged = false;
        // full feature phase
        bool stat_sn_known = false;
        uint32_t next_stat_sn = 0;  // all before it were sent
        std::set<uint32_t> ahead;   // those sent beyond a hole
        uint32_t exp_stat_sn = 0;   // the last that was heard
        bool has_cmd_sn = false;
        uint32_t last_cmd_sn = 0;
        std::vector<Owed> owed;           // solicited, in order of arrival
        std::vector<Owed> unsolicited;    // in order of commands
        std::map<uint32_t, Bytes> pings;  // TTT: LUN
        bool logout_sent = false;
        uint64_t logout_due_ms = k_never;
        bool logout_or_text = false;  // event 4: a Text Request will do
        uint32_t text_itt = wire::k_reserved_tag;
        uint32_t text_ttt = wire::k_reserved_tag;
        Bytes text_lun;
        uint16_t cid = 0;
    };

private:
    void breach(uint32_t rule, const char* section, const Connection& connection,
                const std::string& words);
    void lose(Connection& connection, uint64_t now_ms);

    // judge_numbers.cpp
    void check_reserved(Connection& connection, const Pdu& pdu);
    void check_cmd_sn(Connection& connection, const Pdu& pdu);
    void check_immediate(Connection& connection, const Pdu& pdu);
    void check_exp_stat_sn(Connection& connection, const Pdu& pdu);
    void check_tag(Connection& connection, const Pdu& pdu);
    void note_numbers(Connection& connection, const Pdu& pdu);

    // judge_login.cpp
    void take_login_request(Connection& connection, const Pdu& pdu, uint64_t now_ms);
    void check_first_request(Connection& connection, const Pdu& pdu, uint64_t now_ms);
    void check_login_text(Connection& connection, const Bytes& text, uint8_t stage);
    void check_key(Connection& connection, const std::string& key, const std::string& value,
                   uint8_t stage);
    void check_names(Connection& connection, const Pairs& pairs);
    void check_chap(Connection& connection, const Pairs& pairs);
    void take_login_response(Connection& connection, const Pdu& pdu);
    void note_target_text(Connection& connection);
    void enter_session(Connection& connection, const wire::LoginResponse& response);

    // judge_data.cpp
    void take_command(Connection& connection, const Pdu& pdu);
    void check_ahs(Connection& connection, const Pdu& pdu);
    void check_immediate_data(Connection& connection, const Pdu& pdu);
    void take_data_out(Connection& connection, const Pdu& pdu);
    void check_owed(Connection& connection, const Pdu& pdu, std::vector<Owed>& owed);
    void note_data_in(Connection& connection, const Pdu& pdu);
    void note_r2t(Connection& connection, const Pdu& pdu);
    void note_status(Connection& connection, uint32_t itt, uint32_t stat_sn);
    void settle_data(Connection& connection);
    Command* find(Connection& connection, uint32_t itt);

    // judge_control.cpp
    void take_nop_out(Connection& connection, const Pdu& pdu);
    void take_text(Connection& connection, const Pdu& pdu);
    void take_logout(Connection& connection, const Pdu& pdu);
    void take_task_management(Connection& connection, const Pdu& pdu);
    void take_snack(Connection& connection, const Pdu& pdu);
    void note_async(Connection& connection, const Pdu& pdu, uint64_t now_ms);
    void note_control(Connection& connection, const Pdu& pdu, uint64_t now_ms);

    std::map<uint32_t, Connection> m_connections;
    std::vector<std::unique_ptr<Session>> m_sessions;
    std::map<uint64_t, std::pair<Session*, uint32_t>> m_aborts;  // tag: what a TMF will end
    std::vector<Breach> m_breaches;
};

}  // namespace hawser::target
