// SPDX-License-Identifier: GPL-2.0-or-later
// What ends a command: one line `hawser: CAUSE: VALUE: WHAT TO DO`, and the exit status.
#ifndef HAWSER_USER_FAILURE_H
#define HAWSER_USER_FAILURE_H

#include <exception>
#include <string>
#include <vector>

namespace hawser::user {

enum class ExitStatus { done = 0, failed = 1, usage = 2, nothing_to_do = 3 };

// One cause, the value that shows it, and what the reader can do about it.
struct Problem {
    std::string cause;
    std::string value;
    std::string advice;

    std::string line() const;
};

// Thrown where a command cannot go on; main() prints a line for each problem.
class Failure : public std::exception {
public:
    Failure(std::string cause, std::string value, std::string advice,
            ExitStatus status = ExitStatus::failed);
    explicit Failure(std::vector<Problem> problems, ExitStatus status = ExitStatus::failed);

    const char* what() const noexcept override { return text_.c_str(); }
    const std::vector<Problem>& problems() const { return problems_; }
    ExitStatus status() const { return status_; }

private:
    std::vector<Problem> problems_;
    ExitStatus status_;
    std::string text_;
};

// The text with everything that is not printable ASCII shown as \xNN, and cut: what a firmware, a
// target or a command line wrote may hold terminal escapes.
std::string printable(std::string_view text, size_t shown_max = 200);

}  // namespace hawser::user

#endif
