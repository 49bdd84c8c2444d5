// SPDX-License-Identifier: GPL-2.0-or-later
//
// The table of rules, and the report over it.

#include "rfc_rules.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace hawser::rfc_coverage {

namespace {

std::string_view trimmed(std::string_view text) {
    const size_t first = text.find_first_not_of(' ');
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// The cells of `| a | b | c |`; none when the line is no row.
std::vector<std::string_view> cells_of(std::string_view line) {
    std::vector<std::string_view> cells;
    line = trimmed(line);
    if (!line.starts_with('|') || !line.ends_with('|') || line.size() < 2) return cells;
    line = line.substr(1, line.size() - 2);
    for (;;) {
        const size_t bar = line.find('|');
        cells.push_back(trimmed(line.substr(0, bar)));
        if (bar == line.npos) return cells;
        line.remove_prefix(bar + 1);
    }
}

std::string padded(std::string text, size_t width) {
    if (text.size() < width) text.insert(0, width - text.size(), ' ');
    return text;
}

std::string filled(std::string text, size_t width) {
    if (text.size() < width) text.append(width - text.size(), ' ');
    return text;
}

// As many names as fit, and how many did not.
std::string names_of(const std::vector<const Evidence*>& tests, size_t columns) {
    std::string text;
    size_t shown = 0;
    for (const Evidence* test : tests) {
        std::string name = test->kind == "unit" ? test->name : test->kind + " " + test->name;
        if (name.size() > 46) name = name.substr(0, 43) + "...";
        const std::string more = shown == 0 ? name : "; " + name;
        if (shown != 0 && text.size() + more.size() + 10 > columns) break;
        text += more;
        shown++;
    }
    if (shown < tests.size()) text += "; +" + std::to_string(tests.size() - shown);
    return text;
}

}  // namespace

RuleTable parse_rules(std::string_view markdown) {
    RuleTable table;
    while (!markdown.empty()) {
        const size_t end = std::min(markdown.find('\n'), markdown.size());
        const auto cells = cells_of(markdown.substr(0, end));
        markdown.remove_prefix(std::min(end + 1, markdown.size()));
        if (cells.size() != 3) continue;
        Rule rule;
        const char* last = cells[0].data() + cells[0].size();
        const auto [stop, error] = std::from_chars(cells[0].data(), last, rule.number);
        if (error != std::errc{} || stop != last) continue;
        rule.sections = cells[1];
        rule.words = cells[2];
        if (table.defect.empty() && rule.number != table.rules.size() + 1)
            table.defect = "rule " + std::to_string(rule.number) + " stands where rule " +
                           std::to_string(table.rules.size() + 1) + " belongs";
        if (table.defect.empty() && (rule.sections.empty() || rule.words.empty()))
            table.defect = "rule " + std::to_string(rule.number) + " lacks its section or words";
        table.rules.push_back(std::move(rule));
    }
    if (table.rules.empty()) table.defect = "no row `| number | sections | words |`";
    return table;
}

Report report_of(const RuleTable& table, const std::vector<Evidence>& evidence, size_t columns) {
    std::map<unsigned, std::vector<const Evidence*>> tests;
    Report report;
    report.total = table.rules.size();
    report.complete = table.defect.empty();
    for (const Evidence& test : evidence) {
        for (const unsigned number : test.rules) {
            tests[number].push_back(&test);
            if (number >= 1 && number <= report.total) continue;
            report.complete = false;
            report.text += test.file + ":" + std::to_string(test.line) + ": rule " +
                           std::to_string(number) + ": there is none; see docs/rules.md\n";
        }
    }
    for (const Rule& rule : table.rules) {
        const auto& those = tests[rule.number];
        report.held += those.empty() ? 0 : 1;
        report.text += padded(std::to_string(rule.number), 2) + "  " + filled(rule.sections, 22) +
                       padded(std::to_string(those.size()), 4) + "  " +
                       (those.empty() ? "NO TEST: " + rule.words : names_of(those, columns - 32)) +
                       "\n";
    }
    if (!table.defect.empty()) report.text += "docs/rules.md: " + table.defect + "\n";
    report.complete = report.complete && report.held == report.total;
    report.text += "rfc-coverage: " + std::to_string(report.held) + " of " +
                   std::to_string(report.total) + " rules are held by tests\n";
    return report;
}

}  // namespace hawser::rfc_coverage
