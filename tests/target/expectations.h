// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a case expects, held against what came of it.

#pragma once

#include "case.h"
#include "engine_host.h"

namespace hawser::target {

struct Outcomes {
    const EngineHost& host;
    const ScriptedTarget& target;
    const std::vector<std::unique_ptr<Operation>>& operations;
};

void check_expectations(const Case& one, const Outcomes& outcomes,
                        std::vector<std::string>& failures);

}  // namespace hawser::target
