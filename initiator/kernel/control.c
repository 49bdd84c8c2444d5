// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /dev/hawser: one request per write, one line; the write returns when the request is done, and the
 * answer, or the reason why not, is read from the same descriptor. See docs/contracts.md.
 */
#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "glue.h"

struct control_file {
	struct mutex lock; /* one request at a time per descriptor */
	char answer[HAWSER_ANSWER_BYTES_MAX];
	size_t answered; /* bytes of it that were read */
};

static int control_open(struct inode *inode, struct file *file)
{
	struct control_file *control;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	control = kzalloc(sizeof(*control), GFP_KERNEL);
	if (!control)
		return -ENOMEM;
	mutex_init(&control->lock);
	file->private_data = control;
	return stream_open(inode, file);
}

static int control_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static int control_connect(const char *words, char *reason)
{
	struct hawser_options *options;
	struct glue_session *session;
	int err = 0;

	options = kvzalloc(sizeof(*options), GFP_KERNEL);
	if (!options)
		return -ENOMEM;
	if (hawser_options_parse(words, strlen(words), options, reason)) {
		err = -EINVAL;
		goto out;
	}
	session = glue_session_create(options, reason);
	if (IS_ERR(session)) {
		err = PTR_ERR(session);
		goto out;
	}
	err = glue_session_connect(session, reason);
out:
	kvfree(options);
	return err;
}

static int control_disconnect(const char *words, char *reason)
{
	if (strncmp(words, "session=", 8) || strchr(words, ' ')) {
		snprintf(reason, HAWSER_ANSWER_BYTES_MAX,
			 "disconnect: \"%.100s\": one session=hawserN is needed", words);
		return -EINVAL;
	}
	return glue_session_disconnect(words + 8, reason);
}

/* line: without its newline. On failure answer holds the reason. */
static int control_request(char *line, char *answer)
{
	static const struct {
		const char *verb;
		int (*run)(const char *words, char *answer);
	} verbs[] = {
		{ HAWSER_REQUEST_CONNECT, control_connect },
		{ HAWSER_REQUEST_DISCONNECT, control_disconnect },
		{ HAWSER_REQUEST_ADD, glue_change_add },
		{ HAWSER_REQUEST_DROP, glue_change_drop },
		{ HAWSER_REQUEST_ACCEPT, glue_lun_accept },
		{ HAWSER_REQUEST_CMDSN_ORDER, glue_change_cmdsn_order },
		{ HAWSER_REQUEST_LEAVE, glue_leave },
		{ HAWSER_REQUEST_STAY, glue_leave_not },
	};
	char *words = strchrnul(line, ' ');
	char *at;
	int i;

	for (at = line; *at; at++) {
		if (!isascii(*at) || !isprint(*at)) {
			snprintf(answer, HAWSER_ANSWER_BYTES_MAX,
				 "byte %#x at %zu: printable ASCII is needed", (u8)*at,
				 (size_t)(at - line));
			return -EINVAL;
		}
	}
	if (*words)
		*words++ = '\0';
	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(line, verbs[i].verb))
			return verbs[i].run(words, answer);
	}
	snprintf(answer, HAWSER_ANSWER_BYTES_MAX,
		 "request \"%.60s\" is not known: connect, disconnect, add, drop, accept, "
		 "cmdsn_order, leave, stay",
		 line);
	return -EINVAL;
}

static ssize_t control_write(struct file *file, const char __user *buffer, size_t count,
			     loff_t *position)
{
	struct control_file *control = file->private_data;
	char *line;
	int err;

	if (!count || count > HAWSER_REQUEST_BYTES_MAX)
		return count ? -EMSGSIZE : -EINVAL;
	line = memdup_user_nul(buffer, count);
	if (IS_ERR(line))
		return PTR_ERR(line);
	if (mutex_lock_killable(&control->lock)) {
		kfree(line);
		return -EINTR;
	}
	memset(control->answer, 0, sizeof(control->answer));
	control->answered = 0;
	if (strlen(line) != count) {
		strscpy(control->answer, "a NUL byte in the request", sizeof(control->answer));
		err = -EINVAL;
	} else {
		if (line[count - 1] == '\n')
			line[count - 1] = '\0';
		err = control_request(line, control->answer);
	}
	mutex_unlock(&control->lock);
	kfree_sensitive(line);
	return err ? err : count;
}

static ssize_t control_read(struct file *file, char __user *buffer, size_t count,
			    loff_t *position)
{
	struct control_file *control = file->private_data;
	size_t left;
	ssize_t result;

	if (mutex_lock_killable(&control->lock))
		return -EINTR;
	left = strnlen(control->answer, sizeof(control->answer)) - control->answered;
	result = min(count, left);
	if (copy_to_user(buffer, control->answer + control->answered, result))
		result = -EFAULT;
	else
		control->answered += result;
	mutex_unlock(&control->lock);
	return result;
}

static const struct file_operations control_operations = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.write = control_write,
	.read = control_read,
};

static struct miscdevice control_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = HAWSER_DEVICE_NAME,
	.fops = &control_operations,
	.mode = 0600,
};

int glue_control_register(void)
{
	return misc_register(&control_device);
}

void glue_control_unregister(void)
{
	misc_deregister(&control_device);
}
