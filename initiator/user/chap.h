// SPDX-License-Identifier: GPL-2.0-or-later
// CHAP's names and secrets on their way to the kernel: from a file, the firmware or the kernel's
// command line into keys of this process, which /dev/hawser finds by their descriptions. A secret
// is never formatted, so that it cannot get into a plan, a log or an argument.
#ifndef HAWSER_USER_CHAP_H
#define HAWSER_USER_CHAP_H

#include <string.h>  // explicit_bzero

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "user/failure.h"

namespace hawser::user {

// Bytes that are wiped at their end.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string_view bytes) : bytes_(bytes) {}
    Secret(const Secret&) = default;
    Secret& operator=(const Secret& other) {
        if (this == &other) return *this;
        wipe();
        bytes_ = other.bytes_;
        return *this;
    }
    ~Secret() { wipe(); }

    bool is_set() const { return !bytes_.empty(); }
    const std::string& bytes() const { return bytes_; }
    bool operator==(const Secret&) const = default;

private:
    void wipe() {
        explicit_bzero(bytes_.data(), bytes_.size());
        bytes_.clear();
    }
    std::string bytes_;
};

struct ChapCredentials {
    std::string name;  // ours
    Secret secret;
    std::string name_in;  // the target's; empty: any
    Secret secret_in;     // not set: the target need not authenticate itself

    bool is_set() const {
        return !name.empty() || secret.is_set() || !name_in.empty() || secret_in.is_set();
    }
    bool is_mutual() const { return secret_in.is_set(); }
    std::string to_string() const;  // for people: "as node7", "as node7, target as storage"
};

// What cannot be used, each with `source` as its value.
std::vector<Problem> chap_problems(const ChapCredentials& credentials, const std::string& source);
// A secret that can be guessed off-line (RFC 7143 9.2.1: under 96 bits), or nothing.
std::optional<std::string> chap_warning(const ChapCredentials& credentials);

// A file of root's that nobody else can read: plain text, or 0x and hex digits. One newline at its
// end does not count. Throws Failure.
Secret read_secret_file(const std::string& path);

using KeyValues = std::vector<std::pair<std::string, std::string>>;
// Adds chap_name=, chap_key= and the like: nothing secret.
void add_chap_values(const ChapCredentials& credentials, KeyValues& values);
// Puts the secrets under those descriptions into the keyring of this process, with which they end;
// the kernel's session holds them on. Throws Failure.
void keep_chap_keys(const ChapCredentials& credentials);

}  // namespace hawser::user

#endif
