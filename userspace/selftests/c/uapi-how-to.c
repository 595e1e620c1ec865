// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Runs the C that iostream_queue.h shows: one thread produces, the other consumes, and both sleep on
 * an eventfd alone. The build extracts that C from the comment. Ends with status 0 if all entries
 * came back unchanged.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iostream.h"

struct queue;
static int wake(const struct queue *q, __u32 direction, const __u64 *wake_pos, __u64 old);

/* The number of the entry for which a thread has slept last: to get it, or room for it. */
static unsigned int slept_for_entry = -1, slept_for_room = -1;
static __thread unsigned int *slept_for, number;

/* The functions of the header sleep in read(2). This one says so first. */
static ssize_t noted_read(int fd, void *buffer, size_t bytes)
{
	__atomic_store_n(slept_for, number, __ATOMIC_RELAXED);
	return read(fd, buffer, bytes);
}

#define read noted_read
#include "how-to.h"
#undef read

#define CAPACITY	4096
#define ENTRIES		20000
/* Once in so many entries each side waits until the other sleeps. */
#define ROUND		1000

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
	struct iostream_eventfd set = { .direction = direction, .fd = eventfd(0, EFD_CLOEXEC) };
	int produces = direction == IOSTREAM_INPUT;
	int ours = PROT_READ | PROT_WRITE;

	if (set.fd < 0 || ioctl(fd, IOSTREAM_IOC_EVENTFD, &set))
		die("IOSTREAM_IOC_EVENTFD");
	if (ioctl(fd, IOSTREAM_IOC_QUEUE, &q))
		die("IOSTREAM_IOC_QUEUE");
	return (struct queue) {
		.fd = fd,
		.eventfd = set.fd,
		.info = map(fd, q.info_offset, q.page_bytes, PROT_READ),
		.producer = map(fd, q.producer_offset, q.page_bytes, produces ? ours : PROT_READ),
		.consumer = map(fd, q.consumer_offset, q.page_bytes, produces ? PROT_READ : ours),
		.data = map(fd, q.data_offset, 2 * q.data_bytes, produces ? ours : PROT_READ),
		.size = q.data_bytes,
	};
}

static uint32_t fill(unsigned char *entry)
{
	uint32_t len = number * 7919 % 1000;

	for (uint32_t i = 0; i < len; i++)
		entry[i] = number + i;
	return len;
}

static void *produce_all(void *queue)
{
	unsigned char entry[1000];
	struct queue *q = queue;

	slept_for = &slept_for_room;
	for (number = 0; number < ENTRIES; number++) {
		uint32_t len = fill(entry);

		/* The consumer has got all entries so far, and sleeps until this one comes: so the
		 * first one alone has to wake it. */
		while (number % ROUND < 2 &&
		       __atomic_load_n(&slept_for_entry, __ATOMIC_RELAXED) != number)
			sched_yield();
		while (produce(q, entry, len)) {
			if (errno != ENOSPC)
				die("produce");
			if (wait_for_room(q, len + 16))
				die("wait_for_room");
		}
	}
	return NULL;
}

int main(void)
{
	struct iostream_setup setup = {
		.flags = IOSTREAM_SETUP_OUTPUT | IOSTREAM_SETUP_INPUT,
		.endpoint = IOSTREAM_ENDPOINT_ECHO,
		.output_bytes = CAPACITY,
		.input_bytes = CAPACITY,
	};
	int fd = open("/dev/iostream", O_RDWR | O_CLOEXEC);
	struct queue input, output;
	unsigned char expected[1000];
	pthread_t producer;

	if (fd < 0 || ioctl(fd, IOSTREAM_IOC_SETUP, &setup))
		die("/dev/iostream");
	input = open_queue(fd, IOSTREAM_INPUT);
	output = open_queue(fd, IOSTREAM_OUTPUT);
	/* What setting an eventfd signals is taken: from here on only arming brings a signal. */
	if (read(input.eventfd, expected, 8) != 8)
		die("the input queue is writable from the start");
	slept_for = &slept_for_entry;
	if (pthread_create(&producer, NULL, produce_all, &input))
		die("pthread_create");

	for (number = 0; number < ENTRIES; number++) {
		const struct iostream_entry *entry;
		uint32_t len = fill(expected);
		unsigned int slept;

		while (!(entry = next_entry(&output)))
			if (wait_for_entry(&output))
				die("wait_for_entry");
		if (entry->len != len || memcmp(entry + 1, expected, len)) {
			fprintf(stderr, "entry %u of %u bytes is wrong\n", number, entry->len);
			return 1;
		}
		if (release_entry(&output, len))
			die("release_entry");
		/* The queues fill up behind this thread until the producer sleeps. */
		do {
			slept = __atomic_load_n(&slept_for_room, __ATOMIC_RELAXED);
		} while (number % ROUND == ROUND / 2 && (slept == -1U || slept < number) &&
			 sched_yield() == 0);
	}
	pthread_join(producer, NULL);
	printf("%u entries through the kernel and back\n", ENTRIES);
	return 0;
}
