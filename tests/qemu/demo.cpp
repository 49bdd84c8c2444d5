// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-demo: what `make demo` and `make demo-shell` run. One diskless machine with four NICs
// boots its root over one session of four connections, works, and leaves; then what happened is
// shown, and judged from packets and from the disk. Exit status 0 only if all of it holds.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "own_network.h"
#include "paths.h"
#include "scenario.h"

namespace hawser::qemu {
namespace {

namespace fs = std::filesystem;

// Debian 12 as it comes (dracut, open-iscsi, one NIC), measured on such a machine.
constexpr double k_stock_multi_user_s = 51;
constexpr double k_stock_login_s = 21.5;
constexpr const char* k_stock_initramfs = "54 MB generic, 28 MB with a hand-picked list of drivers";

void say(const std::string& text) {
    fmt::print("{}\n", text);
    std::fflush(stdout);
}

double megabytes(uint64_t bytes) {
    return static_cast<double>(bytes) / 1e6;
}

// What our own files weigh in the initramfs, compressed the way the whole is.
uint64_t own_share() {
    auto total = run_checked(
        {"sh", "-c",
         "strip --strip-debug -o \"$1\" \"$2\" && strip -o \"$3\" \"$4\" && "
         "cat \"$1\" \"$3\" | zstd -q -19 | wc -c; rm -f \"$1\" \"$3\"",
         "sh", evidence_folder("demo") / "share.ko", build_folder() / "module" / "hawser.ko",
         evidence_folder("demo") / "share.bin", build_folder() / "bin" / "hawser"},
        Seconds(120));
    return std::stoull(total);
}

void show_figures(Scenario& run) {
    auto initramfs = fs::file_size(images_folder() / "initrd.img");
    auto share = own_share();
    run.report().set("own_share_bytes", share);
    say(
        fmt::format("\nInitramfs: {:.1f} MB, of which Hawser's own module and command {:.2f} MB "
                    "(stock Debian: {})",
                    megabytes(initramfs), megabytes(share), k_stock_initramfs));
    auto start = run.report().phase_at("kernel start");
    auto login = run.report().phase_at("last login");
    auto root = run.report().phase_at("root mounted");
    auto multi_user = run.report().phase_at("multi-user");
    if (start && login && root && multi_user) {
        say(
            fmt::format("Kernel start -> all logged in {:.1f} s -> root mounted {:.1f} s -> "
                        "multi-user {:.1f} s (stock Debian: login {:.1f} s, multi-user {:.0f} s)",
                        *login - *start, *root - *start, *multi_user - *start, k_stock_login_s,
                        k_stock_multi_user_s));
    }
}

int show_verdict(Scenario& run) {
    say("");
    for (const auto& check : run.report().checks()) {
        say(fmt::format("  {}  {}{}", check.holds ? "yes" : "NO ", check.what,
                        check.detail.empty() ? "" : ": " + check.detail));
    }
    say("\n" + connection_table(run.report().connections()));
    say(fmt::format("Evidence: {}/ (serial.log, net0.pcap ... net3.pcap, target.log, report.json)",
                    run.directory().string()));
    if (run.report().passed()) {
        say("Verdict: passed. Read from packets, the disk image, the console and the running "
            "machine's /sys.");
        return 0;
    }
    say("Verdict: FAILED.\n" + run.report().failures() + "Again: build/bin/hawser-demo");
    return 1;
}

int demo() {
    say("A diskless machine with four NICs boots over one iSCSI session of four connections.\n");
    Scenario run({.name = "demo", .progress = [](double at, const std::string& what) {
                      say(fmt::format("{:8.1f} s  {}", at, what));
                  }});
    try {
        run.boot();
        run.expect_session(4);
        run.write_and_compare();
        run.power_off();
        say("\nReading the packets and the disk ...");
        run.judge_wire(4);
        run.judge_clean_end();
        run.judge_disk(/*unmounted=*/true);
        show_figures(run);
    } catch (const std::exception& error) {
        run.report().check("the demo went to its end", false, error.what());
    }
    run.finish();
    return show_verdict(run);
}

int demo_shell() {
    say("The machine's console follows. Root is logged in there; `poweroff` ends it.\n");
    Scenario run({.name = "demo", .on_terminal = true});
    auto reason = run.machine().wait_for_end(Seconds(7 * 24 * 3600));
    run.target().stop();
    fs::remove(run.image());
    say(fmt::format("\nThe machine is off ({}). Evidence: {}/", reason, run.directory().string()));
    return 0;
}

}  // namespace
}  // namespace hawser::qemu

int main(int argc, char** argv) {
    CLI::App app(
        "Boots a diskless machine over one iSCSI session of four connections, and proves it.");
    bool shell = false;
    app.add_flag("--shell", shell, "a console login instead, until the machine is powered off");
    CLI11_PARSE(app, argc, argv);
    try {
        hawser::qemu::enter_own_network();
        return shell ? hawser::qemu::demo_shell() : hawser::qemu::demo();
    } catch (const std::exception& error) {
        fmt::print(stderr, "hawser-demo: {}\n", error.what());
        return 1;
    }
}
