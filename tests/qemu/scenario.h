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
#include <vector>

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
    std::string arguments{};    // more for the kernel's command line
    bool on_terminal = false;   // the user sits at the console
    std::string root = "root";  // whose image: build/images/<root>.img
    bool reboots = false;       // for leave_to_boot(): a reset is not the machine's end
    TargetChap chap{};          // the target's; settings.ipxe gives it to iPXE
    std::function<void(double, const std::string&)> progress{};  // told of each phase as it comes
};

// From a kernel's start to how it ended; times as of the machine.
struct Life {
    double kernel_start = 0;
    double asked = 0;
    double ended = 0;
    std::string end;  // the command that ended it
};

class Scenario {
public:
    explicit Scenario(const Plan& plan);
    ~Scenario();

    // From power-on (or the last life's end) to a root shell, all phases noted.
    void boot();
    // Asks the guest and checks: root on the session, connections asked and granted.
    void expect_session(unsigned granted);
    // 64 MiB of noise: written, synced, dropped from the cache, read back, compared. Kept for the
    // comparison out of the image.
    void write_and_compare();
    void power_off();
    void reboot(const std::string& command);
    // Ends this life by `command`; the next boot() is of the kernel that comes by itself. `line`:
    // what the console then shows; by then the disk must be at rest, and is judged while the
    // machine is paused.
    void leave_to_boot(const std::string& command, const std::string& line);
    // As leave_to_boot, but the machine stands still for ever, and is switched off.
    void leave_to_stand(const std::string& command, const std::string& line);
    // The end of a machine: what its SHUTDOWN event says must be `reason`.
    void expect_end(const std::string& reason, Seconds limit);

    // After the end: the checks on what was on the wire and what is on the disk.
    void judge_wire(unsigned connections);
    void judge_clean_end();
    void judge_lives();
    void judge_disk(bool unmounted);

    // Always the last: complaints of the kernel, but for those that a story means it to have;
    // report.json.
    void finish(const std::string& expected = "");

    Machine& machine() { return *machine_; }
    Shell& shell() { return machine_->shell(); }
    Target& target() { return *target_; }
    Report& report() { return report_; }
    uint16_t http_port() const { return http_server_->port(); }
    const Plan& plan() const { return plan_; }
    std::filesystem::path directory() const { return directory_; }
    std::filesystem::path image() const { return directory_ / "root.img"; }

    // All connections to the target, and those of the kernel's session alone. Read once, at the
    // end.
    const Capture& wire();
    Capture kernel_wire();

private:
    void end_life(const std::string& command, const std::string& line);
    void inspect_disk(const std::string& label);
    void judge_noise(const std::string& label);
    void expect_firmware();
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
    std::vector<Life> lives_;
    size_t life_starts_at_ = 0;  // the console's line
    std::string sum_;            // of the file that write_and_compare() left
};

// The evidence folder of a run, made empty.
std::filesystem::path fresh_evidence_folder(const std::string& name);
void require_images();
// An image that tests/qemu/roots describes: made when it is not there (minutes, and a download, so
// it has to be outside: by a test's tag [root-NAME]).
void make_root_image(const std::string& which);

}  // namespace hawser::qemu
