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

/* Many rings, made and put in before a run. */
struct inner {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 64);
	__type(key, __u32);
	__array(values, struct inner);
} rings SEC(".maps");

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

/* Set before the load: a constant for the verifier, which bpf_ringbuf_reserve needs, not for clang. */
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
	__u64 active;		/* the number of rings that get entries */
	__u64 random;		/* the number that the last choice of a ring came from */
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

/* Makes an entry. Inlined, so that a length that is constant is known to the compiler, too. */
static __always_inline int make(struct work *work, __u32 bytes)
{
	__u64 *entry, value = work->number;
	__u32 at;

	if (value >= work->target)
		return 1;
	entry = bpf_ringbuf_reserve(&ring, bytes, 0);
	if (!entry) {
		work->stuck++;
		return 1;
	}
	/* The stores of a driver's loop are unrolled eight times as well. */
#pragma clang loop unroll_count(8)
	for (at = 0; at < bytes / 8; at++)
		entry[at] = value++;
	bpf_ringbuf_submit(entry, flags_of(work));
	made(work);
	return 0;
}

/* A program that calls a function until it returns 1. */
#define LOOP(name, function)						\
SEC("syscall")								\
int name(struct work *context)						\
{									\
	struct work work = *context;					\
									\
	bpf_loop(MAX_LOOPS, function, &work, 0);			\
	*context = work;						\
	return 0;							\
}

/* A program for entries of one length. */
#define PRODUCE(name, bytes)						\
static int make_##name(__u32 i, struct work *work)			\
{									\
	return make(work, bytes);					\
}									\
									\
LOOP(produce_##name, make_##name)

PRODUCE(8, 8)
PRODUCE(64, 64)
PRODUCE(1024, 1024)
PRODUCE(4096, 4096)
/* Of any length that is set before the load. */
PRODUCE(any, entry_bytes)

/* Makes an entry in one of the rings, chosen by Knuth's generator, as iostream_bench.ko does it. */
static int scatter_one(__u32 i, struct work *work)
{
	__u64 value = work->number, random;
	void *chosen;
	__u32 at;

	if (value >= work->target)
		return 1;
	random = work->random * 6364136223846793005ULL + 1442695040888963407ULL;
	at = (random >> 33) % work->active;
	chosen = bpf_map_lookup_elem(&rings, &at);
	if (!chosen || bpf_ringbuf_output(chosen, &value, sizeof(value), work->flags_last)) {
		work->stuck++;
		return 1;
	}
	work->random = random;
	made(work);
	return 0;
}

LOOP(scatter, scatter_one)

/* Makes an entry when it is due. `active` is the period, and `random` the time of the first entry. */
static int pace_one(__u32 i, struct work *work)
{
	__u64 now = bpf_ktime_get_ns(), due = work->random + work->number * work->active, *entry;

	if (work->number >= work->target)
		return 1;
	if (now < due)
		return 0;
	entry = bpf_ringbuf_reserve(&ring, 8, 0);
	if (!entry) {
		work->stuck++;
		return 1;
	}
	*entry = due;
	bpf_ringbuf_submit(entry, 0);
	work->number++;
	return 0;
}

LOOP(pace, pace_one)

/* What the programs in a timer's interrupt did. `Ticks` in ticks.rs is the same. */
struct ticks {
	__u64 made;		/* the number of entries so far */
	__u64 target;		/* the number at which they stop */
	__u64 flags;		/* flags of each entry */
	__u64 spent_ns;		/* the time of the calls, without that of reading the clock */
	__u64 failed;		/* calls that failed */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ticks);
} ticks SEC(".maps");

/* The buffers of perf_buffer, one for each processor. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} perf SEC(".maps");

static __always_inline int tick(void *context, int by_perf)
{
	__u64 before, begun, spent, number;
	struct ticks *now;
	__u32 zero = 0;
	long error;

	now = bpf_map_lookup_elem(&ticks, &zero);
	if (!now || now->made >= now->target)
		return 0;
	number = now->made;
	/* Two looks at the clock: the time between them is the clock's own. */
	before = bpf_ktime_get_ns();
	begun = bpf_ktime_get_ns();
	if (by_perf)
		error = bpf_perf_event_output(context, &perf, BPF_F_CURRENT_CPU, &number, sizeof(number));
	else
		error = bpf_ringbuf_output(&ring, &number, sizeof(number), now->flags);
	spent = bpf_ktime_get_ns() - begun;
	if (error) {
		now->failed++;
		return 0;
	}
	before = begun - before;
	now->spent_ns += spent > before ? spent - before : 0;
	now->made++;
	return 0;
}

SEC("perf_event")
int tick_ring(void *context)
{
	return tick(context, 0);
}

SEC("perf_event")
int tick_perf(void *context)
{
	return tick(context, 1);
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
