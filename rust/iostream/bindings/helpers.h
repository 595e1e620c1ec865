/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Functions that the kernel crate lacks. Most of them wrap an inline function or a macro of the
 * kernel, which Rust cannot call. bindgen reads this file at build time, so no function is declared
 * by hand in Rust.
 */
#ifndef IOSTREAM_HELPERS_H
#define IOSTREAM_HELPERS_H

#include <linux/dma-direction.h>
#include <linux/types.h>

struct device;
struct file;
struct kiocb;
struct kobject;
struct module;
struct page;
struct rcu_head;
struct sg_table;
struct task_struct;
struct wait_queue_head;
struct workqueue_struct;

/*
 * Allocates a zeroed page, charged to the calling task's cgroup. Fails instead of invoking the OOM
 * killer, so that a process that asks for too much gets an error.
 */
struct page *iostream_alloc_page(void);
/* Drops one reference to a page. The last one frees it. */
void iostream_put_page(struct page *page);

/* Maps count pages in a row. A page may be listed more than once. */
void *iostream_vmap(struct page **pages, unsigned int count);
void iostream_vunmap(const void *addr);

/*
 * memcpy() that may race with a process that accesses the same memory. The copy is then a mixture
 * of old and new bytes.
 */
void iostream_copy(void *to, const void *from, size_t len);

/*
 * Sleep until ready(arg) is true, or until end_ns nanoseconds after boot, however often the queue is
 * woken meanwhile; U64_MAX: without an end. Look at least once. Return 0 if it is true, -ETIME at the
 * end, and -ERESTARTSYS after a signal: any, or a fatal one.
 */
int iostream_wait_interruptible(struct wait_queue_head *queue, bool (*ready)(void *arg),
				void *arg, u64 end_ns);
int iostream_wait_killable(struct wait_queue_head *queue, bool (*ready)(void *arg), void *arg,
			   u64 end_ns);
/* The same as a kernel thread that does not count as load, and which signals do not wake. */
void iostream_wait_idle(struct wait_queue_head *queue, bool (*ready)(void *arg), void *arg,
			u64 end_ns);

/* Whether a read or write must not wait (IOCB_NOWAIT). */
bool iostream_is_nowait(const struct kiocb *iocb);
/* Marks a file whose reads and writes heed IOCB_NOWAIT. */
void iostream_set_nowait(struct file *file);
/* The kernel's functions of the same names; iostream_fatal_signal_pending() asks about current. */
bool iostream_in_compat_syscall(void);
bool iostream_fatal_signal_pending(void);
bool iostream_eventfd_signal_allowed(void);
/* Whether this thread is on its way out because a signal ended its process. */
bool iostream_exits_by_signal(void);
/* Whether the calling kernel thread is told to stop. */
bool iostream_should_stop(void);
/* An index below size, and never more, even where the processor guesses; see array_index_nospec(). */
u32 iostream_index_nospec(u32 index, u32 size);
void iostream_cpu_relax(void);
void iostream_cond_resched(void);
/* Whether interrupts are disabled on this processor. */
bool iostream_irqs_disabled(void);
struct device *iostream_kobj_to_dev(struct kobject *kobj);

/* Whether an address lies in a module. */
bool iostream_within_module(unsigned long address, const struct module *module);

/* Allocates an unbound workqueue with at most max_active workers at a time; 0: the default. */
struct workqueue_struct *iostream_alloc_workqueue(const char *name, int max_active);
/* Calls func(head) after a grace period, in softirq context, soon even if RCU is lazy. */
void iostream_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));

/*
 * Starts a kernel thread that runs main(arg) with the lowest priority, until kthread_stop(). Returns
 * NULL if there is no memory for it.
 */
struct task_struct *iostream_start_idle_thread(int (*main)(void *arg), void *arg,
					       const char *name);
/* Tells a kernel thread to stop, and waits until it has. */
void iostream_stop_thread(struct task_struct *thread);

/* Whether the calling task may exceed the limits of its user. */
bool iostream_exceeds_limits(void);

/* Whether the machine has memory that the device cannot address. */
bool iostream_dma_limited(struct device *dev);
/*
 * Maps the first bytes bytes of count pages for a device, and fills the table with their DMA
 * addresses.
 */
int iostream_dma_map(struct device *dev, struct sg_table *table, struct page **pages,
		     unsigned int count, size_t bytes, enum dma_data_direction direction);
/* Unmaps what iostream_dma_map() mapped, without synchronising it. */
void iostream_dma_unmap(struct device *dev, struct sg_table *table,
			enum dma_data_direction direction);
/* Hand the memory over to the device, or back to the processor. */
void iostream_dma_sync_for_device(struct device *dev, struct sg_table *table,
				  enum dma_data_direction direction);
void iostream_dma_sync_for_cpu(struct device *dev, struct sg_table *table,
			       enum dma_data_direction direction);

#endif
