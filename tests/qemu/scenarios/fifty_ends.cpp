// SPDX-License-Identifier: GPL-2.0-or-later
//
// Fifty boots and shutdowns in a row, under write load, with one fault during each shutdown: a
// connection is reset, the target (tgt) restarts, all is silent for some seconds, or the target is
// dead for good. Which, and when, comes from a seed. Each end must be clean on the wire and on the
// disk; or, and only where the target stayed dead, named on the console as not clean.
//
// HAWSER_ENDS, HAWSER_ENDS_FIRST and HAWSER_ENDS_SEED: how many, from which, and another seed.

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <latch>
#include <map>
#include <random>
#include <thread>

#include "disk.h"
#include "environment.h"
#include "faults_machine.h"

using namespace hawser::qemu;

namespace {

constexpr unsigned k_ends = 50;
constexpr uint64_t k_image_bytes = 64 << 20;
constexpr unsigned k_grace_s = 20;
constexpr unsigned k_dead_each = 10;  // one in so many stays dead

enum class EndFault { Reset, Restart, Silence, Dead };

struct End {
    unsigned number = 0;
    EndFault fault = EndFault::Reset;
    unsigned after_ms = 0;
    unsigned lasts_ms = 0;
    std::string words() const {
        static const std::map<EndFault, const char*> k_names = {{EndFault::Reset, "reset"},
                                                                {EndFault::Restart, "restart"},
                                                                {EndFault::Silence, "silence"},
                                                                {EndFault::Dead, "dead"}};
        return fmt::format("{} after {} ms for {} ms", k_names.at(fault), after_ms, lasts_ms);
    }
};

std::vector<End> ends_of(unsigned first, unsigned count, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<End> ends;
    for (unsigned i = 1; i < first + count; ++i) {
        End end;
        end.number = i;
        end.fault = i % k_dead_each == 0 ? EndFault::Dead : static_cast<EndFault>(random() % 3);
        // Dead at once: later it might have had all, and then its end is clean.
        end.after_ms = end.fault == EndFault::Dead ? 0 : static_cast<unsigned>(random() % 2500);
        end.lasts_ms = 500 + static_cast<unsigned>(random() % 4500);
        if (i >= first) ends.push_back(end);
    }
    return ends;
}

// Two writers, one through the cache; what the first has written when it is ended is in the disk at
// the end, with what was copied before.
constexpr const char* k_script = R"sh(
connect --grace $GRACE
mount_disk
dd if=/dev/urandom of=/tmp/piece bs=64k count=8 2>/dev/null
write_file
sync
(n=0; until [ -e /tmp/stop ]; do cat /tmp/piece >> /mnt/load; n=$((n + 1))
    [ $n -lt 40 ] || sleep 1; done) &
first=$!
(n=0; while [ $n -lt 60 ]; do dd if=/tmp/noise of=/mnt/direct bs=64k seek=$n count=1 conv=notrunc \
    oflag=direct 2>/dev/null; n=$((n + 1)); done) &
second=$!
under_way 10
touch /tmp/stop # a kill would spare the cat that still appends
wait $first
say "load $(sha256sum < /mnt/load | cut -c 1-64) appended"
act fault
kill $second
wait $second
# What the second one has begun goes on without it for a moment, and keeps the mount busy.
(until umount /mnt; do sleep 0.2; done; say unmounted; touch /tmp/unmounted) &
n=0
until [ -e /tmp/unmounted ] || [ $n = $WAIT ]; do sleep 1; n=$((n + 1)); done
say done
poweroff -f -n
)sh";

void make_fault(Target& target, Peer& proxy, const End& end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(end.after_ms));
    const auto lasts = std::chrono::milliseconds(end.lasts_ms);
    if (end.fault == EndFault::Dead) return target.kill();
    if (end.fault == EndFault::Reset) return proxy.signal(SIGUSR1);
    if (end.fault == EndFault::Restart) {
        target.kill();
        std::this_thread::sleep_for(lasts);
        return target.restart();
    }
    proxy.signal(SIGSTOP);
    std::this_thread::sleep_for(lasts);
    proxy.signal(SIGCONT);
}

// What the fault does, in its own time, while the machine goes down. The thread stays to the end:
// the target that it has started dies with it (process.h).
class Saboteur {
public:
    Saboteur(Target& target, Peer& proxy, const End& end)
        : thread_([this, &target, &proxy, end] {
              make_fault(target, proxy, end);
              done_.count_down();
              leave_.wait();
          }) {}
    ~Saboteur() {
        leave_.count_down();
        thread_.join();
    }
    void wait() { done_.wait(); }

private:
    std::latch done_{1};
    std::latch leave_{1};
    std::thread thread_;  // last: it reads the others
};

void judge_load(DirectRun& run) {
    const auto said = run.machine().serial().find("FAULT load ([0-9a-f]{64}) appended");
    run.report().check("what was appended under load is in the image",
                       said && sha256_inside(run.image(), "/load") == said->groups[1],
                       said ? said->text : "the machine told no sum");
}

// Logout, answered, on each connection of the last session that was open until the end.
void judge_logouts(DirectRun& run, const Capture& wire) {
    const auto session = wire.logged_in();
    const unsigned tsih = newest_login(session).tsih;
    unsigned answered = 0, open = 0;
    for (const auto& one : session.connections) {
        const bool lost = one.reset_at || (one.fin_from_target_at && !one.logout_request_at);
        if (one.tsih() != tsih || (lost && !one.logout_request_at)) continue;
        open++;
        answered += one.logout_response == 0u;
    }
    run.report().check("Logout for every connection, answered", open > 0 && answered == open,
                       fmt::format("{} of {}", answered, open));
}

// "clean", "gone" (the disk is clean, nobody took the Logout), "named" as not clean, or nothing
// when it is none of them.
std::string judge_end(DirectRun& run, const End& end, uint16_t port) {
    auto& serial = run.machine().serial();
    const auto loud = serial.find("THE DISK WAS NOT FLUSHED");
    run.report().check("nothing went offline", !serial.find("offlined|Device offline"));
    if (end.fault == EndFault::Dead) {
        run.report().check("not clean, and named so on the console", loud.has_value());
        run.report().check("no Logout is claimed",
                           !serial.find("hawser.*: logged out of").has_value());
        return run.report().passed() ? "named" : "";
    }
    run.report().check("the end is not named unclean", !loud, loud ? loud->text : "");
    run.expect_console("the unmount went through", "FAULT unmounted");
    judge_file_system(run);
    judge_load(run);
    const auto wire = judge_frames(run, port);
    // It was away at the very moment of our Logout, when all had been flushed: said so.
    const bool gone = serial.find("went away before it answered our Logout").has_value();
    if (gone) {
        run.report().check("no Logout is claimed", !serial.find("logged out of"));
    } else {
        judge_clean_leave(run, wire);
        judge_logouts(run, wire);
    }
    return !run.report().passed() ? "" : gone ? "gone" : "clean";
}

std::string tell_end(const std::string& name, const End& end, unsigned seed) {
    DirectRun run(fmt::format("{}/{:02}", name, end.number), 2);
    std::string came_to;
    try {
        make_ext4(run.make_image(k_image_bytes));
        TargetOptions target_options;
        target_options.directory = run.directory();
        target_options.image = run.image();
        auto& target = run.use_target(make_tgt(target_options));
        auto proxy = start_proxy(run.directory(), "proxy", target.port(),
                                 "signal 1 connection 0 do reset\n");
        FaultMachineOptions options;
        options.port = proxy.port();
        options.noop_s = 5;
        options.ext4 = true;
        // To wait for an unmount whose target is dead is in vain.
        options.script = fmt::format("GRACE={}\nWAIT={}\n{}", k_grace_s,
                                     end.fault == EndFault::Dead ? 3 : 60, k_script);
        start_fault_machine(run, options);
        std::unique_ptr<Saboteur> saboteur;
        play(run, {{"fault", [&] { saboteur = std::make_unique<Saboteur>(target, proxy, end); }}},
             Seconds(180));
        const auto reason = run.machine().wait_for_end(Seconds(150));
        saboteur->wait();
        run.report().check("the machine switched itself off", reason == "guest-shutdown", reason);
        if (end.fault != EndFault::Dead) target.stop();
        came_to = judge_end(run, end, proxy.port());
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    // A disk that is given up fails what is left; else no error may come.
    const bool dead = end.fault == EndFault::Dead;
    run.finish(dead ? "I/O error|lost (sync|async) page write|JBD2|EXT4-fs" : "");
    const double took = run.machine().now();
    fmt::print("{:2}: {:<36} {} {:.0f} s\n", end.number, end.words(),
               came_to.empty() ? "NEITHER CLEAN NOR NAMED" : came_to, took);
    std::fflush(stdout);
    if (!run.report().passed()) {
        fmt::print("this one again: HAWSER_ENDS_SEED={} HAWSER_ENDS_FIRST={} HAWSER_ENDS=1 "
                   "build/bin/hawser-qemu fifty-ends\n",
                   seed, end.number);
        conclude(run.report(), run.directory(), name);
        return "";
    }
    std::filesystem::remove(run.image());
    std::filesystem::remove(run.directory() / "initramfs.img");
    return came_to;
}

void tell_ends(const std::string& name, unsigned first, unsigned count, unsigned seed) {
    const auto ends = ends_of(first, count, seed);
    std::map<std::string, unsigned> came_to;
    for (const auto& end : ends) came_to[tell_end(name, end, seed)]++;
    fmt::print(
        "{} ends from seed {}: {} clean, {} flushed but gone at the Logout, {} named as not "
        "clean, {} neither\n",
        count, seed, came_to["clean"], came_to["gone"], came_to["named"], came_to[""]);
    CHECK(came_to[""] == 0);
    CHECK(came_to["named"] == std::count_if(ends.begin(), ends.end(), [](const End& end) {
              return end.fault == EndFault::Dead;
          }));
    CHECK(came_to["clean"] >= count / 2);
}

}  // namespace

TEST_CASE("fifty-ends", "[more]") {
    tell_ends("fifty-ends", number_from("HAWSER_ENDS_FIRST", 1), number_from("HAWSER_ENDS", k_ends),
              number_from("HAWSER_ENDS_SEED", 1));
}

// As many as `make check` has time for; after the last one the target stays dead.
TEST_CASE("ends-under-load") {
    tell_ends("ends-under-load", k_dead_each - 3, 4, 1);
}
