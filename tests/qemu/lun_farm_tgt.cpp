// SPDX-License-Identifier: GPL-2.0-or-later
//
// tgt with many LUNs. Its LUN 0 is its controller, so the first image is LUN 1. It does not let go
// of a LUN that has a command, and it looks at an image's size when it opens it.

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "http_server.h"
#include "lun_farm.h"
#include "process.h"

namespace hawser::qemu {
namespace {

namespace fs = std::filesystem;

class TgtFarm : public LunFarm {
public:
    explicit TgtFarm(const LunFarmOptions& options)
        : options_(options),
          port_(free_port()),
          control_port_(std::to_string(::getpid() % 30000 + 1)),
          socket_(fs::temp_directory_path() / fmt::format("hawser-farm-{}", ::getpid())) {
        daemon_ = std::make_unique<Process>(
            Arguments{"tgtd", "-f", "-C", control_port_, "--iscsi",
                      fmt::format("portal=127.0.0.1:{}", port_)},
            Process::Options{.output = options_.directory / "target.log",
                             .append = false,
                             .terminal = false,
                             .environment = {"TGT_IPC_SOCKET=" + socket_.string()}});
        wait_until_listening(port_, *daemon_, Deadline(Seconds(15)));
        checked({"--op", "new", "--mode", "target", "--tid", "1", "--targetname", options_.name});
        checked({"--op", "update", "--mode", "target", "--tid", "1", "--name", "MaxConnections",
                 "--value", "8"});
        for (unsigned i = 0; i < options_.images.size(); ++i) map(i);
        checked({"--op", "bind", "--mode", "target", "--tid", "1", "--initiator-address", "ALL"});
    }

    ~TgtFarm() override { stop(); }

    uint16_t port() const override { return port_; }
    const char* kind() const override { return "tgt"; }
    unsigned first_lun() const override { return 1; }

    bool unmap(unsigned index) override {
        Deadline deadline(Seconds(5));
        while (!deadline.passed()) {
            if (admin({"--op", "delete", "--mode", "logicalunit", "--tid", "1", "--lun",
                       std::to_string(index + 1)})
                    .status == 0)
                return true;
        }
        return false;
    }
    void map(unsigned index) override {
        const auto lun = std::to_string(index + 1);
        checked({"--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", lun,
                 "--backing-store", options_.images[index].string()});
    }
    bool grow(unsigned, uint64_t) override { return false; }
    void pause() override { daemon_->signal(SIGSTOP); }
    void resume() override { daemon_->signal(SIGCONT); }

    void stop() override {
        daemon_.reset();
        std::error_code ignored;
        fs::remove(socket_.string() + "." + control_port_, ignored);
        fs::remove(socket_.string() + "." + control_port_ + ".lock", ignored);
    }

private:
    CommandResult admin(const Arguments& words) {
        Arguments line{"tgtadm", "-C", control_port_, "--lld", "iscsi"};
        line.insert(line.end(), words.begin(), words.end());
        return run(line, Seconds(20), {"TGT_IPC_SOCKET=" + socket_.string()});
    }
    void checked(const Arguments& words) {
        const auto result = admin(words);
        if (result.status != 0) {
            throw std::runtime_error(
                fmt::format("tgtadm {}: {}{}", quoted(words), result.output, result.errors));
        }
    }

    LunFarmOptions options_;
    uint16_t port_;
    std::string control_port_;
    fs::path socket_;
    std::unique_ptr<Process> daemon_;
};

}  // namespace

std::unique_ptr<LunFarm> make_tgt_farm(const LunFarmOptions& options) {
    return std::make_unique<TgtFarm>(options);
}

}  // namespace hawser::qemu
