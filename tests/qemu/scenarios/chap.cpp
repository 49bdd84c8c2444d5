// SPDX-License-Identifier: GPL-2.0-or-later
//
// Mutual CHAP by the module, the keyring and the kernel's hashes: names and secrets out of the
// iBFT, every login of two connections, the re-login after a NIC was away; before it a wrong
// secret, which is one line and no storm. Where a secret might have been left is searched, in the
// guest and in all evidence.

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "direct_run.h"
#include "ibft_table.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

const TargetChap k_chap{"node-7", "swordfish-4711", "storage", "haddock-08-15"};
constexpr uint64_t k_disk_bytes = 64 << 20;

// {0}: target name, {1}: port, {2} and {3}: the secrets. The search takes them from a file, so that
// it does not find itself.
constexpr const char* k_script = R"sh(
say() {{ echo "CHAP $*"; }}
umask 077
printf 'swordfish-4712\n' > /tmp/wrong
printf '{2}\n{3}\n' > /tmp/secrets
S=/sys/bus/hawser/devices/hawser0
ip link set lo up
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
say "a wrong secret"
hawser connect --target {0} --initiator iqn.2026-11.hawser:chap --connections 2 \
    --portal 10.0.10.2:{1} --portal 10.0.11.2:{1} \
    --chap-name node-7 --chap-secret-file /tmp/wrong > /tmp/out 2> /tmp/err
say "status $?: $(wc -l < /tmp/err) lines: $(cat /tmp/err)"
say "a file that others can read: $(chmod 644 /tmp/wrong; hawser connect --target {0} \
    --initiator iqn.2026-11.hawser:chap --portal 10.0.10.2:{1} \
    --chap-name node-7 --chap-secret-file /tmp/wrong 2>&1)"
say "a key that is not there: $(hawser connect --target {0} \
    --initiator iqn.2026-11.hawser:chap --portal 10.0.10.2:{1} \
    --chap-name node-7 --chap-key hawser:none 2>&1)"
say "the right one"
echo "rd.hawser.portal=10.0.11.2:{1},nic=eth1 ip=10.0.11.15:::24::eth1:none" > /tmp/cmdline
hawser boot --cmdline /tmp/cmdline
say "boot: $?"
cat /run/hawser/boot.json
hawser status
dd if=/dev/urandom of=/tmp/noise bs=64k count=64 2>/dev/null
dd if=/tmp/noise of=/dev/sda bs=64k 2>/dev/null
ip link set eth1 down
while [ "$(cat $S/reinstatements)" = 0 ]; do sleep 1; done
ip link set eth1 up
both() {{ [ "$(cat $S/state $S/connection?/state)" = "$(printf 'LOGGED_IN\n%.0s' 1 2 3)" ]; }}
until both; do sleep 1; done
say "logged in again"
echo 3 > /proc/sys/vm/drop_caches
dd if=/dev/sda bs=64k count=64 2>/dev/null | cmp - /tmp/noise && say "data is the same"
# busybox's grep reads a line up to its first NUL.
search() {{
    find "$@" -type f 2>/dev/null | while read -r f; do
        tr '\0' '\n' < "$f" 2>/dev/null | grep -qF -f /tmp/secrets && echo "$f"
    done
}}
dmesg > /tmp/dmesg
for f in $(search /tmp/dmesg /run /proc/cmdline /proc/keys /proc/[0-9]*/cmdline \
    /proc/[0-9]*/environ /sys/devices/hawser /sys/module/hawser /sys/class/iscsi_session/ \
    /sys/class/iscsi_connection/ /sys/class/scsi_host/); do
    [ "$f" = /sys/devices/hawser/ibft ] || say "secret in $f"
done
[ -n "$(search /sys/firmware/acpi/tables/iBFT)" ] && say "the search can see"
hawser disconnect hawser0
say done
)sh";

TinyInitramfs chap_initramfs(const Target& target) {
    auto initramfs = hawser_initramfs(fmt::format(fmt::runtime(k_script), target.name(),
                                                  target.port(), k_chap.secret, k_chap.secret_in));
    // sha3_generic: what the module asks for is not loaded by this small world.
    initramfs.modules.push_back("sha3_generic");
    return initramfs;
}

void judge_console(DirectRun& run) {
    auto& serial = run.machine().serial();
    auto has = [&](const std::string& what, const std::string& expression) {
        run.report().check(what, serial.find(expression).has_value(), "console: no " + expression);
    };
    has("a wrong secret is one line that names the cause",
        "CHAP status 1: 1 lines: hawser: authentication failed: .*authentication failure");
    has("a secret that others can read is refused",
        "CHAP a file .*: hawser: secret file is open to others: /tmp/wrong \\(mode 0644\\)");
    has("a key that is not there is refused by name",
        "CHAP a key .*: hawser: no such key: chap_key=hawser:none: ");
    has("the plan names whom, and whence", "CHAP +as node-7, the target as storage +iBFT target 0");
    has("boot succeeds by the iBFT's secrets", "CHAP boot: 0");
    has("a lost session logs in again by itself", "CHAP logged in again");
    has("what was written before is read after it", "CHAP data is the same");
    has("the search for secrets can see", "CHAP the search can see");
    auto found = serial.find("CHAP secret in (.*)");
    run.report().check("no secret is left in the guest", !found, found ? found->text : "");
    for (const auto& line : serial.lines()) {
        const bool shown = line.text.find(k_chap.secret) != std::string::npos ||
                           line.text.find(k_chap.secret_in) != std::string::npos;
        if (shown) run.report().check("no secret is on the console", false, line.text);
    }
}

void judge_authentication(Report& report, const Capture& session) {
    for (const auto& connection : session.connections) {
        auto said = [](const std::map<std::string, std::string>& keys, const char* key) {
            auto found = keys.find(key);
            return found == keys.end() ? std::string() : found->second;
        };
        auto who = fmt::format("CID {} to {}", connection.cid(), connection.portal);
        report.check("both sides authenticated: " + who,
                     said(connection.initiator_keys, "AuthMethod") == "CHAP" &&
                         said(connection.initiator_keys, "CHAP_N") == k_chap.name &&
                         !said(connection.initiator_keys, "CHAP_R").empty() &&
                         said(connection.target_keys, "CHAP_N") == k_chap.name_in &&
                         !said(connection.target_keys, "CHAP_R").empty());
    }
}

void judge_wire(DirectRun& run) {
    auto& report = run.report();
    auto wire = run.wire(run.target().port());
    auto session = wire.logged_in();
    report.set_connections(session);
    report.check("tshark finds no malformed PDU of ours", wire.malformed.empty());
    // The first session, and the one after the loss.
    report.check("four connections or more logged in", session.connections.size() >= 4,
                 std::to_string(session.connections.size()));
    judge_authentication(report, session);
    // Of the wrong secret: tgt is asked without SHA-256 after its first refusal.
    size_t refused = 0;
    for (const auto& connection : wire.connections)
        for (const auto& response : connection.login_responses) refused += response.status == 0x201;
    report.check("one attempt with the wrong secret is refused", refused == 1,
                 std::to_string(refused));
    const size_t failed = wire.connections.size() - session.connections.size();
    report.check("no storm of logins", failed <= 8, std::to_string(failed));
    for (unsigned nic = 0; nic < 2; ++nic) {
        std::ifstream file(run.machine().pcap(nic), std::ios::binary);
        const std::string bytes(std::istreambuf_iterator<char>(file), {});
        report.check(fmt::format("no secret is on the wire of NIC {}", nic),
                     bytes.find(k_chap.secret) == std::string::npos &&
                         bytes.find(k_chap.secret_in) == std::string::npos);
    }
}

// The same search, by a distribution's tools. SeaBIOS leaves iPXE's table in memory: there alone is
// a line with secrets.
constexpr const char* k_node_search =
    "printf '%s\\n' {0} {1} > /dev/shm/secrets; journalctl -b > /dev/shm/journal; "
    "dmesg > /dev/shm/dmesg; grep -craF -f /dev/shm/secrets /dev/shm/journal /dev/shm/dmesg "
    "/proc/cmdline /run/hawser /run/systemd/network /var/log /etc /sys/devices/hawser "
    "2>/dev/null | grep -v ':0$'";

void boot_by_chap(Scenario& run) {
    run.boot();
    run.expect_session(2);
    auto plan = run.shell().run_checked("cat /run/hawser/boot.json");
    run.report().check("the plan names whom, and whence",
                       plan.find(k_chap.name) != std::string::npos &&
                           plan.find(k_chap.name_in) != std::string::npos);
    auto seen =
        run.shell().run(fmt::format(fmt::runtime(k_node_search), k_chap.secret, k_chap.secret_in));
    run.report().check("the firmware's table has the secrets, and nothing else has",
                       seen.output == "/sys/devices/hawser/ibft:1", seen.output);
    run.write_and_compare();
    run.power_off();
    run.judge_wire(2);
    judge_authentication(run.report(), run.kernel_wire());
    run.judge_clean_end();
    run.judge_disk(/*unmounted=*/true);
}

}  // namespace

TEST_CASE("chap-boot") {
    tell({.name = "chap-boot", .nics = 2, .portals = 2, .chap = k_chap}, boot_by_chap);
}

TEST_CASE("chap") {
    DirectRun run("chap", 2);
    try {
        auto& target = run.start_tgt(k_disk_bytes, k_chap);
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        chap_initramfs(target).write(initrd, kernel);
        IbftTable table;
        table.target_port = target.port();
        table.chap = k_chap;
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"},
                  ibft_by_acpi(table.bytes(), run.directory() / "ibft.bin"));
        run.machine().serial().expect("CHAP done", Seconds(240));
        run.machine().wait_for_end(Seconds(30));
        judge_console(run);
        judge_wire(run);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}
