// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults 20, 21 and 22: R2Ts in no order, against the direction of their command, and digests that
// do not fit. The scripted target lies by lines that the machine's script calls up one by one, and
// judges what comes of it.

#include <fmt/format.h>

#include <csignal>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>

#include "faults_machine.h"

using namespace hawser::qemu;

namespace {

constexpr Seconds k_limit{300};
constexpr uint64_t k_image_bytes = 64 << 20;

// {}: options of connect; each word of the loop is one lie. 256 KiB are written and compared.
constexpr const char* k_written_under_lies = R"sh(
connect {}
for lie in {}; do
    act lie
    dd if=/tmp/noise of=$disk bs=64k count=4 oflag=direct 2>/dev/null
    say "$lie: write $? $(counters)"
    read_back 16 | sed "s/FAULT/FAULT $lie:/"
    until_logged_in
done
hawser disconnect $(basename $S) && say "logged out"
)sh";

void run_story(DirectRun& run, Peer& target, const std::string& script, unsigned nics = 1) {
    FaultMachineOptions options;
    options.port = target.port();
    options.nics = nics;
    options.script = script + "say done\n";
    start_fault_machine(run, options);
    play(run, {{"lie", [&] { target.signal(SIGUSR1); }}}, k_limit);
    run.machine().wait_for_end(Seconds(60));
}

void expect_lie(DirectRun& run, const std::string& lie, const std::string& counters) {
    run.expect_console(lie + ": the write went through, " + counters,
                       fmt::format("FAULT {}: write 0 {}", lie, counters));
    run.expect_console(lie + ": what was written is read back",
                       fmt::format("FAULT {}: read back: same", lie));
}

// R2Ts by connection and Target Transfer Tag: how many had a Data-Out of the same offset twice.
size_t tags_answered_twice(const std::string& log) {
    static const std::regex k_data_out(
        " (c[0-9]+) -> DataOut .*(ttt=[0-9a-f]+) .*(buffer_offset=[0-9]+)");
    std::multiset<std::string> answers;
    std::istringstream lines(log);
    std::smatch seen;
    for (std::string line; std::getline(lines, line);)
        if (std::regex_search(line, seen, k_data_out))
            answers.insert(seen[1].str() + seen[2].str() + seen[3].str());
    if (answers.empty()) throw std::runtime_error("the target's log tells of no Data-Out");
    size_t twice = 0;
    for (const auto& answer : std::set<std::string>(answers.begin(), answers.end()))
        twice += answers.count(answer) > 1;
    return twice;
}

// Where recovery may repeat an R2T there is one at a time (13.19). A second one comes twice: it
// counts once (7.9). Another one is late: the target asks anew, with the next R2TSN (11.8), and the
// hole before that is asked for by SNACK. Without recovery there are several at a time, and a hole
// in R2TSN, or a range that does not follow the last one, ends the session (7.8, 11.8).
constexpr const char* k_r2ts =
    "on R2t after 1 number 2 do duplicate\n"
    "on R2t after 2 number 2 do hold\n"
    "on R2t after 2 number 3 do pass then release\n"
    "on R2t after 3 number 2 do hold\n"
    "on R2t after 3 number 3 do pass then release\n"
    "on R2t after 4 number 2 do set buffer_offset=4096\n"
    "on R2t after 5 number 1 do set buffer_offset=67108864\n";

void judge_r2ts(DirectRun& run, Peer& target) {
    judge_peer(run, target);
    judge_frames(run, target.port());
    expect_lie(run, "twice", "reinstatements 0 recoveries 0");
    expect_lie(run, "late", "reinstatements 0 recoveries 0");
    expect_lie(run, "swapped", "reinstatements 1 recoveries 0");
    expect_lie(run, "overlapping", "reinstatements 2 recoveries 0");
    expect_lie(run, "beyond", "reinstatements 3 recoveries 0");
    for (const char* refusal : {"R2T out of order", "R2T beyond the command's data"})
        run.expect_console("refused for what it is",
                           fmt::format("hawser0: connection 0 .*{}", refusal));
    const auto snacks = run.count_frames(target.port(), "iscsi.opcode==0x10");
    run.report().check("what was missing was asked for by SNACK", snacks >= 1,
                       std::to_string(snacks));
    const size_t twice = tags_answered_twice(target.log());
    run.report().check("no R2T is answered twice", twice == 0, std::to_string(twice));
}

}  // namespace

TEST_CASE("fault-20-r2t-order", "[fault]") {
    tell_direct("fault-20-r2t-order", 1, [](DirectRun& run) {
        run.make_image(k_image_bytes);
        auto target =
            start_image_target(run, k_r2ts,
                               {"ErrorRecoveryLevel=1", "InitialR2T=Yes", "ImmediateData=No",
                                "burst_bytes=8192", "MaxOutstandingR2T=4"});
        run_story(run, target,
                  fmt::format(fmt::runtime(k_written_under_lies), "--ErrorRecoveryLevel 1",
                              "twice late") +
                      fmt::format(fmt::runtime(k_written_under_lies),
                                  "--ErrorRecoveryLevel 0 --MaxOutstandingR2T 4",
                                  "swapped overlapping beyond"));
        judge_r2ts(run, target);
        run.expect_console("a clean end", "FAULT logged out");
        note_fault(run.report(), 20, "R2Ts twice, out of order, overlapping, beyond the data", {},
                   "duplicate dropped, a late one had again by SNACK, order kept, the illegal ones "
                   "cost the session; each write read back the same; the target finds no breach");
    });
}

TEST_CASE("fault-21-against-the-direction", "[fault]") {
    tell_direct("fault-21-against-the-direction", 1, [](DirectRun& run) {
        run.make_image(k_image_bytes);
        auto target = start_image_target(
            run,
            "on ScsiCommand after 1 number 1 where read=1 do answer R2t ttt=0x4d4d r2t_sn=0 "
            "buffer_offset=0 length=4096\n"
            "on ScsiCommand after 2 number 1 where write=1 do send DataIn final=1 data_sn=0 "
            "buffer_offset=0 data_bytes=4096\n");
        run_story(run, target,
                  fmt::format(fmt::runtime(k_written_under_lies), "",
                              "r2t-for-read "
                              "data-in-for-write"));
        judge_peer(run, target);
        judge_frames(run, target.port());
        run.expect_console("the R2T cost the session",
                           "FAULT data-in-for-write: write 0 "
                           "reinstatements [2-9]");
        for (const char* lie : {"r2t-for-read", "data-in-for-write"})
            run.expect_console(fmt::format("{}: what was written is read back", lie),
                               fmt::format("FAULT {}: read back: same", lie));
        const auto leaked = run.count_frames(
            target.port(), "iscsi.opcode==0x05 && iscsi.targettransfertag==0x4d4d");
        run.report().check("no memory went out for the R2T", leaked == 0, std::to_string(leaked));
        const auto asked = run.count_frames(
            target.port(), "iscsi.opcode==0x31 && iscsi.targettransfertag==0x4d4d");
        run.report().check("though it was asked for", asked == 1, std::to_string(asked));
        run.expect_console("a clean end", "FAULT logged out");
        note_fault(
            run.report(), 21, "R2T for a read, Data-In for a write", {},
            fmt::format("each cost the session; {} Data-Out for the R2T; data the same", leaked));
    });
}

namespace {

constexpr const char* k_digests = R"sh(
for level in 0 1 2; do
    connect --ErrorRecoveryLevel $level --HeaderDigest CRC32C --DataDigest CRC32C
    dd if=/tmp/noise of=$disk bs=64k count=4 oflag=direct 2>/dev/null
    for part in header data; do
        act lie
        read_back 16 | sed "s/FAULT/FAULT $level $part:/"
        say "$level $part: $(counters)"
        until_logged_in
    done
    hawser disconnect $(basename $S) && say "logged out $level"
done
)sh";

}  // namespace

TEST_CASE("fault-22-digests", "[fault]") {
    tell_direct("fault-22-digests", 2, [](DirectRun& run) {
        run.make_image(k_image_bytes);
        std::string script;
        for (int i = 1; i <= 6; ++i)
            script += fmt::format("on DataIn after {} number 2 do corrupt {}\n", i,
                                  i % 2 == 1 ? "header" : "data");
        auto target = start_image_target(
            run, script,
            {"ErrorRecoveryLevel=2", "MaxConnections=4", "HeaderDigest=CRC32C,None",
             "DataDigest=CRC32C,None", "data_in_bytes=4096"});
        run_story(run, target, k_digests, 2);
        judge_peer(run, target);
        judge_frames(run, target.port());
        const char* rows[][2] = {
            {"0 header", "reinstatements 1 recoveries 0"},
            {"0 data", "reinstatements [12] recoveries 0"},
            {"1 header", "reinstatements 1 recoveries 0"},
            {"1 data", "reinstatements 1 recoveries 0"},
            {"2 header", "reinstatements 0 recoveries 1"},
            {"2 data", "reinstatements 0 recoveries 1"},
        };
        for (const auto& row : rows) {
            run.expect_console(fmt::format("level {}: read the same", row[0]),
                               fmt::format("FAULT {}: read back: same", row[0]));
            run.expect_console(fmt::format("level {}: {}", row[0], row[1]),
                               fmt::format("FAULT {}: {}", row[0], row[1]));
        }
        const auto snacks = run.count_frames(target.port(), "iscsi.opcode==0x10");
        run.report().check("at levels 1 and 2 the data is asked for again, by SNACK", snacks >= 2,
                           std::to_string(snacks));
        for (int level = 0; level < 3; ++level)
            run.expect_console("a clean end", fmt::format("FAULT logged out {}", level));
        note_fault(
            run.report(), 22, "digest bits flipped, header and data, at levels 0, 1, 2", {},
            fmt::format("header: reinstated at 0 and 1, reassigned at 2; data: {} SNACKs at 1 "
                        "and 2; read the same each time",
                        snacks));
    });
}
