#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cmdline hook (sourced by dracut): shall hawser boot this machine, and what is the root?
# The parameters themselves are read by `hawser boot`, from /proc/cmdline.

type getarg > /dev/null 2>&1 || . /lib/dracut-lib.sh
type wait_for_dev > /dev/null 2>&1 || . /lib/dracut-dev-lib.sh
. /lib/hawser-lib.sh

# Without a file system by name (root=LABEL=..., root=UUID=...): the first whole LUN is the root.
hawser_root_is_lun() {
    local disk='SUBSYSTEM=="block", ENV{DEVTYPE}=="disk", SYMLINK=="disk/by-path/*-iscsi-*-lun-*"'
    echo "$disk, SYMLINK+=\"root\"" > /etc/udev/rules.d/99-hawser-root.rules
    root=block:/dev/root
    rootok=1
    if [ -n "$DRACUT_SYSTEMD" ]; then
        udevadm control --reload
        type write_fs_tab > /dev/null 2>&1 || . /lib/fs-lib.sh
        write_fs_tab /dev/root
    fi
    wait_for_dev /dev/root
}

hawser_parse() {
    getargbool 1 rd.hawser || return
    [ -n "$root" ] || root=$(getarg root=)
    case "$root" in
        iscsi:* | ibft | hawser) hawser_root_is_lun ;;
        "") hawser_asked && hawser_root_is_lun ;;
    esac
    # A disk of that name inside the machine must not win against the one that was asked for.
    if hawser_asked; then
        echo '[ -e /run/hawser/attached ]' > "$hookdir/initqueue/finished/hawser.sh"
    fi
    /sbin/initqueue --onetime --unique --name hawser-root /sbin/hawser-root attach
    # Attached, but no root on it: told after the settled queue had its turns (LVM and the like).
    /sbin/initqueue --settled --unique --name hawser-wait /sbin/hawser-root wait '"$main_loop"'
}

hawser_parse
