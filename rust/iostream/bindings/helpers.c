// SPDX-License-Identifier: GPL-2.0
/* See helpers.h. */
#include <linux/compat.h>
#include <linux/device.h>
#include <linux/eventfd.h>
#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
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
/* Inlined into drivers with the ring's fast paths. */
EXPORT_SYMBOL_GPL(iostream_copy);

long iostream_wait_interruptible(struct wait_queue_head *queue, bool (*ready)(void *arg),
				 void *arg, long timeout)
{
	return wait_event_interruptible_timeout(*queue, ready(arg), timeout);
}

long iostream_wait_killable(struct wait_queue_head *queue, bool (*ready)(void *arg),
			    void *arg, long timeout)
{
	return wait_event_killable_timeout(*queue, ready(arg), timeout);
}

bool iostream_in_compat_syscall(void)
{
	return in_compat_syscall();
}

bool iostream_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

bool iostream_eventfd_signal_allowed(void)
{
	return eventfd_signal_allowed();
}

void iostream_cpu_relax(void)
{
	cpu_relax();
}

void iostream_cond_resched(void)
{
	cond_resched();
}

long iostream_nsecs_to_jiffies(u64 nsecs)
{
	/* One more, so that the wait is never shorter than asked for. */
	u64 jiffies = nsecs_to_jiffies64(nsecs) + 1;

	return jiffies < MAX_SCHEDULE_TIMEOUT ? (long)jiffies : MAX_SCHEDULE_TIMEOUT - 1;
}

struct workqueue_struct *iostream_alloc_workqueue(void)
{
	return alloc_workqueue("iostream", WQ_UNBOUND, 0);
}

struct device *iostream_kobj_to_dev(struct kobject *kobj)
{
	return kobj_to_dev(kobj);
}
