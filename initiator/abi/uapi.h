/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contract between the module and user space: names only. The requests, their answers and the
 * attributes are described in docs/contracts.md.
 */
#ifndef HAWSER_ABI_UAPI_H
#define HAWSER_ABI_UAPI_H

#define HAWSER_DEVICE_NAME "hawser"            /* /dev/hawser, 0600 */
#define HAWSER_REQUEST_CONNECT "connect"       /* connect KEY=VALUE ... */
#define HAWSER_REQUEST_DISCONNECT "disconnect" /* disconnect session=hawserN */
#define HAWSER_REQUEST_ADD "add"   /* add session=hawserN [portal=...] */
#define HAWSER_REQUEST_DROP "drop" /* drop session=hawserN connection=N */
#define HAWSER_REQUEST_ACCEPT "accept" /* accept session=hawserN lun=N identity=HEX */
#define HAWSER_REQUEST_CMDSN_ORDER "cmdsn_order" /* cmdsn_order session=hawserN WORD */
#define HAWSER_REQUEST_LEAVE "leave" /* leave [then=poweroff|reboot|kexec|halt|nothing] */
#define HAWSER_REQUEST_STAY "stay"
#define HAWSER_REQUEST_BYTES_MAX 8191
#define HAWSER_ANSWER_BYTES_MAX 1024
#define HAWSER_BUS_NAME "hawser"        /* /sys/bus/hawser/devices/hawserN */
#define HAWSER_TRANSPORT_NAME "tcp_mcs" /* sorts after "tcp", lest open-iscsi stops reading */

#endif
