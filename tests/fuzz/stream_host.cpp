// SPDX-License-Identifier: GPL-2.0-or-later
//
// The host of a fuzzed stream: the acts that an input can choose.

#include "stream_host.h"

#include <algorithm>

namespace hawser::fuzz {

hawser_options StreamHost::options_of(const Variant& variant) {
    std::string line =
        "target=iqn.a:disk initiator=iqn.a:node portal=10.0.1.2 portal=10.0.2.2 queue_depth=8 ";
    line += variant.options;
    hawser_options options{};
    char reason[HAWSER_REASON_BYTES] = {};
    FUZZ_CHECK(hawser_options_parse(line.data(), static_cast<uint32_t>(line.size()), &options,
                                    reason) == HAWSER_ERROR_NONE,
               "the fuzzer's own options are good");
    return options;
}

StreamHost::StreamHost(const Variant& variant, void* memory)
    : m_variant(&variant), m_options(options_of(variant)), m_tasks(m_options.queue_depth) {
    m_session = hawser_session_create(memory, &m_options, 1, 0x12345678);
    for (uint32_t i = 0; i < k_connections; i++) {
        m_sides[i].connection = hawser_session_connection(m_session, i);
        m_sides[i].peer.index = i;
        m_sides[i].peer.max_burst = variant.max_burst;
    }
    log_in();
}

void StreamHost::run(Input& input) {
    while (!input.empty()) {
        act(input);
        check_wake_ups();
    }
    finish();
}

void StreamHost::act(Input& input) {
    const uint8_t what = input.byte();
    const uint32_t index = what & 1;
    switch (what >> 1 & 15) {
        case 0:
        case 1:
        case 2:
            return submit(input, index);
        case 3:
        case 4:
            return transmit(index, 0xffff, 0xffffff);
        case 5:
            return transmit(index, 60u + 16u * input.byte(), 1u + input.byte() * 7u);
        case 6:
        case 7:
            return deliver(index, 0xffffff);
        case 8:
            return deliver(index, 1u + input.byte());
        case 9:
        case 10:
        case 11:
        case 12:
            return speak(input, index);
        case 13:
            return m_sides[index].peer.say_raw(input.take(input.byte()));
        case 14:
            return disturb(input, index);
        default:
            return control();
    }
}

// PDUs, and at once what carries them there, so that short inputs get far.
void StreamHost::speak(Input& input, uint32_t index) {
    Side& side = m_sides[index];
    const uint8_t how = input.byte();
    std::vector<SeenTask> known;
    for (HostTask& task : m_tasks) {
        // Now and then a target answers what it cannot know yet, or what is another connection's.
        const bool guessed = how >= 240;
        if (task.live && (guessed || (task.on_wire && task.index == index)))
            known.push_back(task.seen);
    }
    side.peer.exp_cmd_sn = m_exp_cmd_sn;
    side.peer.window = how & 8 ? how >> 4 : 16;
    for (uint32_t count = 1u + (how & 3); count != 0; count--) side.peer.say(input, known);
    for (const SeenTask& seen : known) {
        HostTask& task = m_tasks[seen.initiator_task_tag & 0xffff];
        if (task.live) task.seen = seen;
    }
    if (how & 4) deliver(index, 0xffffff);
}

void StreamHost::submit(Input& input, uint32_t index) {
    constexpr uint32_t k_lengths[] = {0, 1, 511, 512, 2048, 4096, 9001, 40000};
    Side& side = m_sides[index];
    if (!hawser_connection_accepts(side.connection)) return;
    FUZZ_CHECK(side.open && !side.close_due && !side.fin, "accepts() only while it can send");
    uint32_t tag = 0;
    while (tag < m_tasks.size() && m_tasks[tag].live) tag++;
    if (tag == m_tasks.size()) return;
    const uint8_t what = input.byte();
    HostTask& task = m_tasks[tag];
    task.live = true;
    task.on_wire = false;
    task.index = index;
    task.generation++;
    task.command = {};
    task.command.tag = tag;
    task.command.direction = what % 3;
    task.command.length = task.command.direction == HAWSER_DATA_NONE ? 0 : k_lengths[what >> 2 & 7];
    task.command.task_attribute = 1;
    task.command.lun[1] = what >> 6 & 1;
    task.command.timeout_ms = what & 0x20 ? 3000 : 0;
    task.command.cdb_length = what & 0x80 ? 17 + what % 16 : 10;
    task.buffer.assign(task.command.length, 0xee);
    task.placed.assign(task.command.length, false);
    task.sent.assign(task.command.length, false);
    task.seen = {};
    task.seen.initiator_task_tag = static_cast<uint32_t>(task.generation) << 16 | tag;
    task.seen.length = task.command.length;
    task.seen.read = task.command.direction == HAWSER_DATA_READ;
    task.seen.write = task.command.direction == HAWSER_DATA_WRITE;
    std::memcpy(task.seen.lun, task.command.lun, sizeof(task.seen.lun));
    after(index, hawser_connection_submit(side.connection, &task.command));
}

// Sends what is there, at most limit bytes of each answer.
void StreamHost::transmit(uint32_t index, uint32_t room, uint32_t limit) {
    Side& side = m_sides[index];
    if (!side.open || side.connecting || side.fin) return;
    for (uint32_t turns = 0;; turns++) {
        FUZZ_CHECK(turns < 10000, "sending comes to an end");
        hawser_transmit next{};
        if (!hawser_connection_poll_transmit(side.connection, room, &next)) {
            if (room >= 0xffff) side.armed = false;
            return;
        }
        Bytes bytes(next.bytes, next.bytes + next.bytes_length);
        if (next.data_length != 0) {
            HostTask& task = m_tasks.at(next.tag);
            FUZZ_CHECK(task.live && task.index == index, "only an own task's data is sent");
            FUZZ_CHECK(uint64_t{next.data_offset} + next.data_length <= task.command.length,
                       "data to send lies in the task's buffer");
            const auto from = task.buffer.begin() + next.data_offset;
            bytes.insert(bytes.end(), from, from + next.data_length);
        }
        FUZZ_CHECK(!bytes.empty(), "there is something when poll_transmit says so");
        const uint32_t length = std::min(static_cast<uint32_t>(bytes.size()), limit);
        for (uint32_t i = next.bytes_length; i < length; i++)
            m_tasks[next.tag].sent[next.data_offset + i - next.bytes_length] = true;
        if (next.digest && length > next.bytes_length)
            hawser_connection_digest_sent(side.connection, bytes.data() + next.bytes_length,
                                          length - next.bytes_length);
        side.outgoing.insert(side.outgoing.end(), bytes.begin(), bytes.begin() + length);
        after(index, hawser_connection_handle_transmitted(side.connection, length, m_now_ms));
        take_outgoing(index);
        if (limit < 0xffff) return;
    }
}

void StreamHost::deliver(uint32_t index, uint32_t limit) {
    Side& side = m_sides[index];
    if (!side.open || side.connecting) return;
    const size_t length = std::min<size_t>(side.peer.out.size(), limit);
    const auto end = side.peer.out.begin() + static_cast<long>(length);
    const Bytes chunk(side.peer.out.begin(), end);
    side.peer.out.erase(side.peer.out.begin(), end);
    for (uint32_t used = 0; used < length && side.open;) {
        // An exact copy: a read beyond it is seen.
        const Bytes rest(chunk.begin() + used, chunk.end());
        uint32_t wants = 0;
        const uint32_t eaten = hawser_connection_handle_received(
            side.connection, rest.data(), static_cast<uint32_t>(rest.size()), m_now_ms, &wants);
        FUZZ_CHECK(eaten <= rest.size(), "it eats what it was given");
        used += eaten;
        FUZZ_CHECK(eaten == rest.size() || (wants & HAWSER_WANT_PLACEMENT),
                   "it stops early for a placement only");
        after(index, wants);
        place(index, chunk, used);
    }
}

void StreamHost::place(uint32_t index, const Bytes& chunk, uint32_t& used) {
    Side& side = m_sides[index];
    hawser_placement where{};
    while (used < chunk.size() && hawser_connection_poll_placement(side.connection, &where)) {
        HostTask& task = m_tasks.at(where.tag);
        FUZZ_CHECK(task.live && task.index == index, "only an own task's buffer is written");
        FUZZ_CHECK(task.command.direction == HAWSER_DATA_READ, "only a read is written");
        FUZZ_CHECK(where.length != 0, "a placement has a length");
        FUZZ_CHECK(uint64_t{where.offset} + where.length <= task.command.length,
                   "a placement lies in the task's buffer");
        const uint32_t length = std::min(where.length, static_cast<uint32_t>(chunk.size()) - used);
        std::memcpy(task.buffer.data() + where.offset, chunk.data() + used, length);
        for (uint32_t i = 0; i < length; i++) task.placed[where.offset + i] = true;
        if (where.digest)
            hawser_connection_digest_placed(side.connection, chunk.data() + used, length);
        used += length;
        after(index, hawser_connection_handle_placed(side.connection, length));
    }
}

void StreamHost::pass_time(uint32_t ms) {
    m_now_ms += ms;
    for (uint32_t i = 0; i < k_connections; i++) {
        hawser_connection* connection = m_sides[i].connection;
        // A call serves one deadline; more than one may be over.
        for (uint32_t turns = 0; hawser_connection_poll_timeout(connection) <= m_now_ms; turns++) {
            FUZZ_CHECK(turns < 4, "a deadline that was served is over");
            after(i, hawser_connection_handle_timeout(connection, m_now_ms));
            if (m_sides[i].armed || m_sides[i].close_due) break;
        }
    }
    if (hawser_session_poll_timeout(m_session) <= m_now_ms) {
        hawser_session_handle_timeout(m_session, m_now_ms);
        FUZZ_CHECK(hawser_session_poll_timeout(m_session) > m_now_ms,
                   "a session's deadline that was served is over");
    }
}

// A task management function; one at a time is taken.
void StreamHost::manage(Input& input, uint32_t index) {
    Side& side = m_sides[index];
    const uint8_t what = input.byte();
    hawser_task_management request{};
    request.function = 1 + (what & 7) % 7;
    request.tag = what >> 3 & 7;
    request.lun[1] = what >> 6 & 1;
    const uint32_t wants = hawser_connection_manage(side.connection, &request, m_now_ms);
    if (wants == 0) return;
    m_managed = true;
    side.functions++;
    after(index, wants);
    if (what & 0x80) transmit(index, 0xffff, 0xffffff);
}

// The network's and the control thread's doings.
void StreamHost::disturb(Input& input, uint32_t index) {
    Side& side = m_sides[index];
    hawser_connection* connection = side.connection;
    const uint8_t what = input.byte();
    switch (what % 12) {
        case 0:
            if (side.open)
                after(index, hawser_connection_handle_disconnected(
                                 connection, HAWSER_ERROR_CONNECTION_RESET, 104, m_now_ms));
            return;
        case 1:
            return close(index);
        case 2:
        case 3:
            return pass_time(what * 40u);
        case 4:
        case 5:
            return connected(index);
        case 6:
        case 7:
            return answer_login(index);
        case 8:
            return pass_time(1);
        case 9:
            if (!(what & 0x80)) return manage(input, index);
            hawser_session_logout(m_session, m_now_ms);
            control();
            for (uint32_t i = 0; i < k_connections; i++) transmit(i, 0xffff, 0xffffff);
            return;
        case 10:
            if (!(what & 0x80)) return manage(input, index);
            hawser_session_abandon(m_session, m_now_ms);
            return;
        default:
            return after(index, hawser_connection_drain(connection, what & 0x40 ? 0 : 1,
                                                        m_now_ms + what * 10u, m_now_ms));
    }
}

}  // namespace hawser::fuzz
