#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# initqueue job. `attach`: `hawser boot`, until the disk is there. `wait TURNS`: dracut found no
# root on it for that many turns of its loop.
#
# The loop does nothing else meanwhile: `hawser boot` itself waits for NICs, carrier and target, by
# events and within rd.hawser.timeout=. Nothing here sleeps.

type getarg > /dev/null 2>&1 || . /lib/dracut-lib.sh
type label_uuid_to_dev > /dev/null 2>&1 || . /lib/dracut-dev-lib.sh
. /lib/hawser-lib.sh

# Exit status of `hawser boot`: no iBFT and no target. Bad luck only if somebody asked for us.
k_nothing_to_do=3
# An idle turn of dracut's loop takes half a second.
k_turns=20

attach() {
    mkdir -p /run/hawser
    while :; do
        hawser boot
        status=$?
        if [ $status -eq 0 ]; then
            : > /run/hawser/attached
            udevadm settle
            return
        fi
        if [ $status -eq $k_nothing_to_do ] && ! hawser_asked; then
            info "hawser: nothing to do"
            return
        fi
        hawser_fail "no root disk"
    done
}

wait_for_root() {
    [ "$1" -ge $k_turns ] && [ -e /run/hawser/attached ] || return
    device=$(hawser_root_device)
    [ -n "$device" ] && [ ! -e "$device" ] || return
    # shellcheck disable=SC2154
    device=${root#block:}
    echo "hawser: no root file system: $device: not on the disks of the session; check root=" \
        > /dev/console
    hawser_fail "no root file system"
}

case $1 in
    attach) attach ;;
    wait) wait_for_root "$2" ;;
esac
