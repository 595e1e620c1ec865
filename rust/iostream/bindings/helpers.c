// SPDX-License-Identifier: GPL-2.0
/* The wrapper functions that helpers.h declares and describes. */
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/eventfd.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/scatterlist.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "helpers.h"

struct page *iostream_alloc_page(void)
{
	return alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
}

void iostream_put_page(struct page *page)
{
	__free_page(page);
}

void *iostream_vmap(struct page **pages, unsigned int count)
{
	return vmap(pages, count, VM_MAP, PAGE_KERNEL);
}

void iostream_vunmap(const void *addr)
{
	vunmap(addr);
}

void iostream_copy(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
}
/* Drivers call it, because the ring's fast paths are inlined into them. */
EXPORT_SYMBOL_GPL(iostream_copy);

/*
 * One timer runs for the whole wait. wait_event_timeout() counts only the jiffies that begin while it
 * sleeps: whoever wakes it often prolongs it. /proc/PID/wchan has the name of this function.
 */
static int iostream_wait(struct wait_queue_head *queue, unsigned int state,
			 bool (*ready)(void *arg), void *arg, u64 end_ns)
{
	ktime_t timeout = KTIME_MAX;

	might_sleep();
	if (ready(arg))
		return 0;
	/* A time below zero would be taken for one without an end. */
	if (end_ns < KTIME_MAX)
		timeout = max_t(ktime_t, ktime_sub(end_ns, ktime_get()), 0);
	return __wait_event_hrtimeout(*queue, ready(arg), timeout, state);
}

int iostream_wait_interruptible(struct wait_queue_head *queue, bool (*ready)(void *arg),
				void *arg, u64 end_ns)
{
	return iostream_wait(queue, TASK_INTERRUPTIBLE, ready, arg, end_ns);
}

int iostream_wait_killable(struct wait_queue_head *queue, bool (*ready)(void *arg), void *arg,
			   u64 end_ns)
{
	return iostream_wait(queue, TASK_KILLABLE, ready, arg, end_ns);
}

void iostream_wait_idle(struct wait_queue_head *queue, bool (*ready)(void *arg), void *arg,
			u64 end_ns)
{
	iostream_wait(queue, TASK_IDLE, ready, arg, end_ns);
}

bool iostream_is_nowait(const struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_NOWAIT;
}

void iostream_set_nowait(struct file *file)
{
	file->f_mode |= FMODE_NOWAIT;
}

bool iostream_in_compat_syscall(void)
{
	return in_compat_syscall();
}

bool iostream_exits_by_signal(void)
{
	return (current->flags & PF_EXITING) && (current->signal->group_exit_code & 0x7f);
}

bool iostream_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

bool iostream_eventfd_signal_allowed(void)
{
	return eventfd_signal_allowed();
}

bool iostream_should_stop(void)
{
	return (current->flags & PF_KTHREAD) && kthread_should_stop();
}

u32 iostream_index_nospec(u32 index, u32 size)
{
	return array_index_nospec(index, size);
}

void iostream_cpu_relax(void)
{
	cpu_relax();
}

bool iostream_irqs_disabled(void)
{
	return irqs_disabled();
}

void iostream_cond_resched(void)
{
	cond_resched();
}

bool iostream_within_module(unsigned long address, const struct module *module)
{
	return within_module(address, module);
}

struct workqueue_struct *iostream_alloc_workqueue(const char *name, int max_active)
{
	return alloc_workqueue("%s", WQ_UNBOUND, max_active, name);
}

void iostream_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	call_rcu_hurry(head, func);
}

struct task_struct *iostream_start_idle_thread(int (*main)(void *arg), void *arg,
					       const char *name)
{
	struct task_struct *thread = kthread_create(main, arg, "%s", name);

	if (IS_ERR(thread))
		return NULL;
	set_user_nice(thread, MAX_NICE);
	wake_up_process(thread);
	return thread;
}

void iostream_stop_thread(struct task_struct *thread)
{
	kthread_stop(thread);
}

bool iostream_exceeds_limits(void)
{
	return capable(CAP_SYS_RESOURCE);
}

struct device *iostream_kobj_to_dev(struct kobject *kobj)
{
	return kobj_to_dev(kobj);
}

bool iostream_dma_limited(struct device *dev)
{
	return dma_addressing_limited(dev);
}

int iostream_dma_map(struct device *dev, struct sg_table *table, struct page **pages,
		     unsigned int count, size_t bytes, enum dma_data_direction direction)
{
	int error = sg_alloc_table_from_pages_segment(table, pages, count, 0, bytes,
						      dma_get_max_seg_size(dev),
						      GFP_KERNEL_ACCOUNT);

	if (error)
		return error;
	error = dma_map_sgtable(dev, table, direction, DMA_ATTR_NO_WARN);
	if (error)
		sg_free_table(table);
	return error;
}

void iostream_dma_unmap(struct device *dev, struct sg_table *table,
			enum dma_data_direction direction)
{
	dma_unmap_sgtable(dev, table, direction, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(table);
}

void iostream_dma_sync_for_device(struct device *dev, struct sg_table *table,
				  enum dma_data_direction direction)
{
	dma_sync_sgtable_for_device(dev, table, direction);
}

void iostream_dma_sync_for_cpu(struct device *dev, struct sg_table *table,
			       enum dma_data_direction direction)
{
	dma_sync_sgtable_for_cpu(dev, table, direction);
}
