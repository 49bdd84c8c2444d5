// SPDX-License-Identifier: GPL-2.0-or-later
//
// A case, run: the engine against the scripted target, in virtual time.

#include <fmt/format.h>

#include <algorithm>

#include "expectations.h"
#include "fields.h"

namespace hawser::target {

namespace {

constexpr size_t k_disk_bytes = 4 << 20;
constexpr uint64_t k_step_ms = 120000;  // nothing takes longer, unless it never comes
constexpr uint32_t k_first_wait_ms = 60000;
constexpr uint8_t k_xd_write_read = 0x53;

uint8_t pattern(uint64_t offset, uint32_t version) {
    uint64_t x = offset * 0x9e3779b97f4a7c15u + version * 0xc2b2ae3d27d4eb4fu;
    x ^= x >> 29;
    return static_cast<uint8_t>(x * 0xbf58476d1ce4e5b9u >> 56);
}

std::string option_line(const Case& one) {
    std::string line = "target=" + one.settings.name + " initiator=iqn.a:node";
    if (one.options.find("portal=") == std::string::npos)
        for (uint32_t i = 1; i <= one.connections; i++) line += fmt::format(" portal=10.0.{}.2", i);
    return line + one.options;
}

void put(Bytes& cdb, size_t offset, uint64_t value, size_t length) {
    for (size_t i = 0; i < length; i++)
        cdb[offset + i] = static_cast<uint8_t>(value >> (8 * (length - 1 - i)));
}

class Runner {
public:
    explicit Runner(const Case& one) : m_case(one), m_disk(k_disk_bytes) {
        for (size_t i = 0; i < m_disk.size(); i++) m_disk[i] = pattern(i, 0);
        m_target = std::make_unique<ScriptedTarget>(one.settings, one.script, m_disk);
        m_target->log = [this](const std::string& line) { m_verdict.log += line + "\n"; };
        m_target->judge.on_breach = [this](const Breach& breach) {
            fail(fmt::format("breach of rule {} (RFC 7143 {}) on connection {}: {}", breach.rule,
                             breach.section, breach.connection, breach.words));
            m_verdict.log += "        ^ " + m_verdict.failures.back() + "\n";
        };
        m_host = std::make_unique<EngineHost>(option_line(one), *m_target, 7);
        m_host->chap_secret = one.secret;
        m_host->chap_secret_in = one.secret_in;
        m_host->chunk_bytes = one.chunk_bytes;
        m_host->timeout_ms = one.timeout_ms;
    }

    Verdict run() {
        for (const Step& step : m_case.steps) {
            m_verdict.log += fmt::format("{:>7} -- {}\n", m_host->now_ms(), words_of(step));
            take(step);
        }
        m_host->run_until([] { return false; }, 0);
        m_target->judge.finish(m_host->now_ms());
        Outcomes outcomes{*m_host, *m_target, m_operations};
        check_expectations(m_case, outcomes, m_verdict.failures);
        for (const std::string& place : m_target->script.unused())
            fail(place + ": this line of the script never came to pass");
        return m_verdict;
    }

private:
    void fail(const std::string& what) { m_verdict.failures.push_back(what); }
    static std::string words_of(const Step& step) {
        std::string text;
        for (const std::string& word : step.words) text += word + " ";
        return text;
    }
    uint64_t number(const Step& step, size_t index) const {
        return index < step.words.size() ? parse_integer(step.words[index]).value_or(0) : 0;
    }

    void take(const Step& step) {
        const std::string& verb = step.words[0];
        if (verb == "login") {
            m_host->start();
            if (step.waits)
                m_host->run_until([&] { return m_host->settled() || m_host->ended(); },
                                  k_first_wait_ms);
        } else if (verb == "all") {
            wait_for_all();
        } else if (verb == "wait") {
            m_host->run_until([] { return false; }, number(step, 1));
        } else if (verb == "settle") {
            m_host->run_until([&] { return m_host->logged_in() == m_host->connection_count(); },
                              k_step_ms);
        } else if (verb == "logout") {
            m_host->logout();
            if (step.waits) m_host->run_until([&] { return m_host->ended(); }, k_step_ms);
        } else if (verb == "cut") {
            m_host->cut(static_cast<uint32_t>(number(step, 1)));
        } else if (!take_task_management(step)) {
            begin_operation(step);
        }
    }

    bool take_task_management(const Step& step) {
        const std::pair<const char*, uint8_t> functions[] = {
            {"abort", HAWSER_FUNCTION_ABORT_TASK},
            {"abort-set", HAWSER_FUNCTION_ABORT_TASK_SET},
            {"clear-set", HAWSER_FUNCTION_CLEAR_TASK_SET},
            {"reset-lun", HAWSER_FUNCTION_LOGICAL_UNIT_RESET},
            {"warm-reset", HAWSER_FUNCTION_TARGET_WARM_RESET},
            {"cold-reset", HAWSER_FUNCTION_TARGET_COLD_RESET},
        };
        for (const auto& [name, function] : functions) {
            if (step.words[0] != name) continue;
            uint32_t index = 0;
            uint32_t tag = 0;
            if (function == HAWSER_FUNCTION_ABORT_TASK) {
                const uint64_t of = number(step, 1);
                if (of == 0 || of > m_operations.size())
                    throw ScriptError(step.place + ": there is no operation of this number");
                index = m_operations[of - 1]->home;
                tag = static_cast<uint32_t>(m_operations[of - 1]->tag);
            }
            for (size_t i = 0; i + 1 < step.words.size(); i++)
                if (step.words[i] == "connection")
                    index = static_cast<uint32_t>(number(step, i + 1));
            const size_t before = m_host->managed().size();
            m_host->manage(index, function, tag, number(step, 1));
            if (step.waits)
                m_host->run_until([&] { return m_host->managed().size() > before; }, k_step_ms);
            return true;
        }
        return false;
    }

    void wait_for_all() {
        m_host->run_until(
            [&] {
                return std::all_of(m_operations.begin(), m_operations.end(),
                                   [](const auto& one) { return one->done; });
            },
            k_step_ms);
        for (auto& operation : m_operations) check_data(*operation);
    }

    void begin_operation(const Step& step) {
        auto operation = std::make_unique<Operation>();
        operation->words = words_of(step);
        for (size_t i = 0; i + 1 < step.words.size(); i++) {
            if (step.words[i] == "connection")
                operation->connection = static_cast<int>(number(step, i + 1));
            if (step.words[i] == "lun") operation->lun = number(step, i + 1);
        }
        const std::string& verb = step.words[0];
        if (verb == "cdb")
            make_raw(step, *operation);
        else if (verb == "exchange")
            make_exchange(step, *operation);
        else if (verb == "flush" || verb == "test")
            operation->cdb = {
                static_cast<uint8_t>(verb == "flush" ? 0x35 : 0x00), 0, 0, 0, 0, 0, 0, 0, 0, 0};
        else
            make_transfer(step, *operation);
        m_operations.push_back(std::move(operation));
        Operation& made = *m_operations.back();
        m_host->submit(made);
        if (!step.waits) {
            m_host->run_until([] { return true; }, 0);
            return;
        }
        m_host->run_until([&] { return made.done; }, k_step_ms);
        check_data(made);
    }

    void make_raw(const Step& step, Operation& operation) {
        if (step.words.size() < 2) throw ScriptError(step.place + ": cdb: HEX is missing");
        const auto bytes = read_binary("0x" + step.words[1]);
        if (!bytes || bytes->size() > HAWSER_CDB_MAX)
            throw ScriptError(step.place + ": cdb: not hex, or over 32 bytes");
        operation.cdb = *bytes;
        for (size_t i = 2; i + 1 < step.words.size(); i++) {
            if (step.words[i] == "read") operation.direction = HAWSER_DATA_READ;
            if (step.words[i] == "write") operation.direction = HAWSER_DATA_WRITE;
            if (step.words[i] == "read" || step.words[i] == "write")
                operation.buffer.resize(number(step, i + 1));
        }
    }

    void make_exchange(const Step& step, Operation& operation) {
        const uint64_t block = number(step, 1);
        const uint64_t count = number(step, 2);
        size_t length = count * k_block_bytes;
        operation.direction = HAWSER_DATA_BOTH;
        operation.cdb = Bytes(10);
        operation.cdb[0] = k_xd_write_read;
        put(operation.cdb, 2, block, 4);
        put(operation.cdb, 7, count, 2);
        operation.buffer.resize(length);
        operation.read_buffer.resize(length);
        for (size_t i = 3; i + 1 < step.words.size(); i++) {
            if (step.words[i] == "write") operation.buffer.resize(number(step, i + 1));
            if (step.words[i] == "read") operation.read_buffer.resize(number(step, i + 1));
        }
        const uint64_t at = block * k_block_bytes;
        m_version++;
        for (size_t i = 0; i < operation.buffer.size(); i++)
            operation.buffer[i] = pattern(at + i, m_version);
        length = std::min({length, operation.buffer.size(), operation.read_buffer.size()});
        for (size_t i = 0; i < length; i++)
            operation.expected.push_back(m_disk[at + i] ^ operation.buffer[i]);
    }

    void make_transfer(const Step& step, Operation& operation) {
        const uint64_t block = number(step, 1);
        const uint64_t count = number(step, 2);
        const bool write = step.words[0].substr(0, 5) == "write";
        const bool big = step.words[0].back() == '2';
        operation.direction = write ? HAWSER_DATA_WRITE : HAWSER_DATA_READ;
        operation.buffer.resize(count * k_block_bytes);
        if (big) {
            operation.cdb.resize(32);
            operation.cdb[0] = 0x7f;
            operation.cdb[7] = 24;
            put(operation.cdb, 8, write ? 0x000b : 0x0009, 2);
            put(operation.cdb, 12, block, 8);
            put(operation.cdb, 28, count, 4);
        } else {
            operation.cdb.resize(10);
            operation.cdb[0] = write ? 0x2a : 0x28;
            put(operation.cdb, 2, block, 4);
            put(operation.cdb, 7, count, 2);
        }
        if (!write) return;
        m_version++;
        for (size_t i = 0; i < operation.buffer.size(); i++)
            operation.buffer[i] = pattern(block * k_block_bytes + i, m_version);
    }

    // What was there XOR what is, and what is.
    void check_exchange(const Operation& operation) {
        if (operation.completion.status != 0) return;
        if (!std::equal(operation.expected.begin(), operation.expected.end(),
                        operation.read_buffer.begin()))
            fail(operation.words + "read wrong data");
        uint64_t block = 0;
        for (size_t i = 0; i < 4; i++) block = block << 8 | operation.cdb[2 + i];
        const size_t count = size_t{operation.cdb[7]} << 8 | operation.cdb[8];
        const size_t length = std::min(operation.buffer.size(), count * k_block_bytes);
        if (!std::equal(operation.buffer.begin(), operation.buffer.begin() + long(length),
                        m_disk.begin() + static_cast<long>(block * k_block_bytes)))
            fail(operation.words + "wrote wrong data");
    }

    // What the disk holds is what was written, and what was read.
    void check_data(Operation& operation) {
        if (operation.direction == HAWSER_DATA_BOTH && operation.done && !operation.checked) {
            operation.checked = true;
            return check_exchange(operation);
        }
        const bool transfer =
            operation.cdb[0] == 0x2a || operation.cdb[0] == 0x28 || operation.cdb[0] == 0x7f;
        if (!operation.done || operation.completion.response != 0 || !transfer ||
            operation.completion.aborted || operation.completion.status != 0 ||
            operation.completion.residual != 0)
            return;
        if (operation.checked) return;
        operation.checked = true;
        uint64_t block = 0;
        const bool big = operation.cdb[0] == 0x7f;
        for (size_t i = 0; i < (big ? 8u : 4u); i++)
            block = block << 8 | operation.cdb[(big ? 12 : 2) + i];
        const size_t at = block * k_block_bytes;
        if (at + operation.buffer.size() > m_disk.size()) return;
        if (!std::equal(operation.buffer.begin(), operation.buffer.end(),
                        m_disk.begin() + static_cast<long>(at)))
            fail(operation.words + "is GOOD, but its data is wrong");
    }

    const Case& m_case;
    Bytes m_disk;
    Verdict m_verdict;
    std::unique_ptr<ScriptedTarget> m_target;
    std::vector<std::unique_ptr<Operation>> m_operations;
    std::unique_ptr<EngineHost> m_host;
    uint32_t m_version = 0;
};

}  // namespace

Verdict run_case(const Case& one) {
    try {
        return Runner(one).run();
    } catch (const ScriptError& error) {
        return {{one.file + ": " + error.what()}, ""};
    }
}

}  // namespace hawser::target
