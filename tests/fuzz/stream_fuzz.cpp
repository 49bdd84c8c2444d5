// SPDX-License-Identifier: GPL-2.0-or-later
//
// Full feature phase: a session of two connections that share the window, tasks in flight, and a
// peer that says anything. The input is a script in a small grammar (stream_host.cpp, act()): right
// PDUs with wrong bytes, bytes of any kind, cut anywhere, between any doings of the host.

#include <cstdlib>
#include <cstring>
#include <memory>

#include "stream_host.h"

using namespace hawser::fuzz;

namespace {

constexpr Variant k_variants[] = {
    {"",
     "MaxConnections=2 InitialR2T=No ImmediateData=Yes FirstBurstLength=16384 MaxBurstLength=16384",
     8192, 16384},
    {"MaxOutstandingR2T=8 ImmediateData=No",
     "MaxConnections=2 InitialR2T=Yes ImmediateData=No MaxBurstLength=1024 MaxOutstandingR2T=8 "
     "FirstBurstLength=512",
     512, 1024},
    {"noop_out_interval=1 FirstBurstLength=2048",
     "MaxConnections=2 InitialR2T=No ImmediateData=Yes FirstBurstLength=2048 MaxBurstLength=4096",
     512, 4096},
    {"ImmediateData=No noop_out_interval=0",
     "MaxConnections=2 InitialR2T=No ImmediateData=No FirstBurstLength=65536 MaxOutstandingR2T=1",
     4096, 262144},
    {"ErrorRecoveryLevel=1 HeaderDigest=CRC32C DataDigest=CRC32C",
     "MaxConnections=2 InitialR2T=Yes ImmediateData=Yes MaxBurstLength=16384 "
     "FirstBurstLength=16384 ErrorRecoveryLevel=1",
     8192, 16384, 1, true},
    {"ErrorRecoveryLevel=2 DefaultTime2Retain=60",
     "MaxConnections=2 InitialR2T=Yes ImmediateData=Yes MaxBurstLength=16384 "
     "FirstBurstLength=16384 ErrorRecoveryLevel=2 "
     "DefaultTime2Wait=1",
     8192, 16384, 2, false},
};
constexpr size_t k_variant_count = sizeof(k_variants) / sizeof(k_variants[0]);

// A session that is logged in, made once and copied back before each input.
struct Scene {
    explicit Scene(const Variant& variant) {
        const hawser_options options = StreamHost::options_of(variant);
        size = (hawser_session_bytes(&options) + 63) / 64 * 64;
        memory = static_cast<uint8_t*>(std::aligned_alloc(64, size));
        std::memset(memory, 0, size);
        prototype = std::make_unique<StreamHost>(variant, memory);
        saved.assign(memory, memory + size);
    }
    size_t size = 0;
    uint8_t* memory = nullptr;
    Bytes saved;
    std::unique_ptr<StreamHost> prototype;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    static Scene* scenes[k_variant_count] = {};
    Input input(bytes, size);
    const size_t which = input.byte() % k_variant_count;
    if (scenes[which] == nullptr) scenes[which] = new Scene(k_variants[which]);
    Scene& scene = *scenes[which];
    std::memcpy(scene.memory, scene.saved.data(), scene.size);
    StreamHost host = *scene.prototype;
    host.run(input);
    return 0;
}
