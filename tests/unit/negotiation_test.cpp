// SPDX-License-Identifier: GPL-2.0-or-later
//
// The key table against RFC 7143 13, and the one negotiator over it: every kind of answer and
// proposal, good and bad.

#include "engine/negotiation.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <string>

using namespace hawser;

namespace {

hawser_keys usual_offer() {
    hawser_keys offer = {};
    offer.max_connections = 4;
    offer.max_recv_data_segment_length = 262144;
    offer.max_burst_length = 1048576;
    offer.first_burst_length = 65536;
    offer.max_outstanding_r2t = 1;
    offer.default_time2wait_s = 0;
    offer.default_time2retain_s = 20;
    offer.initial_r2t = 0;
    offer.immediate_data = 1;
    offer.data_pdu_in_order = 1;
    offer.data_sequence_in_order = 1;
    offer.header_digest = 1;
    offer.data_digest = 1;
    return offer;
}

// A negotiation in its operational stage, our proposals sent.
struct Table {
    explicit Table(const hawser_keys& offer = usual_offer(), bool leading = true,
                   const hawser_keys& session = {}) {
        negotiation.begin(offer, leading, session);
        wire::TextWriter writer(buffer);
        negotiation.propose(KeyStage::Operational, writer);
        REQUIRE_FALSE(writer.overflowed());
        proposed = shown(writer);
    }

    static std::string shown(const wire::TextWriter& writer) {
        std::string text(writer.view());
        for (char& c : text)
            if (c == '\0') c = ' ';
        return text;
    }

    // The target's pair; what we answer to it is in `answer`.
    uint32_t takes(std::string_view key, std::string_view value,
                   KeyStage stage = KeyStage::Operational) {
        wire::TextWriter writer(buffer);
        answer_wanted = false;
        uint32_t error = negotiation.handle(stage, key, value, writer, answer_wanted);
        answer = shown(writer);
        return error;
    }

    uint32_t concludes() { return negotiation.conclude(KeyStage::Operational); }
    const hawser_keys& keys() const { return negotiation.keys(); }

    Negotiation negotiation;
    std::array<uint8_t, 2048> buffer{};
    std::string proposed;
    std::string answer;
    bool answer_wanted = false;
};

}  // namespace

TEST_CASE("the table holds each key of RFC 7143 13 once", "[RFC 7143 13]") {
    for (const Key& key : key_table::k_keys) {
        INFO(key.name);
        CHECK(find_key(key.name) == &key);
        CHECK(&key_of(id_of(key)) == &key);
        CHECK(key.minimum <= key.maximum);
        CHECK((key.type == KeyType::List) == (list_of(id_of(key)) != nullptr));
        if (key.type == KeyType::Number) {
            CHECK(key.default_value >= key.minimum);
            CHECK(key.default_value <= key.maximum);
        }
    }
    CHECK(find_key("maxconnections") == nullptr);
    CHECK(find_key("") == nullptr);
    CHECK(key_of(KeyId::DefaultTime2Wait).result == KeyResult::Maximum);
    CHECK(key_of(KeyId::InitialR2T).result == KeyResult::Or);
    CHECK(key_of(KeyId::ImmediateData).result == KeyResult::And);
    CHECK(key_of(KeyId::MaxRecvDataSegmentLength).scope == KeyScope::Connection);
}

TEST_CASE("a leading login proposes every negotiated key", "[RFC 7143 13]") {
    Table table;
    CHECK(table.proposed ==
          "HeaderDigest=None DataDigest=None MaxConnections=4 InitialR2T=No ImmediateData=Yes "
          "MaxRecvDataSegmentLength=262144 MaxBurstLength=1048576 FirstBurstLength=65536 "
          "DefaultTime2Wait=0 DefaultTime2Retain=20 MaxOutstandingR2T=1 DataPDUInOrder=Yes "
          "DataSequenceInOrder=Yes ErrorRecoveryLevel=0 ");
}

TEST_CASE("a further login proposes what is its connection's only", "[RFC 7143 13]") {
    hawser_keys session = usual_offer();
    session.max_connections = 3;
    session.first_burst_length = 4096;
    session.header_digest = 1;  // agreed: CRC32C; says nothing about this connection
    Table table(usual_offer(), false, session);
    CHECK(table.proposed == "HeaderDigest=None DataDigest=None MaxRecvDataSegmentLength=262144 ");
    REQUIRE(table.takes("MaxRecvDataSegmentLength", "131072") == HAWSER_ERROR_NONE);
    REQUIRE(table.takes("HeaderDigest", "None") == HAWSER_ERROR_NONE);
    REQUIRE(table.concludes() == HAWSER_ERROR_NONE);
    CHECK(table.keys().max_connections == 3);
    CHECK(table.keys().first_burst_length == 4096);
    CHECK(table.keys().max_xmit_data_segment_length == 131072);
    CHECK(table.keys().header_digest == 0);
}

TEST_CASE("a digest offer of both puts CRC32C first", "[RFC 7143 6.2.1][rule-39]") {
    hawser_keys offer = usual_offer();
    offer.header_digest = 3;
    offer.data_digest = 2;
    Table table(offer);
    CHECK(table.proposed.find("HeaderDigest=CRC32C,None DataDigest=CRC32C ") == 0);
    CHECK(table.takes("HeaderDigest", "CRC32C") == HAWSER_ERROR_NONE);
    CHECK(table.takes("DataDigest", "None") == HAWSER_ERROR_LOGIN_DIGEST_REFUSED);
}

TEST_CASE("answers within the result function become the keys", "[RFC 7143 6.2.2]") {
    Table table;
    for (auto [key, value] : {std::pair{"HeaderDigest", "None"},
                              {"DataDigest", "None"},
                              {"MaxConnections", "2"},
                              {"InitialR2T", "Yes"},
                              {"ImmediateData", "No"},
                              {"MaxRecvDataSegmentLength", "8192"},
                              {"MaxBurstLength", "262144"},
                              {"FirstBurstLength", "0x2000"},
                              {"DefaultTime2Wait", "2"},
                              {"DefaultTime2Retain", "0"},
                              {"MaxOutstandingR2T", "1"},
                              {"DataPDUInOrder", "Yes"},
                              {"DataSequenceInOrder", "Yes"},
                              {"ErrorRecoveryLevel", "0"}})
        REQUIRE(table.takes(key, value) == HAWSER_ERROR_NONE);
    REQUIRE(table.concludes() == HAWSER_ERROR_NONE);
    CHECK(table.keys().max_connections == 2);
    CHECK(table.keys().initial_r2t == 1);
    CHECK(table.keys().immediate_data == 0);
    CHECK(table.keys().max_recv_data_segment_length == 262144);
    CHECK(table.keys().max_xmit_data_segment_length == 8192);
    CHECK(table.keys().max_burst_length == 262144);
    CHECK(table.keys().first_burst_length == 8192);
    CHECK(table.keys().default_time2wait_s == 2);
    CHECK(table.keys().default_time2retain_s == 0);
    CHECK(table.keys().header_digest == 0);
}

TEST_CASE("an answer that its proposal does not allow is refused", "[RFC 7143 6.2.2][rule-39]") {
    for (auto [key, value] : {std::pair{"MaxConnections", "5"},
                              {"MaxConnections", "0"},
                              {"MaxConnections", "x"},
                              {"MaxConnections", ""},
                              {"MaxConnections", "1,2"},
                              {"MaxConnections", "1~4"},
                              {"MaxConnections", "NotUnderstood"},
                              {"InitialR2T", "Maybe"},
                              {"ImmediateData", "yes"},
                              {"MaxRecvDataSegmentLength", "511"},
                              {"MaxRecvDataSegmentLength", "16777216"},
                              {"MaxRecvDataSegmentLength", "Reject"},
                              {"MaxBurstLength", "1048577"},
                              {"FirstBurstLength", "65537"},
                              {"DefaultTime2Wait", "3601"},
                              {"DefaultTime2Retain", "21"},
                              {"MaxOutstandingR2T", "2"},
                              {"DataPDUInOrder", "No"},
                              {"DataSequenceInOrder", "No"},
                              {"ErrorRecoveryLevel", "1"},
                              {"HeaderDigest", "CRC32C"},
                              {"HeaderDigest", "None,CRC32C"},
                              {"HeaderDigest", "MD5"},
                              {"HeaderDigest", ""}}) {
        INFO(key << "=" << value);
        CHECK(Table().takes(key, value) == HAWSER_ERROR_LOGIN_BAD_VALUE);
    }
}

TEST_CASE("Maximum: an answer below the offer is refused", "[RFC 7143 13.15][rule-39]") {
    hawser_keys offer = usual_offer();
    offer.default_time2wait_s = 5;
    CHECK(Table(offer).takes("DefaultTime2Wait", "4") == HAWSER_ERROR_LOGIN_BAD_VALUE);
    CHECK(Table(offer).takes("DefaultTime2Wait", "5") == HAWSER_ERROR_NONE);
}

TEST_CASE("OR and AND: a decided boolean cannot be answered otherwise",
          "[RFC 7143 6.2.2][rule-39]") {
    hawser_keys offer = usual_offer();
    offer.initial_r2t = 1;
    offer.immediate_data = 0;
    CHECK(Table(offer).takes("InitialR2T", "No") == HAWSER_ERROR_LOGIN_BAD_VALUE);
    CHECK(Table(offer).takes("ImmediateData", "Yes") == HAWSER_ERROR_LOGIN_BAD_VALUE);
    Table unanswered(offer);
    REQUIRE(unanswered.concludes() == HAWSER_ERROR_NONE);
    CHECK(unanswered.keys().initial_r2t == 1);
    CHECK(unanswered.keys().immediate_data == 0);
}

TEST_CASE("Reject leaves a key at its default, if we can live with that", "[RFC 7143 6.2]") {
    Table table;
    REQUIRE(table.takes("MaxConnections", "Reject") == HAWSER_ERROR_NONE);
    REQUIRE(table.takes("InitialR2T", "Reject") == HAWSER_ERROR_NONE);
    REQUIRE(table.takes("MaxBurstLength", "Reject") == HAWSER_ERROR_NONE);
    REQUIRE(table.takes("DefaultTime2Wait", "Reject") == HAWSER_ERROR_NONE);
    REQUIRE(table.concludes() == HAWSER_ERROR_NONE);
    CHECK(table.keys().max_connections == 1);
    CHECK(table.keys().initial_r2t == 1);
    CHECK(table.keys().max_burst_length == 262144);
    CHECK(table.keys().default_time2wait_s == 2);
    hawser_keys small = usual_offer();
    small.max_burst_length = 65536;
    CHECK(Table(small).takes("MaxBurstLength", "Reject") == HAWSER_ERROR_LOGIN_BAD_VALUE);
    hawser_keys digest = usual_offer();
    digest.header_digest = 2;
    CHECK(Table(digest).takes("HeaderDigest", "Reject") == HAWSER_ERROR_LOGIN_DIGEST_REFUSED);
    CHECK(Table(digest).takes("HeaderDigest", "Irrelevant") == HAWSER_ERROR_LOGIN_DIGEST_REFUSED);
}

TEST_CASE("Irrelevant ends a negotiation without failing it", "[RFC 7143 6.2]") {
    hawser_keys small = usual_offer();
    small.first_burst_length = 4096;
    Table table(small);
    REQUIRE(table.takes("InitialR2T", "Yes") == HAWSER_ERROR_NONE);
    REQUIRE(table.takes("ImmediateData", "No") == HAWSER_ERROR_NONE);
    REQUIRE(table.takes("FirstBurstLength", "Irrelevant") == HAWSER_ERROR_NONE);
    REQUIRE(table.concludes() == HAWSER_ERROR_NONE);
    CHECK(table.keys().first_burst_length == 4096);
}

TEST_CASE("keys that a target leaves out stay at their defaults", "[RFC 7143 6.2]") {
    Table table;
    REQUIRE(table.concludes() == HAWSER_ERROR_NONE);
    CHECK(table.keys().max_connections == 1);
    CHECK(table.keys().initial_r2t == 1);
    CHECK(table.keys().immediate_data == 1);
    CHECK(table.keys().max_xmit_data_segment_length == 8192);
    CHECK(table.keys().max_burst_length == 262144);
    CHECK(table.keys().first_burst_length == 65536);
    CHECK(table.keys().default_time2wait_s == 2);
}

TEST_CASE("no key is said twice, by whoever", "[RFC 7143 6.3][rule-37]") {
    Table table;
    REQUIRE(table.takes("MaxConnections", "2") == HAWSER_ERROR_NONE);
    CHECK(table.takes("MaxConnections", "2") == HAWSER_ERROR_LOGIN_DUPLICATE_KEY);
    REQUIRE(table.takes("TargetAlias", "a") == HAWSER_ERROR_NONE);
    CHECK(table.takes("TargetAlias", "a") == HAWSER_ERROR_LOGIN_DUPLICATE_KEY);
    REQUIRE(table.takes("TargetPortalGroupTag", "1", KeyStage::Security) == HAWSER_ERROR_NONE);
    CHECK(table.takes("TargetPortalGroupTag", "1") == HAWSER_ERROR_LOGIN_DUPLICATE_KEY);
    REQUIRE(table.takes("IFMarker", "No") == HAWSER_ERROR_NONE);
    CHECK(table.takes("IFMarker", "No") == HAWSER_ERROR_LOGIN_DUPLICATE_KEY);
    REQUIRE(table.takes("TargetAddress", "10.0.0.1:3260,1") == HAWSER_ERROR_NONE);
    CHECK(table.takes("TargetAddress", "10.0.0.2:3260,1") == HAWSER_ERROR_NONE);
}

TEST_CASE("a key of the other stage is refused", "[RFC 7143 6.3][rule-35]") {
    CHECK(Table().takes("MaxConnections", "2", KeyStage::Security) == HAWSER_ERROR_LOGIN_BAD_STAGE);
    CHECK(Table().takes("AuthMethod", "None") == HAWSER_ERROR_LOGIN_BAD_STAGE);
    CHECK(Table().takes("TargetAlias", "x", KeyStage::Security) == HAWSER_ERROR_NONE);
}

TEST_CASE("a key that only initiators send is refused", "[RFC 7143 13.5]") {
    for (const char* key : {"InitiatorName", "InitiatorAlias", "SessionType", "TargetName"})
        CHECK(Table().takes(key, "x") == HAWSER_ERROR_LOGIN_BAD_VALUE);
}

TEST_CASE("the portal group tag has 16 bits", "[RFC 7143 13.9]") {
    Table table;
    REQUIRE(table.takes("TargetPortalGroupTag", "65535") == HAWSER_ERROR_NONE);
    CHECK(table.negotiation.value(KeyId::TargetPortalGroupTag) == 65535);
    for (const char* value : {"65536", "", "-1", "one"})
        CHECK(Table().takes("TargetPortalGroupTag", value) == HAWSER_ERROR_LOGIN_BAD_VALUE);
}

TEST_CASE("an unknown key is not understood; a reserved word is no value for it",
          "[RFC 7143 6.2][rule-38]") {
    Table table;
    CHECK(table.takes("X-com.example.foo", "3") == HAWSER_ERROR_NONE);
    CHECK(table.answer == "X-com.example.foo=NotUnderstood ");
    CHECK_FALSE(table.answer_wanted);
    for (const char* value : {"Reject", "Irrelevant", "NotUnderstood"})
        CHECK(table.takes("X-com.example.bar", value) == HAWSER_ERROR_LOGIN_BAD_VALUE);
}

TEST_CASE("the obsolete markers are never not understood", "[RFC 7143 13.25][rule-38][rule-65]") {
    Table table;
    CHECK(table.takes("IFMarker", "Yes") == HAWSER_ERROR_NONE);
    CHECK(table.answer == "IFMarker=No ");
    CHECK(table.answer_wanted);
    CHECK(table.takes("OFMarker", "No") == HAWSER_ERROR_NONE);
    CHECK(table.answer == "OFMarker=No ");
    CHECK_FALSE(table.answer_wanted);
    CHECK(table.takes("IFMarkInt", "2048~65535") == HAWSER_ERROR_NONE);
    CHECK(table.answer == "IFMarkInt=Reject ");
    CHECK(table.takes("OFMarkInt", "Reject") == HAWSER_ERROR_LOGIN_BAD_VALUE);
}

TEST_CASE("TaskReporting is answered with the first that we do", "[RFC 7143 13.23][rule-65]") {
    Table table;
    CHECK(table.takes("TaskReporting", "FastAbort,ResponseFence,RFC3720") == HAWSER_ERROR_NONE);
    CHECK(table.answer == "TaskReporting=RFC3720 ");
    CHECK(table.answer_wanted);
    Table other;
    CHECK(other.takes("TaskReporting", "FastAbort,Later") == HAWSER_ERROR_NONE);
    CHECK(other.answer == "TaskReporting=Reject ");
}

TEST_CASE("iSCSIProtocolLevel is 1", "[RFC 7143 13.24][rule-65]") {
    Table table;
    CHECK(table.takes("iSCSIProtocolLevel", "2") == HAWSER_ERROR_NONE);
    CHECK(table.answer == "iSCSIProtocolLevel=1 ");
    Table bad;
    CHECK(bad.takes("iSCSIProtocolLevel", "32") == HAWSER_ERROR_NONE);
    CHECK(bad.answer == "iSCSIProtocolLevel=Reject ");
}

TEST_CASE("tgt's proposals on a further connection are answered and change nothing",
          "[RFC 7143 13.2]") {
    hawser_keys session = usual_offer();
    session.max_connections = 4;
    session.initial_r2t = 1;
    Table table(usual_offer(), false, session);
    REQUIRE(table.takes("MaxConnections", "8") == HAWSER_ERROR_NONE);
    CHECK(table.answer == "MaxConnections=4 ");
    CHECK(table.answer_wanted);
    REQUIRE(table.takes("InitialR2T", "No") == HAWSER_ERROR_NONE);
    CHECK(table.answer == "InitialR2T=Yes ");
    REQUIRE(table.takes("MaxBurstLength", "512") == HAWSER_ERROR_NONE);
    CHECK(table.answer == "MaxBurstLength=512 ");
    REQUIRE(table.takes("DefaultTime2Wait", "9999") == HAWSER_ERROR_NONE);
    CHECK(table.answer == "DefaultTime2Wait=Reject ");
    REQUIRE(table.concludes() == HAWSER_ERROR_NONE);
    CHECK(table.keys().max_connections == 4);
    CHECK(table.keys().initial_r2t == 1);
    CHECK(table.keys().max_burst_length == session.max_burst_length);
    CHECK(table.keys().default_time2wait_s == session.default_time2wait_s);
}

TEST_CASE("FirstBurstLength must not exceed MaxBurstLength", "[RFC 7143 13.14]") {
    Table table;
    REQUIRE(table.takes("MaxBurstLength", "4096") == HAWSER_ERROR_NONE);
    REQUIRE(table.takes("FirstBurstLength", "8192") == HAWSER_ERROR_NONE);
    CHECK(table.concludes() == HAWSER_ERROR_LOGIN_BAD_VALUE);
    Table irrelevant;
    REQUIRE(irrelevant.takes("MaxBurstLength", "4096") == HAWSER_ERROR_NONE);
    REQUIRE(irrelevant.takes("InitialR2T", "Yes") == HAWSER_ERROR_NONE);
    REQUIRE(irrelevant.takes("ImmediateData", "No") == HAWSER_ERROR_NONE);
    REQUIRE(irrelevant.concludes() == HAWSER_ERROR_NONE);
    CHECK(irrelevant.keys().first_burst_length == 4096);
}

TEST_CASE("recovery with ordered sequences allows one R2T", "[RFC 7143 13.19][rule-59]") {
    hawser_keys offer = usual_offer();
    offer.error_recovery_level = 2;
    offer.max_outstanding_r2t = 8;
    Table table(offer);
    REQUIRE(table.takes("ErrorRecoveryLevel", "2") == HAWSER_ERROR_NONE);
    REQUIRE(table.takes("MaxOutstandingR2T", "4") == HAWSER_ERROR_NONE);
    CHECK(table.concludes() == HAWSER_ERROR_LOGIN_BAD_VALUE);
}

TEST_CASE("AuthMethod: what is not None asks for what is not configured", "[RFC 7143 12.1]") {
    for (auto [value, error] : {std::pair{"None", HAWSER_ERROR_NONE},
                                {"CHAP", HAWSER_ERROR_LOGIN_AUTHENTICATION_REQUIRED},
                                {"Reject", HAWSER_ERROR_LOGIN_AUTHENTICATION_REQUIRED},
                                {"Magic", HAWSER_ERROR_LOGIN_BAD_VALUE}}) {
        Negotiation negotiation;
        negotiation.begin(usual_offer(), true, {});
        std::array<uint8_t, 256> buffer{};
        wire::TextWriter writer(buffer);
        negotiation.propose(KeyStage::Security, writer);
        CHECK(Table::shown(writer) == "AuthMethod=None ");
        bool wanted = false;
        CHECK(negotiation.handle(KeyStage::Security, "AuthMethod", value, writer, wanted) ==
              static_cast<uint32_t>(error));
    }
}
