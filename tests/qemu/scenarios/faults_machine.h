// SPDX-License-Identifier: GPL-2.0-or-later
//
// The machine of the faults that come while a node runs, or while it leaves: kernel, module and
// busybox, with a script that stops where the host is to do something (`act NAME`) and goes on when
// it is done. So each fault comes at a point of the story, not at a time.
//
// The script's words: `connect OPTIONS` logs in with the root's policy; `writer` writes block after
// block in the background, `under_way` waits until it has written more, `end_writer` ends it and
// compares; `fio_work` is fio with verify; `counters` is what sysfs counts; `read_back` compares.

#pragma once

#include <functional>
#include <map>
#include <string>

#include "fault.h"
#include "peers.h"
#include "story.h"

namespace hawser::qemu {

inline constexpr const char* k_fault_target = "iqn.2026-11.hawser:root";

using Acts = std::map<std::string, std::function<void()>>;

struct FaultMachineOptions {
    uint16_t port = 0;     // where the machine logs in
    unsigned nics = 2;     // and connections
    unsigned noop_s = 30;  // how long a NOP-Out may be unanswered
    bool fio = false;      // with fio inside
    bool ext4 = false;     // with what mounts the disk
    std::string script;
};

// `name` is the scenario's: its evidence folder's too.
void start_fault_machine(DirectRun& run, const FaultMachineOptions& options);

// Does what the script asks for, until it says `done`.
void play(DirectRun& run, const Acts& acts, Seconds limit);

// 64 MiB, ext4, empty; without root.
void make_ext4(const std::filesystem::path& image);

// The image of the scenario behind the scripted target.
Peer start_image_target(DirectRun& run, const std::string& script,
                        const std::vector<std::string>& settings = {});

// The writer failed nowhere, and what it wrote is read back and in the image. The longest stall.
double judge_writer(DirectRun& run);
// The same of fio; another fio verifies the image.
double judge_fio(DirectRun& run);
// Ends the scripted target: no breach, and every line of its script came to pass.
void judge_peer(DirectRun& run, Peer& target);
// tshark reads all that we sent; returns what was on the wire.
Capture judge_frames(DirectRun& run, uint16_t port);
size_t leading_logins(const Capture& wire);
// The login that came last: when, in seconds, and of which session. All 0 when there is none.
struct NewestLogin {
    double at = 0;
    unsigned tsih = 0;
};
NewestLogin newest_login(const Capture& session);

// SYNCHRONIZE CACHE, then Logout, then nothing; the file system is clean, and /data in it is what
// the machine wrote.
void judge_clean_leave(DirectRun& run, const Capture& wire);
void judge_file_system(DirectRun& run);

}  // namespace hawser::qemu
