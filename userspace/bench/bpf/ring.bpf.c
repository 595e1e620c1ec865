// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's half of the peer: BPF ring buffers, filled and drained in one run of a program.
 *
 * The entries are those of iostream_bench.ko: words, of which the first counts entries from 0, and
 * each further one is one more than the word before it. A program ends when the ring is full; the
 * next run goes on where it stopped.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

/* The sizes are set before the programs are loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} user_ring SEC(".maps");

/* The process whose system calls are counted, and their number. */
struct count {
	__u64 tgid;
	__u64 calls;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct count);
} counts SEC(".maps");

/* Set before the load: a constant for the verifier, which bpf_ringbuf_reserve needs. */
const volatile __u32 entry_bytes = 8;

/* The most iterations of one bpf_loop. */
#define MAX_LOOPS (1 << 23)

/* The context of a program: what to do, and what was done. `Work` in bpf.rs is the same. */
struct work {
	__u64 target;		/* the number of entries at the end */
	__u64 batch;		/* entries of a wake-up */
	__u64 flags_within;	/* flags of an entry within a batch */
	__u64 flags_last;	/* flags of the entry that ends a batch */
	__u64 number;		/* entries made or drained so far */
	__u64 left;		/* entries that the batch still lacks; begins as batch */
	__u64 sum;		/* the sum of the entries' numbers */
	__u64 stuck;		/* how often the ring was full */
};

static __u64 flags_of(struct work *work)
{
	/* The last entry must wake the reader even if it does not end a batch. */
	if (work->left == 1 || work->number + 1 == work->target)
		return work->flags_last;
	return work->flags_within;
}

static void made(struct work *work)
{
	work->sum += work->number++;
	if (--work->left == 0)
		work->left = work->batch;
}

static int make(__u32 i, struct work *work)
{
	__u64 *entry, value = work->number;
	/* Read once: a field would be loaded for each word. */
	__u32 at, words = entry_bytes / 8;

	if (value >= work->target)
		return 1;
	entry = bpf_ringbuf_reserve(&ring, entry_bytes, 0);
	if (!entry) {
		work->stuck++;
		return 1;
	}
	for (at = 0; at < words; at++)
		entry[at] = value++;
	bpf_ringbuf_submit(entry, flags_of(work));
	made(work);
	return 0;
}

SEC("syscall")
int produce(struct work *context)
{
	struct work work = *context;

	bpf_loop(MAX_LOOPS, make, &work, 0);
	*context = work;
	return 0;
}

SEC("syscall")
int stamp(struct work *context)
{
	__u64 begun, *entry = bpf_ringbuf_reserve(&ring, 8, 0);

	if (!entry)
		return 1;
	begun = bpf_ktime_get_ns();
	*entry = begun;
	bpf_ringbuf_submit(entry, 0);
	/* The wake-up is an interrupt that comes right away. */
	context->sum = bpf_ktime_get_ns() - begun;
	return 0;
}

static long take(struct bpf_dynptr *entry, struct work *work)
{
	__u64 *word = bpf_dynptr_data(entry, 0, 8);

	if (word)
		work->sum += *word;
	work->number++;
	return 0;
}

SEC("syscall")
int drain(struct work *context)
{
	struct work work = *context;

	bpf_user_ringbuf_drain(&user_ring, take, &work, work.flags_last);
	*context = work;
	return 0;
}

SEC("raw_tp/sys_enter")
int count_call(void *context)
{
	__u32 zero = 0;
	struct count *count = bpf_map_lookup_elem(&counts, &zero);

	if (count && bpf_get_current_pid_tgid() >> 32 == count->tgid)
		__sync_fetch_and_add(&count->calls, 1);
	return 0;
}
