// SPDX-License-Identifier: GPL-2.0-or-later
//
// The storm's two halves: what the machine does (lun_storm_guest.cpp), and who orders it.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "direct_run.h"
#include "lun_farm.h"
#include "tiny_initramfs.h"

namespace hawser::qemu {

using FarmMaker = std::function<std::unique_ptr<LunFarm>(const LunFarmOptions&)>;

// One pass over a LUN, written and verified, or verified only. Each block holds its place, its LUN
// and its pass (seven digits): what an earlier pass wrote is not taken for it.
Arguments storm_fio(const std::string& file, unsigned index, const std::string& pass,
                    bool verify_only);

// The machine. Its orders come by ttyS1, "NUMBER WORDS", until "over".
TinyInitramfs storm_initramfs(const LunFarm& farm, const std::string& target);

}  // namespace hawser::qemu
