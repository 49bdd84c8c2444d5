// SPDX-License-Identifier: GPL-2.0-or-later
// `hawser boot`: plan, network, one request to the kernel; then it is over, and nothing of us stays
// behind but files in /run. The kernel holds the session from here on.
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "user/boot_report.h"
#include "user/commands.h"
#include "user/control_device.h"
#include "user/files.h"
#include "user/ibft_source.h"
#include "user/network_setup.h"
#include "user/nic_guards.h"
#include "user/session_status.h"

namespace hawser::user {
namespace {

class Boot {
public:
    Boot(const BootOptions& options, const Places& places) : options_(options), places_(places) {}

    ExitStatus run();

private:
    BootParameters read_parameters() const;
    std::optional<RawIbft> read_firmware(const BootParameters& parameters) const;
    std::vector<NicIdentity> look_at_nics(const BootParameters& parameters) const;
    BootPlan make_plan() const;
    void take_chap_secrets(const RawIbft* raw, BootPlan& plan) const;
    bool is_connected(const BootPlan& plan) const;
    unsigned timeout_left_s(unsigned timeout_s) const;
    void report(const std::string& answer, nlohmann::json& json) const;
    void say(const std::string& text) const {
        if (!options_.json) fmt::print("{}\n", text);
        std::fflush(stdout);  // the console shows where a boot hangs
    }

    const BootOptions& options_;
    const Places& places_;
    const Clock::time_point started_ = Clock::now();
};

BootParameters Boot::read_parameters() const {
    const std::string path =
        options_.command_line_file.empty() ? places_.proc + "/cmdline" : options_.command_line_file;
    const auto text = read_file(path);
    if (!text) throw Failure("cannot read", path, std::strerror(errno));
    BootParametersResult result = read_boot_parameters(split_kernel_command_line(*text));
    if (result.parameters.disabled) {
        throw Failure("nothing to do", "rd.hawser=0", "take it away to boot by iSCSI",
                      ExitStatus::nothing_to_do);
    }
    if (!result.problems.empty()) throw Failure(std::move(result.problems));
    return std::move(result.parameters);
}

std::optional<RawIbft> Boot::read_firmware(const BootParameters& parameters) const {
    if (!parameters.firmware && options_.ibft_file.empty()) return std::nullopt;
    // The table in BIOS memory is shown by our module.
    if (!options_.dry_run && options_.ibft_file.empty()) load_module(places_.device);
    return find_ibft(options_.ibft_file, places_.sysfs);
}

std::vector<NicIdentity> Boot::look_at_nics(const BootParameters& parameters) const {
    // ip=dhcp without a NIC means those that are there: wait for the first.
    const bool wait = std::any_of(
        parameters.ip.begin(), parameters.ip.end(),
        [](const IpParameter& ip) { return ip.method == AddressMethod::dhcp && !ip.nic.is_set(); });
    const std::chrono::seconds limit(
        wait && !options_.dry_run ? parameters.timeout_s.value_or(k_boot_timeout_s) : 0);
    return present_nics(Clock::now() + limit);
}

BootPlan Boot::make_plan() const {
    const BootParameters parameters = read_parameters();
    const std::optional<RawIbft> raw = read_firmware(parameters);
    std::optional<Ibft> ibft;
    if (raw) ibft = read_ibft(*raw);
    BootPlanResult result =
        make_boot_plan(ibft ? &*ibft : nullptr, parameters, look_at_nics(parameters));
    if (result.nothing_to_do) {
        throw Failure("no iBFT and no target", ibft ? "the iBFT names no target" : "none found",
                      "boot by iSCSI firmware, or give rd.hawser.target= and rd.hawser.portal=",
                      ExitStatus::nothing_to_do);
    }
    if (!result.problems.empty()) throw Failure(std::move(result.problems));
    take_chap_secrets(raw ? &*raw : nullptr, *result.plan);
    return std::move(*result.plan);
}

// The parser has checked where they lie.
void Boot::take_chap_secrets(const RawIbft* raw, BootPlan& plan) const {
    ChapCredentials& chap = plan.chap.value;
    const auto secret_at = [&](const IbftSecret& at) {
        return Secret(std::string_view(raw->bytes).substr(at.offset, at.length));
    };
    if (raw != nullptr && plan.ibft_secret.is_set()) chap.secret = secret_at(plan.ibft_secret);
    if (raw != nullptr && plan.ibft_secret_in.is_set())
        chap.secret_in = secret_at(plan.ibft_secret_in);
    std::vector<Problem> problems = chap_problems(chap, plan.chap.source);
    if (!problems.empty()) throw Failure(std::move(problems));
    if (const auto warning = chap_warning(chap)) {
        plan.notes.push_back(plan.chap.source + ": " + *warning);
    }
}

void Boot::report(const std::string& answer, nlohmann::json& json) const {
    for (const SessionStatus& session : read_sessions(places_.sysfs)) {
        if (answer != "session " + session.name) continue;
        say(fmt::format("{}: {} connections to {}", session.name, session.connections_logged_in(),
                        session.get("target_name")));
        for (const Disk& disk : session.disks) {
            say(fmt::format("LUN {} is /dev/{} ({} bytes)", disk.lun, disk.name, disk.bytes));
        }
        const std::string missing = missing_connections(session);
        if (!missing.empty()) fmt::print(stderr, "hawser: {}\n", missing);
        json["session"] = session.name;
        json["connections_logged_in"] = session.connections_logged_in();
        json["missing"] = missing;
    }
}

// Somebody connected by hand, in the shell of a boot that failed: that will do.
bool Boot::is_connected(const BootPlan& plan) const {
    for (const SessionStatus& session : read_sessions(places_.sysfs)) {
        if (session.get("target_name") != plan.target.value ||
            session.get("initiator_name") != plan.initiator.value) {
            continue;
        }
        say(fmt::format("{} is connected to {} already", session.name, plan.target.value));
        return true;
    }
    return false;
}

// The NICs may have taken most of the time; the login still gets enough for one round.
unsigned Boot::timeout_left_s(unsigned timeout_s) const {
    constexpr unsigned k_least_s = 10;
    const auto elapsed = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - started_);
    const auto elapsed_s = static_cast<unsigned>(elapsed.count());
    const unsigned left_s = elapsed_s < timeout_s ? timeout_s - elapsed_s : 0;
    return std::max(left_s, std::min(timeout_s, k_least_s));
}

ExitStatus Boot::run() {
    const BootPlan plan = make_plan();
    nlohmann::json json;
    json["plan"] = plan_json(plan);
    if (!options_.json) fmt::print("{}", plan_text(plan));
    std::fflush(stdout);
    if (options_.dry_run) {
        if (options_.json) fmt::print("{}\n", json.dump(2));
        return ExitStatus::done;
    }
    const std::string folder = places_.run + "/hawser";
    write_file(folder + "/boot.json", json.dump(2) + "\n", 0600);
    load_module(places_.device);
    if (is_connected(plan)) return ExitStatus::done;

    NetworkTimes times;
    times.until_first = std::chrono::seconds(plan.timeout_s.value);
    const std::vector<NicOutcome> nics =
        set_up_network(plan, times, folder, [this](const std::string& text) { say(text); });
    const ReadyPortals portals = resolve_portals(plan, nics);
    json["outcome"] = outcome_json(nics, portals);
    write_file(folder + "/boot.json", json.dump(2) + "\n", 0600);
    if (portals.portals.empty()) throw Failure(portals.left_out);
    for (const Problem& problem : portals.left_out) fmt::print(stderr, "{}\n", problem.line());
    write_nic_guards(places_.run, nics);

    const std::string line =
        connect_line(connect_values(plan, portals.portals, timeout_left_s(plan.timeout_s.value)));
    say(line);
    keep_chap_keys(plan.chap.value);
    const std::string answer = ask_module(line, places_.device);
    say(answer);
    json["answer"] = answer;
    report(answer, json);
    write_file(folder + "/boot.json", json.dump(2) + "\n", 0600);
    if (options_.json) fmt::print("{}\n", json.dump(2));
    return ExitStatus::done;
}

}  // namespace

ExitStatus run_boot(const BootOptions& options, const Places& places) {
    return Boot(options, places).run();
}

}  // namespace hawser::user
