// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Makes every allocation and every copy from or to the process fail in turn, in each call that a
 * process can make: the first one, then the second, until a call succeeds. After each failure the
 * device must work. Needs a kernel with fault injection, and prints KTAP. Leaks are left to the
 * kernel's own leak detector.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "iostream.h"

#define DEVICE		"/dev/iostream"
#define MOST		2000
#define TICKER		"/lib/modules/iostream/iostream_ticker.ko"

#define PAIR		(IOSTREAM_SETUP_OUTPUT | IOSTREAM_SETUP_INPUT)

static const struct iostream_setup echo = {
	.flags = PAIR, .endpoint = IOSTREAM_ENDPOINT_ECHO,
	.output_bytes = 16384, .input_bytes = 16384,
};
static const struct iostream_setup source = {
	.flags = IOSTREAM_SETUP_OUTPUT, .endpoint = IOSTREAM_ENDPOINT_SOURCE,
	.output_bytes = 16384, .source_min_bytes = 16, .source_max_bytes = 64,
};
static const struct iostream_setup by_timer = {
	.flags = IOSTREAM_SETUP_OUTPUT | IOSTREAM_SETUP_OVERWRITE,
	.endpoint = IOSTREAM_ENDPOINT_SOURCE, .output_bytes = 4096,
	.source_min_bytes = 16, .source_max_bytes = 64, .source_rate = 1000,
};

static int nth = -1;
/* A fault that a call itself has found. */
static unsigned int broken;

static void fail(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

/* From here on, the n-th operation that can fail does. */
static void arm(unsigned int n)
{
	char text[16];
	int len = sprintf(text, "%u", n);

	/* A failure that was armed before may hit this write, which uses it up. */
	while (pwrite(nth, text, len, 0) != len)
		if (errno != EFAULT)
			fail("fail-nth");
}

/* Disarms it. Returns whether an operation was made to fail. */
static int disarm(void)
{
	char text[16] = "1";
	ssize_t len = pread(nth, text, sizeof(text) - 1, 0);

	arm(0);
	/* This read may have been hit itself. */
	return len > 0 && atoi(text) == 0;
}

static int session(const struct iostream_setup *setup)
{
	int fd = open(DEVICE, O_RDWR | O_NONBLOCK);

	if (fd < 0)
		fail("open");
	if (setup && ioctl(fd, IOSTREAM_IOC_SETUP, setup))
		fail("IOSTREAM_IOC_SETUP");
	return fd;
}

/* The pages that all queues together take. */
static long pages(void)
{
	char text[32] = "";
	int file = open("/sys/class/iostream/iostream/pages", O_RDONLY);

	if (file < 0 || read(file, text, sizeof(text) - 1) <= 0)
		fail("pages");
	close(file);
	return atol(text);
}

/* A worker frees the pages a moment after all sessions are closed. */
static int pages_return(void)
{
	for (int i = 0; i < 60000; i++) {
		if (pages() == 0)
			return 1;
		poll(NULL, 0, 1);
	}
	return 0;
}

/* Whatever has failed before, an entry still goes in and comes out. */
static void try(int fd)
{
	char entry[100] = "entry", back[200];

	if (write(fd, entry, sizeof(entry)) != sizeof(entry))
		fail("write");
	if (read(fd, back, sizeof(back)) != sizeof(entry) || strcmp(back, entry))
		fail("read");
}

static int do_open(int unused)
{
	int fd = open(DEVICE, O_RDWR);

	(void)unused;
	return fd < 0 ? -1 : close(fd);
}

static int do_setup(int fd) { return ioctl(fd, IOSTREAM_IOC_SETUP, &echo); }
static int do_setup_timer(int fd) { return ioctl(fd, IOSTREAM_IOC_SETUP, &by_timer); }
static int do_notify(int fd) { return ioctl(fd, IOSTREAM_IOC_NOTIFY, IOSTREAM_INPUT); }
static int do_reset(int fd) { return ioctl(fd, IOSTREAM_IOC_RESET, IOSTREAM_OUTPUT); }
static int do_close(int fd) { return close(dup(fd)); }

static int do_version(int fd)
{
	struct iostream_version version = { 0 };

	return ioctl(fd, IOSTREAM_IOC_VERSION, &version);
}

static int do_stats(int fd)
{
	struct iostream_endpoint_counters stats;
	struct iostream_counters get = {
		.which = IOSTREAM_COUNTERS_ENDPOINT,
		.buffer_bytes = sizeof(stats),
		.buffer = (uintptr_t)&stats,
	};

	return ioctl(fd, IOSTREAM_IOC_COUNTERS, &get);
}

static int do_run(int fd)
{
	struct iostream_run run = { .entries = 50, .batch = 8 };

	return ioctl(fd, IOSTREAM_IOC_RUN, &run);
}

static int do_eventfd(int fd)
{
	struct iostream_eventfd set = { .direction = IOSTREAM_OUTPUT, .fd = eventfd(0, 0) };
	int result = ioctl(fd, IOSTREAM_IOC_EVENTFD, &set);

	close(set.fd);
	return result;
}

static int do_poll(int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int epoll = epoll_create1(0);
	int result = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);

	if (poll(&poll_fd, 1, 0) < 0)
		result = -1;
	close(epoll);
	return result;
}

/*
 * An address where nothing was ever mapped, so that the kernel needs a new page table. So the last
 * step of a mapping, which inserts the pages, can fail as well.
 */
static void *fresh_place(void)
{
	static char *next = (char *)(1UL << 40);

	return next += 1UL << 30;
}

/* Every area of both directions: writable where a process may write. */
static int do_map(int fd)
{
	int result = 0;

	for (uint32_t direction = IOSTREAM_OUTPUT; direction <= IOSTREAM_INPUT; direction++) {
		struct iostream_queue q = { .direction = direction };
		int input = direction == IOSTREAM_INPUT;

		if (ioctl(fd, IOSTREAM_IOC_QUEUE, &q))
			return -1;
		for (int area = 0; area < 4; area++) {
			uint64_t offset = area == 0 ? q.info_offset : area == 1 ? q.producer_offset :
					  area == 2 ? q.consumer_offset : q.data_offset;
			size_t bytes = area == 3 ? 2 * q.data_bytes : q.page_bytes;
			int ours = area == 3 ? input : area == (input ? 1 : 2);
			int prot = PROT_READ | (ours ? PROT_WRITE : 0);
			int flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
			char *address = mmap(fresh_place(), bytes, prot, flags, fd, offset);

			if (address == MAP_FAILED) {
				/* A mapping that failed has claimed nothing: it works the next time. */
				arm(0);
				address = mmap(NULL, bytes, prot, MAP_SHARED, fd, offset);
				if (address == MAP_FAILED) {
					printf("# mmap, again: %s\n", strerror(errno));
					broken = 1;
					return -1;
				}
				result = -1;
			}
			*(volatile char *)address;
			munmap(address, bytes);
			if (result)
				return result;
		}
	}
	return result;
}

static char entry[3000];

static int do_write(int fd) { return write(fd, entry, sizeof(entry)) == sizeof(entry) ? 0 : -1; }

static int do_write_read(int fd)
{
	return do_write(fd) || read(fd, entry, sizeof(entry)) != sizeof(entry) ? -1 : 0;
}

static int do_read_overwriting(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	poll(&poll_fd, 1, -1);
	return read(fd, entry, sizeof(entry)) > 0 ? 0 : -1;
}

static int do_fdinfo(int fd)
{
	char path[64], text[4096];
	int info, result;

	sprintf(path, "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY);
	result = info < 0 || read(info, text, sizeof(text)) < 0 ? -1 : 0;
	close(info);
	return result;
}

/* A driver's node comes and goes. */
static int do_driver(int unused)
{
	int file = open(TICKER, O_RDONLY);
	int result = syscall(SYS_finit_module, file, "", 0);

	(void)unused;
	close(file);
	if (result == 0 && syscall(SYS_delete_module, "iostream_ticker", O_NONBLOCK)) {
		arm(0);
		return syscall(SYS_delete_module, "iostream_ticker", O_NONBLOCK);
	}
	return result;
}

/* The node of the ticker, while its module is loaded by load_ticker(). */
static char ticker[64];

/* Loads the ticker, and looks for its node. */
static void load_ticker(void)
{
	int file = open(TICKER, O_RDONLY);
	glob_t names;

	if (syscall(SYS_finit_module, file, "", 0))
		fail("finit_module");
	close(file);
	if (glob("/sys/class/iostream/*/name", 0, NULL, &names))
		fail("no node");
	for (size_t i = 0; i < names.gl_pathc; i++) {
		char name[32] = "";

		file = open(names.gl_pathv[i], O_RDONLY);
		if (file < 0 || read(file, name, sizeof(name) - 1) <= 0)
			fail("name");
		close(file);
		if (!strcmp(name, "ticker\n"))
			sscanf(names.gl_pathv[i], "/sys/class/iostream/%32[^/]",
			       ticker + sprintf(ticker, "/dev/"));
	}
	globfree(&names);
}

static void unload_ticker(void)
{
	if (syscall(SYS_delete_module, "iostream_ticker", O_NONBLOCK))
		fail("delete_module");
}

/* A client of a driver comes and goes. */
static int do_client(int unused)
{
	int fd = open(ticker, O_RDWR | O_NONBLOCK);

	(void)unused;
	if (fd < 0) {
		int error = errno;

		/* For the next one the node is as free as if nobody had tried. */
		arm(0);
		fd = open(ticker, O_RDWR | O_NONBLOCK);
		if (fd < 0) {
			printf("# after a failure: %s\n", strerror(errno));
			broken = 1;
			return -1;
		}
		close(fd);
		errno = error;
		return -1;
	}
	return close(fd);
}

static const struct {
	const char *name;
	int (*call)(int fd);
	const struct iostream_setup *setup;
	void (*before)(void), (*after)(void);
} calls[] = {
	{ .name = "open", .call = do_open },
	{ .name = "setup", .call = do_setup },
	{ .name = "setup-timer", .call = do_setup_timer },
	{ .name = "version", .call = do_version },
	{ .name = "stats", .call = do_stats, .setup = &echo },
	{ .name = "map", .call = do_map, .setup = &echo },
	{ .name = "write", .call = do_write, .setup = &echo },
	{ .name = "write-read", .call = do_write_read, .setup = &echo },
	{ .name = "read-overwriting", .call = do_read_overwriting, .setup = &by_timer },
	{ .name = "eventfd", .call = do_eventfd, .setup = &echo },
	{ .name = "poll", .call = do_poll, .setup = &echo },
	{ .name = "notify", .call = do_notify, .setup = &echo },
	{ .name = "run", .call = do_run, .setup = &source },
	{ .name = "reset", .call = do_reset, .setup = &echo },
	{ .name = "fdinfo", .call = do_fdinfo, .setup = &echo },
	{ .name = "close", .call = do_close, .setup = &echo },
	{ .name = "driver", .call = do_driver },
	{ .name = "client", .call = do_client, .before = load_ticker, .after = unload_ticker },
};

int main(void)
{
	unsigned int count = sizeof(calls) / sizeof(*calls), bad = 0;

	nth = open("/proc/thread-self/fail-nth", O_RDWR);
	printf("KTAP version 1\n1..%u\n", count);
	setlinebuf(stdout);
	for (unsigned int i = 0; i < count; i++) {
		unsigned int n, failed = 0, injected = 0, last = 0, wrong = 0;

		broken = 0;
		if (nth < 0) {
			printf("ok %u FAULTS/%s # SKIP this kernel has no fault injection\n", i + 1,
			       calls[i].name);
			continue;
		}
		if (calls[i].before)
			calls[i].before();
		for (n = 1; n < MOST && !last; n++) {
			int fd = session(calls[i].setup);
			int result;

			arm(n);
			result = calls[i].call(fd);
			last = !disarm();
			close(fd);
			injected += !last;
			failed += !last && result != 0;
			/* Without a failure it works. */
			if (last && result != 0) {
				printf("# fails by itself: %s\n", strerror(errno));
				wrong = 1;
			}
			fd = session(&echo);
			try(fd);
			close(fd);
		}
		printf("# %u things failed, and %u calls with them\n", injected, failed);
		wrong |= !last || broken;
		if (calls[i].after)
			calls[i].after();
		if (!pages_return()) {
			printf("# %ld pages are still taken\n", pages());
			wrong = 1;
		}
		bad += wrong;
		printf("%sok %u FAULTS/%s\n", wrong ? "not " : "", i + 1, calls[i].name);
	}
	return bad != 0;
}
