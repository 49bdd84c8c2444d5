// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel command line as words, by the kernel's own quoting rules (lib/cmdline.c, next_arg): a
// double quote anywhere in a word lets it hold spaces; quotes around a word or around a value are
// taken away.
#ifndef HAWSER_USER_KERNEL_COMMAND_LINE_H
#define HAWSER_USER_KERNEL_COMMAND_LINE_H

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::user {

struct KernelParameter {
    std::string key;
    std::optional<std::string> value;  // nothing: the bare word
};

// Words after a lone `--` belong to init, not to us.
std::vector<KernelParameter> split_kernel_command_line(std::string_view text);

}  // namespace hawser::user

#endif
