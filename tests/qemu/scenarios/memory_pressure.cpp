// SPDX-License-Identifier: GPL-2.0-or-later
//
// Swap over the session, on a machine that has not enough memory, while its connections are cut
// every 5 seconds for two minutes. To write a page out is the way to get memory: whatever the
// module, or TCP below it, has to allocate for that, for a reconnect too, must not wait for it.
// There is no root disk here: a session with root=yes, and swap on its LUN.

#include <fmt/format.h>
#include <signal.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <thread>

#include "direct_run.h"
#include "http_server.h"
#include "paths.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr const char* k_name = "iqn.2026-11.hawser:swap";
constexpr unsigned k_memory_mib = 256;
constexpr unsigned k_eaten_mib = 400;
constexpr unsigned k_pressure_s = 120;  // beyond what it takes to fill the memory
constexpr Seconds k_between_cuts{5};
constexpr unsigned k_cuts = 24;
constexpr unsigned long k_pages_least = (k_eaten_mib - k_memory_mib) * 256;

// {0}: target name, {1}: port, {2}: MiB, {3}: seconds.
constexpr const char* k_script = R"sh(
say() {{ echo "PRESSURE $*"; }}
S=/sys/bus/hawser/devices/hawser0
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
echo 60 > /proc/sys/kernel/hung_task_timeout_secs
hawser connect --target {0} --initiator iqn.2026-11.hawser:swap-initiator --root yes \
    --portal 10.0.10.2:{1},nic=eth0 --portal 10.0.11.2:{1},nic=eth1
mkswap /dev/sda > /dev/null
swapon /dev/sda && say "swap is on"
hawser-memory-eater {2} {3}
say "eater $?"
say "swapped $(awk '/^pswp(in|out) / {{ printf "%s %s ", $1, $2 }}' /proc/vmstat)"
say "state $(cat $S/state) $(cat /sys/block/sda/device/state) root $(cat $S/root)"
say "reinstatements $(cat $S/reinstatements)"
swapoff /dev/sda && say "swap is off"
hawser disconnect hawser0
say done
)sh";

// Target, and before it a proxy that is killed and started again: a cut of every connection.
class CutTarget {
public:
    explicit CutTarget(const std::filesystem::path& folder)
        : folder_(folder),
          behind_(free_port()),
          port_(free_port()),
          target_({program("hawser-target"), "--listen", address(behind_), "--name", k_name,
                   "--size", "1024", "--set", "MaxConnections=4", "--set", "DefaultTime2Wait=0"},
                  output("target.log")) {
        wait_until_listening(behind_, target_, Deadline(Seconds(20)));
        connect();
    }
    uint16_t port() const { return port_; }
    void cut() {
        proxy_->kill();
        connect();
    }
    std::string ended() {
        target_.signal(SIGTERM);
        target_.wait(Deadline(Seconds(20)));
        std::ifstream file(folder_ / "target.log");
        return {std::istreambuf_iterator<char>(file), {}};
    }

private:
    static std::string program(const char* name) {
        return (build_folder() / "bin" / name).string();
    }
    static std::string address(uint16_t port) { return fmt::format("127.0.0.1:{}", port); }
    Process::Options output(const char* name) const {
        Process::Options options;
        options.output = folder_ / name;
        options.append = true;
        return options;
    }
    void connect() {
        proxy_ = std::make_unique<Process>(Arguments{program("hawser-proxy"), "--listen",
                                                     address(port_), "--target", address(behind_)},
                                           output("proxy.log"));
    }

    std::filesystem::path folder_;
    uint16_t behind_;
    uint16_t port_;
    Process target_;
    std::unique_ptr<Process> proxy_;
};

void judge_console(DirectRun& run) {
    auto& serial = run.machine().serial();
    auto& report = run.report();
    auto has = [&](const std::string& what, const std::string& expression) {
        report.check(what, serial.find(expression).has_value(), "console: no " + expression);
    };
    has("every page came back as it went", "PRESSURE eater 0");
    has("none is wrong, at the end either",
        "eater: pages compared [1-9][0-9]* and [0-9]+, wrong 0");
    has("the root session lives", "PRESSURE state LOGGED_IN running root 1");
    has("swap can be given back", "PRESSURE swap is off");
    auto swapped = serial.find("PRESSURE swapped pswpin ([0-9]+) pswpout ([0-9]+)");
    report.check("it really swapped, over the session, both ways",
                 swapped && std::stoul(swapped->groups[1]) > 0 &&
                     std::stoul(swapped->groups[2]) >= k_pages_least,
                 swapped ? swapped->groups[1] + " in, " + swapped->groups[2] + " out" : "");
    auto cuts = serial.find("PRESSURE reinstatements ([0-9]+)");
    report.check("the session was reinstated again and again",
                 cuts && std::stoul(cuts->groups[1]) >= k_cuts / 2, cuts ? cuts->groups[1] : "");
    if (swapped && cuts)
        fmt::print("pages swapped: {} in, {} out; reinstatements {}\n", swapped->groups[1],
                   swapped->groups[2], cuts->groups[1]);
}

// Swap's traffic by the target's own count: 4 KiB a page.
void judge_target(DirectRun& run, CutTarget& target) {
    const std::string log = target.ended();
    std::smatch match;
    const bool counted =
        std::regex_search(log, match, std::regex("bytes read ([0-9]+), bytes written ([0-9]+)"));
    run.report().check("the target has seen what was swapped",
                       counted && std::stoul(match[2]) >= k_pages_least * 4096, log);
}

}  // namespace

TEST_CASE("memory-pressure", "[more]") {
    DirectRun run("memory-pressure", 2);
    try {
        CutTarget target(run.directory());
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        auto initramfs = hawser_initramfs(
            fmt::format(fmt::runtime(k_script), k_name, target.port(), k_eaten_mib, k_pressure_s));
        initramfs.programs.push_back(build_folder() / "bin" / "hawser-memory-eater");
        initramfs.write(initrd, kernel);
        // The last -m counts.
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"},
                  {"-m", std::to_string(k_memory_mib)});
        auto& serial = run.machine().serial();
        serial.expect("PRESSURE swap is on", Seconds(120));
        unsigned cuts = 0;
        const Deadline bound(Seconds(900));
        for (; !serial.find("PRESSURE eater") && !bound.passed(); ++cuts) {
            std::this_thread::sleep_for(k_between_cuts);  // what is tested, not a wait
            target.cut();
        }
        run.report().check(fmt::format("the connections were cut {} times or more", k_cuts),
                           cuts >= k_cuts, std::to_string(cuts));
        serial.expect("PRESSURE done", Seconds(600));
        run.machine().wait_for_end(Seconds(60));
        judge_console(run);
        judge_target(run, target);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}
