// SPDX-License-Identifier: GPL-2.0-or-later
//
// The target's side of a fuzzed stream: it makes PDUs that are right for the task they name, so
// that what the input then changes in them meets the engine's inner checks and not only its outer
// ones.

#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "input.h"
#include "wire/bhs.hpp"

namespace hawser::fuzz {

using Bytes = std::vector<uint8_t>;

// What the target knows of a command that it has seen.
struct SeenTask {
    uint32_t initiator_task_tag = 0;
    uint32_t length = 0;
    uint8_t lun[8] = {};
    bool read = false;
    bool write = false;
    uint32_t data_sn = 0;
    uint32_t r2t_sn = 0;
    uint32_t offset = 0;    // read: the next byte to send
    uint32_t promised = 0;  // write: up to where data was asked for or came unasked
};

// One connection at the target's side.
class StreamPeer {
public:
    // One PDU as the input chooses it, behind what was said before.
    void say(Input& input, std::vector<SeenTask>& tasks);
    void say_raw(std::span<const uint8_t> bytes) {
        out.insert(out.end(), bytes.begin(), bytes.end());
    }
    // A new connection.
    void begin() {
        out.clear();
        history.clear();
        digests = false;
    }
    // A Login Response that goes on; text has spaces for NULs.
    void say_login(uint8_t flags, const uint8_t* isid, uint16_t tsih, const std::string& text);

    Bytes out;
    uint32_t index = 0;
    uint32_t stat_sn = 1;
    uint32_t exp_cmd_sn = 1;
    uint32_t window = 16;
    uint32_t max_burst = 16384;
    uint32_t nop_itt = 0xffffffff;       // of the last ping that came
    uint32_t function_itt = 0xffffffff;  // of the last task management function
    uint32_t reassign_itt = 0xffffffff;  // of the last TASK REASSIGN
    uint32_t text_itt = 0xffffffff;      // of the last Text Request
    uint32_t recover_itt = 0xffffffff;   // of the last Logout for recovery
    bool digests = false;

private:
    void seal(Bytes& pdu, size_t data, bool bad_header, bool bad_data) const;
    Bytes pop_history(uint8_t which) const {
        return history.empty() ? Bytes() : history[which % history.size()];
    }
    std::vector<Bytes> history;  // what was said or kept back: it may be said again

    template <typename T>
    void append(Input& input, T pdu, bool counts, const Bytes& data = {});
    void say_data_in(Input& input, SeenTask& task, bool rest);
    void say_response(Input& input, const SeenTask& task, bool good);
    void say_r2t(Input& input, SeenTask& task);
    void say_nop(Input& input, uint8_t kind);
    void say_async(Input& input);
    void say_text(Input& input);
    void say_other(Input& input, uint8_t kind);
};

}  // namespace hawser::fuzz
