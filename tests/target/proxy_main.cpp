// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-proxy: the fault proxy on TCP, between an initiator and a target, driven by a script or a
// seed.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>

#include "proxy.h"
#include "scripted_target.h"
#include "socket_loop.h"

using namespace hawser::target;

namespace {

std::vector<Rule> read_script(const std::string& file) {
    std::ifstream stream(file);
    if (!stream) throw ScriptError(file + ": cannot be read");
    std::vector<Rule> rules;
    size_t number = 0;
    for (std::string line; std::getline(stream, line);) {
        const std::string place = fmt::format("{}:{}", file, ++number);
        const Words words = split_words(line);
        if (words.empty()) continue;
        if (words[0] != "on" && words[0] != "at" && words[0] != "byte" && words[0] != "signal")
            throw ScriptError(place + ": a line begins with on, at, byte or signal");
        rules.push_back(parse_rule(words, place));
    }
    return rules;
}

class Server : public SocketHandler {
public:
    Server(std::vector<Rule> rules, std::vector<std::string> targets)
        : m_proxy(std::move(rules)), m_loop(*this), m_targets(std::move(targets)) {}

    void listen(const std::string& address) {
        fmt::print("listening on {}:{}\n", address.substr(0, address.rfind(':')),
                   m_loop.listen(address));
        std::fflush(stdout);
    }
    void refuse_lower() { m_proxy.order.emplace(); }
    void set_verbose() {
        m_proxy.on_pdu = [](uint32_t pair, Side side, const Pdu& pdu) {
            fmt::print("c{} {} {}\n", pair, side == Side::ToTarget ? "->" : "<-", describe(pdu));
        };
    }
    void run() { m_loop.run(); }
    void reset_all() { m_loop.reset_all(); }
    void report() {
        fmt::print("PDUs {}\n", m_proxy.pdus);
        if (m_proxy.order) fmt::print("lower CmdSNs refused {}\n", m_proxy.order->refused);
        for (const std::string& place : m_proxy.script.unused())
            fmt::print("{}: this line never came to pass\n", place);
    }

    void accepted(uint32_t id, size_t listener) override {
        const uint32_t pair = m_proxy.open(SocketLoop::now_ms());
        const uint32_t other = m_loop.connect(m_targets[listener % m_targets.size()]);
        m_ends[id] = {pair, Side::ToTarget};
        m_ends[other] = {pair, Side::ToInitiator};
    }
    void received(uint32_t id, std::span<const uint8_t> bytes) override {
        const End end = m_ends[id];
        m_proxy.handle_received(end.pair, end.toward, Bytes(bytes.begin(), bytes.end()),
                                SocketLoop::now_ms());
    }
    void ended(uint32_t id) override {
        m_proxy.handle_closed(m_ends[id].pair, SocketLoop::now_ms());
        m_ends.erase(id);
        m_loop.close(id, false);
    }
    void signalled(uint64_t now_ms) override { m_proxy.script.handle_signal(now_ms); }
    uint64_t turn(uint64_t now_ms) override {
        m_proxy.handle_timeout(now_ms);
        const auto ends = m_ends;
        for (const auto& [id, end] : ends) {
            const Side side = end.toward == Side::ToTarget ? Side::ToInitiator : Side::ToTarget;
            for (Bytes bytes = m_proxy.take_output(end.pair, side); !bytes.empty();
                 bytes = m_proxy.take_output(end.pair, side))
                m_loop.send(id, std::move(bytes));
        }
        for (const auto& [id, end] : ends) {
            if (!m_proxy.wants_close(end.pair)) continue;
            m_loop.close(id, m_proxy.wants_reset(end.pair));
            m_ends.erase(id);
        }
        return m_proxy.poll_timeout();
    }

private:
    struct End {
        uint32_t pair = 0;
        Side toward = Side::ToTarget;  // where its bytes go
    };
    Proxy m_proxy;
    SocketLoop m_loop;
    std::vector<std::string> m_targets;
    std::map<uint32_t, End> m_ends;  // by socket
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"A proxy that makes faults between an iSCSI initiator and a target."};
    std::vector<std::string> addresses;
    std::vector<std::string> targets;
    std::string script;
    uint32_t seed = 0;
    uint32_t faults = 10;
    uint32_t pdus = 1000;
    bool reset = false;
    bool refuse_lower = false;
    bool verbose = false;
    app.add_option("--listen", addresses, "ADDRESS:PORT, repeated; port 0: any")->required();
    app.add_option("--target", targets, "ADDRESS:PORT, one for each --listen in turn")->required();
    app.add_option("--script", script, "lines as script.h tells")->check(CLI::ExistingFile);
    app.add_option("--seed", seed, "faults by chance, made of this seed; they are printed");
    app.add_option("--faults", faults, "how many of them");
    app.add_option("--pdus", pdus, "among how many PDUs");
    app.add_flag("--refuse-lower-cmdsn", refuse_lower,
                 "close a connection that carries a CmdSN below the highest of its session");
    app.add_flag("--reset-at-end", reset, "what is open at SIGTERM is reset, not closed");
    app.add_flag("-v,--verbose", verbose, "print every PDU");
    CLI11_PARSE(app, argc, argv);
    try {
        std::vector<Rule> rules;
        if (!script.empty()) rules = read_script(script);
        if (app.count("--seed") != 0) {
            for (const std::string& line : random_script(seed, faults, pdus)) {
                fmt::print("{}\n", line);
                rules.push_back(parse_rule(split_words(line), line));
            }
        }
        Server server(std::move(rules), targets);
        if (verbose) server.set_verbose();
        if (refuse_lower) server.refuse_lower();
        for (const std::string& address : addresses) server.listen(address);
        server.run();
        if (reset) server.reset_all();
        server.report();
        return 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "hawser-proxy: {}\n", error.what());
        return 2;
    }
}
