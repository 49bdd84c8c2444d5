// SPDX-License-Identifier: GPL-2.0-or-later
//
// A unix socket of QEMU's, read by a thread of its own into timed lines. Serial console, guest
// shell and QMP are all read through this. A waiter sleeps on a condition until a line arrives, the
// stream ends, or its deadline passes. A line that has not ended yet (a prompt) counts as the last
// line.

#pragma once

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "deadline.h"

namespace hawser::qemu {

struct Line {
    std::string text;      // without the line end
    Clock::time_point at;  // when its first byte came
};

struct Match {
    size_t line;  // its index, to go on from
    Clock::time_point at;
    std::string text;
    std::vector<std::string> groups;  // [0] is the whole match
};

class ByteStream {
public:
    ByteStream(const std::filesystem::path& socket_path, Deadline deadline);
    ~ByteStream();
    ByteStream(const ByteStream&) = delete;
    ByteStream& operator=(const ByteStream&) = delete;

    void send(std::string_view bytes);

    // The first line from `from_line` on that holds the expression; nothing at the deadline or when
    // the stream ended without it.
    std::optional<Match> wait_for(const std::regex& expression, Deadline deadline,
                                  size_t from_line = 0);
    bool wait_for_end(Deadline deadline);

    std::vector<Line> lines(size_t from_line = 0) const;
    size_t line_count() const;
    bool ended() const;

private:
    void read_until_end();
    void take(std::string_view bytes);

    int descriptor_ = -1;
    int stop_descriptor_ = -1;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Line> lines_;
    bool line_open_ = false;
    bool ended_ = false;
    std::thread reader_;
};

}  // namespace hawser::qemu
