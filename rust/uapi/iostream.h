/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * iostream: entries and buffers between drivers and programs, through shared memory.
 *
 * This header is the definition of everything that crosses the boundary between kernel and user
 * space. A program in C needs nothing else.
 *
 * Terms. "Output" is kernel to user, "input" is user to kernel. A "session" is one open of a
 * device, from open(2) until the last descriptor and mapping of it are gone. A "position" counts
 * bytes since the queue was made or reset; it only grows, is a multiple of 8 (with
 * IOSTREAM_QUEUE_SLOTS, of the length of an entry), and runs free over 64 bits. The byte at position
 * p lies at offset p modulo data_bytes of the data area.
 *
 * A queue in memory. Each line is an area that is mapped on its own, at the offset that
 * IOSTREAM_IOC_QUEUE tells:
 *
 *	info		one page	struct iostream_info		the kernel writes
 *	producer	one page	struct iostream_producer	the producer writes
 *	consumer	one page	struct iostream_consumer	the consumer writes
 *	data		data_bytes	entries				the producer writes
 *	data again	data_bytes	the same pages once more, so that no entry ever wraps
 *
 * An area that the process does not write can be mapped only without PROT_WRITE (EACCES), as often
 * as wanted. An area that it writes can be mapped with PROT_WRITE once in a session (then EBUSY).
 *
 * To consume:  load producer_pos with acquire; the next entry is at your own position; read it;
 *		store consumer_pos, past the entry, with release.
 * To produce:  load consumer_pos with acquire; there is room for data_bytes - (own - consumer_pos)
 *		bytes; write the entry; store producer_pos, past the entry, with release.
 *
 * Waking up. Who is about to sleep first arms: it stores, in its own page, the position of the
 * other side at which it wants to be woken; issues a full barrier; and looks once more. Who
 * publishes, stores its position, issues a full barrier, and loads the other side's wake_pos w. If
 * it went from position old (at its last look) to new, it must wake the other side if
 *
 *	new - w < new - old		(unsigned: w was crossed, exclusive of old)
 *
 * which makes arming one-shot: each armed position is crossed once. The kernel wakes a process
 * through poll(2) and the eventfd of IOSTREAM_IOC_EVENTFD, a process wakes the kernel with
 * IOSTREAM_IOC_NOTIFY. poll, epoll, read and write arm by themselves; only who waits on an eventfd
 * alone, with the queue mapped, arms as said here.
 *
 * A stream is a pool of equal buffers that both sides see, and two such queues, whose entries are
 * struct iostream_descriptor and nothing else: who passes a descriptor on gives its buffer away.
 * Each queue has room for every buffer. The stream's mode says who fills buffers:
 *
 *	output		the driver has all at first; it sends full ones through the output queue, and
 *			the process returns them through the input queue; the process reads only
 *	input		the process has all at first; it sends full ones through the input queue, and
 *			the driver returns them through the output queue
 *	input-output	the driver has all at first; both sides may read and write what they have
 *
 * A process maps, at the offsets that IOSTREAM_IOC_STREAM tells, the stream's own info page and any
 * run of whole buffers. Where it only reads (output) it must map without PROT_WRITE; else each
 * buffer can be mapped with PROT_WRITE once in a session.
 *
 * poll says POLLIN when a descriptor waits, and, as at the end of a file, when the stream has run
 * in this session and is stopped; POLLOUT when the process can fill a buffer: one came from the
 * driver or, for write(2), is left; POLLPRI when buffers were added. Before a process returns a
 * buffer, it publishes that it has taken its descriptor, or its queue may seem to be full.
 *
 * Without mapping, read(2) moves data of one buffer and gives it back: as much as fits, and the next
 * call goes on where this one ended, never into the next buffer. write(2) fills one buffer and sends
 * it; EMSGSIZE: it does not fit. In input-output mode what was read, or came without data, is what
 * write(2) fills. Control data are neither read nor written. The first call of a session starts the
 * stream. Once it is stopped read(2) returns what is left and then 0, write(2) ESHUTDOWN. ENXIO: the
 * mode has no such direction; EBUSY: the process has mapped its words of a queue.
 *
 * Where buffers are: nothing but descriptors moves them. Opening gives them out as said above;
 * start and suspend move none. Stop leaves the process what it has. Unless it drains, it takes what
 * is in the input queue back unprocessed, and asks the process to return, unread, the descriptors
 * that lie before discarded_pos of the output queue, when it comes upon them. Closing takes back
 * all, with both queues; the next session has memory of its own.
 */
#ifndef _UAPI_IOSTREAM_H
#define _UAPI_IOSTREAM_H

#include <linux/ioctl.h>
#include <linux/types.h>

enum {
	/* info.magic: "iostream", as the bytes lie in memory on a little-endian machine. */
	IOSTREAM_MAGIC_LOW	= 0x74736f69,
	IOSTREAM_MAGIC_HIGH	= 0x6d616572,
	/* info.version: raised when a program that knows the old layout would go wrong. */
	IOSTREAM_VERSION	= 1,
	/* Every entry starts at a multiple of this many bytes, header included. */
	IOSTREAM_ENTRY_ALIGN	= 8,
	/* Bytes of struct iostream_entry before each entry's own bytes. */
	IOSTREAM_ENTRY_OVERHEAD	= 8,
	/* The longest name of a node, the closing zero byte included. */
	IOSTREAM_NAME_BYTES	= 32,
	/* The longest description of a stream, the closing zero byte included. */
	IOSTREAM_DESCRIPTION_BYTES = 64,
};

/* The shortest and the longest latency of a watermark: 50 microseconds and an hour. */
#define IOSTREAM_LATENCY_MIN_NS	50000ULL
#define IOSTREAM_LATENCY_MAX_NS	3600000000000ULL

/* Directions, as the arguments of calls. */
enum {
	IOSTREAM_OUTPUT		= 0,	/* kernel to user */
	IOSTREAM_INPUT		= 1,	/* user to kernel */
};

/* Or'ed with the direction that is the argument of IOSTREAM_IOC_NOTIFY. */
enum {
	/* Tell the driver now, below its watermark, too: the queue was found full, or is flushed. */
	IOSTREAM_NOTIFY_FLUSH	= 1 << 8,
};

/* Bits of info.flags and iostream_queue.flags. */
enum {
	/* A full queue loses its oldest entries: copy, then check oldest_pos. Output only. */
	IOSTREAM_QUEUE_OVERWRITE	= 1 << 0,
	/*
	 * Every entry is max_entry_bytes long, and has no header: they lie one beside the other, and
	 * positions are multiples of their length. The queues of streams.
	 */
	IOSTREAM_QUEUE_SLOTS		= 1 << 1,
	IOSTREAM_QUEUE_FLAGS		= IOSTREAM_QUEUE_OVERWRITE | IOSTREAM_QUEUE_SLOTS,
};

/* Bits of entry.flags. A consumer ignores bits that it does not know. */
enum {
	/* Entries were lost right before this one; entry.lost says how many. */
	IOSTREAM_ENTRY_GAP	= 1 << 0,
	IOSTREAM_ENTRY_FLAGS	= IOSTREAM_ENTRY_GAP,
};

/* What stands before the bytes of each entry, but with IOSTREAM_QUEUE_SLOTS. */
struct iostream_entry {
	__u32 len;	/* bytes that follow; the entry occupies 8 + len, rounded up to 8 */
	__u16 flags;	/* IOSTREAM_ENTRY_* */
	__u16 lost;	/* with IOSTREAM_ENTRY_GAP: entries lost before this one, at most 65535 */
};

/*
 * What the kernel counts of one queue since it was made. They are the kernel's own record: no
 * store of a process changes them.
 */
struct iostream_counters {
	__u64 entries;			/* entries that the kernel's end produced or consumed */
	__u64 bytes;			/* their bytes, without headers and padding */
	__u64 wakeups_sent;		/* times that the process was woken (poll, eventfd) */
	__u64 wakeups_suppressed;	/* publications at which nobody had to be woken */
	__u64 notifications;		/* IOSTREAM_IOC_NOTIFY calls of the process */
	__u64 full;			/* enqueues that found no room */
	__u64 lost;			/* entries lost: reported by the driver, or overwritten */
	__u64 corrupt;			/* positions or headers of the process that could not be right */
	__u64 high_water_bytes;		/* the most bytes that were ever in the queue */
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
	__u64 generation;		/* raised by each IOSTREAM_IOC_RESET; starts at 1 */
	__u64 gone;			/* 1 once the driver is gone: nothing will move any more */
	__u64 ready_pos;		/* output: with a watermark, entries before it are ready */
	__u64 watermark_bytes;		/* output: as IOSTREAM_IOC_WATERMARK set it; 0: none */
	__u64 latency_ns;		/* output: as IOSTREAM_IOC_WATERMARK set it; 0: no timer */
	__u64 reserved[6];
	struct iostream_counters counters;	/* at offset 128, a cache line of their own */
};

/* The producer's page. */
struct iostream_producer {
	__u64 producer_pos;		/* all entries before this position are complete */
	__u64 oldest_pos;		/* IOSTREAM_QUEUE_OVERWRITE: entries before it are overwritten */
	__u64 reserved0[6];
	__u64 wake_pos;			/* wake the producer when consumer_pos reaches this */
	__u64 room_bytes;		/* room, overhead included, that makes poll say EPOLLOUT; 0: 8 */
	__u64 reserved1[6];
};

/* The consumer's page. */
struct iostream_consumer {
	__u64 consumer_pos;		/* all entries before this position are free for reuse */
	__u64 reserved0[7];
	__u64 wake_pos;			/* wake the consumer when producer_pos reaches this */
	__u64 reserved1[7];
};

/* Modes of a stream. */
enum {
	IOSTREAM_MODE_OUTPUT		= 0,	/* the driver fills buffers, the process reads them */
	IOSTREAM_MODE_INPUT		= 1,	/* the process fills buffers, the driver reads them */
	IOSTREAM_MODE_INPUT_OUTPUT	= 2,	/* both */
};

/* States of a stream. */
enum {
	IOSTREAM_STATE_STOPPED		= 0,
	IOSTREAM_STATE_RUNNING		= 1,
	IOSTREAM_STATE_SUSPENDED	= 2,	/* the driver pauses; what is queued stays */
};

/* Bits of descriptor.flags. */
enum {
	/* From the process: the buffer comes back unused; there is nothing in it for the driver. */
	IOSTREAM_DESCRIPTOR_UNUSED	= 1 << 0,
	/* From the kernel: the buffer comes back without having been processed: stop discarded it. */
	IOSTREAM_DESCRIPTOR_DISCARDED	= 1 << 1,
	IOSTREAM_DESCRIPTOR_FLAGS	= IOSTREAM_DESCRIPTOR_UNUSED | IOSTREAM_DESCRIPTOR_DISCARDED,
};

/*
 * An entry of a stream's queue, 32 bytes, without a header (IOSTREAM_QUEUE_SLOTS). The ranges lie inside
 * the buffer's areas. A descriptor of the process's that names no buffer, or one that the process
 * does not have, has a range that is out of bounds or a flag that is not its own, is dropped and
 * counted.
 */
struct iostream_descriptor {
	__u32 buffer;			/* id, 0 ... buffers - 1 */
	__u32 flags;			/* IOSTREAM_DESCRIPTOR_* */
	__u32 data_offset;		/* where the data begin in the data area */
	__u32 data_len;			/* their bytes */
	__u32 control_offset;		/* where the control data begin in the control area */
	__u32 control_len;		/* their bytes */
	__u64 sequence;			/* from the driver: 0, 1, 2 ... in a session; else any number */
};

/* What the kernel counts of a stream in one session: its own record, as iostream_counters. */
struct iostream_stream_counters {
	__u64 sent;			/* buffers that the driver sent */
	__u64 received;			/* buffers that came from the process, returned ones included */
	__u64 discarded;		/* descriptors that a stop discarded, both directions */
	__u64 rejected_id;		/* descriptors that name no buffer */
	__u64 rejected_owner;		/* descriptors of a buffer that the process did not have */
	__u64 rejected_range;		/* descriptors with a range out of bounds */
	__u64 rejected_flags;		/* descriptors with unknown flags */
};

/* A stream's info page. The process maps it read-only. */
struct iostream_stream_info {
	__u64 mode;			/* IOSTREAM_MODE_* */
	__u64 state;			/* IOSTREAM_STATE_* */
	__u64 generation;		/* raised when buffers are added; starts at 1 */
	__u64 discarded_pos;		/* output queue: return unread what begins before this position */
	__u64 reserved[4];
	struct iostream_stream_counters counters;	/* at offset 64, a cache line of their own */
};

/* Bits of iostream_setup.flags. */
enum {
	IOSTREAM_SETUP_OUTPUT		= 1 << 0,	/* make an output queue */
	IOSTREAM_SETUP_INPUT		= 1 << 1,	/* make an input queue */
	IOSTREAM_SETUP_OVERWRITE	= 1 << 2,	/* the output queue loses its oldest entries */
	IOSTREAM_SETUP_FLAGS		= IOSTREAM_SETUP_OUTPUT | IOSTREAM_SETUP_INPUT |
					  IOSTREAM_SETUP_OVERWRITE,
};

/* The endpoints of /dev/iostream: who serves the kernel's side of the session. */
enum {
	IOSTREAM_ENDPOINT_ECHO		= 1,	/* what comes in goes out; wants both queues */
	IOSTREAM_ENDPOINT_SOURCE	= 2,	/* numbered, checksummed entries come out */
	IOSTREAM_ENDPOINT_SINK		= 3,	/* what comes in is checked and counted */
};

/* Argument of IOSTREAM_IOC_SETUP, for /dev/iostream alone. */
struct iostream_setup {
	__u32 flags;			/* IOSTREAM_SETUP_* */
	__u32 endpoint;			/* IOSTREAM_ENDPOINT_* */
	__u64 output_bytes;		/* capacity, overhead included; 0 without an output queue */
	__u64 input_bytes;		/* capacity, overhead included; 0 without an input queue */
	__u32 source_min_bytes;		/* source: shortest entry, at least sizeof(iostream_record) */
	__u32 source_max_bytes;		/* source: longest entry */
	__u64 source_rate;		/* source: entries a second by timer; 0: by IOSTREAM_IOC_RUN */
	__u64 reserved[2];		/* zero */
};

/*
 * The first bytes of each entry that the source endpoint makes and the sink endpoint checks. The
 * bytes after it are the low byte of (sequence + index), index counted from the entry's start.
 */
struct iostream_record {
	__u64 sequence;			/* 0, 1, 2 ... */
	__u32 len;			/* bytes of the whole entry, this struct included */
	__u32 check;			/* FNV-1a, 32 bits, over sequence, len and the bytes after */
};

/* Argument of IOSTREAM_IOC_QUEUE: the geometry of one queue, from the kernel's own record. */
struct iostream_queue {
	__u32 direction;		/* in: IOSTREAM_OUTPUT or IOSTREAM_INPUT */
	__u32 flags;			/* out: IOSTREAM_QUEUE_* */
	__u64 data_bytes;		/* out: capacity, overhead included, whole pages */
	__u32 max_entry_bytes;		/* out: the longest entry, header not counted */
	__u32 page_bytes;		/* out: size of a page, of info, producer and consumer area */
	__u64 generation;		/* out: as info.generation */
	__u64 features;			/* out: as info.features */
	__u64 info_offset;		/* out: mmap(2) offset of the info page */
	__u64 producer_offset;		/* out: mmap(2) offset of the producer's page */
	__u64 consumer_offset;		/* out: mmap(2) offset of the consumer's page */
	__u64 data_offset;		/* out: mmap(2) offset of the data; map 2 * data_bytes */
	struct iostream_counters counters;	/* out: as info.counters */
};

/* Argument of IOSTREAM_IOC_EVENTFD. */
struct iostream_eventfd {
	__u32 direction;		/* IOSTREAM_OUTPUT: readable; IOSTREAM_INPUT: room again */
	__s32 fd;			/* an eventfd, or -1 to remove the one that is set */
};

/*
 * Argument of IOSTREAM_IOC_WATERMARK. With a watermark an output queue is readable, and its
 * consumer is woken, when
 *
 *	bytes wait, overhead included;
 *	or latency_ns has passed since an entry came that nobody was told of;
 *	or the producer found the queue full, or flushed it;
 *	or the driver stopped or is gone;
 *
 * and stays so until all that waited then is consumed: until consumer_pos reaches info.ready_pos.
 * This goes for poll, the eventfd and read(2) that waits; read(2) that does not wait takes what is
 * there. Who arms in its own page stores consumer_pos + bytes, and looks at ready_pos, too, before
 * it sleeps.
 */
struct iostream_watermark {
	__u32 direction;		/* IOSTREAM_OUTPUT */
	__u32 reserved;			/* zero */
	__u64 bytes;			/* 0: none; at most data_bytes */
	__u64 latency_ns;		/* 0: no timer; else IOSTREAM_LATENCY_MIN_NS to _MAX_NS */
};

/* Argument of IOSTREAM_IOC_RUN, for /dev/iostream alone. */
struct iostream_run {
	__u64 entries;			/* in: how many; 0: until the time-out or a signal */
	__u64 timeout_ns;		/* in: give up after this long without progress; 0: never */
	__u64 done;			/* out: entries moved, also when the call fails */
	__u32 batch;			/* in: entries a publication; 0 and 1: each on its own */
	__u32 reserved;			/* zero */
};

/* Argument of IOSTREAM_IOC_ENDPOINT: what the endpoint of /dev/iostream has seen. */
struct iostream_endpoint {
	__u32 endpoint;			/* out: IOSTREAM_ENDPOINT_* */
	__u32 reserved;			/* zero */
	__u64 entries;			/* out: entries made, checked or echoed */
	__u64 bytes;			/* out: their bytes */
	__u64 bad;			/* out: sink: entries whose record was wrong */
	__u64 missed;			/* out: sink: sequence numbers that did not come */
	__u64 dropped;			/* out: source by timer: entries for which there was no room */
};

/* Argument of IOSTREAM_IOC_STREAM: the stream of a node, from the kernel's own record. */
struct iostream_stream {
	__u32 mode;			/* out: IOSTREAM_MODE_* */
	__u32 state;			/* out: IOSTREAM_STATE_* */
	__u32 buffers;			/* out: how many there are for this session */
	__u32 max_buffers;		/* out: how many there can be in this session */
	__u32 data_bytes;		/* out: size of a buffer's data area */
	__u32 control_bytes;		/* out: size of a buffer's control area, may be 0 */
	__u32 format;			/* out: the driver's format tag, four characters; 0: none */
	__u32 reserved;			/* out: zero */
	__u64 generation;		/* out: as iostream_stream_info.generation */
	__u64 info_offset;		/* out: mmap(2) offset of the stream's info page */
	__u64 buffers_offset;		/* out: mmap(2) offset of buffer 0 */
	__u64 buffer_stride;		/* out: bytes from one buffer to the next, whole pages */
	__u64 control_start;		/* out: bytes from a buffer's start to its control area */
	struct iostream_stream_counters counters;	/* out */
	__u8 description[IOSTREAM_DESCRIPTION_BYTES];	/* out: the driver's words, zero-terminated */
};

/* Bits of iostream_stop.flags. */
enum {
	/*
	 * First wait until the driver has taken all that the process sent, what it returned in output
	 * mode excepted; discard nothing.
	 */
	IOSTREAM_STOP_DRAIN		= 1 << 0,
	IOSTREAM_STOP_FLAGS		= IOSTREAM_STOP_DRAIN,
};

/* Argument of IOSTREAM_IOC_STOP. */
struct iostream_stop {
	__u32 flags;			/* in: IOSTREAM_STOP_* */
	__u32 reserved;			/* zero */
	__u64 timeout_ns;		/* in: with DRAIN: give up after this long; 0: never */
	__u64 discarded_output;		/* out: descriptors that the process had not taken yet */
	__u64 discarded_input;		/* out: descriptors that the driver had not taken yet */
};

/* Argument of IOSTREAM_IOC_VERSION. */
struct iostream_version {
	__u32 version;			/* out: IOSTREAM_VERSION */
	__u32 reserved;			/* zero */
	__u64 features;			/* out: as info.features */
	__u64 max_queue_bytes;		/* out: module parameter: the largest queue */
	__u64 max_total_bytes;		/* out: module parameter: all queues together */
	__u8 name[IOSTREAM_NAME_BYTES];	/* out: the node's name, zero-terminated */
};

/*
 * The calls. All fail with ENOTTY for a number that is not here, EFAULT for a bad pointer, EINVAL
 * for an unknown flag or direction or a reserved field that is not zero, ENODEV once the driver is
 * gone, EBADFD on /dev/iostream before IOSTREAM_IOC_SETUP, and ENXIO for a direction in which the
 * session has no queue. Further errors stand with each.
 */
enum {
	/* Versions and limits. Works before set-up and after removal. */
	IOSTREAM_IOC_VERSION	= _IOR('j', 0x00, struct iostream_version),
	/*
	 * Make the queues of this session; once (then EALREADY). EINVAL: no queue asked for, a
	 * capacity of zero, an endpoint whose queues are not asked for, a range of sizes that is
	 * empty or does not fit; EOVERFLOW: a capacity that overflows; E2BIG: above
	 * max_queue_bytes; EDQUOT: max_total_bytes is used up; ERANGE: source_rate above
	 * 1,000,000 entries or 64 MiB a second, or entries above 64 KiB by timer; ENOMEM: no memory,
	 * or none left in the cgroup; ENOTTY: not /dev/iostream.
	 */
	IOSTREAM_IOC_SETUP	= _IOW('j', 0x01, struct iostream_setup),
	/* Geometry, mmap offsets and counters of one queue. */
	IOSTREAM_IOC_QUEUE	= _IOWR('j', 0x02, struct iostream_queue),
	/*
	 * Set, replace or remove the eventfd of a direction. Signalled at once if the direction is
	 * ready now. EBADF, EINVAL: not an eventfd.
	 */
	IOSTREAM_IOC_EVENTFD	= _IOW('j', 0x03, struct iostream_eventfd),
	/*
	 * Tell the kernel's end that the process published in this direction: entries (input) or
	 * room (output). The argument is the direction itself, or'ed with IOSTREAM_NOTIFY_FLUSH if it
	 * is for other reasons than the armed position. The driver's callback runs in this call.
	 */
	IOSTREAM_IOC_NOTIFY	= _IO('j', 0x04),
	/*
	 * Empty a queue and start again at position zero, with generation raised. The argument is
	 * the direction itself. Handles and slices from before must no longer be used. EBUSY: a
	 * read(2) or write(2) is at it; EOPNOTSUPP: a stream's queue: end the session instead.
	 */
	IOSTREAM_IOC_RESET	= _IO('j', 0x05),
	/*
	 * /dev/iostream: work flat out in this call: source: make entries; sink: check them, and
	 * leave what is beyond the number asked for until the next notification or run; echo: move
	 * them. Killable; other signals end it with EINTR and done filled in. EBUSY: another thread
	 * runs, or the source is driven by its timer; ETIMEDOUT; EBADMSG: the
	 * process's positions or headers cannot be right; E2BIG: batch above 65536.
	 */
	IOSTREAM_IOC_RUN	= _IOWR('j', 0x06, struct iostream_run),
	/* /dev/iostream: what the endpoint has seen. */
	IOSTREAM_IOC_ENDPOINT	= _IOR('j', 0x07, struct iostream_endpoint),
	/*
	 * Set, change or remove (with zeros) the watermark of the output queue. Who waits is woken if
	 * by the new one the queue is readable. It outlives IOSTREAM_IOC_RESET. EINVAL: the input
	 * direction, or a latency without bytes; ERANGE: more bytes than the queue has, or a latency
	 * out of range.
	 */
	IOSTREAM_IOC_WATERMARK	= _IOW('j', 0x08, struct iostream_watermark),

	/*
	 * The calls of streams, from here on. ENOTTY: the node has none.
	 *
	 * Geometry, state, mmap offsets and counters. Buffers that the driver has added meanwhile
	 * (EPOLLPRI, generation) join the session here, charged to the caller. ENOMEM, EDQUOT.
	 */
	IOSTREAM_IOC_STREAM	= _IOR('j', 0x10, struct iostream_stream),
	/* Start or, after a suspension, go on. EALREADY: it runs. Else the driver's own error. */
	IOSTREAM_IOC_START	= _IO('j', 0x11),
	/* Pause. EBADFD: stopped; EALREADY: suspended. Else the driver's own error. */
	IOSTREAM_IOC_SUSPEND	= _IO('j', 0x12),
	/* Stop. EALREADY: stopped; with DRAIN: ETIMEDOUT, EINTR, and the stream goes on. */
	IOSTREAM_IOC_STOP	= _IOWR('j', 0x13, struct iostream_stop),
	/*
	 * Change the mode, the argument, until the end of the session. EBUSY: it was started, or
	 * something is mapped. Else the driver's own error, EOPNOTSUPP where it changes none.
	 */
	IOSTREAM_IOC_MODE	= _IO('j', 0x14),
	/*
	 * Have the driver's input callback run soon, in a worker, with a token of 32 bits, the
	 * argument. Each call is one callback; EAGAIN: 64 wait already.
	 */
	IOSTREAM_IOC_INPUT	= _IO('j', 0x15),
	/* The same in this call, which returns what the callback does; EOPNOTSUPP: it has none. */
	IOSTREAM_IOC_INPUT_SYNC	= _IO('j', 0x16),
};

#endif /* _UAPI_IOSTREAM_H */
