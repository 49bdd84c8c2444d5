// SPDX-License-Identifier: GPL-2.0-or-later
//
// tgt: a daemon of our own beside any other, with its own port, control port and control socket.

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <stdexcept>

#include "http_server.h"
#include "target_luns.h"

namespace hawser::qemu {
namespace {

namespace fs = std::filesystem;

class TargetTgt : public LunTarget {
public:
    explicit TargetTgt(const TargetOptions& options, const Luns& luns = {}, bool write_cache = true)
        : options_(options),
          luns_(luns),
          write_cache_(write_cache),
          port_(free_port()),
          // The control port is no TCP port: it only tells daemons apart, as the socket's suffix.
          control_port_(std::to_string(::getpid() % 30000 + 1)),
          // One process may have several.
          socket_(fs::temp_directory_path() /
                  fmt::format("hawser-tgt-{}-{}", ::getpid(), count_++)) {
        fs::create_directories(options_.directory);
        fs::remove(log());
        start();
    }

    ~TargetTgt() override {
        daemon_.reset();
        remove_socket();
    }

    uint16_t port() const override { return port_; }
    unsigned lun() const override { return 1; }
    const std::string& name() const override { return options_.name; }
    const char* kind() const override { return "tgt"; }

    void freeze() override { daemon_->signal(SIGSTOP); }
    void kill() override {
        if (daemon_) daemon_->kill();
    }
    void restart() override { start(); }

    void stop() override {
        daemon_.reset();
        remove_socket();
    }

    void redirect(const Redirect& to) override {
        redirect_ = to;
        set("RedirectAddress", to.address);
        set("RedirectPort", std::to_string(to.port));
        set("RedirectReason", to.permanent ? "Permanent" : "Temporary");
    }

    void set_lun(unsigned lun, const fs::path& image, const std::string& scsi_id) override {
        const bool runs = daemon_ && daemon_->running();
        if (luns_.contains(lun) && runs) {
            admin({"--op", "delete", "--mode", "logicalunit", "--tid", "1", "--lun",
                   std::to_string(lun)});
        }
        luns_.erase(lun);
        if (image.empty()) return;
        luns_[lun] = image;
        names_[lun] = scsi_id;
        if (runs) add_lun(lun);
    }

    unsigned connections() override {
        const std::string shown = admin({"--op", "show", "--mode", "conn", "--tid", "1"});
        unsigned count = 0;
        for (size_t at = 0; (at = shown.find("Connection:", at)) != shown.npos; at++) count++;
        return count;
    }

private:
    fs::path log() const { return options_.directory / options_.log; }

    void remove_socket() const {
        std::error_code ignored;
        fs::remove(socket_.string() + "." + control_port_, ignored);
        fs::remove(socket_.string() + "." + control_port_ + ".lock", ignored);
    }

    void start() {
        remove_socket();
        auto environment = options_.environment;
        environment.push_back("TGT_IPC_SOCKET=" + socket_.string());
        daemon_ = std::make_unique<Process>(
            Arguments{"tgtd", "-f", "-C", control_port_, "--iscsi",
                      fmt::format("portal={}:{}", options_.address, port_)},
            Process::Options{
                .output = log(), .append = true, .terminal = false, .environment = environment});
        // tgtd listens for tgtadm before it knows any target, so no initiator is let in half-way:
        // the target is bound to ALL last.
        wait_until_listening(port_, *daemon_, Deadline(Seconds(15)), options_.address);
        admin({"--op", "new", "--mode", "target", "--tid", "1", "--targetname", options_.name});
        set("MaxConnections", std::to_string(options_.max_connections));
        for (const char* digest : {"HeaderDigest", "DataDigest"}) {
            if (options_.digests) set(digest, "CRC32C,None");
        }
        for (const auto& key : options_.keys) {
            const auto equals = key.find('=');
            set(key.substr(0, equals), key.substr(equals + 1));
        }
        if (redirect_) redirect(Redirect(*redirect_));
        add_disk("1", options_.image);
        add_disk("2", options_.image_2);
        for (const auto& lun : luns_) add_lun(lun.first);
        add_account(options_.chap.name, options_.chap.secret, false);
        add_account(options_.chap.name_in, options_.chap.secret_in, true);
        admin({"--op", "bind", "--mode", "target", "--tid", "1", "--initiator-address", "ALL"});
        std::ofstream(log(), std::ios::app)
            << admin({"--op", "show", "--mode", "target"}) << std::flush;
    }

    void add_disk(const char* lun, const fs::path& image) {
        if (image.empty()) return;
        admin({"--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", lun,
               "--backing-store", image.string()});
    }

    void add_lun(unsigned lun) {
        const std::string number = std::to_string(lun);
        add_disk(number.c_str(), luns_.at(lun));
        std::string parameters;
        if (!names_[lun].empty()) parameters = "scsi_id=" + names_[lun];
        if (!write_cache_)  // tgt's own page 8, without WCE
            parameters += std::string(parameters.empty() ? "" : ",") +
                          "mode_page=8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:"
                          "0:0:0:0:0";
        if (parameters.empty()) return;
        admin({"--op", "update", "--mode", "logicalunit", "--tid", "1", "--lun", number, "--params",
               parameters});
    }

    void add_account(const std::string& name, const std::string& secret, bool outgoing) {
        if (name.empty()) return;
        admin({"--op", "new", "--mode", "account", "--user", name, "--password", secret});
        Arguments bind{"--op", "bind", "--mode", "account", "--tid", "1", "--user", name};
        if (outgoing) bind.push_back("--outgoing");
        admin(bind);
    }

    void set(const std::string& name, const std::string& value) {
        admin(
            {"--op", "update", "--mode", "target", "--tid", "1", "--name", name, "--value", value});
    }

    std::string admin(const Arguments& words) {
        Arguments line{"tgtadm", "-C", control_port_, "--lld", "iscsi"};
        line.insert(line.end(), words.begin(), words.end());
        return run_checked(line, Seconds(20), {"TGT_IPC_SOCKET=" + socket_.string()});
    }

    static inline unsigned count_ = 0;

    TargetOptions options_;
    Luns luns_;
    bool write_cache_;
    std::optional<Redirect> redirect_;
    std::map<unsigned, std::string> names_;  // scsi_id of a LUN
    uint16_t port_;
    std::string control_port_;
    fs::path socket_;
    std::unique_ptr<Process> daemon_;
};

}  // namespace

std::unique_ptr<Target> make_tgt(const TargetOptions& options) {
    return std::make_unique<TargetTgt>(options);
}

std::unique_ptr<LunTarget> make_tgt_with_luns(const TargetOptions& options, const Luns& luns,
                                              bool write_cache) {
    return std::make_unique<TargetTgt>(options, luns, write_cache);
}

}  // namespace hawser::qemu
