// SPDX-License-Identifier: GPL-2.0
/*
 * Which code of iostream and its drivers has run, in whatever process or context: scripts/harden,
 * step coverage.
 *
 * The compiler puts a call at the beginning of each basic block, and the linker names its target
 * otherwise (see Kbuild), so that a kernel with a tracer of its own does not mind. The call notes
 * where it came from. It may do so in interrupts and before a module's init, takes no lock, and
 * calls nothing.
 *
 * This is a module of its own, so that what is known outlives the modules that come and go. It is
 * loaded before them. /sys/kernel/debug/iostream_coverage has a line for each place that ran:
 * MODULE text|init OFFSET, the offset being that of the call's return in the module's code.
 */
#include <linux/debugfs.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

/* Two for each module: its code, and what is freed after its init. */
#define PARTS 48

struct part {
	/* 0 while the module is not there. */
	unsigned long base;
	unsigned int size;
	/* A byte for each of the code's: one store marks it, without a lock. */
	u8 *ran;
	enum mod_mem_type type;
	char name[MODULE_NAME_LEN];
};

/* Only ever grows, by one writer at a time: that of the notifier, which debugfs does not see half. */
static struct part parts[PARTS];
static unsigned int count;

void __wrap___sanitizer_cov_trace_pc(void);

notrace void __wrap___sanitizer_cov_trace_pc(void)
{
	unsigned long place = (unsigned long)__builtin_return_address(0);
	unsigned int known = smp_load_acquire(&count);

	for (unsigned int i = 0; i < known; i++) {
		struct part *part = &parts[i];
		unsigned long base = READ_ONCE(part->base);
		unsigned long offset = place - base;

		if (!base || offset >= part->size)
			continue;
		/* Most have run before: their cache lines stay shared. */
		if (!READ_ONCE(part->ran[offset]))
			WRITE_ONCE(part->ran[offset], 1);
		return;
	}
}
EXPORT_SYMBOL_GPL(__wrap___sanitizer_cov_trace_pc);
NOKPROBE_SYMBOL(__wrap___sanitizer_cov_trace_pc);

static struct part *find(const char *name, enum mod_mem_type type)
{
	for (unsigned int i = 0; i < count; i++)
		if (parts[i].type == type && !strcmp(parts[i].name, name))
			return &parts[i];
	return NULL;
}

/* None of the module's code has run yet. */
static void come(const struct module *module, enum mod_mem_type type)
{
	const struct module_memory *memory = &module->mem[type];
	struct part *part = find(module->name, type);

	if (!memory->size)
		return;
	if (!part) {
		u8 *ran = vzalloc(memory->size);

		if (!ran || count == PARTS) {
			pr_warn("no room for %s\n", module->name);
			vfree(ran);
			return;
		}
		part = &parts[count];
		part->size = memory->size;
		part->ran = ran;
		part->type = type;
		strscpy(part->name, module->name);
		smp_store_release(&count, count + 1);
	}
	/* Of two builds by one name only the first counts. */
	if (part->size == memory->size)
		WRITE_ONCE(part->base, (unsigned long)memory->base);
}

/* None of it will run any more. */
static void go(const struct module *module, enum mod_mem_type type)
{
	struct part *part = find(module->name, type);

	if (part)
		WRITE_ONCE(part->base, 0);
}

static int changed(struct notifier_block *block, unsigned long state, void *data)
{
	const struct module *module = data;

	if (!str_has_prefix(module->name, "iostream"))
		return NOTIFY_DONE;
	switch (state) {
	case MODULE_STATE_COMING:
		come(module, MOD_TEXT);
		come(module, MOD_INIT_TEXT);
		break;
	case MODULE_STATE_LIVE:
		go(module, MOD_INIT_TEXT);
		break;
	case MODULE_STATE_GOING:
		go(module, MOD_TEXT);
		go(module, MOD_INIT_TEXT);
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block notifier = { .notifier_call = changed };

static int iostream_coverage_show(struct seq_file *out, void *unused)
{
	unsigned int known = smp_load_acquire(&count);

	for (unsigned int i = 0; i < known; i++) {
		const struct part *part = &parts[i];
		const char *type = part->type == MOD_TEXT ? "text" : "init";

		for (unsigned int offset = 0; offset < part->size; offset++)
			if (READ_ONCE(part->ran[offset]))
				seq_printf(out, "%s %s %#x\n", part->name, type, offset);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(iostream_coverage);

static struct dentry *file;

static int __init coverage_init(void)
{
	int error = register_module_notifier(&notifier);

	if (error)
		return error;
	file = debugfs_create_file("iostream_coverage", 0400, NULL, NULL, &iostream_coverage_fops);
	return 0;
}

/* The modules that call us hold us, so that none is there any more. */
static void __exit coverage_exit(void)
{
	debugfs_remove(file);
	unregister_module_notifier(&notifier);
	for (unsigned int i = 0; i < count; i++)
		vfree(parts[i].ran);
}

module_init(coverage_init);
module_exit(coverage_exit);

MODULE_DESCRIPTION("Which code of iostream has run; for testing");
MODULE_LICENSE("GPL");
