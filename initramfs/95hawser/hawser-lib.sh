#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the hooks share. To be sourced after dracut-lib.sh.

# Is this boot ours for sure? A generic initramfs holds this module on machines with a local disk as
# well: there, no iBFT and no target is nothing to complain about.
hawser_asked() {
    case " $(getcmdline) " in
        *" rd.hawser"* | *" netroot=iscsi:"* | *" root=iscsi:"* | *" rd.iscsi."*) return 0 ;;
    esac
    return 1
}

# The device node that dracut waits for as root.
hawser_root_device() {
    case "${root#block:}" in
        /dev/*) echo "${root#block:}" ;;
        *=*) label_uuid_to_dev "${root#block:}" ;;
    esac
}

# What rd.hawser.onfail= says. The cause is on the console already; returns if somebody leaves the
# shell.
hawser_fail() {
    if [ "$(getarg rd.hawser.onfail=)" = reboot ]; then
        echo "hawser: $1: rebooting (rd.hawser.onfail=reboot)" > /dev/console
        busybox reboot -f
    fi
    echo "hawser: $1: a shell (rd.hawser.onfail=shell); leave it to try again" > /dev/console
    emergency_shell -n hawser "hawser: $1"
}
