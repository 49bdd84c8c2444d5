// SPDX-License-Identifier: GPL-2.0-or-later
//
// Waiting for lines of the console, and finding those that must not be there.

#include "serial_log.h"

#include <fmt/format.h>

#include <stdexcept>

namespace hawser::qemu {

namespace {

// Whether the module's access of this report is a marked one (READ_ONCE and the like).
bool is_marked_access(const std::vector<Line>& lines, size_t report) {
    static const std::regex k_access("(read|write) \\(marked\\)");
    static const std::regex k_end("Reported by");
    for (size_t i = report; i + 1 < lines.size(); i++) {
        if (std::regex_search(lines[i].text, k_end)) break;
        if (std::regex_search(lines[i].text, k_access) &&
            lines[i + 1].text.find("[hawser]") != std::string::npos)
            return true;
    }
    return false;
}

// The kernel has races of its own that it lives with, and KCSAN tells of them too. Ours are those
// that name the module, but for two kinds: what it reads by READ_ONCE where the kernel writes
// plainly (snd_una), which is as good as it gets outside the socket's lock; and a task's own flags,
// which memalloc_noreclaim_save (an inline function) writes while the scheduler reads them.
bool is_foreign_race(const std::vector<Line>& lines, size_t report) {
    static const std::regex k_race("BUG: KCSAN: data-race in (.*) / (.*)");
    std::smatch match;
    if (!std::regex_search(lines[report].text, match, k_race)) return false;
    unsigned ours = 0;
    for (size_t side : {1, 2}) {
        ours += match[side].str().find("[hawser]") != std::string::npos;
        if (match[side].str().find("kthread_is_per_cpu") != std::string::npos) return true;
    }
    return ours == 0 || (ours == 1 && is_marked_access(lines, report));
}

}  // namespace

std::vector<std::string> kernel_complaints(const std::vector<Line>& lines,
                                           const std::string& expected) {
    static const std::regex k_complaint(
        "WARNING: (CPU|possible|inconsistent|suspicious|bad)|BUG: |Oops|kernel BUG at|"
        "general protection fault|Kernel panic|blocked for more than|hung task|soft lockup|"
        "rcu_(sched|preempt).*(stall|detected)|INFO: (possible|inconsistent|lockdep)|"
        "DEBUG_LOCKS_WARN|UBSAN|KASAN|scheduling while atomic|sleeping function called|"
        "Call Trace:|disagrees about version of symbol|I/O error|EXT4-fs error|"
        "Remounting filesystem read-only|Device offlined|page allocation failure|"
        "[Oo]ut of memory|oom-kill|ODEBUG: |corruption|unreferenced object|"
        "kmemleak: [1-9][0-9]* new suspected");
    const std::regex meant(expected);
    std::vector<std::string> found;
    for (size_t i = 0; i < lines.size(); i++) {
        const std::string& text = lines[i].text;
        if (!std::regex_search(text, k_complaint) || is_foreign_race(lines, i)) continue;
        if (expected.empty() || !std::regex_search(text, meant)) found.push_back(text);
    }
    return found;
}

Match SerialLog::expect(const std::string& expression, Seconds limit, size_t from_line) {
    auto found = stream_.wait_for(std::regex(expression), Deadline(limit), from_line);
    if (found) {
        return *found;
    }
    auto all = stream_.lines();
    std::string tail;
    for (size_t i = all.size() > 25 ? all.size() - 25 : 0; i < all.size(); ++i) {
        tail += "    " + all[i].text + "\n";
    }
    throw std::runtime_error(
        fmt::format("console: no line with `{}` {}; the last lines are:\n{}", expression,
                    stream_.ended() ? std::string("before the machine ended")
                                    : fmt::format("within {:.0f} s", limit.count()),
                    tail));
}

std::optional<Match> SerialLog::find(const std::string& expression, size_t from_line) {
    return stream_.wait_for(std::regex(expression), Deadline(Seconds(0)), from_line);
}

}  // namespace hawser::qemu
