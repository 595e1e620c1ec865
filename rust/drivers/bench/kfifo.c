// SPDX-License-Identifier: GPL-2.0
/*
 * A peer of the benchmarks: a character device that hands out messages from a kfifo by read(2), as
 * drivers without shared memory do it.
 *
 * A write(2) of "COUNT BYTES" makes COUNT messages of BYTES bytes in the caller's thread, and sleeps while
 * the kfifo is full. The first word of a message is its number, counted from 0. A read(2) takes as many
 * bytes as there are and fit, and sleeps while there are none.
 */
#include <linux/fs.h>
#include <linux/kfifo.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#define FIFO_BYTES (1 << 20)
#define MAX_MESSAGE_BYTES 4096

static DEFINE_KFIFO(fifo, u8, FIFO_BYTES);
static DECLARE_WAIT_QUEUE_HEAD(readers);
static DECLARE_WAIT_QUEUE_HEAD(writers);
static DEFINE_MUTEX(reading);
static DEFINE_MUTEX(writing);

/* One lock: a driver's producer is often an interrupt. */
static DEFINE_SPINLOCK(filling);

static ssize_t kfifo_read(struct file *file, char __user *buffer, size_t count, loff_t *pos)
{
	unsigned int copied;
	int error;

	error = wait_event_interruptible(readers, !kfifo_is_empty(&fifo));
	if (error)
		return error;
	if (mutex_lock_interruptible(&reading))
		return -ERESTARTSYS;
	error = kfifo_to_user(&fifo, buffer, count, &copied);
	mutex_unlock(&reading);
	if (error)
		return error;
	/* The writer goes on when a quarter is free, as ours does. */
	if (wq_has_sleeper(&writers) && kfifo_avail(&fifo) >= FIFO_BYTES / 4)
		wake_up_interruptible(&writers);
	return copied;
}

static int make(u64 count, unsigned int bytes)
{
	static u8 message[MAX_MESSAGE_BYTES];
	u64 number;

	for (number = 0; number < count; number++) {
		if (kfifo_avail(&fifo) < bytes &&
		    wait_event_interruptible(writers, kfifo_avail(&fifo) >= FIFO_BYTES / 4))
			return -EINTR;
		memcpy(message, &number, sizeof(number));
		kfifo_in_spinlocked(&fifo, message, bytes, &filling);
		if (wq_has_sleeper(&readers))
			wake_up_interruptible(&readers);
		if (!(number % 4096)) {
			if (signal_pending(current))
				return -EINTR;
			cond_resched();
		}
	}
	return 0;
}

static ssize_t kfifo_write(struct file *file, const char __user *buffer, size_t count, loff_t *pos)
{
	unsigned int bytes;
	char text[64];
	u64 messages;
	int error;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buffer, count))
		return -EFAULT;
	text[count] = 0;
	if (sscanf(text, "%llu %u", &messages, &bytes) != 2 || bytes < sizeof(u64) || bytes > MAX_MESSAGE_BYTES)
		return -EINVAL;
	if (mutex_lock_interruptible(&writing))
		return -ERESTARTSYS;
	error = make(messages, bytes);
	mutex_unlock(&writing);
	return error ?: count;
}

static __poll_t kfifo_poll(struct file *file, poll_table *table)
{
	poll_wait(file, &readers, table);
	return kfifo_is_empty(&fifo) ? 0 : EPOLLIN | EPOLLRDNORM;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.read = kfifo_read,
	.write = kfifo_write,
	.poll = kfifo_poll,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "iostream-bench-kfifo",
	.fops = &operations,
};

/*
 * The other direction: a write(2) puts its bytes into a kfifo, and fails if they do not fit. A read(2)
 * takes them out, so that no thread of a driver has to run.
 */
static DEFINE_KFIFO(input, u8, FIFO_BYTES);
static DECLARE_WAIT_QUEUE_HEAD(takers);
static DEFINE_MUTEX(input_writing);
static DEFINE_MUTEX(input_reading);

static ssize_t input_write(struct file *file, const char __user *buffer, size_t count, loff_t *pos)
{
	unsigned int copied;
	int error;

	if (mutex_lock_interruptible(&input_writing))
		return -ERESTARTSYS;
	error = -EAGAIN;
	if (kfifo_avail(&input) >= count)
		error = kfifo_from_user(&input, buffer, count, &copied);
	mutex_unlock(&input_writing);
	if (error)
		return error;
	if (wq_has_sleeper(&takers))
		wake_up_interruptible(&takers);
	return copied;
}

static ssize_t input_read(struct file *file, char __user *buffer, size_t count, loff_t *pos)
{
	unsigned int copied;
	int error;

	if (mutex_lock_interruptible(&input_reading))
		return -ERESTARTSYS;
	error = kfifo_to_user(&input, buffer, count, &copied);
	mutex_unlock(&input_reading);
	return error ?: copied;
}

static const struct file_operations input_operations = {
	.owner = THIS_MODULE,
	.read = input_read,
	.write = input_write,
};

static struct miscdevice input_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "iostream-bench-kfifo-input",
	.fops = &input_operations,
};

static int __init both_init(void)
{
	int error = misc_register(&device);

	if (error)
		return error;
	error = misc_register(&input_device);
	if (error)
		misc_deregister(&device);
	return error;
}

static void __exit both_exit(void)
{
	misc_deregister(&input_device);
	misc_deregister(&device);
}

module_init(both_init);
module_exit(both_exit);

MODULE_DESCRIPTION("A device with a kfifo, to compare iostream with");
MODULE_AUTHOR("the iostream authors");
MODULE_LICENSE("GPL");
