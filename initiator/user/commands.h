// SPDX-License-Identifier: GPL-2.0-or-later
// The commands: each takes its options and writes to stdout; what goes wrong is thrown as a
// Failure.
#ifndef HAWSER_USER_COMMANDS_H
#define HAWSER_USER_COMMANDS_H

#include <string>
#include <vector>

#include "user/boot_plan.h"
#include "user/connect_request.h"
#include "user/failure.h"
#include "user/session_status.h"

namespace hawser::user {

// Where the machine is looked at; other folders for tests.
struct Places {
    std::string sysfs = "/sys";
    std::string proc = "/proc";
    std::string run = "/run";
    std::string device = "/dev/hawser";
};

struct IbftOptions {
    bool json = false;
    std::string file;
};

struct BootOptions {
    bool dry_run = false;
    bool json = false;
    std::string command_line_file;
    std::string ibft_file;
};

// Where CHAP's secrets are; empty: none.
struct SecretFiles {
    std::string secret;
    std::string secret_in;
};

struct DiscoverOptions {
    std::vector<std::string> portals;
    std::string initiator;
    std::string chap_name;
    std::string chap_name_in;
    SecretFiles files;
    unsigned timeout_s = 10;  // for each portal
    bool json = false;
};

// Where open-iscsi keeps the machine's name; empty when it is not there.
constexpr const char* k_initiator_name_file = "/etc/iscsi/initiatorname.iscsi";
std::string initiator_name_of_machine();

ExitStatus run_ibft(const IbftOptions& options, const Places& places);
ExitStatus run_boot(const BootOptions& options, const Places& places);
ExitStatus run_discover(const DiscoverOptions& options);
ExitStatus run_connect(KeyValues values, const SecretFiles& files, const Places& places);
ExitStatus run_disconnect(const std::string& session, const Places& places);
// portal: "" for the next one in turn.
ExitStatus run_connection_add(const std::string& session, const std::string& portal,
                              const Places& places);
ExitStatus run_connection_drop(const std::string& session, unsigned connection,
                               const Places& places);
ExitStatus run_connection_order(const std::string& session, const std::string& order,
                                const Places& places);
ExitStatus run_lun_list(const std::string& session, bool json, const Places& places);
ExitStatus run_lun_accept(const std::string& session, const std::string& lun, const Places& places);
// Throws Failure.
SessionStatus find_session(const std::string& name, const Places& places);
ExitStatus run_status(bool json, const Places& places);

}  // namespace hawser::user

#endif
