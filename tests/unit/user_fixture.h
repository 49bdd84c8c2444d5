// SPDX-License-Identifier: GPL-2.0-or-later
// A folder of one's own for a test, gone at its end.
#ifndef HAWSER_TESTS_USER_FIXTURE_H
#define HAWSER_TESTS_USER_FIXTURE_H

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace hawser_test {

class Fixture {
public:
    Fixture() {
        std::string name = std::filesystem::temp_directory_path() / "hawser-test-XXXXXX";
        path_ = mkdtemp(name.data());
    }
    ~Fixture() { std::filesystem::remove_all(path_); }
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;

    const std::string& path() const { return path_; }
    void put(const std::string& name, const std::string& text) const {
        const std::filesystem::path file = path_ + "/" + name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
    void link(const std::string& name, const std::string& target) const {
        const std::filesystem::path file = path_ + "/" + name;
        std::filesystem::create_directories(file.parent_path());
        std::filesystem::create_symlink(target, file);
    }

private:
    std::string path_;
};

}  // namespace hawser_test

#endif
