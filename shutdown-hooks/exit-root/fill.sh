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

# hawser-leave@.service is the running system's, whatever is installed there, and runs from here:
# the shell and, where it is not static, its loader and its libraries, so that nothing need be read
# that a dead target has.
hawser_add_leave_units() {
    local exit_root=$1 shell=$2 file end loader='' libraries='' units=/run/systemd/system
    shift 2
    for file; do
        case $file in
            */ld-*.so* | */ld.so* | */ld64.so*) loader=$exit_root$file ;;
            *.so*) libraries=$libraries:$exit_root${file%/*} ;;
        esac
    done
    [ -z "$loader" ] || loader="$loader --library-path ${libraries#:} "
    mkdir -p $units || return 1
    sed "s|^ExecStart=-/bin/sh|ExecStart=-$loader$exit_root$shell sh|" \
        /usr/lib/hawser/exit-root/hawser-leave@.service > $units/hawser-leave@.service || return 1
    for end in poweroff reboot halt kexec; do
        mkdir -p $units/$end.target.wants
        ln -sf ../hawser-leave@.service $units/$end.target.wants/hawser-leave@$end.service
    done
}

hawser_fill_exit_root() {
    local exit_root=/run/initramfs file files='' folders=''
    mkdir -p $exit_root
    mount -t tmpfs -o mode=0755,nosuid,nodev,size=16m hawser-exit-root $exit_root || return 1
    while read -r file; do
        files="$files $file"
        folders="$folders $exit_root${file%/*}"
    done < /usr/lib/hawser/exit-root/files
    # shellcheck disable=SC2086
    mkdir -p $folders $exit_root/bin $exit_root/dev $exit_root/proc $exit_root/sys $exit_root/run \
        $exit_root/tmp $exit_root/etc $exit_root/oldroot || return 1
    # shellcheck disable=SC2086
    cp -L --parents $files $exit_root || return 1
    ln -s "${files##* }" $exit_root/bin/sh || return 1
    cp /usr/lib/hawser/exit-root/bounded.sh $exit_root/bounded.sh || return 1
    # shellcheck disable=SC2086
    hawser_add_leave_units $exit_root "${files##* }" $files || return 1
    # Last: who finds it may rely on the rest.
    cp /usr/lib/hawser/exit-root/shutdown $exit_root/shutdown
}

# Without it the machine still leaves in order, but its root is only made read-only, not unmounted.
hawser_fill_exit_root ||
    warn "hawser: no exit root in /run/initramfs: the root will not be unmounted at power-off"
