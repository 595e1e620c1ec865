/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * A queue of iostream in shared memory: its layout, and how a process uses it. iostream.h includes
 * this header.
 *
 * A queue is a ring of entries with one producer and one consumer. A "position" counts bytes since
 * the queue was made or reset. It only grows, and uses all 64 bits. The byte at position p lies at
 * offset p % data_bytes of the data area.
 *
 *	area		size		contents			written by
 *	info		one page	struct iostream_info		the kernel
 *	producer	one page	struct iostream_producer	the producer
 *	consumer	one page	struct iostream_consumer	the consumer
 *	data		data_bytes	entries				the producer
 *			data_bytes	the same pages, mapped again, so that no entry wraps
 *
 *	consumer_pos                                producer_pos
 *	v                                           v
 *	[header|bytes ...|pad][header|bytes ...|pad]  room ...
 *
 * The header is struct iostream_entry; padding makes positions multiples of 8 (without headers: of
 * the length of an entry). IOSTREAM_IOC_QUEUE returns the mmap(2) offset of each area. The process
 * maps an area that it does not write without PROT_WRITE (else EACCES), as often as it likes, and
 * an area that it writes with PROT_WRITE once in a session (then EBUSY). Each side keeps its own
 * position, and begins with the one in its own page.
 *
 * The functions below are all that a process needs. A test compiles them as they are printed here
 * and runs them. They return -1 and set errno if they fail, and use this record of a queue:
 *
 *	struct queue {
 *		int fd;					// the session
 *		int eventfd;				// set with IOSTREAM_IOC_EVENTFD
 *		const struct iostream_info *info;
 *		struct iostream_producer *producer;
 *		struct iostream_consumer *consumer;
 *		char *data;				// 2 * size bytes
 *		__u64 size;				// data_bytes
 *		__u64 pos;				// the process's own position
 *	};
 *
 * TO CONSUME. Load producer_pos with acquire. If it differs from your own position, an entry is
 * there: use it where it lies. Then store consumer_pos, past the entry, with release: the entry
 * belongs to the producer again. Wake the producer if it waits.
 *
 *	static const struct iostream_entry *next_entry(const struct queue *q)
 *	{
 *		if (__atomic_load_n(&q->producer->producer_pos, __ATOMIC_ACQUIRE) == q->pos)
 *			return NULL;
 *		return (const struct iostream_entry *)(q->data + q->pos % q->size);
 *	}
 *
 *	static int release_entry(struct queue *q, __u32 len)
 *	{
 *		__u64 old = q->pos;
 *
 *		q->pos += (8ULL + len + 7) & ~7ULL;
 *		__atomic_store_n(&q->consumer->consumer_pos, q->pos, __ATOMIC_RELEASE);
 *		return wake(q, IOSTREAM_OUTPUT, &q->producer->wake_pos, old);
 *	}
 *
 * TO PRODUCE. Load consumer_pos with acquire. The room is data_bytes - (own position -
 * consumer_pos). If the entry fits, write it. Then store producer_pos, past the entry, with
 * release. Wake the consumer if it waits.
 *
 *	static __u64 room(const struct queue *q)
 *	{
 *		__u64 pos = __atomic_load_n(&q->consumer->consumer_pos, __ATOMIC_ACQUIRE);
 *
 *		return q->size - (q->pos - pos);
 *	}
 *
 *	static int produce(struct queue *q, const void *bytes, __u32 len)
 *	{
 *		__u64 old = q->pos, need = (8ULL + len + 7) & ~7ULL;
 *		struct iostream_entry header = { .len = len };
 *
 *		if (room(q) < need) {
 *			errno = ENOSPC;
 *			return -1;
 *		}
 *		memcpy(q->data + old % q->size, &header, 8);
 *		memcpy(q->data + old % q->size + 8, bytes, len);
 *		q->pos += need;
 *		__atomic_store_n(&q->producer->producer_pos, q->pos, __ATOMIC_RELEASE);
 *		return wake(q, IOSTREAM_INPUT, &q->consumer->wake_pos, old);
 *	}
 *
 * TO WAKE. After a side has stored its position, it issues a full barrier, and loads wake_pos from
 * the page of the other side: the position at which that side wants to be woken. It wakes that
 * side if old < wake_pos <= new, where new is its position, and old its position when it last
 * loaded wake_pos. In wrapping arithmetic that is new - wake_pos < new - old. A process wakes the
 * kernel with IOSTREAM_IOC_NOTIFY; the kernel wakes a process through poll(2) and the eventfd.
 *
 *	static int wake(const struct queue *q, __u32 direction, const __u64 *wake_pos, __u64 old)
 *	{
 *		__atomic_thread_fence(__ATOMIC_SEQ_CST);
 *		if (q->pos - __atomic_load_n(wake_pos, __ATOMIC_RELAXED) >= q->pos - old)
 *			return 0;
 *		return ioctl(q->fd, IOSTREAM_IOC_NOTIFY, direction);
 *	}
 *
 * TO WAIT. poll(2), epoll, read(2) and write(2) do by themselves what follows: a process does it
 * only if it has mapped the queue and sleeps on the eventfd alone. Before a side sleeps it arms: it
 * stores, in wake_pos of its own page, the position of the other side at which it wants to be
 * woken; issues a full barrier; and looks at the queue once more. For the next entry a consumer
 * stores its own position + 8. An armed position is crossed once and so wakes once: a side arms
 * again each time before it sleeps. The eventfd is also signalled when the driver goes. A signal
 * may come without need, or be an old one, so a process looks again after it.
 *
 *	static int wait_for_entry(struct queue *q)
 *	{
 *		__u64 gone, signals;
 *
 *		do {
 *			__atomic_store_n(&q->consumer->wake_pos, q->pos + 8, __ATOMIC_RELAXED);
 *			__atomic_thread_fence(__ATOMIC_SEQ_CST);
 *			gone = __atomic_load_n(&q->info->gone, __ATOMIC_ACQUIRE);
 *			if (next_entry(q))
 *				return 0;
 *		} while (!gone && read(q->eventfd, &signals, 8) == 8);
 *		if (gone)
 *			errno = ENODEV;
 *		return -1;
 *	}
 *
 * A consumer that does not want to be woken for each entry stores a later position than + 8, at
 * most + data_bytes. A producer of the kernel that finds the queue full wakes the consumer all the
 * same, each time: so after a wake-up the queue may have less than was asked for. A process that
 * waits for n bytes of room stores own position + n - data_bytes in wake_pos, and n in room_bytes.
 * If it found the queue full, it says so: a driver with a watermark may be waiting for more.
 *
 *	static int wait_for_room(struct queue *q, __u64 need)
 *	{
 *		__u64 gone, signals;
 *
 *		do {
 *			__atomic_store_n(&q->producer->room_bytes, need, __ATOMIC_RELAXED);
 *			__atomic_store_n(&q->producer->wake_pos, q->pos + need - q->size,
 *					 __ATOMIC_RELAXED);
 *			__atomic_thread_fence(__ATOMIC_SEQ_CST);
 *			gone = __atomic_load_n(&q->info->gone, __ATOMIC_ACQUIRE);
 *			if (room(q) >= need)
 *				return 0;
 *			ioctl(q->fd, IOSTREAM_IOC_NOTIFY, IOSTREAM_INPUT | IOSTREAM_NOTIFY_FLUSH);
 *		} while (!gone && read(q->eventfd, &signals, 8) == 8);
 *		if (gone)
 *			errno = ENODEV;
 *		return -1;
 *	}
 */
#ifndef _UAPI_IOSTREAM_QUEUE_H
#define _UAPI_IOSTREAM_QUEUE_H

#include <linux/types.h>

enum {
	/* info.magic: "iostream", as the bytes lie in memory on a little-endian machine. */
	IOSTREAM_MAGIC_LOW	= 0x74736f69,
	IOSTREAM_MAGIC_HIGH	= 0x6d616572,
	/* info.version: raised by a change that would break a program that knows the old layout. */
	IOSTREAM_VERSION	= 1,
	/* Every entry starts at a multiple of this many bytes, header included. */
	IOSTREAM_ENTRY_ALIGN	= 8,
	/* Bytes of struct iostream_entry before each entry's own bytes. */
	IOSTREAM_ENTRY_OVERHEAD	= 8,
};

/* Directions: the argument of a call, or its field direction. */
enum {
	IOSTREAM_OUTPUT		= 0,	/* kernel to user */
	IOSTREAM_INPUT		= 1,	/* user to kernel */
};

/* Bits of info.flags and iostream_queue.flags. */
enum {
	/*
	 * A full queue loses its oldest entries, even while they are read. The consumer continues
	 * at oldest_pos if that is past its own position, copies the entry, issues a read barrier,
	 * and loads oldest_pos again: the copy is good unless the entry begins before it. Output
	 * queues only.
	 */
	IOSTREAM_QUEUE_OVERWRITE	= 1 << 0,
	/* Entries are max_entry_bytes long without header and padding: the queues of streams. */
	IOSTREAM_QUEUE_SLOTS		= 1 << 1,
	IOSTREAM_QUEUE_FLAGS		= IOSTREAM_QUEUE_OVERWRITE | IOSTREAM_QUEUE_SLOTS,
};

/* Bits of entry.flags. A consumer ignores bits that it does not know. */
enum {
	/*
	 * Entries were lost before this one; entry.lost says how many. If there were more than 65535,
	 * the entries after it report the rest.
	 */
	IOSTREAM_ENTRY_GAP	= 1 << 0,
	IOSTREAM_ENTRY_FLAGS	= IOSTREAM_ENTRY_GAP,
};

/* The header before the bytes of each entry, except with IOSTREAM_QUEUE_SLOTS. */
struct iostream_entry {
	__u32 len;	/* bytes that follow; the entry occupies 8 + len, rounded up to 8 */
	__u16 flags;	/* IOSTREAM_ENTRY_* */
	__u16 lost;	/* with IOSTREAM_ENTRY_GAP: entries lost before this one */
};

/* What the kernel counts of one queue since it was made. No store of a process changes it. */
struct iostream_queue_counters {
	__u64 entries;			/* entries that the kernel produced or consumed */
	__u64 bytes;			/* their bytes, without headers and padding */
	__u64 wakeups_sent;		/* times the process was woken (poll, eventfd) */
	__u64 wakeups_suppressed;	/* publications that had to wake nobody */
	__u64 notifications;		/* IOSTREAM_IOC_NOTIFY calls of the process */
	__u64 full;			/* enqueues that found no room */
	__u64 lost;			/* entries lost: reported by the driver, or overwritten */
	__u64 corrupt;			/* invalid positions or headers of the process */
	__u64 high_water_bytes;		/* the most bytes that were in the queue at once */
};

/* The info page. The process maps it read-only. */
struct iostream_info {
	__u32 magic_low;		/* IOSTREAM_MAGIC_LOW */
	__u32 magic_high;		/* IOSTREAM_MAGIC_HIGH */
	__u32 version;			/* IOSTREAM_VERSION */
	__u32 flags;			/* IOSTREAM_QUEUE_* */
	__u64 features;			/* no bit is defined yet */
	__u64 data_bytes;		/* size of the data area, whole pages */
	__u32 max_entry_bytes;		/* the longest entry, header not counted */
	__u32 direction;		/* IOSTREAM_OUTPUT or IOSTREAM_INPUT */
	/*
	 * Starts at 1, and is raised by each IOSTREAM_IOC_RESET before the positions are zeroed and
	 * again after. So it is even while a reset is under way, and a position that seems invalid is
	 * that of a queue that was reset, if this has changed.
	 */
	__u64 generation;
	__u64 gone;			/* 1 once the driver is gone: nothing moves any more */
	__u64 ready_pos;		/* output: with a watermark, entries before it are ready */
	__u64 watermark_bytes;		/* output: set by IOSTREAM_IOC_WATERMARK; 0: none */
	__u64 latency_ns;		/* output: set by IOSTREAM_IOC_WATERMARK; 0: no timer */
	__u64 reserved[6];
	/* At offset 128, a cache line of its own. The last field: counters may be added. */
	struct iostream_queue_counters counters;
};

/* The producer's page. */
struct iostream_producer {
	__u64 producer_pos;		/* all entries before this position are complete */
	__u64 oldest_pos;		/* IOSTREAM_QUEUE_OVERWRITE: entries before it are gone */
	__u64 reserved0[6];
	__u64 wake_pos;			/* wake the producer when consumer_pos reaches this */
	__u64 room_bytes;		/* room, with overhead, for poll to say POLLOUT; 0: 8 */
	__u64 reserved1[6];
};

/* The consumer's page. */
struct iostream_consumer {
	__u64 consumer_pos;		/* all entries before this position are free for reuse */
	__u64 reserved0[7];
	__u64 wake_pos;			/* wake the consumer when producer_pos reaches this */
	__u64 reserved1[7];
};

#endif /* _UAPI_IOSTREAM_QUEUE_H */
