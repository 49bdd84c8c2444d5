#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# dracut module: the root disk over one iSCSI session of many connections. All that thinks is in
# `hawser boot`; the hooks below only call it, wait for the disk, and obey rd.hawser.onfail=.
# Written for dracut 059, for its own init as well as for systemd's.
# For an image that is built from elsewhere than the installed system, the environment may say
# HAWSER_PROGRAM (the `hawser` command), HAWSER_LIB (the folder of exit-root/) and HAWSER_NICS
# (drivers).

hawser_program() {
    echo "${HAWSER_PROGRAM:-$(find_binary hawser)}"
}

check() {
    # busybox is the exit root's whole world, and hawser's DHCP client.
    require_binaries busybox modprobe || return 1
    [[ -x $(hawser_program) ]] || return 1
    # Not require_kernel_modules: that one looks at the running system, even under --kmoddir.
    [[ $(find "$srcmods" -name 'hawser.ko*' -print -quit) ]] || return 1
    # On its own only where it is wanted: in an image for this very host, if its root hangs on
    # hawser.
    [[ $hostonly ]] || [[ $mount_needs ]] || return 0
    [[ -d /sys/bus/hawser/devices ]] && compgen -G '/sys/bus/hawser/devices/*' > /dev/null ||
        return 255
}

depends() {
    echo base rootfs-block udev-rules
}

installkernel() {
    # Modular in Debian's kernel, and needed before there is a disk to load them from. The hashes
    # are CHAP's; some kernels have them built in.
    hostonly='' instmods hawser scsi_transport_iscsi sd_mod crc32c crc32c_intel libcrc32c \
        crct10dif_pclmul crc_t10dif 8021q md5 sha1_generic sha256_generic sha3_generic
    if [[ $HAWSER_NICS ]]; then
        # shellcheck disable=SC2086
        hostonly='' instmods $HAWSER_NICS
    else
        instmods '=drivers/net/ethernet' virtio_net
    fi
}

install() {
    local exit_root=${HAWSER_LIB:-/usr/lib/hawser}/exit-root

    inst "$(hawser_program)" /usr/bin/hawser
    inst_multiple busybox modprobe
    inst_rules 60-persistent-storage.rules 80-net-setup-link.rules
    inst_simple /usr/lib/systemd/network/99-default.link

    inst_hook cmdline 90 "$moddir/parse-hawser.sh"
    inst_script "$moddir/hawser-root.sh" /sbin/hawser-root
    inst_script "$moddir/hawser-lib.sh" /lib/hawser-lib.sh

    # The exit root is filled from this initramfs, before it goes: a list of what belongs there.
    inst_script "$exit_root/shutdown" /usr/lib/hawser/exit-root/shutdown
    inst_script "$exit_root/bounded.sh" /usr/lib/hawser/exit-root/bounded.sh
    inst_simple "$exit_root/hawser-leave@.service" /usr/lib/hawser/exit-root/hawser-leave@.service
    inst_hook pre-pivot 90 "$exit_root/fill.sh"
    # The last in the list is busybox itself: fill.sh makes it /bin/sh.
    {
        dracut_module_included dm && list_with_libraries "$(find_binary dmsetup)"
        list_with_libraries "$(find_binary busybox)"
    } > "$initdir/usr/lib/hawser/exit-root/files"

    # dracut's own init needs these words of an emergency shell, and brings none of them.
    if ! dracut_module_included systemd; then
        local word
        for word in reboot poweroff halt; do
            [[ -e $initdir/usr/sbin/$word ]] || ln -s ../bin/busybox "$initdir/usr/sbin/$word"
        done
    fi
    dracut_need_initqueue
}

# A program, and the libraries that the loader would take for it (none, if it is static).
list_with_libraries() {
    # `ldd` fails on a static program: that is an answer too.
    ldd "$1" 2> /dev/null | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p' || :
    echo "$1"
}
