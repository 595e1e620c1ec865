/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel crate lacks: inline functions and macros of the kernel's, as functions that Rust
 * can call. bindgen reads this file at build time; nothing is declared by hand in Rust.
 */
#ifndef IOSTREAM_HELPERS_H
#define IOSTREAM_HELPERS_H

#include <linux/dma-direction.h>
#include <linux/types.h>

struct device;
struct file;
struct kiocb;
struct kobject;
struct page;
struct sg_table;
struct wait_queue_head;
struct workqueue_struct;

/*
 * A zeroed page, charged to the calling task's cgroup. Fails, rather than have the OOM killer look
 * for a victim: a process that asks for too much is told so.
 */
struct page *iostream_alloc_page(void);
/* Gives up one reference; the page goes with the last. */
void iostream_put_page(struct page *page);

/* Maps count pages in a row, the same page more than once if it is named more than once. */
void *iostream_vmap(struct page **pages, unsigned int count);
void iostream_vunmap(const void *addr);

/* memcpy. A race with a process that writes the source is allowed: some bytes are copied. */
void iostream_copy(void *to, const void *from, size_t len);

/* Sleep until ready(arg), at most timeout jiffies. As wait_event_*_timeout return. */
long iostream_wait_interruptible(struct wait_queue_head *queue, bool (*ready)(void *arg),
				 void *arg, long timeout);
long iostream_wait_killable(struct wait_queue_head *queue, bool (*ready)(void *arg),
			    void *arg, long timeout);

/* Whether a read or write must not wait (IOCB_NOWAIT). */
bool iostream_is_nowait(const struct kiocb *iocb);
/* Says that the reads and writes of a file heed IOCB_NOWAIT. */
void iostream_set_nowait(struct file *file);
bool iostream_in_compat_syscall(void);
bool iostream_fatal_signal_pending(void);
bool iostream_eventfd_signal_allowed(void);
/* Whether the calling kernel thread is told to stop. */
bool iostream_should_stop(void);
void iostream_cpu_relax(void);
void iostream_cond_resched(void);
long iostream_nsecs_to_jiffies(u64 nsecs);
struct workqueue_struct *iostream_alloc_workqueue(void);
struct device *iostream_kobj_to_dev(struct kobject *kobj);

/* Whether there is memory that a device does not reach: the kernel would copy for it. */
bool iostream_dma_limited(struct device *dev);
/* Maps the first bytes of count pages for a device and makes the table that says where they are. */
int iostream_dma_map(struct device *dev, struct sg_table *table, struct page **pages,
		     unsigned int count, size_t bytes, enum dma_data_direction direction);
/* Undoes it. Copies nothing: whoever has the memory has synchronised it. */
void iostream_dma_unmap(struct device *dev, struct sg_table *table,
			enum dma_data_direction direction);
void iostream_dma_sync_for_device(struct device *dev, struct sg_table *table,
				  enum dma_data_direction direction);
void iostream_dma_sync_for_cpu(struct device *dev, struct sg_table *table,
			       enum dma_data_direction direction);

#endif
