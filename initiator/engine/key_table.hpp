// SPDX-License-Identifier: GPL-2.0-or-later
// Every text key of RFC 7143 as data: the sections 12.1 and 13 in one table. The negotiator knows
// types and results, not keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hawser {

// The order is the order in which we propose.
enum class KeyId : uint8_t {
    AuthMethod,
    HeaderDigest,
    DataDigest,
    MaxConnections,
    InitialR2T,
    ImmediateData,
    MaxRecvDataSegmentLength,
    MaxBurstLength,
    FirstBurstLength,
    DefaultTime2Wait,
    DefaultTime2Retain,
    MaxOutstandingR2T,
    DataPDUInOrder,
    DataSequenceInOrder,
    ErrorRecoveryLevel,
    TaskReporting,
    ProtocolLevel,
    InitiatorName,
    InitiatorAlias,
    SessionType,
    TargetName,
    SendTargets,
    TargetAlias,
    TargetAddress,
    TargetPortalGroupTag,
    IFMarker,
    OFMarker,
    IFMarkInt,
    OFMarkInt,
    Count,
};
inline constexpr size_t k_key_count = static_cast<size_t>(KeyId::Count);

enum class KeyType : uint8_t {
    Number,   // numerical-value between minimum and maximum
    Boolean,  // Yes or No
    List,     // list-of-values out of `values`; an offer is a mask of their indexes
    Text,     // a name, an alias, an address: taken as it is
};

// RFC 7143 13: the function by which an answer is checked against its proposal, or what else a key
// is.
enum class KeyResult : uint8_t {
    Minimum,         // at most what was proposed
    Maximum,         // at least what was proposed
    And,             // No, if No was proposed
    Or,              // Yes, if Yes was proposed
    FirstSupported,  // one of the proposed
    Declared,        // no answer: a declaration
    Obsolete,        // 13.25: answered with Reject
};

enum class KeyUse : uint8_t {
    Initialize,   // IO: during login only
    Leading,      // LO: during the leading login only
    All,          // ALL
    FullFeature,  // FFPO
};

enum class KeyScope : uint8_t { Session, Connection };  // SW, CO

// Where in the Login Phase a key is allowed.
enum class KeyStage : uint8_t { Security, Operational, Any };

enum KeySenders : uint8_t { k_from_initiator = 1, k_from_target = 2, k_from_both = 3 };

struct Key {
    std::string_view name;
    KeyType type;
    KeyResult result;
    uint32_t default_value;
    uint32_t minimum;
    uint32_t maximum;
    KeyUse use;
    KeyScope scope;
    KeyStage stage;
    KeySenders senders;
};

namespace key_table {

inline constexpr auto Number = KeyType::Number;
inline constexpr auto Boolean = KeyType::Boolean;
inline constexpr auto List = KeyType::List;
inline constexpr auto Text = KeyType::Text;
inline constexpr auto Min = KeyResult::Minimum;
inline constexpr auto Max = KeyResult::Maximum;
inline constexpr auto And = KeyResult::And;
inline constexpr auto Or = KeyResult::Or;
inline constexpr auto First = KeyResult::FirstSupported;
inline constexpr auto Declared = KeyResult::Declared;
inline constexpr auto Obsolete = KeyResult::Obsolete;
inline constexpr auto IO = KeyUse::Initialize;
inline constexpr auto LO = KeyUse::Leading;
inline constexpr auto ALL = KeyUse::All;
inline constexpr auto FFPO = KeyUse::FullFeature;
inline constexpr auto SW = KeyScope::Session;
inline constexpr auto CO = KeyScope::Connection;
inline constexpr auto Sec = KeyStage::Security;
inline constexpr auto Op = KeyStage::Operational;
inline constexpr auto Any = KeyStage::Any;
inline constexpr auto Init = k_from_initiator;
inline constexpr auto Targ = k_from_target;
inline constexpr auto Both = k_from_both;
inline constexpr uint32_t No = 0;
inline constexpr uint32_t Yes = 1;
inline constexpr uint32_t k_max = (1u << 24) - 1;

// clang-format off
inline constexpr Key k_keys[k_key_count] = {
    // name                      type     result    default min     max     use   scope stage
    {"AuthMethod",               List,    First,    0,      0,      3,      IO,   CO, Sec, Both},
    {"HeaderDigest",             List,    First,    0,      0,      1,      IO,   CO, Op,  Both},
    {"DataDigest",               List,    First,    0,      0,      1,      IO,   CO, Op,  Both},
    {"MaxConnections",           Number,  Min,      1,      1,      65535,  LO,   SW, Op,  Both},
    {"InitialR2T",               Boolean, Or,       Yes,    No,     Yes,    LO,   SW, Op,  Both},
    {"ImmediateData",            Boolean, And,      Yes,    No,     Yes,    LO,   SW, Op,  Both},
    {"MaxRecvDataSegmentLength", Number,  Declared, 8192,   512,    k_max,  ALL,  CO, Op,  Both},
    {"MaxBurstLength",           Number,  Min,      262144, 512,    k_max,  LO,   SW, Op,  Both},
    {"FirstBurstLength",         Number,  Min,      65536,  512,    k_max,  LO,   SW, Op,  Both},
    {"DefaultTime2Wait",         Number,  Max,      2,      0,      3600,   LO,   SW, Op,  Both},
    {"DefaultTime2Retain",       Number,  Min,      20,     0,      3600,   LO,   SW, Op,  Both},
    {"MaxOutstandingR2T",        Number,  Min,      1,      1,      65535,  LO,   SW, Op,  Both},
    {"DataPDUInOrder",           Boolean, Or,       Yes,    No,     Yes,    LO,   SW, Op,  Both},
    {"DataSequenceInOrder",      Boolean, Or,       Yes,    No,     Yes,    LO,   SW, Op,  Both},
    {"ErrorRecoveryLevel",       Number,  Min,      0,      0,      2,      LO,   SW, Op,  Both},
    {"TaskReporting",            List,    First,    0,      0,      2,      LO,   SW, Op,  Both},
    {"iSCSIProtocolLevel",       Number,  Min,      1,      0,      31,     LO,   SW, Op,  Both},
    {"InitiatorName",            Text,    Declared, 0,      0,      0,      IO,   SW, Any, Init},
    {"InitiatorAlias",           Text,    Declared, 0,      0,      0,      ALL,  SW, Any, Init},
    {"SessionType",              Text,    Declared, 0,      0,      0,      LO,   SW, Any, Init},
    {"TargetName",               Text,    Declared, 0,      0,      0,      IO,   SW, Any, Init},
    {"SendTargets",              Text,    Declared, 0,      0,      0,      FFPO, SW, Op,  Init},
    {"TargetAlias",              Text,    Declared, 0,      0,      0,      ALL,  SW, Any, Targ},
    {"TargetAddress",            Text,    Declared, 0,      0,      0,      ALL,  SW, Any, Targ},
    {"TargetPortalGroupTag",     Number,  Declared, 0,      0,      65535,  IO,   SW, Any, Targ},
    {"IFMarker",                 Boolean, Obsolete, No,     No,     Yes,    IO,   CO, Op,  Both},
    {"OFMarker",                 Boolean, Obsolete, No,     No,     Yes,    IO,   CO, Op,  Both},
    {"IFMarkInt",                Text,    Obsolete, 0,      0,      0,      IO,   CO, Op,  Both},
    {"OFMarkInt",                Text,    Obsolete, 0,      0,      0,      IO,   CO, Op,  Both},
};
// clang-format on

constexpr bool stands_at(KeyId id, std::string_view name) {
    return k_keys[static_cast<size_t>(id)].name == name;
}
static_assert(stands_at(KeyId::AuthMethod, "AuthMethod"), "k_keys is indexed by KeyId");
static_assert(stands_at(KeyId::MaxBurstLength, "MaxBurstLength"));
static_assert(stands_at(KeyId::TaskReporting, "TaskReporting"));
static_assert(stands_at(KeyId::TargetPortalGroupTag, "TargetPortalGroupTag"));
static_assert(stands_at(KeyId::OFMarkInt, "OFMarkInt"));

}  // namespace key_table

// The values of the List keys, in the order in which offers and hawser_keys count them, and which
// of them this side can do: a mask of indexes.
struct KeyList {
    KeyId key;
    uint32_t supported;
    std::string_view values[4];
};
inline constexpr uint32_t k_auth_none = 1;  // as masks of AuthMethod's values
inline constexpr uint32_t k_auth_chap = 2;
inline constexpr KeyList k_key_lists[] = {
    {KeyId::AuthMethod, 0b0011, {"None", "CHAP", "SRP", "KRB5"}},
    {KeyId::HeaderDigest, 0b11, {"None", "CRC32C"}},
    {KeyId::DataDigest, 0b11, {"None", "CRC32C"}},
    {KeyId::TaskReporting, 0b001, {"RFC3720", "ResponseFence", "FastAbort"}},
};

constexpr const KeyList* list_of(KeyId id) {
    for (const KeyList& list : k_key_lists)
        if (list.key == id) return &list;
    return nullptr;
}

// Whether the negotiator says the key without being asked. Not the two that are younger than many
// targets, which would call them not understood: their defaults are what we do.
constexpr bool is_proposed_by_us(const Key& key) {
    return key.senders == k_from_both && key.result != KeyResult::Obsolete &&
           key.name != "TaskReporting" && key.name != "iSCSIProtocolLevel";
}

// RFC 7143 6.3: may be declared more than once.
inline constexpr std::string_view k_repeatable_key = "TargetAddress";

constexpr const Key& key_of(KeyId id) {
    return key_table::k_keys[static_cast<size_t>(id)];
}

constexpr KeyId id_of(const Key& key) {
    return static_cast<KeyId>(&key - key_table::k_keys);
}

// nullptr: not a key of RFC 7143.
constexpr const Key* find_key(std::string_view name) {
    for (const Key& key : key_table::k_keys)
        if (key.name == name) return &key;
    return nullptr;
}

}  // namespace hawser
