// SPDX-License-Identifier: GPL-2.0-or-later
//
// LIO with many LUNs: each image is a virtio disk of its machine, whose script carries out one line
// of shell after the other, and says so. Its LUN 0 is left alone: while that is not mapped, LIO
// puts a RAM disk of its own there, which answers reads with zeroes and refuses writes.

#include <fmt/format.h>

#include <stdexcept>

#include "http_server.h"
#include "lun_farm.h"
#include "machine.h"
#include "tiny_initramfs.h"

namespace hawser::qemu {
namespace {

namespace fs = std::filesystem;

// {0}: target name. A LUN's serial number, and so who it is, is its disk's name.
constexpr const char* k_script = R"sh(
ip link set lo up
ip link set eth0 up
ip address add 10.0.10.15/24 dev eth0
ip route add default via 10.0.10.2
mount -t configfs config /sys/kernel/config
C=/sys/kernel/config/target
T=$C/iscsi/{0}/tpgt_1
mkdir -p $T
for attribute in authentication=0 generate_node_acls=1 demo_mode_write_protect=0 \
    cache_dynamic_acls=1; do
    echo ${{attribute#*=}} > $T/attrib/${{attribute%=*}}
done
echo 8 > $T/param/MaxConnections
map() {{
    mkdir -p $T/lun/lun_$(($1 + 1))
    ln -s $C/core/iblock_$1/disk $T/lun/lun_$(($1 + 1))/disk
}}
unmap() {{ rm $T/lun/lun_$(($1 + 1))/disk; }}
n=0
for disk in /dev/vd?; do
    B=$C/core/iblock_$n/disk
    mkdir -p $B
    echo udev_path=$disk > $B/control
    echo hawser-farm-$n > $B/wwn/vpd_unit_serial
    echo 1 > $B/enable
    echo 1 > $B/attrib/emulate_tpu
    map $n
    n=$((n + 1))
done
mkdir -p "$T/np/0.0.0.0:3260"
echo 1 > $T/enable
exec 4< /dev/ttyS1
echo "FARM READY $n"
done=0
while read -r words <&4; do
    [ "$words" = stop ] && break
    eval "$words"
    done=$((done + 1))
    echo "FARM DID $done STATUS $?"
done
echo 0 > $T/enable
sync
echo FARM STOPPED
)sh";

class LioFarm : public LunFarm {
public:
    explicit LioFarm(const LunFarmOptions& options) : options_(options), port_(free_port()) {
        TinyInitramfs initramfs;
        initramfs.modules = {"virtio_pci",   "virtio_blk",         "virtio_net",
                             "configfs",     "crc32c_intel",       "target_core_mod",
                             "sha3_generic", "target_core_iblock", "iscsi_target_mod"};
        initramfs.script = fmt::format(fmt::runtime(k_script), options_.name);
        const auto kernel = packaged_kernel();
        const auto initrd = options_.directory / "target-initramfs.img";
        initramfs.write(initrd, kernel);
        MachineOptions machine;
        machine.directory = options_.directory;
        machine.name = "target-";
        machine.processors = 1;
        machine.memory_mib = 512;
        machine.direct_boot =
            DirectBoot{kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic quiet loglevel=5"};
        machine.host_forwards = {fmt::format("tcp:127.0.0.1:{}-10.0.10.15:3260", port_)};
        for (size_t i = 0; i < options_.images.size(); ++i) {
            machine.more.insert(
                machine.more.end(),
                {"-drive",
                 fmt::format("file={},format=raw,if=none,id=disk{},cache=writeback,aio=threads,"
                             "discard=unmap",
                             options_.images[i].string(), i),
                 "-device", fmt::format("virtio-blk-pci,drive=disk{0},serial=disk{0}", i)});
        }
        machine_ = std::make_unique<Machine>(machine);
        machine_->serial().expect(fmt::format("FARM READY {}", options_.images.size()),
                                  Seconds(90));
        fs::remove(initrd);
        fs::remove(options_.directory / "target.log");
        fs::create_symlink("target-serial.log", options_.directory / "target.log");
    }

    uint16_t port() const override { return port_; }
    const char* kind() const override { return "lio"; }
    unsigned first_lun() const override { return 1; }

    bool unmap(unsigned index) override {
        tell(fmt::format("unmap {}", index));
        return true;
    }
    void map(unsigned index) override { tell(fmt::format("map {}", index)); }
    bool grow(unsigned index, uint64_t bytes) override {
        machine_->qmp().execute("block_resize",
                                {{"device", fmt::format("disk{}", index)}, {"size", bytes}});
        return true;
    }
    void pause() override { machine_->pause(); }
    void resume() override { machine_->resume(); }

    void stop() override {
        machine_->shell().stream_send("stop\n");
        machine_->serial().expect("FARM STOPPED", Seconds(60));
        machine_->wait_for_end(Seconds(30));
        machine_.reset();
    }

private:
    void tell(const std::string& words) {
        machine_->shell().stream_send(words + "\n");
        const auto line = machine_->serial().expect(
            fmt::format("FARM DID {} STATUS ([0-9]+)", ++told_), Seconds(60));
        if (line.groups[1] != "0") {
            throw std::runtime_error(fmt::format("LIO: {}: status {}", words, line.groups[1]));
        }
    }

    LunFarmOptions options_;
    uint16_t port_;
    unsigned told_ = 0;
    std::unique_ptr<Machine> machine_;
};

}  // namespace

std::unique_ptr<LunFarm> make_lio_farm(const LunFarmOptions& options) {
    return std::make_unique<LioFarm>(options);
}

}  // namespace hawser::qemu
