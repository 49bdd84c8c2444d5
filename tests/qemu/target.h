// SPDX-License-Identifier: GPL-2.0-or-later
//
// An iSCSI target on a loopback port of the host, with one disk image behind LUN 1 (tgt: LUN 0 is
// its controller) or LUN 0 (istgt, LIO): tgt and istgt as processes, LIO in a machine of its own.

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

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
    std::filesystem::path image_2{};    // tgt: of a LUN 2
    std::string name = "iqn.2026-11.hawser:root";
    unsigned max_connections = 8;
    TargetChap chap;
    std::string log = "target.log";
    bool digests = true;                // tgt: take CRC32C; istgt always does
    unsigned error_recovery_level = 0;  // LIO
    std::string address = "127.0.0.1";  // tgt: where it listens
    std::vector<std::string> keys{};         // tgt: KEY=VALUE, what it wishes
    std::vector<std::string> environment{};  // tgt: NAME=VALUE
};

// Where a target sends every login on to: status 0102 or 0101.
struct Redirect {
    std::string address;
    uint16_t port = 0;
    bool permanent = false;
};

class Target {
public:
    virtual ~Target() = default;
    virtual uint16_t port() const = 0;
    virtual unsigned lun() const = 0;
    virtual const std::string& name() const = 0;
    virtual const char* kind() const = 0;
    // Killed without a word; started again on the same port.
    virtual void kill() = 0;
    virtual void restart() = 0;
    void kill_and_restart() {
        kill();
        restart();
    }
    // tgt: it holds still, with its connections open, until it is killed.
    virtual void freeze() { throw std::logic_error("this target cannot be frozen"); }
    // Ends it in order, so that the image is whole on the host's disk.
    virtual void stop() = 0;
    // From now on. tgt alone can; it lets in who comes from the very address that it would send him
    // to (it compares with the initiator's, so that a proxy there is not sent to itself).
    virtual void redirect(const Redirect&) {
        throw std::logic_error(std::string(kind()) + " cannot redirect a login");
    }
    // Its connections that are logged in now, as it tells them itself. tgt alone.
    virtual unsigned connections() {
        throw std::logic_error(std::string(kind()) + " does not tell its connections");
    }
};

std::unique_ptr<Target> make_tgt(const TargetOptions& options);
std::unique_ptr<Target> make_istgt(const TargetOptions& options);
std::unique_ptr<Target> make_lio(const TargetOptions& options);

}  // namespace hawser::qemu
