// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where things lie (docs/contracts.md, "Files").

#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace hawser::qemu {

// HAWSER_BUILD_DIR is set by CMake to <source>/build; the environment may name another.
inline std::filesystem::path build_folder() {
    const char* other = std::getenv("HAWSER_BUILD");
    return other != nullptr ? other : HAWSER_BUILD_DIR;
}

inline std::filesystem::path images_folder() {
    return build_folder() / "images";
}
inline std::filesystem::path evidence_folder(const std::string& scenario) {
    const char* other = std::getenv("HAWSER_EVIDENCE");
    return (other != nullptr ? std::filesystem::path(other) : build_folder() / "qemu") / scenario;
}

}  // namespace hawser::qemu
