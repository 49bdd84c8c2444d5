// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /sys/bus/hawser/devices/hawserN, as docs/contracts.md describes it. Reads see what the threads
 * have published (a snapshot under a lock, the engine's counters), never the engine's state.
 */
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "glue.h"

static struct glue_session *sysfs_session(struct device *dev)
{
	return container_of(dev, struct glue_session, dev);
}

static void sysfs_read(struct glue_session *session, struct hawser_session_snapshot *now)
{
	spin_lock_irq(&session->lock);
	*now = session->snapshot;
	spin_unlock_irq(&session->lock);
}

static ssize_t sysfs_emit_error(char *buffer, u32 error, u32 detail)
{
	if (!error)
		return sysfs_emit(buffer, "none\n");
	return sysfs_emit(buffer, "%u %u %s\n", error, detail, hawser_error_words(error));
}

static const char *sysfs_yes(u8 value)
{
	return value ? "Yes" : "No";
}

static const char *sysfs_digest(u8 value)
{
	return value ? "CRC32C" : "None";
}

static ssize_t sysfs_emit_keys(char *buffer, const struct hawser_keys *keys)
{
	if (!keys->max_burst_length) /* nothing was negotiated yet */
		return 0;
	return sysfs_emit(buffer,
			  "MaxConnections=%u\nInitialR2T=%s\nImmediateData=%s\n"
			  "MaxRecvDataSegmentLength=%u\nMaxXmitDataSegmentLength=%u\n"
			  "MaxBurstLength=%u\nFirstBurstLength=%u\nMaxOutstandingR2T=%u\n"
			  "DefaultTime2Wait=%u\nDefaultTime2Retain=%u\n"
			  "DataPDUInOrder=%s\nDataSequenceInOrder=%s\nErrorRecoveryLevel=%u\n"
			  "HeaderDigest=%s\nDataDigest=%s\n",
			  keys->max_connections, sysfs_yes(keys->initial_r2t),
			  sysfs_yes(keys->immediate_data), keys->max_recv_data_segment_length,
			  keys->max_xmit_data_segment_length, keys->max_burst_length,
			  keys->first_burst_length, keys->max_outstanding_r2t,
			  keys->default_time2wait_s, keys->default_time2retain_s,
			  sysfs_yes(keys->data_pdu_in_order),
			  sysfs_yes(keys->data_sequence_in_order), keys->error_recovery_level,
			  sysfs_digest(keys->header_digest), sysfs_digest(keys->data_digest));
}

/* One attribute of a session; now, window and session are at hand in the expression. */
#define SESSION_ATTRIBUTE(name, format, ...)                                                       \
	static ssize_t name##_show(struct device *dev, struct device_attribute *attribute,         \
				   char *buffer)                                                   \
	{                                                                                          \
		struct glue_session *session = sysfs_session(dev);                                 \
		struct hawser_session_snapshot now;                                                \
		struct hawser_window window;                                                       \
												   \
		sysfs_read(session, &now);                                                         \
		hawser_session_window(session->engine, &window);                                   \
		return sysfs_emit(buffer, format "\n", __VA_ARGS__);                               \
	}                                                                                          \
	static DEVICE_ATTR_RO(name)

static const char *sysfs_session_state(u32 state)
{
	switch (state) {
	case HAWSER_SESSION_LOGGED_IN:
		return "LOGGED_IN";
	case HAWSER_SESSION_FAILED:
		return "FAILED";
	default:
		return "FREE";
	}
}

SESSION_ATTRIBUTE(state, "%s", sysfs_session_state(now.state));
SESSION_ATTRIBUTE(target_name, "%s", session->options.target_name);
SESSION_ATTRIBUTE(initiator_name, "%s", session->options.initiator_name);
SESSION_ATTRIBUTE(isid, "%*phN", 6, now.isid);
SESSION_ATTRIBUTE(tsih, "%u", now.tsih);
SESSION_ATTRIBUTE(target_portal_group_tag, "%u", now.target_portal_group_tag);
SESSION_ATTRIBUTE(root, "%u", session->options.root);
SESSION_ATTRIBUTE(reinstatements, "%u", now.reinstatements);
SESSION_ATTRIBUTE(recoveries, "%u", now.recoveries);
SESSION_ATTRIBUTE(fallback, "%u", now.fallback);
SESSION_ATTRIBUTE(cmdsn_order, "%s", glue_cmdsn_orders[now.cmd_sn_order]);
SESSION_ATTRIBUTE(own_mistakes, "%u", now.own_mistakes);
SESSION_ATTRIBUTE(foreign, "%u", READ_ONCE(session->foreign) > 0);
SESSION_ATTRIBUTE(held, "%u", READ_ONCE(session->parked));
SESSION_ATTRIBUTE(cmd_sn, "%u", window.cmd_sn);
SESSION_ATTRIBUTE(exp_cmd_sn, "%u", window.exp_cmd_sn);
SESSION_ATTRIBUTE(max_cmd_sn, "%u", window.max_cmd_sn);
SESSION_ATTRIBUTE(connections_asked, "%u", now.connections_asked);
SESSION_ATTRIBUTE(connections_granted, "%u", now.connections_granted);

static ssize_t last_error_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	struct hawser_session_snapshot now;

	sysfs_read(sysfs_session(dev), &now);
	return sysfs_emit_error(buffer, now.last_error, now.last_detail);
}
static DEVICE_ATTR_RO(last_error);

static ssize_t negotiated_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	struct hawser_session_snapshot now;

	sysfs_read(sysfs_session(dev), &now);
	return sysfs_emit_keys(buffer, &now.keys);
}
static DEVICE_ATTR_RO(negotiated);

static ssize_t portals_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	struct hawser_session_snapshot now;
	char where[64];
	int length = 0;
	u32 i;

	sysfs_read(sysfs_session(dev), &now);
	for (i = 0; i < now.portal_count; i++) {
		hawser_portal_format(&now.portals[i].address, now.portals[i].port, where);
		length += sysfs_emit_at(buffer, length, "%s\n", where);
	}
	return length;
}
static DEVICE_ATTR_RO(portals);

static struct attribute *session_attributes[] = {
	&dev_attr_state.attr,
	&dev_attr_target_name.attr,
	&dev_attr_initiator_name.attr,
	&dev_attr_isid.attr,
	&dev_attr_tsih.attr,
	&dev_attr_target_portal_group_tag.attr,
	&dev_attr_root.attr,
	&dev_attr_reinstatements.attr,
	&dev_attr_recoveries.attr,
	&dev_attr_fallback.attr,
	&dev_attr_cmdsn_order.attr,
	&dev_attr_own_mistakes.attr,
	&dev_attr_foreign.attr,
	&dev_attr_held.attr,
	&dev_attr_cmd_sn.attr,
	&dev_attr_exp_cmd_sn.attr,
	&dev_attr_max_cmd_sn.attr,
	&dev_attr_connections_asked.attr,
	&dev_attr_connections_granted.attr,
	&dev_attr_portals.attr,
	&dev_attr_last_error.attr,
	&dev_attr_negotiated.attr,
	NULL,
};

static const struct attribute_group session_group = { .attrs = session_attributes };

const struct attribute_group *glue_session_groups[] = { &session_group, NULL };

/* The folder connectionN ----------------------------------------------------------------------- */

struct connection_view {
	struct glue_connection *connection;
	struct hawser_counters counters;
	struct glue_ends ends;
	struct hawser_keys keys;
};

struct connection_attribute {
	struct attribute attr;
	ssize_t (*show)(const struct connection_view *view, char *buffer);
};

#define CONNECTION_ATTRIBUTE(field, format, ...)                                                   \
	static ssize_t connection_##field##_show(const struct connection_view *view, char *buffer) \
	{                                                                                          \
		return sysfs_emit(buffer, format "\n", __VA_ARGS__);                               \
	}                                                                                          \
	static struct connection_attribute connection_##field = {                                  \
		.attr = { .name = #field, .mode = 0444 },                                          \
		.show = connection_##field##_show,                                                 \
	}

static const char *sysfs_connection_state(u32 state)
{
	switch (state) {
	case HAWSER_CONNECTION_XPT_WAIT:
		return "XPT_WAIT";
	case HAWSER_CONNECTION_IN_LOGIN:
		return "IN_LOGIN";
	case HAWSER_CONNECTION_LOGGED_IN:
		return "LOGGED_IN";
	case HAWSER_CONNECTION_IN_LOGOUT:
		return "IN_LOGOUT";
	case HAWSER_CONNECTION_LOGOUT_REQUESTED:
		return "LOGOUT_REQUESTED";
	case HAWSER_CONNECTION_CLEANUP_WAIT:
		return "CLEANUP_WAIT";
	default:
		return "FREE";
	}
}

CONNECTION_ATTRIBUTE(state, "%s", sysfs_connection_state(view->counters.state));
CONNECTION_ATTRIBUTE(cid, "%u", view->connection->index);
CONNECTION_ATTRIBUTE(nic, "%s", view->ends.nic);
CONNECTION_ATTRIBUTE(commands, "%llu", view->counters.commands);
CONNECTION_ATTRIBUTE(bytes_in, "%llu", view->counters.bytes_in);
CONNECTION_ATTRIBUTE(bytes_out, "%llu", view->counters.bytes_out);
CONNECTION_ATTRIBUTE(logins, "%u", view->counters.logins);
CONNECTION_ATTRIBUTE(losses, "%u", view->counters.losses);

static ssize_t connection_portal_show(const struct connection_view *view, char *buffer)
{
	char where[64];

	if (!view->ends.portal.address.family)
		return sysfs_emit(buffer, "\n");
	hawser_portal_format(&view->ends.portal.address, view->ends.portal.port, where);
	return sysfs_emit(buffer, "%s\n", where);
}
static struct connection_attribute connection_portal = {
	.attr = { .name = "portal", .mode = 0444 },
	.show = connection_portal_show,
};

static ssize_t connection_source_show(const struct connection_view *view, char *buffer)
{
	char where[64];

	if (!view->ends.source.family)
		return sysfs_emit(buffer, "\n");
	hawser_portal_format(&view->ends.source, view->ends.source_port, where);
	return sysfs_emit(buffer, "%s\n", where);
}
static struct connection_attribute connection_source = {
	.attr = { .name = "source", .mode = 0444 },
	.show = connection_source_show,
};

static ssize_t connection_last_error_show(const struct connection_view *view, char *buffer)
{
	return sysfs_emit_error(buffer, view->counters.last_error, view->counters.last_detail);
}
static struct connection_attribute connection_last_error = {
	.attr = { .name = "last_error", .mode = 0444 },
	.show = connection_last_error_show,
};

static ssize_t connection_negotiated_show(const struct connection_view *view, char *buffer)
{
	return sysfs_emit_keys(buffer, &view->keys);
}
static struct connection_attribute connection_negotiated = {
	.attr = { .name = "negotiated", .mode = 0444 },
	.show = connection_negotiated_show,
};

static struct attribute *connection_attrs[] = {
	&connection_state.attr,
	&connection_cid.attr,
	&connection_portal.attr,
	&connection_source.attr,
	&connection_nic.attr,
	&connection_commands.attr,
	&connection_bytes_in.attr,
	&connection_bytes_out.attr,
	&connection_logins.attr,
	&connection_losses.attr,
	&connection_last_error.attr,
	&connection_negotiated.attr,
	NULL,
};
ATTRIBUTE_GROUPS(connection);

static ssize_t connection_show(struct kobject *kobj, struct attribute *attribute, char *buffer)
{
	struct connection_view view = {
		.connection = container_of(kobj, struct glue_connection, kobj),
	};
	struct glue_session *session = view.connection->session;

	spin_lock_irq(&session->lock);
	view.ends = view.connection->ends;
	view.keys = view.connection->keys;
	spin_unlock_irq(&session->lock);
	hawser_connection_counters(view.connection->engine, &view.counters);
	return container_of(attribute, struct connection_attribute, attr)->show(&view, buffer);
}

static void connection_release(struct kobject *kobj)
{
	complete(&container_of(kobj, struct glue_connection, kobj)->kobj_released);
}

static const struct sysfs_ops connection_operations = { .show = connection_show };

static struct kobj_type connection_type = {
	.sysfs_ops = &connection_operations,
	.default_groups = connection_groups,
	.release = connection_release,
};

int glue_sysfs_add(struct glue_session *session)
{
	u32 i;
	int err;

	for (i = 0; i < session->options.connection_count; i++) {
		struct glue_connection *connection = &session->connections[i];

		init_completion(&connection->kobj_released);
		connection->kobj_added = true;
		err = kobject_init_and_add(&connection->kobj, &connection_type, &session->dev.kobj,
					   "connection%u", i);
		if (err)
			return err;
	}
	kobject_uevent(&session->dev.kobj, KOBJ_CHANGE);
	return 0;
}

void glue_sysfs_remove(struct glue_session *session)
{
	u32 i;

	for (i = 0; i < session->options.connection_count; i++) {
		struct glue_connection *connection = &session->connections[i];

		if (!connection->kobj_added)
			continue;
		kobject_del(&connection->kobj);
		kobject_put(&connection->kobj);
		wait_for_completion(&connection->kobj_released);
	}
}
