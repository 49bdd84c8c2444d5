// SPDX-License-Identifier: GPL-2.0-or-later
//
// A file system under everything at once, with a link cut every ten seconds: what fsx, fsstress and
// log-recovery tests do (file_checker.cpp, tree_stress.cpp, durable_writer.cpp), for our session
// and, as the same run, for open-iscsi. First files are checked against memory while a tree is
// shaken. Then the machine loses its power in the middle of synced writes; the next one replays the
// journal, and must find each file that was said to be durable. At the end e2fsck has the word.
//
// HAWSER_SEED, HAWSER_CUT_SECONDS: another run, a longer one.

#include <fmt/format.h>

#include <map>

#include "disk.h"
#include "environment.h"
#include "paths.h"
#include "peer_initiator.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 192 << 20;
constexpr unsigned k_long_s = 120;
constexpr unsigned k_short_s = 15;
constexpr Seconds k_durable(8);  // of synced writes, until the power goes

using MakePeer = PeerInitiator (*)(const std::string&, uint16_t);

// {0}: LUN, {1}: seed, {2}: seconds.
constexpr const char* k_first_life = R"sh(
connect
d=$(disk {0})
mkdir -p /mnt
mount -t ext4 /dev/$d /mnt || say "cannot mount $d"
mkdir /mnt/tree
say begins
hawser-tree-stress /mnt/tree {1} {2} > /tmp/tree.log 2>&1 &
tree=$!
hawser-file-checker /mnt/checked {1} {2} > /tmp/file.log 2>&1
say "checker ended with $?"
wait $tree
say "stress ended with $?"
cat /tmp/file.log /tmp/tree.log
sync
say "$(losses)"
hawser-tree-stress /mnt/tree {1}1 1000 &
hawser-durable-writer write /mnt
)sh";

// {0}: LUN, {1}: what must be found.
constexpr const char* k_second_life = R"sh(
connect
mkdir -p /mnt
mount -t ext4 /dev/$(disk {0}) /mnt || say "cannot mount"
hawser-durable-writer check /mnt {1}
say "check ended with $?"
umount /mnt && say unmounted
leave && say "logged out"
)sh";

void add_tools(PeerInitiator& peer) {
    peer.initramfs.modules.push_back("ext4");
    for (const char* name : {"hawser-file-checker", "hawser-tree-stress", "hawser-durable-writer"})
        peer.initramfs.programs.push_back(build_folder() / "bin" / name);
}

// The newest version of each slot that the console had said was durable.
std::string durable_slots(Machine& machine) {
    static const std::regex k_line("^durable ([0-9]+) ([0-9]+)$");
    std::map<std::string, std::string> newest;
    std::smatch match;
    for (const auto& line : machine.serial().lines()) {
        if (std::regex_search(line.text, match, k_line)) newest[match[1]] = match[2];
    }
    std::string slots;
    for (const auto& [slot, version] : newest) slots += fmt::format(" {}:{}", slot, version);
    return slots;
}

std::string shake(DirectRun& run, PeerInitiator peer, unsigned seed, unsigned seconds) {
    auto& report = run.report();
    add_tools(peer);
    auto& machine =
        start_peer(run, std::move(peer),
                   fmt::format(fmt::runtime(k_first_life), run.target().lun(), seed, seconds));
    machine.serial().expect("PEER begins", Seconds(120));
    const unsigned cuts = cut_until(machine, "^durable [0-9]+ [0-9]+", Seconds(seconds + 120));
    report.phase("shaken", machine.now());
    cut_until(machine, "there is no such line", k_durable);
    report.check("links were cut meanwhile", cuts > 0, std::to_string(cuts));
    machine.kill();
    run.expect_console("each byte of the checked file was right", "PEER checker ended with 0");
    run.expect_console("no operation on the tree failed", "PEER stress ended with 0");
    report.set("losses", run.expect_console("the session's losses", "PEER re.*"));
    const auto complaints = kernel_complaints(machine.serial().lines());
    report.check("the first kernel has nothing to complain about", complaints.empty(),
                 complaints.empty() ? "" : complaints.front());
    std::filesystem::rename(run.directory() / "serial.log", run.directory() / "serial-1.log");
    return durable_slots(machine);
}

void recover(DirectRun& run, PeerInitiator peer, const std::string& slots) {
    auto& report = run.report();
    report.check("files were said to be durable", !slots.empty());
    auto state = inspect_file_system(run.image());
    report.check("the journal is to be replayed", state.needs_recovery);
    add_tools(peer);
    auto& machine = start_peer(run, std::move(peer),
                               fmt::format(fmt::runtime(k_second_life), run.target().lun(), slots));
    machine.wait_for_end(Seconds(150));
    run.expect_console("it was replayed", "EXT4-fs .*recovery complete");
    run.expect_console("what was said to be durable is there", "PEER check ended with 0");
    run.expect_console("a clean end", "PEER logged out");
    run.target().stop();
    state = inspect_file_system(run.image());
    report.check("e2fsck -n finds a clean file system", state.clean, state.report);
    report.check("no journal to replay", !state.needs_recovery);
}

void tell_file_system(const std::string& name, MakePeer make, unsigned seconds) {
    const unsigned seed = number_from("HAWSER_SEED", 1);
    seconds = number_from("HAWSER_CUT_SECONDS", seconds);
    fmt::print("again: HAWSER_SEED={} HAWSER_CUT_SECONDS={} build/bin/hawser-qemu {}\n", seed,
               seconds, name);
    tell_direct(name, 2, [&](DirectRun& run) {
        auto& target = run.start_tgt(k_disk_bytes);
        run_checked({"/sbin/mke2fs", "-q", "-t", "ext4", run.image().string()});
        const auto slots = shake(run, make(target.name(), target.port()), seed, seconds);
        recover(run, make(target.name(), target.port()), slots);
        if (run.report().passed()) std::filesystem::remove(run.image());
    });
}

}  // namespace

TEST_CASE("file-system-few") {
    tell_file_system("file-system-few", our_initiator, k_short_s);
}

TEST_CASE("file-system", "[more]") {
    tell_file_system("file-system", our_initiator, k_long_s);
}

TEST_CASE("file-system-open-iscsi", "[more]") {
    tell_file_system("file-system-open-iscsi", open_iscsi, k_long_s);
}
