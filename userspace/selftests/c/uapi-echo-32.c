// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A 32-bit process may read and write, and use every call whose argument has the same layout in 32
 * and 64 bits. It may not map, since its loads of 64 bits can tear. Ends with status 0 if all that
 * is so.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iostream.h"

_Static_assert(sizeof(void *) == 4, "made to be compiled for 32 bits");
_Static_assert(sizeof(struct iostream_setup) == 56, "as in a 64-bit process");
_Static_assert(sizeof(struct iostream_queue) == 72, "as in a 64-bit process");
_Static_assert(sizeof(struct iostream_run) == 32, "as in a 64-bit process");
_Static_assert(sizeof(struct iostream_counters) == 24, "as in a 64-bit process");

static int failed(const char *what)
{
	perror(what);
	return 1;
}

/* Copies counters into a buffer of `bytes` bytes; false if the kernel has another number of them. */
static int get_counters(int fd, __u32 which, void *buffer, __u32 bytes, __u32 known)
{
	struct iostream_counters get = {
		.which = which,
		.buffer_bytes = bytes,
		.buffer = (uintptr_t)buffer,
	};

	return ioctl(fd, IOSTREAM_IOC_COUNTERS, &get) == 0 && get.counter_bytes == known;
}

int main(void)
{
	struct iostream_setup setup = {
		.flags = IOSTREAM_SETUP_OUTPUT | IOSTREAM_SETUP_INPUT,
		.endpoint = IOSTREAM_ENDPOINT_ECHO,
		.output_bytes = 65536,
		.input_bytes = 65536,
	};
	struct iostream_queue queue = { .direction = IOSTREAM_OUTPUT };
	struct iostream_endpoint_counters seen;
	struct iostream_queue_counters counters;
	__u64 more[20];
	int fd = open("/dev/iostream", O_RDWR);

	if (fd < 0)
		return failed("/dev/iostream");
	if (ioctl(fd, IOSTREAM_IOC_SETUP, &setup))
		return failed("IOSTREAM_IOC_SETUP");
	if (ioctl(fd, IOSTREAM_IOC_QUEUE, &queue) || queue.data_bytes != 65536)
		return failed("IOSTREAM_IOC_QUEUE");
	/* Some entries are empty. */
	if (ioctl(fd, IOSTREAM_IOC_READ_MODE, IOSTREAM_READ_WHOLE))
		return failed("IOSTREAM_IOC_READ_MODE");
	for (unsigned int i = 0; i < 10000; i++) {
		struct pollfd waiter = { .fd = fd, .events = POLLIN };
		unsigned char sent[500], got[500];
		ssize_t len = i % sizeof(sent);

		memset(sent, i, sizeof(sent));
		if (write(fd, sent, len) != len)
			return failed("write");
		if (poll(&waiter, 1, -1) != 1)
			return failed("poll");
		if (read(fd, got, sizeof(got)) != len || memcmp(sent, got, len))
			return failed("read");
	}
	if (!get_counters(fd, IOSTREAM_COUNTERS_ENDPOINT, &seen, sizeof(seen), sizeof(seen)) ||
	    seen.entries != 10000)
		return failed("IOSTREAM_IOC_COUNTERS of the endpoint");
	if (!get_counters(fd, IOSTREAM_COUNTERS_INPUT, &counters, sizeof(counters),
			  sizeof(counters)) || counters.entries != 10000)
		return failed("IOSTREAM_IOC_COUNTERS of the input queue");
	memset(more, 0xff, sizeof(more));
	if (!get_counters(fd, IOSTREAM_COUNTERS_OUTPUT, more, sizeof(more), sizeof(counters)) ||
	    more[0] != 10000 || more[9] != 0 || more[19] != 0)
		return failed("IOSTREAM_IOC_COUNTERS with more room than counters");
	if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED || errno != EOPNOTSUPP)
		return failed("a mapping, which should be refused");
	printf("%llu entries by read and write\n", (unsigned long long)seen.entries);
	return 0;
}
