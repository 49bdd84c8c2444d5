// SPDX-License-Identifier: GPL-2.0-or-later
//
// Two sessions at a machine's end: the one to a data LUN, though it is the older, is flushed and
// logged out before that of the root disk begins to go.

#include <fmt/format.h>

#include "direct_run.h"
#include "ending.h"
#include "paths.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 32 << 20;

// {0}: target, {1}: port of the root disk, {2} and {3}: of the data LUN.
constexpr const char* k_script = R"sh(
say() {{ echo "SESSIONS $*"; }}
ask() {{
    exec 3<>/dev/hawser
    echo "$1" >&3
    read -r answer <&3
    say "answer: $answer"
    exec 3>&-
}}
ip link set eth0 up
ip address add 10.0.10.15/24 dev eth0
I=initiator=iqn.2026-11.hawser:two
ask "connect target={2} $I portal=10.0.10.2:{3},nic=eth0"
ask "connect target={0} $I root=yes portal=10.0.10.2:{1},nic=eth0"
for d in sda sdb; do
    dd if=/dev/urandom of=/dev/$d bs=64k count=16 2>/dev/null
done
say LEAVING
)sh";

TinyInitramfs sessions_initramfs(const Target& root, const Target& data) {
    TinyInitramfs initramfs;
    initramfs.modules = {"virtio_pci", "virtio_net",     "virtio_rng",
                         "sd_mod",     "crc32c_generic", "libcrc32c"};
    auto module = build_folder() / "module" / "hawser.ko";
    for (const auto& need : needs_of(module)) initramfs.modules.push_back(need);
    initramfs.module_files = {module};
    initramfs.script =
        fmt::format(fmt::runtime(k_script), root.name(), root.port(), data.name(), data.port());
    return initramfs;
}

std::unique_ptr<Target> data_target(const DirectRun& run) {
    TargetOptions options;
    options.directory = run.directory() / "data";
    options.image = options.directory / "disk.img";
    options.name = "iqn.2026-11.hawser:data";
    std::filesystem::create_directories(options.directory);
    run_checked({"truncate", "--size", std::to_string(k_disk_bytes), options.image.string()});
    return make_tgt(options);
}

void judge_order(DirectRun& run, const Target& data, double asked) {
    auto& report = run.report();
    auto root_session = run.wire(run.target().port()).logged_in();
    auto data_session = run.wire(data.port()).logged_in();
    judge_session_end(report, data_session, asked, " (data)");
    judge_session_end(report, root_session, asked, " (root)");
    auto first = session_end(data_session);
    auto second = session_end(root_session);
    report.check("the data LUN's session is closed before the root's Logout",
                 first.last_fin && second.first_logout && *first.last_fin < *second.first_logout,
                 fmt::format("FIN at {:.3f} s, Logout at {:.3f} s", first.last_fin.value_or(0),
                             second.first_logout.value_or(0)));
    auto said = run.machine().serial().find("logged out of " + data.name());
    report.check(
        "the console says so in that order",
        said && run.machine().serial().find("logged out of " + run.target().name(), said->line));
    data_session.connections.insert(data_session.connections.end(),
                                    root_session.connections.begin(),
                                    root_session.connections.end());
    report.set_connections(data_session);
}

}  // namespace

TEST_CASE("two-sessions") {
    DirectRun run("two-sessions", 1);
    try {
        run.start_tgt(k_disk_bytes);
        auto data = data_target(run);
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        sessions_initramfs(run.target(), *data).write(initrd, kernel);
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        auto leaving = run.machine().serial().expect("SESSIONS LEAVING", Seconds(150));
        auto asked = run.machine().seconds(leaving.at);
        auto end = run.machine().wait_for_end(Seconds(120));
        run.report().check("the machine is off", end == "guest-shutdown", end);
        judge_order(run, *data, asked);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}
