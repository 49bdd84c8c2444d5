// SPDX-License-Identifier: GPL-2.0-or-later
// A host of the engine in user space: one thread, poll(2), real TCP sockets. It does what the
// module's glue does, in the simplest way that is still real, so that the engine meets real targets
// under sanitizers, in milliseconds.
#pragma once

#include "abi/engine.h"
#include "wire_tap.hpp"

#include <sys/uio.h>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace hawser::test {

struct Result {
    bool done = false;
    uint8_t response = 0;
    uint8_t status = 0;
    uint32_t residual = 0;
    bool overflow = false;
    std::vector<uint8_t> sense;
};

// One command of a test and its buffer, which must live until it is done.
struct Request {
    std::vector<uint8_t> cdb;
    uint8_t direction = HAWSER_DATA_NONE;
    std::span<uint8_t> data;
    uint64_t lun = 0;
    Result result;
};

class PosixHost {
public:
    // line: as after "connect " (docs/contracts.md). Throws std::invalid_argument with the reason.
    explicit PosixHost(const std::string& line);
    ~PosixHost();
    PosixHost(const PosixHost&) = delete;
    PosixHost& operator=(const PosixHost&) = delete;

    // The secret under that description (chap_key=, chap_key_in=): the keyring of this host.
    void keep_secret(const std::string& key, const std::string& secret) { m_secrets[key] = secret; }
    // Shows it everything that is sent and received.
    void attach(WireTap& tap) { m_tap = &tap; }

    // Runs until `done` says so; false when `seconds` have passed before that.
    bool run_until(const std::function<bool()>& done, double seconds);
    void start();
    void logout();
    // Logs in and waits for SETTLED; false on failure or after `seconds`.
    bool login(double seconds);

    // Queues a command, on connection `index` or wherever the next one goes. It is parked and sent
    // again over a reinstatement, like a kernel's.
    void submit(Request& request, int index = -1);
    bool execute(Request& request, double seconds, int index = -1);

    // Damages one byte of the next `count` data segments that are received into (or sent from) a
    // request's buffer, on their way: what a data digest is there to find.
    void spoil_received(uint32_t count) { m_spoil_received = count; }
    void spoil_sent(uint32_t count) { m_spoil_sent = count; }

    // shutdown(2) in both directions: what a broken link looks like once TCP has noticed.
    void break_connection(uint32_t index);

    bool released() const { return m_released; }
    bool settled() const { return m_settled; }
    bool ended() const { return m_ended; }
    uint32_t end_error() const { return m_end_error; }
    uint32_t end_detail() const { return m_end_detail; }
    hawser_session_snapshot snapshot() const;
    // Every order and report so far, a line each with its time: what a failing test prints.
    const std::string& story() const { return m_story; }
    hawser_counters counters(uint32_t index) const;
    uint32_t connection_count() const { return m_options.connection_count; }

private:
    struct Link {
        hawser_connection* engine = nullptr;
        int fd = -1;
        uint32_t opened = 0;  // which socket it is: a report may end in a new one (a redirect)
        bool connecting = false;
        bool want_write = false;
    };

    static uint64_t now_ms();
    void tell(const std::string& line);
    void take_orders();
    void obey(const hawser_order& order);
    void open_socket(const hawser_order& order);
    void after(uint32_t index, uint32_t wants);
    void answer_chap(uint32_t index);
    void close_socket(uint32_t index);
    void transmit(uint32_t index);
    void tap_sent(uint32_t index, const iovec (&parts)[2], size_t length);
    void receive(uint32_t index);
    void take_completions(uint32_t index);
    void place(uint32_t index);
    void dispatch();
    void turn(int timeout_ms);

    hawser_options m_options{};
    std::unique_ptr<uint8_t, void (*)(void*)> m_memory;
    hawser_session* m_session = nullptr;
    std::vector<Link> m_links;
    std::vector<Request*> m_requests;  // by tag
    std::vector<uint32_t> m_free_tags;
    struct Waiting {
        Request* request;
        int index;
        int tag = -1;  // of a request that came back
    };
    std::vector<Waiting> m_waiting;
    std::vector<uint8_t> m_stream;  // received bytes that are being eaten
    uint32_t m_next = 0;
    std::map<std::string, std::string> m_secrets;
    WireTap* m_tap = nullptr;
    uint32_t m_spoil_received = 0;
    uint32_t m_spoil_sent = 0;
    std::string m_story;
    bool m_released = false;
    bool m_settled = false;
    bool m_ended = false;
    uint32_t m_end_error = 0;
    uint32_t m_end_detail = 0;
};

}  // namespace hawser::test
