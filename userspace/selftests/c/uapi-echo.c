// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A program in C that uses iostream.h alone: it sends entries through the kernel and back, by the
 * shared memory of both queues, and sleeps in poll(2). Ends with status 0 if all came back unchanged.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "iostream.h"

#define CAPACITY	8192
#define ENTRIES		100000

/* One queue, as this process maps it. */
struct queue {
	struct iostream_producer *producer;
	struct iostream_consumer *consumer;
	unsigned char *data;
	uint64_t size;		/* of the data */
	uint64_t pos;		/* this side's position */
	uint64_t looked;	/* pos at the last look at wake_pos */
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *map(int fd, uint64_t offset, size_t bytes, int prot)
{
	void *address = mmap(NULL, bytes, prot, MAP_SHARED, fd, offset);

	if (address == MAP_FAILED)
		die("mmap");
	return address;
}

static struct queue open_queue(int fd, uint32_t direction)
{
	struct iostream_queue q = { .direction = direction };
	int is_input = direction == IOSTREAM_INPUT;
	int ours = PROT_READ | PROT_WRITE;

	if (ioctl(fd, IOSTREAM_IOC_QUEUE, &q))
		die("IOSTREAM_IOC_QUEUE");
	return (struct queue) {
		.producer = map(fd, q.producer_offset, q.page_bytes, is_input ? ours : PROT_READ),
		.consumer = map(fd, q.consumer_offset, q.page_bytes, is_input ? PROT_READ : ours),
		.data = map(fd, q.data_offset, 2 * q.data_bytes, is_input ? ours : PROT_READ),
		.size = q.data_bytes,
	};
}

static uint64_t occupied(uint32_t len)
{
	return (IOSTREAM_ENTRY_OVERHEAD + (uint64_t)len + IOSTREAM_ENTRY_ALIGN - 1) &
	       ~(uint64_t)(IOSTREAM_ENTRY_ALIGN - 1);
}

/* After publishing: whether the other side's wake_pos was crossed since the last look. */
static int must_notify(struct queue *q, const __u64 *wake_pos)
{
	uint64_t old = q->looked;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->looked = q->pos;
	return q->pos - __atomic_load_n(wake_pos, __ATOMIC_RELAXED) < q->pos - old;
}

static int produce(int fd, struct queue *q, const void *bytes, uint32_t len)
{
	uint64_t tail = __atomic_load_n(&q->consumer->consumer_pos, __ATOMIC_ACQUIRE);
	struct iostream_entry header = { .len = len };

	if (q->size - (q->pos - tail) < occupied(len))
		return 0;
	memcpy(q->data + q->pos % q->size, &header, sizeof(header));
	memcpy(q->data + q->pos % q->size + sizeof(header), bytes, len);
	q->pos += occupied(len);
	__atomic_store_n(&q->producer->producer_pos, q->pos, __ATOMIC_RELEASE);
	if (must_notify(q, &q->consumer->wake_pos) && ioctl(fd, IOSTREAM_IOC_NOTIFY, IOSTREAM_INPUT))
		die("IOSTREAM_IOC_NOTIFY");
	return 1;
}

/* Points at the next entry in the shared memory, or returns 0. */
static const unsigned char *peek(struct queue *q, uint32_t *len)
{
	uint64_t head = __atomic_load_n(&q->producer->producer_pos, __ATOMIC_ACQUIRE);
	struct iostream_entry header;

	if (head == q->pos)
		return NULL;
	memcpy(&header, q->data + q->pos % q->size, sizeof(header));
	*len = header.len;
	return q->data + q->pos % q->size + sizeof(header);
}

static void release(int fd, struct queue *q, uint32_t len)
{
	q->pos += occupied(len);
	__atomic_store_n(&q->consumer->consumer_pos, q->pos, __ATOMIC_RELEASE);
	if (must_notify(q, &q->producer->wake_pos) && ioctl(fd, IOSTREAM_IOC_NOTIFY, IOSTREAM_OUTPUT))
		die("IOSTREAM_IOC_NOTIFY");
}

static uint32_t fill(unsigned char *entry, unsigned int number)
{
	uint32_t len = number * 7919 % 3000;

	for (uint32_t i = 0; i < len; i++)
		entry[i] = number + i;
	return len;
}

int main(void)
{
	struct iostream_setup setup = {
		.flags = IOSTREAM_SETUP_OUTPUT | IOSTREAM_SETUP_INPUT,
		.endpoint = IOSTREAM_ENDPOINT_ECHO,
		.output_bytes = CAPACITY,
		.input_bytes = CAPACITY,
	};
	struct iostream_version version = { 0 };
	static unsigned char entry[4096];
	unsigned int sent = 0, received = 0;
	struct queue in, out;
	uint32_t len;
	int fd = open("/dev/iostream", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("/dev/iostream");
	if (ioctl(fd, IOSTREAM_IOC_VERSION, &version))
		die("IOSTREAM_IOC_VERSION");
	if (version.version != IOSTREAM_VERSION || strcmp((char *)version.name, "iostream")) {
		fprintf(stderr, "version %u of \"%s\"?\n", version.version, version.name);
		return 1;
	}
	if (ioctl(fd, IOSTREAM_IOC_SETUP, &setup))
		die("IOSTREAM_IOC_SETUP");
	in = open_queue(fd, IOSTREAM_INPUT);
	out = open_queue(fd, IOSTREAM_OUTPUT);

	while (received < ENTRIES) {
		struct pollfd waiter = { .fd = fd, .events = POLLIN };
		const unsigned char *bytes;

		while (sent < ENTRIES && produce(fd, &in, entry, fill(entry, sent)))
			sent++;
		if (poll(&waiter, 1, -1) != 1 || waiter.revents != POLLIN)
			die("poll");
		while ((bytes = peek(&out, &len))) {
			if (len != fill(entry, received) || memcmp(bytes, entry, len)) {
				fprintf(stderr, "entry %u of %u bytes is wrong\n", received, len);
				return 1;
			}
			release(fd, &out, len);
			received++;
		}
	}
	printf("%u entries through the kernel and back\n", received);
	return 0;
}
