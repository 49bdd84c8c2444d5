// SPDX-License-Identifier: GPL-2.0-or-later
// `hawser discover`: asks portals which targets are behind them.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "user/commands.h"
#include "user/connect_request.h"
#include "user/discovery.h"

namespace hawser::user {
namespace {

ChapCredentials read_credentials(const DiscoverOptions& options) {
    ChapCredentials chap;
    chap.name = options.chap_name;
    chap.name_in = options.chap_name_in;
    if (!options.files.secret.empty()) chap.secret = read_secret_file(options.files.secret);
    if (!options.files.secret_in.empty())
        chap.secret_in = read_secret_file(options.files.secret_in);
    std::vector<Problem> problems = chap_problems(chap, "--chap-name, --chap-secret-file");
    if (!problems.empty()) throw Failure(std::move(problems));
    if (const auto warning = chap_warning(chap)) fmt::print(stderr, "hawser: {}\n", *warning);
    return chap;
}

Endpoint read_portal(const std::string& text) {
    std::string fault;
    const auto portal = parse_portal(text, &fault);
    if (!portal) throw Failure("bad portal", printable(text), fault, ExitStatus::usage);
    if (portal->nic.is_set() || portal->source)
        throw Failure("bad portal", text, "a discovery goes as the routes say: ADDRESS[:PORT] only",
                      ExitStatus::usage);
    return portal->endpoint;
}

}  // namespace

// One portal that answers is enough; those that do not are named all the same.
ExitStatus run_discover(const DiscoverOptions& options) {
    DiscoveryRequest request;
    request.initiator = options.initiator.empty() ? initiator_name_of_machine() : options.initiator;
    if (request.initiator.empty()) {
        throw Failure("no initiator name", k_initiator_name_file,
                      "give --initiator, or put InitiatorName=IQN there");
    }
    if (const auto fault = iscsi_name_fault(request.initiator))
        throw Failure("bad initiator", printable(request.initiator), "the name " + *fault);
    request.chap = read_credentials(options);
    request.timeout = std::chrono::seconds(options.timeout_s);
    std::vector<Endpoint> portals;
    for (const std::string& text : options.portals) portals.push_back(read_portal(text));

    DiscoveryResult result;
    std::vector<Problem> problems;
    for (const Endpoint& portal : portals) {
        request.portal = portal;
        try {
            add_sent_targets(send_targets(request), portal, result);
        } catch (const Failure& failure) {
            problems.insert(problems.end(), failure.problems().begin(), failure.problems().end());
        }
    }
    if (problems.size() == portals.size()) throw Failure(std::move(problems));
    for (const Problem& problem : problems) fmt::print(stderr, "{}\n", problem.line());
    for (const std::string& note : result.notes) fmt::print(stderr, "hawser: {}\n", note);
    if (options.json) {
        fmt::print("{}\n", discovery_json(result).dump(2));
    } else {
        fmt::print("{}", discovery_text(result));
    }
    return ExitStatus::done;
}

}  // namespace hawser::user
