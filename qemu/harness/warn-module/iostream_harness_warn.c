// SPDX-License-Identifier: GPL-2.0
/* A module that does nothing but warn when it is loaded: what the harness's own test wants to see noticed. */

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
