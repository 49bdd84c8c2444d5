// SPDX-License-Identifier: GPL-2.0-or-later
//
// Task management by the mid-layer's hand: a command that times out is aborted, sg_reset resets the
// logical unit, the target and the session; each time a command hangs in the scripted target, and
// is read in the end. The target judges every PDU.

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "direct_run.h"
#include "http_server.h"
#include "paths.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr const char* k_name = "iqn.2026-11.hawser:tasks";

// Reads of a length of their own: every other one hangs.
constexpr const char* k_case = R"(case commands that hang
rule 62
on ScsiCommand number 1 where expected_length=73728 do hang
on ScsiCommand number 3 where expected_length=73728 do hang
on ScsiCommand number 5 where expected_length=73728 do hang
on ScsiCommand number 7 where expected_length=73728 do hang
)";

// {0}: target name, {1}: port.
constexpr const char* k_script = R"sh(
say() {{ echo "TASKS $*"; }}
S=/sys/bus/hawser/devices/hawser0
ip link set lo up
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
hawser connect --target {0} --initiator iqn.2026-11.hawser:tasks-initiator \
    --portal 10.0.10.2:{1},nic=eth0 --portal 10.0.11.2:{1},nic=eth1
read_one() {{ dd if=/dev/sda of=/dev/null bs=73728 count=1 iflag=direct 2>/dev/null; }}
reset() {{
    read_one &
    until [ "$(awk '{{ print $1 }}' /sys/block/sda/inflight)" = 1 ]; do usleep 50000; done
    sg_reset $2 -N /dev/sda
    say "$1 reset: $?"
    wait $!
    say "read after $1 reset: $? reinstatements $(cat $S/reinstatements)"
}}
echo 3 > /sys/block/sda/device/timeout
read_one
say "read after abort: $? reinstatements $(cat $S/reinstatements)"
echo 600 > /sys/block/sda/device/timeout
reset unit -d
reset target -t
reset session -H
say "state $(cat $S/state) $(cat /sys/block/sda/device/state)"
hawser status
hawser disconnect hawser0
say done
)sh";

TinyInitramfs initramfs_of(uint16_t port) {
    auto initramfs = hawser_initramfs(fmt::format(fmt::runtime(k_script), k_name, port));
    initramfs.programs.push_back("/usr/bin/sg_reset");
    return initramfs;
}

void judge_console(DirectRun& run) {
    auto has = [&](const std::string& what, const std::string& expression) {
        run.report().check(what, run.machine().serial().find(expression).has_value(),
                           "console: no " + expression);
    };
    has("a command that timed out is aborted", "timed out: aborted");
    has("and read in the end, the session runs on", "TASKS read after abort: 0 reinstatements 0");
    has("a logical unit is reset", "TASKS unit reset: 0");
    has("its command is read in the end", "TASKS read after unit reset: 0 reinstatements 0");
    has("the target is reset", "TASKS target reset: 0");
    has("its command is read in the end", "TASKS read after target reset: 0 reinstatements 0");
    has("the session is reset", "TASKS session reset: 0");
    has("and starts anew", "TASKS read after session reset: 0 reinstatements 1");
    has("nothing is offline", "TASKS state LOGGED_IN running");
}

// The functions and the responses to them, in order: "1:0" is ABORT TASK, function complete.
std::string functions_on_wire(DirectRun& run, uint16_t port) {
    std::string said;
    for (unsigned nic = 0; nic < 2; ++nic) {
        std::istringstream lines(
            run_checked({"tshark", "-r", run.machine().pcap(nic).string(), "-d",
                         fmt::format("tcp.port=={},iscsi", port), "-Y",
                         "iscsi.opcode == 0x02 || iscsi.opcode == 0x22", "-T", "fields", "-e",
                         "iscsi.taskmanfun.function", "-e", "iscsi.taskmanfun.response"}));
        for (std::string line; std::getline(lines, line);) said += line + "\n";
    }
    return said;
}

void judge_wire(DirectRun& run, uint16_t port) {
    auto& report = run.report();
    auto wire = run.wire(port);
    report.set_connections(wire.logged_in());
    report.check("tshark finds no malformed PDU of ours", wire.malformed.empty());
    const std::string said = functions_on_wire(run, port);
    for (const char* function : {"0x01", "0x05", "0x06"})
        report.check(fmt::format("function {} is on the wire", function),
                     said.find(function) != std::string::npos, said);
    std::ifstream file(run.directory() / "target.log");
    std::string log((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    report.check("the target finds no breach of the RFC",
                 log.find("breach of rule") == std::string::npos, log);
}

}  // namespace

TEST_CASE("task-management") {
    DirectRun run("task-management", 2);
    try {
        std::ofstream(run.directory() / "hang.case") << k_case;
        const uint16_t port = free_port();
        Process::Options options;
        options.output = run.directory() / "target.log";
        Process target({(build_folder() / "bin" / "hawser-target").string(), "--listen",
                        fmt::format("127.0.0.1:{}", port), "--name", k_name, "--script",
                        (run.directory() / "hang.case").string(), "-v"},
                       options);
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        initramfs_of(port).write(initrd, kernel);
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        run.machine().serial().expect("TASKS done", Seconds(200));
        run.machine().wait_for_end(Seconds(30));
        judge_console(run);
        judge_wire(run, port);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}
