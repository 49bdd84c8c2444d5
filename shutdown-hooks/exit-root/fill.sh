#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# pre-pivot hook (sourced by dracut): fills /run/initramfs, the exit root, from the initramfs.
#
# The contract: systemd-shutdown, after it unmounted what it can, "will switch root into
# /run/initramfs and execute /shutdown there, with the verb as its argument" if that file is
# executable (bootup(7), systemd-shutdown(8)). dracut fills that folder at shutdown, from an initrd
# in /boot. A diskless machine has none there: its initrd came over HTTP and is gone. So it is
# filled now.
#
# A mount of its own, since access(X_OK) fails on a /run that is noexec (dracut's own init mounts it
# so). systemd leaves /run/initramfs and all below it alone when it unmounts.

hawser_fill_exit_root() {
    local file
    mkdir -p /run/initramfs
    mount -t tmpfs -o mode=0755,nosuid,nodev,size=16m hawser-exit-root /run/initramfs || return 1
    mkdir -p /run/initramfs/oldroot /run/initramfs/etc || return 1
    for file in bin sbin usr dev proc sys run tmp; do
        mkdir -p "/run/initramfs/$file" || return 1
    done
    while read -r file; do
        mkdir -p "/run/initramfs/${file%/*}" && cp -L "$file" "/run/initramfs/$file" || return 1
        # The library loader is looked for below /lib64, the shell as /bin/sh.
        case $file in
            */busybox) ln -sf "$file" /run/initramfs/bin/sh ;;
        esac
    done < /usr/lib/hawser/exit-root/files
    # Last: who finds it may rely on the rest.
    cp /usr/lib/hawser/exit-root/shutdown /run/initramfs/shutdown
}

# Without it the machine still leaves in order, but its root is only made read-only, not unmounted.
hawser_fill_exit_root ||
    warn "hawser: no exit root in /run/initramfs: the root will not be unmounted at power-off"
