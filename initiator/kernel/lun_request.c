// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the administrator sees and says of a LUN: the folder hawser/ of its scsi_device in sysfs,
 * and the request that takes a disk for the right one.
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/sysfs.h>
#include <scsi/scsi_device.h>

#include "glue.h"

#define LUN_ACCEPT_MS 5000 /* how long the answer is waited for */
#define LUN_ACCEPT_POLL_MS 20

/* A copy of what is shown. False: the LUN is going. */
static bool lun_look(struct device *dev, struct glue_designators *identity,
		     struct glue_designators *found, u8 *state)
{
	struct scsi_device *sdev = to_scsi_device(dev);
	struct glue_session *session = glue_session_of_host(sdev->host);
	const struct glue_disk *disk;

	spin_lock(&session->luns_lock);
	disk = sdev->hostdata;
	if (disk) {
		*identity = disk->identity;
		*found = disk->found;
		*state = disk->state;
	}
	spin_unlock(&session->luns_lock);
	return disk;
}

static ssize_t lun_emit(char *buffer, const struct glue_designators *designators)
{
	char *end = bin2hex(buffer, designators->bytes, designators->length);

	*end++ = '\n';
	return end - buffer;
}

static ssize_t state_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	struct glue_designators identity, found;
	u8 state;

	if (!lun_look(dev, &identity, &found, &state))
		return -ENODEV;
	return sysfs_emit(buffer, "%s\n", glue_lun_state_name(state));
}
static DEVICE_ATTR_RO(state);

static ssize_t identity_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	struct glue_designators identity, found;
	u8 state;

	if (!lun_look(dev, &identity, &found, &state))
		return -ENODEV;
	return lun_emit(buffer, &identity);
}
static DEVICE_ATTR_RO(identity);

static ssize_t found_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	struct glue_designators identity, found;
	u8 state;

	if (!lun_look(dev, &identity, &found, &state))
		return -ENODEV;
	if (state != LUN_FOREIGN)
		found.length = 0;
	return lun_emit(buffer, &found);
}
static DEVICE_ATTR_RO(found);

static struct attribute *lun_attributes[] = {
	&dev_attr_state.attr,
	&dev_attr_identity.attr,
	&dev_attr_found.attr,
	NULL,
};

static const struct attribute_group lun_group = { .name = "hawser", .attrs = lun_attributes };

const struct attribute_group *glue_lun_groups[] = { &lun_group, NULL };

/* Under luns_lock. */
static struct glue_disk *lun_find(struct glue_session *session, u64 lun)
{
	struct glue_disk *disk;

	lockdep_assert_held(&session->luns_lock);
	list_for_each_entry(disk, &session->luns, entry) {
		if (disk->lun == lun)
			return disk;
	}
	return NULL;
}

/* identity: as the administrator has seen it. What is there now may be yet another disk. */
static int lun_take(struct glue_session *session, u64 lun, const char *identity, char *reason)
{
	char found[2 * GLUE_OWN_BYTES + 1];
	struct glue_disk *disk;
	int err = 0;

	spin_lock(&session->luns_lock);
	disk = lun_find(session, lun);
	if (!disk) {
		err = -ENODEV;
	} else if (disk->state != LUN_FOREIGN) {
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "LUN %llu is %s: only a foreign one can "
			 "be accepted", lun, glue_lun_state_name(disk->state));
		err = -EBUSY;
	} else {
		*bin2hex(found, disk->found.bytes, disk->found.length) = '\0';
		if (strcmp(identity, found[0] ? found : "none")) {
			snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "LUN %llu is yet another disk: "
				 "identity=%s", lun, found[0] ? found : "none");
			err = -ESTALE;
		} else {
			disk->identity = disk->found;
			disk->ask_ms = 0; /* the verifier finds it to be the right one */
		}
	}
	spin_unlock(&session->luns_lock);
	if (err == -ENODEV)
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "session=%s: there is no LUN %llu",
			 dev_name(&session->dev), lun);
	return err;
}

static u8 lun_state(struct glue_session *session, u64 lun)
{
	const struct glue_disk *disk;
	u8 state = LUN_ABSENT;

	spin_lock(&session->luns_lock);
	disk = lun_find(session, lun);
	if (disk)
		state = disk->state;
	spin_unlock(&session->luns_lock);
	return state;
}

int glue_lun_accept(const char *words, char *reason)
{
	static const char usage[] = "accept session=hawserN lun=N identity=HEX";
	u64 bound_ms = glue_now_ms() + LUN_ACCEPT_MS;
	struct glue_session *session;
	char name[48], identity[2 * GLUE_OWN_BYTES + 1];
	u64 lun;
	int err;

	if (sscanf(words, "session=%47s lun=%llu identity=%504s", name, &lun, identity) != 3) {
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "\"%.100s\": write %s", words, usage);
		return -EINVAL;
	}
	session = glue_session_find(name, reason);
	if (IS_ERR(session))
		return PTR_ERR(session);
	err = lun_take(session, lun, identity, reason);
	if (err)
		goto out;
	dev_notice(&session->dev, "LUN %llu: the administrator accepts the disk %s\n", lun,
		   identity);
	glue_verify_kick(session);
	while (lun_state(session, lun) != LUN_READY && glue_now_ms() < bound_ms)
		msleep(LUN_ACCEPT_POLL_MS);
	snprintf(reason, HAWSER_ANSWER_BYTES_MAX, "accepted %s LUN %llu: %s", name, lun,
		 glue_lun_state_name(lun_state(session, lun)));
out:
	mutex_unlock(&session->removal);
	return err;
}
