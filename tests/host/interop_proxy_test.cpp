// SPDX-License-Identifier: GPL-2.0-or-later
// The engine through hawser-proxy to a tgt, under a load of reads and writes and faults from a
// seed. Every block says which one it is and which version, so that a read has one right answer,
// and the image has at the end; and every run comes to an end.
//
// Theory. The faults are what a network can do to a TCP connection (bytes late, few at a time, cut
// off, a reset, silence), and what digests are there to find: bits that changed, bytes that are too
// many or too few. tgt has ErrorRecoveryLevel 0, so a PDU that vanished whole would be no fault
// that anybody could notice, and is left to tests/sim. Logins are spared: a name that was damaged
// on its way, without a digest, is a name that the target rightly refuses.
//
// HAWSER_SEEDS and HAWSER_FIRST_SEED make a campaign of it.
#include "program.hpp"

#include <random>

using namespace hawser;
using namespace hawser::test;

namespace {

constexpr uint32_t k_slots = 512;
constexpr size_t k_slot = 8192;
constexpr uint32_t k_operations = 400;
constexpr uint32_t k_at_once = 12;
constexpr uint32_t k_faults = 8;

using Dice = std::mt19937;

uint32_t below(Dice& dice, uint32_t limit) {
    return static_cast<uint32_t>(dice()) % limit;
}

std::string faults_of(uint32_t seed) {
    Dice dice(seed);
    std::string script;
    for (uint32_t i = 0; i < k_faults; i++) {
        const bool to_target = below(dice, 2) != 0;
        if (below(dice, 4) == 0) {
            const char* k_actions[] = {"mutate", "inject 3", "drop 1", "reset", "silence 3000"};
            script += fmt::format("byte {} toward {} do {}\n", 16384 + below(dice, 1 << 20),
                                  to_target ? "target" : "initiator", k_actions[below(dice, 5)]);
            continue;
        }
        const char* k_requests[] = {"ScsiCommand", "DataOut"};
        const char* k_answers[] = {"ScsiResponse", "DataIn", "R2t"};
        const char* k_actions[] = {"split 3", "corrupt header", "corrupt data",  "close",
                                   "reset",   "silence 4000",   "trickle 100 1", "truncate 20"};
        script += fmt::format("on {} number {} do {}\n",
                              to_target ? k_requests[below(dice, 2)] : k_answers[below(dice, 3)],
                              1 + below(dice, 150), k_actions[below(dice, 8)]);
    }
    return script;
}

// Some slots, read or written.
struct Work {
    uint32_t first = 0;
    uint32_t count = 0;
    bool write = false;
    uint32_t version = 0;
    std::vector<uint8_t> data;
    Request request;
    bool active = false;
};

class Load {
public:
    Load(PosixHost& host, uint32_t seed) : m_host(host), m_dice(seed), m_works(k_at_once) {}

    // False: it did not come to its end in time.
    bool run(double seconds) {
        return m_host.run_until([this] { return m_host.ended() || step(); }, seconds) &&
               !m_host.ended();
    }
    void check_image(const fs::path& image) const {
        std::ifstream stream(image, std::ios::binary);
        std::vector<uint8_t> bytes(k_slot);
        for (uint32_t slot = 0; slot < k_slots; slot++) {
            stream.read(reinterpret_cast<char*>(bytes.data()), std::streamsize(k_slot));
            INFO("slot " << slot << " version " << m_versions[slot]);
            REQUIRE(bytes == content(slot, m_versions[slot]));
        }
    }

private:
    static std::vector<uint8_t> content(uint32_t slot, uint32_t version) {
        if (version == 0) return std::vector<uint8_t>(k_slot);
        return pattern(k_slot, slot << 16 | version);
    }

    bool step() {
        bool idle = true;
        for (Work& work : m_works) {
            if (work.active && work.request.result.done) finish(work);
            if (!work.active && m_begun < k_operations) begin(work);
            idle = idle && !work.active;
        }
        return idle && m_begun == k_operations;
    }

    void begin(Work& work) {
        work.count = 1 + below(m_dice, 16);
        work.first = below(m_dice, k_slots - work.count);
        work.write = below(m_dice, 100) < 60;
        for (const Work& other : m_works)
            if (other.active && (other.write || work.write) &&
                other.first < work.first + work.count && work.first < other.first + other.count)
                return;
        m_begun++;
        work.version = m_begun;
        work.data.assign(work.count * k_slot, 0xee);
        for (uint32_t i = 0; work.write && i < work.count; i++) {
            const auto slot = content(work.first + i, work.version);
            std::copy(slot.begin(), slot.end(), work.data.begin() + long(i * k_slot));
        }
        const uint32_t block = work.first * uint32_t{k_slot / k_block};
        work.request = work.write ? write10(block, work.data) : read10(block, work.data);
        work.active = true;
        m_host.submit(work.request);
    }

    void finish(Work& work) {
        // UNIT ATTENTION after a login, BUSY: sd would try again.
        if (work.request.result.response != 0 || work.request.result.status != 0)
            return m_host.submit(work.request);
        work.active = false;
        for (uint32_t i = 0; i < work.count; i++) {
            uint32_t& version = m_versions[work.first + i];
            if (work.write) version = work.version;
            const auto from = work.data.begin() + long(i * k_slot);
            INFO("slot " << work.first + i << " version " << version);
            REQUIRE(
                std::equal(from, from + long(k_slot), content(work.first + i, version).begin()));
        }
    }

    PosixHost& m_host;
    Dice m_dice;
    std::vector<Work> m_works;
    uint32_t m_versions[k_slots] = {};
    uint32_t m_begun = 0;
};

uint32_t number_of(const char* name, uint32_t fallback) {
    const char* value = std::getenv(name);
    return value != nullptr ? static_cast<uint32_t>(std::atoi(value)) : fallback;
}

}  // namespace

TEST_CASE("through the proxy to tgt: faults by seed, no data is wrong or lost",
          "[interop][proxy][tgt]") {
    const uint32_t first = number_of("HAWSER_FIRST_SEED", 1);
    const uint32_t seeds = number_of("HAWSER_SEEDS", 4);
    uint32_t reinstatements = 0;
    for (uint32_t seed = first; seed < first + seeds; seed++) {
        Fixture fixture;
        const fs::path script = fixture.directory / "faults";
        std::ofstream(script) << faults_of(seed);
        Program proxy(fixture.directory, "hawser-proxy",
                      {"--target", fmt::format("127.0.0.1:{}", fixture.target->port()), "--script",
                       script.string()});
        PosixHost host(fmt::format(
            "target={} initiator=iqn.2026-11.hawser:test portal=127.0.0.1:{} connections=3 "
            "HeaderDigest=CRC32C DataDigest=CRC32C noop_out_interval=1 noop_out_timeout=3 "
            "login_timeout=5",
            fixture.target->name(), proxy.port()));
        REQUIRE(host.login(30));
        Load load(host, seed);
        const bool whole = load.run(120);
        INFO("seed " << seed << ": HAWSER_FIRST_SEED=" << seed << " HAWSER_SEEDS=1\n"
                     << faults_of(seed) << host.story());
        REQUIRE(whole);
        load.check_image(fixture.image);
        REQUIRE(host.run_until([&] { return host.settled(); }, 60));
        host.logout();
        REQUIRE(host.run_until([&] { return host.ended(); }, 30));
        CHECK(proxy.end() == 0);
        reinstatements += host.snapshot().reinstatements;
        fixture.target->stop();
        load.check_image(fixture.image);
    }
    // Faults that nobody noticed would be none.
    CHECK(reinstatements >= seeds / 2);
}
