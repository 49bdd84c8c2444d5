// SPDX-License-Identifier: GPL-2.0-or-later
//
// Old writes never land after new ones (docs/decisions/0008). A target whose backend takes its time
// and does not care for the connection that a write came by; a proxy that resets a connection again
// and again, from a seed, while writes to overlapping extents are under way; 500 rounds. Each time
// the disk must hold the last write that was acknowledged, or a later one (version_writer.cpp says
// how that is judged); at the end the host reads the same in the image.
//
// At level 0 the backend is tgt's. At level 2 it is the scripted target's: a command that is hung
// lies in the target while its connection is cut and its task reassigned, and is carried out then.
//
// HAWSER_OLD_WRITES_SEED and _ROUNDS: others. HAWSER_OLD_WRITES_CANARY=1: without the LOGICAL UNIT
// RESET before writes that are sent again; then it must fail, on tgt.

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include "environment.h"
#include "faults_machine.h"
#include "paths.h"
#include "peers.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr unsigned k_rounds = 500;
constexpr unsigned k_few_rounds = 30;
constexpr unsigned k_slow_ms = 3000;  // longer than it takes to log in again
constexpr uint64_t k_image_bytes = 16 << 20;
constexpr unsigned k_sectors = 64;  // as version_writer.cpp has it
constexpr Seconds k_limit{1700};

struct WritePlan {
    unsigned level;
    unsigned rounds = number_from("HAWSER_OLD_WRITES_ROUNDS", k_rounds);
    unsigned seed = number_from("HAWSER_OLD_WRITES_SEED", 1);
    bool canary = std::getenv("HAWSER_OLD_WRITES_CANARY") != nullptr;
};

// {0}: port, {1}: more options, {2}: rounds, {3}: seed.
constexpr const char* k_script = R"sh(
say() {{ echo "FAULT $*"; }}
ip link set lo up
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
hawser connect --target iqn.2026-11.hawser:root --initiator iqn.2026-11.hawser:node --root yes \
    --portal 10.0.10.2:{0},nic=eth0 --portal 10.0.11.2:{0},nic=eth1 --DefaultTime2Wait 0 \
    {1} > /tmp/out 2>&1 || cat /tmp/out
disk=$(sed -n 's/^LUN [0-9]* is //p' /tmp/out)
S=$(echo /sys/bus/hawser/devices/hawser*)
say "negotiated $(grep -e Level -e Time2 $S/negotiated | tr '\n' ' ')"
hawser-version-writer $disk {2} {3}
say "writer $?"
say "reinstatements $(cat $S/reinstatements) recoveries $(cat $S/recoveries)" \
    "disk $(cat /sys/block/$(basename $disk)/device/state)"
hawser disconnect $(basename $S) && say "logged out"
say done
)sh";

// Lines that cut, each once: a command that is lost with its connection, a response that is, a
// Data-Out or R2T between. Others are under way then.
std::string cuts_of(const WritePlan& plan) {
    std::mt19937 random(plan.seed);
    std::string script;
    const unsigned commands = plan.rounds * 12;
    const auto scatter = [&](const char* what, unsigned gap) {
        for (unsigned at = 20; at < commands; at += 1 + random() % (2 * gap))
            script +=
                fmt::format("on {} number {} do reset\n", fmt::format(fmt::runtime(what), at), at);
    };
    scatter("ScsiCommand where cdb=0x2a", 50);
    scatter("ScsiResponse", 70);
    return script;
}

// At level 2: one write in six hangs, and all that hang are woken at moments of the seed's.
std::string hangs_of(const WritePlan& plan) {
    std::mt19937 random(plan.seed + 1);
    std::string script;
    for (unsigned at = 10; at < plan.rounds * 24; at += 1 + random() % 11)
        script += fmt::format("on ScsiCommand where cdb=0x2a number {} do hang\n", at);
    const auto limit_ms = std::chrono::duration_cast<std::chrono::milliseconds>(k_limit).count();
    for (unsigned ms = 500; ms < limit_ms; ms += 100 + random() % 800)
        script += fmt::format("at {} do wake\n", ms);
    return script;
}

size_t occurrences(const std::string& text, const std::string& what) {
    size_t count = 0;
    for (size_t at = 0; (at = text.find(what, at)) != text.npos; at++) count++;
    return count;
}

void judge_image(DirectRun& run) {
    const auto said = run.machine().serial().find("versions: table ([0-9 ]+)");
    std::istringstream table(said ? said->groups[1] : "");
    std::ifstream image(run.image(), std::ios::binary);
    std::string wrong;
    unsigned same = 0;
    for (unsigned sector = 0; sector < k_sectors; sector++) {
        uint64_t told = 0, found = 0;
        table >> told;
        image.seekg(static_cast<long>(sector) * 512);
        image.read(reinterpret_cast<char*>(&found), sizeof(found));
        same += told == found && found != 0;
        if (told != found) wrong += fmt::format("{}: {}, not {}\n", sector, found, told);
    }
    run.report().check("the image holds what the machine read last", same == k_sectors, wrong);
}

void judge_versions(DirectRun& run, const WritePlan& plan, size_t cuts) {
    auto& serial = run.machine().serial();
    auto& report = run.report();
    const auto end = serial.find(
        "versions: rounds ([0-9]+) writes ([0-9]+) acknowledged ([0-9]+) errors ([0-9]+) "
        "violations ([0-9]+)");
    report.check("all rounds were played", end && end->groups[1] == std::to_string(plan.rounds));
    report.check("each write was acknowledged in the end", end && end->groups[2] == end->groups[3]);
    report.check("no error reached the writer", end && end->groups[4] == "0");
    const auto first = serial.find("versions: VIOLATION .*");
    report.check("no old write landed after a new one", end && end->groups[5] == "0",
                 first ? first->text : "");
    const auto again = serial.find("FAULT reinstatements ([0-9]+) recoveries ([0-9]+)");
    const size_t losses = again ? std::stoul(again->groups[plan.level == 2 ? 2 : 1]) : 0;
    report.check("connections were cut again and again", cuts >= plan.rounds / 5,
                 std::to_string(cuts));
    report.check("and were had again", losses >= plan.rounds / 8 && losses <= cuts + 5,
                 fmt::format("{} losses, {} cuts", losses, cuts));
    run.expect_console("the disk is running", "recoveries [0-9]+ disk running");
    run.expect_console("a clean end", "FAULT logged out");
    fmt::print("seed {}, level {}: {}; cuts {}, {}\n", plan.seed, plan.level,
               end ? end->text : "no end", cuts, again ? again->text : "");
    if (end && again) {
        report.set("versions", end->text);
        report.set("losses", again->text);
    }
}

void play_versions(DirectRun& run, const WritePlan& plan, uint16_t target_port) {
    const std::string script = cuts_of(plan);
    auto proxy = start_proxy(run.directory(), "proxy", target_port, script);
    run.report().set("target_port", proxy.port());
    const std::string options = fmt::format("--ErrorRecoveryLevel {}{}", plan.level,
                                            plan.canary ? " --lu_reset_after_loss no" : "");
    auto initramfs = hawser_initramfs(
        fmt::format(fmt::runtime(k_script), proxy.port(), options, plan.rounds, plan.seed));
    initramfs.programs.push_back(build_folder() / "bin" / "hawser-version-writer");
    const auto kernel = default_kernel();
    const auto initrd = run.directory() / "initramfs.img";
    initramfs.write(initrd, kernel);
    run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic loglevel=4"});
    run.machine().serial().expect("FAULT done", k_limit);
    run.machine().wait_for_end(Seconds(60));
    proxy.stop();
    const size_t cuts =
        occurrences(script, "\n") - occurrences(proxy.log(), "this line never came to pass");
    judge_versions(run, plan, cuts);
    const auto wire = judge_frames(run, proxy.port());
    size_t resets = 0;
    for (const auto& connection : wire.connections) resets += connection.reset_at.has_value();
    run.report().check("the cuts are on the wire", resets >= cuts / 2, std::to_string(resets));
    const auto functions = [&](const char* number) {
        return run.count_frames(proxy.port(), fmt::format("iscsi.taskmanfun.function=={}", number));
    };
    const auto reassigned = functions("8");
    run.report().check("tasks were reassigned, at level 2 alone",
                       (reassigned > 0) == (plan.level == 2), std::to_string(reassigned));
    fmt::print(
        "on the wire: {} connections reset, {} leading logins, {} LOGICAL UNIT RESET, {} TASK "
        "REASSIGN\n",
        resets, leading_logins(wire), functions("5"), reassigned);
}

// tgt closes at once and takes the next login while its threads write on.
void tell_level_0(const std::string& name, const WritePlan& plan) {
    tell_direct(name, 2, [&](DirectRun& run) {
        TargetOptions options;
        options.directory = run.directory();
        options.image = run.make_image(k_image_bytes);
        options.keys = {"DefaultTime2Wait=0"};
        options.environment = {
            "LD_PRELOAD=" + (build_folder() / "bin" / "libhawser-slow-backend.so").string(),
            fmt::format("HAWSER_SLOW_WRITE_MS={}", k_slow_ms),
            fmt::format("HAWSER_SLOW_WRITE_SEED={}", plan.seed)};
        auto& target = run.use_target(make_tgt(options));
        play_versions(run, plan, target.port());
        target.stop();
        judge_image(run);
    });
}

// The scripted target: its tasks outlive their connection.
void tell_level_2(const std::string& name, const WritePlan& plan) {
    tell_direct(name, 2, [&](DirectRun& run) {
        ScriptedTargetOptions options;
        options.directory = run.directory();
        options.image = run.make_image(k_image_bytes);
        options.settings = {"ErrorRecoveryLevel=2", "MaxConnections=2", "DefaultTime2Wait=0"};
        options.script = hangs_of(plan);
        Peer target = start_scripted_target(options);
        play_versions(run, plan, target.port());
        target.stop();
        judge_image(run);
        const std::string breaches = breaches_in(target.log());
        run.report().check("the target found no breach of a rule", breaches.empty(), breaches);
    });
}

}  // namespace

TEST_CASE("old-writes-level-0", "[more]") {
    tell_level_0("old-writes-level-0", {.level = 0});
}

TEST_CASE("old-writes-level-2", "[more]") {
    tell_level_2("old-writes-level-2", {.level = 2});
}

// As many rounds as `make check` has time for.
TEST_CASE("old-writes-few-level-0") {
    tell_level_0("old-writes-few-level-0", {.level = 0, .rounds = k_few_rounds});
}

TEST_CASE("old-writes-few-level-2") {
    tell_level_2("old-writes-few-level-2", {.level = 2, .rounds = k_few_rounds});
}
