// SPDX-License-Identifier: GPL-2.0-or-later
//
// A case: one file that says what the target is, how it lies, what the initiator is asked to do and
// what must come of it.
//
//   case WORDS                      its name
//   unh SUITE NUMBER                UNH-IOL's number: login, ffp or chap
//   rule N...                       the rules of docs/rules.md that it holds
//   target KEY=VALUE...             settings of the target, RFC keys among them
//   options KEY=VALUE...            for the engine's option line
//   connections N                   how many, each to a portal of its own
//   secret NAME [NAME]              CHAP: ours, and what the target must know
//   timeout MS                      of each command: without an answer it climbs the ladder
//   chunk N                         the engine gets its bytes in pieces of at most N
//   on ..., at ...                  script.h
//   run login                       the first step, unless the case says otherwise
//   run write|read BLOCK COUNT [connection C] [lun L]      waits until it is done
//   run write32|read32 ...          the same with CDBs of 32 bytes
//   run flush|test [connection C]   SYNCHRONIZE CACHE, TEST UNIT READY
//   run exchange BLOCK COUNT [write BYTES] [read BYTES] [connection C]
//                                   XDWRITEREAD: data both ways, COUNT blocks where not said
//   run cdb HEX [read|write BYTES] [connection C]
//   start ...                       the same, without waiting
//   run abort OPERATION [connection C]        ABORT TASK; waits for its result, unless started
//   run abort-set|clear-set|reset-lun LUN [connection C]
//   run warm-reset|cold-reset [connection C]
//   run all                         waits for all that was started
//   run wait MS, run logout, run cut C, run settle
//   expect logged in|no login       at the end; a case without one expects the login
//   expect error NAME [connection C]     a connection was lost with it
//   expect end NAME                 the session ended with it
//   expect connections N            logged in at the end
//   expect reinstatements N
//   expect status N [of OPERATION]  of the operation of this number (from 1) or of each
//   expect response N [of OPERATION]
//   expect residual N [of OPERATION], expect overflow N [of OPERATION]
//   expect read_residual N [of OPERATION]     of a bidirectional command's read
//   expect portals ADDRESS...       all that the session knows at the end
//   expect place C ADDRESS          where connection C went last
//   expect managed N response R     the result of the Nth task management function; or: error NAME
//   expect aborted OPERATION        by task management
//   expect sense KEY ASC ASCQ [of OPERATION]
//   expect rungs N...               of the ladder, in the order in which they were told
//   expect fault NAME OPERATION     it cost a connection four times by this error, and was given up
//   expect undone OPERATION         it does not complete
//   expect sent PDU [times N[..M]] [where FIELD=VALUE]... [with KEY[=VALUE]]...
//   expect not sent PDU ...
//
// A case fails when something expected is missing, when data is not what was written, when a line
// of its script never came to pass, or when the judge saw a breach.

#pragma once

#include <set>

#include "scripted_target.h"

namespace hawser::target {

struct Step {
    Words words;  // without "run" or "start"
    bool waits = true;
    std::string place;
};

struct Expectation {
    Words words;
    std::string place;
};

struct Case {
    std::string file;
    std::string name;
    std::string unh_suite;
    std::string unh_number;
    std::set<uint32_t> rules;
    Settings settings;
    std::string options;
    uint32_t connections = 1;
    std::string secret;
    std::string secret_in;
    uint32_t chunk_bytes = 0;
    uint32_t timeout_ms = 0;
    std::vector<Rule> script;
    std::vector<Step> steps;
    std::vector<Expectation> expectations;
};

// Throws ScriptError.
Case parse_case(const std::string& file, const std::string& text);
Case read_case(const std::string& file);

struct Verdict {
    std::vector<std::string> failures;  // none: passed
    std::string log;                    // every PDU, a line each
    bool passed() const { return failures.empty(); }
};
Verdict run_case(const Case& one);

}  // namespace hawser::target
