// SPDX-License-Identifier: GPL-2.0-or-later
//
// An iSCSI target on a loopback port of the host, with one disk image behind LUN 1 (tgt: LUN 0 is
// its controller) or LUN 0 (istgt, LIO): tgt and istgt as processes, LIO in a machine of its own.

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "deadline.h"

namespace hawser::qemu {

// Whom the target lets in (name, secret) and what it proves itself by (the ones with _in); "": not.
struct TargetChap {
    std::string name;
    std::string secret;
    std::string name_in;
    std::string secret_in;
};

struct TargetOptions {
    std::filesystem::path directory;  // where target.log goes
    std::filesystem::path image;      // empty: a target without a disk
    std::string name = "iqn.2026-11.hawser:root";
    unsigned max_connections = 8;
    TargetChap chap;
    bool digests = true;                // tgt: take CRC32C; istgt always does
    unsigned error_recovery_level = 0;  // LIO
};

class Target {
public:
    virtual ~Target() = default;
    virtual uint16_t port() const = 0;
    virtual unsigned lun() const = 0;
    virtual const std::string& name() const = 0;
    virtual const char* kind() const = 0;
    // Killed without a word, and started again at once on the same port.
    virtual void kill_and_restart() = 0;
    // Ends it in order, so that the image is whole on the host's disk.
    virtual void stop() = 0;
};

std::unique_ptr<Target> make_tgt(const TargetOptions& options);
std::unique_ptr<Target> make_istgt(const TargetOptions& options);
std::unique_ptr<Target> make_lio(const TargetOptions& options);

}  // namespace hawser::qemu
