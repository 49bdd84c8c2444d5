// SPDX-License-Identifier: GPL-2.0-or-later
//
// A target that comes back wrong while a node writes: without its LUNs; with another disk under the
// LUN; with a status or sense that it should not send. docs/results.md says what becomes of each:
// held, or sent again, and loud where a disk is another. Never is the disk offline, nor another
// disk written to; and when the right one is back what was held goes on.

#include <fmt/format.h>

#include <csignal>
#include <fstream>

#include "faults_machine.h"

using namespace hawser::qemu;

namespace {

namespace fs = std::filesystem;

constexpr uint64_t k_image_bytes = 64 << 20;
constexpr Seconds k_limit{500};

struct Nonsense {
    const char* name;
    unsigned times;
    std::string change;  // of the response to a write
};

// Fixed format sense data behind its length, as a script writes bytes: '|' is a zero.
std::string sense_of(char format, char key, const std::string& code) {
    std::string bytes = "|\x12";
    bytes += format;
    bytes += '|';
    bytes += key;
    return "set status=2 then text \"" + bytes + "||||\x0b||||" + code + "||||\"";
}

// 0x77 is a status, and 0x01 a format of sense data, that nobody knows.
const Nonsense k_nonsense[] = {
    {"status-77", 5, "set status=0x77"},
    {"no-sense", 5, "set status=2"},
    {"garbage-sense", 5, sense_of('\x01', '\x0e', "\x77\x77")},
    {"not-ready", 5, sense_of('\x70', '\x02', "\x04\x01")},
    {"no-such-lun", 5, sense_of('\x70', '\x05', "\x25|")},
    {"attention", 7, sense_of('\x70', '\x06', "\x29|")},
    {"aborted", 5, sense_of('\x70', '\x0b', "\x47\x05")},
    {"medium-error", 2, sense_of('\x70', '\x03', "\x0c|")},
};

// Comes in the write's stead of a good answer: the writes after the N-th signal.
std::string nonsense_script() {
    std::string script;
    unsigned signal = 0;
    for (const auto& one : k_nonsense)
        script += fmt::format("on ScsiResponse after {} number 1..{} where status=0 do {}\n",
                              ++signal, one.times, one.change);
    return script;
}

// held: no write completes for 5 s.
std::string guest_script() {
    std::string script = R"sh(
connect
writer
device() { echo "device $(cat $block/device/state)"; }
console() { until dmesg | grep -q "$1"; do usleep 200000; done; }
held() {
    sleep 2
    from=$(writes)
    sleep 5
    say "$1: $(($(writes) - from)) writes in 5 s, $(device)"
}
back() {
    act right
    under_way 3
    say "after $1: it writes, $(device)"
}
under_way 5
act empty
console 'is not there yet'
held empty
back empty
act other
console 'IS ANOTHER DISK'
held other
back other
)sh";
    for (const auto& one : k_nonsense)
        script += fmt::format("act nonsense\nunder_way 10\nsay \"{}: $(device)\"\n", one.name);
    return script +
           "end_writer\nsay \"$(counters)\"\n"
           "hawser disconnect $(basename $S) && say \"logged out\"\nsay done\n";
}

std::string sum_of_file(const fs::path& file) {
    return run_checked({"sha256sum", file.string()}, Seconds(120)).substr(0, 64);
}

fs::path make_other_disk(const DirectRun& run) {
    const auto file = run.directory() / "other.img";
    std::ofstream(file) << "another disk\n";
    run_checked({"sh", "-c", "head -c 1048576 /dev/urandom >> \"$1\"", "sh", file.string()});
    fs::resize_file(file, k_image_bytes);
    return file;
}

// One target after the other, behind a proxy on one port. The right one is tgt, the other disk is
// our own target's: another name, under the same LUN.
class WrongTargets {
public:
    WrongTargets(DirectRun& run, fs::path other) : run_(run), other_image_(std::move(other)) {
        start_tgt(run_.image());
        connect(tgt_->port(), "");
    }
    uint16_t port() const { return proxy_->port(); }
    Peer& proxy() { return *proxy_; }
    void empty() {
        start_tgt({});
        connect(tgt_->port(), "");
    }
    void other() {
        tgt_.reset();
        ScriptedTargetOptions options;
        options.directory = run_.directory();
        options.log = "other.log";
        options.name = k_fault_target;
        options.settings = {"luns=2", "MaxConnections=4"};
        options.image = other_image_;
        other_ = std::make_unique<Peer>(start_scripted_target(options));
        connect(other_->port(), "");
    }
    void right() {
        if (other_) other_->stop();
        start_tgt(run_.image());
        connect(tgt_->port(), nonsense_script());
    }
    // After all: what was written is the host's.
    void end() {
        proxy_->stop();
        tgt_->stop();
    }
    std::string log_of_other() const { return other_->log(); }

private:
    void start_tgt(const fs::path& image) {
        tgt_.reset();
        TargetOptions options;
        options.directory = run_.directory();
        options.image = image;
        tgt_ = make_tgt(options);
    }
    void connect(uint16_t target_port, const std::string& script) {
        const uint16_t port = proxy_ ? proxy_->port() : 0;
        if (proxy_) proxy_->kill();
        proxy_ = std::make_unique<Peer>(start_proxy(
            run_.directory(), fmt::format("proxy-{}", count_++), target_port, script, port));
    }

    DirectRun& run_;
    fs::path other_image_;
    unsigned count_ = 0;
    std::unique_ptr<Target> tgt_;
    std::unique_ptr<Peer> other_;
    std::unique_ptr<Peer> proxy_;
};

void judge_peers(DirectRun& run, WrongTargets& targets) {
    targets.end();
    const auto log = targets.log_of_other();
    run.report().check(
        "the other target was asked, and nothing was written to it",
        log.find("bytes written 0,") != log.npos && log.find("commands 0,") == log.npos,
        log.substr(log.size() > 400 ? log.size() - 400 : 0));
    run.report().check("the other target finds no breach of the RFC", breaches_in(log).empty(),
                       breaches_in(log));
    const auto told = targets.proxy().log();
    run.report().check("each kind of nonsense was told",
                       told.find("never came to pass") == told.npos);
}

void judge_story(DirectRun& run) {
    for (const char* wrong : {"empty", "other"}) {
        run.expect_console(fmt::format("{}: its I/O is held, it is not offline", wrong),
                           fmt::format("FAULT {}: 0 writes in 5 s, device running", wrong));
        run.expect_console(fmt::format("{}: what was held goes on", wrong),
                           fmt::format("FAULT after {}: it writes, device running", wrong));
    }
    for (const auto& one : k_nonsense)
        run.expect_console(fmt::format("{}: the writes go on", one.name),
                           fmt::format("FAULT {}: device running", one.name));
    run.expect_console("another disk is told loudly", "IS ANOTHER DISK: nothing is written to it");
    run.expect_console("a LUN that is away is told", "is not there yet: its I/O is held");
    run.expect_console("reinstated four times, and no more", "FAULT reinstatements 4 recoveries 0");
    run.report().check("no I/O error in the kernel's log",
                       !run.machine().serial().find("I/O error|offlined"));
    run.expect_console("a clean end", "FAULT logged out");
}

void judge_nonsense(DirectRun& run, uint16_t port) {
    unsigned wanted = 0;
    for (const auto& one : k_nonsense)
        if (one.change.starts_with("set status=2")) wanted += one.times;
    // By its bytes: tshark takes a response of an unknown status for no iSCSI at all.
    const auto strange = run.count_frames(port, "tcp.payload[0:4]==21:80:00:77");
    const auto checks =
        run.count_frames(port, "iscsi.opcode==0x21 && iscsi.scsiresponse.status==2");
    run.report().check("status 0x77 was on the wire", strange == 5, std::to_string(strange));
    run.report().check("so were the CHECK CONDITIONs", checks >= wanted - 3,
                       fmt::format("{} frames of {}", checks, wanted));
    fmt::print("on the wire: {} frames with status 0x77, {} with CHECK CONDITION\n", strange,
               checks);
}

}  // namespace

TEST_CASE("target-comes-back-wrong") {
    tell_direct("target-comes-back-wrong", 2, [](DirectRun& run) {
        run.make_image(k_image_bytes);
        const auto other = make_other_disk(run);
        const auto before = sum_of_file(other);
        WrongTargets targets(run, other);
        const uint16_t port = targets.port();
        FaultMachineOptions options;
        options.port = port;
        options.script = guest_script();
        start_fault_machine(run, options);
        play(run,
             {{"empty", [&] { targets.empty(); }},
              {"other", [&] { targets.other(); }},
              {"right", [&] { targets.right(); }},
              {"nonsense", [&] { targets.proxy().signal(SIGUSR1); }}},
             k_limit);
        run.machine().wait_for_end(Seconds(60));
        judge_peers(run, targets);
        const double stall = judge_writer(run);
        judge_story(run);
        judge_frames(run, port);
        judge_nonsense(run, port);
        const auto after = sum_of_file(other);
        run.report().check("the other disk is byte for byte what it was", before == after,
                           before + " became " + after);
        fmt::print("longest stall {:.1f} s; the other disk: {} before and after\n", stall,
                   after.substr(0, 16));
    });
}
