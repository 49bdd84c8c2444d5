// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * scsi_transport_iscsi, without libiscsi: so that udev's by-path names, lsscsi -t, iscsiadm -m
 * session and multipath see the session. They only look: what would change something is refused.
 *
 * The name "tcp_mcs" sorts after "tcp": open-iscsi stops reading transports at the first one that
 * it does not know, and iscsid would be broken for everybody by a name before it.
 */
#include <linux/module.h>
#include <scsi/iscsi_if.h>
#include <scsi/scsi_transport.h>
#include <scsi/scsi_transport_iscsi.h>

#include "glue.h"

struct scsi_transport_template *glue_transport_template;

static struct glue_session *transport_session(struct iscsi_cls_session *class_session)
{
	return *(struct glue_session **)class_session->dd_data;
}

static umode_t transport_attr_is_visible(int param_type, int param)
{
	if (param_type == ISCSI_HOST_PARAM)
		return param == ISCSI_HOST_PARAM_INITIATOR_NAME ||
		       param == ISCSI_HOST_PARAM_IPADDRESS ||
		       param == ISCSI_HOST_PARAM_NETDEV_NAME ? 0444 : 0;
	if (param_type != ISCSI_PARAM)
		return 0;
	switch (param) {
	case ISCSI_PARAM_MAX_RECV_DLENGTH:
	case ISCSI_PARAM_MAX_XMIT_DLENGTH:
	case ISCSI_PARAM_HDRDGST_EN:
	case ISCSI_PARAM_DATADGST_EN:
	case ISCSI_PARAM_CONN_ADDRESS:
	case ISCSI_PARAM_CONN_PORT:
	case ISCSI_PARAM_PERSISTENT_ADDRESS:
	case ISCSI_PARAM_PERSISTENT_PORT:
	case ISCSI_PARAM_LOCAL_IPADDR:
	case ISCSI_PARAM_LOCAL_PORT:
	case ISCSI_PARAM_TARGET_NAME:
	case ISCSI_PARAM_TPGT:
	case ISCSI_PARAM_INITIATOR_NAME:
	case ISCSI_PARAM_INITIAL_R2T_EN:
	case ISCSI_PARAM_MAX_R2T:
	case ISCSI_PARAM_IMM_DATA_EN:
	case ISCSI_PARAM_FIRST_BURST:
	case ISCSI_PARAM_MAX_BURST:
	case ISCSI_PARAM_PDU_INORDER_EN:
	case ISCSI_PARAM_DATASEQ_INORDER_EN:
	case ISCSI_PARAM_ERL:
	case ISCSI_PARAM_IFACE_NAME:
	case ISCSI_PARAM_ISID:
	case ISCSI_PARAM_TSID:
	case ISCSI_PARAM_DEF_TIME2WAIT:
	case ISCSI_PARAM_DEF_TIME2RETAIN:
		return 0444;
	default:
		return 0;
	}
}

static int transport_get_session_param(struct iscsi_cls_session *class_session,
				       enum iscsi_param param, char *buffer)
{
	struct glue_session *session = transport_session(class_session);
	struct hawser_session_snapshot now;
	u64 isid;

	spin_lock_irq(&session->lock);
	now = session->snapshot;
	spin_unlock_irq(&session->lock);
	switch (param) {
	case ISCSI_PARAM_TARGET_NAME:
		return sysfs_emit(buffer, "%s\n", session->options.target_name);
	case ISCSI_PARAM_INITIATOR_NAME:
		return sysfs_emit(buffer, "%s\n", session->options.initiator_name);
	case ISCSI_PARAM_IFACE_NAME:
		return sysfs_emit(buffer, "%s\n", HAWSER_BUS_NAME);
	case ISCSI_PARAM_TPGT:
		return sysfs_emit(buffer, "%u\n", now.target_portal_group_tag);
	case ISCSI_PARAM_ISID:
		isid = (u64)now.isid[0] << 40 | (u64)now.isid[1] << 32 | (u64)now.isid[2] << 24 |
		       now.isid[3] << 16 | now.isid[4] << 8 | now.isid[5];
		return sysfs_emit(buffer, "%012llx\n", isid);
	case ISCSI_PARAM_TSID:
		return sysfs_emit(buffer, "%u\n", now.tsih);
	case ISCSI_PARAM_INITIAL_R2T_EN:
		return sysfs_emit(buffer, "%u\n", now.keys.initial_r2t);
	case ISCSI_PARAM_MAX_R2T:
		return sysfs_emit(buffer, "%u\n", now.keys.max_outstanding_r2t);
	case ISCSI_PARAM_IMM_DATA_EN:
		return sysfs_emit(buffer, "%u\n", now.keys.immediate_data);
	case ISCSI_PARAM_FIRST_BURST:
		return sysfs_emit(buffer, "%u\n", now.keys.first_burst_length);
	case ISCSI_PARAM_MAX_BURST:
		return sysfs_emit(buffer, "%u\n", now.keys.max_burst_length);
	case ISCSI_PARAM_PDU_INORDER_EN:
		return sysfs_emit(buffer, "%u\n", now.keys.data_pdu_in_order);
	case ISCSI_PARAM_DATASEQ_INORDER_EN:
		return sysfs_emit(buffer, "%u\n", now.keys.data_sequence_in_order);
	case ISCSI_PARAM_ERL:
		return sysfs_emit(buffer, "%u\n", now.keys.error_recovery_level);
	case ISCSI_PARAM_DEF_TIME2WAIT:
		return sysfs_emit(buffer, "%u\n", now.keys.default_time2wait_s);
	case ISCSI_PARAM_DEF_TIME2RETAIN:
		return sysfs_emit(buffer, "%u\n", now.keys.default_time2retain_s);
	default:
		return -ENODATA;
	}
}

static int transport_emit_address(const struct hawser_address *address, char *buffer)
{
	if (address->family == 4)
		return sysfs_emit(buffer, "%pI4\n", address->bytes);
	if (address->family == 6)
		return sysfs_emit(buffer, "%pI6c\n", address->bytes);
	return sysfs_emit(buffer, "\n");
}

static int transport_get_conn_param(struct iscsi_cls_conn *class_connection, enum iscsi_param param,
				    char *buffer)
{
	struct glue_connection *connection = *(struct glue_connection **)class_connection->dd_data;
	struct glue_session *session = connection->session;
	const struct hawser_portal *portal;
	struct hawser_keys keys;
	struct glue_ends ends;

	spin_lock_irq(&session->lock);
	ends = connection->ends;
	keys = connection->keys;
	spin_unlock_irq(&session->lock);
	portal = &ends.portal;
	switch (param) {
	case ISCSI_PARAM_CONN_ADDRESS:
	case ISCSI_PARAM_PERSISTENT_ADDRESS:
		return transport_emit_address(&portal->address, buffer);
	case ISCSI_PARAM_CONN_PORT:
	case ISCSI_PARAM_PERSISTENT_PORT:
		return sysfs_emit(buffer, "%u\n", portal->port);
	case ISCSI_PARAM_LOCAL_IPADDR:
		return transport_emit_address(&ends.source, buffer);
	case ISCSI_PARAM_LOCAL_PORT:
		return sysfs_emit(buffer, "%u\n", ends.source_port);
	case ISCSI_PARAM_MAX_RECV_DLENGTH:
		return sysfs_emit(buffer, "%u\n", keys.max_recv_data_segment_length);
	case ISCSI_PARAM_MAX_XMIT_DLENGTH:
		return sysfs_emit(buffer, "%u\n", keys.max_xmit_data_segment_length);
	case ISCSI_PARAM_HDRDGST_EN:
		return sysfs_emit(buffer, "%u\n", keys.header_digest);
	case ISCSI_PARAM_DATADGST_EN:
		return sysfs_emit(buffer, "%u\n", keys.data_digest);
	default:
		return -ENODATA;
	}
}

static int transport_get_host_param(struct Scsi_Host *host, enum iscsi_host_param param,
				    char *buffer)
{
	struct glue_session *session = glue_session_of_host(host);
	struct glue_ends ends;

	spin_lock_irq(&session->lock);
	ends = session->connections[0].ends;
	spin_unlock_irq(&session->lock);
	switch (param) {
	case ISCSI_HOST_PARAM_INITIATOR_NAME:
		return sysfs_emit(buffer, "%s\n", session->options.initiator_name);
	case ISCSI_HOST_PARAM_IPADDRESS:
		return transport_emit_address(&ends.source, buffer);
	case ISCSI_HOST_PARAM_NETDEV_NAME:
		return sysfs_emit(buffer, "%s\n", ends.nic);
	default:
		return -ENODATA;
	}
}

/* What iscsid would do with a session of its own: refused. */
static struct iscsi_cls_session *transport_create_session(struct iscsi_endpoint *endpoint,
							  u16 commands, u16 depth, u32 cmd_sn)
{
	return NULL;
}

static void transport_destroy_session(struct iscsi_cls_session *class_session)
{
}

static struct iscsi_cls_conn *transport_create_conn(struct iscsi_cls_session *class_session,
						    u32 cid)
{
	return NULL;
}

static int transport_bind_conn(struct iscsi_cls_session *class_session,
			       struct iscsi_cls_conn *class_connection, u64 endpoint, int leading)
{
	return -EPERM;
}

static int transport_start_conn(struct iscsi_cls_conn *class_connection)
{
	return -EPERM;
}

static void transport_stop_conn(struct iscsi_cls_conn *class_connection, int flag)
{
}

static void transport_destroy_conn(struct iscsi_cls_conn *class_connection)
{
}

static int transport_set_param(struct iscsi_cls_conn *class_connection, enum iscsi_param param,
			       char *buffer, int length)
{
	return -EPERM;
}

static int transport_send_pdu(struct iscsi_cls_conn *class_connection, struct iscsi_hdr *header,
			      char *data, u32 length)
{
	return -EPERM;
}

static void transport_get_stats(struct iscsi_cls_conn *class_connection, struct iscsi_stats *stats)
{
	struct glue_connection *connection = *(struct glue_connection **)class_connection->dd_data;
	struct hawser_counters counters;

	hawser_connection_counters(connection->engine, &counters);
	stats->txdata_octets = counters.bytes_out;
	stats->rxdata_octets = counters.bytes_in;
	stats->scsicmd_pdus = counters.commands;
	stats->custom_length = 0;
}

static int transport_user_scan(struct Scsi_Host *host, uint channel, uint id, u64 lun)
{
	struct glue_session *session = glue_session_of_host(host);

	if ((channel != SCAN_WILD_CARD && channel) || (id != SCAN_WILD_CARD && id))
		return -EINVAL;
	if (!READ_ONCE(session->scanned))
		return -EBUSY;
	return glue_scan_luns(session, lun);
}

static struct iscsi_transport transport = {
	.owner = THIS_MODULE,
	.name = HAWSER_TRANSPORT_NAME,
	.caps = CAP_RECOVERY_L0 | CAP_MULTI_R2T,
	.create_session = transport_create_session,
	.destroy_session = transport_destroy_session,
	.create_conn = transport_create_conn,
	.bind_conn = transport_bind_conn,
	.start_conn = transport_start_conn,
	.stop_conn = transport_stop_conn,
	.destroy_conn = transport_destroy_conn,
	.set_param = transport_set_param,
	.get_conn_param = transport_get_conn_param,
	.get_session_param = transport_get_session_param,
	.get_host_param = transport_get_host_param,
	.send_pdu = transport_send_pdu,
	.get_stats = transport_get_stats,
	.attr_is_visible = transport_attr_is_visible,
};

int glue_transport_register(void)
{
	glue_transport_template = iscsi_register_transport(&transport);
	if (!glue_transport_template)
		return -ENODEV;
	glue_transport_template->user_scan = transport_user_scan;
	return 0;
}

void glue_transport_unregister(void)
{
	iscsi_unregister_transport(&transport);
}

/* The class's session and all its connections, created once and kept. */
int glue_transport_add(struct glue_session *session)
{
	struct iscsi_cls_session *class_session;
	u32 i;
	int err;

	class_session = iscsi_alloc_session(session->scsi_host, &transport, sizeof(session));
	if (!class_session)
		return -ENOMEM;
	*(struct glue_session **)class_session->dd_data = session;
	err = iscsi_add_session(class_session, 0);
	if (err) {
		iscsi_free_session(class_session);
		return err;
	}
	session->class_session = class_session;
	for (i = 0; i < session->options.connection_count; i++) {
		struct glue_connection *connection = &session->connections[i];
		struct iscsi_cls_conn *class_connection;

		class_connection = iscsi_alloc_conn(class_session, sizeof(connection), i);
		if (!class_connection)
			return -ENOMEM;
		*(struct glue_connection **)class_connection->dd_data = connection;
		err = iscsi_add_conn(class_connection);
		if (err) {
			iscsi_put_conn(class_connection);
			return err;
		}
		WRITE_ONCE(connection->class_connection, class_connection);
	}
	return 0;
}

/* The state as the class shows it. Control thread; allocates nothing, sends no uevent. */
void glue_transport_state(struct glue_session *session, u32 state)
{
	struct iscsi_cls_session *class_session;
	u32 i;

	spin_lock_irq(&session->lock);
	class_session = session->class_session;
	/* Until the scan the class has its own idea: the scan unblocks the session, once. */
	if (!class_session || !READ_ONCE(session->scanned))
		goto out;
	spin_lock(&class_session->lock);
	class_session->state = state == HAWSER_SESSION_LOGGED_IN ? ISCSI_SESSION_LOGGED_IN :
								   ISCSI_SESSION_FAILED;
	spin_unlock(&class_session->lock);
	for (i = 0; i < session->options.connection_count; i++) {
		struct glue_connection *connection = &session->connections[i];
		bool up = READ_ONCE(connection->accepting);

		if (connection->class_connection)
			WRITE_ONCE(connection->class_connection->state,
				   up ? ISCSI_CONN_UP : ISCSI_CONN_FAILED);
	}
out:
	spin_unlock_irq(&session->lock);
}

void glue_transport_remove(struct glue_session *session)
{
	struct iscsi_cls_session *class_session = session->class_session;

	if (!class_session)
		return;
	spin_lock_irq(&session->lock);
	session->class_session = NULL; /* the control thread looks no more */
	spin_unlock_irq(&session->lock);
	iscsi_remove_session(class_session); /* and its connections */
	iscsi_free_session(class_session);
}
