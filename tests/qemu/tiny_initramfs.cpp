// SPDX-License-Identifier: GPL-2.0-or-later
//
// Packing of the small initramfs.

#include "tiny_initramfs.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "paths.h"
#include "process.h"

namespace hawser::qemu {
namespace {

namespace fs = std::filesystem;

std::string module_name(const fs::path& file) {
    auto name = file.filename().string();
    name = name.substr(0, name.find(".ko"));
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

// modules.dep: `file: needed needed ...`, the direct needs first, so loaded from the last one on.
class ModuleIndex {
public:
    explicit ModuleIndex(fs::path folder) : folder_(std::move(folder)) {
        std::ifstream builtin(folder_ / "modules.builtin");
        if (!builtin) {
            throw std::runtime_error("no modules of the kernel: " +
                                     (folder_ / "modules.builtin").string());
        }
        for (std::string line; std::getline(builtin, line);) {
            entries_[module_name(line)];
        }
        std::ifstream file(folder_ / "modules.dep");
        for (std::string line; std::getline(file, line);) {
            auto colon = line.find(':');
            std::istringstream needs(line.substr(colon + 1));
            auto& entry = entries_[module_name(line.substr(0, colon))];
            entry.push_back(line.substr(0, colon));
            for (std::string need; needs >> need;) {
                entry.insert(entry.begin(), need);
            }
        }
    }

    void add(const std::string& name, std::vector<fs::path>& order) const {
        auto found = entries_.find(name);
        if (found == entries_.end()) {
            throw std::runtime_error(fmt::format("{}: no module `{}`", folder_.string(), name));
        }
        for (const auto& file : found->second) {
            if (std::find(order.begin(), order.end(), folder_ / file) == order.end()) {
                order.push_back(folder_ / file);
            }
        }
    }

private:
    fs::path folder_;
    std::map<std::string, std::vector<std::string>> entries_;
};

void copy_libraries(const fs::path& program, const fs::path& root) {
    auto needs = run({"ldd", program.string()});
    static const std::regex k_library("(/[^ ]+) \\(0x");
    for (std::sregex_iterator it(needs.output.begin(), needs.output.end(), k_library), end;
         it != end; ++it) {
        fs::path library = (*it)[1].str();
        auto copy = root / library.relative_path();
        fs::create_directories(copy.parent_path());
        fs::copy_file(library, copy, fs::copy_options::overwrite_existing);
    }
}

void copy_program(const fs::path& program, const fs::path& root) {
    fs::copy_file(program, root / "bin" / program.filename(), fs::copy_options::overwrite_existing);
    copy_libraries(program, root);
}

// A file or a folder, to the same place. What is no program needs no libraries, as ldd says.
void copy_files(const fs::path& from, const fs::path& root) {
    auto to = root / from.relative_path();
    fs::create_directories(to.parent_path());
    fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    if (!fs::is_directory(from)) return copy_libraries(from, root);
    for (const auto& entry : fs::recursive_directory_iterator(from)) {
        if (entry.is_regular_file() && entry.path().extension() != ".rules")
            copy_libraries(entry.path(), root);
    }
}

std::string uncompressed_name(const fs::path& file) {
    auto name = file.filename().string();
    if (!name.ends_with(".ko")) {
        throw std::runtime_error(file.string() + ": compressed modules are not supported here");
    }
    return name;
}

}  // namespace

KernelImage kernel_image(const fs::path& image) {
    std::ifstream file(image, std::ios::binary);
    if (!file) {
        throw std::runtime_error(image.string() + ": no such kernel, or not readable");
    }
    uint8_t pointer[2] = {};
    file.seekg(0x20e);
    file.read(reinterpret_cast<char*>(pointer), sizeof pointer);
    file.seekg(0x200 + (pointer[0] | pointer[1] << 8));
    std::string release;
    file >> release;
    if (!file || release.empty()) {
        throw std::runtime_error(image.string() + ": no x86 kernel image");
    }
    return {image, fs::path("/lib/modules") / release};
}

KernelImage packaged_kernel() {
    if (fs::exists(images_folder() / "vmlinuz")) {
        return kernel_image(images_folder() / "vmlinuz");
    }
    std::vector<KernelImage> found;
    for (const auto& entry : fs::directory_iterator("/boot")) {
        if (entry.path().filename().string().starts_with("vmlinuz-")) {
            found.push_back(kernel_image(entry.path()));
        }
    }
    if (found.empty()) {
        throw std::runtime_error("no kernel in build/images nor /boot: run `make images`");
    }
    return *std::max_element(found.begin(), found.end(),
                             [](const auto& a, const auto& b) { return a.modules < b.modules; });
}

KernelImage default_kernel() {
    const char* built = std::getenv("HAWSER_KERNEL");
    return built != nullptr ? KernelImage{fs::path(built) / "arch/x86/boot/bzImage", built}
                            : packaged_kernel();
}

fs::path module_under_test() {
    const char* other = std::getenv("HAWSER_MODULE");
    return other != nullptr ? fs::path(other) : build_folder() / "module" / "hawser.ko";
}

std::vector<std::string> needs_of(const fs::path& module_file) {
    std::istringstream names(run_checked({"/sbin/modinfo", "-F", "depends", module_file.string()}));
    std::vector<std::string> needs;
    for (std::string name; std::getline(names, name, ',');) {
        name.erase(std::remove(name.begin(), name.end(), '\n'), name.end());
        if (!name.empty()) {
            needs.push_back(name);
        }
    }
    return needs;
}

void TinyInitramfs::write(const fs::path& file, const KernelImage& kernel) const {
    std::string name = (fs::temp_directory_path() / "hawser-initramfs-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
        throw std::runtime_error("mkdtemp: " + name);
    }
    fs::path root = name;
    for (const char* folder :
         {"bin", "proc", "sys", "dev", "lib", "modules", "etc", "tmp", "run"}) {
        fs::create_directories(root / folder);
    }
    fs::copy_file("/bin/busybox", root / "bin/busybox");
    std::vector<fs::path> order;
    ModuleIndex index(kernel.modules);
    for (const auto& module : modules) {
        index.add(module, order);
    }
    order.insert(order.end(), module_files.begin(), module_files.end());
    std::ofstream init(root / "init");
    init << "#!/bin/busybox sh\n/bin/busybox --install -s /bin\nexport PATH=/bin\n"
            "mount -t proc proc /proc\nmount -t sysfs sys /sys\nmount -t devtmpfs dev /dev\n";
    for (const auto& module : order) {
        auto in_initramfs = uncompressed_name(module);
        fs::copy_file(module, root / "modules" / in_initramfs);
        init << fmt::format("insmod /modules/{0} || echo \"cannot load {0}\"\n", in_initramfs);
    }
    for (const auto& program : programs) {
        copy_program(program, root);
    }
    for (const auto& file : files) {
        copy_files(file, root);
    }
    init << script << "\npoweroff -f\n";
    init.close();
    fs::permissions(root / "init", fs::perms::owner_all);
    run_checked({"sh", "-c",
                 "cd \"$1\" && find . -mindepth 1 | cpio --quiet --owner=0:0 -o -H newc > \"$2\"",
                 "sh", root.string(), fs::absolute(file).string()});
    fs::remove_all(root);
}

TinyInitramfs hawser_initramfs(std::string script) {
    TinyInitramfs initramfs;
    // sha3_generic: what the module asks for is not loaded by this small world.
    initramfs.modules = {"virtio_pci",     "virtio_net", "virtio_rng",  "sd_mod",
                         "crc32c_generic", "libcrc32c",  "sha3_generic"};
    auto module = module_under_test();
    for (const auto& need : needs_of(module)) initramfs.modules.push_back(need);
    initramfs.module_files = {module};
    initramfs.programs = {build_folder() / "bin" / "hawser"};
    initramfs.script = std::move(script);
    return initramfs;
}

}  // namespace hawser::qemu
