// SPDX-License-Identifier: GPL-2.0-or-later
//
// Connections come and go while data is written and compared: one is added on another NIC, the
// leading one is dropped, and comes back. The session stays the one that it was.

#include <fmt/format.h>

#include "direct_run.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_disk_bytes = 64 << 20;

// {0}: target name, {1}: port.
constexpr const char* k_script = R"sh(
say() {{ echo "STRANDS $*"; }}
S=/sys/bus/hawser/devices/hawser0
ip link set lo up
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
hawser connect --target {0} --initiator iqn.2026-11.hawser:strands \
    --portal 10.0.10.2:{1},nic=eth0 --connections 1 --connections-max 3
dd if=/dev/urandom of=/tmp/noise bs=64k count=64 2>/dev/null
(
    rounds=0
    while [ ! -e /tmp/stop ]; do
        dd if=/tmp/noise of=/dev/sda bs=64k oflag=direct 2>/dev/null || touch /tmp/bad
        dd if=/dev/sda bs=64k count=64 iflag=direct 2>/dev/null | cmp - /tmp/noise || touch /tmp/bad
        rounds=$((rounds + 1))
    done
    say "rounds $rounds"
) &
carries() {{
    from=$(cat $S/connection$1/commands)
    until [ "$(cat $S/connection$1/commands)" -ge $((from + 20)) ]; do usleep 100000; done
    say "connection $1 carries commands"
}}
carries 0
say "room: $(cat $S/connection2/state) <$(cat $S/connection2/portal)>"
say "add: $(hawser connection add hawser0 --portal 10.0.11.2:{1},nic=eth1 2>&1)"
carries 1
say "add: $(hawser connection add hawser0 2>&1)"
say "add: $(hawser connection add hawser0 2>&1)"
say "drop: $(hawser connection drop hawser0 0 2>&1)"
carries 1
say "drop: $(hawser connection drop hawser0 9 2>&1)"
hawser status
say "add: $(hawser connection add hawser0 2>&1)"
carries 0
touch /tmp/stop
wait
[ -e /tmp/bad ] || say "every byte was right"
say "reinstatements $(cat $S/reinstatements) losses $(cat $S/connection?/losses | tr '\n' ' ')"
say "portals $(cat $S/portals | tr '\n' ' ')"
hawser disconnect hawser0
say done
)sh";

TinyInitramfs initramfs_of(const Target& target) {
    return hawser_initramfs(fmt::format(fmt::runtime(k_script), target.name(), target.port()));
}

void judge_console(DirectRun& run) {
    auto has = [&](const std::string& what, const std::string& expression) {
        run.report().check(what, run.machine().serial().find(expression).has_value(),
                           "console: no " + expression);
    };
    has("what is room only is FREE, and has no portal", "STRANDS room: FREE <>");
    has("a connection is added on another NIC", "STRANDS add: connection 1");
    has("and carries commands", "STRANDS connection 1 carries commands");
    has("another one to the next portal", "STRANDS add: connection 2");
    has("there is no room for more", "STRANDS add: hawser: no room for a connection: ");
    has("the leading one is dropped", "STRANDS drop: dropped hawser0 connection 0");
    has("one that is not there is refused", "STRANDS drop: hawser: no such connection: ");
    has("it can be added again", "STRANDS add: connection 0");
    has("data was right all the time", "STRANDS every byte was right");
    has("without a loss", "STRANDS reinstatements 0 losses 0 0 0");
    has("sysfs tells the portals", "STRANDS portals 10.0.10.2:[0-9]+ 10.0.11.2:[0-9]+");
}

void judge_wire(DirectRun& run) {
    auto& report = run.report();
    auto session = run.wire(run.target().port()).logged_in();
    report.set_connections(session);
    report.check("tshark finds no malformed PDU of ours",
                 run.wire(run.target().port()).malformed.empty());
    if (!report.check("four connections logged in", session.connections.size() == 4,
                      std::to_string(session.connections.size())))
        return;
    size_t alone = 0;
    for (const auto& connection : session.connections) {
        report.check(fmt::format("CID {} belongs to the session", connection.cid()),
                     connection.tsih() == session.connections.front().tsih());
        report.check(fmt::format("CID {} said Logout and FIN", connection.cid()),
                     connection.logout_response == 0u && connection.fin_from_initiator_at &&
                         !connection.reset_at);
        alone += connection.cid() == 0 && connection.logout_reason == 1u;
    }
    report.check("the dropped one closed itself alone", alone >= 1);
}

}  // namespace

TEST_CASE("connections-runtime") {
    DirectRun run("connections-runtime", 2);
    try {
        auto& target = run.start_tgt(k_disk_bytes);
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        initramfs_of(target).write(initrd, kernel);
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        run.machine().serial().expect("STRANDS done", Seconds(240));
        run.machine().wait_for_end(Seconds(30));
        judge_console(run);
        judge_wire(run);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}
