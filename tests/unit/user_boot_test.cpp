// SPDX-License-Identifier: GPL-2.0-or-later
// `hawser boot` and `hawser ibft` as commands, on folders in place of /sys, /proc and /run: what
// they print, what they refuse, and that no secret leaves them.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "user/commands.h"
#include "user/files.h"
#include "user_fixture.h"
#include "user_ibft_builder.h"

using namespace hawser::user;
using hawser_test::Fixture;
using hawser_test::IbftBuilder;

namespace {

struct Machine {
    Fixture root;
    Places places;

    explicit Machine(const std::string& command_line) {
        places.sysfs = root.path() + "/sys";
        places.proc = root.path() + "/proc";
        places.run = root.path() + "/run";
        places.device = root.path() + "/dev";
        root.put("proc/cmdline", command_line + "\n");
    }
    void lay_ibft(IbftBuilder& builder) const {
        const auto bytes = builder.finish();
        root.put("sys/firmware/acpi/tables/iBFT", std::string(bytes.begin(), bytes.end()));
    }
    // What it writes to stdout.
    template <typename Command>
    std::string output_of(Command command) const {
        const std::string path = root.path() + "/stdout";
        std::fflush(stdout);
        const int before = dup(STDOUT_FILENO);
        const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        dup2(file, STDOUT_FILENO);
        close(file);
        std::string error;
        ExitStatus status = ExitStatus::done;
        try {
            status = command();
        } catch (const std::exception& caught) {
            error = caught.what();
        }
        std::fflush(stdout);
        dup2(before, STDOUT_FILENO);
        close(before);
        CHECK(error == "");
        CHECK(status == ExitStatus::done);
        return read_file(path).value_or("");
    }
};

IbftBuilder with_secret() {
    IbftBuilder builder;
    builder.initiator("iqn.2026-01.test:node");
    builder.nic(0, IbftBuilder::mapped(10, 0, 10, 15), 24, 1);
    const size_t target =
        builder.target(0, IbftBuilder::mapped(10, 0, 10, 2), "iqn.2026-01.test:disk");
    builder.bytes[target + 32] = 1;
    builder.string(target + 38, "joe");
    builder.string(target + 42, "not-a-secret-1");
    return builder;
}

std::string failure_of(const BootOptions& options, const Places& places, ExitStatus status) {
    try {
        run_boot(options, places);
    } catch (const Failure& failure) {
        CHECK(failure.status() == status);
        return failure.what();
    }
    FAIL("it did not fail");
    return "";
}

}  // namespace

TEST_CASE("boot --dry-run: shows the plan, writes nothing, keeps secrets", "[user][boot]") {
    Machine machine("quiet rd.hawser.connections=2");
    IbftBuilder builder = with_secret();
    machine.lay_ibft(builder);
    BootOptions options;
    options.dry_run = true;
    const std::string text = machine.output_of([&] { return run_boot(options, machine.places); });
    CHECK(text.find("iqn.2026-01.test:disk") != std::string::npos);
    CHECK(text.find("CHAP         as joe ") != std::string::npos);
    CHECK(text.find("not-a-secret") == std::string::npos);
    options.json = true;
    const std::string json_text =
        machine.output_of([&] { return run_boot(options, machine.places); });
    CHECK(json_text.find("not-a-secret") == std::string::npos);
    const auto json = nlohmann::json::parse(json_text);
    CHECK(json["plan"]["connections"]["value"] == 2);
    CHECK(json["plan"]["chap"]["name"] == "joe");
    CHECK(json["plan"]["chap"]["source"] == "iBFT target 0");
    CHECK(json["plan"]["connections"]["source"] == "rd.hawser.connections");
    CHECK(list_folder(machine.places.run).empty());
}

TEST_CASE("boot --dry-run: CHAP on the command line is not shown either", "[user][boot][chap]") {
    const std::string whole =
        "rd.iscsi.firmware=0 rd.iscsi.initiator=iqn.b rd.iscsi.username=jim "
        "rd.iscsi.password=not-a-secret-2 netroot=iscsi:";
    BootOptions options;
    options.dry_run = true;
    SECTION("netroot goes before rd.iscsi") {
        Machine machine(whole + "joe:not-a-secret-3:it:not-a-secret-4@10.0.0.1::::iqn.a:b");
        const std::string text =
            machine.output_of([&] { return run_boot(options, machine.places); });
        CHECK(text.find("CHAP         as joe, the target as it ") != std::string::npos);
        CHECK(text.find("not-a-secret") == std::string::npos);
    }
    SECTION("rd.iscsi") {
        Machine machine(whole + "10.0.0.1::::iqn.a:b");
        const std::string text =
            machine.output_of([&] { return run_boot(options, machine.places); });
        CHECK(text.find("CHAP         as jim ") != std::string::npos);
        CHECK(text.find("not-a-secret") == std::string::npos);
    }
    SECTION("half of it") {
        Machine machine(whole + "10.0.0.1::::iqn.a:b rd.iscsi.in.username=it");
        CHECK(failure_of(options, machine.places, ExitStatus::failed) ==
              "hawser: a CHAP name of the target without its secret: rd.iscsi.username: "
              "give both, or none");
    }
    SECTION("one secret both ways") {
        Machine machine(whole + "joe:not-a-secret-5:it:not-a-secret-5@10.0.0.1::::iqn.a:b");
        CHECK(failure_of(options, machine.places, ExitStatus::failed)
                  .find("hawser: one CHAP secret for both directions: netroot: ") == 0);
    }
}

TEST_CASE("boot: mutual CHAP out of the iBFT", "[user][boot][chap]") {
    Machine machine("");
    IbftBuilder builder;
    builder.initiator("iqn.2026-01.test:node");
    builder.nic(0, IbftBuilder::mapped(10, 0, 10, 15), 24, 1);
    const size_t target =
        builder.target(0, IbftBuilder::mapped(10, 0, 10, 2), "iqn.2026-01.test:disk");
    builder.bytes[target + 32] = 2;
    builder.string(target + 38, "joe");
    builder.string(target + 42, "not-a-secret-6");
    builder.string(target + 46, "storage");
    builder.string(target + 50, "short-7");
    machine.lay_ibft(builder);
    BootOptions options;
    options.dry_run = true;
    const std::string text = machine.output_of([&] { return run_boot(options, machine.places); });
    CHECK(text.find("CHAP         as joe, the target as storage ") != std::string::npos);
    CHECK(text.find("note: iBFT target 0: the CHAP secret has less than 96 bits") !=
          std::string::npos);
    CHECK(text.find("not-a-secret") == std::string::npos);
    CHECK(text.find("short-7") == std::string::npos);
}

TEST_CASE("ibft: text and JSON, without secrets", "[user][ibft]") {
    Machine machine("");
    IbftBuilder builder = with_secret();
    machine.lay_ibft(builder);
    const std::string text = machine.output_of([&] { return run_ibft({}, machine.places); });
    CHECK(text.find("CHAP secret  (set)") != std::string::npos);
    CHECK(text.find("not-a-secret") == std::string::npos);
    const std::string json_text = machine.output_of([&] {
        return run_ibft({true, ""}, machine.places);
    });
    CHECK(json_text.find("not-a-secret") == std::string::npos);
    CHECK(nlohmann::json::parse(json_text)["targets"][0]["chap_secret"] == "(set)");
}

TEST_CASE("boot: nothing to do is no failure", "[user][boot]") {
    BootOptions options;
    options.dry_run = true;
    Machine none("root=/dev/sda1");
    CHECK(failure_of(options, none.places, ExitStatus::nothing_to_do)
              .find("hawser: no iBFT and no target: ") == 0);
    Machine off("rd.hawser=0 rd.hawser.connections=nonsense");
    CHECK(failure_of(options, off.places, ExitStatus::nothing_to_do)
              .find("hawser: nothing to do: rd.hawser=0: ") == 0);
    CHECK_THROWS_WITH(run_ibft({}, none.places), Catch::StartsWith("hawser: no iBFT: "));
}

TEST_CASE("boot: a broken iBFT is not passed over", "[user][boot]") {
    BootOptions options;
    options.dry_run = true;
    const std::string whole =
        "rd.hawser.target=iqn.a rd.hawser.initiator=iqn.b rd.hawser.portal=10.0.0.1 ";
    Machine machine(whole);
    machine.root.put("sys/firmware/acpi/tables/iBFT", std::string(100, '\0'));
    CHECK(failure_of(options, machine.places, ExitStatus::failed)
              .find("hawser: broken iBFT (signature): table header: ") == 0);
    machine.root.put("proc/cmdline", whole + "rd.iscsi.firmware=0");
    CHECK(machine.output_of([&] { return run_boot(options, machine.places); })
              .find("10.0.0.1:3260") != std::string::npos);
}

TEST_CASE("boot: bad parameters are all named", "[user][boot]") {
    BootOptions options;
    options.dry_run = true;
    Machine machine("rd.hawser.connections=x rd.hawser.lun=y");
    const std::string lines = failure_of(options, machine.places, ExitStatus::failed);
    CHECK(lines.find("rd.hawser.connections=x") != std::string::npos);
    CHECK(lines.find("\nhawser: bad kernel parameter: rd.hawser.lun=y: ") != std::string::npos);
    options.command_line_file = "/nowhere";
    CHECK(failure_of(options, machine.places, ExitStatus::failed) ==
          "hawser: cannot read: /nowhere: No such file or directory");
}

TEST_CASE("boot: a session that is there already will do", "[user][boot]") {
    Machine machine("rd.hawser.target=iqn.a rd.hawser.initiator=iqn.b rd.hawser.portal=10.0.0.1");
    machine.root.put("dev", "");  // so that no module is asked for
    const std::string session = "sys/bus/hawser/devices/hawser3/";
    machine.root.put(session + "target_name", "iqn.a\n");
    machine.root.put(session + "initiator_name", "iqn.b\n");
    CHECK(machine.output_of([&] { return run_boot({}, machine.places); })
              .find("hawser3 is connected to iqn.a already") != std::string::npos);
    CHECK(read_file(machine.places.run + "/hawser/boot.json"));
}
