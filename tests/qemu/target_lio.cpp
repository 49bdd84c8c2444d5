// SPDX-License-Identifier: GPL-2.0-or-later
//
// LIO: the kernel's own target, in a machine of its own. The disk image is its virtio disk; its
// configfs tree is written by its /init, which says on the console when the portal is open.

#include <fmt/format.h>

#include <stdexcept>

#include "http_server.h"
#include "machine.h"
#include "target.h"
#include "tiny_initramfs.h"

namespace hawser::qemu {
namespace {

namespace fs = std::filesystem;

// {0}: target name, {1}: MaxConnections, {2}: lines that set CHAP up, {3}: ErrorRecoveryLevel.
// iblock takes its write cache from the disk below, which is virtio-blk with one; a backend without
// a disk is left out where the target has none.
constexpr const char* k_script = R"sh(
ip link set lo up
ip link set eth0 up
ip address add 10.0.10.15/24 dev eth0
ip route add default via 10.0.10.2
mount -t configfs config /sys/kernel/config
set -e
trap 'echo TARGET FAILED' EXIT
C=/sys/kernel/config/target
T=$C/iscsi/{0}
mkdir -p $T/tpgt_1
echo 0 > $T/tpgt_1/attrib/authentication
{2}
echo 1 > $T/tpgt_1/attrib/generate_node_acls
echo 0 > $T/tpgt_1/attrib/demo_mode_write_protect
echo 1 > $T/tpgt_1/attrib/cache_dynamic_acls
echo {1} > $T/tpgt_1/param/MaxConnections
echo {3} > $T/tpgt_1/attrib/default_erl
if [ -b /dev/vda ]; then
    B=$C/core/iblock_0/root
    mkdir -p $B
    echo udev_path=/dev/vda > $B/control
    echo hawser-root-0001 > $B/wwn/vpd_unit_serial
    echo 1 > $B/enable
    mkdir -p $T/tpgt_1/lun/lun_0
    ln -s $B $T/tpgt_1/lun/lun_0/root
    echo "write cache: $(cat /sys/block/vda/queue/write_cache)"
    # The device as a whole said so; LIO's attribute only reports what iblock found.
    echo "emulate_write_cache: $(cat $B/attrib/emulate_write_cache)"
fi
mkdir -p "$T/tpgt_1/np/0.0.0.0:3260"
echo 1 > $T/tpgt_1/enable
trap - EXIT
set +e
echo TARGET READY
while read -r word < /dev/ttyS1; do
    [ "$word" = stop ] && break
done
echo 0 > $T/tpgt_1/enable
sync
echo TARGET STOPPED
)sh";

class TargetLio : public Target {
public:
    explicit TargetLio(const TargetOptions& options) : options_(options), port_(free_port()) {
        fs::create_directories(options_.directory);
        TinyInitramfs initramfs;
        initramfs.modules = {"virtio_pci",   "virtio_blk",         "virtio_net",
                             "configfs",     "crc32c_intel",       "target_core_mod",
                             "sha3_generic", "target_core_iblock", "iscsi_target_mod"};
        initramfs.script =
            fmt::format(fmt::runtime(k_script), options_.name, options_.max_connections, chap(),
                        options_.error_recovery_level);
        kernel_ = packaged_kernel();
        initramfs.write(initrd(), kernel_);
        start();
    }

    ~TargetLio() override {
        machine_.reset();
        fs::remove(initrd());
    }

    uint16_t port() const override { return port_; }
    unsigned lun() const override { return 0; }
    const std::string& name() const override { return options_.name; }
    const char* kind() const override { return "lio"; }

    void kill() override { machine_->kill(); }
    void restart() override { start(); }

    void stop() override {
        if (machine_ && machine_->running()) {
            machine_->shell().stream_send("stop\n");
            machine_->wait_for_end(Seconds(30));
        }
        machine_.reset();
    }

private:
    fs::path initrd() const { return options_.directory / "target-initramfs.img"; }

    // Of every initiator, as for the access without lists of them.
    std::string chap() const {
        const TargetChap& chap = options_.chap;
        if (chap.name.empty()) return "";
        std::string lines = "echo 1 > $T/tpgt_1/attrib/authentication\n";
        const auto set = [&](const char* attribute, const std::string& value) {
            if (!value.empty())
                lines += fmt::format("echo -n '{}' > $T/tpgt_1/auth/{}\n", value, attribute);
        };
        set("userid", chap.name);
        set("password", chap.secret);
        set("userid_mutual", chap.name_in);
        set("password_mutual", chap.secret_in);
        return lines;
    }

    void start() {
        MachineOptions machine;
        machine.directory = options_.directory;
        machine.name = "target-";
        machine.processors = 1;
        machine.memory_mib = 512;
        machine.direct_boot = DirectBoot{kernel_.image, initrd(),
                                         "console=ttyS0 panic=-1 oops=panic quiet loglevel=5"};
        machine.host_forwards = {fmt::format("tcp:127.0.0.1:{}-10.0.10.15:3260", port_)};
        if (!options_.image.empty()) {
            machine.more = {"-drive",
                            fmt::format("file={},format=raw,if=none,id=disk,cache=writeback,"
                                        "aio=threads",
                                        options_.image.string()),
                            "-device", "virtio-blk-pci,drive=disk,serial=hawser-root"};
        }
        machine_ = std::make_unique<Machine>(machine);
        auto line = machine_->serial().expect("TARGET (READY|FAILED)", Seconds(90));
        if (line.groups[1] != "READY") {
            throw std::runtime_error("LIO could not be configured: see " +
                                     (options_.directory / "target.log").string());
        }
        // The contract's name for the target's log, whatever kind it is.
        fs::remove(options_.directory / "target.log");
        fs::create_symlink("target-serial.log", options_.directory / "target.log");
    }

    TargetOptions options_;
    uint16_t port_;
    KernelImage kernel_;
    std::unique_ptr<Machine> machine_;
};

}  // namespace

std::unique_ptr<Target> make_lio(const TargetOptions& options) {
    return std::make_unique<TargetLio>(options);
}

}  // namespace hawser::qemu
