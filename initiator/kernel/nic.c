// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A NIC that goes away for good takes its connections with it at once. TCP would not notice: a
 * socket that is bound to the NIC waits for ever, and its unsent CmdSN holds up all other
 * connections of the session until a NOP-Out times out.
 *
 * A link that is merely down is left alone: it may be back before anybody's timer ends.
 */
#include <linux/netdevice.h>
#include <linux/rculist.h>

#include "glue.h"

static int nic_notify(struct notifier_block *block, unsigned long event, void *data)
{
	struct net_device *nic = netdev_notifier_info_to_dev(data);
	struct glue_session *session;
	u32 i;

	if (event != NETDEV_UNREGISTER || !net_eq(dev_net(nic), &init_net))
		return NOTIFY_DONE;
	rcu_read_lock(); /* under RTNL: it must not wait for who makes a session */
	list_for_each_entry_rcu(session, &glue_sessions, entry) {
		for (i = 0; i < session->options.connection_count; i++) {
			struct glue_connection *connection = &session->connections[i];

			if (READ_ONCE(connection->interface) != nic->ifindex)
				continue;
			set_bit(EVENT_NIC_GONE, &connection->events);
			glue_connection_kick(connection);
		}
	}
	rcu_read_unlock();
	return NOTIFY_DONE;
}

static struct notifier_block nic_notifier = { .notifier_call = nic_notify };

int glue_nic_register(void)
{
	return register_netdevice_notifier(&nic_notifier);
}

void glue_nic_unregister(void)
{
	unregister_netdevice_notifier(&nic_notifier);
}
