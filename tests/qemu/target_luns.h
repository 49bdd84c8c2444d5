// SPDX-License-Identifier: GPL-2.0-or-later
//
// tgt with LUNs that come and go.

#pragma once

#include <map>

#include "target.h"

namespace hawser::qemu {

class LunTarget : public Target {
public:
    // What is behind a LUN from now on, an empty path for nothing; and who it says that it is.
    virtual void set_lun(unsigned lun, const std::filesystem::path& image,
                         const std::string& scsi_id = "") = 0;
};

using Luns = std::map<unsigned, std::filesystem::path>;

// write_cache: what it says of them.
std::unique_ptr<LunTarget> make_tgt_with_luns(const TargetOptions& options, const Luns& luns,
                                              bool write_cache = true);

}  // namespace hawser::qemu
