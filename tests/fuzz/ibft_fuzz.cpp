// SPDX-License-Identifier: GPL-2.0-or-later
//
// The iBFT: a firmware's bytes. Half of the inputs get a right signature, length and checksum, so
// that what stands behind them is looked at. What is taken must be printable, and secrets must lie
// in the table.

#include <vector>

#include "input.h"
#include "user/ibft.h"

using namespace hawser::user;
using namespace hawser::fuzz;

namespace {

void check_text(const std::string& text) {
    for (const char c : text) {
        const auto byte = static_cast<uint8_t>(c);
        FUZZ_CHECK(byte >= 0x20 && byte != 0x7f, "no control character comes out of a table");
    }
}

void check_secret(const IbftSecret& secret, size_t size) {
    if (secret.is_set())
        FUZZ_CHECK(size_t{secret.offset} + secret.length <= size, "a secret lies in the table");
}

void check_table(const Ibft& table, size_t size) {
    check_text(table.oem_id);
    check_text(table.oem_table_id);
    for (const std::string& note : table.notes) check_text(note);
    if (table.initiator) check_text(table.initiator->name);
    for (const IbftNic& nic : table.nics) {
        check_text(nic.host_name);
        FUZZ_CHECK(nic.vlan <= 4094 && nic.prefix_length <= 128, "a NIC's numbers are legal");
    }
    for (const IbftTarget& target : table.targets) {
        check_text(target.name);
        check_text(target.chap_name);
        check_text(target.reverse_chap_name);
        check_secret(target.chap_secret, size);
        check_secret(target.reverse_chap_secret, size);
        FUZZ_CHECK(target.port != 0, "a target has a port");
    }
}

// Signature, length, revision and checksum of RFC-less ACPI, as a firmware would write them.
void seal(std::vector<uint8_t>& table) {
    if (table.size() < 48) return;
    constexpr uint8_t k_signature[] = {'i', 'B', 'F', 'T'};
    for (size_t i = 0; i < 4; i++) table[i] = k_signature[i];
    for (size_t i = 0; i < 4; i++) table[4 + i] = static_cast<uint8_t>(table.size() >> (8 * i));
    table[8] = 1;
    table[9] = 0;
    uint8_t sum = 0;
    for (const uint8_t byte : table) sum = static_cast<uint8_t>(sum + byte);
    table[9] = static_cast<uint8_t>(-sum);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    Input input(bytes, size);
    const bool sealed = !(input.byte() & 1);
    const auto rest = input.rest();
    std::vector<uint8_t> table(rest.begin(), rest.end());
    if (sealed) seal(table);
    const IbftResult result = parse_ibft(table);
    FUZZ_CHECK(result.table.has_value() == result.defects.empty(), "a table or its defects");
    for (const IbftDefect& defect : result.defects) {
        check_text(defect.where);
        check_text(defect.detail);
        FUZZ_CHECK(to_string(defect.fault) != nullptr, "a fault has a name");
    }
    if (result.table) check_table(*result.table, table.size());
    return 0;
}
