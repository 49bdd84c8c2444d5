// SPDX-License-Identifier: GPL-2.0-or-later
//
// No user space at all: while fio writes and verifies, every other process is stopped, and the
// target goes away for a minute: half of it it is silent, half of it nobody listens. Two sessions:
// one of root policy with a file system on its disk, one without, whose disk is written raw. fio
// must not notice, and what is on the target's images must be what it wrote.
//
// Process 1 alone cannot be stopped, by the kernel's own rule: it waits for fio, and its count of
// context switches shows that it did nothing else.

#include <fmt/format.h>
#include <signal.h>

#include <fstream>
#include <thread>

#include "direct_run.h"
#include "disk.h"
#include "http_server.h"
#include "paths.h"
#include "process.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

namespace fs = std::filesystem;

constexpr uint64_t k_disk_bytes = 64 << 20;
constexpr Seconds k_silent(30);
constexpr Seconds k_gone(30);

// What the guest runs and the host verifies: every block is written once, and read back soon.
constexpr const char* k_workload =
    "--size=24M --bs=4k --rw=randwrite --verify=crc32c --verify_fatal=1";

// logout_timeout: longer than a NOP-Out takes. At level 2 the first connection that is lost is
// removed by a Logout on the other one, and where that goes unanswered the session is reinstated:
// here both are to be lost, and had again.
//
// {0}: ErrorRecoveryLevel, {1}: the system disk's target, port and LUN, {2}: the data disk's,
// {3}: the workload.
constexpr const char* k_script = R"sh(
say() {{ echo "NOSPACE $*"; }}
S=/sys/bus/hawser/devices
ip link set lo up
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
attach() {{
    hawser connect --initiator iqn.2026-11.hawser:$1 --root $2 --target $3 --lun $5 \
        --portal 10.0.10.2:$4,nic=eth0 --portal 10.0.11.2:$4,nic=eth1 \
        --ErrorRecoveryLevel {0} --DefaultTime2Retain 120 --logout_timeout 30 > /tmp/$1
    sed -n "s/^LUN $5 is //p" /tmp/$1
}}
system=$(attach system yes {1})
data=$(attach data no {2})
mkdir /mnt
mount -t ext4 $system /mnt
for s in 0 1; do
    say "hawser$s: root $(cat $S/hawser$s/root) $(grep -e Level -e Time2 $S/hawser$s/negotiated |
        tr '\n' ' ')"
done
writes() {{ awk '{{ print $5 }}' /sys/block/${{1#/dev/}}/stat; }}
programs() {{
    for p in /proc/[0-9]*; do
        exe=$(readlink $p/exe) && echo "${{p#/proc/}}:${{exe#/bin/}}"
    done
}}
table() {{
    for program in $(programs); do
        status=/proc/${{program%:*}}/status
        [ -e $status ] && say "$1: process $program $(awk '/^State/ {{ print $2 }}' $status)"
    done
}}
(while :; do sleep 1; cat $S/hawser0/state > /dev/null; done) &
(
    read -r self rest < /proc/self/stat
    until [ $(writes $system) -gt 300 ] && [ $(writes $data) -gt 300 ]; do sleep 1; done
    for program in $(programs); do
        case $program in 1:* | $self:* | *:fio) ;; *) kill -STOP ${{program%:*}} ;; esac
    done
    table before
    say "switches of process 1 before: $(awk '/^volun/ {{ print $2 }}' /proc/1/status)"
    say stopped
    kill -STOP $self
) &
cd /tmp
fio --thread --direct=1 --ioengine=libaio --iodepth=8 --rate_iops=150 --verify_backlog=64 {3} \
    --eta=never --output=/tmp/fio.log --name=data --filename=$data \
    --name=system --filename=/mnt/verify
ended=$?
while read -r key value; do
    case $key in voluntary*) say "switches of process 1 after: $value" ;; esac
done < /proc/1/status
table after
say "fio ended with $ended"
cat /tmp/fio.log
echo 3 > /proc/sys/vm/drop_caches
say "data is $(sha256sum < $data)"
say "file is $(sha256sum < /mnt/verify)"
for s in 0 1; do
    say "hawser$s: reinstatements $(cat $S/hawser$s/reinstatements)" \
        "recoveries $(cat $S/hawser$s/recoveries)"
done
umount /mnt && hawser disconnect hawser0 && hawser disconnect hawser1 && say "logged out"
say done
)sh";

struct Disk {
    std::string target;
    uint16_t port;
    unsigned lun;
    fs::path image;

    std::string words() const { return fmt::format("{} {} {}", target, port, lun); }
};

// Who serves the two disks, and how it goes away.
class Service {
public:
    virtual ~Service() = default;
    virtual void freeze() = 0;
    virtual void kill() = 0;
    virtual void restart() = 0;
    virtual void judge(DirectRun&) {}
    Disk system;
    Disk data;
};

fs::path make_image(const fs::path& file) {
    std::ofstream(file).close();
    fs::resize_file(file, k_disk_bytes);
    return file;
}

class TgtService : public Service {
public:
    explicit TgtService(DirectRun& run) {
        TargetOptions options;
        options.directory = run.directory();
        options.image = make_image(run.directory() / "system.img");
        options.image_2 = make_image(run.directory() / "data.img");
        target_ = &run.use_target(make_tgt(options));
        system = {target_->name(), target_->port(), 1, options.image};
        data = {target_->name(), target_->port(), 2, options.image_2};
    }
    void freeze() override { target_->freeze(); }
    void kill() override { target_->kill(); }
    void restart() override { target_->restart(); }

private:
    Target* target_;
};

// Two targets that keep their sessions, behind a proxy that is what fails.
class JudgingService : public Service {
public:
    explicit JudgingService(DirectRun& run) : directory_(run.directory()) {
        // So that commands are with the target whenever the connection is lost.
        std::ofstream(directory_ / "slow.case")
            << "case a disk that takes its time\nrule 55\non ScsiCommand do delay 40\n";
        const auto name = [](const char* disk) {
            return fmt::format("iqn.2026-11.hawser:{}", disk);
        };
        system = {name("system-disk"), free_port(), 0, make_image(directory_ / "system.img")};
        data = {name("data-disk"), free_port(), 0, make_image(directory_ / "data.img")};
        for (const Disk* disk : {&system, &data}) start_target(*disk);
        restart();
    }
    void freeze() override { proxy_->signal(SIGSTOP); }
    void kill() override { proxy_.reset(); }

    void restart() override {
        Process::Options options;
        options.output = directory_ / "proxy.log";
        options.append = true;
        Arguments line{(build_folder() / "bin" / "hawser-proxy").string()};
        const Disk* disks[] = {&system, &data};
        for (size_t i = 0; i < 2; ++i) {
            line.insert(line.end(), {"--listen", fmt::format("127.0.0.1:{}", disks[i]->port),
                                     "--target", fmt::format("127.0.0.1:{}", ports_.at(i))});
        }
        proxy_ = std::make_unique<Process>(line, options);
    }

    void judge(DirectRun& run) override {
        for (auto& target : targets_) {
            target->signal(SIGTERM);
            target->wait(Deadline(Seconds(20)));
        }
        for (const char* file : {"target.log", "target-2.log"}) {
            std::ifstream stream(run.directory() / file);
            const std::string log(std::istreambuf_iterator<char>(stream), {});
            run.report().check(fmt::format("{}: the judge finds no breach of the RFC", file),
                               log.find("breaches 0\n") != std::string::npos, log);
            run.report().check(fmt::format("{}: tasks were reassigned", file),
                               log.find("tasks reassigned ") != std::string::npos &&
                                   log.find("tasks reassigned 0,") == std::string::npos,
                               log);
        }
    }

private:
    void start_target(const Disk& disk) {
        ports_.push_back(free_port());
        Process::Options options;
        options.output = directory_ / (targets_.empty() ? "target.log" : "target-2.log");
        targets_.push_back(std::make_unique<Process>(
            Arguments{(build_folder() / "bin" / "hawser-target").string(), "--listen",
                      fmt::format("127.0.0.1:{}", ports_.back()), "--name", disk.target, "--file",
                      disk.image.string(), "--script", (directory_ / "slow.case").string(), "--set",
                      "ErrorRecoveryLevel=2", "--set", "MaxConnections=8", "--set",
                      "DefaultTime2Retain=120"},
            options));
        wait_until_listening(ports_.back(), *targets_.back(), Deadline(Seconds(15)));
    }

    fs::path directory_;
    std::vector<uint16_t> ports_;
    std::vector<std::unique_ptr<Process>> targets_;
    std::unique_ptr<Process> proxy_;
};

void boot(DirectRun& run, const Service& service, unsigned level) {
    run_checked({"/sbin/mke2fs", "-q", "-t", "ext4", service.system.image.string()});
    auto initramfs = hawser_initramfs({});
    initramfs.modules.push_back("ext4");
    initramfs.programs.push_back("/usr/bin/fio");
    initramfs.script = fmt::format(fmt::runtime(k_script), level, service.system.words(),
                                   service.data.words(), k_workload);
    auto kernel = default_kernel();
    auto initrd = run.directory() / "initramfs.img";
    initramfs.write(initrd, kernel);
    run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
}

void leave_and_return(DirectRun& run, Service& service) {
    auto& machine = run.machine();
    auto& report = run.report();
    machine.serial().expect("NOSPACE stopped", Seconds(240));
    report.phase("all but fio is stopped", machine.now());
    service.freeze();
    report.phase("the target is silent", machine.now());
    std::this_thread::sleep_for(k_silent);
    service.kill();
    report.phase("nobody listens", machine.now());
    std::this_thread::sleep_for(k_gone);
    service.restart();
    report.phase("the target is back", machine.now());
}

void judge_processes(DirectRun& run) {
    static const std::regex k_process("NOSPACE (before|after): process (\\d+):(\\S+) (\\S+)");
    size_t stopped = 0;
    std::string bad;
    long switches[2] = {-1, -1};
    for (const auto& line : run.machine().serial().lines()) {
        std::smatch match;
        if (std::regex_search(line.text, match, k_process)) {
            const bool other = match[1] == "after" && match[2] != "1" && match[3] != "fio";
            stopped += other && match[4] == "T";
            if (match[3] == "hawser" || (other && match[4] != "T")) bad += line.text + "\n";
        }
        static const std::regex k_switches("switches of process 1 (before|after): (\\d+)");
        if (std::regex_search(line.text, match, k_switches))
            switches[match[1] == "after"] = std::stol(match[2]);
    }
    auto& report = run.report();
    report.check("there were others, stopped", stopped >= 2, fmt::format("{}", stopped));
    report.check("none ran in the end but fio and process 1, none is hawser", bad.empty(), bad);
    report.check("process 1 only waited for fio",
                 switches[0] > 0 && switches[1] > 0 && switches[1] - switches[0] <= 2,
                 fmt::format("{} context switches, then {}", switches[0], switches[1]));
}

std::string sum_on_console(DirectRun& run, const std::string& what) {
    auto line = run.machine().serial().find("NOSPACE " + what + " is ([0-9a-f]{64})");
    return line ? line->groups[1] : "no sum of " + what + " on the console";
}

void judge_data(DirectRun& run, const Service& service) {
    auto& report = run.report();
    auto guest = sum_on_console(run, "data");
    auto host = run_checked({"sha256sum", service.data.image.string()}).substr(0, 64);
    report.check("the data disk is what the guest read", guest == host, guest + " not " + host);
    guest = sum_on_console(run, "file");
    host = sha256_inside(service.system.image, "/verify");
    report.check("the file is what the guest read", guest == host, guest + " not " + host);
    auto system = inspect_file_system(service.system.image);
    report.check("e2fsck -fn finds the file system clean", system.clean, system.report);
    auto verify = hawser::qemu::run(
        {"sh", "-c",
         fmt::format("cd {} && exec fio {} --verify_only=1 --name=data --filename=data.img "
                     "--ioengine=sync",
                     run.directory().string(), k_workload)},
        Seconds(120));
    report.check("fio on the host verifies the data disk", verify.status == 0,
                 verify.output + verify.errors);
}

void judge_wire(DirectRun& run, const Service& service, unsigned level) {
    auto& report = run.report();
    Capture wire = run.wire(service.system.port);
    if (service.data.port != service.system.port) {
        auto more = run.wire(service.data.port);
        wire.connections.insert(wire.connections.end(), more.connections.begin(),
                                more.connections.end());
        wire.malformed.insert(wire.malformed.end(), more.malformed.begin(), more.malformed.end());
    }
    report.set_connections(wire.logged_in());
    report.check("tshark finds no malformed PDU of ours", wire.malformed.empty());
    const double back = report.phase_at("the target is back").value_or(1e9);
    for (const std::string name : {"iqn.2026-11.hawser:system", "iqn.2026-11.hawser:data"}) {
        size_t leading = 0;
        bool went_on = false;
        for (const auto& connection : wire.logged_in().connections) {
            const auto who = connection.initiator_keys.find("InitiatorName");
            if (who == connection.initiator_keys.end() || who->second != name) continue;
            leading += connection.login_requests.front().tsih == 0;
            went_on |= connection.last_command_at.value_or(0) > back;
        }
        report.check(name + ": commands after the target came back", went_on);
        report.check(fmt::format("{}: {} session(s)", name, level == 2 ? 1 : 2),
                     leading == (level == 2 ? 1 : 2), fmt::format("{} leading logins", leading));
    }
}

void judge_console(DirectRun& run, unsigned level) {
    auto has = [&](const std::string& what, const std::string& expression) {
        run.report().check(what, run.machine().serial().find(expression).has_value(),
                           "console: no " + expression);
    };
    has("root policy, the level agreed",
        fmt::format("NOSPACE hawser0: root 1 .*ErrorRecoveryLevel={}", level));
    has("the other without it",
        fmt::format("NOSPACE hawser1: root 0 .*ErrorRecoveryLevel={}", level));
    has("fio verified all without an error", "NOSPACE fio ended with 0");
    has("a clean end", "NOSPACE logged out");
    for (int session : {0, 1})
        has(fmt::format("hawser{} came back", session),
            fmt::format("NOSPACE hawser{}: reinstatements {}", session,
                        level == 2 ? "0 recoveries [1-9]" : "[1-9]"));
}

template <typename Kind>
void tell_absence(const std::string& name, unsigned level) {
    DirectRun run(name, 2);
    try {
        Kind service(run);
        boot(run, service, level);
        leave_and_return(run, service);
        run.machine().serial().expect("NOSPACE done", Seconds(300));
        run.machine().wait_for_end(Seconds(60));
        run.report().phase("machine off", run.machine().now());
        judge_console(run, level);
        judge_processes(run);
        judge_wire(run, service, level);
        service.judge(run);
        judge_data(run, service);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}

}  // namespace

TEST_CASE("no-user-space-level-0", "[more]") {
    tell_absence<TgtService>("no-user-space-level-0", 0);
}

TEST_CASE("no-user-space-level-2", "[more]") {
    tell_absence<JudgingService>("no-user-space-level-2", 2);
}
