// SPDX-License-Identifier: GPL-2.0-or-later
// The `hawser` command: options in, one of the commands out.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <deque>

#include "user/commands.h"
#include "user/connect_request.h"

namespace {

using namespace hawser::user;

constexpr const char* k_examples = R"(
examples:
  hawser status                              what runs: sessions, connections, disks
  hawser ibft                                what the firmware booted from
  hawser boot --dry-run                      what a boot would do, and why
  hawser discover 10.0.0.2                   which targets are there
  hawser connect --target iqn.2004-01.com.example:disk --portal 10.0.0.2 --portal 10.0.1.2
  hawser connection add hawser0 --portal 10.0.2.2
  hawser lun list hawser0                    which LUNs are ready, and who they are
  hawser disconnect hawser0
exit status: 0 done; 1 it failed (one line on stderr for each cause); 2 bad usage; 3 nothing to do
)";

// --login_timeout may be written --login-timeout too.
std::string option_names(const std::string& key) {
    std::string dashed = key;
    std::replace(dashed.begin(), dashed.end(), '_', '-');
    return dashed == key ? "--" + key : "--" + dashed + ",--" + key;
}

struct ConnectOption {
    const ConnectKey* key;
    std::vector<std::string> values;
};

void add_connect(CLI::App& app, std::deque<ConnectOption>& options) {
    app.footer(
        "example:\n  hawser connect --target iqn.2004-01.com.example:disk --portal "
        "10.0.0.2,nic=eth0 --portal 10.0.1.2,nic=eth1 --connections 4");
    for (const ConnectKey& key : connect_keys()) {
        ConnectOption& option = options.emplace_back(ConnectOption{&key, {}});
        CLI::Option* const added = app.add_option(option_names(key.name), option.values, key.help);
        added->type_name(key.value)->type_size(1)->allow_extra_args(false)->expected(1);
        added->multi_option_policy(key.is_list ? CLI::MultiOptionPolicy::TakeAll
                                               : CLI::MultiOptionPolicy::Throw);
        const std::string name = key.name;
        if (name == "target" || name == "portal") added->required();
    }
}

void add_secret_files(CLI::App& app, SecretFiles& files) {
    app.add_option("--chap-secret-file", files.secret,
                   "a file of root's with our CHAP secret: plain text, or 0x and hex digits")
        ->type_name("FILE");
    app.add_option("--chap-secret-file-in", files.secret_in,
                   "the same with the target's: mutual CHAP")
        ->type_name("FILE");
}

void add_discover(CLI::App& app, DiscoverOptions& options) {
    app.add_option("portal", options.portals, "ADDRESS[:PORT]")->required();
    app.add_option("--initiator", options.initiator, "our iSCSI name")->type_name("NAME");
    app.add_option("--chap-name", options.chap_name, "the name that we authenticate ourselves by")
        ->type_name("NAME");
    app.add_option("--chap-name-in", options.chap_name_in, "mutual CHAP: the target's name")
        ->type_name("NAME");
    add_secret_files(app, options.files);
    app.add_option("--timeout", options.timeout_s, "for each portal (default: 10)")
        ->type_name("SECONDS")
        ->check(CLI::Range(1, 3600));
    app.add_flag("--json", options.json, "as JSON");
    app.footer("example:\n  hawser discover 10.0.0.2 10.0.1.2");
}

KeyValues connect_key_values(const std::deque<ConnectOption>& options) {
    KeyValues values;
    for (const ConnectOption& option : options) {
        for (const std::string& value : option.values) values.emplace_back(option.key->name, value);
    }
    return values;
}

CLI::App* add_boot(CLI::App& app, BootOptions& boot) {
    CLI::App* const boot_app =
        app.add_subcommand("boot", "connects the root disk, as firmware and command line say");
    boot_app->add_flag("--dry-run", boot.dry_run, "show the plan, change nothing");
    boot_app->add_flag("--json", boot.json, "as JSON");
    boot_app->add_option("--cmdline", boot.command_line_file, "instead of /proc/cmdline");
    boot_app->add_option("--ibft", boot.ibft_file, "read this raw table");
    return boot_app;
}

struct ConnectionChange {
    std::string session;
    std::string portal;
    unsigned number = 0;
    CLI::App* add = nullptr;
    CLI::App* drop = nullptr;
    CLI::App* order = nullptr;
    std::string word;
};

void add_connection(CLI::App& app, ConnectionChange& change) {
    CLI::App* const connection =
        app.add_subcommand("connection", "adds a connection to a session, or drops one");
    connection->require_subcommand(1);
    change.add = connection->add_subcommand("add", "opens one more");
    change.add->add_option("session", change.session, "as in `hawser status`")->required();
    change.add->add_option("--portal", change.portal, "where to (default: the next portal in turn)")
        ->type_name("ADDRESS[:PORT][,source=ADDRESS][,nic=NAME]");
    change.drop = connection->add_subcommand("drop", "logs one out; its commands go to the others");
    change.drop->add_option("session", change.session, "as in `hawser status`")->required();
    change.drop->add_option("connection", change.number, "its number (CID)")->required();
}

struct LunRequest {
    std::string session;
    std::string lun;
    bool json = false;
    CLI::App* list = nullptr;
    CLI::App* accept = nullptr;
};

void add_lun(CLI::App& app, LunRequest& request) {
    CLI::App* const lun = app.add_subcommand("lun", "shows the LUNs of a session, or accepts one");
    lun->require_subcommand(1);
    request.list = lun->add_subcommand("list", "state and identity of each");
    request.list->add_option("session", request.session, "as in `hawser status`")->required();
    request.list->add_flag("--json", request.json, "as JSON");
    request.accept = lun->add_subcommand(
        "accept", "the other disk that is there now is the right one: what was held is sent to it");
    request.accept->add_option("session", request.session, "as in `hawser status`")->required();
    request.accept->add_option("lun", request.lun, "its number")->required();
}

void add_places(CLI::App& app, Places& places) {
    app.add_option("--sysfs", places.sysfs, "another /sys")->envname("HAWSER_SYSFS")->group("");
    app.add_option("--proc", places.proc, "another /proc")->envname("HAWSER_PROC")->group("");
    app.add_option("--run", places.run, "another /run")->envname("HAWSER_RUN")->group("");
    app.add_option("--device", places.device, "another /dev/hawser")
        ->envname("HAWSER_DEVICE")
        ->group("");
    app.fallthrough();
}

void add_order(CLI::App& app, ConnectionChange& change) {
    CLI::App* const connection = app.get_subcommand("connection");
    change.order = connection->add_subcommand(
        "cmdsn-order", "how far the target puts commands into order: decides how many connections");
    change.order->add_option("session", change.session, "as in `hawser status`")->required();
    change.order
        ->add_option("order", change.word,
                     "session: as many as asked; connection: one; auto: one if it has to be")
        ->required()
        ->check(CLI::IsMember({"auto", "session", "connection"}));
}

ExitStatus run_change(const ConnectionChange& change, const Places& places) {
    if (change.add->parsed()) return run_connection_add(change.session, change.portal, places);
    if (change.drop->parsed()) return run_connection_drop(change.session, change.number, places);
    return run_connection_order(change.session, change.word, places);
}

int exit_code(ExitStatus status) {
    return static_cast<int>(status);
}

int parse_and_run(int argc, char** argv) {
    CLI::App app(
        "Boots and runs a machine from a disk behind many iSCSI connections in one session.",
        "hawser");
    app.set_version_flag("--version", "hawser " HAWSER_VERSION);
    app.footer(k_examples);
    app.require_subcommand(1);
    Places places;
    add_places(app, places);

    IbftOptions ibft;
    CLI::App* const ibft_app = app.add_subcommand("ibft", "shows and checks the firmware's table");
    ibft_app->add_flag("--json", ibft.json, "as JSON");
    ibft_app->add_option("--file", ibft.file, "read this raw table");

    BootOptions boot;
    CLI::App* const boot_app = add_boot(app, boot);

    DiscoverOptions discover;
    CLI::App* const discover_app =
        app.add_subcommand("discover", "asks portals which targets they lead to");
    add_discover(*discover_app, discover);

    std::deque<ConnectOption> connect;
    CLI::App* const connect_app = app.add_subcommand("connect", "opens a session");
    add_connect(*connect_app, connect);
    SecretFiles secrets;
    add_secret_files(*connect_app, secrets);

    std::string session;
    CLI::App* const disconnect_app =
        app.add_subcommand("disconnect", "ends a session that nothing uses");
    disconnect_app->add_option("session", session, "its name, as in `hawser status`")->required();

    ConnectionChange change;
    add_connection(app, change);
    add_order(app, change);

    LunRequest lun;
    add_lun(app, lun);

    bool status_json = false;
    CLI::App* const status_app = app.add_subcommand("status", "shows sessions and connections");
    status_app->add_flag("--json", status_json, "as JSON");

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
        const auto left = app.remaining();
        const std::string value = left.empty() ? error.what() : "\"" + printable(left[0]) + "\"";
        fmt::print(stderr, "hawser: bad usage: {}: `hawser --help` tells more\n", value);
        return exit_code(ExitStatus::usage);
    }
    if (ibft_app->parsed()) return exit_code(run_ibft(ibft, places));
    if (boot_app->parsed()) return exit_code(run_boot(boot, places));
    if (discover_app->parsed()) return exit_code(run_discover(discover));
    if (connect_app->parsed())
        return exit_code(run_connect(connect_key_values(connect), secrets, places));
    if (lun.list->parsed()) return exit_code(run_lun_list(lun.session, lun.json, places));
    if (lun.accept->parsed()) return exit_code(run_lun_accept(lun.session, lun.lun, places));
    if (app.get_subcommand("connection")->parsed()) return exit_code(run_change(change, places));
    if (disconnect_app->parsed()) return exit_code(run_disconnect(session, places));
    return exit_code(run_status(status_json, places));
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return parse_and_run(argc, argv);
    } catch (const Failure& failure) {
        std::fflush(stdout);
        fmt::print(stderr, "{}\n", failure.what());
        return exit_code(failure.status());
    } catch (const std::exception& error) {
        std::fflush(stdout);
        fmt::print(stderr, "hawser: internal error: {}: please report it\n", error.what());
        return exit_code(ExitStatus::failed);
    }
}
