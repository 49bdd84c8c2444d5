// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads tests/golden/pdu/*.hex: a PDU byte by byte as annotated hex, who sends it, and what tshark
// has to see in it. '#' begins a comment.

#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hawser::golden {

struct Pdu {
    std::string name;
    bool from_target = false;
    std::vector<uint8_t> bytes;
    std::vector<std::pair<std::string, std::string>> tshark;  // field, value
};

inline Pdu read_file(const std::filesystem::path& path) {
    Pdu pdu;
    pdu.name = path.stem().string();
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot read " + path.string());
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::string word;
        if (!(words >> word)) continue;
        if (word == "from") {
            words >> word;
            pdu.from_target = word == "target";
        } else if (word == "tshark") {
            std::string field, equals, value;
            words >> field >> equals >> value;
            pdu.tshark.emplace_back(field, value);
        } else {
            do pdu.bytes.push_back(static_cast<uint8_t>(std::stoul(word, nullptr, 16)));
            while (words >> word);
        }
    }
    return pdu;
}

inline Pdu read(const std::string& name) {
    return read_file(std::filesystem::path(HAWSER_GOLDEN_DIR) / "pdu" / (name + ".hex"));
}

inline std::vector<Pdu> read_all() {
    std::vector<Pdu> pdus;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::filesystem::path(HAWSER_GOLDEN_DIR) / "pdu"))
        if (entry.path().extension() == ".hex") pdus.push_back(read_file(entry.path()));
    return pdus;
}

}  // namespace hawser::golden
