// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-target: the scripted target on TCP. Correct without a script, strict always: a breach of
// the RFC by the initiator is told at once, and makes the exit status 1.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "case.h"
#include "socket_loop.h"

using namespace hawser::target;

namespace {

// The disk: anonymous memory, or a file's.
std::span<uint8_t> map_disk(const std::string& file, size_t megabytes) {
    size_t bytes = megabytes << 20;
    int fd = -1;
    if (!file.empty()) {
        fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
        struct stat status {};
        if (fd < 0 || ::fstat(fd, &status) != 0)
            throw std::runtime_error(file + ": " + std::strerror(errno));
        bytes = static_cast<size_t>(status.st_size) / k_block_bytes * k_block_bytes;
        if (bytes == 0) throw std::runtime_error(file + ": shorter than a block of 512 bytes");
    }
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        throw std::runtime_error(fmt::format("{} bytes: {}", bytes, std::strerror(errno)));
    if (fd >= 0) ::close(fd);
    return {static_cast<uint8_t*>(memory), bytes};
}

class Server : public SocketHandler {
public:
    Server(Settings settings, std::vector<Rule> script, std::span<uint8_t> memory)
        : m_target(std::move(settings), std::move(script), memory), m_loop(*this) {
        m_target.judge.leeway_ms = 250;  // of a virtual machine's clock, on a busy host
        m_target.judge.on_breach = [](const Breach& breach) {
            fmt::print("breach of rule {} (RFC 7143 {}) on connection {}: {}\n", breach.rule,
                       breach.section, breach.connection, breach.words);
            std::fflush(stdout);
        };
    }

    void listen(const std::string& address) {
        fmt::print("listening on {}:{}\n", address.substr(0, address.rfind(':')),
                   m_loop.listen(address));
        std::fflush(stdout);
    }
    void set_verbose() {
        m_target.log = [](const std::string& line) { fmt::print("{}\n", line); };
    }
    void run() { m_loop.run(); }

    // How many breaches there were.
    size_t report() {
        m_target.judge.finish(SocketLoop::now_ms());
        const Counters& counters = m_target.target.counters;
        fmt::print(
            "logins {}, commands {}, bytes read {}, bytes written {}, SNACKs {}, "
            "recovery R2Ts {}, tasks reassigned {}, rejects {}\n",
            counters.logins, counters.commands, counters.bytes_read, counters.bytes_written,
            counters.snacks, counters.recovery_r2ts, counters.reassigned, counters.rejects);
        for (const std::string& place : m_target.script.unused())
            fmt::print("{}: this line of the script never came to pass\n", place);
        fmt::print("breaches {}\n", m_target.judge.breaches().size());
        return m_target.judge.breaches().size();
    }

    void accepted(uint32_t id, size_t) override {
        m_links[id] = m_target.target.open(SocketLoop::now_ms());
    }
    void received(uint32_t id, std::span<const uint8_t> bytes) override {
        m_target.target.handle_received(m_links[id], bytes, SocketLoop::now_ms());
    }
    void ended(uint32_t id) override {
        m_target.target.handle_closed(m_links[id], SocketLoop::now_ms());
        m_links.erase(id);
        m_loop.close(id, false);
    }
    void signalled(uint64_t now_ms) override { m_target.script.handle_signal(now_ms); }
    uint64_t turn(uint64_t now_ms) override {
        if (m_target.poll_timeout() <= now_ms) m_target.handle_timeout(now_ms);
        const auto links = m_links;
        for (const auto& [id, link] : links) {
            for (Bytes bytes = m_target.target.take_output(link); !bytes.empty();
                 bytes = m_target.target.take_output(link))
                m_loop.send(id, std::move(bytes));
            if (!m_target.target.wants_close(link)) continue;
            m_target.judge.closed(link, false, now_ms);
            m_target.target.handle_closed(link, now_ms);
            m_loop.close(id, m_target.target.wants_reset(link));
            m_links.erase(id);
        }
        return m_target.poll_timeout();
    }

private:
    ScriptedTarget m_target;
    SocketLoop m_loop;
    std::map<uint32_t, uint32_t> m_links;  // socket: connection
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"A scripted, strict iSCSI target with a RAM disk."};
    std::vector<std::string> addresses;
    std::vector<std::string> settings;
    std::string name = "iqn.2026-11.hawser:target";
    std::string script;
    std::string file;
    size_t megabytes = 64;
    bool verbose = false;
    app.add_option("--listen", addresses, "ADDRESS:PORT, repeated; port 0: any")->required();
    app.add_option("--name", name, "the target's iSCSI name");
    app.add_option("--size", megabytes, "MiB of the RAM disk")->check(CLI::Range(1, 4096));
    app.add_option("--file", file, "the disk is this file, not memory");
    app.add_option("--set", settings, "KEY=VALUE: an RFC key that it wishes, or a setting");
    app.add_option("--script", script, "a .case file; its steps and expectations do not count");
    app.add_flag("-v,--verbose", verbose, "print every PDU");
    CLI11_PARSE(app, argc, argv);
    try {
        Case lines;
        if (!script.empty()) lines = read_case(script);
        lines.settings.name = name;
        lines.settings.addresses = addresses;
        for (const std::string& word : settings) {
            const auto [key, value] = split_pair(word, "--set");
            apply_setting(lines.settings, key, value, "--set");
        }
        Server server(lines.settings, lines.script, map_disk(file, megabytes));
        if (verbose) server.set_verbose();
        for (const std::string& address : addresses) server.listen(address);
        server.run();
        return server.report() == 0 ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "hawser-target: {}\n", error.what());
        return 2;
    }
}
