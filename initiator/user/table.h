// SPDX-License-Identifier: GPL-2.0-or-later
// Text in columns.
#ifndef HAWSER_USER_TABLE_H
#define HAWSER_USER_TABLE_H

#include <algorithm>
#include <string>
#include <vector>

namespace hawser::user {

class Table {
public:
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

    std::string to_string() const {
        std::vector<size_t> widths;
        for (const auto& row : rows_) {
            widths.resize(std::max(widths.size(), row.size()));
            for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
        }
        std::string text;
        for (const auto& row : rows_) {
            std::string line;
            for (size_t i = 0; i < row.size(); ++i) {
                line += row[i];
                line.append(widths[i] - row[i].size() + 2, ' ');
            }
            while (line.ends_with(' ')) line.pop_back();
            text += line + "\n";
        }
        return text;
    }

private:
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace hawser::user

#endif
