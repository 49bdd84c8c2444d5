// SPDX-License-Identifier: GPL-2.0-or-later
//
// A storm over four LUNs, from a seed. One session is root=yes, one root=no, both to all four; fio
// writes and verifies two LUNs of the first, and everything else reads and writes what is left.
// Meanwhile LUNs are unmapped at the target and mapped again, deleted, looked for, grown; links are
// cut, connections dropped; the target stands still for longer than the data session's timeout; a
// third session comes and goes; the machine is about to leave, and stays; a CPU goes, and comes
// back. At the end fio must have found every byte, in the machine and in the images on the host;
// each order must have come to its end; the sessions log out, the module goes, and the kernel has
// said nothing.
//
// HAWSER_SEED, HAWSER_STORM_SECONDS: another storm, a longer one.

#include "lun_storm.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <thread>

#include "environment.h"
#include "story.h"
#include "tiny_initramfs.h"

namespace hawser::qemu {

namespace {

constexpr uint64_t k_mib = 1 << 20;
constexpr uint64_t k_disk_bytes = 32 * k_mib;
constexpr unsigned k_disks = 4;
constexpr unsigned k_verified = 2;  // the first ones, of the root session
constexpr unsigned k_nics = 2;
constexpr unsigned k_grown_most = 40;
constexpr unsigned k_some_seconds = 30;

// The host's half: which order comes next, and when it is taken back.
class Storm {
public:
    Storm(DirectRun& run, LunFarm& farm, unsigned seed)
        : run_(run),
          farm_(farm),
          random_(seed),
          mapped_(k_disks, true),
          bytes_(k_disks, k_disk_bytes),
          link_(k_nics, true),
          log_(run.directory() / "storm.log") {}

    void rage(Seconds length);
    unsigned orders() const { return orders_; }

private:
    struct Undo {
        Clock::time_point at;
        std::function<void()> what;
    };

    unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
    void note(const std::string& what);
    void order(const std::string& words);
    void later(unsigned ms, std::function<void()> what);
    void undo_due(bool all);
    void next();
    void take_lun_away();
    void grow_lun();
    void cut_link();
    void stand_still();
    unsigned lun(unsigned index) const { return farm_.first_lun() + index; }
    const char* session() { return below(2) == 0 ? "hawser0" : "hawser1"; }

    DirectRun& run_;
    LunFarm& farm_;
    std::mt19937 random_;
    std::vector<bool> mapped_;
    std::vector<uint64_t> bytes_;
    std::vector<bool> link_;
    std::vector<Undo> undos_;
    unsigned orders_ = 0;
    std::ofstream log_;
};

void Storm::note(const std::string& what) {
    log_ << fmt::format("{:8.2f} {}\n", run_.machine().now(), what) << std::flush;
}

// To the guest, which carries it out beside the others.
void Storm::order(const std::string& words) {
    note(fmt::format("{} {}", ++orders_, words));
    run_.machine().shell().stream_send(fmt::format("{} {}\n", orders_, words));
}

void Storm::later(unsigned ms, std::function<void()> what) {
    undos_.push_back({Clock::now() + std::chrono::milliseconds(ms), std::move(what)});
}

void Storm::undo_due(bool all) {
    for (size_t i = 0; i < undos_.size();) {
        if (!all && undos_[i].at > Clock::now()) {
            ++i;
            continue;
        }
        auto undo = std::move(undos_[i]);
        undos_.erase(undos_.begin() + static_cast<long>(i));
        undo.what();
    }
}

void Storm::take_lun_away() {
    const unsigned index = below(k_disks);
    if (!mapped_[index]) return;
    note(fmt::format("unmap {}", index));
    if (!farm_.unmap(index)) return note("it is held");
    mapped_[index] = false;
    later(200 + below(5000), [this, index] {
        note(fmt::format("map {}", index));
        farm_.map(index);
        mapped_[index] = true;
    });
}

void Storm::grow_lun() {
    const unsigned index = below(k_disks);
    if (bytes_[index] >= k_disk_bytes + k_grown_most * k_mib) return;
    note(fmt::format("grow {}", index));
    if (farm_.grow(index, bytes_[index] + k_mib)) bytes_[index] += k_mib;
    order(fmt::format("look_again {} {}", session(), lun(index)));
}

void Storm::cut_link() {
    const unsigned nic = below(k_nics);
    if (!link_[nic]) return;
    note(fmt::format("link {} down", nic));
    run_.machine().set_link(nic, false);
    link_[nic] = false;
    later(300 + below(4000), [this, nic] {
        note(fmt::format("link {} up", nic));
        run_.machine().set_link(nic, true);
        link_[nic] = true;
    });
}

// Longer than the timeout of the data session's commands; orders to the target wait meanwhile.
void Storm::stand_still() {
    order(fmt::format("timeout_of hawser1 {} {}", lun(k_verified + below(2)), 1 + below(2)));
    note("pause");
    farm_.pause();
    std::this_thread::sleep_for(std::chrono::milliseconds(500 + below(4000)));
    note("resume");
    farm_.resume();
}

void Storm::next() {
    const unsigned free_lun = lun(k_verified + below(k_disks - k_verified));
    const unsigned lot = below(20);
    if (lot < 4) return take_lun_away();
    if (lot < 8) return cut_link();
    if (lot < 10) return order(fmt::format("delete {} {}", session(), free_lun));
    if (lot < 12) return order(fmt::format("look_for {}", session()));
    if (lot < 14) return grow_lun();
    if (lot < 16) return stand_still();
    if (lot < 17 && below(2) == 0) return order(fmt::format("without_a_cpu {}", 1 + below(3)));
    if (lot < 17) return order(fmt::format("drop_one {} {}", session(), below(k_nics)));
    if (lot < 18) return order("third_session");
    if (lot < 19) return order(fmt::format("leave_and_stay {}", 1 + below(3)));
    order(fmt::format("queue_of {} {} {}", session(), free_lun, below(4)));
}

void Storm::rage(Seconds length) {
    const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(length);
    while (Clock::now() < end) {
        undo_due(false);
        next();
        // The one place where time itself is what is wanted.
        std::this_thread::sleep_for(std::chrono::milliseconds(50 + below(900)));
    }
    undo_due(true);
}

std::string said(DirectRun& run, const std::string& expression) {
    const auto line = run.machine().serial().find(expression);
    return line ? line->groups[1] : std::string();
}

// What the last pass of fio wrote is in the image, as fio on the host finds.
void judge_image(DirectRun& run, unsigned index, const std::filesystem::path& image) {
    const auto last = said(run, fmt::format("STORM fio {}: ([0-9]+) passes", index));
    run.report().check(fmt::format("LUN {}: fio verified pass after pass", index),
                       !last.empty() && std::stoul(last) > 0, last + " passes");
    if (last.empty()) return;
    const auto pass = fmt::format("{:07}", std::stoul(last));
    const auto result = qemu::run(storm_fio(image.string(), index, pass, true), Seconds(120));
    run.report().check(fmt::format("LUN {}: fio finds pass {} in the image", index, last),
                       result.status == 0, result.errors + result.output);
}

void judge_console(DirectRun& run, unsigned orders) {
    auto& report = run.report();
    auto& serial = run.machine().serial();
    std::string open;
    for (unsigned n = 1; n <= orders; ++n) {
        if (!serial.find(fmt::format("STORM order {} ended", n))) open += fmt::format(" {}", n);
    }
    report.check("each order came to its end", open.empty(), "open:" + open);
    report.check("no I/O error on a LUN that fio verifies",
                 !serial.find("error,? .*dev sd[ab]\\b|STORM fio .*FAILED"));
    run.expect_console("the verified disks are there at the end, and running",
                       "STORM verified: sda running sdb running");
    for (unsigned session : {0, 1})
        run.expect_console(fmt::format("hawser{} has all its LUNs again", session),
                           fmt::format("STORM hawser{} has 4 disks", session));
    run.expect_console("all sessions log out", "STORM sessions left: 0");
    run.expect_console("the module goes", "STORM module unloaded");
    report.check("there was a storm", orders > 0, std::to_string(orders));
    report.set("orders", orders);
    report.set("counts", said(run, "STORM (counts .*)"));
}

void play(DirectRun& run, const FarmMaker& make_farm, unsigned seed, unsigned seconds) {
    LunFarmOptions options;
    options.directory = run.directory();
    for (unsigned i = 0; i < k_disks; ++i) {
        options.images.push_back(run.directory() / fmt::format("disk{}.img", i));
        run_checked(
            {"truncate", "--size", std::to_string(k_disk_bytes), options.images.back().string()});
    }
    auto farm = make_farm(options);
    run.report().set("target", farm->kind());
    run.report().set("target_port", farm->port());
    auto initramfs = storm_initramfs(*farm, options.name);
    const auto kernel = default_kernel();
    const auto initrd = run.directory() / "initramfs.img";
    initramfs.write(initrd, kernel);
    run.start({kernel.image, initrd, "console=ttyS0 panic=-1 oops=panic printk.devkmsg=on"}, {},
              true);
    auto& machine = run.machine();
    machine.serial().expect("STORM begins", Seconds(120));
    Storm storm(run, *farm, seed);
    storm.rage(Seconds(seconds));
    run.report().phase("the storm is over", machine.now());
    machine.shell().stream_send("over\n");
    machine.serial().expect("STORM done", Seconds(150));
    machine.wait_for_end(Seconds(60));
    farm->stop();
    judge_console(run, storm.orders());
    for (unsigned i = 0; i < k_verified; ++i) judge_image(run, i, options.images[i]);
    fmt::print("{} orders; {}\n", storm.orders(), said(run, "STORM (counts .*)"));
    if (run.report().passed())
        for (const auto& image : options.images) std::filesystem::remove(image);
}

void tell_storm(const std::string& name, const FarmMaker& make_farm) {
    const unsigned seed = number_from("HAWSER_SEED", 1);
    const unsigned seconds = number_from("HAWSER_STORM_SECONDS", k_some_seconds);
    fmt::print("again: HAWSER_SEED={} HAWSER_STORM_SECONDS={} build/bin/hawser-qemu {}\n", seed,
               seconds, name);
    std::fflush(stdout);
    // What is not verified may well be without a medium under somebody's hands.
    tell_direct(
        name, k_nics, [&](DirectRun& run) { play(run, make_farm, seed, seconds); },
        "I/O error.* dev sd([c-z]|[a-z][a-z])\\b");
}

}  // namespace

}  // namespace hawser::qemu

using namespace hawser::qemu;

TEST_CASE("lun-storm") {
    tell_storm("lun-storm", make_lio_farm);
}

TEST_CASE("lun-storm-tgt", "[more]") {
    tell_storm("lun-storm-tgt", make_tgt_farm);
}
