// SPDX-License-Identifier: GPL-2.0-or-later
//
// Fault 7: tables that lie. A corpus through `hawser ibft` in one machine, each refused by the name
// of its fault; and boots with such tables where firmware leaves them: handed out by ACPI, and in
// low memory, where the module itself looks for them.

#include <fmt/format.h>

#include <fstream>

#include "fault.h"
#include "ibft_table.h"
#include "process.h"
#include "story.h"

using namespace hawser::qemu;

namespace {

using Bytes = std::vector<uint8_t>;

struct Lie {
    const char* name;
    const char* reason;                             // as `hawser` names it
    std::vector<std::pair<size_t, uint8_t>> bytes;  // at, value
    bool mended = true;                             // the checksum
};

// Where what lies: ibft_table.h.
constexpr size_t k_initiator = 0x48;
constexpr size_t k_nic = 0x98;
constexpr size_t k_target = 0x100;

std::vector<Lie> lies() {
    return {
        {"checksum", "checksum", {{9, 0x5a}}, false},
        {"signature", "signature", {{0, 'X'}}},
        {"revision", "revision", {{8, 9}}},
        {"length-0", "length", {{4, 0}, {5, 0}}},
        {"length-65535", "truncated", {{4, 0xff}, {5, 0xff}}},
        {"length-4g", "length", {{4, 0xff}, {5, 0xff}, {6, 0xff}, {7, 0xff}}},
        {"control-id", "structure", {{0x30, 7}}},
        {"control-length", "structure", {{0x32, 0xff}, {0x33, 0xff}}},
        {"control-short", "structure", {{0x32, 1}}},
        {"initiator-offset", "offset", {{0x38, 0xfe}, {0x39, 0xff}}},
        {"target-offset", "offset", {{0x3c, 0xff}, {0x3d, 0xff}}},
        {"target-into-header", "offset", {{0x3c, 0x04}, {0x3d, 0}}},
        {"structure-id", "structure", {{k_target, 0x77}}},
        {"structure-short", "structure", {{k_target + 2, 3}}},
        {"structure-long", "offset", {{k_target + 2, 0xff}, {k_target + 3, 0xff}}},
        {"structure-version", "structure", {{k_nic + 1, 0}}},
        {"name-length", "string", {{k_target + 34, 0xff}, {k_target + 35, 0xff}}},
        {"name-offset", "string", {{k_target + 36, 0xff}, {k_target + 37, 0xff}}},
        {"name-no-end", "string", {{k_initiator + 70, 5}}},
        {"secret-8000", "string", {{k_target + 42, 0x40}, {k_target + 43, 0x1f}}},
        {"prefix-0", "prefix", {{k_nic + 22, 0}}},
        {"prefix-33", "prefix", {{k_nic + 22, 33}}},
        {"prefix-200", "prefix", {{k_nic + 22, 200}}},
        {"port-0", "port", {{k_target + 22, 0}, {k_target + 23, 0}}},
        {"vlan-65535", "VLAN", {{k_nic + 88, 0xff}, {k_nic + 89, 0xff}}},
        {"mac-multicast", "MAC", {{k_nic + 90, 0xff}}},
        {"lun-deep", "LUN", {{k_target + 24 + 7, 1}}},
        {"address-multicast", "address", {{k_target + 6 + 12, 239}}},
    };
}

Bytes told(const Lie& lie) {
    Bytes table = IbftTable().bytes();
    for (const auto& [at, value] : lie.bytes) table.at(at) = value;
    if (lie.mended) mend_checksum(table);
    return table;
}

std::string base64(DirectRun& run, const std::string& name, const Bytes& bytes) {
    const auto file = run.directory() / (name + ".bin");
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return run_checked({"base64", "-w0", file.string()});
}

void corpus(DirectRun& run) {
    std::string script =
        "look() { hawser ibft --file /tmp/$1 > /tmp/out 2> /tmp/err; "
        "say \"$1: $?: $(head -n 1 /tmp/err)\"; }\n";
    const auto add = [&](const std::string& name, const Bytes& bytes) {
        script += fmt::format("echo {} | base64 -d > /tmp/{}\nlook {}\n", base64(run, name, bytes),
                              name, name);
    };
    add("whole", IbftTable().bytes());
    for (const Lie& lie : lies()) add(lie.name, told(lie));
    // Cut off at every length.
    script +=
        "n=0; while [ $n -lt 360 ]; do head -c $n /tmp/whole > /tmp/cut; "
        "hawser ibft --file /tmp/cut > /dev/null 2>&1; [ $? = 1 ] || say \"cut $n: taken\"; "
        "n=$((n + 9)); done\nsay \"cuts done at $n\"\nsay done\n";
    run.start_tiny(script);
    run.machine().serial().expect("FAULT done", Seconds(240));
    run.machine().wait_for_end(Seconds(30));
    run.expect_console("a whole table is read", "FAULT whole: 0: $");
    for (const Lie& lie : lies())
        run.expect_console(
            fmt::format("{} is refused by its name", lie.name),
            fmt::format("FAULT {}: 1: hawser: broken iBFT \\({}", lie.name, lie.reason));
    run.expect_console("cut off at every ninth byte", "FAULT cuts done");
    run.report().check("no cut one is taken", !run.machine().serial().find("FAULT cut "));
    note_fault(
        run.report(), 7, "bad iBFT: a corpus", std::nullopt,
        fmt::format("{} lies and 40 cuts, each refused by name in the guest; no complaint of "
                    "its kernel",
                    lies().size()));
}

constexpr const char* k_boot_script = R"sh(
hawser boot > /tmp/out 2> /tmp/err
say "boot: $?: $(head -n 1 /tmp/err)"
ls -l /sys/firmware/acpi/tables/iBFT /sys/devices/hawser/ibft 2> /dev/null
say done
)sh";

// A machine whose firmware left this table; what `hawser boot` says to it.
void boot_with(DirectRun& run, const std::string& what, const Arguments& firmware,
               const std::string& expected) {
    run.start_tiny(k_boot_script, "rd.hawser.timeout=10", firmware);
    run.machine().serial().expect("FAULT done", Seconds(120));
    run.machine().wait_for_end(Seconds(30));
    run.expect_console(what, "FAULT boot: " + expected);
    const auto complaints = kernel_complaints(run.machine().serial().lines());
    run.report().check("the kernel has nothing to complain about: " + what, complaints.empty());
    std::error_code ignored;
    for (const char* file : {"serial.log", "qemu.cmd"})
        std::filesystem::copy_file(
            run.directory() / file,
            run.directory() /
                fmt::format("{}-{}", std::to_string(run.report().checks().size()), file),
            ignored);
}

void real_boots(DirectRun& run) {
    const auto table = [](const char* name) {
        for (const Lie& lie : lies())
            if (std::string(lie.name) == name) return told(lie);
        throw std::runtime_error(name);
    };
    const auto file = [&](const char* name) { return run.directory() / name; };
    boot_with(run, "by ACPI: a target behind the end",
              ibft_by_acpi(table("target-offset"), file("a.bin")),
              "1: hawser: broken iBFT \\(offset\\)");
    boot_with(run, "by ACPI: an endless name", ibft_by_acpi(table("name-length"), file("b.bin")),
              "1: hawser: broken iBFT \\(string");
    boot_with(run, "in memory: a bad checksum", ibft_in_memory(table("checksum"), file("c.bin")),
              "1: hawser: broken iBFT \\(checksum\\)");
    // 0x98000 + 65535 is beyond low memory: whoever believes it reads the VGA's.
    Lie length{"length", "", {{4, 0xff}, {5, 0xff}}};
    boot_with(run, "in memory: 65535 bytes long", ibft_in_memory(told(length), file("d.bin")),
              "3: hawser: no iBFT");
    run.expect_console("the module says why there is none",
                       "hawser: iBFT at 0x0+98000: 65535 bytes are not all memory; table ignored");
    note_fault(
        run.report(), 7, "bad iBFT: real boots", std::nullopt,
        "two by ACPI, two in low memory: refused with a reason, the kernel did not complain");
}

}  // namespace

TEST_CASE("fault-07-ibft-corpus", "[fault]") {
    tell_direct("fault-07-ibft-corpus", 1, corpus);
}

TEST_CASE("fault-07-ibft-boots", "[fault]") {
    tell_direct("fault-07-ibft-boots", 1, real_boots);
}
