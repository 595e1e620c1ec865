/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * The frames that iostream_pattern makes and iostream_sink checks.
 *
 * The data of a frame are 64-bit words in native byte order: word i is sequence + i. The control
 * area begins with struct iostream_frame.
 */
#ifndef _UAPI_IOSTREAM_FRAME_H
#define _UAPI_IOSTREAM_FRAME_H

#include <linux/types.h>

struct iostream_frame {
	__u64 sequence;		/* 0, 1, 2 ... in a session; a jump: no buffer was free */
	__u64 timestamp_ns;	/* CLOCK_MONOTONIC, when the frame was made */
	__u64 data_len;		/* bytes of data, a multiple of 8 */
	/*
	 * FNV-1a by words. Begin with 0xcbf29ce484222325. For sequence, data_len and each word of
	 * the data: exclusive-or the word in, and multiply by 0x100000001b3.
	 */
	__u64 check;
};

#endif /* _UAPI_IOSTREAM_FRAME_H */
