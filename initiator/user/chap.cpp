// SPDX-License-Identifier: GPL-2.0-or-later
// CHAP's names and secrets: see chap.h.
#include "user/chap.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <keyutils.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "abi/engine.h"
#include "user/connect_request.h"

namespace hawser::user {
namespace {

// Of type `logon`: no user space, not even this one, can read them back.
constexpr const char* k_key_type = "logon";
constexpr const char* k_key = "hawser:chap";
constexpr const char* k_key_in = "hawser:chap-in";
constexpr size_t k_good_secret_bytes = 12;  // 96 bits

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> from_hex(std::string_view digits) {
    std::string bytes;
    if (digits.size() % 2 != 0) return std::nullopt;
    for (size_t i = 0; i < digits.size(); i += 2) {
        const int high = hex_digit(digits[i]);
        const int low = hex_digit(digits[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes.push_back(static_cast<char>(high << 4 | low));
    }
    return bytes;
}

class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int number() const { return number_; }

private:
    int number_;
};

// What was opened is what is looked at: no file can take its place in between.
void check_secret_file(int file, const std::string& path) {
    struct stat about {};
    if (fstat(file, &about) != 0) {
        throw Failure("cannot look at the secret file", printable(path), std::strerror(errno));
    }
    if (!S_ISREG(about.st_mode)) {
        throw Failure("secret file is no plain file", printable(path), "give a file");
    }
    if (about.st_uid != 0) {
        throw Failure("secret file belongs to another than root",
                      fmt::format("{} (uid {})", printable(path), about.st_uid), "chown root it");
    }
    if ((about.st_mode & 077) != 0) {
        throw Failure("secret file is open to others",
                      fmt::format("{} (mode {:04o})", printable(path), about.st_mode & 07777),
                      "chmod 600 it");
    }
}

void add_key_of(const char* description, const Secret& secret) {
    const std::string& bytes = secret.bytes();
    if (!secret.is_set()) return;
    if (add_key(k_key_type, description, bytes.data(), bytes.size(), KEY_SPEC_PROCESS_KEYRING) < 0)
        throw Failure("cannot keep the CHAP secret", "add_key", std::strerror(errno));
}

}  // namespace

std::string ChapCredentials::to_string() const {
    std::string text = "as " + printable(name);
    if (!is_mutual()) return text;
    return text + ", the target as " + (name_in.empty() ? "anybody" : printable(name_in));
}

std::vector<Problem> chap_problems(const ChapCredentials& credentials, const std::string& source) {
    std::vector<Problem> problems;
    const auto bad = [&](const char* cause, const char* advice) {
        problems.push_back({cause, source, advice});
    };
    if (!credentials.is_set()) return problems;
    if (credentials.name.empty()) bad("CHAP without a name", "give a name to the secret");
    if (!credentials.secret.is_set()) bad("CHAP without a secret", "give a secret to the name");
    if (!credentials.name_in.empty() && !credentials.secret_in.is_set())
        bad("a CHAP name of the target without its secret", "give both, or none");
    for (const std::string* name : {&credentials.name, &credentials.name_in}) {
        if (name->empty()) continue;
        if (!is_one_word(*name) || name->size() >= HAWSER_CHAP_NAME_BYTES)
            bad("bad CHAP name", "1 to 255 printable characters without a space");
    }
    for (const Secret* secret : {&credentials.secret, &credentials.secret_in}) {
        if (secret->bytes().size() > HAWSER_CHAP_SECRET_BYTES)
            bad("CHAP secret too long", "255 bytes are the most");
    }
    if (credentials.is_mutual() && credentials.secret == credentials.secret_in)
        bad("one CHAP secret for both directions", "each needs its own (RFC 7143 9.2.1)");
    return problems;
}

std::optional<std::string> chap_warning(const ChapCredentials& credentials) {
    for (const Secret* secret : {&credentials.secret, &credentials.secret_in}) {
        if (secret->is_set() && secret->bytes().size() < k_good_secret_bytes)
            return "the CHAP secret has less than 96 bits and can be guessed from what is on the "
                   "wire: make it 12 random bytes or more";
    }
    return std::nullopt;
}

Secret read_secret_file(const std::string& path) {
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (file.number() < 0) {
        throw Failure("cannot read the secret file", printable(path), std::strerror(errno));
    }
    check_secret_file(file.number(), path);
    // Twice the longest secret in hex tells one that is too long.
    char buffer[4 * HAWSER_CHAP_SECRET_BYTES];
    const ssize_t got = read(file.number(), buffer, sizeof(buffer));
    if (got < 0) {
        throw Failure("cannot read the secret file", printable(path), std::strerror(errno));
    }
    std::string_view text(buffer, static_cast<size_t>(got));
    if (text.ends_with('\n')) text.remove_suffix(1);
    std::optional<Secret> secret(text);
    if (text.starts_with("0x")) {
        std::optional<std::string> bytes = from_hex(text.substr(2));
        secret.reset();
        if (bytes) secret.emplace(*bytes);
        if (bytes) explicit_bzero(bytes->data(), bytes->size());
    }
    explicit_bzero(buffer, sizeof(buffer));
    if (!secret) {
        throw Failure("secret file is not hex", printable(path),
                      "behind 0x stand pairs of hex digits");
    }
    if (!secret->is_set() || secret->bytes().size() > HAWSER_CHAP_SECRET_BYTES) {
        throw Failure("secret file is of no use", printable(path), "it holds 1 to 255 bytes");
    }
    return *secret;
}

void add_chap_values(const ChapCredentials& credentials, KeyValues& values) {
    if (!credentials.is_set()) return;
    values.emplace_back("chap_name", credentials.name);
    values.emplace_back("chap_key", k_key);
    if (!credentials.is_mutual()) return;
    if (!credentials.name_in.empty()) values.emplace_back("chap_name_in", credentials.name_in);
    values.emplace_back("chap_key_in", k_key_in);
}

void keep_chap_keys(const ChapCredentials& credentials) {
    add_key_of(k_key, credentials.secret);
    add_key_of(k_key_in, credentials.secret_in);
}

}  // namespace hawser::user
