// SPDX-License-Identifier: GPL-2.0-or-later
//
// The table of faults must not count what was not made, or did not hold.

#include "fault.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <fstream>

using namespace hawser::qemu;

namespace {

namespace fs = std::filesystem;

class Folder {
public:
    Folder() {
        std::string name = (fs::temp_directory_path() / "hawser-fault-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    ~Folder() { fs::remove_all(path_); }
    void add(const std::string& scenario, unsigned number, bool holds) const {
        Report report(scenario);
        report.check("it boots", holds);
        note_fault(report, number, "text", 1.5, "seen by tshark");
        fs::create_directories(path_ / scenario);
        report.write(path_ / scenario / "report.json");
    }
    const fs::path& path() const { return path_; }

private:
    fs::path path_;
};

}  // namespace

TEST_CASE("fault: only what was made and held counts") {
    Folder folder;
    CHECK(count_passed(read_fault_results(folder.path())) == 0);
    folder.add("fault-02-a", 2, true);
    folder.add("fault-03-a", 3, false);
    folder.add("fault-04-a", 4, true);
    folder.add("fault-04-b", 4, false);                    // one of two is not enough
    folder.add("boot-tgt", 5, true);                       // no fault's scenario
    fs::create_directories(folder.path() / "fault-06-a");  // fell before its report
    Report early("fault-07-a");
    early.write(folder.path() / "fault-06-a" / "other.json");
    fs::create_directories(folder.path() / "fault-07-a");
    early.write(folder.path() / "fault-07-a" / "report.json");  // before its fault was noted
    const auto results = read_fault_results(folder.path());
    CHECK(count_passed(results) == 1);
    REQUIRE(results.size() == 6);
    CHECK(results[1].evidence == "it boots");
    CHECK(results[4].number == 6);
    const std::string table = fault_table(results);
    CHECK(table.find("1 of 30\n") != std::string::npos);
    CHECK(table.find("not run") != std::string::npos);
    CHECK(table.find("seen by tshark") != std::string::npos);
}
