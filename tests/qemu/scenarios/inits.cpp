// SPDX-License-Identifier: GPL-2.0-or-later
//
// Leaving by other inits than systemd: their kill -1 and killall5 spare no process, and nothing of
// the session is one. Under each, a process that ignores SIGTERM writes to the root until it is
// killed.

#include <fmt/format.h>

#include "direct_node.h"
#include "disk.h"
#include "paths.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

namespace fs = std::filesystem;

constexpr uint64_t k_root_bytes = 128 << 20;

constexpr const char* k_inittab =
    "::sysinit:/etc/rc\n"
    "::respawn:/bin/sh -c 'exec sleep 1000'\n"
    "::once:/bin/sh -c 'sleep 3; echo LEAVING > /dev/console; exec poweroff'\n";

// The stubborn one has a file open for writing: with it alive, the root stays writable.
constexpr const char* k_rc = R"sh(
mount -t proc proc /proc 2>/dev/null
head -c 8388608 /dev/urandom > /root/noise
echo "BUSYBOX sum: $(sha256sum < /root/noise)" > /dev/console
(trap '' TERM; exec > /root/log; while :; do echo still here; usleep 100000; done) &
)sh";

void hooks_into(const fs::path& folder, const std::string& which) {
    auto hooks = fs::path(build_folder()).parent_path() / "shutdown-hooks";
    run_checked({(hooks / which / "install").string(), folder.string()});
}

void judge_noise(DirectRun& run) {
    auto sum = run.machine().serial().find("[A-Z]+ sum: ([0-9a-f]{64})");
    run.report().check("what was written is in the image",
                       sum && sum->groups[1] == sha256_inside(run.image(), "/root/noise"));
}

void tell_node(const std::string& name, const std::function<void(DirectRun&)>& story) {
    DirectRun run(name, 2);
    try {
        story(run);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}

}  // namespace

TEST_CASE("busybox-init") {
    tell_node("busybox-init", [](DirectRun& run) {
        auto folder = run.directory() / "root";
        make_busybox_root(folder, k_inittab, k_rc);
        hooks_into(folder, "busybox-init");
        run.start_tgt(k_root_bytes);
        make_root_disk(folder, run.image());
        fs::remove_all(folder);
        start_node(run, {.name = run.name()});
        judge_node_end(run, "LEAVING", "guest-shutdown");
        run.report().check(
            "the hook says that the root is read-only",
            run.machine().serial().find("hawser-leave: the root disk is read-only").has_value());
        judge_noise(run);
    });
}

TEST_CASE("sysvinit", "[more][root-sysvinit]") {
    tell_node("sysvinit", [](DirectRun& run) {
        run.start_tgt_on(images_folder() / "sysvinit.img");
        start_node(run, {.name = run.name()});
        judge_node_end(run, "LEAVING", "guest-shutdown");
        judge_noise(run);
        fs::remove(run.image());
    });
}
