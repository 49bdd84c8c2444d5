// SPDX-License-Identifier: GPL-2.0-or-later
//
// A target that does not put commands of several connections into the order of their CmdSN, as a
// user meets it: default options, four portals. Before tgt stands a proxy that closes a connection
// on which a lower CmdSN comes than another of the session had (order_guard.h), as SPDK's target
// does. Without the fallback such a session is reinstated for ever. It must fall to one connection
// within ten seconds, say so, lose nothing, and be as fast as a session that was told to have one.

#include <fmt/format.h>

#include "faults_machine.h"
#include "http_server.h"
#include "paths.h"
#include "peers.h"

using namespace hawser::qemu;

namespace {

constexpr uint64_t k_image_bytes = 64 << 20;
constexpr double k_falls_within_s = 10;

struct OrderPlan {
    std::string name;
    unsigned verify_s;   // of fio over four portals, the fall included
    unsigned measure_s;  // of each of the two rates
    double rate_least;   // of the one by the other; a short measurement on a busy host says little
};

// VERIFY and MEASURE are set before it.
constexpr const char* k_script = R"sh(
load() {
    fio --name=work --filename=$disk --size=48M --rw=randrw --bs=4k --direct=1 --ioengine=libaio \
        --iodepth=32 --time_based --runtime=$1 --output-format=terse --terse-version=3 \
        --output=/tmp/fio $2 > /tmp/fio.err 2>&1
    status=$?
    [ $status = 0 ] || cat /tmp/fio.err
    echo "$status errors $(cut -d';' -f5 /tmp/fio)" \
        "IOPS $(awk -F';' '{ print $8 + $49 }' /tmp/fio)"
}
connect
say "connections $(cat $S/connection?/state | grep -c LOGGED_IN)"
say "load begins"
say "verify $(load $VERIFY '--rw=randwrite --verify=crc32c --verify_backlog=256')"
say "fallen $(cat $S/fallback) connections $(cat $S/connection?/state | grep -c LOGGED_IN)" \
    "reinstatements $(cat $S/reinstatements) order $(cat $S/cmdsn_order)"
say "status $(hawser status | grep -A1 -i 'held to one' | head -1)"
say "json $(hawser status --json | grep '"fallback"' | tr -d ' ,')"
say "fell back: $(load $MEASURE)"
say "reinstatements later $(cat $S/reinstatements)"
hawser connection add $(basename $S) 2>&1 | sed 's/^/FAULT add: /'
# Another word of the administrator's, and back again.
hawser connection cmdsn-order $(basename $S) connection 2>&1 | sed 's/^/FAULT /'
say "forced $(cat $S/fallback) $(cat $S/cmdsn_order)"
hawser disconnect $(basename $S) && say "logged out"
connect --cmdsn_order connection
say "told: connections $(cat $S/connection?/state | grep -c LOGGED_IN)"
say "one connection: $(load $MEASURE)"
say "own mistakes $(cat $S/own_mistakes)"
hawser disconnect $(basename $S) && say "logged out again"
say done
)sh";

double number_in(DirectRun& run, const std::string& expression) {
    const auto said = run.machine().serial().find(expression);
    return said ? std::stod(said->groups[1]) : -1;
}

void judge(DirectRun& run, const OrderPlan& plan, Peer& proxy) {
    auto& serial = run.machine().serial();
    auto& report = run.report();
    run.expect_console("four connections to begin with", "FAULT connections 4");
    run.expect_console("fio verified all that it wrote", "FAULT verify 0 errors 0 ");
    run.expect_console("it has fallen to one", "FAULT fallen 1 connections 1 ");
    run.expect_console("status says so", "FAULT status .*does not put commands");
    run.expect_console("and as JSON", "FAULT json \"fallback\":1");
    run.expect_console("no more connections then", "FAULT add: .*does not put commands");
    run.expect_console("the administrator's word", "FAULT forced 0 connection");
    run.expect_console("one connection that was asked for", "FAULT told: connections 1");
    run.expect_console("no mistake of ours", "FAULT own mistakes 0");
    run.expect_console("a clean end", "FAULT logged out again");
    const auto begins = serial.find("hawser[0-9]+: connection .*: target closed the connection");
    const auto falls = serial.find("hawser[0-9]+: target does not put commands of several");
    const double fall_s =
        begins && falls ? run.machine().seconds(falls->at) - run.machine().seconds(begins->at) : -1;
    report.check("it falls within ten seconds of the first loss, and says so",
                 fall_s >= 0 && fall_s <= k_falls_within_s, fmt::format("{:.1f} s", fall_s));
    const double at_fall = number_in(run, "FAULT fallen .* reinstatements ([0-9]+)");
    report.check("by a few reinstatements", at_fall >= 1 && at_fall <= 5,
                 fmt::format("{}", at_fall));
    report.check("and none later",
                 number_in(run, "FAULT reinstatements later ([0-9]+)") == at_fall);
    const double fell = number_in(run, "FAULT fell back: 0 errors 0 IOPS ([0-9.]+)");
    const double one = number_in(run, "FAULT one connection: 0 errors 0 IOPS ([0-9.]+)");
    report.check("as fast as one connection that was asked for",
                 fell > 0 && fell >= plan.rate_least * one, fmt::format("{} of {}", fell, one));
    proxy.stop();
    report.check("the proxy had something to refuse",
                 proxy.log().find("lower CmdSNs refused 0") == std::string::npos &&
                     proxy.log().find("lower CmdSNs refused") != std::string::npos,
                 proxy.log());
    fmt::print("falls after {:.1f} s, {} reinstatements; {} IOPS, one connection {} IOPS\n", fall_s,
               at_fall, fell, one);
    report.set("falls", fmt::format("{:.1f} s, {} reinstatements, IOPS {} of {}", fall_s, at_fall,
                                    fell, one));
}

void tell(const OrderPlan& plan) {
    tell_direct(plan.name, 4, [&](DirectRun& run) {
        Target& target = run.start_tgt(k_image_bytes);
        const uint16_t port = free_port();
        Peer proxy({(build_folder() / "bin" / "hawser-proxy").string(), "--listen",
                    fmt::format("127.0.0.1:{}", port), "--target",
                    fmt::format("127.0.0.1:{}", target.port()), "--refuse-lower-cmdsn"},
                   port, run.directory() / "proxy.log");
        FaultMachineOptions options;
        options.port = port;
        options.nics = 4;
        options.fio = true;
        options.script =
            fmt::format("VERIFY={}\nMEASURE={}\n", plan.verify_s, plan.measure_s) + k_script;
        start_fault_machine(run, options);
        run.machine().serial().expect("FAULT done", Seconds(600));
        run.machine().wait_for_end(Seconds(60));
        judge(run, plan, proxy);
        target.stop();
    });
}

}  // namespace

TEST_CASE("cmdsn-order", "[more]") {
    tell({.name = "cmdsn-order", .verify_s = 120, .measure_s = 40, .rate_least = 0.9});
}

// As long as `make check` has time for.
TEST_CASE("cmdsn-order-short") {
    tell({.name = "cmdsn-order-short", .verify_s = 15, .measure_s = 8, .rate_least = 0.5});
}
