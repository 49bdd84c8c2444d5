// SPDX-License-Identifier: GPL-2.0-or-later
//
// Boots that cannot succeed: each says why, in one line on the console, within its time, and then
// does what rd.hawser.onfail= asked for. The kernel is started by QEMU itself, and the iBFT is laid
// into the machine as its firmware would have left it.

#include <fmt/format.h>

#include "direct_run.h"
#include "http_server.h"
#include "ibft_table.h"
#include "paths.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

constexpr int k_timeout_s = 20;
// Emulated, the way from the kernel's start to `hawser boot` takes some ten seconds.
constexpr double k_limit_s = k_timeout_s + 40;

enum class Policy { SHELL, REBOOT };

struct Failure {
    std::string name;
    std::string cause;  // what the console must say
    Policy policy;
    Arguments firmware;  // what lays the iBFT into the machine
};

// Somebody types into the shell, and it answers.
void expect_shell(DirectRun& run) {
    auto& serial = run.machine().serial();
    auto prompt = serial.expect("Press Enter|[#$] ?$", Seconds(60), serial.mark());
    if (prompt.text.find("Press Enter") != std::string::npos) {
        auto mark = serial.mark();
        serial.send("\n");
        serial.expect("[#$] ?$", Seconds(30), mark);
    }
    auto mark = serial.mark();
    serial.send("echo shell''-answers\n");
    serial.expect("^shell-answers", Seconds(30), mark > 0 ? mark - 1 : 0);
    run.report().check("the shell answers", true);
}

void fail_to_boot(DirectRun& run, const Failure& failure) {
    const char* policy = failure.policy == Policy::SHELL ? "shell" : "reboot";
    auto& machine =
        run.start({images_folder() / "vmlinuz", images_folder() / "initrd.img",
                   fmt::format("root=LABEL=hawser-root rw console=ttyS0,115200 panic=-1 oops=panic "
                               "rd.hawser.onfail={} rd.hawser.timeout={}",
                               policy, k_timeout_s)},
                  failure.firmware);
    auto kernel = machine.serial().expect("Linux version", Seconds(60));
    run.report().phase("kernel start", machine.seconds(kernel.at));
    auto line = machine.serial().expect("hawser(\\[[0-9]+\\])?: .*(" + failure.cause + ")",
                                        Seconds(k_limit_s * 2), kernel.line);
    auto took = machine.seconds(line.at) - machine.seconds(kernel.at);
    run.report().phase("the cause is on the console", machine.seconds(line.at));
    run.report().set("console", line.text);
    run.report().check(fmt::format("within {:.0f} s of the kernel's start", k_limit_s),
                       took <= k_limit_s, fmt::format("{:.1f} s", took));
    if (failure.policy == Policy::SHELL) {
        expect_shell(run);
        return;
    }
    auto reason = machine.wait_for_end(Seconds(60));
    run.report().phase("restarted", machine.now());
    run.report().check("the machine restarts", reason == "guest-reset", reason);
}

void tell_failure(const std::string& name, const std::string& cause, Policy policy,
                  const std::function<Arguments(DirectRun&)>& firmware) {
    DirectRun run(name, 1);
    try {
        require_images();
        fail_to_boot(run, {name, cause, policy, firmware(run)});
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), name);
}

Arguments whole_ibft(DirectRun& run, const IbftTable& table) {
    return ibft_by_acpi(table.bytes(), run.directory() / "ibft.bin");
}

}  // namespace

TEST_CASE("no-ibft") {
    tell_failure("no-ibft", "no iBFT and no target", Policy::SHELL,
                 [](DirectRun&) { return Arguments{}; });
}

TEST_CASE("bad-checksum") {
    tell_failure("bad-checksum", "broken iBFT \\(checksum\\)", Policy::REBOOT, [](DirectRun& run) {
        auto table = IbftTable().bytes();
        table[k_ibft_checksum_offset] ^= 0x55;
        // QEMU would mend the sum of an ACPI table.
        return ibft_in_memory(table, run.directory() / "ibft.bin");
    });
}

TEST_CASE("bad-offsets") {
    tell_failure("bad-offsets", "broken iBFT \\(offset\\)", Policy::SHELL, [](DirectRun& run) {
        auto table = IbftTable().bytes();
        table[k_ibft_target_offset_offset] = 0xf0;
        table[k_ibft_target_offset_offset + 1] = 0xff;
        mend_checksum(table);
        return ibft_in_memory(table, run.directory() / "ibft.bin");
    });
}

TEST_CASE("bad-name") {
    tell_failure("bad-name", "broken iBFT \\(text\\): target 0: name", Policy::REBOOT,
                 [](DirectRun& run) {
                     IbftTable table;
                     table.target = "iqn.2026-11.hawser:\x1b[2J\x01\xff";
                     return whole_ibft(run, table);
                 });
}

TEST_CASE("target-refused") {
    tell_failure("target-refused", "target refused the connection", Policy::REBOOT,
                 [](DirectRun& run) {
                     IbftTable table;
                     table.target_port = free_port();
                     return whole_ibft(run, table);
                 });
}

TEST_CASE("target-unreachable") {
    tell_failure("target-unreachable", "target unreachable", Policy::SHELL, [](DirectRun& run) {
        IbftTable table;
        table.target_address = "10.0.10.77";  // nobody there answers ARP
        return whole_ibft(run, table);
    });
}

TEST_CASE("target-unknown") {
    tell_failure("target-unknown", "target unknown", Policy::REBOOT, [](DirectRun& run) {
        IbftTable table;
        table.target_port = run.start_tgt(1 << 20).port();
        table.target = "iqn.2026-11.hawser:another";
        return whole_ibft(run, table);
    });
}

TEST_CASE("no-lun") {
    tell_failure("no-lun", "no LUN", Policy::SHELL, [](DirectRun& run) {
        IbftTable table;
        table.target_port = run.start_tgt(0).port();
        return whole_ibft(run, table);
    });
}
