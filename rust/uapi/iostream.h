/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * iostream: entries and buffers between drivers and programs, through shared memory.
 *
 * This header, with iostream_queue.h, which it includes, defines everything that crosses the
 * boundary between kernel and user space. A C program needs nothing else.
 *
 * TERMS. "Output" is from the kernel to the process, "input" from the process to the kernel. A
 * "session" is one open of a device, from open(2) until its last descriptor and mapping are gone.
 * It has an output queue, an input queue or both. iostream_queue.h describes a queue in shared
 * memory, and shows in C how a process consumes, produces, and waits.
 *
 * STREAMS. A stream is a pool of equal buffers that both sides see, and two queues whose entries
 * are struct iostream_descriptor and nothing else. A side that sends a descriptor gives its buffer
 * away. Each queue has room for every buffer. The client of a session is the process that opened
 * it, or a kernel module. A buffer is free (the driver can take it), held by the driver, with the
 * client, or queued (a descriptor of it is on its way). The mode says who fills buffers:
 *
 *	output		At first all are free. The driver fills them and sends them in the output
 *			queue; the client only reads them, and returns them in the input queue.
 *	input		At first all are with the client, which fills them and sends them in the
 *			input queue; the driver returns them in the output queue.
 *	input-output	At first all are free. Each side may read and write what it has.
 *
 * IOSTREAM_IOC_STREAM returns the mmap(2) offsets of the stream's info page and of its buffers.
 * Any run of whole buffers can be mapped: in output mode without PROT_WRITE, otherwise each buffer
 * once in a session with PROT_WRITE. Before a process returns a buffer, it publishes consumer_pos
 * past the descriptor that brought it. Otherwise the output queue may seem full.
 *
 * poll(2) reports POLLPRI if buffers were added. A process that has mapped what it writes of a
 * queue gets POLLIN if a descriptor waits and, as at the end of a file, if the stream has run in
 * this session and is stopped; POLLOUT, except in output mode, for the same reasons. Any other
 * process gets POLLIN exactly if read(2) would return without waiting, and POLLOUT if write(2)
 * would, and its first poll for reading, in input-output mode also for writing, starts the stream.
 *
 * read(2) and write(2) need no mapping. read(2) copies data of one buffer, as much as fits, and
 * returns the buffer at its end; the next call continues where this one ended, and no call goes on
 * into a second buffer. write(2) fills as many buffers as it needs and finds, but waits only for
 * the first, so it may write less than it was asked to. In input-output mode it fills the buffers
 * that were read, and those that came without data. Control data are neither read nor written. The
 * first call of a session starts the stream. Once the stream is stopped read(2) returns what is
 * left and then 0, and write(2) fails with ESHUTDOWN. ENXIO: the mode has no such direction. EBUSY:
 * the process has mapped what it writes of a queue. IOSTREAM_IOC_READ_MODE changes how read(2)
 * reads; ioctl(2) FIONREAD returns how many bytes the next one can return without waiting.
 *
 * On a node without a stream read(2) copies one entry. If the entry does not fit, read(2) copies as
 * much as does, and the next call continues there. Empty entries are passed over. write(2) appends
 * all of its data as one entry; EMSGSIZE: the data are longer than the longest entry.
 *
 * OPEN. A node has one client at a time, unless its driver allows more. An open(2) that finds no
 * place waits half a second for one: the kernel may keep the file of a process that has ended for a
 * moment longer. EBUSY: none became free, or none is and the open is O_NONBLOCK. EAGAIN: the driver
 * is being asked about another opener, and the open is O_NONBLOCK. EINTR.
 *
 * CLOSE. What was published in an input queue, or written by write(2) to a stream, before the last
 * close reaches the driver, watermark or not: the close tells the driver, and waits until it has
 * taken everything, for at most a time that the driver has set, a second by default. It does not
 * wait if a signal ended the process. The buffers that a client which maps the stream has sent are
 * discarded: it drains the stream first, by IOSTREAM_IOC_STOP. fsync(2) waits until the driver has
 * taken everything that was published; a signal that is fatal or has a handler ends that wait.
 *
 * Nothing but descriptors moves buffers, with these exceptions. Open hands them out as said above.
 * Stop leaves the client what it has. Unless it drains, it takes what is queued as input back from
 * the queue, unprocessed, and sets discarded_pos: when the client comes upon a descriptor before
 * that position of the output queue, it must return the buffer unread. In input mode it sets no
 * position, but returns the buffers with IOSTREAM_DESCRIPTOR_DISCARDED. Close takes back all
 * buffers and both queues; the next session has memory of its own.
 *
 * A stop publishes IOSTREAM_STATE_STOPPED last, with a release store. A process that loads the
 * state with acquire, finds the stream stopped, and then finds nothing in the output queue, has
 * received everything.
 */
#ifndef _UAPI_IOSTREAM_H
#define _UAPI_IOSTREAM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include "iostream_queue.h"

enum {
	/* The longest name of a node, in bytes, with the zero byte at its end. */
	IOSTREAM_NAME_BYTES	= 32,
	/* The longest description of a stream, in bytes, with the zero byte at its end. */
	IOSTREAM_DESCRIPTION_BYTES = 64,
};

/* The shortest and the longest latency of a watermark: 50 microseconds and an hour. */
#define IOSTREAM_LATENCY_MIN_NS	50000ULL
#define IOSTREAM_LATENCY_MAX_NS	3600000000000ULL

/* Or'ed with the direction that is the argument of IOSTREAM_IOC_NOTIFY. */
enum {
	/* Tell the driver now, even below its watermark: the queue was full, or is flushed. */
	IOSTREAM_NOTIFY_FLUSH	= 1 << 8,
};

/* Modes of a stream. */
enum {
	IOSTREAM_MODE_OUTPUT		= 0,	/* the driver fills, the client reads */
	IOSTREAM_MODE_INPUT		= 1,	/* the client fills, the driver reads */
	IOSTREAM_MODE_INPUT_OUTPUT	= 2,	/* both fill and read */
};

/* States of a stream. */
enum {
	IOSTREAM_STATE_STOPPED		= 0,
	IOSTREAM_STATE_RUNNING		= 1,
	IOSTREAM_STATE_SUSPENDED	= 2,	/* the driver pauses; queued buffers stay queued */
};

/*
 * Bits of descriptor.flags. A process sets no bit but IOSTREAM_DESCRIPTOR_UNUSED, and ignores bits
 * that it does not know. Nothing sets the bits that are reserved yet.
 */
enum {
	/* From the process: returns the buffer; it has no data for the driver. */
	IOSTREAM_DESCRIPTOR_UNUSED	= 1 << 0,
	/* From the kernel: returns the buffer unprocessed, because a stop discarded it. */
	IOSTREAM_DESCRIPTOR_DISCARDED	= 1 << 1,
	/* From the kernel: the data do not continue those before; set whenever lost is not 0. */
	IOSTREAM_DESCRIPTOR_DISCONTINUITY = 1 << 2,
	/* From the kernel, reserved: the data are wrong or missing; status says why. */
	IOSTREAM_DESCRIPTOR_ERROR	= 1 << 3,
	/* From the kernel, reserved: the driver sends nothing after this. */
	IOSTREAM_DESCRIPTOR_END		= 1 << 4,
	/* From the kernel, reserved: eight bits whose meaning is the driver's. */
	IOSTREAM_DESCRIPTOR_DRIVER	= 0xff << 16,
	IOSTREAM_DESCRIPTOR_FLAGS	= IOSTREAM_DESCRIPTOR_UNUSED |
					  IOSTREAM_DESCRIPTOR_DISCARDED |
					  IOSTREAM_DESCRIPTOR_DISCONTINUITY |
					  IOSTREAM_DESCRIPTOR_ERROR | IOSTREAM_DESCRIPTOR_END |
					  IOSTREAM_DESCRIPTOR_DRIVER,
};

/* Clocks of timestamps: the numbers that clock_gettime(2) takes. */
enum {
	IOSTREAM_CLOCK_REALTIME		= 0,
	IOSTREAM_CLOCK_MONOTONIC	= 1,
	IOSTREAM_CLOCK_BOOTTIME		= 7,
	IOSTREAM_CLOCK_TAI		= 11,
};

/*
 * An entry of a stream's queue: 64 bytes without a header (IOSTREAM_QUEUE_SLOTS). Both ranges lie
 * inside the buffer's areas.
 *
 * A frame is what one descriptor of the driver brings. Frames have the numbers 0, 1, 2 ... in a
 * session, through suspend, stop and start. A frame that the driver reports lost has a number, too,
 * but no descriptor: the frame that follows it says in lost how many are missing before it. So of
 * two descriptors in a row the second one's frame is the first one's, plus 1, plus the second one's
 * lost. Frames that a stop discarded are missing in addition; its caller knows how many. The time
 * is that of the send, or what the driver says instead. From the process frame and timestamp_ns may
 * be anything, for the driver.
 *
 * The kernel drops and counts a descriptor of the process that names no buffer, names a buffer that
 * the process does not have, has a range out of bounds, has a flag that only the kernel sets, or
 * has a value in lost, status or reserved.
 */
struct iostream_descriptor {
	__u32 buffer;			/* id, 0 ... buffers - 1 */
	__u32 flags;			/* IOSTREAM_DESCRIPTOR_* */
	__u32 data_offset;		/* start of the data in the data area */
	__u32 data_len;			/* bytes of data */
	__u32 control_offset;		/* start of the control data in the control area */
	__u32 control_len;		/* bytes of control data */
	__u64 frame;			/* number of the frame */
	__u64 timestamp_ns;		/* by the stream's clock; from the process: 0: none */
	__u64 lost;			/* frames lost right before this; from the process: zero */
	__s32 status;			/* reserved for an errno; 0: none */
	__u32 reserved[3];		/* zero */
};

/* What the kernel counts of a stream in one session. No store of a process changes it. */
struct iostream_stream_counters {
	__u64 sent;			/* buffers that the driver sent */
	__u64 received;			/* buffers that the process sent or returned */
	__u64 discarded;		/* descriptors that stops discarded, in both directions */
	__u64 rejected_id;		/* descriptors that name no buffer */
	__u64 rejected_owner;		/* descriptors of a buffer that was not with the process */
	__u64 rejected_range;		/* descriptors with a range out of bounds */
	__u64 rejected_flags;		/* descriptors with a flag or field that must be zero */
	__u64 lost;			/* frames that the driver reported lost */
};

/* A stream's info page. The process maps it read-only. */
struct iostream_stream_info {
	__u64 mode;			/* IOSTREAM_MODE_* */
	__u64 state;			/* IOSTREAM_STATE_*; load it with acquire */
	__u64 generation;		/* raised when buffers are added; starts at 1 */
	__u64 discarded_pos;		/* output queue: return unread what is before it */
	__u64 clock;			/* IOSTREAM_CLOCK_*, of the timestamps */
	__u64 reserved[3];
	/* At offset 64, a cache line of its own. The last field: counters may be added. */
	struct iostream_stream_counters counters;
};

/* Bits of iostream_setup.flags. */
enum {
	IOSTREAM_SETUP_OUTPUT		= 1 << 0,	/* make an output queue */
	IOSTREAM_SETUP_INPUT		= 1 << 1,	/* make an input queue */
	IOSTREAM_SETUP_OVERWRITE	= 1 << 2,	/* IOSTREAM_QUEUE_OVERWRITE for output */
	IOSTREAM_SETUP_FLAGS		= IOSTREAM_SETUP_OUTPUT | IOSTREAM_SETUP_INPUT |
					  IOSTREAM_SETUP_OVERWRITE,
};

/* The endpoints of /dev/iostream: what the kernel does on its side of the session. */
enum {
	IOSTREAM_ENDPOINT_ECHO		= 1,	/* sends back what it receives; needs both queues */
	IOSTREAM_ENDPOINT_SOURCE	= 2,	/* produces numbered entries with a checksum */
	IOSTREAM_ENDPOINT_SINK		= 3,	/* checks and counts what it receives */
};

/* Argument of IOSTREAM_IOC_SETUP, for /dev/iostream only. */
struct iostream_setup {
	__u32 flags;			/* IOSTREAM_SETUP_* */
	__u32 endpoint;			/* IOSTREAM_ENDPOINT_* */
	__u64 output_bytes;		/* capacity, overhead included; 0 without an output queue */
	__u64 input_bytes;		/* capacity, overhead included; 0 without an input queue */
	__u32 source_min_bytes;		/* source: shortest entry, at least an iostream_record */
	__u32 source_max_bytes;		/* source: longest entry */
	__u64 source_rate;		/* source: entries a second by timer; 0: IOSTREAM_IOC_RUN */
	__u64 reserved[2];		/* zero */
};

/*
 * The first bytes of each entry that the source endpoint makes and the sink endpoint checks. Each
 * byte after it is the low byte of (sequence + index); index counts from the start of the entry.
 */
struct iostream_record {
	__u64 sequence;			/* 0, 1, 2 ... */
	__u32 len;			/* bytes of the whole entry, this struct included */
	__u32 check;			/* 32-bit FNV-1a of sequence, len and the bytes after it */
};

/* Argument of IOSTREAM_IOC_QUEUE: the geometry of one queue, from the kernel's record. */
struct iostream_queue {
	__u32 direction;		/* in: IOSTREAM_OUTPUT or IOSTREAM_INPUT */
	__u32 flags;			/* out: IOSTREAM_QUEUE_* */
	__u64 data_bytes;		/* out: capacity, overhead included, whole pages */
	__u32 max_entry_bytes;		/* out: the longest entry, header not counted */
	__u32 page_bytes;		/* out: size of a page: info, producer, consumer area */
	__u64 generation;		/* out: the same as info.generation */
	__u64 features;			/* out: the same as info.features */
	__u64 info_offset;		/* out: mmap(2) offset of the info page */
	__u64 producer_offset;		/* out: mmap(2) offset of the producer's page */
	__u64 consumer_offset;		/* out: mmap(2) offset of the consumer's page */
	__u64 data_offset;		/* out: mmap(2) offset of the data; map 2 * data_bytes */
};

/* Argument of IOSTREAM_IOC_EVENTFD. */
struct iostream_eventfd {
	__u32 direction;		/* IOSTREAM_OUTPUT: readable; IOSTREAM_INPUT: writable */
	__s32 fd;			/* an eventfd; -1: remove the one that is set */
};

/*
 * Argument of IOSTREAM_IOC_WATERMARK. With a watermark an output queue becomes readable, and its
 * consumer is woken, when that many bytes wait, overhead included; when latency_ns have passed
 * since an entry came that the consumer was not told of; when the producer finds the queue full or
 * flushes it; or when the driver stops or is gone. The queue stays readable until consumer_pos
 * reaches info.ready_pos: until all that waited then is consumed. This holds for poll, the eventfd
 * and a read(2) that waits; a read(2) that does not wait takes what is there. A consumer that arms
 * in its own page stores consumer_pos + bytes, and also checks ready_pos before it sleeps.
 */
struct iostream_watermark {
	__u32 direction;		/* IOSTREAM_OUTPUT */
	__u32 reserved;			/* zero */
	__u64 bytes;			/* 0: none; at most data_bytes */
	__u64 latency_ns;		/* 0: no timer; else IOSTREAM_LATENCY_MIN_NS to _MAX_NS */
};

/* How read(2) reads. Bits of the argument of IOSTREAM_IOC_READ_MODE. */
enum {
	/* A buffer that is too short is an error, ENOBUFS, and an empty entry is a result of 0. */
	IOSTREAM_READ_WHOLE	= 1 << 0,
	/*
	 * If anything was lost before an entry or a buffer, read(2) fails once with EPIPE first,
	 * also before an empty one. Until then write(2) does not take an empty buffer of a stream.
	 */
	IOSTREAM_READ_LOSS	= 1 << 1,
	IOSTREAM_READ_FLAGS	= IOSTREAM_READ_WHOLE | IOSTREAM_READ_LOSS,
};

/* Argument of IOSTREAM_IOC_RUN, for /dev/iostream only. */
struct iostream_run {
	__u64 entries;			/* in: how many; 0: until the time-out or a signal */
	__u64 timeout_ns;		/* in: give up after this time without progress; 0: never */
	__u64 done;			/* out: entries moved, also when the call fails */
	__u32 batch;			/* in: entries for each publication; 0 and 1: one */
	__u32 reserved;			/* zero */
};

/* What the endpoint of /dev/iostream counts in one session. */
struct iostream_endpoint_counters {
	__u64 entries;			/* entries made, checked or echoed */
	__u64 bytes;			/* bytes of these entries */
	__u64 bad;			/* sink: entries with a wrong record */
	__u64 missed;			/* sink: sequence numbers that are missing */
	__u64 dropped;			/* source by timer: entries that found no room */
};

/* What IOSTREAM_IOC_COUNTERS copies. */
enum {
	IOSTREAM_COUNTERS_OUTPUT	= 0,	/* output queue: iostream_queue_counters */
	IOSTREAM_COUNTERS_INPUT		= 1,	/* input queue: iostream_queue_counters */
	IOSTREAM_COUNTERS_STREAM	= 2,	/* iostream_stream_counters */
	IOSTREAM_COUNTERS_ENDPOINT	= 3,	/* iostream_endpoint_counters */
	/* The largest buffer. */
	IOSTREAM_COUNTERS_MAX_BYTES	= 4096,
};

/*
 * Argument of IOSTREAM_IOC_COUNTERS. The kernel fills the buffer: with its counters, as many as
 * fit, and then with zeros. Later kernels may have more counters, after those that are here. So a
 * program and a kernel that know different numbers of counters share those that both know.
 */
struct iostream_counters {
	__u32 which;			/* in: IOSTREAM_COUNTERS_* */
	__u32 buffer_bytes;		/* in: size of the buffer, a multiple of 8 */
	__u64 buffer;			/* in: address of the buffer; 0 if buffer_bytes is 0 */
	__u32 counter_bytes;		/* out: size of all counters that the kernel has */
	__u32 reserved;			/* zero */
};

/* Argument of IOSTREAM_IOC_STREAM: the stream of a node, from the kernel's record. */
struct iostream_stream {
	__u32 mode;			/* out: IOSTREAM_MODE_* */
	__u32 state;			/* out: IOSTREAM_STATE_* */
	__u32 buffers;			/* out: how many there are in this session */
	__u32 max_buffers;		/* out: how many there can be in this session */
	__u32 data_bytes;		/* out: size of a buffer's data area */
	__u32 control_bytes;		/* out: size of a buffer's control area, may be 0 */
	__u32 format;			/* out: the driver's format tag, four characters; 0: none */
	__u32 clock;			/* out: the same as iostream_stream_info.clock */
	__u64 generation;		/* out: the same as iostream_stream_info.generation */
	__u64 info_offset;		/* out: mmap(2) offset of the stream's info page */
	__u64 buffers_offset;		/* out: mmap(2) offset of buffer 0 */
	__u64 buffer_stride;		/* out: bytes from one buffer to the next, whole pages */
	__u64 control_start;		/* out: bytes from a buffer's start to its control area */
	__u8 description[IOSTREAM_DESCRIPTION_BYTES];	/* out: zero-terminated */
};

/* Bits of iostream_stop.flags. */
enum {
	/*
	 * Discard nothing; first wait until the driver has taken all that the process sent. No wait
	 * in output mode, where the process only returns buffers.
	 */
	IOSTREAM_STOP_DRAIN		= 1 << 0,
	IOSTREAM_STOP_FLAGS		= IOSTREAM_STOP_DRAIN,
};

/* Argument of IOSTREAM_IOC_STOP. */
struct iostream_stop {
	__u32 flags;			/* in: IOSTREAM_STOP_* */
	__u32 reserved;			/* zero */
	__u64 timeout_ns;		/* in: with IOSTREAM_STOP_DRAIN: give up after this; 0: never */
	__u64 discarded_output;		/* out: descriptors that the process had not taken yet */
	__u64 discarded_input;		/* out: descriptors that the driver had not taken yet */
};

/* Argument of IOSTREAM_IOC_VERSION. */
struct iostream_version {
	__u32 version;			/* out: IOSTREAM_VERSION */
	__u32 reserved;			/* zero */
	__u64 features;			/* out: the same as info.features */
	__u64 max_queue_bytes;		/* out: module parameter: the largest queue */
	__u64 max_total_bytes;		/* out: module parameter: all queues of a user together */
	__u8 name[IOSTREAM_NAME_BYTES];	/* out: the node's name, zero-terminated */
};

/*
 * The ioctls. Each says its own errors. All fail with ENOTTY for a number that is not here, EFAULT
 * for a bad pointer, EINVAL for an unknown flag or direction, ENODEV once the driver is gone,
 * EBADFD on /dev/iostream before IOSTREAM_IOC_SETUP, and ENXIO for a direction in which the session
 * has no queue. While another call sets the session up, changes the stream or adds buffers to it, one
 * that would do the same waits: EINTR, if a signal came whose handler does not restart calls.
 *
 * What a call does not read must be zero, so that it can get a meaning later. These are the fields
 * marked "out", the reserved fields, fields that have no meaning with the values of the others, the
 * unused bits of an argument that is a number, and the argument of a call that has none. Otherwise
 * the call fails with EINVAL and changes nothing.
 *
 * The numbers of type 'j' begin at 0x40, because 0x00 to 0x3f belong to the joystick driver (see
 * Documentation/userspace-api/ioctl/ioctl-number.rst).
 */
enum {
	/* Get version and limits. Works also before IOSTREAM_IOC_SETUP and after removal. */
	IOSTREAM_IOC_VERSION	= _IOWR('j', 0x40, struct iostream_version),
	/*
	 * Make the queues of this session. EALREADY: they are made. EINVAL: no queue is asked for,
	 * a capacity is zero, the endpoint needs a queue that is not asked for, or the range of
	 * sizes is empty or does not fit. EOVERFLOW: a capacity overflows. E2BIG: it is above
	 * max_queue_bytes. EDQUOT: the opener's user has used up max_total_bytes, or the rate that
	 * all his sources by timer can have, which is that of one (CAP_SYS_RESOURCE may exceed
	 * both). ERANGE: source_rate is above 1,000,000 entries or 64 MiB a second, or entries by
	 * timer are above 64 KiB. ENOMEM: no memory, or none left in the cgroup. ENOTTY: the node is
	 * not /dev/iostream.
	 */
	IOSTREAM_IOC_SETUP	= _IOW('j', 0x41, struct iostream_setup),
	/* Get geometry and mmap(2) offsets of one queue. */
	IOSTREAM_IOC_QUEUE	= _IOWR('j', 0x42, struct iostream_queue),
	/*
	 * Set, replace or remove the eventfd of a direction. It is signalled at once if the
	 * direction is ready, and that of output also when buffers were added to a stream. EBADF,
	 * EINVAL: fd is not an eventfd.
	 */
	IOSTREAM_IOC_EVENTFD	= _IOW('j', 0x43, struct iostream_eventfd),
	/*
	 * Tell the kernel that the process published entries (input) or room (output). The argument
	 * is the direction, or'ed with IOSTREAM_NOTIFY_FLUSH if the reason is not the armed
	 * position. The driver's callback runs in this call.
	 */
	IOSTREAM_IOC_NOTIFY	= _IO('j', 0x44),
	/*
	 * Empty a queue, start again at position zero, and raise generation. The argument is the
	 * direction. Positions and pointers from before must no longer be used. All that wait at the
	 * queue are woken, on both sides. EBUSY: a read(2) or write(2) uses the queue, or another
	 * process (another address space) has mapped the words that the client writes, and may use
	 * pointers; munmap(2), exec and exit end that. EOPNOTSUPP: it is a stream's queue; end the
	 * session instead.
	 */
	IOSTREAM_IOC_RESET	= _IO('j', 0x45),
	/*
	 * /dev/iostream: run the endpoint in this call, as fast as it can. The source makes
	 * entries, the echo moves them, the sink checks them; the sink leaves entries beyond the
	 * number asked for until the next notification or run. EINTR: a signal came; done is filled
	 * in. EBUSY: another thread runs it, or the source runs by timer. ETIMEDOUT: no progress.
	 * EBADMSG: a position or header of the process is invalid. E2BIG: batch is above 65536.
	 */
	IOSTREAM_IOC_RUN	= _IOWR('j', 0x46, struct iostream_run),
	/*
	 * Get the counters of a queue, the stream or the endpoint. Those of queues and streams are
	 * also on the info pages. EINVAL: buffer_bytes is not a multiple of 8. E2BIG: it is above
	 * IOSTREAM_COUNTERS_MAX_BYTES. ENOTTY: the node has no stream, or is not /dev/iostream.
	 */
	IOSTREAM_IOC_COUNTERS	= _IOWR('j', 0x47, struct iostream_counters),
	/*
	 * Set, change or remove (with zeros) the watermark of the output queue. Waiters are woken
	 * if the new one makes the queue readable. IOSTREAM_IOC_RESET does not change it. EINVAL:
	 * the direction is input, or there is a latency without bytes. ERANGE: bytes is larger than
	 * the queue, or latency_ns is out of range.
	 */
	IOSTREAM_IOC_WATERMARK	= _IOW('j', 0x48, struct iostream_watermark),
	/*
	 * Choose how read(2) reads in this session: the argument is IOSTREAM_READ_* or zero. Works
	 * also before IOSTREAM_IOC_SETUP. EINVAL: an unknown bit.
	 */
	IOSTREAM_IOC_READ_MODE	= _IO('j', 0x49),

	/*
	 * This call and all below are for streams. ENOTTY: the node has none.
	 *
	 * Get geometry, state and mmap(2) offsets. Buffers that the driver added
	 * (POLLPRI, generation) join the session here, charged to the caller: ENOMEM, EDQUOT.
	 */
	IOSTREAM_IOC_STREAM	= _IOWR('j', 0x50, struct iostream_stream),
	/* Start, or resume after a suspension. EALREADY: it runs; else the driver's error. */
	IOSTREAM_IOC_START	= _IO('j', 0x51),
	/* Suspend. EBADFD: it is stopped; EALREADY: it is suspended; else the driver's error. */
	IOSTREAM_IOC_SUSPEND	= _IO('j', 0x52),
	/* Stop. EALREADY: it is stopped. To drain, also ETIMEDOUT, EINTR: the stream goes on. */
	IOSTREAM_IOC_STOP	= _IOWR('j', 0x53, struct iostream_stop),
	/*
	 * Change the mode, the argument, until the end of the session. EBUSY: the stream was
	 * started, or something is mapped; else the driver's error; EOPNOTSUPP: it changes no mode.
	 */
	IOSTREAM_IOC_MODE	= _IO('j', 0x54),
	/*
	 * Send the driver a notice: its callback runs soon, in a worker. The argument is a token of
	 * 32 bits for the callback. Each call makes one callback. EAGAIN: 64 notices wait already.
	 */
	IOSTREAM_IOC_INPUT	= _IO('j', 0x55),
	/*
	 * Send the driver a notice with a token; its callback runs in this call, which returns what
	 * the callback returns. EOPNOTSUPP: the driver has no such callback.
	 */
	IOSTREAM_IOC_INPUT_SYNC	= _IO('j', 0x56),
};

#endif /* _UAPI_IOSTREAM_H */
