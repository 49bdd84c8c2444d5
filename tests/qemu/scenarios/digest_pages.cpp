// SPDX-License-Identifier: GPL-2.0-or-later
//
// Pages that change while they are sent, under DataDigest=CRC32C: a user without privileges writes
// with O_DIRECT and changes the buffer meanwhile. No digest may be wrong for that: LIO would drop
// the connection, and with it the session of everybody else on that target.

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "direct_run.h"
#include "paths.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 16 << 20;

// {0}: target name, {1}: port.
constexpr const char* k_script = R"sh(
say() {{ echo "DIGEST $*"; }}
ip link set lo up
ip link set eth0 up
ip address add 10.0.10.15/24 dev eth0
hawser connect --target {0} --initiator iqn.2026-11.hawser:digest --portal 10.0.10.2:{1} \
    --connections 2 --HeaderDigest CRC32C --DataDigest CRC32C > /tmp/out
disk=$(sed -n 's/^LUN 0 is //p' /tmp/out)
D=/sys/bus/hawser/devices/hawser0
say "agreed: $(grep Digest $D/negotiated | tr '\n' ' ')"
chmod 666 $disk
echo nobody:x:65534:65534::/:/bin/sh > /etc/passwd
su nobody -s /bin/sh -c "/bin/hawser-scribbler $disk 10"
say "scribbler: $?"
say "reinstatements $(cat $D/reinstatements), last error $(cat $D/last_error)"
dd if=/dev/urandom of=/tmp/noise bs=64k count=64 2>/dev/null
dd if=/tmp/noise of=$disk bs=64k oflag=direct 2>/dev/null
dd if=$disk bs=64k count=64 iflag=direct 2>/dev/null | cmp - /tmp/noise && say "read: same"
hawser disconnect hawser0 && say "logged out"
)sh";

}  // namespace

TEST_CASE("digest-pages") {
    tell_direct("digest-pages", 1, [](DirectRun& run) {
        auto& target = run.start_lio(k_disk_bytes, 0);
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        auto initramfs = hawser_initramfs(
            fmt::format(fmt::runtime(k_script), target.name(), target.port()));
        initramfs.programs.push_back(build_folder() / "bin" / "hawser-scribbler");
        initramfs.write(initrd, kernel);
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        run.machine().wait_for_end(Seconds(120));
        run.expect_console("both digests are agreed",
                           "DIGEST agreed: HeaderDigest=CRC32C DataDigest=CRC32C");
        run.expect_console("the user wrote, without privileges",
                           "scribbler: uid 65534 wrote [1-9][0-9]+ times");
        run.expect_console("without an error", "DIGEST scribbler: 0");
        run.expect_console("the session lived on", "DIGEST reinstatements 0, ");
        run.expect_console("data is right", "DIGEST read: same");
        run.expect_console("a clean end", "DIGEST logged out");
        run.target().stop();
        std::ifstream file(run.directory() / "target.log");
        const std::string log(std::istreambuf_iterator<char>(file), {});
        run.report().check("LIO finds no wrong digest", log.find("igest") == std::string::npos,
                           log);
    });
}
