#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the scripts of an end share. To be sourced, by a script that says $busybox, the program, and
# $fifo, a path that can be made, on no disk.

: "${busybox:?}" "${fifo:?}"

# The driver's own bound on a shutdown is also theirs (the key `grace` of a session; 60 s).
limit=$("$busybox" sed -n 's/.*rd\.hawser\.option=grace=\([0-9]*\).*/\1/p' /proc/cmdline)
[ "${limit:-0}" -gt 0 ] || limit=60

# bounded SECONDS COMMAND...: its exit status, or 124 if it did not end in time. A process that
# waits for storage cannot be killed, only be left alone: so nothing here waits for it but through a
# pipe. The pipe is its own, opened before it starts: what ends late speaks to nobody, not to who
# waits for the next command.
bounded() {
    seconds=$1
    shift
    turn=$((${turn:-0} + 1))
    "$busybox" rm -f "$fifo.$turn"
    "$busybox" mkfifo "$fifo.$turn"
    (exec 3> "$fifo.$turn"; "$busybox" "$@" 3>&-; echo $? >&3) &
    (exec 3> "$fifo.$turn"; "$busybox" sleep "$seconds" 3>&-; echo 124 >&3) &
    clock=$!
    read -r answer < "$fifo.$turn"
    kill $clock 2> /dev/null
    return "$answer"
}
