// SPDX-License-Identifier: GPL-2.0-or-later
//
// Nothing is left behind: by 1,000 logins and logouts, and by 200 reinstatements under I/O.
//
// Two eyes. On a kernel with kmemleak (make check-debug) each object that nothing points to any
// more is a failure. On the packaged kernel it is growth: after a warm-up and after all cycles the
// caches are shrunk, and then no cache may have gained an object per cycle. KASAN keeps what was
// freed in quarantine, so there growth says nothing.
//
// `make check` runs a part of the cycles, and says so; HAWSER_LEAK_CYCLES is how many. A connection
// is cut each HAWSER_LEAK_COMMANDS commands: fewer where the kernel is slow.

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "direct_run.h"
#include "environment.h"
#include "http_server.h"
#include "paths.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr const char* k_name = "iqn.2026-11.hawser:leaks";
constexpr unsigned k_all_cycles = 1000;
constexpr unsigned k_some_cycles = 60;
constexpr unsigned k_logins_per_reinstatement = 5;
constexpr unsigned k_commands_per_cut = 200;
// Below so many objects a cache may grow by what the rest of the kernel does meanwhile.
constexpr long k_cache_noise = 300;
constexpr long k_total_noise_kib = 1024;

// {0}: target name, {1}: port, {2}: cycles. What all stories begin with.
constexpr const char* k_begin = R"sh(
say() {{ echo "LEAKS $*"; }}
dmesg -n 5
ip link set lo up
ip link set eth0 up
ip address add 10.0.10.15/24 dev eth0
mount -t debugfs debugfs /sys/kernel/debug
leaks=/sys/kernel/debug/kmemleak
S=/sys/bus/hawser/devices
cycles={2}
connect="connect target={0} initiator=iqn.2026-11.hawser:leaks-initiator connections=2
    portal=10.0.10.2:{1} HeaderDigest=CRC32C DataDigest=CRC32C"
ask() {{
    exec 3<>/dev/hawser
    echo $1 >&3
    status=$?
    read -r answer <&3
    exec 3>&-
    [ $status = 0 ] || {{ say "refused: $answer"; say done; poweroff -f; }}
}}
measure() {{
    sleep 2
    echo 3 > /proc/sys/vm/drop_caches
    # Areas of vmalloc that were freed (threads' stacks) lie there until many have come together
    # or a module goes (mm/vmalloc.c, lazy_max_pages).
    [ ! -e /modules/virtio-rng.ko ] || rmmod virtio_rng
    for cache in /sys/kernel/slab/*/shrink; do echo 1 > $cache; done
    [ ! -e /modules/virtio-rng.ko ] || insmod /modules/virtio-rng.ko
    awk -v when=$1 'NR > 2 {{ print "LEAKS cache", when, $1, $2, $4 }}' /proc/slabinfo
    awk -v when=$1 '/^(Slab|KernelStack|VmallocUsed|Percpu):/ {{ total += $2 }}
        END {{ print "LEAKS total", when, total }}' /proc/meminfo
}}
finish() {{
    if [ -e $leaks ]; then
        sleep 6
        echo scan > $leaks
        sleep 6
        echo scan > $leaks
        say "kmemleak: $(grep -c 'unreferenced object' $leaks)"
        cat $leaks
    fi
    say done
}}
dd if=/dev/urandom of=/tmp/noise bs=64k count=16 2>/dev/null
)sh";

constexpr const char* k_logins = R"sh(
cycle() {{
    ask "$connect"
    dd if=/tmp/noise of=/dev/sda bs=64k count=1 2>/dev/null || say "cannot write"
    ask "disconnect session=${{answer#session }}"
}}
i=0
while [ $i -lt $((cycles / 10 + 5)) ]; do cycle; i=$((i + 1)); done
measure before
i=0
while [ $i -lt $cycles ]; do cycle; i=$((i + 1)); done
measure after
say "cycles $i"
finish
)sh";

constexpr const char* k_reinstatements = R"sh(
writer() {{
    while [ ! -e /tmp/stop ]; do
        dd if=/tmp/noise of=/dev/sda bs=64k seek=$1 oflag=direct 2>/dev/null || touch /tmp/bad
        dd if=/dev/sda bs=64k skip=$1 count=16 iflag=direct 2>/dev/null | cmp - /tmp/noise ||
            touch /tmp/bad
        sleep 0.3
    done
}}
reach() {{ until [ $(cat $S/hawser0/reinstatements) -ge $1 ]; do sleep 1; done; }}
ask "$connect"
writer 0 & first=$!
writer 100 & second=$!
warm=$((cycles / 10 + 5))
reach $warm
measure before
reach $((warm + cycles))
measure after
touch /tmp/stop
wait $first $second
say "cycles $(($(cat $S/hawser0/reinstatements) - warm))"
[ -e /tmp/bad ] || say "every byte was right"
ask "disconnect session=hawser0"
finish
)sh";

unsigned cycles_wanted() {
    const unsigned cycles = number_from("HAWSER_LEAK_CYCLES", 0);
    return cycles > 0 ? cycles : k_some_cycles;
}

// The caches that gained an object per cycle, or more.
std::string grown_caches(const std::vector<Line>& lines, unsigned cycles) {
    static const std::regex k_cache(R"(LEAKS cache (before|after) (\S+) (\d+) (\d+))");
    std::map<std::string, long> before;
    std::string grown;
    for (const auto& line : lines) {
        std::smatch match;
        if (!std::regex_search(line.text, match, k_cache)) continue;
        const long objects = std::stol(match[3]);
        if (match[1] == "before") {
            before[match[2]] = objects;
        } else if (const long more = objects - before[match[2]];
                   more >= std::max(static_cast<long>(cycles), k_cache_noise)) {
            grown += fmt::format("{}: {} objects of {} bytes more\n", match[2].str(), more,
                                 match[4].str());
        }
    }
    return before.empty() ? "the caches were not measured" : grown;
}

void judge_memory(DirectRun& run, unsigned cycles) {
    auto& report = run.report();
    auto& serial = run.machine().serial();
    if (auto found = serial.find("LEAKS kmemleak: ([0-9]+)")) {
        report.check("kmemleak finds nothing", found->groups[1] == "0", found->groups[1]);
        return;
    }
    const auto grown = grown_caches(serial.lines(), cycles);
    report.check("no cache has gained an object per cycle", grown.empty(), grown);
    auto before = serial.find("LEAKS total before ([0-9]+)");
    auto after = serial.find("LEAKS total after ([0-9]+)");
    const bool measured = before && after;
    const long more =
        measured ? std::stol(after->groups[1]) - std::stol(before->groups[1]) : LONG_MAX;
    report.set("growth_kib", more);
    fmt::print("{} cycles: slab, stacks, vmalloc and percpu together: {} KiB more\n", cycles, more);
    report.check("the kernel's memory has not grown",
                 measured && more < k_total_noise_kib + static_cast<long>(cycles),
                 fmt::format("{} KiB more", more));
}

void judge_target(DirectRun& run, Process& target, unsigned logins) {
    target.signal(SIGTERM);
    target.wait(Deadline(Seconds(20)));
    std::ifstream file(run.directory() / "target.log");
    const std::string log(std::istreambuf_iterator<char>(file), {});
    run.report().check("the target finds no breach of the RFC",
                       log.find("breaches 0") != std::string::npos, log);
    std::smatch match;
    const bool counted = std::regex_search(log, match, std::regex("logins ([0-9]+),"));
    run.report().check(fmt::format("the target saw {} logins", logins),
                       counted && std::stoul(match[1]) >= logins, log);
    run.report().set("logins", counted ? match[1].str() : "");
}

struct Story {
    const char* name;
    const char* script;
    unsigned cycles;
    unsigned all;
    unsigned logins_per_cycle;
    std::string target_script;
};

void tell_leaks(const Story& story) {
    DirectRun run(story.name, 1);
    fmt::print("{}: {} of {} cycles{}\n", story.name, story.cycles, story.all,
               story.cycles < story.all ? " (all: make check-debug)" : "");
    try {
        const uint16_t port = free_port();
        Arguments line{(build_folder() / "bin" / "hawser-target").string(), "--listen",
                       fmt::format("127.0.0.1:{}", port), "--name", k_name};
        for (const char* key : {"MaxConnections=4", "DefaultTime2Wait=0",
                                "HeaderDigest=CRC32C,None", "DataDigest=CRC32C,None"})
            line.insert(line.end(), {"--set", key});
        if (!story.target_script.empty()) {
            const auto script = run.directory() / "cuts.case";
            std::ofstream(script) << story.target_script;
            line.insert(line.end(), {"--script", script.string()});
        }
        Process::Options options;
        options.output = run.directory() / "target.log";
        Process target(line, options);
        wait_until_listening(port, target, Deadline(Seconds(20)));
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        hawser_initramfs(fmt::format(fmt::runtime(std::string(k_begin) + story.script), k_name,
                                     port, story.cycles))
            .write(initrd, kernel);
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        auto& serial = run.machine().serial();
        serial.expect("LEAKS done", Seconds(120 + 6.0 * story.cycles));
        run.machine().wait_for_end(Seconds(60));
        auto cycles = serial.find("LEAKS cycles ([0-9]+)");
        run.report().check("all cycles were run",
                           cycles && std::stoul(cycles->groups[1]) >= story.cycles);
        run.report().check("no request was refused", !serial.find("LEAKS refused"));
        run.report().check("every write was taken", !serial.find("LEAKS cannot write"));
        judge_memory(run, story.cycles);
        judge_target(run, target, story.cycles * story.logins_per_cycle);
        if (!story.target_script.empty())
            run.report().check("data was right all the time",
                               serial.find("LEAKS every byte was right").has_value());
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}

}  // namespace

TEST_CASE("leaks-logins", "[more]") {
    tell_leaks({"leaks-logins", k_logins, cycles_wanted(), k_all_cycles, 2, ""});
}

TEST_CASE("leaks-reinstatements", "[more]") {
    const unsigned cycles = cycles_wanted() / k_logins_per_reinstatement;
    const unsigned commands = number_from("HAWSER_LEAK_COMMANDS", k_commands_per_cut);
    // More cuts than cycles: two that come close to each other are one reinstatement. And seconds
    // apart, as the writers are paced: sessions that live less than one are had again ever later.
    std::string cuts = "case cuts\nrule 62\n";
    for (unsigned i = 1; i <= 4 * cycles + 100; ++i)
        cuts += fmt::format("on ScsiCommand number {} do reset\n", commands * i);
    tell_leaks({"leaks-reinstatements", k_reinstatements, cycles,
                k_all_cycles / k_logins_per_reinstatement, 2, cuts});
}
