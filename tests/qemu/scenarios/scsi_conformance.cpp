// SPDX-License-Identifier: GPL-2.0-or-later
//
// libiscsi's iscsi-test-cu over SG_IO, which drives any SCSI disk and so the whole way through us:
// against tgt and LIO, in one machine first over open-iscsi's iscsi_tcp, then over our session. A
// test may fail for the target's sake: then it fails over iscsi_tcp as well, or it is ours.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <sstream>

#include "direct_run.h"
#include "paths.h"
#include "story.h"
#include "tiny_initramfs.h"

using namespace hawser::qemu;

namespace {

// Small: some of its tests go over the whole disk, block by block.
constexpr uint64_t k_disk_bytes = 8 << 20;

// {0}: target name, {1}: port, {2}: LUN.
constexpr const char* k_script = R"sh(
ip link set lo up
for i in 0 1; do
    ip link set eth$i up
    ip address add 10.0.1$i.15/24 dev eth$i
done
mkdir -p /run/lock/iscsi /var /etc/iscsi
ln -s /run /var/run
echo 'root:x:0:0::/:/bin/sh' > /etc/passwd
disk() {{
    for d in /sys/class/scsi_disk/*; do
        case $d in *:{2}) ls $d/device/block ;; esac
    done | tail -1
}}
conform() {{
    echo "CONFORM $1 on /dev/$2"
    iscsi-test-cu -d -f -v -t LINUX /dev/$2 > /tmp/$1.log 2>&1
    ended=$?
    sed 's/^/| /' /tmp/$1.log
    echo "CONFORM $1 ended with $ended"
}}
iscsistart -i iqn.2026-11.hawser:rival -t {0} -g 1 -a 10.0.10.2 -p {1} > /tmp/start.log 2>&1 ||
    cat /tmp/start.log
n=0
until [ -n "$(disk)" ] || [ $n = 30 ]; do sleep 1; n=$((n + 1)); done
rival=$(disk)
conform iscsi_tcp $rival
echo 1 > /sys/block/$rival/device/delete
hawser connect --target {0} --initiator iqn.2026-11.hawser:conformance --lun {2} \
    --portal 10.0.10.2:{1},nic=eth0 --portal 10.0.11.2:{1},nic=eth1
conform hawser $(disk)
echo "CONFORM reinstatements $(cat /sys/bus/hawser/devices/hawser0/reinstatements)"
hawser disconnect hawser0 && echo "CONFORM logged out"
echo "CONFORM done"
)sh";

using Names = std::set<std::string>;

struct Conformance {
    Names passed;
    Names failed;
    Names skipped;  // CUnit counts these as passed
    size_t total = 0;

    std::string counts() const {
        return fmt::format("{} passed, {} failed, {} skipped", passed.size(), failed.size(),
                           skipped.size());
    }
};

// Verbose, it says "Suite: S", then for each test "Test: T ...", what the test has to say, and at
// the beginning of what is left of a line "passed" or "FAILED"; in the end how many there were.
Conformance read_conformance(const std::vector<Line>& lines, const std::string& who) {
    static const std::regex k_suite("Suite: (\\S+)");
    static const std::regex k_test("Test: (.*?) ?\\.\\.\\.");
    static const std::regex k_total("^ *tests +(\\d+) +\\d+ +\\d+ +(\\d+)");
    Conformance found;
    std::string suite, test;
    bool skipped = false;
    bool inside = false;
    for (const auto& line : lines) {
        if (line.text.find("CONFORM " + who + " on") != std::string::npos) inside = true;
        if (line.text.find("CONFORM " + who + " ended") != std::string::npos) inside = false;
        if (!inside || line.text.rfind("| ", 0) != 0) continue;
        std::string text = line.text.substr(2);
        std::smatch match;
        if (std::regex_search(text, match, k_suite)) suite = match[1];
        if (std::regex_search(text, match, k_total)) found.total = std::stoul(match[1]);
        if (std::regex_search(text, match, k_test)) {
            test = suite + "." + match[1].str();
            skipped = false;
            text = std::string(match.suffix());
        }
        const bool passed = text.rfind("passed", 0) == 0;
        const bool failed = text.rfind("FAILED", 0) == 0;
        if (!test.empty() && (passed || failed)) {
            (failed ? found.failed : skipped ? found.skipped : found.passed).insert(test);
            test.clear();
        }
        if (text.find("[SKIPPED]") != std::string::npos) skipped = true;
    }
    return found;
}

void judge(DirectRun& run) {
    auto& report = run.report();
    auto& serial = run.machine().serial();
    const auto lines = serial.lines();
    const auto rival = read_conformance(lines, "iscsi_tcp");
    const auto ours = read_conformance(lines, "hawser");
    for (const auto& [who, result] : {std::pair{"iscsi_tcp", rival}, std::pair{"hawser", ours}}) {
        fmt::print("{} against {}: {}\n  failed: {}\n", who, run.target().kind(), result.counts(),
                   fmt::join(result.failed, " "));
        report.set(
            who,
            {{"passed", result.passed}, {"failed", result.failed}, {"skipped", result.skipped}});
        const size_t read = result.passed.size() + result.failed.size() + result.skipped.size();
        report.check(fmt::format("{}: each test has a verdict that was read", who),
                     result.passed.size() >= 40 && read == result.total,
                     fmt::format("{}; {} in all", result.counts(), result.total));
    }
    Names more;
    for (const auto& name : ours.failed)
        if (rival.failed.count(name) == 0) more.insert(name);
    report.check("what fails over us fails over iscsi_tcp", more.empty(),
                 fmt::format("{}", fmt::join(more, " ")));
    Names unseen;
    for (const auto& name : rival.passed)
        if (ours.passed.count(name) == 0) unseen.insert(name);
    report.check("what passes over iscsi_tcp passes over us", unseen.empty(),
                 fmt::format("{}", fmt::join(unseen, " ")));
    report.check("the session was never reinstated",
                 serial.find("CONFORM reinstatements 0").has_value());
    report.check("a clean end", serial.find("CONFORM logged out").has_value());
    auto wire = run.wire(run.target().port());
    report.set_connections(wire.logged_in());
    report.check("tshark finds no malformed PDU of ours", wire.malformed.empty());
}

void conform(const std::string& name, bool lio) {
    DirectRun run(name, 2);
    try {
        auto& target = lio ? run.start_lio(k_disk_bytes, 0) : run.start_tgt(k_disk_bytes);
        auto initramfs = hawser_initramfs({});
        for (const char* module : {"sg", "iscsi_tcp"}) initramfs.modules.push_back(module);
        for (const char* program : {"/usr/bin/iscsi-test-cu", "/usr/sbin/iscsistart"})
            initramfs.programs.push_back(program);
        initramfs.files = {"/etc/iscsi/iscsid.conf"};
        initramfs.script =
            fmt::format(fmt::runtime(k_script), target.name(), target.port(), target.lun());
        auto kernel = default_kernel();
        auto initrd = run.directory() / "initramfs.img";
        initramfs.write(initrd, kernel);
        run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic"});
        run.machine().serial().expect("CONFORM done", Seconds(1500));
        run.machine().wait_for_end(Seconds(60));
        judge(run);
    } catch (const std::exception& error) {
        run.report().check("the story went to its end", false, error.what());
    }
    run.finish();
    conclude(run.report(), run.directory(), run.name());
}

}  // namespace

TEST_CASE("scsi-conformance-tgt", "[more]") {
    conform("scsi-conformance-tgt", false);
}

TEST_CASE("scsi-conformance-lio", "[more]") {
    conform("scsi-conformance-lio", true);
}
