// SPDX-License-Identifier: GPL-2.0-or-later
//
// One link of several is cut under fio, silently and by a reset, and what the longest I/O took: for
// our session, and for the way that is usual without it.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "direct_run.h"
#include "process.h"

namespace hawser::qemu {

// One row of the table.
struct Stall {
    std::string who;
    std::string fault;  // "none", "silent", "reset", "two silent"
    double longest_ms = -1;
    double bound_ms = 0;  // 0: none is promised
};

// The way of the last NIC: as long as the process lives, its link is whole.
class LinkProxy {
public:
    LinkProxy(DirectRun& run, uint16_t target_port);
    uint16_t port() const { return port_; }
    void restore();
    void reset();  // what is open is reset, and nobody listens

private:
    Arguments line_;
    Process::Options options_;
    uint16_t port_;
    std::unique_ptr<Process> process_;
};

// The guest's half, in sh: `say`, `networks N`, and `window NAME DISK`, which runs fio for some
// twenty seconds and says what the longest I/O took.
std::string stall_functions();

// The host's half, a window for each fault: with "silent" and "reset" it is the last NIC's, with
// "two silent" the last two die together, as with a switch.
std::vector<Stall> cut_links(DirectRun& run, LinkProxy& proxy, unsigned last_nic,
                             const std::string& who, const std::vector<std::string>& faults);

// What both must show: fio without an error, the disk as it was, the cuts on the wire.
void judge_windows(DirectRun& run, const LinkProxy& proxy, unsigned last_nic,
                   const std::vector<Stall>& stalls);

// open-iscsi, a session by each of two NICs, and dm-multipath over both.
std::vector<Stall> cut_rival(unsigned replacement_timeout_s);

}  // namespace hawser::qemu
