// SPDX-License-Identifier: GPL-2.0-or-later
//
// hawser-qemu: the scenarios. A tag [root-NAME] asks for build/images/NAME.img, which may take a
// download: it is made before the network is left.

#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "inside.h"
#include "scenario.h"

namespace {

void make_root_images(Catch::Session& session) {
    constexpr std::string_view k_prefix = "root-";
    const auto& config = session.config();
    for (const auto& test :
         Catch::filterTests(Catch::getAllTestCasesSorted(config), config.testSpec(), config)) {
        for (const auto& tag : test.tags) {
            if (tag.starts_with(k_prefix))
                hawser::qemu::make_root_image(tag.substr(k_prefix.size()));
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    return hawser::qemu::run_inside(argc, argv, make_root_images);
}
