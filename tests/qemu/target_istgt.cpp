// SPDX-License-Identifier: GPL-2.0-or-later
//
// istgt: FreeBSD's target as a process in the foreground, configured by files of its own.

#include <fmt/format.h>

#include <fstream>

#include "http_server.h"
#include "target.h"

namespace hawser::qemu {
namespace {

namespace fs = std::filesystem;

class TargetIstgt : public Target {
public:
    explicit TargetIstgt(const TargetOptions& options)
        : options_(options), port_(free_port()), control_port_(free_port()) {
        fs::create_directories(options_.directory);
        fs::remove(log());
        configure();
        start();
    }

    uint16_t port() const override { return port_; }
    unsigned lun() const override { return 0; }
    const std::string& name() const override { return options_.name; }
    const char* kind() const override { return "istgt"; }

    void kill() override { daemon_->kill(); }
    void restart() override { start(); }
    void stop() override { daemon_.reset(); }

private:
    fs::path file(const char* name) const { return options_.directory / name; }
    fs::path log() const { return file("target.log"); }

    const char* method() const {
        if (options_.chap.name.empty()) return "None";
        return options_.chap.secret_in.empty() ? "CHAP" : "CHAP Mutual";
    }

    void configure() const {
        const TargetChap& chap = options_.chap;
        std::ofstream auth(file("auth.conf"));
        auth << "[AuthGroup1]\n";
        if (!chap.name.empty()) auth << fmt::format("  Auth \"{}\" \"{}\"", chap.name, chap.secret);
        if (!chap.secret_in.empty())
            auth << fmt::format(" \"{}\" \"{}\"", chap.name_in, chap.secret_in);
        auth << "\n";
        auth.close();
        fs::permissions(file("auth.conf"), fs::perms::owner_read | fs::perms::owner_write);
        std::ofstream(file("istgt.conf")) << fmt::format(
            "[Global]\n  NodeBase \"iqn.2026-11.hawser\"\n  PidFile {0}/istgt.pid\n"
            "  AuthFile {0}/auth.conf\n  MediaDirectory {0}\n  LogFacility \"local7\"\n"
            "  Timeout 30\n  NopInInterval 20\n  DiscoveryAuthMethod {1}\n"
            "  DiscoveryAuthGroup AuthGroup1\n  MaxSessions 16\n  MaxConnections {2}\n"
            "  MaxR2T 32\n  MaxOutstandingR2T 16\n  DefaultTime2Wait 2\n"
            "  DefaultTime2Retain 60\n  FirstBurstLength 262144\n  MaxBurstLength 1048576\n"
            "  MaxRecvDataSegmentLength 262144\n  InitialR2T Yes\n  ImmediateData Yes\n"
            "  DataPDUInOrder Yes\n  DataSequenceInOrder Yes\n  ErrorRecoveryLevel 0\n"
            "[UnitControl]\n  AuthMethod None\n  AuthGroup None\n  Portal UC1 127.0.0.1:{3}\n"
            "  Netmask 127.0.0.1\n"
            "[PortalGroup1]\n  Portal DA1 127.0.0.1:{4}\n"
            "[InitiatorGroup1]\n  InitiatorName \"ALL\"\n  Netmask 127.0.0.0/8\n"
            "[LogicalUnit1]\n  TargetName {5}\n  Mapping PortalGroup1 InitiatorGroup1\n"
            "  AuthMethod {1}\n  AuthGroup AuthGroup1\n  UseDigest Auto\n  UnitType Disk\n"
            "  LUN0 Storage {6} Auto\n",
            options_.directory.string(), method(), options_.max_connections, control_port_, port_,
            options_.name, options_.image.string());
    }

    void start() {
        daemon_ = std::make_unique<Process>(
            Arguments{"istgt", "-D", "-c", file("istgt.conf").string()},
            Process::Options{
                .output = log(), .append = true, .terminal = false, .environment = {}});
        wait_until_listening(port_, *daemon_, Deadline(Seconds(15)));
    }

    TargetOptions options_;
    uint16_t port_;
    uint16_t control_port_;
    std::unique_ptr<Process> daemon_;
};

}  // namespace

std::unique_ptr<Target> make_istgt(const TargetOptions& options) {
    return std::make_unique<TargetIstgt>(options);
}

}  // namespace hawser::qemu
