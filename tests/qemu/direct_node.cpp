// SPDX-License-Identifier: GPL-2.0-or-later
//
// The node without firmware, its small roots, and its end.

#include "direct_node.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "disk.h"
#include "ending.h"
#include "paths.h"
#include "process.h"
#include "scenario.h"

namespace hawser::qemu {

namespace fs = std::filesystem;

namespace {

constexpr Seconds k_boot_limit{300};
constexpr Seconds k_end_limit{180};

}  // namespace

std::string node_command_line(const Target& target, const DirectNode& node) {
    auto line = fmt::format(
        "console=ttyS0,115200 panic=-1 oops=panic rcupdate.rcu_cpu_stall_timeout=300 "
        "root=LABEL=hawser-root rw rd.hawser.onfail=reboot rd.hawser.option=noop_out_timeout=30 "
        "rd.hawser.target={} rd.hawser.lun={} rd.hawser.initiator=iqn.2026-11.hawser:{}",
        target.name(), target.lun(), node.name);
    for (unsigned nic = 0; nic < node.nics; ++nic) {
        line += fmt::format(
            " ifname=hawser{0}:{1} ip=10.0.1{0}.15:::24::hawser{0}:none "
            "rd.hawser.portal={2}:{3},nic=hawser{0}",
            nic, Machine::mac(nic), Machine::host_address(nic), target.port());
    }
    return line + " " + node.arguments;
}

void make_root_disk(const fs::path& folder, const fs::path& image) {
    run_checked({"/sbin/mke2fs", "-q", "-t", "ext4", "-L", "hawser-root", "-d", folder.string(),
                 "-E", "root_owner=0:0,assume_storage_prezeroed=1", image.string()},
                Seconds(300));
}

void make_busybox_root(const fs::path& folder, const std::string& inittab, const std::string& rc) {
    for (const char* name : {"bin", "sbin", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev",
                             "run", "tmp", "root", "usr/lib"}) {
        fs::create_directories(folder / name);
    }
    fs::copy_file("/bin/busybox", folder / "bin/busybox");
    std::istringstream applets(run_checked({"/bin/busybox", "--list-full"}));
    for (std::string applet; std::getline(applets, applet);) {
        if (applet != "bin/busybox") {
            fs::create_symlink("/bin/busybox", folder / applet);
        }
    }
    std::ofstream(folder / "etc/inittab") << inittab;
    std::ofstream(folder / "etc/rc") << "#!/bin/sh\n" << rc;
    fs::permissions(folder / "etc/rc", fs::perms::owner_all);
}

Machine& start_node(DirectRun& run, const DirectNode& node) {
    require_images();
    return run.start({images_folder() / "vmlinuz", images_folder() / "initrd.img",
                      node_command_line(run.target(), node)});
}

void judge_node_end(DirectRun& run, const std::string& announced, const std::string& reason) {
    auto& machine = run.machine();
    auto said = machine.serial().expect(announced, k_boot_limit);
    auto asked = machine.seconds(said.at);
    run.report().phase("end asked", asked);
    auto seen = machine.wait_for_end(k_end_limit);
    run.report().phase("machine off", machine.now());
    run.report().check("the machine ended by " + reason, seen == reason, seen);
    auto session = run.wire(run.target().port()).logged_in();
    run.report().set_connections(session);
    judge_session_end(run.report(), session, asked);
    run.target().stop();
    auto state = inspect_file_system(run.image());
    run.report().check("e2fsck -n finds a clean file system", state.clean, state.report);
    run.report().check("no journal to replay", !state.needs_recovery);
}

}  // namespace hawser::qemu
