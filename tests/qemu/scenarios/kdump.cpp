// SPDX-License-Identifier: GPL-2.0-or-later
//
// A crash: nothing is flushed and nobody logs out. The crash kernel finds the same iBFT in memory,
// logs in under the same ISID (which ends the dead kernel's session at the target, instead of
// fighting with it), replays the journal, writes /proc/vmcore to the root disk, and leaves clean.

#include <fmt/format.h>

#include <fstream>

#include "direct_node.h"
#include "disk.h"
#include "ending.h"
#include "ibft_table.h"
#include "paths.h"
#include "scenario.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

namespace fs = std::filesystem;

constexpr uint64_t k_disk_bytes = 768 << 20;
constexpr const char* k_console =
    "console=ttyS0,115200 panic=-1 rcupdate.rcu_cpu_stall_timeout=300";

// {}: the crash kernel's command line.
constexpr const char* k_first = R"sh(
hawser boot && echo "KDUMP first: $(cat /sys/bus/hawser/devices/hawser0/isid)"
mount -t ext4 /dev/sda /tmp
kexec -p /tmp/boot/vmlinuz --initrd=/tmp/boot/crash.img \
    --command-line="{} irqpoll nr_cpus=1 reset_devices"
echo "KDUMP loaded: $(cat /sys/kernel/kexec_crash_loaded)"
echo written before the crash > /tmp/before
sync
echo never synced > /tmp/lost
echo "KDUMP crash now" > /dev/kmsg
echo c > /proc/sysrq-trigger
)sh";

constexpr const char* k_crash = R"sh(
hawser boot && echo "KDUMP second: $(cat /sys/bus/hawser/devices/hawser0/isid)"
mount -t ext4 /dev/sda /tmp
cat /tmp/before
echo "KDUMP vmcore: $(stat -c %s /proc/vmcore)"
dd if=/proc/vmcore of=/tmp/vmcore bs=256k 2>/dev/null
echo "KDUMP copied: $(stat -c %s /tmp/vmcore)"
umount /tmp && echo "KDUMP LEAVING"
)sh";

TinyInitramfs tiny(const std::string& script, const std::vector<fs::path>& programs) {
    TinyInitramfs initramfs;
    initramfs.modules = {"virtio_pci",     "virtio_net", "virtio_rng", "sd_mod",
                         "crc32c_generic", "libcrc32c",  "ext4"};
    auto module = build_folder() / "module" / "hawser.ko";
    for (const auto& need : needs_of(module)) initramfs.modules.push_back(need);
    initramfs.module_files = {module};
    initramfs.programs = programs;
    initramfs.script = script;
    return initramfs;
}

// The disk holds what a machine's /boot does: its kernel, and the crash kernel's initramfs.
void make_disk(DirectRun& run, const KernelImage& kernel) {
    auto folder = run.directory() / "root";
    fs::create_directories(folder / "boot");
    fs::copy_file(kernel.image, folder / "boot/vmlinuz");
    tiny(k_crash, {build_folder() / "bin/hawser"}).write(folder / "boot/crash.img", kernel);
    make_root_disk(folder, run.image());
    fs::remove_all(folder);
}

void judge_logins(DirectRun& run, double crashed, double asked) {
    auto& report = run.report();
    auto all = run.wire(run.target().port()).logged_in();
    report.set_connections(all);
    auto first = all.between(0, crashed);
    auto second = all.since(crashed);
    if (!report.check(
            "one login before the crash, one after it",
            first.connections.size() == 1 && second.connections.size() == 1,
            fmt::format("{} and {}", first.connections.size(), second.connections.size()))) {
        return;
    }
    const auto& dead = first.connections.front();
    const auto& alive = second.connections.front();
    report.check("the crashed kernel sent no Logout and no FIN",
                 !dead.logout_request_at && !dead.fin_from_initiator_at);
    report.check("the second login has the first one's ISID", dead.isid() == alive.isid(),
                 dead.isid() + " and " + alive.isid());
    report.check("it is a leading login, taken at once: TSIH 0, one attempt",
                 alive.login_requests.front().tsih == 0 &&
                     run.wire(run.target().port()).since(crashed).connections.size() == 1);
    report.check("the target closed the dead session's connection",
                 dead.fin_from_target_at || dead.reset_at);
    judge_session_end(report, second, asked, " (crash kernel)");
}

void judge_core(DirectRun& run) {
    auto& report = run.report();
    auto& serial = run.machine().serial();
    auto state = inspect_file_system(run.image());
    report.check("e2fsck -n finds a clean file system", state.clean, state.report);
    auto core = run.directory() / "vmcore";
    run_checked({"/sbin/debugfs", "-R", "dump /vmcore " + core.string(), run.image().string()},
                Seconds(300));
    auto size = serial.find("KDUMP vmcore: ([0-9]+)");
    report.check(
        "the file in the image is as long as /proc/vmcore was",
        size && fs::exists(core) && size->groups[1] == std::to_string(fs::file_size(core)));
    auto header = run_checked({"readelf", "--file-header", "--notes", core.string()}, Seconds(60));
    report.check("it is an ELF core", header.find("CORE (Core file)") != std::string::npos, header);
    report.check("with the kernel's VMCOREINFO", header.find("VMCOREINFO") != std::string::npos,
                 header);
    auto marker = run_checked({"grep", "-c", "-a", "KDUMP crash now", core.string()}, Seconds(60));
    report.check("the crashed kernel's log is in it", std::stoi(marker) > 0, marker);
    fs::remove(core);
}

}  // namespace

TEST_CASE("kdump") {
    DirectRun run("kdump", 1);
    try {
        auto& target = run.start_tgt(k_disk_bytes);
        auto kernel = default_kernel();
        make_disk(run, kernel);
        auto initrd = run.directory() / "initramfs.img";
        tiny(fmt::format(fmt::runtime(k_first), k_console),
             {build_folder() / "bin/hawser", "/sbin/kexec"})
            .write(initrd, kernel);
        IbftTable table;
        table.target = target.name();
        table.target_port = target.port();
        table.lun = target.lun();
        auto more = ibft_in_memory(table.bytes(), run.directory() / "ibft.bin");
        // A small machine has a small core.
        more.insert(more.end(), {"-m", "512"});
        auto& machine =
            run.start({kernel.image, initrd, std::string(k_console) + " crashkernel=224M"}, more);
        run.forgive_crash("sysrq: Trigger a crash");
        auto crash = machine.serial().expect("sysrq: Trigger a crash", Seconds(200));
        auto crashed = machine.seconds(crash.at);
        run.report().phase("crash", crashed);
        auto leaving = machine.serial().expect("KDUMP LEAVING", Seconds(400), crash.line);
        auto asked = machine.seconds(leaving.at);
        run.report().phase("vmcore written", asked);
        auto end = machine.wait_for_end(Seconds(120));
        run.report().check("the crash kernel powers the machine off", end == "guest-shutdown", end);
        target.stop();
        judge_logins(run, crashed, asked);
        judge_core(run);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}
