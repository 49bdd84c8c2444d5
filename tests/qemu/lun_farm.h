// SPDX-License-Identifier: GPL-2.0-or-later
//
// A target whose LUNs come and go while sessions use them: LIO in a machine of its own, or tgt.
// Each LUN has an image on the host, and its number is its image's.

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace hawser::qemu {

struct LunFarmOptions {
    std::filesystem::path directory;  // where target.log goes
    std::vector<std::filesystem::path> images;
    std::string name = "iqn.2026-11.hawser:farm";
};

class LunFarm {
public:
    virtual ~LunFarm() = default;
    virtual uint16_t port() const = 0;
    virtual const char* kind() const = 0;
    // The number of the first image's LUN; the others follow.
    virtual unsigned first_lun() const = 0;
    // Taken from every initiator, and given back; false: the target does not let go of it now.
    virtual bool unmap(unsigned index) = 0;
    virtual void map(unsigned index) = 0;
    // To so many bytes; false: this target cannot.
    virtual bool grow(unsigned index, uint64_t bytes) = 0;
    // It answers nothing, and goes on; its connections stay open.
    virtual void pause() = 0;
    virtual void resume() = 0;
    // Ends it in order, so that the images are whole.
    virtual void stop() = 0;
};

std::unique_ptr<LunFarm> make_lio_farm(const LunFarmOptions& options);
std::unique_ptr<LunFarm> make_tgt_farm(const LunFarmOptions& options);

}  // namespace hawser::qemu
