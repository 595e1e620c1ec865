// SPDX-License-Identifier: GPL-2.0
/* A module that only warns when it is loaded: the harness must notice the warning. */

#include <linux/bug.h>
#include <linux/module.h>

static int __init harness_warn_init(void)
{
	WARN_ON(1);
	return 0;
}

static void __exit harness_warn_exit(void)
{
}

module_init(harness_warn_init);
module_exit(harness_warn_exit);

MODULE_DESCRIPTION("Warns when loaded; for testing the test harness");
MODULE_LICENSE("GPL");
