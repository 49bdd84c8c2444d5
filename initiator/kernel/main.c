// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loading and unloading: root device, bus, transport class, control device.
 *
 * Nothing here makes a session; each session holds a reference on the module, so that all of this
 * outlives the last one.
 */
#include <linux/module.h>

#include "glue.h"

struct device *glue_root;
struct workqueue_struct *glue_workqueue;

static int __init glue_init(void)
{
	int err = -ENOMEM;

	/* Scans: a scan waits for a login, so it must not keep others' work items waiting. */
	glue_workqueue = alloc_workqueue("hawser", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!glue_workqueue)
		return err;
	glue_socket_register();
	err = glue_fence_create();
	if (err)
		goto no_fence;
	glue_root = root_device_register(HAWSER_BUS_NAME);
	if (IS_ERR(glue_root)) {
		err = PTR_ERR(glue_root);
		goto no_root;
	}
	err = glue_leave_register();
	if (err)
		goto no_leave;
	err = glue_shutdown_register(glue_root);
	if (err)
		goto no_bus;
	err = glue_transport_register();
	if (err)
		goto no_transport;
	err = glue_nic_register();
	if (err)
		goto no_nic;
	glue_ibft_add(glue_root);
	err = glue_control_register();
	if (err)
		goto no_control;
	return 0;

no_control:
	glue_ibft_remove(glue_root);
	glue_nic_unregister();
no_nic:
	glue_transport_unregister();
no_transport:
	glue_shutdown_unregister();
no_bus:
	glue_leave_unregister();
no_leave:
	root_device_unregister(glue_root);
no_root:
	glue_fence_destroy();
no_fence:
	glue_socket_unregister();
	destroy_workqueue(glue_workqueue);
	return err;
}

static void __exit glue_exit(void)
{
	glue_control_unregister();
	glue_ibft_remove(glue_root);
	glue_nic_unregister();
	glue_transport_unregister();
	glue_shutdown_unregister();
	glue_leave_unregister();
	root_device_unregister(glue_root);
	glue_fence_destroy();
	glue_socket_unregister();
	destroy_workqueue(glue_workqueue);
}

module_init(glue_init);
module_exit(glue_exit);
MODULE_DESCRIPTION("iSCSI initiator with many connections per session");
MODULE_AUTHOR("The Hawser authors");
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: sd_mod crc32c");
