// SPDX-License-Identifier: GPL-2.0-or-later
//
// One run of a node: target, web server and machine set up from a plan, the steps of a story, and
// the judgement of what was seen. Its evidence is in build/qemu/<name>/. A step that cannot be done
// throws; a check that does not hold is noted, and the story goes on.

#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "capture.h"
#include "http_server.h"
#include "machine.h"
#include "report.h"
#include "target.h"

namespace hawser::qemu {

struct Plan {
    std::string name;
    bool lio = false;  // the target's kind; else tgt
    unsigned nics = 4;
    unsigned portals = 4;          // portal i is reached by NIC i
    unsigned connections = 0;      // to ask for; 0: do not say, so one a portal
    unsigned max_connections = 8;  // what the target grants
    unsigned noop_out_timeout_s = 30;
    std::string arguments{};   // more for the kernel's command line
    bool on_terminal = false;  // the user sits at the console
    TargetChap chap{};         // the target's; settings.ipxe gives it to iPXE
    std::function<void(double, const std::string&)> progress{};  // told of each phase as it comes
};

class Scenario {
public:
    explicit Scenario(const Plan& plan);
    ~Scenario();

    // From power-on to a root shell, all phases noted.
    void boot();
    // Asks the guest and checks: root on the session, connections asked and granted.
    void expect_session(unsigned granted);
    // 64 MiB of noise: written, synced, dropped from the cache, read back, compared. Kept for the
    // comparison out of the image.
    void write_and_compare();
    void power_off();
    void reboot_ff();
    // The end of a machine: what its SHUTDOWN event says must be `reason`.
    void expect_end(const std::string& reason, Seconds limit);

    // After the end: the checks on what was on the wire and what is on the disk.
    void judge_wire(unsigned connections);
    void judge_clean_end();
    void judge_disk(bool unmounted);

    // Always the last: complaints of the kernel, report.json.
    void finish();

    Machine& machine() { return *machine_; }
    Shell& shell() { return machine_->shell(); }
    Target& target() { return *target_; }
    Report& report() { return report_; }
    const Plan& plan() const { return plan_; }
    std::filesystem::path directory() const { return directory_; }
    std::filesystem::path image() const { return directory_ / "root.img"; }

    // All connections to the target, and those of the kernel's session alone. Read once, at the
    // end.
    const Capture& wire();
    Capture kernel_wire();

private:
    void prepare_boot_files();
    std::string settings() const;
    void wait_for_shell();
    void note_phases();
    void phase(const std::string& name, double at);
    double boot_offset();

    Plan plan_;
    std::filesystem::path directory_;
    Report report_;
    std::unique_ptr<Target> target_;
    std::unique_ptr<HttpServer> http_server_;
    std::unique_ptr<Machine> machine_;
    std::optional<Capture> wire_;
    std::string sum_;  // of the file that write_and_compare() left
};

// The evidence folder of a run, made empty.
std::filesystem::path fresh_evidence_folder(const std::string& name);
void require_images();

}  // namespace hawser::qemu
